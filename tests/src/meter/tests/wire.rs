//! What the versions beside P1 put on the wire: frames by parsers of a few lines, values by the decoders of `meter-link`.

use meter_link::security::Opener;
use meter_link::{sml, tic};

use super::super::{CounterQuirk, Strip, checksum};
use super::*;
use crate::simulator::{Options, Simulator};

/// 2026-07-01T12:00:00Z, when every list is due.
const NOON: i64 = 1_782_907_200;

fn say(version: Version, second: i64, quirks: Quirks) -> (Meter, Home, Vec<u8>) {
    let meter = Meter::new(version);
    let mut home = home(version, Profile::Typical, 7, second);
    let bytes = meter.telegram(&mut home, quirks);
    (meter, home, bytes)
}

/// The message in HDLC frames, after their checksums.
fn hdlc(mut bytes: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    while !bytes.is_empty() {
        assert_eq!(bytes[0], 0x7E);
        let length = usize::from(u16::from_be_bytes([bytes[1], bytes[2]]) & 0x07FF);
        let frame = &bytes[1..=length];
        assert_eq!(bytes[length + 1], 0x7E);
        // Addresses end at a set lowest bit; then the control byte and the header's checksum.
        let ends: Vec<_> = (2..length).filter(|place| frame[*place] & 1 == 1).take(2).collect();
        let header = ends[1] + 2;
        assert_eq!(checksum::x25(&frame[..header]).to_le_bytes(), frame[header..header + 2]);
        assert_eq!(checksum::x25(&frame[..length - 2]).to_le_bytes(), frame[length - 2..]);
        let information = &frame[header + 2..length - 2];
        let information = information.strip_prefix(&[0xE6, 0xE7, 0]).unwrap_or(information);
        // Block transfer: eight bytes of its own, wherever a block is in the frame.
        message.extend(if information[0] == 0xE0 && information[1] & 0x40 != 0 {
            &information[7..]
        } else {
            information
        });
        bytes = &bytes[length + 2..];
    }
    message
}

/// The message in M-Bus frames, after their sums.
fn mbus(mut bytes: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    while !bytes.is_empty() {
        assert_eq!((bytes[0], bytes[3], bytes[1]), (0x68, 0x68, bytes[2]));
        let length = match usize::from(bytes[1]) {
            1 => 257,
            length => length,
        };
        let content = &bytes[4..4 + length];
        assert_eq!(checksum::sum(content), bytes[4 + length]);
        assert_eq!(bytes[5 + length], 0x16);
        message.extend(&content[5..]);
        bytes = &bytes[6 + length..];
    }
    message
}

fn message(bytes: &[u8]) -> Vec<u8> {
    if bytes[0] == 0x68 { mbus(bytes) } else { hdlc(bytes) }
}

fn dlms_versions() -> impl Iterator<Item = (&'static str, Version)> {
    Version::ALL.into_iter().filter(|(_, version)| version.family() == Family::Dlms)
}

#[test]
fn every_dlms_push_is_whole_frames_around_one_notification() {
    for (name, version) in dlms_versions() {
        for second in [NOON, NOON + 10, NOON + 20] {
            let (meter, _, bytes) = say(version, second, Quirks::default());
            let message = message(&bytes);
            match version.ciphering() {
                None => assert_eq!(message[0], 0x0F, "{name}"),
                Some(how) => {
                    assert_eq!(message[0], how.tag, "{name}");
                    let mut opener = Opener::new(&[meter.keys], Vec::new());
                    let opened = opener.open(&message).expect(name);
                    assert_eq!(opened.plain[0], 0x0F, "{name}");
                    let tagged = how.control & cipher::AUTHENTICATED != 0;
                    assert_eq!(opened.trust == Trust::Authenticated, tagged, "{name}");
                }
            }
        }
    }
}

#[test]
fn flipped_stripped_and_old_pushes_are_refused_where_there_is_a_tag() {
    for (name, version) in dlms_versions() {
        let Some(how) = version.ciphering() else { continue };
        if how.control & cipher::AUTHENTICATED == 0 {
            continue;
        }
        let mut opener = Opener::new(&[Meter::new(version).keys], Vec::new());
        assert!(opener.open(&message(&say(version, NOON, Quirks::default()).2)).is_ok(), "{name}");
        for quirks in [
            Quirks { flip: Some(0x0123_4567_89AB), ..Quirks::default() },
            Quirks { strip: Some(Strip::Tag), ..Quirks::default() },
            Quirks { counter: Some(CounterQuirk::Back), ..Quirks::default() },
            Quirks { counter: Some(CounterQuirk::Zero), ..Quirks::default() },
        ] {
            assert!(opener.open(&message(&say(version, NOON + 10, quirks).2)).is_err(), "{name} {quirks:?}");
        }
        let clear = Quirks { strip: Some(Strip::Cipher), ..Quirks::default() };
        assert_eq!(message(&say(version, NOON + 10, clear).2)[0], 0x0F, "{name}");
        assert!(opener.open(&message(&say(version, NOON + 10, Quirks::default()).2)).is_ok(), "{name}");
    }
}

fn energies(reading: &Reading) -> [Option<i64>; 2] {
    [Flow::Import, Flow::Export].map(|flow| value(reading, Quantity::ActiveEnergy(flow, 0)))
}

#[test]
fn sml_decodes_to_what_the_books_say() {
    for version in [Version::SmlEhz, Version::SmlMme, Version::SmlMmeReduced] {
        let (meter, home, bytes) = say(version, NOON + 2, Quirks::default());
        let mut decoder = sml::Decoder::new();
        assert_eq!(decoder.handle_bytes(&bytes), bytes.len());
        let reading = decoder.poll_reading().expect("a frame").expect("a reading");
        let shown = meter.shown(&home);
        let expect = [shown.import_milliwatt_hours, shown.export_milliwatt_hours].map(|sum| Some(sum as i64));
        assert_eq!(energies(&reading), expect, "{version:?}");
        assert_eq!(reading.trust, Trust::Checked, "{version:?}");
    }
}

#[test]
fn linky_decodes_to_what_the_books_say_and_its_sums_hold() {
    for version in [Version::TicHistorique, Version::TicStandard] {
        let (_, home, bytes) = say(version, NOON + 2, Quirks::default());
        assert_eq!((bytes[0], bytes[bytes.len() - 1]), (2, 3));
        for group in bytes[2..bytes.len() - 2].split(|byte| *byte == b'\n') {
            let group = group.strip_suffix(b"\r").unwrap_or(group);
            let (sum, text) = group.split_last().expect("a sum");
            let text = if version == Version::TicStandard { text } else { &text[..text.len() - 1] };
            assert_eq!(checksum::printable(text), *sum, "{}", String::from_utf8_lossy(group));
        }
        let mut decoder = tic::Decoder::new();
        assert_eq!(decoder.handle_bytes(&bytes), bytes.len());
        let reading = decoder.poll_reading().expect("a frame").expect("a reading");
        for rate in 1..=2 {
            let exact = home.registers().import[usize::from(rate) - 1];
            let found = value(&reading, Quantity::ActiveEnergy(Flow::Import, rate));
            assert_eq!(found, Some((exact / 3_600_000 * 1_000) as i64), "{version:?}");
        }
    }
}

#[test]
fn a_block_of_mode_c_has_its_check_character() {
    let (_, _, bytes) = say(Version::D0ModeC, NOON, Quirks::default());
    let start = bytes.iter().position(|byte| *byte == 2).expect("start of text");
    let (check, block) = bytes[start + 1..].split_last().expect("a check character");
    assert_eq!(block.last(), Some(&3));
    assert_eq!(checksum::block_check(block), *check);
    assert!(bytes.is_ascii());
    let (_, _, bytes) = say(Version::D0ModeD, NOON, Quirks::default());
    assert!(bytes.is_ascii() && bytes.ends_with(b"!\r\n"));
}

#[test]
fn every_version_has_a_name_and_a_line() {
    for (name, version) in Version::ALL {
        assert_eq!(name.parse(), Ok(version));
        assert_eq!(version.name(), name);
        assert_eq!(version.register_interval() % version.interval(), 0, "{name}");
    }
    let facts = |version: Version| (version.baud(), version.framing().text());
    assert_eq!(facts(Version::AidonNo), (2_400, "8E1"));
    assert_eq!(facts(Version::SmlMme), (9_600, "8N1"));
    assert_eq!(facts(Version::TicHistorique), (1_200, "7E1"));
    assert_eq!(facts(Version::TicStandard), (9_600, "7E1"));
    assert_eq!(facts(Version::Dsmr5), (115_200, "8N1"));
}

#[test]
fn replays_other_keys_and_modes_come_when_told() {
    let start =
        |version| Simulator::new(&Options { seed: 5, profile: Profile::Typical, version, keys: None, start: NOON });
    let mut meter = start(Version::LgE450At);
    let sent = [meter.next_telegram(), meter.next_telegram()];
    meter.command("replay 2").expect("obeyed");
    assert_eq!([meter.next_telegram(), meter.next_telegram()], sent);
    meter.command("rekey 000102030405060708090A0B0C0D0E0F").expect("obeyed");
    let mut opener = Opener::new(&[Version::LgE450At.keys()], Vec::new());
    assert!(opener.open(&message(&meter.next_telegram())).is_err());
    assert!(meter.command("rekey 00").is_err() && meter.command("tic-mode standard").is_err());

    let mut linky = start(Version::TicHistorique);
    assert!(linky.next_telegram().windows(4).any(|label| label == b"HCHC"));
    linky.command("tic-mode standard").expect("obeyed");
    assert!(linky.next_telegram().windows(4).any(|label| label == b"EAST"));

    let mut sml = start(Version::SmlMme);
    let length = sml.next_telegram().len();
    sml.command("reduced on").expect("obeyed");
    assert!(sml.next_telegram().len() < length);
}
