//! The decoder as a whole: captures, and what must hold for any bytes.

use proptest::prelude::*;

use super::*;
use crate::reading::Measured;

fn decode(mut bytes: &[u8], chunk: usize) -> Vec<Result<Reading, DecodeError>> {
    let mut decoder = Decoder::new();
    let mut results = Vec::new();
    while !bytes.is_empty() {
        let taken = decoder.handle_bytes(&bytes[..chunk.min(bytes.len())]);
        assert!(taken > 0, "a decoder that was asked for all its readings takes more bytes");
        bytes = &bytes[taken..];
        results.extend(std::iter::from_fn(|| decoder.poll_reading()));
    }
    decoder.handle_end();
    results.extend(std::iter::from_fn(|| decoder.poll_reading()));
    results
}

fn capture(name: &str) -> Vec<u8> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/raven").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn describe(result: &Result<Reading, DecodeError>) -> String {
    let reading = match result {
        Err(error) => return format!("error: {error}\n"),
        Ok(reading) => reading,
    };
    let time = reading.meter_time.map(|time| (time.unix_milliseconds, time.offset_seconds));
    let mut text = format!("{:?} {time:?} {:?}\n", reading.identification, reading.trust);
    for Measured { obis, quantity, value, unit, .. } in &reading.values {
        text += &format!("  {obis} {quantity:?} = {value} {}\n", unit.symbol());
    }
    for kept in &reading.not_understood {
        text += &format!("  kept {}\n", kept.text);
    }
    text
}

#[test]
fn each_capture_reads_as_it_did() {
    for name in ["emu2_import_then_export", "raven_no_values"] {
        let text: String = decode(&capture(&format!("{name}.txt")), usize::MAX).iter().map(describe).collect();
        insta::with_settings!({ snapshot_path => "../../captures/raven", prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(name, text);
        });
    }
}

#[track_caller]
fn check_demand(sent: &str, expect: Option<&str>) {
    let text = format!("<InstantaneousDemand><Demand>{sent}</Demand><Divisor>0x3e8</Divisor></InstantaneousDemand>");
    let results = decode(text.as_bytes(), usize::MAX);
    let [Ok(reading)] = results.as_slice() else { panic!("{sent}: {results:?}") };
    assert_eq!(reading.values.first().map(|value| value.value.to_string()).as_deref(), expect, "{sent}");
    assert_eq!(reading.not_understood.is_empty(), expect.is_some(), "{sent}: no value is kept as sent");
}

#[test]
fn s5_demand_is_signed_in_both_widths() {
    check_demand("0x000004d2", Some("1234"));
    check_demand("0xFFFFFFF0", Some("-16"));
    check_demand("0x0004d2", Some("1234"));
    check_demand("0xfffff0", Some("-16"));
    check_demand("0x00fffff0", Some("16777200"));
    check_demand("0xfffffffffffffff0", Some("-16"));
}

#[test]
fn r1_r5_what_is_absent_is_no_value_and_zero_is_zero() {
    check_demand("0x00000000", Some("0"));
    for sent in ["", "0x", "null", "0x7fffffff", "0x80000000", "0x800000", "0xff800000", "-1", "0x1ffffffff"] {
        check_demand(sent, None);
    }
}

#[test]
fn keys_of_the_stick_are_not_kept() {
    for result in decode(&capture("raven_no_values.txt"), usize::MAX).into_iter().flatten() {
        assert!(result.not_understood.iter().all(|kept| !kept.text.contains("00000000")));
    }
}

#[test]
fn a_fragment_without_an_end_is_given_up_at_the_limit() {
    let mut bytes = b"<NetworkInfo>".to_vec();
    bytes.resize(2 * framer::MAX_FRAME, b' ');
    bytes.extend(capture("emu2_import_then_export.txt"));
    let results = decode(&bytes, usize::MAX);
    assert_eq!(results[0], Err(DecodeError::TooLong { limit: framer::MAX_FRAME }));
    assert_eq!(results.iter().flatten().count(), 4);
}

proptest! {
    #[test]
    fn any_chunking_gives_the_same(noise in "[<>/A-Za-z ]{0,40}", cut in any::<prop::sample::Index>(), chunk in 1_usize..200) {
        let (one, two) = (capture("emu2_import_then_export.txt"), capture("raven_no_values.txt"));
        let bytes = [&one[cut.index(one.len())..], noise.as_bytes(), &two, &one].concat();
        prop_assert_eq!(decode(&bytes, usize::MAX), decode(&bytes, chunk));
    }

    #[test]
    fn arbitrary_bytes_never_panic_and_stay_bounded(parts in prop::collection::vec(prop_oneof![
        prop::sample::select(&["<InstantaneousDemand>", "</InstantaneousDemand>", "<Demand>", "</Demand>", "0x", "f", "<Divisor>", "</Divisor>", "<a/>", "&", "<!--"][..]).prop_map(|text| text.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..300),
    ], 0..60)) {
        for reading in decode(&parts.concat(), usize::MAX).into_iter().flatten() {
            prop_assert!(reading.not_understood.len() <= 64);
        }
    }
}
