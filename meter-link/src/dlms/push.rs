//! The data notification: invoke id, the meter's time, one data element.
//!
//! Source: IEC 62056-5-3, section 8.3.12 (data-notification).

use super::axdr::Reader;
use crate::error::DecodeError;

const TAG: u8 = 0x0F;

/// A notification, its body not yet looked at.
#[derive(Clone, Copy)]
pub struct Notification<'a> {
    /// Twelve bytes, or none.
    pub time: Option<&'a [u8]>,
    /// The data element.
    pub body: &'a [u8],
    /// Where the body begins in the message.
    pub offset: usize,
}

impl<'a> Notification<'a> {
    /// Takes a notification apart.
    pub fn parse(message: &'a [u8]) -> Result<Self, DecodeError> {
        let (time, body) = match message {
            [TAG, _, _, _, _, 0x00, body @ ..] => (None, body),
            // Kaifa writes a typed octet string where the standard has a bare one.
            [TAG, _, _, _, _, 0x0C, rest @ ..] | [TAG, _, _, _, _, 0x09, 0x0C, rest @ ..] => rest
                .split_at_checked(12)
                .map(|(time, body)| (Some(time), body))
                .ok_or(DecodeError::Malformed { offset: message.len() })?,
            _ => return Err(DecodeError::Malformed { offset: 0 }),
        };
        Ok(Self { time, body, offset: message.len() - body.len() })
    }

    /// A walk over the body.
    pub const fn reader(&self) -> Reader<'a> {
        Reader::new(self.body, self.offset)
    }
}
