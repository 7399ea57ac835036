//! COSEM data as A-XDR writes it: a walk over tokens that allocates nothing.
//!
//! A structure or array is a token with a count; its elements follow. Depth needs no limit because nothing recurses: the walk
//! only counts. Every length is checked against the bytes that are there.
//!
//! Source: IEC 62056-6-2, section 4.1.5 (data types); IEC 61334-6 for lengths.

use crate::error::DecodeError;
use crate::security::ber_length;

/// One data element, or the head of one that holds others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token<'a> {
    /// So many elements of one type follow.
    Array(usize),
    /// As many bits as said, packed.
    Bits(&'a [u8]),
    /// True or false.
    Boolean(bool),
    /// One of a list of names.
    Enumeration(u8),
    /// A binary fraction, as its bits: nothing here calculates with it.
    Float(u64),
    /// Any signed or unsigned integer; unsigned ones beyond i64 saturate and are no value a home reaches.
    Integer(i64),
    /// Nothing.
    Null,
    /// Bytes: a code, a stamp, or text in some meters.
    Octets(&'a [u8]),
    /// So many elements of any type follow.
    Structure(usize),
    /// Text.
    Text(&'a [u8]),
}

/// Reads tokens one after the other.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    /// Bytes before `bytes` in the message, for errors.
    offset: usize,
}

impl<'a> Reader<'a> {
    /// Reads these bytes, which stand at `offset` in their message.
    pub const fn new(bytes: &'a [u8], offset: usize) -> Self {
        Self { bytes, offset }
    }

    /// Whether all was read.
    pub const fn is_at_end(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The next token. An error leaves the reader where it was.
    pub fn token(&mut self) -> Result<Token<'a>, DecodeError> {
        let malformed = DecodeError::Malformed { offset: self.offset };
        let (tag, rest) = self.bytes.split_first().ok_or(malformed)?;
        let mut rest = rest;
        let mut take = |length: usize| -> Option<&'a [u8]> {
            let (taken, after) = rest.split_at_checked(length)?;
            rest = after;
            Some(taken)
        };
        let signed = |bytes: &[u8]| {
            let negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
            bytes.iter().fold(if negative { -1 } else { 0 }, |value: i64, byte| value << 8 | i64::from(*byte))
        };
        let unsigned = |bytes: &[u8]| bytes.iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
        let plain = |bytes: &[u8]| i64::try_from(unsigned(bytes)).unwrap_or(i64::MAX);
        let counted = |rest: &mut &'a [u8]| {
            let (length, after) = ber_length(rest)?;
            *rest = after;
            Some(length)
        };
        let token = match tag {
            0 => Some(Token::Null),
            1 => counted(&mut rest).map(Token::Array),
            2 => counted(&mut rest).map(Token::Structure),
            3 => take(1).map(|bytes| Token::Boolean(bytes[0] != 0)),
            4 => counted(&mut rest).and_then(|bits| {
                let (taken, after) = rest.split_at_checked(bits.div_ceil(8))?;
                rest = after;
                Some(Token::Bits(taken))
            }),
            5 | 16 | 15 | 20 => take(
                [4, 2, 1, 8][usize::from(match tag {
                    5 => 0_u8,
                    16 => 1,
                    15 => 2,
                    _ => 3,
                })],
            )
            .map(|bytes| Token::Integer(signed(bytes))),
            6 => take(4).map(|bytes| Token::Integer(plain(bytes))),
            // Octet string, date and time as their own types; visible and UTF-8 strings.
            9 | 10 | 12 => counted(&mut rest).and_then(|length| {
                let (taken, after) = rest.split_at_checked(length)?;
                rest = after;
                Some(if *tag == 9 { Token::Octets(taken) } else { Token::Text(taken) })
            }),
            // Binary coded decimal.
            13 => take(1).map(|bytes| Token::Integer(i64::from(bytes[0] >> 4) * 10 + i64::from(bytes[0] & 15))),
            17 => take(1).map(|bytes| Token::Integer(plain(bytes))),
            18 => take(2).map(|bytes| Token::Integer(plain(bytes))),
            21 => take(8).map(|bytes| Token::Integer(plain(bytes))),
            22 => take(1).map(|bytes| Token::Enumeration(bytes[0])),
            23 => take(4).map(|bytes| Token::Float(unsigned(bytes))),
            24 => take(8).map(|bytes| Token::Float(unsigned(bytes))),
            25 => take(12).map(Token::Octets),
            26 => take(5).map(Token::Octets),
            27 => take(4).map(Token::Octets),
            _ => None,
        };
        let token = token.ok_or(malformed)?;
        self.offset += self.bytes.len() - rest.len();
        self.bytes = rest;
        Ok(token)
    }
}
