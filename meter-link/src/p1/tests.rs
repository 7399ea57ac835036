//! The decoder as a whole: a capture of each variant, and what must hold for any bytes.

use proptest::prelude::*;

use super::print::{Ending, print, reprint};
use super::*;
use crate::country::Country;
use crate::decimal::Decimal;
use crate::obis::Obis;
use crate::reading::{Flow, Measured, Medium, Phase, Quantity, Unit};

fn decode(mut bytes: &[u8], keys: Vec<KeyPair>) -> Vec<Result<Reading, DecodeError>> {
    decode_in(&mut Decoder::new(keys), &mut bytes, usize::MAX)
}

/// Feeds `bytes` in chunks of at most `chunk`.
fn decode_in(decoder: &mut Decoder, bytes: &mut &[u8], chunk: usize) -> Vec<Result<Reading, DecodeError>> {
    let mut results = Vec::new();
    while !bytes.is_empty() {
        let taken = decoder.handle_bytes(&bytes[..chunk.min(bytes.len())]);
        *bytes = &bytes[taken..];
        results.extend(std::iter::from_fn(|| decoder.poll_reading()));
    }
    decoder.handle_end();
    results.extend(std::iter::from_fn(|| decoder.poll_reading()));
    results
}

fn capture(name: &str) -> Vec<u8> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/p1").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn reading(name: &str) -> Reading {
    let results = decode(&capture(name), Vec::new());
    assert_eq!(results.len(), 1, "{name}: {results:?}");
    results.into_iter().next().expect("one result").unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn find(reading: &Reading, code: &str) -> Option<Measured> {
    reading.values.iter().copied().find(|value| value.obis.to_string() == code)
}

/// A reading as lines a person can compare.
fn describe(reading: &Reading) -> String {
    let mut text =
        format!("{} {:?} {:?} {:?}\n", reading.identification, reading.country, reading.trust, reading.meter_time);
    for Measured { obis, channel, quantity, value, unit, meter_time } in &reading.values {
        let at = meter_time.map(|time| format!(" at {}", time.unix_milliseconds)).unwrap_or_default();
        text += &format!("{obis} [{channel}] {quantity:?} = {value} {}{at}\n", unit.symbol());
    }
    for child in &reading.children {
        text += &format!("child {} {:?} {}\n", child.channel, child.medium, child.equipment.is_some());
    }
    for kept in &reading.not_understood {
        text += &format!("kept {:.60}\n", kept.text);
    }
    text
}

#[test]
fn each_capture_reads_as_it_did() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/p1");
    let mut names: Vec<_> = std::fs::read_dir(&folder)
        .expect("the captures are part of the crate")
        .map(|entry| entry.expect("a readable folder").file_name().to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".txt"))
        .collect();
    names.sort();
    assert!(names.len() >= 18);
    for name in names {
        insta::with_settings!({ snapshot_path => "../../captures/p1", prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(name.trim_end_matches(".txt"), describe(&reading(&name)));
        });
    }
}

#[test]
fn t7_w2_values_on_the_next_line_belong_to_the_line_before() {
    let gas = find(&reading("nl_dsmr22_value_on_next_line.txt"), "0-1:24.2.1").expect("gas");
    assert_eq!((gas.value.to_string().as_str(), gas.unit, gas.channel), ("124.477", Unit::CubicMetre, 1));
    assert_eq!(reading("nl_dsmr22_value_on_next_line.txt").trust, Trust::Unverified);
}

#[test]
fn r5_t13_sentinels_and_nonsense_stamps_lose_only_themselves() {
    let reading = reading("nl_frozen_and_nonsense_children.txt");
    assert_eq!(find(&reading, "1-0:1.8.1").map(|value| value.value.to_string()).as_deref(), Some("1234567"));
    assert!(find(&reading, "0-3:24.2.1").is_none() && find(&reading, "0-4:24.2.1").is_none());
    assert_eq!(reading.not_understood.len(), 2, "kept as sent");
    for sentinel in ["16777.215", "4294967.295", "2147483.647", "281474976710.655", "16777215", "4294967294"] {
        let line = format!("1-0:1.8.0({sentinel}*kWh)");
        let bytes = print(b"MAD5", [line.as_bytes(), b"1-0:1.7.0(00.100*kW)"], Ending::Checksum);
        let results = decode(&bytes, Vec::new());
        let Ok(reading) = &results[0] else { panic!("{results:?}") };
        assert_eq!(reading.values.len(), 1, "{sentinel}");
    }
}

#[test]
fn w6_frozen_and_living_children_keep_their_own_stamps() {
    let reading = reading("nl_frozen_and_nonsense_children.txt");
    let (old, new) = (find(&reading, "0-1:24.2.1").expect("old"), find(&reading, "0-2:24.2.1").expect("new"));
    let (old, new) = (old.meter_time.expect("a stamp"), new.meter_time.expect("a stamp"));
    assert!(new.unix_milliseconds - old.unix_milliseconds > 300 * 86_400_000);
    assert!(reading.children.iter().filter(|child| child.medium == Medium::Gas).count() == 2);
    assert_eq!(find(&self::reading("be_emucs_demand_gas_water.txt"), "0-1:24.2.3").map(|gas| gas.channel), Some(1));
}

#[test]
fn s6_rates_stay_numbers_and_countries_are_told_apart() {
    assert_eq!(reading("nl_dsmr50_three_phase.txt").country, Some(Country::Nl));
    assert_eq!(reading("be_emucs_demand_gas_water.txt").country, Some(Country::Be));
    let four = reading("lt_four_rates_power_factor.txt");
    assert!(four.values.iter().any(|value| value.quantity == Quantity::ActiveEnergy(Flow::Import, 4)));
}

#[test]
fn s1_s14_import_export_and_phases_are_separate_positive_numbers() {
    let reading = reading("nl_dsmr50_three_phase.txt");
    let power = |quantity| {
        reading.values.iter().find(|value| value.quantity == quantity).and_then(|value| value.value.thousandths())
    };
    assert_eq!(power(Quantity::ActivePower(Flow::Import, Phase::Total)), Some(0));
    assert_eq!(power(Quantity::ActivePower(Flow::Export, Phase::Total)), Some(1_234_000));
    let net: i64 = [Phase::L1, Phase::L2, Phase::L3]
        .into_iter()
        .filter_map(|phase| {
            Some(
                power(Quantity::ActivePower(Flow::Import, phase))? - power(Quantity::ActivePower(Flow::Export, phase))?,
            )
        })
        .sum();
    assert_eq!(net, -1_234_000);
}

#[test]
fn t14_the_meters_own_demand_and_peak_are_read_with_the_meters_own_stamps() {
    let reading = reading("be_emucs_demand_gas_water.txt");
    let demand = reading.values.iter().find(|value| value.quantity == Quantity::Demand(Flow::Import));
    assert_eq!(demand.map(|value| value.obis), Some(Obis::new(1, 0, 1, 4, 0)), "of the running quarter");
    let peak = reading.values.iter().find(|value| value.quantity == Quantity::DemandPeak(Flow::Import));
    let stamp = peak.and_then(|value| value.meter_time).expect("a peak says when it was");
    // 2025-05-09 13:45:58 in summer time.
    assert_eq!(stamp.unix_milliseconds, 1_746_791_158_000);
}

#[test]
fn no_serial_number_stays_in_the_identification() {
    for (sent, kept) in [
        ("KMP5 ZABF001587315111", "KMP5"),
        ("ISK5\\2M550T-1011", "ISK5\\2M550T-1011"),
        ("FLU5\\253769484_A", "FLU5\\253769484_A"),
        ("XMX5LGBBFFB231158455", "XMX5"),
        ("ADN9 6534", "ADN9 6534"),
        ("123456", ""),
    ] {
        let Some(Ok(reading)) = decode(&print(sent.as_bytes(), [], Ending::Checksum), Vec::new()).pop() else {
            panic!("{sent}")
        };
        assert_eq!(reading.identification, kept, "{sent}");
    }
}

#[test]
fn w1_only_holley_may_send_its_own_checksum() {
    assert_eq!(reading("hu_holley_x25.txt").trust, Trust::Checked);
    let text = String::from_utf8_lossy(&capture("hu_holley_x25.txt")).replace("/HLY5", "/MAD5");
    let sum = crc::Crc::<u16>::new(&crc::CRC_16_IBM_SDLC);
    let split = framer::split(text.as_bytes()).expect("a telegram");
    let other = [split.bytes, format!("{:04X}\r\n", sum.checksum(split.bytes)).as_bytes()].concat();
    assert!(matches!(decode(&other, Vec::new())[..], [Err(DecodeError::Checksum { .. })]));
}

#[test]
fn w3_of_lines_that_repeat_the_first_counts_and_the_rest_is_kept() {
    let lines = [
        &b"0-0:1.0.0(261023201540S)"[..],
        b"1-0:1.8.0(000123.456*kWh)",
        b"0-0:1.0.0(261001000000S)",
        b"1-0:1.8.0(000100.000*kWh)",
    ];
    let results = decode(&print(b"MAD5", lines, Ending::Checksum), Vec::new());
    let [Ok(reading)] = &results[..] else { panic!("{results:?}") };
    assert_eq!(reading.values.iter().map(|value| value.value.to_string()).collect::<Vec<_>>(), ["123456"]);
    assert_eq!(reading.meter_time.map(|time| time.unix_milliseconds), Some(1_792_779_340_000));
    assert_eq!(reading.not_understood.len(), 2);
}

#[test]
fn w3_a_telegram_cut_by_the_next_is_lost_alone() {
    let whole = capture("nl_dsmr50_three_phase.txt");
    for cut in [40, 200, 401, 700] {
        let bytes =
            [&whole[..whole.len().min(cut + 100)], &whole[whole.iter().position(|b| *b == b'/').expect("a start")..]]
                .concat();
        let results = decode(&bytes, Vec::new());
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "cut at {cut}: {results:?}");
    }
}

#[test]
fn w4_with_five_percent_noise_most_telegrams_arrive_and_none_is_wrong() {
    let whole = print(b"MAD5", [&b"1-3:0.2.8(50)"[..], b"1-0:1.8.0(000123.456*kWh)"], Ending::Checksum);
    let mut decoder = Decoder::new(Vec::new());
    let (mut right, mut noise) = (0, 0x2545_F491_u32);
    for _ in 0..2_000 {
        let mut telegram = whole.clone();
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        if noise % 20 == 0 {
            let place = (noise >> 8) as usize % telegram.len();
            telegram[place] ^= 1 << ((noise >> 28) % 8);
        }
        let mut bytes = telegram.as_slice();
        for result in decode_chunk(&mut decoder, &mut bytes) {
            if let Ok(reading) = result
                && reading.trust == Trust::Checked
            {
                assert_eq!(find(&reading, "1-0:1.8.0").map(|value| value.value.to_string()).as_deref(), Some("123456"));
                right += 1;
            }
        }
    }
    assert!(right > 1_850, "{right} of 2000");
}

fn decode_chunk(decoder: &mut Decoder, bytes: &mut &[u8]) -> Vec<Result<Reading, DecodeError>> {
    let mut results = Vec::new();
    while !bytes.is_empty() {
        let taken = decoder.handle_bytes(bytes);
        *bytes = &bytes[taken..];
        results.extend(std::iter::from_fn(|| decoder.poll_reading()));
    }
    results
}

#[test]
fn a_damaged_telegram_is_shown_only_to_those_who_ask_and_as_unverified() {
    let mut damaged = print(b"MAD5", [&b"1-0:1.8.0(000123.456*kWh)"[..]], Ending::Checksum);
    damaged[20] ^= 1;
    assert!(decode(&damaged, Vec::new()).iter().all(Result::is_err));
    let shown = decode_in(&mut Decoder::new(Vec::new()).showing_damaged(), &mut &damaged[..], 7);
    assert!(
        matches!(&shown[..], [Err(DecodeError::Checksum { .. }), Ok(reading)] if reading.trust == Trust::Unverified),
        "{shown:?}"
    );
}

#[test]
fn a_checksum_that_noise_made_unreadable_is_no_missing_one() {
    let whole = print(b"MAD5", [&b"1-0:1.8.0(000123.456*kWh)"[..]], Ending::Checksum);
    let mark = whole.len() - 6;
    let mut garbled = whole.clone();
    garbled[mark] = b'~';
    assert_eq!(decode(&garbled, Vec::new()), [Err(DecodeError::ChecksumMissing)]);
    let plain = print(b"MAD5", [&b"1-0:1.8.0(000123.456*kWh)"[..]], Ending::Plain);
    assert!(decode(&plain, Vec::new())[0].is_ok(), "an old meter");
    assert_eq!(
        decode(&[whole, plain].concat(), Vec::new())[1],
        Err(DecodeError::ChecksumMissing),
        "a meter that sends one"
    );
}

#[test]
fn a_telegram_without_an_end_is_given_up_and_the_next_is_read() {
    let mut bytes = b"/MAD5\r\n".to_vec();
    bytes.extend(std::iter::repeat_n(b'x', 3 * framer::MAX_FRAME));
    bytes.extend(capture("at_whole_watts.txt"));
    let results = decode(&bytes, Vec::new());
    assert_eq!(results[0], Err(DecodeError::TooLong { limit: framer::MAX_FRAME }));
    assert!(results.last().is_some_and(Result::is_ok));
}

/// Seals a telegram as a meter does. The published authentication key is what an operator without its own uses.
fn seal(telegram: &[u8], key: u8, counter: u32, control: u8) -> Vec<u8> {
    use aes_gcm::aead::{AeadInOut as _, KeyInit as _};
    type Gcm =
        aes_gcm::AesGcm<aes_gcm::aes::Aes128, aes_gcm::aes::cipher::consts::U12, aes_gcm::aes::cipher::consts::U12>;
    let mut nonce = *b"MADETEST\0\0\0\0";
    nonce[8..].copy_from_slice(&counter.to_be_bytes());
    let mut associated = vec![control];
    associated.extend((0..16).map(|index| index * 0x11));
    let mut content = telegram.to_vec();
    let tag = Gcm::new(&[key; 16].into())
        .encrypt_inout_detached(&nonce.into(), &associated, content.as_mut_slice().into())
        .expect("a short text");
    if control & 0x10 != 0 {
        content.extend_from_slice(&tag);
    }
    let length = u16::try_from(content.len() + 5).expect("a short text").to_be_bytes();
    let head = [&[0xDB, 8][..], b"MADETEST", &[0x82, length[0], length[1], control], &counter.to_be_bytes()].concat();
    [head, content].concat()
}

fn keys(key: u8) -> Vec<KeyPair> {
    vec![KeyPair { encryption: [key; 16].into(), authentication: None }]
}

#[test]
fn n1_k1_only_what_is_authenticated_counts_as_authenticated() {
    let telegram = print(b"Lux5\\253663629_B", [&b"1-0:1.8.0(000123.456*kWh)"[..]], Ending::Checksum);
    let good = seal(&telegram, 7, 100, 0x30);
    assert!(matches!(&decode(&good, keys(7))[..], [Ok(reading)] if reading.trust == Trust::Authenticated));
    assert_eq!(decode(&good, keys(8)), [Err(DecodeError::KeyWrong)]);
    assert_eq!(decode(&good, Vec::new()), [Err(DecodeError::KeyNeeded)]);
    let mut both = keys(8);
    both.extend(keys(7));
    assert!(decode(&good, both)[0].is_ok(), "an older key beside the newest");
    for bit in 0..good.len() * 8 {
        let mut flipped = good.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(decode(&flipped, keys(7)).iter().all(Result::is_err), "bit {bit}");
    }
    let bare = seal(&telegram, 7, 101, 0x20);
    assert!(matches!(&decode(&bare, keys(7))[..], [Ok(reading)] if reading.trust == Trust::Unverified));
    let stripped = decode(&[good, bare].concat(), keys(7));
    assert_eq!(stripped[1], Err(DecodeError::TagMissing), "from a meter that sends tags");
}

#[test]
fn n2_k2_a_repeated_or_falling_counter_is_refused() {
    let telegram = print(b"Lux5\\253663629_B", [&b"1-0:1.8.0(000123.456*kWh)"[..]], Ending::Checksum);
    let stream: Vec<u8> =
        [5, 6, 9, 9, 6, 10].into_iter().flat_map(|counter| seal(&telegram, 7, counter, 0x30)).collect();
    let accepted: Vec<_> = decode(&stream, keys(7)).into_iter().map(|result| result.map(|_| ())).collect();
    let replayed = |found| Err(DecodeError::Replayed { highest: 9, found });
    assert_eq!(accepted, [Ok(()), Ok(()), Ok(()), replayed(9), replayed(6), Ok(())]);
}

#[test]
fn after_a_good_tag_a_wrong_inner_checksum_is_told_and_nothing_is_lost() {
    let mut telegram = print(b"Lux5\\253663629_B", [&b"1-0:1.8.0(000123.456*kWh)"[..]], Ending::Checksum);
    let place = telegram.len() - 3;
    telegram[place] = if telegram[place] == b'0' { b'1' } else { b'0' };
    let results = decode(&seal(&telegram, 7, 1, 0x30), keys(7));
    assert!(matches!(&results[..], [Ok(_), Err(DecodeError::InnerChecksum { .. })]), "{results:?}");
}

#[test]
fn k7_keys_and_serial_numbers_never_show_in_debug() {
    let mut decoder =
        Decoder::new(vec![KeyPair { encryption: [0xAB; 16].into(), authentication: Some([0xCD; 16].into()) }]);
    let text = format!("{decoder:?}").to_lowercase();
    assert!(!text.contains("171") && !text.contains("abab") && !text.contains("205"), "{text}");
    let mut bytes = &capture("nl_dsmr50_three_phase.txt")[..];
    let text = format!("{:?}", decode_in(&mut decoder, &mut bytes, 64));
    assert!(!text.contains("4D414445"), "a serial number in {text}");
}

#[test]
fn w9_ciphertext_without_its_title_is_named_and_the_next_telegram_is_read() {
    for between in [&b""[..], b"\r\n"] {
        let cipher: Vec<u8> = b"\n!AB/XYZ5".iter().copied().cycle().take(300).collect();
        let mut frame = [&b"/EGM5MADE\r\n\r\n\x00\x82\x01\x31\x30\0\0\0\x07"[..], &cipher, between, b"!"].concat();
        let checksum = framer::checksum(&frame);
        frame.extend_from_slice(format!("{checksum:04X}\r\n").as_bytes());
        frame.extend(capture("at_whole_watts.txt"));
        for chunk in [1, 7, usize::MAX] {
            let results = decode_in(&mut Decoder::new(keys(1)), &mut &frame[..], chunk);
            assert_eq!(results[0], Err(DecodeError::TitleMissing));
            assert!(matches!(&results[1..], [Ok(_)]), "{results:?}");
        }
    }
}

#[test]
fn w9_a_length_too_short_for_a_header_begins_no_frame() {
    for length in [&[0x00][..], &[0x04], &[0x81, 0x04], &[0x82, 0, 4], &[0x84, 0, 0, 0, 9], &[0xFF]] {
        let bytes =
            [&[0xDB, 8][..], b"MADETEST", length, b"\0\0\0\0\0\0\0\0\0", &capture("at_whole_watts.txt")].concat();
        for chunk in [1, 11, usize::MAX] {
            let results = decode_in(&mut Decoder::new(keys(1)), &mut &bytes[..], chunk);
            assert!(matches!(&results[..], [Ok(_)]), "{length:02X?} in chunks of {chunk}: {results:?}");
        }
    }
}

#[test]
fn w7_an_empty_log_of_failures_is_a_line_like_any_other() {
    for log in [
        "1-0:99.97.0()",
        "1-0:99.97.0(0)()",
        "1-0:99.97.0(0)(0-0:96.7.19)(000000000000W)(0000000000*s)",
        "0-0:98.1.0()",
    ] {
        let bytes = print(b"MAD5", [log.as_bytes(), b"1-0:1.8.0(000123.456*kWh)"], Ending::Checksum);
        let results = decode(&bytes, Vec::new());
        let [Ok(reading)] = &results[..] else { panic!("{log}: {results:?}") };
        assert_eq!(reading.values.len(), 1, "{log}");
    }
}

#[test]
fn a_month_s_peaks_of_the_past_carry_their_own_stamps() {
    let log = b"0-0:98.1.0(2)(1-0:1.6.0)(1-0:1.6.0)(200501000000S)(200423192538S)(03.695*kW)(200401000000S)(200305122139W)(05.980*kW)";
    let results = decode(&print(b"FLU5\\1_A", [&log[..]], Ending::Checksum), Vec::new());
    let [Ok(reading)] = &results[..] else { panic!("{results:?}") };
    let peaks: Vec<_> = reading
        .values
        .iter()
        .map(|peak| (peak.value.to_string(), peak.meter_time.map(|time| time.unix_milliseconds / 1_000)))
        .collect();
    assert_eq!(peaks, [("3695".to_owned(), Some(1_587_662_738)), ("5980".to_owned(), Some(1_583_407_299))]);
}

#[test]
fn counters_outlive_a_break_of_the_line() {
    let telegram = print(b"Lux5\\253663629_B", [&b"1-0:1.8.0(000123.456*kWh)"[..]], Ending::Checksum);
    let frame = seal(&telegram, 7, 5, 0x30);
    let mut decoder = Decoder::new(keys(7));
    assert!(decode_chunk(&mut decoder, &mut &frame[..])[0].is_ok());
    decoder.handle_bytes(&frame[..60]);
    decoder.handle_break();
    let again = decode_chunk(&mut decoder, &mut &frame[..]);
    assert_eq!(again, [Err(DecodeError::Replayed { highest: 5, found: 5 })]);
}

fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        (0..9_u8, 0..9_u8, 1..99_u8, 1..9_u8, 0..5_u8, 0..99_999_999_u32).prop_map(|(a, b, c, d, e, value)| {
            format!("{a}-{b}:{c}.{d}.{e}({:05}.{:03}*kWh)", value / 1_000, value % 1_000)
        }),
        "[0-9A-Fa-f:.()*-]{1,40}".prop_filter("the mark ends a telegram", |text| !text.starts_with('(')),
    ]
}

/// One way in which the next telegram differs from the one before it.
fn change(text: &mut Vec<u8>, kind: u8, place: usize, byte: u8) {
    let lines: Vec<_> =
        memchr::memchr_iter(b'\n', text).map(|end| end + 1).filter(|start| *start < text.len() - 1).collect();
    let line = lines[place % lines.len()];
    let end = memchr::memchr(b'\n', &text[line..]).map_or(line, |length| line + length + 1);
    let matching = |wanted: fn(&u8) -> bool| {
        let places: Vec<_> = text.iter().enumerate().filter(|(_, byte)| wanted(byte)).map(|(place, _)| place).collect();
        (!places.is_empty()).then(|| places[place % places.len()])
    };
    let digit = matching(u8::is_ascii_digit).expect("a telegram has digits");
    let open = matching(|byte| *byte == b'(');
    match kind {
        0..=9 => text[digit] = b'0' + byte % 10,
        10 => text[digit] = byte.clamp(b'"', b'~'),
        11 => drop(text.remove(digit)),
        12 => text.insert(digit, b'0' + byte % 10),
        13 if lines.len() > 4 => drop(text.drain(line..end)),
        14 => drop(text.splice(line..line, text[line..end].to_vec())),
        15 => drop(text.splice(line..line, b"1-0:2.8.0(000001.500*kWh)\r\n".to_owned())),
        16 => drop(text.splice(line..line, b"0-0:96.13.0(48454C4C4F)\r\nno object\r\n".to_owned())),
        17 => drop(open.map(|open| text.insert(open + 1, b'-'))),
        18 => drop(open.map(|open| text.splice(open + 1..open + 1, b"(200101120000W)".to_owned()))),
        19 => {
            // A sentinel, or a number with more digits than any meter sends, in place of what stands in the parentheses.
            let number: &[u8] =
                [&b"16777215"[..], b"00429496.7295", b"1234567890123456.789", b"5.", b".5"][usize::from(byte) % 5];
            if let Some(open) = open {
                let length = text[open + 1..].iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'.').count();
                text.splice(open + 1..open + 1 + length, number.iter().copied());
            }
        }
        20 => {
            if let Some(unit) = matching(|byte| matches!(byte, b'k' | b'W' | b'V' | b'A' | b'S' | b'h' | b'*')) {
                text[unit] = [b'W', b'S', b'A', b'M', b'V', b'*', b'J', b'0'][usize::from(byte) % 8];
            }
        }
        // The value of a register, to all bits set.
        21 => {
            for (at, digit) in (digit..text.len()).zip(b"16777215") {
                if text[at].is_ascii_digit() {
                    text[at] = *digit;
                }
            }
        }
        // Stamps that make no sense.
        _ => {
            if let Some(mark) =
                matching(|byte| matches!(byte, b'S' | b'W')).filter(|mark| *mark > 12 && byte.is_multiple_of(3))
            {
                text[mark - 9] = b'0' + byte / 3 % 10;
            }
        }
    }
}

#[test]
fn a_telegram_like_the_last_costs_no_new_reading_and_is_read_as_a_new_one() {
    for name in ["be_emucs_demand_gas_water.txt", "nl_dsmr50_three_phase.txt", "nl_dsmr22_value_on_next_line.txt"] {
        let capture = capture(name);
        let text = framer::split(&capture).expect("a telegram").bytes;
        let mut template = Template::default();
        template.read(text, Trust::Checked);
        assert!(template.is_like(text), "{name}");
        let number = memchr::memmem::find(text, b"*kWh").expect("a register") - 1;
        let mut next = text.to_vec();
        next[number] = b'0' + (next[number] - b'0' + 1) % 10;
        assert!(template.is_like(&next), "{name}: only a digit differs");
        assert_eq!(template.read(&next, Trust::Checked), &reading::interpret(&Telegram::parse(&next), Trust::Checked));
        next[number] = b':';
        assert!(!template.is_like(&next), "{name}: what follows 9 is no digit");
    }
}

#[test]
fn a_register_that_said_minus_nothing_may_not_become_negative() {
    let mut template = Template::default();
    for register in ["-000000.000", "-000010.000"] {
        let bytes = print(b"MAD5", [format!("1-0:2.8.0({register}*kWh)").as_bytes()], Ending::Plain);
        let text = framer::split(&bytes).expect("a telegram").bytes;
        assert_eq!(template.read(text, Trust::Checked), &reading::interpret(&Telegram::parse(text), Trust::Checked));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn a_telegram_is_read_the_same_whatever_came_before_it(
        capture_index in any::<prop::sample::Index>(),
        changes in prop::collection::vec((0_u8..23, any::<usize>(), any::<u8>()), 1..24),
    ) {
        let mut text = CAPTURES.with(|captures| captures[capture_index.index(captures.len())].clone());
        let mut template = Template::default();
        for (kind, place, byte) in changes {
            let parsed = reading::interpret(&Telegram::parse(&text), Trust::Checked);
            prop_assert_eq!(template.read(&text, Trust::Checked), &parsed);
            change(&mut text, kind, place, byte);
        }
    }
}

thread_local! {
    /// The telegrams of all captures, from `/` to `!`.
    static CAPTURES: Vec<Vec<u8>> = {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/p1");
        let files = std::fs::read_dir(folder).expect("the captures are part of the crate").flatten().map(|entry| entry.path());
        let texts = files.filter(|path| path.extension().is_some_and(|extension| extension == "txt"));
        let mut texts: Vec<_> = texts.filter_map(|path| Some(framer::split(&std::fs::read(path).ok()?)?.bytes.to_vec())).collect();
        texts.sort();
        texts
    };
}

proptest! {
    #[test]
    fn any_chunking_gives_the_same(lines in prop::collection::vec(line(), 0..12), noise in prop::collection::vec(any::<u8>(), 0..60), chunk in 1_usize..200) {
        let telegram = print(b"MAD5\\2M550T-1011", lines.iter().map(String::as_bytes), Ending::Checksum);
        let bytes = [&noise[..], &telegram, &telegram, &noise, &capture("be_emucs_demand_gas_water.txt")].concat();
        let whole = decode(&bytes, Vec::new());
        let cut = decode_in(&mut Decoder::new(Vec::new()), &mut &bytes[..], chunk);
        prop_assert_eq!(whole, cut);
    }

    #[test]
    fn arbitrary_bytes_never_panic_and_stay_bounded(bytes in prop::collection::vec(any::<u8>(), 0..4_000), marks in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(&b"/!\r\n(\xDB\x08"[..])), 0..60)) {
        let mut bytes = bytes;
        for (index, mark) in marks {
            if !bytes.is_empty() {
                let place = index.index(bytes.len());
                bytes[place] = mark;
            }
        }
        for result in decode(&bytes, keys(1)).into_iter().flatten() {
            prop_assert!(result.not_understood.len() <= 64);
        }
    }

    #[test]
    fn what_is_printed_is_read_and_printed_again_the_same(lines in prop::collection::vec(line(), 0..20)) {
        let telegram = print(b"MAD5\\2M550T-1011", lines.iter().map(String::as_bytes), Ending::Checksum);
        let split = framer::split(&telegram).expect("a whole telegram");
        prop_assert_eq!(reprint(&Telegram::parse(split.bytes), Ending::Checksum), telegram);
    }

    #[test]
    fn a_value_is_read_to_the_last_digit(count in 0_i64..99_999_999) {
        prop_assume!(count != 16_777_215 && count != 16_777_214);
        let line = format!("1-0:1.8.0({:06}.{:03}*kWh)", count / 1_000, count % 1_000);
        let results = decode(&print(b"MAD5", [line.as_bytes()], Ending::Checksum), Vec::new());
        let Some(Ok(reading)) = results.first() else { panic!("{results:?}") };
        prop_assert_eq!(reading.values[0].value, Decimal { mantissa: count, places: 0 });
        prop_assert_eq!(reading.values[0].obis, Obis::new(1, 0, 1, 8, 0));
    }
}
