//! General block transfer: a message in numbered blocks (Green Book, section 9.3.7).
//!
//! Blocks come one after the other from 1. One that is missing, repeated or out of order drops its message: no part of it
//! is believed.

use super::{MAX_MESSAGE, without_llc};
use crate::error::DecodeError;
use crate::security::ber_length;

const TAG: u8 = 0xE0;
/// The last block of its message.
const LAST: u8 = 0x80;

/// Whether a message is a block of a longer one.
pub fn is_block(message: &[u8]) -> bool {
    without_llc(message).first() == Some(&TAG)
}

/// Joins blocks.
#[derive(Debug, Default)]
pub struct Blocks {
    message: Vec<u8>,
    /// Number of the block that was taken last; 0 before the first.
    taken: u16,
}

impl Blocks {
    /// Takes a block; gives the message once it is whole.
    pub fn join(&mut self, block: &[u8]) -> Result<Option<&[u8]>, DecodeError> {
        let malformed = DecodeError::Malformed { offset: 0 };
        let [TAG, control, high, low, _, _, rest @ ..] = without_llc(block) else { return Err(malformed) };
        let (length, data) = ber_length(rest).ok_or(malformed)?;
        let data = data.get(..length).ok_or(malformed)?;
        let (expected, found) = (self.taken + 1, u16::from(*high) << 8 | u16::from(*low));
        let begins_anew = found == 1 && self.taken > 0;
        if found == 1 {
            self.message.clear();
        } else if found != expected {
            self.taken = 0;
            return Err(DecodeError::PartMissing { expected, found });
        }
        if self.message.len() + data.len() > MAX_MESSAGE {
            self.taken = 0;
            return Err(DecodeError::TooLong { limit: MAX_MESSAGE });
        }
        self.message.extend_from_slice(data);
        let is_last = control & LAST != 0;
        self.taken = if is_last { 0 } else { found };
        match (is_last, begins_anew) {
            (true, _) => Ok(Some(&self.message)),
            (false, true) => Err(DecodeError::PartMissing { expected, found }),
            (false, false) => Ok(None),
        }
    }
}
