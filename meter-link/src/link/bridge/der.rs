//! The parts of a certificate that pinning and registration look at: name, end of validity, public key.
//!
//! Signatures and extensions are not looked at: what is pinned is pinned as a whole. Reads definite lengths of at most two
//! bytes, as certificates have; anything else is no certificate.
//!
//! Source: RFC 5280 section 4.1; X.690.

use crate::civil::Civil;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// 2.5.4.3.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

/// A certificate, its parts not yet read.
#[derive(Clone, Copy)]
pub(super) struct Certificate<'a> {
    validity: &'a [u8],
    subject: &'a [u8],
    /// The whole element of the subject's public key (SubjectPublicKeyInfo).
    pub(super) key: &'a [u8],
}

impl<'a> Certificate<'a> {
    /// Finds the parts. `None` for anything that is no certificate.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let (outer, _) = content(bytes, SEQUENCE)?;
        let (mut rest, _) = content(outer, SEQUENCE)?;
        // Version (left out by the first), serial number, algorithm, issuer.
        let before = if rest.first() == Some(&0xA0) { 4 } else { 3 };
        for _ in 0..before {
            (_, _, rest) = element(rest)?;
        }
        let (validity, rest) = content(rest, SEQUENCE)?;
        let (subject, rest) = content(rest, SEQUENCE)?;
        let (_, after) = content(rest, SEQUENCE)?;
        Some(Self { validity, subject, key: &rest[..rest.len() - after.len()] })
    }

    /// The subject's common name. `None` if there is none, or not exactly one.
    pub(super) fn common_name(&self) -> Option<&'a str> {
        let mut names = self.subject;
        let mut found = None;
        while let Some((set, next)) = content(names, SET) {
            let (pair, _) = content(set, SEQUENCE)?;
            let (_, kind, value) = element(pair)?;
            if kind == COMMON_NAME {
                let (_, text, _) = element(value)?;
                if found.replace(std::str::from_utf8(text).ok()?).is_some() {
                    return None;
                }
            }
            names = next;
        }
        found
    }

    /// The last second of its validity, milliseconds since 1970 UTC. `None` if it never ends or makes no sense.
    pub(super) fn expires_utc_milliseconds(&self) -> Option<i64> {
        let (_, _, end) = element(self.validity)?;
        let (tag, text, _) = element(end)?;
        let digits = text.strip_suffix(b"Z").filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
        let (century, rest) = match (tag, digits.len()) {
            (UTC_TIME, 12) if digits[0] >= b'5' => (19, digits),
            (UTC_TIME, 12) => (20, digits),
            (GENERALIZED_TIME, 14) => (two(digits, 0), &digits[2..]),
            _ => return None,
        };
        let civil = Civil {
            year: century * 100 + two(rest, 0),
            month: two(rest, 2),
            day: two(rest, 4),
            hour: two(rest, 6),
            minute: two(rest, 8),
            second: two(rest, 10),
        };
        civil.at_offset(0).map(|time| time.unix_milliseconds)
    }

    /// Algorithm and bits of the public key: the content of the algorithm's sequence, and the point or modulus.
    pub(super) fn key_parts(&self) -> Option<(&'a [u8], &'a [u8])> {
        const BIT_STRING: u8 = 0x03;
        let (key, _) = content(self.key, SEQUENCE)?;
        let (algorithm, rest) = content(key, SEQUENCE)?;
        let (bits, _) = content(rest, BIT_STRING)?;
        // No unused bits.
        Some((algorithm, bits.strip_prefix(&[0])?))
    }
}

/// Two digits of a text of digits that is long enough.
fn two(digits: &[u8], at: usize) -> i64 {
    i64::from(digits[at] - b'0') * 10 + i64::from(digits[at + 1] - b'0')
}

/// The content of an element of this tag, and what follows it.
fn content(bytes: &[u8], expected: u8) -> Option<(&[u8], &[u8])> {
    element(bytes).filter(|(tag, ..)| *tag == expected).map(|(_, content, rest)| (content, rest))
}

/// One DER element: tag, content, and what follows.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (length, rest) = match rest {
        [length @ ..=0x7F, rest @ ..] => (usize::from(*length), rest),
        [0x81, length, rest @ ..] => (usize::from(*length), rest),
        [0x82, high, low, rest @ ..] => (usize::from(u16::from_be_bytes([*high, *low])), rest),
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}
