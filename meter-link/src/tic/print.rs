//! Writes TIC frames, the reverse of the framer and the grammar: for simulated meters and round-trip tests.

use super::framer::{ETX, STX};
use super::group::{Group, checksum};

/// A whole frame from STX to ETX, without parity bits.
pub fn print<'a>(groups: impl IntoIterator<Item = Group<'a>>) -> Vec<u8> {
    let mut frame = Vec::with_capacity(512);
    frame.push(STX);
    for group in groups {
        print_group(&mut frame, &group);
    }
    frame.push(ETX);
    frame
}

/// One group from line feed to carriage return.
fn print_group(frame: &mut Vec<u8>, group: &Group<'_>) {
    let separator = group.mode.separator();
    frame.push(b'\n');
    let start = frame.len();
    frame.extend_from_slice(group.label);
    for part in group.horodate.into_iter().chain([group.value]) {
        frame.push(separator);
        frame.extend_from_slice(part);
    }
    let sum = checksum(group.mode, &frame[start..]);
    frame.extend_from_slice(&[separator, sum, b'\r']);
}
