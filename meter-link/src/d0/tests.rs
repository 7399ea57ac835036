//! The decoder as a whole: a capture of each kind, and what must hold for any bytes.

use proptest::prelude::*;

use super::print::{Form, print};
use super::*;
use crate::parity::with_parity;
use crate::reading::{Flow, Measured, Phase, Unit};

fn decode(bytes: &[u8]) -> Vec<Result<Reading, DecodeError>> {
    decode_in(Decoder::new(), bytes, usize::MAX)
}

/// Feeds `bytes` in chunks of at most `chunk`.
fn decode_in(mut decoder: Decoder, mut bytes: &[u8], chunk: usize) -> Vec<Result<Reading, DecodeError>> {
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

fn capture(name: &str) -> Vec<u8> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/d0").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[track_caller]
fn only(bytes: &[u8]) -> Reading {
    let results = decode_in(Decoder::new().showing_single(), bytes, usize::MAX);
    let [Ok(reading)] = &results[..] else { panic!("{results:?}") };
    reading.clone()
}

fn pushed(lines: &[&str]) -> Vec<u8> {
    print(b"MAD5MADE", lines.iter().map(|line| line.as_bytes()), Form::Pushed)
}

fn find(reading: &Reading, code: &str) -> Option<Measured> {
    reading.values.iter().copied().find(|value| value.obis.to_string() == code)
}

/// Results as lines a person can compare.
fn describe(results: &[Result<Reading, DecodeError>]) -> String {
    let mut text = String::new();
    for result in results {
        let reading = match result {
            Ok(reading) => reading,
            Err(error) => {
                text += &format!("error {error:?}\n");
                continue;
            }
        };
        text +=
            &format!("{} {:?} {:?} {:?}\n", reading.identification, reading.country, reading.trust, reading.meter_time);
        for Measured { obis, quantity, value, unit, meter_time, .. } in &reading.values {
            let at = meter_time.map(|time| format!(" at {}", time.unix_milliseconds)).unwrap_or_default();
            text += &format!("{obis} {quantity:?} = {value} {}{at}\n", unit.symbol());
        }
        for kept in &reading.not_understood {
            text += &format!("kept {:.60}\n", kept.text);
        }
    }
    text
}

#[test]
fn each_capture_reads_as_it_did() {
    for name in ["mode_c_short_codes.txt", "mode_d_signed_8n1.bin", "mode_d_history.txt"] {
        insta::with_settings!({ snapshot_path => "../../captures/d0", prepend_module_to_snapshot => false, omit_expression => true }, {
            let stem = name.split('.').next().expect("a name");
            insta::assert_snapshot!(stem, describe(&decode(&capture(name))));
        });
    }
}

#[test]
fn a_value_of_a_past_period_is_never_the_register() {
    for reading in decode(&capture("mode_d_history.txt")).into_iter().flatten() {
        let total = Quantity::ActiveEnergy(Flow::Import, 0);
        let totals: Vec<_> = reading.values.iter().filter(|value| value.quantity == total).collect();
        assert_eq!((totals.len(), totals[0].value.to_string().as_str()), (1, "123439.2"));
        let past = find(&reading, "1-0:1.8.0*100").expect("kept with its number");
        assert_eq!(crate::name::name(&past, None), "history");
    }
}

#[test]
fn a_pushed_telegram_counts_only_when_the_next_says_the_same() {
    let at = |energy: &str| pushed(&[&format!("1-0:1.8.0*255({energy}*kWh)")]);
    let read = |telegrams: &[Vec<u8>]| -> Vec<_> {
        decode(&telegrams.concat())
            .into_iter()
            .map(|result| result.map(|reading| reading.values[0].value.mantissa))
            .collect()
    };
    assert_eq!(read(&[at("000100.000")]), []);
    assert_eq!(read(&[at("000100.000"), at("000100.001"), at("000100.001")]), [Ok(100_001), Ok(100_001)]);
    let unconfirmed = Err(DecodeError::Unconfirmed);
    assert_eq!(read(&[at("000100.000"), at("000099.999")]), [unconfirmed], "a register does not fall");
    assert_eq!(
        read(&[at("000100.000"), at("800100.000"), at("000100.000"), at("000100.000")]),
        [unconfirmed, unconfirmed, Ok(100_000)]
    );
    let other = pushed(&["1-0:2.8.0*255(000100.000*kWh)"]);
    assert_eq!(read(&[at("000100.000"), other]), [unconfirmed], "another code");
    let mut decoder = Decoder::new();
    decoder.handle_bytes(&at("000100.000"));
    assert!(decoder.poll_reading().is_none());
    decoder.handle_break();
    decoder.handle_bytes(&at("000100.000"));
    assert!(decoder.poll_reading().is_none(), "who knows what was between");
}

#[test]
fn a_readout_is_believed_by_its_block_check_alone() {
    let whole = print(b"MAD5", [&b"1.8.0(000100.000*kWh)"[..]], Form::ReadOut);
    assert!(matches!(&decode(&whole)[..], [Ok(reading)] if reading.trust == Trust::Checked));
    for place in whole.len() - 20..whole.len() {
        let mut damaged = whole.clone();
        damaged[place] ^= 1;
        assert!(decode(&damaged).iter().all(Result::is_err), "byte {place}");
    }
    assert_eq!(decode(&whole[..whole.len() - 1]), [Err(DecodeError::ChecksumMissing)]);
}

#[test]
fn a_signed_power_without_an_export_beside_it_is_a_difference() {
    let net = Quantity::ActivePower(Flow::Net, Phase::Total);
    let plain = Quantity::ActivePower(Flow::Import, Phase::Total);
    let quantity = |lines: &[&str]| find(&only(&pushed(lines)), "1-0:1.7.0").map(|value| value.quantity);
    assert_eq!(quantity(&["1-0:1.7.0*255(-00115*W)"]), Some(net));
    assert_eq!(quantity(&["1-0:1.7.0*255(+00115*W)"]), Some(net));
    assert_eq!(quantity(&["1-0:1.7.0*255(00115*W)"]), Some(plain));
    assert_eq!(quantity(&["1-0:1.7.0*255(00115*W)", "1-0:2.7.0*255(00000*W)"]), Some(plain));
}

#[test]
fn phases_that_contradict_a_negative_total_are_kept_and_not_believed() {
    let lines = ["1-0:16.7.0*255(-000100*W)", "1-0:36.7.0*255(000150*W)", "1-0:56.7.0*255(000050*W)"];
    let reading = only(&pushed(&[&lines[..], &["1-0:1.7.0*255(-000100*W)"]].concat()));
    assert!(find(&reading, "1-0:36.7.0").is_none() && find(&reading, "1-0:16.7.0").is_some());
    assert_eq!(reading.not_understood.len(), 2);
}

#[test]
fn what_is_no_number_is_kept_and_loses_nothing_else() {
    let lines =
        ["1-0:1.8.0*255(00000.123.45*kWh)", "1-0:2.8.0*255(000001.5*kWh)", "nonsense", "1.8.9(x)", "(1)", "1.8.0"];
    let reading = only(&pushed(&lines));
    assert_eq!((reading.values.len(), reading.not_understood.len()), (1, 5));
}

#[test]
fn a_checksum_behind_the_mark_is_none_of_d0() {
    let pushed = print(b"MAD5MADE", [&b"1-0:1.8.0*255(000123.4567*kWh)"[..]], Form::Pushed);
    let mark = pushed.len() - 2;
    let checked = [&pushed[..mark], b"1A2B\r\n"].concat();
    for bytes in [&checked, &[&checked[..], &pushed].concat()] {
        let expect = usize::from(bytes.len() > checked.len());
        for chunk in [1, 5, usize::MAX] {
            let results = decode_in(Decoder::new().showing_single(), bytes, chunk);
            assert_eq!(results.iter().filter(|result| result.is_ok()).count(), expect);
        }
    }
}

#[test]
fn w4_with_five_percent_noise_most_readouts_arrive_and_none_is_wrong() {
    let whole = print(b"MAD5MADE", [&b"1-0:1.8.0*255(000123.4567*kWh)"[..]], Form::ReadOut);
    let (mut stream, mut noise) = (Vec::new(), 0x2545_F491_u32);
    for _ in 0..2_000 {
        let mut telegram = whole.clone();
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        if noise % 20 == 0 {
            let place = (noise >> 8) as usize % telegram.len();
            telegram[place] ^= 1 << ((noise >> 28) % 8);
        }
        stream.extend(telegram);
    }
    let readings: Vec<Reading> = decode_in(Decoder::new(), &stream, 61).into_iter().flatten().collect();
    assert!(readings.len() > 1_850, "{} of 2000", readings.len());
    assert!(readings.iter().flat_map(|reading| &reading.values).all(|value| value.value.to_string() == "123456.7"));
}

#[test]
fn w3_a_telegram_cut_by_the_next_is_lost_alone() {
    let whole = print(b"MAD5", [&b"1.8.0(000100.000*kWh)"[..]], Form::ReadOut);
    for cut in 10..whole.len() - 1 {
        let results = decode(&[&whole[..cut], &whole].concat());
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "cut at {cut}: {results:?}");
    }
}

#[test]
fn serial_numbers_stay_out_of_debug_and_identification() {
    let bytes = print(b"MAD5 12345678", [&b"0-0:96.1.0*255(12345678)"[..]], Form::Pushed);
    let reading = only(&bytes);
    assert!(!format!("{reading:?}").contains("345678"));
    assert_eq!(reading.equipment.map(|equipment| equipment.0).as_deref(), Some("12345678"));
}

#[test]
fn a_telegram_without_an_end_is_given_up_and_the_next_is_read() {
    let mut bytes = b"/MAD5\r\n\r\n".to_vec();
    bytes.extend(std::iter::repeat_n(b'x', 3 * framer::MAX_FRAME));
    bytes.extend(capture("mode_c_short_codes.txt"));
    let results = decode(&bytes);
    assert!(matches!(&results[..], [Err(DecodeError::TooLong { limit: framer::MAX_FRAME }), Ok(_)]), "{results:?}");
}

#[test]
fn d0_and_p1_are_told_apart() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/p1");
    for entry in std::fs::read_dir(folder).expect("the captures are part of the crate").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        // EasyMeter's is D0 by what it sends; the P1 decoder reads it as well.
        if name.ends_with(".txt") && name != "de_easymeter_seven_places.txt" {
            let bytes = std::fs::read(entry.path()).expect("a readable capture");
            let start = bytes.iter().position(|byte| *byte == b'/').expect("a telegram");
            assert!(!is_d0(&bytes[start..]), "{name}");
        }
    }
    for lines in [&["1-0:1.8.0*255(000100.000*kWh)"][..], &["1.8.0(000100.000*kWh)", "C.1.0(1)"], &["F.F(00)"]] {
        assert!(is_d0(&pushed(lines)), "{lines:?}");
        assert!(is_d0(&pushed(lines).into_iter().map(with_parity).collect::<Vec<_>>()));
        assert!(is_d0(&print(b"MAD5", lines.iter().map(|line| line.as_bytes()), Form::ReadOut)));
    }
    for lines in [&["0-0:1.0.0(261123201540W)"][..], &["0-0:96.1.1(00)", "0-1:24.3.0(121030140000)"]] {
        assert!(!is_d0(&pushed(lines)), "{lines:?}");
    }
    assert!(!is_d0(b"/MAD5") && !is_d0(b""));
}

fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        (1..99_u8, 1..9_u8, 0..5_u8, 0..99_999_999_u32).prop_map(|(c, d, e, value)| {
            format!("1-0:{c}.{d}.{e}*255({:05}.{:03}*kWh)", value / 1_000, value % 1_000)
        }),
        (1..99_u8, 1..9_u8, 0..99_u8, 0..99_999_999_u32)
            .prop_map(|(c, d, f, value)| format!("{c}.{d}*{f:02}({value})")),
        "[CFLP]\\.[0-9F]{1,2}(\\.[0-9])?\\([0-9A-Z:. ]{0,12}\\)",
        "[0-9CF:.()*+-]{1,30}",
    ]
}

proptest! {
    #[test]
    fn any_chunking_gives_the_same(lines in prop::collection::vec(line(), 0..12), noise in prop::collection::vec(any::<u8>(), 0..60), chunk in 1_usize..200) {
        let lines: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
        let push = print(b"MAD5MADE", lines.iter().copied(), Form::Pushed);
        let read = print(b"MAD5MADE", lines.iter().copied(), Form::ReadOut);
        let bytes = [&noise[..], &push, &push, &read, &noise, &capture("mode_d_signed_8n1.bin")].concat();
        prop_assert_eq!(decode(&bytes), decode_in(Decoder::new(), &bytes, chunk));
    }

    #[test]
    fn with_and_without_the_parity_bit_decodes_the_same(lines in prop::collection::vec(line(), 0..12)) {
        let lines: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
        for form in [Form::Pushed, Form::ReadOut] {
            let twice = print(b"MAD5MADE", lines.iter().copied(), form).repeat(2);
            let parity: Vec<u8> = twice.iter().copied().map(with_parity).collect();
            prop_assert_eq!(decode(&twice), decode(&parity));
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic_and_stay_bounded(bytes in prop::collection::vec(any::<u8>(), 0..6_000), marks in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(&b"/!?\r\n()\x02\x03\x06.*0"[..])), 0..120)) {
        let mut bytes = bytes;
        for (index, mark) in marks {
            if !bytes.is_empty() {
                let place = index.index(bytes.len());
                bytes[place] = mark;
            }
        }
        let _ = is_d0(&bytes);
        for reading in decode_in(Decoder::new().showing_single(), &bytes, usize::MAX).into_iter().flatten() {
            prop_assert!(reading.not_understood.len() <= 64);
        }
    }

    #[test]
    fn what_is_printed_is_read_and_printed_again_the_same(lines in prop::collection::vec(line(), 0..20)) {
        let lines: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
        for form in [Form::Pushed, Form::ReadOut] {
            let telegram = print(b"MAD5MADE", lines.iter().copied(), form);
            let mut framer = Framer::default();
            framer.handle_bytes(&telegram);
            let Some(Ok(frame)) = framer.poll_frame() else { panic!("no telegram") };
            prop_assert_eq!(frame.checked, form == Form::ReadOut);
            let body: Vec<&[u8]> = frame.body.split(|byte| matches!(byte, b'\r' | b'\n')).filter(|line| !line.is_empty() && *line != b"!").collect();
            prop_assert_eq!(&print(frame.identification, body.iter().copied(), form), &telegram);
            let parts: Vec<u8> = telegram::lines(frame.body).flat_map(|line| match line {
                Line::Object(object) => object.text.to_vec(),
                Line::Unclear(text) => text.to_vec(),
            }).collect();
            prop_assert_eq!(parts, body.concat(), "nothing is lost");
        }
    }

    #[test]
    fn a_value_is_read_to_the_last_digit(count in 0_i64..9_999_999_999) {
        prop_assume!(![16_777_214, 16_777_215, 2_147_483_646, 2_147_483_647].contains(&count) && !(4_294_967_293..=4_294_967_295).contains(&count));
        let reading = only(&pushed(&[&format!("1.8.0({:06}.{:04}*kWh)", count / 10_000, count % 10_000)]));
        prop_assert_eq!(reading.values[0].value, crate::decimal::Decimal { mantissa: count, places: 1 });
        prop_assert_eq!(reading.values[0].unit, Unit::WattHour);
    }
}
