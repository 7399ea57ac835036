//! Frames that were kept because no key opened them, read once their key is known.
//!
//! Whatever wire they came over: a sealed telegram or a sealed notification. The opener decides as it does for a frame that
//! comes fresh, so a kept frame is refused like any other when its counter repeats or falls.

use crate::dlms;
use crate::error::DecodeError;
use crate::p1;
use crate::reading::Reading;
use crate::security::Opener;

/// Opens a kept frame (see [`crate::decoder::Decoder::sealed`]) and reads it.
pub fn open_sealed(frame: &[u8], opener: &mut Opener) -> Result<Reading, DecodeError> {
    p1::read_sealed(dlms::without_llc(frame), opener)
}
