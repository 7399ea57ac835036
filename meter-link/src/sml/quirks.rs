//! What single meters do differently, as data: each rule applies to those meters alone.
//!
//! Source: captures and reports by their owners; FNN Lastenheft EDL 1.0, section on the status word.

use super::message::{Number, Value};
use crate::obis::Obis;
use crate::reading::{Flow, Quantity};

/// DZG meters (DVS74) that leave out the leading zero of a power, so that it looks negative: numbers at the end of their
/// identifier, first and last. Others of that maker count below zero as they should.
const SHORT_INTEGERS: [(u32, u32); 2] = [(42_000_000, 48_999_999), (55_000_000, 58_999_999)];
/// How the identifiers of that maker begin; four bytes of number follow a fifth that is zero or the model.
const DZG: [u8; 5] = [0x0A, 0x01, b'D', b'Z', b'G'];
/// The only width that was seen wrong: three bytes are fine.
const SHORT: u8 = 2;

/// The power that a meter means. `flow`: what its status word says of the direction, which rules the quirk out.
pub fn power<'a>(server: &[u8], flow: Option<Flow>, value: Value<'a>) -> Value<'a> {
    match value {
        Value::Signed(Number { value, width: SHORT })
            if value < 0 && flow != Some(Flow::Export) && is_short(server) =>
        {
            Value::Unsigned(Number { value: u64::from(value as u16), width: SHORT })
        }
        value => value,
    }
}

/// Whether a meter is one that leaves leading zeros out.
fn is_short(server: &[u8]) -> bool {
    let Some(&[_, a, b, c, d]) = server.strip_prefix(&DZG) else { return false };
    let number = u32::from_be_bytes([a, b, c, d]);
    SHORT_INTEGERS.iter().any(|&(first, last)| (first..=last).contains(&number))
}

/// The direction of power in a status word. `None`: the word is in no known format.
///
/// A modern meter ends its word in 04 and says it in bit 11; an EDL21 meter sets bit 7 and says it in bit 5.
pub const fn flow(status: u64) -> Option<Flow> {
    let bit = match status & 0xFF {
        0x04 => 11,
        low if low & 0x80 != 0 => 5,
        _ => return None,
    };
    Some(if status >> bit & 1 == 0 { Flow::Import } else { Flow::Export })
}

/// What an electricity code means that this protocol alone uses differently. The direction of the first three comes from
/// elsewhere, see [`super::reading`].
pub const fn quantity(obis: Obis) -> Option<Quantity> {
    use crate::reading::Phase::Total;
    match (obis.c, obis.d, obis.e) {
        // Hager eHZ361: its power is that of its first rate.
        (1, 7, 1) => Some(Quantity::ActivePower(Flow::Import, Total)),
        _ => crate::meaning::electricity(obis),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(number: u32) -> Vec<u8> {
        [&DZG[..], &[0], &number.to_be_bytes()].concat()
    }

    #[track_caller]
    fn check(number: u32, flow: Option<Flow>, sent: (i64, u8), expect: i64) {
        let found = power(&server(number), flow, Value::Signed(Number { value: sent.0, width: sent.1 }));
        let found = match found {
            Value::Signed(number) => number.value,
            Value::Unsigned(number) => i64::try_from(number.value).expect("two bytes"),
            _ => panic!("no number"),
        };
        assert_eq!(found, expect);
    }

    #[test]
    fn s2_a_short_power_is_negative_on_one_meter_and_large_on_another() {
        check(40_000_001, None, (-32_521, 2), -32_521);
        check(42_000_000, None, (-14_836, 2), 50_700);
        check(48_999_999, Some(Flow::Import), (-29_912, 2), 35_624);
        check(49_000_000, None, (-14_836, 2), -14_836);
        check(55_000_000, None, (-1, 2), 65_535);
        check(58_999_999, None, (-91_516, 3), -91_516);
        check(59_000_000, None, (-1, 2), -1);
        check(42_000_000, Some(Flow::Export), (-14_836, 2), -14_836);
        assert_eq!(
            power(b"\x0A\x01HLY\x00\x02\x82\x22\x5E", None, Value::Signed(Number { value: -1, width: 2 })),
            Value::Signed(Number { value: -1, width: 2 })
        );
    }

    #[test]
    fn s3_the_status_word_says_the_direction_in_either_format() {
        assert_eq!(flow(0x0182), Some(Flow::Import));
        assert_eq!(flow(0x01A2), Some(Flow::Export));
        assert_eq!(flow(0x001C_0104), Some(Flow::Import));
        assert_eq!(flow(0x001C_7904), Some(Flow::Export));
        assert_eq!(flow(0x0100), None);
    }
}
