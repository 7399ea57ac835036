//! Writes SML files, the reverse of the walk: for simulated meters and round-trip tests.
//!
//! Elements are written as meters write them: a length in as few bytes as it needs, integers in the width they were read in.

use super::message::{CLOSE, Entry, GET_LIST, List, Number, OPEN, Time, Value};
use super::transport::START;
use crate::checksum::{kermit, x25};

/// Which checksums a file carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksums {
    /// CRC-16/Kermit for frame and messages.
    Kermit,
    /// CRC-16/Kermit for the messages alone.
    KermitInside,
    /// CRC-16/X-25, as the standard says.
    X25,
}

/// A whole frame: opened, one list of values, closed.
pub fn print(list: &List<'_>, entries: &[Entry<'_>], checksums: Checksums) -> Vec<u8> {
    let mut opened = vec![0x76];
    for text in [&b""[..], b"", b"\0\0\0\x01", list.server] {
        octets(&mut opened, text);
    }
    time(&mut opened, list.time);
    opened.push(1);

    let mut listed = vec![0x77, 1];
    octets(&mut listed, list.server);
    listed.push(1);
    time(&mut listed, list.time);
    head(&mut listed, 0x70, entries.len());
    entries.iter().for_each(|of| entry(&mut listed, of));
    listed.extend_from_slice(&[1, 1]);

    let messages = [(OPEN, &opened[..]), (GET_LIST, &listed), (CLOSE, &[0x71, 1])];
    let body: Vec<u8> = messages.iter().flat_map(|&(tag, body)| message(tag, body, checksums)).collect();
    frame(&body, checksums)
}

/// One message with its checksum.
pub fn message(tag: u64, body: &[u8], checksums: Checksums) -> Vec<u8> {
    let mut bytes = vec![0x76, 0x05, 0, 0, 0, tag as u8, 0x62, 0, 0x62, 0, 0x72];
    unsigned(&mut bytes, Number { value: tag, width: 2 });
    bytes.extend_from_slice(body);
    let sum = if checksums == Checksums::X25 { x25(&bytes) } else { kermit(&bytes) };
    bytes.push(0x63);
    bytes.extend_from_slice(&sum.to_le_bytes());
    bytes.push(0);
    bytes
}

/// Messages in their envelope: escapes doubled, filled up, with the frame's checksum.
pub fn frame(body: &[u8], checksums: Checksums) -> Vec<u8> {
    let mut bytes = START.to_vec();
    let mut rest = body;
    while let Some((&first, after)) = rest.split_first() {
        if let Some(after) = rest.strip_prefix(&START[..4]) {
            bytes.extend_from_slice(&[START[0]; 8]);
            rest = after;
        } else {
            bytes.push(first);
            rest = after;
        }
    }
    let padding = bytes.len().next_multiple_of(4) - bytes.len();
    bytes.resize(bytes.len() + padding, 0);
    bytes.extend_from_slice(&START[..4]);
    bytes.extend_from_slice(&[0x1A, padding as u8]);
    let sum = if checksums == Checksums::Kermit { kermit(&bytes) } else { x25(&bytes) };
    bytes.extend_from_slice(&sum.to_le_bytes());
    bytes
}

/// Appends one entry of a list.
pub fn entry(bytes: &mut Vec<u8>, entry: &Entry<'_>) {
    let Entry { obis, status, time: at, unit, scaler, value } = entry;
    bytes.extend_from_slice(&[0x77, 0x07, obis.a, obis.b, obis.c, obis.d, obis.e, obis.f]);
    match status {
        Some(status) => unsigned(bytes, *status),
        None => bytes.push(1),
    }
    time(bytes, *at);
    unit.iter().for_each(|unit| bytes.extend_from_slice(&[0x62, *unit]));
    bytes.resize(bytes.len() + usize::from(unit.is_none()), 1);
    scaler.iter().for_each(|scaler| bytes.extend_from_slice(&[0x52, *scaler as u8]));
    bytes.resize(bytes.len() + usize::from(scaler.is_none()), 1);
    match *value {
        Value::Absent => bytes.push(1),
        Value::Bool(truth) => bytes.extend_from_slice(&[0x42, u8::from(truth)]),
        Value::Bytes(content) => octets(bytes, content),
        Value::Compound(content) => bytes.extend_from_slice(content),
        Value::Signed(Number { value, width }) => {
            bytes.push(0x51 + width);
            bytes.extend_from_slice(&value.to_be_bytes()[8 - usize::from(width.clamp(1, 8))..]);
        }
        Value::Unsigned(number) => unsigned(bytes, number),
    }
    bytes.push(1);
}

fn unsigned(bytes: &mut Vec<u8>, number: Number<u64>) {
    bytes.push(0x61 + number.width);
    bytes.extend_from_slice(&number.value.to_be_bytes()[8 - usize::from(number.width.clamp(1, 8))..]);
}

fn time(bytes: &mut Vec<u8>, time: Option<Time>) {
    let stamp = |choice: u8, head: &[u8], seconds: u32| {
        [&[0x72, 0x62, choice][..], head, &[0x65], &seconds.to_be_bytes()].concat()
    };
    match time {
        None => bytes.push(1),
        Some(Time::Index(seconds)) => bytes.extend(stamp(1, &[], seconds)),
        Some(Time::Stamp(seconds)) => bytes.extend(stamp(2, &[], seconds)),
        Some(Time::Local(seconds, place, summer)) => {
            bytes.extend(stamp(3, &[0x73], seconds));
            for minutes in [place, summer] {
                bytes.push(0x53);
                bytes.extend_from_slice(&minutes.to_be_bytes());
            }
        }
    }
}

/// Appends bytes; none of them are the same as an absent element.
fn octets(bytes: &mut Vec<u8>, content: &[u8]) {
    // The length counts its own bytes: one up to 15 in all, two up to 255, three up to what a frame holds.
    let heads = 1 + usize::from(content.len() > 14) + usize::from(content.len() > 253);
    head(bytes, 0x00, content.len() + heads);
    bytes.extend_from_slice(content);
}

/// Appends a type and a length in four bits a byte.
fn head(bytes: &mut Vec<u8>, kind: u8, length: usize) {
    let nibble = |shift: usize| (length >> shift & 0x0F) as u8;
    match length {
        ..=0x0F => bytes.push(kind | nibble(0)),
        0x10..=0xFF => bytes.extend_from_slice(&[0x80 | kind | nibble(4), nibble(0)]),
        _ => bytes.extend_from_slice(&[0x80 | kind | nibble(8), 0x80 | nibble(4), nibble(0)]),
    }
}
