//! The decoder as a whole: a capture of each variant, and what must hold for any bytes.

use proptest::prelude::*;

use super::message::{Entry, GET_LIST, Item, List, Number, Raw, Time, Value, walk};
use super::print::{Checksums, entry, frame, message, print};
use super::transport::{Frame, MAX_FRAME};
use super::*;
use crate::obis::Obis;
use crate::reading::{Flow, Measured, Phase, Quantity, Trust, Unit};

/// An invented meter.
const SERVER: &[u8] = b"\x0A\x01MAD\x00\x00\x00\x00\x01";

fn decode(bytes: &[u8]) -> Vec<Result<Reading, DecodeError>> {
    decode_in(&mut Decoder::new(), bytes, usize::MAX)
}

/// Feeds `bytes` in chunks of at most `chunk`.
fn decode_in(decoder: &mut Decoder, mut bytes: &[u8], chunk: usize) -> Vec<Result<Reading, DecodeError>> {
    let mut results = Vec::new();
    while !bytes.is_empty() {
        let taken = decoder.handle_bytes(&bytes[..chunk.min(bytes.len())]);
        bytes = &bytes[taken..];
        results.extend(std::iter::from_fn(|| decoder.poll_reading()));
    }
    decoder.handle_end();
    results.extend(std::iter::from_fn(|| decoder.poll_reading()));
    results
}

#[track_caller]
fn one(bytes: &[u8]) -> Reading {
    let results = decode(bytes);
    let [Ok(reading)] = &results[..] else { panic!("{results:?}") };
    reading.clone()
}

fn code(text: &str) -> Obis {
    Obis::parse(text.as_bytes()).expect("a code")
}

fn bytes<'a>(obis: &str, bytes: &'a [u8]) -> Entry<'a> {
    Entry { obis: code(obis), status: None, time: None, unit: None, scaler: None, value: Value::Bytes(bytes) }
}

/// A register or power; `scaler` in tens.
fn signed(obis: &str, unit: u8, scaler: i8, value: i64, width: u8) -> Entry<'static> {
    let value = Value::Signed(Number { value, width });
    Entry { obis: code(obis), status: None, time: None, unit: Some(unit), scaler: Some(scaler), value }
}

fn with_status(entry: Entry<'_>, value: u64, width: u8) -> Entry<'_> {
    Entry { status: Some(Number { value, width }), ..entry }
}

fn file(entries: &[Entry<'_>]) -> Vec<u8> {
    print(&List { server: SERVER, time: Some(Time::Index(1)) }, entries, Checksums::X25)
}

fn find(reading: &Reading, obis: &str) -> Option<Measured> {
    reading.values.iter().copied().find(|value| value.obis == code(obis))
}

/// A reading as lines a person can compare.
fn describe(results: &[Result<Reading, DecodeError>]) -> String {
    let mut text = String::new();
    for result in results {
        let reading = match result {
            Ok(reading) => reading,
            Err(error) => {
                text += &format!("{}\n", error.code());
                continue;
            }
        };
        let Reading { identification, country, trust, meter_time, reduced, .. } = reading;
        let equipment = reading.equipment.as_ref().map_or(0, |equipment| equipment.0.len());
        text += &format!("{identification} {country:?} {trust:?} {meter_time:?} reduced {reduced} id {equipment}\n");
        for Measured { obis, quantity, value, unit, .. } in &reading.values {
            text += &format!("{obis} {quantity:?} = {value} {}\n", unit.symbol());
        }
        for kept in &reading.not_understood {
            text += &format!("kept {:?} {:.60}\n", kept.obis.map(|obis| obis.to_string()), kept.text);
        }
    }
    text
}

/// The captures, written by this crate's own printer: name, what only this one exercises, bytes.
fn captures() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let energy = |obis, value| signed(obis, 30, -1, value, 5);
    let modern = [bytes("1-0:96.50.1*1", b"MAD"), bytes("1-0:96.1.0", SERVER)];
    let old = [bytes("129-129:199.130.3", b"MAD"), bytes("1-0:0.0.9", SERVER)];
    let at = |time| List { server: SERVER, time };
    let index = at(Some(Time::Index(123_456)));
    let full = [
        with_status(energy("1-0:1.8.0", 123_456_789), 0x1C_0104, 4),
        energy("1-0:2.8.0", 98_765_432),
        signed("1-0:16.7.0", 27, 0, -1_234, 2),
        signed("1-0:36.7.0", 27, 0, -500, 2),
        signed("1-0:56.7.0", 27, 0, -700, 2),
        signed("1-0:76.7.0", 27, 0, -34, 2),
        signed("1-0:32.7.0", 35, -1, 2_301, 2),
        signed("1-0:52.7.0", 35, -1, 2_299, 2),
        signed("1-0:72.7.0", 35, -1, 2_310, 2),
        signed("1-0:31.7.0", 33, -2, 217, 2),
        signed("1-0:51.7.0", 33, -2, 305, 3),
        signed("1-0:71.7.0", 33, -2, 15, 6),
        signed("1-0:14.7.0", 44, -1, 500, 2),
        signed("1-0:81.7.1", 8, 0, 120, 2),
        signed("1-0:1.8.0*96", 30, -1, 55_555, 4),
    ];
    let ehz = [
        with_status(energy("1-0:1.8.0", 0x1B1B_1B1B), 0x01A2, 2),
        energy("1-0:1.8.1", 0x1B1B_1B1B),
        energy("1-0:1.8.2", 0),
        energy("1-0:2.8.0", 1_000),
        signed("1-0:15.7.0", 27, -1, 41_989, 4),
        bytes("129-129:199.130.5", &[0x1B; 48]),
    ];
    let reduced = [with_status(signed("1-0:1.8.0", 30, 3, 2_043, 2), 0x10_0104, 4), signed("1-0:2.8.0", 30, 3, 0, 1)];
    const DZG: &[u8] = b"\x0A\x01DZG\x00\x02\x82\x22\x5E";
    let short = [
        bytes("1-0:96.50.1*1", b"DZG"),
        bytes("1-0:96.1.0", DZG),
        with_status(energy("1-0:1.8.0", 1_424_390), 0x1C_0104, 3),
        signed("1-0:16.7.0", 27, -2, -14_836, 2),
    ];
    let holley = [energy("1-0:1.8.0", 23_559_290), signed("1-0:16.7.0", 27, 0, 376, 4)];
    vec![
        (
            "ehz_export_by_status",
            "an EDL21 meter: direction in the status word, a key, doubled escapes",
            print(&index, &[&old[..], &ehz].concat(), Checksums::X25),
        ),
        (
            "kermit_messages",
            "CRC-16/Kermit in the messages",
            print(&index, &[&modern[..], &holley].concat(), Checksums::KermitInside),
        ),
        (
            "kermit_throughout",
            "CRC-16/Kermit in the frame, too",
            print(&at(None), &[&modern[..], &holley].concat(), Checksums::Kermit),
        ),
        (
            "local_time",
            "a clock with its offset",
            print(&at(Some(Time::Local(1_792_779_340, 60, 60))), &[&modern[..], &holley].concat(), Checksums::X25),
        ),
        (
            "modern_full",
            "a modern meter with its PIN entered: phases, a past register, widths of 2 to 6 bytes",
            print(&index, &[&modern[..], &full].concat(), Checksums::X25),
        ),
        (
            "modern_reduced",
            "a modern meter that waits for its PIN",
            print(&index, &[&modern[..], &reduced].concat(), Checksums::X25),
        ),
        (
            "short_integer",
            "a power without its leading zero",
            print(&List { server: DZG, time: Some(Time::Index(9)) }, &short, Checksums::X25),
        ),
    ]
}

fn folder() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/sml")
}

/// A capture: lines of hexadecimal, comments after `#`.
fn capture(name: &str) -> Vec<u8> {
    let path = folder().join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let digits: Vec<char> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .flat_map(str::chars)
        .filter(|c| !c.is_whitespace())
        .collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).expect("hexadecimal digits"))
        .collect()
}

#[test]
fn the_captures_are_what_the_printer_writes() {
    for (name, only, bytes) in captures() {
        let path = folder().join(format!("{name}.txt"));
        let mut text = format!("# made; checksums computed by the maker of this file; only here: {only}\n");
        for line in bytes.chunks(32) {
            text += &line.iter().map(|byte| format!("{byte:02X}")).collect::<String>();
            text.push('\n');
        }
        if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
            std::fs::write(&path, &text).expect("a folder to write to");
        }
        assert_eq!(std::fs::read_to_string(&path).ok(), Some(text), "{name}");
    }
}

#[test]
fn each_capture_reads_as_it_did() {
    let mut names: Vec<_> = std::fs::read_dir(folder())
        .expect("the captures are part of the crate")
        .map(|entry| entry.expect("a readable folder").file_name().to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".txt"))
        .collect();
    names.sort();
    assert!(names.len() >= 7);
    for name in names {
        insta::with_settings!({ snapshot_path => "../../captures/sml", prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(name.trim_end_matches(".txt"), describe(&decode(&capture(&name))));
        });
    }
}

#[test]
fn what_is_whole_is_given_after_the_end_too() {
    let bytes = file(&[signed("1-0:1.8.0", 30, 3, 2_324, 2)]);
    let mut decoder = Decoder::new();
    assert_eq!(decoder.handle_bytes(&bytes), bytes.len());
    decoder.handle_end();
    assert!(matches!(decoder.poll_reading(), Some(Ok(_))));
}

#[test]
fn w14_a_meter_that_waits_for_its_pin_is_told_apart() {
    let whole = signed("1-0:1.8.0", 30, 3, 2_324, 2);
    let exact = signed("1-0:1.8.0", 30, -1, 23_559_290, 4);
    let power = signed("1-0:16.7.0", 27, 0, 376, 4);
    assert!(one(&file(&[whole])).reduced);
    assert_eq!(
        find(&one(&file(&[whole])), "1-0:1.8.0").map(|value| value.value.to_string()).as_deref(),
        Some("2324000")
    );
    assert!(!one(&file(&[exact, power])).reduced, "the PIN is entered");
    assert!(!one(&file(&[exact])).reduced, "an old meter without a power");
    assert!(!one(&file(&[whole, power])).reduced, "a coarse meter");
    assert!(!one(&file(&[power])).reduced);
}

#[test]
fn s2_the_short_integer_of_a_dzg_is_mended_for_that_meter_alone() {
    let reading = one(&capture("short_integer.txt"));
    assert_eq!(find(&reading, "1-0:16.7.0").map(|value| value.value.to_string()).as_deref(), Some("507.00"));
    assert_eq!(reading.not_understood.len(), 1, "what was sent is kept");
    let power = signed("1-0:16.7.0", 27, -2, -32_521, 2);
    let other = one(&file(&[power]));
    assert_eq!(find(&other, "1-0:16.7.0").map(|value| value.value.to_string()).as_deref(), Some("-325.21"));
}

#[test]
fn s3_a_power_without_a_sign_has_the_direction_of_the_status_word() {
    let register = |status| with_status(signed("1-0:1.8.0", 30, -1, 5, 5), status, 2);
    let other = signed("1-0:2.8.0", 30, -1, 5, 5);
    let power = |obis, entries: &[Entry<'_>]| find(&one(&file(entries)), obis).map(|value| value.quantity);
    let absolute = signed("1-0:15.7.0", 27, 0, 100, 4);
    let total = |flow| Some(Quantity::ActivePower(flow, Phase::Total));
    assert_eq!(power("1-0:15.7.0", &[register(0x182), other, absolute]), total(Flow::Import));
    assert_eq!(power("1-0:15.7.0", &[absolute, register(0x1A2), other]), total(Flow::Export));
    assert_eq!(power("1-0:15.7.0", &[absolute, other]), total(Flow::Export), "nothing but export is counted");
    let both = signed("1-0:1.8.0", 30, -1, 5, 5);
    assert_eq!(power("1-0:15.7.0", &[absolute, other, both]), Some(Quantity::ByCode), "nobody says");
    let net = signed("1-0:16.7.0", 27, 0, 100, 4);
    assert_eq!(power("1-0:16.7.0", &[register(0x1A2), net]), total(Flow::Net), "has its own sign");
    let unsigned = Entry { value: Value::Unsigned(Number { value: 100, width: 4 }), ..net };
    assert_eq!(power("1-0:16.7.0", &[register(0x1A2), unsigned]), total(Flow::Export));
    let below = signed("1-0:1.7.1", 27, -4, -56_321_916, 4);
    assert_eq!(power("1-0:1.7.1", &[other, below]), total(Flow::Net));
}

#[test]
fn w1_a_kermit_checksum_holds_and_a_wrong_one_loses_its_message_alone() {
    for name in ["kermit_messages.txt", "kermit_throughout.txt"] {
        assert_eq!(one(&capture(name)).trust, Trust::Checked, "{name}");
    }
    let list = [0x77, 1, 1, 1, 1, 0x70, 1, 1];
    let good = message(GET_LIST, &list, Checksums::X25);
    let mut bad = good.clone();
    let place = bad.len() - 2;
    bad[place] ^= 0x40;
    let results = decode(&frame(&[&bad[..], &good].concat(), Checksums::X25));
    assert!(matches!(&results[..], [Ok(_), Err(DecodeError::MessageChecksum { .. })]), "{results:?}");
    let results = decode(&frame(&bad, Checksums::X25));
    assert!(matches!(&results[..], [Err(DecodeError::MessageChecksum { .. })]), "{results:?}");
    let results = decode(&frame(&good, Checksums::Kermit));
    assert!(matches!(&results[..], [Err(DecodeError::MessageChecksum { .. })]), "one kind a frame: {results:?}");
}

#[test]
fn integers_of_any_width_keep_their_sign() {
    for width in 1..=8_u8 {
        let most = (1_i64 << (8 * u32::from(width) - 1).min(59)) - 5;
        for value in [most, -most, 0, -1] {
            let reading = one(&file(&[signed("1-0:16.7.0", 27, 0, value, width)]));
            let found = find(&reading, "1-0:16.7.0").map(|found| found.value.mantissa);
            if value.unsigned_abs() < 10_u64.pow(18) {
                assert_eq!(found, Some(value), "{width} bytes");
            } else {
                assert_eq!(found, None, "more than a meter counts");
            }
        }
        let value = u64::MAX >> (64 - 8 * u32::from(width)) >> 1;
        let entry = Entry { value: Value::Unsigned(Number { value, width }), ..signed("1-0:14.7.0", 44, -1, 0, 1) };
        let found = find(&one(&file(&[entry])), "1-0:14.7.0").map(|found| found.value.mantissa.unsigned_abs());
        assert_eq!(found, Some(value).filter(|value| *value < 10_u64.pow(18) && width != 4), "a sentinel has 31 bits");
    }
}

#[test]
fn a_time_is_believed_only_where_it_is_one() {
    let energy = [signed("1-0:1.8.0", 30, -1, 5, 5)];
    let time = |time| {
        let bytes = print(&List { server: SERVER, time: Some(time) }, &energy, Checksums::X25);
        one(&bytes).meter_time.map(|time| (time.unix_milliseconds / 1_000, time.offset_seconds))
    };
    assert_eq!(time(Time::Index(1_792_779_340)), None, "seconds of running");
    assert_eq!(time(Time::Stamp(1_792_779_340)), Some((1_792_779_340, 7_200)), "summer by the calendar");
    assert_eq!(time(Time::Stamp(1_795_779_340)), Some((1_795_779_340, 3_600)));
    assert_eq!(time(Time::Local(1_792_779_340, 60, 60)), Some((1_792_779_340, 7_200)));
    assert_eq!(time(Time::Local(1_792_779_340, 60, 0)), Some((1_792_779_340, 3_600)));
    assert_eq!(time(Time::Stamp(100)), None, "1970");
    assert_eq!(time(Time::Local(1_792_779_340, 6_000, 0)), None, "no place is that far");
}

#[test]
fn bare_times_are_read_too() {
    let list = |time: &[u8]| {
        let body = [&[0x77, 1, 0x02, b'M', 1][..], time, &[0x70, 1, 1]].concat();
        one(&frame(&message(GET_LIST, &body, Checksums::X25), Checksums::X25)).meter_time
    };
    assert_eq!(list(&[0x65, 0x6A, 0xDB, 0, 0]), None, "a running counter");
    let local = list(&[0x73, 0x65, 0x6A, 0xDB, 0, 0, 0x53, 0, 60, 0x53, 0, 0]).expect("a bare local time");
    assert_eq!((local.unix_milliseconds, local.offset_seconds), (0x6ADB_0000 * 1_000, 3_600));
    assert_eq!(list(&[0x42, 1]), None, "another shape is no time, and loses nothing");
}

#[test]
fn what_is_no_number_we_know_is_kept() {
    let reading = one(&capture("modern_full.txt"));
    assert_eq!(reading.not_understood.len(), 2, "an angle and a past register");
    assert!(find(&reading, "1-0:1.8.0*96").is_none());
    let absent = Entry { value: Value::Absent, ..signed("1-0:1.8.0", 30, -1, 0, 1) };
    let twice = signed("1-0:2.8.0", 30, -1, 7, 2);
    let sentinel =
        Entry { value: Value::Unsigned(Number { value: 0xFFFF_FFFF, width: 4 }), ..signed("1-0:1.8.1", 30, -1, 0, 1) };
    let watts = signed("1-0:1.8.2", 27, 0, 1, 2);
    let negative = signed("1-0:2.8.1", 30, 0, -1, 2);
    let large = signed("1-0:2.8.2", 30, 127, 1, 2);
    let reading = one(&file(&[absent, twice, twice, sentinel, watts, negative, large]));
    assert_eq!(reading.values.len(), 1);
    assert_eq!(reading.not_understood.len(), 6);
}

#[test]
fn an_entry_of_another_shape_loses_itself_alone() {
    let mut good = Vec::new();
    entry(&mut good, &signed("1-0:1.8.0", 30, -1, 5, 5));
    let list = [&[0x77, 1, 0x02, b'M', 1, 1, 0x73, 0x71, 0x52, 7][..], &good, &[0x42, 1], &[1, 1]].concat();
    let reading = one(&frame(&message(GET_LIST, &list, Checksums::X25), Checksums::X25));
    assert_eq!((reading.values.len(), reading.not_understood.len()), (1, 2));
}

#[test]
fn a_stream_may_begin_and_end_anywhere_and_a_cut_frame_is_lost_alone() {
    let whole = capture("ehz_export_by_status.txt");
    for cut in 1..whole.len() {
        let results = decode(&[&whole[cut..], &whole, &whole[..cut]].concat());
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "cut at {cut}: {results:?}");
        let results = decode(&[&whole[..cut], &whole[..]].concat());
        assert!(results.last().is_some_and(Result::is_ok), "cut at {cut}: {results:?}");
        assert!(results.len() <= 2, "{results:?}");
    }
}

#[test]
fn four_zeros_of_padding_are_read_and_five_are_not() {
    let padded = |zeros: u8| {
        let mut bytes = file(&[signed("1-0:1.8.0", 30, -1, 5, 5)]);
        bytes.truncate(bytes.len() - 8);
        bytes.extend(std::iter::repeat_n(0, usize::from(zeros)));
        bytes.extend_from_slice(&[0x1B, 0x1B, 0x1B, 0x1B, 0x1A, zeros]);
        let sum = crate::checksum::x25(&bytes).to_le_bytes();
        [&bytes[..], &sum].concat()
    };
    assert!(matches!(&decode(&padded(4))[..], [Ok(_)]));
    assert!(matches!(&decode(&padded(5))[..], [Err(DecodeError::Malformed { .. })]));
}

#[test]
fn a_frame_without_an_end_is_given_up_and_the_next_is_read() {
    let whole = capture("modern_full.txt");
    let bytes = [&whole[..40], &[7; 3 * MAX_FRAME], &whole].concat();
    for chunk in [1, 100, usize::MAX] {
        let results = decode_in(&mut Decoder::new(), &bytes, chunk);
        assert!(matches!(&results[..], [Err(DecodeError::TooLong { .. }), Ok(_)]), "{results:?}");
    }
}

#[test]
fn k7_serial_numbers_never_show_in_debug() {
    let bytes = file(&[bytes("1-0:96.1.0", SERVER), bytes("1-0:96.99.0", SERVER)]);
    let mut decoder = Decoder::new();
    decoder.handle_bytes(&bytes);
    let shown = format!("{decoder:?} {:?}", decode(&bytes));
    assert!(!shown.contains("4D4144") && !shown.contains("77, 65, 68"), "{shown}");
    let mut items = Vec::new();
    walk(&Frame { body: &bytes[8..bytes.len() - 8], is_kermit: false }, |item| items.push(format!("{item:?}")));
    assert!(items.iter().all(|item| !item.contains("77, 65, 68")), "{items:?}");
    assert_eq!(one(&bytes).equipment.map(|equipment| equipment.0).as_deref(), Some("0A014D41440000000001"));
    assert_eq!(one(&bytes).identification, "MAD", "the maker's letters, no number");
}

#[test]
fn w4_with_five_percent_noise_most_files_arrive_and_none_is_wrong() {
    let whole = capture("modern_full.txt");
    let expected = one(&whole);
    let mut decoder = Decoder::new();
    let (mut right, mut noise) = (0, 0x2545_F491_u32);
    for _ in 0..1_000 {
        let mut frame = whole.clone();
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        if noise.is_multiple_of(20) {
            let place = (noise >> 8) as usize % frame.len();
            frame[place] ^= 1 << ((noise >> 28) % 8);
        }
        decoder.handle_bytes(&frame);
        for reading in std::iter::from_fn(|| decoder.poll_reading()).flatten() {
            assert_eq!(reading, expected);
            right += 1;
        }
    }
    assert!(right > 900, "{right} of 1000");
}

#[test]
fn no_single_bit_flip_gives_other_values() {
    for name in ["ehz_export_by_status.txt", "kermit_throughout.txt", "kermit_messages.txt", "short_integer.txt"] {
        let whole = capture(name);
        let expected = one(&whole);
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            for reading in decode(&flipped).into_iter().flatten() {
                assert_eq!(reading, expected, "{name}, bit {bit}");
            }
        }
    }
}

/// Code, status, time, unit, scaler and value of an entry.
type Owned = (Obis, Option<(u64, u8)>, Option<Time>, Option<u8>, Option<i8>, Sent);

/// Any entry that can be written.
fn any_entry() -> impl Strategy<Value = Owned> {
    let obis = prop_oneof![
        prop::sample::select(vec!["1-0:1.8.0", "1-0:2.8.0", "1-0:16.7.0", "1-0:15.7.0", "1-0:96.1.0"]).prop_map(code),
        any::<[u8; 6]>().prop_map(|[a, b, c, d, e, f]| Obis { a, b, c, d, e, f }),
    ];
    let time = prop_oneof![
        any::<u32>().prop_map(Time::Index),
        any::<u32>().prop_map(Time::Stamp),
        any::<(u32, i16, i16)>().prop_map(|(stamp, place, summer)| Time::Local(stamp, place, summer)),
    ];
    let value = prop_oneof![
        Just(Sent::Absent),
        any::<bool>().prop_map(Sent::Bool),
        prop::collection::vec(prop_oneof![Just(0x1B), any::<u8>()], 1..300).prop_map(Sent::Bytes),
        (any::<i64>(), 1..=8_u8).prop_map(|(value, width)| Sent::Signed(value >> (64 - 8 * u32::from(width)), width)),
        (any::<u64>(), 1..=8_u8).prop_map(|(value, width)| Sent::Unsigned(value >> (64 - 8 * u32::from(width)), width)),
    ];
    let unit = prop::option::of(prop::sample::select(vec![0, 27, 30, 33, 35, 44, 255]));
    let status = prop::option::of(
        (any::<u64>(), 1..=8_u8).prop_map(|(status, width)| (status >> (64 - 8 * u32::from(width)), width)),
    );
    (obis, status, prop::option::of(time), unit, prop::option::of(-12..12_i8), value)
}

/// A value that owns its bytes.
#[derive(Clone, Debug)]
enum Sent {
    Absent,
    Bool(bool),
    Bytes(Vec<u8>),
    Signed(i64, u8),
    Unsigned(u64, u8),
}

fn lend<'a>(entry: &'a Owned) -> Entry<'a> {
    let (obis, status, time, unit, scaler, value) = entry;
    let value = match value {
        Sent::Absent => Value::Absent,
        Sent::Bool(truth) => Value::Bool(*truth),
        Sent::Bytes(bytes) => Value::Bytes(bytes),
        Sent::Signed(value, width) => Value::Signed(Number { value: *value, width: *width }),
        Sent::Unsigned(value, width) => Value::Unsigned(Number { value: *value, width: *width }),
    };
    let status = status.map(|(value, width)| Number { value, width });
    Entry { obis: *obis, status, time: *time, unit: *unit, scaler: *scaler, value }
}

proptest! {
    #[test]
    fn what_is_printed_is_read_and_printed_again_the_same(
        entries in prop::collection::vec(any_entry(), 0..20),
        checksums in prop::sample::select(vec![Checksums::X25, Checksums::Kermit, Checksums::KermitInside]),
    ) {
        let entries: Vec<_> = entries.iter().map(lend).collect();
        let list = List { server: SERVER, time: Some(Time::Index(7)) };
        let bytes = print(&list, &entries, checksums);
        let mut framer = Framer::default();
        prop_assert_eq!(framer.handle_bytes(&bytes), bytes.len());
        let frame = framer.poll_frame().expect("a frame").expect("a good one");
        let mut found = Vec::new();
        let mut raws = Vec::new();
        walk(&frame, |item| match item {
            Item::Entry(entry, Raw(raw)) => {
                found.push(entry);
                raws.push(raw);
            }
            Item::List(head) => assert_eq!(head, list),
            Item::Opened(time) => assert_eq!(time, list.time),
            Item::Dropped(_) | Item::Unclear(_) => panic!("{item:?}"),
        });
        prop_assert_eq!(&found, &entries);
        prop_assert_eq!(print(&list, &found, checksums), bytes);
        for (read, raw) in found.iter().zip(raws) {
            let mut again = Vec::new();
            entry(&mut again, read);
            prop_assert_eq!(&again[..], raw);
        }
    }

    #[test]
    fn any_chunking_gives_the_same(
        entries in prop::collection::vec(any_entry(), 0..12),
        noise in prop::collection::vec(prop_oneof![Just(0x1B), Just(1), Just(0x1A), any::<u8>()], 0..60),
        chunk in 1_usize..200,
        flip in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let entries: Vec<_> = entries.iter().map(lend).collect();
        let mut whole = file(&entries);
        if let Some(flip) = flip {
            let place = flip.index(whole.len());
            whole[place] ^= 0x1B;
        }
        let bytes = [&noise[..], &whole, &whole, &noise, &capture("modern_full.txt")].concat();
        prop_assert_eq!(decode(&bytes), decode_in(&mut Decoder::new(), &bytes, chunk));
    }

    #[test]
    fn arbitrary_bytes_never_panic_and_stay_bounded(
        body in prop::collection::vec(prop_oneof![prop::sample::select(&b"\x01\x1B\x72\x73\x76\x77\x62\x63\x65\x52\x80\x00\x07"[..]), any::<u8>()], 0..2_000),
        tag in prop::sample::select(vec![0x0101, 0x0201, 0x0701, 0x0301]),
    ) {
        decode(&body);
        decode(&frame(&body, Checksums::X25));
        for reading in decode(&frame(&message(tag, &body, Checksums::X25), Checksums::X25)).into_iter().flatten() {
            prop_assert!(reading.not_understood.len() <= 64);
            prop_assert!(reading.values.iter().all(|value| value.value.mantissa.unsigned_abs() < 10_u64.pow(18)));
        }
    }

    #[test]
    fn a_value_is_read_to_the_last_digit(count in 0_i64..99_999_999_999_999, scaler in -4_i8..4) {
        prop_assume!(!matches!(count, 0x00FF_FFFE | 0x00FF_FFFF | 0x7FFF_FFFE | 0x7FFF_FFFF | 0xFFFF_FFFD..=0xFFFF_FFFF));
        let reading = one(&file(&[signed("1-0:1.8.0", 30, scaler, count, 8)]));
        let value = find(&reading, "1-0:1.8.0").expect("a register");
        prop_assert_eq!(value.unit, Unit::WattHour);
        let expected = i128::from(count) * 10_i128.pow((scaler + 4) as u32);
        prop_assert_eq!(i128::from(value.value.mantissa) * 10_i128.pow(4 - u32::from(value.value.places)), expected);
    }
}
