//! That no key is anywhere but among the secrets: not in the database, decrypted or as it lies there, not in a debug text,
//! not in what screens see, not in an error.

use std::fmt::Write as _;
use std::path::Path;

use meter_link::security::key::Key;

use super::*;

/// A key as it would be written somewhere: raw, hexadecimal either way, each of the three ways base64 cuts it, and as a list
/// of numbers.
fn traces(key: &[u8]) -> Vec<Vec<u8>> {
    let mut digits = String::new();
    for byte in key {
        // Writing to a String cannot fail.
        let _ = write!(digits, "{byte:02x}");
    }
    let numbers: Vec<_> = key.iter().map(u8::to_string).collect();
    let texts = [digits.to_uppercase(), digits, numbers.join(","), numbers.join(", ")];
    let base64 = (0..3).map(|lead| base64(&[&vec![0; lead], key].concat(), lead));
    std::iter::once(key.to_vec()).chain(texts.map(String::into_bytes)).chain(base64).collect()
}

/// The characters of base64 that all but the first `lead` bytes decide alone.
fn base64(bytes: &[u8], lead: usize) -> Vec<u8> {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |place| byte >> place & 1)).collect();
    let whole = bits.chunks_exact(6).skip((lead * 8).div_ceil(6));
    whole.map(|bits| LETTERS[bits.iter().fold(0, |sum, bit| sum << 1 | usize::from(*bit))]).collect()
}

fn has_trace(text: &[u8], key: &[u8]) -> bool {
    traces(key).iter().any(|trace| text.windows(trace.len()).any(|part| part == trace))
}

#[track_caller]
fn check_free(place: &str, text: &[u8], keys: &[Vec<u8>]) {
    assert!(!keys.iter().any(|key| has_trace(text, key)), "a key is in {place}");
}

/// All that SQLite has written: in clear, and the files as they lie there.
fn database(recorder: &Recorder, folder: &Path) -> Vec<u8> {
    let plain = folder.join("plain.db");
    let writer = &recorder.writer;
    writer.execute("ATTACH DATABASE ? AS plain KEY ''", [plain.to_string_lossy()]).expect("attached");
    writer.query_row("SELECT sqlcipher_export('plain')", [], |_| Ok(())).expect("exported");
    writer.execute("DETACH DATABASE plain", []).expect("detached");
    let mut all = std::fs::read(&plain).expect("exported");
    std::fs::remove_file(&plain).expect("it is ours");
    assert!(all.windows(15).any(|part| part == b"key_replacement"), "it is in clear");
    for name in ["wattle.db", "wattle.db-wal"] {
        all.extend(std::fs::read(folder.join(name)).unwrap_or_default());
    }
    all
}

#[test]
fn k7_no_key_is_in_the_database_a_debug_text_a_notice_or_an_error() {
    let place = Place::new("leak");
    let mut recorder = place.open();
    let meter = paired(&mut recorder, ADDRESS);
    let mut keys = vec![vec![1; 16], vec![2; 16], vec![0xAA; 16]];
    for replaced in [ReplacedKeys::Both, ReplacedKeys::Master] {
        begin(&mut recorder, meter, replaced).expect("the last one has ended");
        let change = carry(&mut recorder, meter, Suite::Zero, Shown::Verified);
        let target = change.target().expect("they are made").clone();
        keys.extend([target.keys.encryption.bytes().to_vec(), target.keys.authentication.bytes().to_vec()]);
        keys.extend(change.masters().iter().map(|master| master.bytes().to_vec()));
        let kept = place.secret("meter 1 change").expect("it is open");
        assert!(has_trace(kept.as_bytes(), target.keys.encryption.bytes()), "among the secrets they are");

        let step = open(&recorder, meter);
        let (reply, _) = oneshot::channel();
        let command = Command::KeepKeyChange(meter, Box::new(step.clone()), reply);
        let ended = Ended::Replaced(change.clone());
        let order = MeterOrder::Start {
            meter,
            address: ADDRESS.to_owned(),
            keys: held(&recorder, meter),
            counters: Vec::new(),
            secret: None,
            worked: None,
            known_until_utc_milliseconds: None,
            changes_keys: true,
        };
        let (candidates, masters) = (change.candidates(), change.masters());
        let mut debug =
            format!("{change:?} {target:?} {command:?} {ended:?} {order:?} {step:?} {candidates:?} {masters:?}");
        let _ = write!(debug, "{:?} {:?}", recorder.replacements, recorder.protections);
        check_free("a debug text", debug.as_bytes(), &keys);
        check_free("the database", &database(&recorder, &place.0), &keys);
        end(&mut recorder, meter, &change);
        check_free("the database", &database(&recorder, &place.0), &keys);
        let state = serde_json::to_string(&recorder.meter(meter).expect("it is paired")).expect("JSON");
        check_free("a notice", state.as_bytes(), &keys);
    }
}

#[test]
fn k7_what_is_refused_is_not_repeated() {
    let place = Place::new("refused");
    let mut recorder = place.open();
    let meter = paired(&mut recorder, ADDRESS);
    for wrong in ["5C".repeat(15), "5c".repeat(33)] {
        let agreed = MasterKey::Agreed { signing_key: Secret(wrong.clone()), meter_public_key: "5C".repeat(64) };
        for master_key in [MasterKey::Given(Secret(wrong.clone())), agreed] {
            let request = ReplaceMeterKeys { meter, keys: ReplacedKeys::Both, master_key };
            let error = recorder.replace_meter_keys(&request).expect_err("it is no key");
            let said = format!("{error:?} {error} {:?}", request.master_key);
            let said = said.replace(&"5C".repeat(64), "the public one");
            assert!(!said.to_uppercase().contains("5C5C"), "{said}");
        }
    }
    // A journal that is half a key is not quoted either.
    Secrets::File(place.key_file()).keep("meter 1 change made", "5C5C5C5C").expect("a key file");
    recorder.protect(meter).expect("the database is there");
    assert!(recorder.open_change(meter).is_none());
}

#[test]
fn a_trace_would_be_found() {
    let key = Key::from([0x5C; 16]);
    let mixed: Vec<u8> = (0..16_u8).map(|place| place.wrapping_mul(37)).collect();
    for text in [key.to_hexadecimal().into_bytes(), base64(&[&[1, 2][..], key.bytes(), &[9]].concat(), 0)] {
        assert!(has_trace(&text, key.bytes()) && !has_trace(&text, &mixed));
    }
    assert!(has_trace(&base64(&[&[7][..], &mixed].concat(), 0), &mixed));
    assert!(has_trace(format!("{mixed:?}").as_bytes(), &mixed));
}
