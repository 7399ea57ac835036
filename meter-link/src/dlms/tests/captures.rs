//! A capture of each kind of list and each way around it, read by the decoder that is told nothing but the keys.

use crate::decoder::Decoder;
use crate::error::DecodeError;
use crate::reading::{Measured, Reading};
use crate::security::KeyPair;
use crate::security::key::Key;

/// Bytes taken at a time: captures are longer than what is listened to at once.
const PORTION: usize = 64;

fn folder() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/dlms")
}

/// A capture: lines of hexadecimal, comments after `#`.
fn capture(name: &str) -> Vec<u8> {
    let path = folder().join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let digits: Vec<u8> =
        text.lines().filter(|line| !line.starts_with('#')).flat_map(str::bytes).map(hexadecimal).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn hexadecimal(digit: u8) -> u8 {
    char::from(digit).to_digit(16).expect("a hexadecimal digit") as u8
}

/// The keys that the captures name.
fn keys() -> [KeyPair; 2] {
    let long = KeyPair { encryption: Key::from([0x5A; 32]), authentication: Some(Key::from([0xA5; 32])) };
    [KeyPair { encryption: Key::from([0x5A; 16]), authentication: None }, long]
}

/// Readings as lines a person can compare.
fn describe(name: &str) -> String {
    let bytes = capture(name);
    let mut decoder = Decoder::new(&keys(), &[]);
    let mut results = Vec::new();
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        rest = &rest[decoder.handle_bytes(&rest[..rest.len().min(PORTION)])..];
        while let Some(result) = decoder.poll_reading() {
            // What other protocols made of the first bytes is not this one's.
            if result.is_ok() || decoder.protocol().is_some() {
                results.push(result);
            }
        }
    }
    decoder.handle_end();
    results.extend(std::iter::from_fn(|| decoder.poll_reading()));
    let mut text = format!("{}\n", decoder.protocol().map_or("no protocol", |protocol| protocol.name()));
    for result in &results {
        describe_one(result, &mut text);
    }
    text
}

fn describe_one(result: &Result<Reading, DecodeError>, text: &mut String) {
    let reading = match result {
        Ok(reading) => reading,
        Err(error) => {
            *text += &format!("error {error:?}\n");
            return;
        }
    };
    let equipment = reading.equipment.as_ref().map(|equipment| equipment.0.as_str());
    *text += &format!("{} {:?} {:?} {equipment:?}\n", reading.identification, reading.country, reading.trust);
    *text += &format!("{:?}\n", reading.meter_time);
    for Measured { obis, quantity, value, unit, .. } in &reading.values {
        *text += &format!("{obis} {quantity:?} = {value} {}\n", unit.symbol());
    }
    for kept in &reading.not_understood {
        *text += &format!("kept {}\n", kept.text);
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
    assert!(names.len() >= 28, "{names:?}");
    for name in names {
        insta::with_settings!({ snapshot_path => "../../../captures/dlms", prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(name.trim_end_matches(".txt"), describe(&name));
        });
    }
}
