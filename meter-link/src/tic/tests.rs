//! The decoder as a whole: a capture of each kind, and what must hold for any bytes.

use proptest::prelude::*;

use super::group::{Group, Mode, groups};
use super::print::print;
use super::*;
use crate::parity::with_parity;
use crate::reading::{Flow, Measured, OffsetSource, Phase, Quantity, Trust, Unit};

fn decode(bytes: &[u8]) -> Vec<Result<Reading, DecodeError>> {
    decode_in(bytes, usize::MAX)
}

/// Feeds `bytes` in chunks of at most `chunk`.
fn decode_in(mut bytes: &[u8], chunk: usize) -> Vec<Result<Reading, DecodeError>> {
    let mut decoder = Decoder::new();
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
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/tic").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn only(bytes: &[u8]) -> Reading {
    let results = decode(bytes);
    let [Ok(reading)] = &results[..] else { panic!("{results:?}") };
    reading.clone()
}

fn find(reading: &Reading, quantity: Quantity) -> Option<(String, Unit)> {
    let value = reading.values.iter().find(|value| value.quantity == quantity)?;
    Some((value.value.to_string(), value.unit))
}

const fn historique<'a>(label: &'a str, value: &'a str) -> Group<'a> {
    Group { mode: Mode::Historique, label: label.as_bytes(), horodate: None, value: value.as_bytes() }
}

const fn standard<'a>(label: &'a str, value: &'a str) -> Group<'a> {
    Group { mode: Mode::Standard, label: label.as_bytes(), horodate: None, value: value.as_bytes() }
}

const fn dated<'a>(horodate: &'a str) -> Group<'a> {
    Group { mode: Mode::Standard, label: b"DATE", horodate: Some(horodate.as_bytes()), value: b"" }
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
        text += &format!("reading {:?} {:?} {:?}\n", reading.country, reading.trust, reading.meter_time);
        for Measured { obis, quantity, value, unit, .. } in &reading.values {
            text += &format!("{obis} {quantity:?} = {value} {}\n", unit.symbol());
        }
        for kept in &reading.not_understood {
            text += &format!("kept {:.60}\n", kept.text);
        }
    }
    text
}

#[test]
fn each_capture_reads_as_it_did() {
    for name in
        ["historique_single_phase.txt", "historique_three_phase.txt", "standard_injection.txt", "mode_switch_8n1.bin"]
    {
        insta::with_settings!({ snapshot_path => "../../captures/tic", prepend_module_to_snapshot => false, omit_expression => true }, {
            let stem = name.split('.').next().expect("a name");
            insta::assert_snapshot!(stem, describe(&decode(&capture(name))));
        });
    }
}

#[test]
fn w13_an_operator_who_switches_the_mode_loses_only_the_frame_in_between() {
    let results = decode(&capture("mode_switch_8n1.bin"));
    let [Ok(before), Err(DecodeError::BrokenOff), Ok(after)] = &results[..] else { panic!("{results:?}") };
    assert_eq!(before.equipment, after.equipment, "the same meter");
    let total = Quantity::ActiveEnergy(Flow::Import, 0);
    assert_eq!(find(before, total), Some(("4000000".to_owned(), Unit::WattHour)));
    assert_eq!(find(after, total), Some(("4000123".to_owned(), Unit::WattHour)), "the same register goes on");
    let export = Quantity::ActiveEnergy(Flow::Export, 0);
    assert_eq!(find(before, export), None, "historique has no injection: absent, not zero");
    assert!(find(after, export).is_some());
}

#[test]
fn w13_groups_of_both_modes_in_one_frame_tell_their_own() {
    let reading = only(&print([historique("PAPP", "00450"), standard("EAST", "004000123")]));
    assert_eq!((reading.values.len(), reading.trust), (2, Trust::Checked));
}

#[test]
fn volt_amperes_are_never_called_watts() {
    for name in ["historique_single_phase.txt", "historique_three_phase.txt", "standard_injection.txt"] {
        let reading = only(&capture(name));
        assert!(reading.values.iter().all(|value| value.unit != Unit::Watt), "{name}");
        assert!(find(&reading, Quantity::ApparentPower(Flow::Import, Phase::Total)).is_some(), "{name}");
    }
}

#[test]
fn a_contract_of_several_rates_gets_no_made_up_total() {
    let reading = only(&capture("historique_three_phase.txt"));
    assert_eq!(find(&reading, Quantity::ActiveEnergy(Flow::Import, 0)), None);
    for rate in 1..=6 {
        assert!(find(&reading, Quantity::ActiveEnergy(Flow::Import, rate)).is_some(), "rate {rate}");
    }
    assert_eq!(find(&reading, Quantity::Rate), Some(("4".to_owned(), Unit::One)));
}

#[test]
fn a_bad_group_loses_only_itself_and_is_told() {
    let mut bytes = print([standard("EAST", "004000123"), standard("EAIT", "000123456"), standard("URMS1", "233")]);
    let place = bytes.windows(4).position(|four| four == b"EAIT").expect("the group") + 6;
    bytes[place] ^= 0x02;
    let results = decode(&bytes);
    let [Ok(reading), Err(DecodeError::LineChecksum { expected, found })] = &results[..] else { panic!("{results:?}") };
    assert_ne!(expected, found);
    assert_eq!((reading.values.len(), reading.trust), (2, Trust::Unverified));
}

#[test]
fn what_the_checksum_cannot_see_lengths_and_characters_do() {
    // Bit 6 is not in the sum: 1 becomes q, and the checksum still holds.
    let reading = only(&print([standard("EAST", "00400q123"), standard("EAIT", "00012345"), standard("URMS1", "233")]));
    assert_eq!(reading.values.len(), 1);
    assert_eq!(reading.not_understood.len(), 2, "kept as sent");
    // Both separators lost: their sum is 64.
    let mut lost = print([historique("BASE", "004000000")]);
    lost.retain(|byte| *byte != b' ');
    assert!(decode(&lost).iter().all(Result::is_err));
}

#[test]
fn a_horodate_tells_its_season_and_a_degraded_clock_is_kept() {
    let time = |text: &str| only(&print([dated(text), standard("EAST", "004000123")])).meter_time;
    let winter = time("H261025023000").expect("winter");
    let summer = time("E261025023000").expect("summer");
    assert_eq!(winter.unix_milliseconds - summer.unix_milliseconds, 3_600_000, "the repeated hour");
    assert_eq!((winter.unix_milliseconds, winter.offset_source), (1_792_891_800_000, OffsetSource::Meter));
    assert_eq!(time("h261025023000"), Some(winter));
    assert_eq!(time("e261025023000"), Some(summer));
    assert_eq!(time(" 261123034500").map(|time| time.offset_source), Some(OffsetSource::Assumed));
    for nonsense in ["H000000000000", "X261025023000", "H26102502300", "H2610250230000", "", "H26102502300q"] {
        assert_eq!(time(nonsense), None, "{nonsense}");
    }
}

#[test]
fn numbers_that_tell_the_household_stay_out_of_debug_and_of_what_is_kept() {
    let bytes = print([
        standard("ADSC", "000000000007"),
        standard("PRM", "00000000000077"),
        standard("PRM", "000000000077"),
        standard("ADSC", "0000007"),
    ]);
    let reading = only(&bytes);
    assert!(!format!("{reading:?}").contains("00000007"));
    assert!(reading.not_understood.iter().all(|kept| !kept.text.contains('7')));
    assert_eq!(reading.equipment.map(|equipment| equipment.0).as_deref(), Some("000000000007"));
}

#[test]
fn w3_a_frame_cut_by_the_next_is_lost_alone() {
    let whole = print([standard("EAST", "004000123"), standard("EAIT", "000123456")]);
    for cut in 1..whole.len() {
        let results = decode(&[&whole[..cut], &whole].concat());
        assert!(
            matches!(&results[..], [Err(DecodeError::Interrupted { length }), Ok(_)] if *length == cut),
            "{results:?}"
        );
    }
}

#[test]
fn w4_with_five_percent_noise_most_frames_arrive_and_no_checked_one_is_wrong() {
    let frame = print([historique("BASE", "004000000"), historique("IINST", "004"), historique("PAPP", "00930")]);
    let frame: Vec<u8> = frame.into_iter().map(with_parity).collect();
    let (mut right, mut noise, mut decoder) = (0, 0x2545_F491_u32, Decoder::new());
    for _ in 0..2_000 {
        let mut frame = frame.clone();
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        if noise % 20 == 0 {
            let place = (noise >> 8) as usize % frame.len();
            frame[place] ^= 1 << ((noise >> 28) % 8);
        }
        decoder.handle_bytes(&frame);
        for reading in std::iter::from_fn(|| decoder.poll_reading()).flatten() {
            for value in &reading.values {
                assert!(["4000000", "4", "930"].contains(&value.value.to_string().as_str()), "{value:?}");
            }
            right += usize::from(reading.trust == Trust::Checked);
        }
    }
    assert!(right > 1_850, "{right} of 2000");
}

#[test]
fn a_frame_without_an_end_is_given_up_and_the_next_is_read() {
    let mut bytes = vec![framer::STX];
    bytes.extend(std::iter::repeat_n(b'x', 3 * framer::MAX_FRAME));
    bytes.extend(capture("standard_injection.txt"));
    let results = decode(&bytes);
    assert!(matches!(&results[..], [Err(DecodeError::TooLong { limit: framer::MAX_FRAME }), Ok(_)]), "{results:?}");
}

#[test]
fn every_label_is_listed_once_and_every_number_has_a_meaning() {
    for rate in labels::RATES {
        assert!(labels::meaning(rate.label.as_bytes()).is_some());
        assert_eq!(labels::running(rate.running.as_bytes()), Some(rate.number), "{}", rate.words);
    }
    for label in ["EAST", "EAIT", "ERQ1", "ERQ4", "IRMS3", "URMS2", "SINSTS2", "SINSTI", "PAPP", "IINST"] {
        let Some((labels::Meaning::Number(obis, _), _)) = labels::meaning(label.as_bytes()) else { panic!("{label}") };
        assert!(crate::meaning::electricity(obis).is_some(), "{label}");
    }
}

fn group() -> impl Strategy<Value = (bool, String, Option<String>, String)> {
    let label = prop_oneof![
        prop::sample::select(vec!["EAST", "BASE", "HCHC", "PAPP", "ADCO", "ADSC", "DATE", "IRMS1", "NTARF", "PTEC"])
            .prop_map(str::to_owned),
        "[A-Z][A-Z0-9+-]{0,8}",
    ];
    (any::<bool>(), label, prop::option::of("[EHeh ][0-9]{12}"), "[0-9A-Z.]{0,12}")
        .prop_map(|(is_standard, label, horodate, value)| (is_standard, label, horodate.filter(|_| is_standard), value))
}

fn as_groups(parts: &[(bool, String, Option<String>, String)]) -> Vec<Group<'_>> {
    parts
        .iter()
        .map(|(is_standard, label, horodate, value)| Group {
            mode: if *is_standard { Mode::Standard } else { Mode::Historique },
            label: label.as_bytes(),
            horodate: horodate.as_deref().map(str::as_bytes),
            value: value.as_bytes(),
        })
        .collect()
}

proptest! {
    #[test]
    fn any_chunking_gives_the_same(parts in prop::collection::vec(group(), 0..12), noise in prop::collection::vec(any::<u8>(), 0..60), chunk in 1_usize..200) {
        let frame = print(as_groups(&parts));
        let bytes = [&noise[..], &frame, &frame, &noise, &capture("mode_switch_8n1.bin")].concat();
        prop_assert_eq!(decode(&bytes), decode_in(&bytes, chunk));
    }

    #[test]
    fn with_and_without_the_parity_bit_decodes_the_same(parts in prop::collection::vec(group(), 0..12)) {
        let frame = print(as_groups(&parts));
        let parity: Vec<u8> = frame.iter().copied().map(with_parity).collect();
        prop_assert_eq!(decode(&frame), decode(&parity));
    }

    #[test]
    fn arbitrary_bytes_never_panic_and_stay_bounded(bytes in prop::collection::vec(any::<u8>(), 0..6_000), marks in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(&b"\x02\x03\x04\n\r\t EH"[..])), 0..80)) {
        let mut bytes = bytes;
        for (index, mark) in marks {
            if !bytes.is_empty() {
                let place = index.index(bytes.len());
                bytes[place] = mark;
            }
        }
        for reading in decode(&bytes).into_iter().flatten() {
            prop_assert!(reading.not_understood.len() <= 64);
        }
    }

    #[test]
    fn what_is_printed_is_read_and_printed_again_the_same(parts in prop::collection::vec(group(), 0..20)) {
        let frame = print(as_groups(&parts));
        let read: Vec<_> = groups(&frame[1..frame.len() - 1]).collect::<Result<_, _>>().expect("whole groups");
        prop_assert_eq!(&read, &as_groups(&parts));
        prop_assert_eq!(print(read), frame);
    }

    #[test]
    fn a_register_is_read_to_the_last_digit(count in 0_i64..1_000_000_000) {
        prop_assume!(!(16_777_214..=16_777_215).contains(&count));
        let reading = only(&print([standard("EAST", &format!("{count:09}"))]));
        prop_assert_eq!(reading.values[0].value, crate::decimal::Decimal::whole(count));
    }
}
