//! RAVEn: what Rainforest's RAVEn and EMU-2 sticks say of a North American meter over a serial line.
//!
//! XML fragments one after another, without a root. [`framer`] cuts them out of the bytes, [`reading`] gives the meaning.
//! The stick is never asked anything: it speaks by itself. No clock, no port; at most [`framer::MAX_FRAME`] bytes are kept.
//! There is no checksum, so a reading is unverified.
//!
//! Source: Rainforest Automation, RAVEn XML API manual 1.3.2; Zigbee Smart Energy profile 1.1 for the numbers.

pub mod framer;
pub mod reading;

use crate::error::DecodeError;
use crate::reading::Reading;
use crate::xml::Element;
use framer::Framer;

/// Bytes in, readings out.
#[derive(Debug, Default)]
pub struct Decoder {
    framer: Framer,
}

impl Decoder {
    /// A decoder at the start of a stream, which may begin anywhere.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes, as many as fit; gives how many. Poll until nothing comes, then hand in the rest.
    pub fn handle_bytes(&mut self, bytes: &[u8]) -> usize {
        self.framer.handle_bytes(bytes)
    }

    /// The input has ended. Half a fragment says nothing; what is whole is still given.
    pub const fn handle_end(&mut self) {}

    /// The link broke: half a fragment is forgotten.
    pub fn handle_break(&mut self) {
        self.framer = Framer::default();
    }

    /// The next fragment's reading, or what became of one that gave none. `None`: more bytes are needed.
    ///
    /// A fragment that speaks of something else than energy is a reading without values.
    pub fn poll_reading(&mut self) -> Option<Result<Reading, DecodeError>> {
        Some(self.framer.poll_frame()?.and_then(|fragment| {
            Element::parse(fragment)
                // An EAGLE's body has an element of the same name that is nothing but a word.
                .filter(|fragment| !fragment.children.is_empty())
                .map(|fragment| reading::interpret(&fragment))
                .ok_or(DecodeError::Malformed { offset: 0 })
        }))
    }
}

#[cfg(test)]
mod tests;
