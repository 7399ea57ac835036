//! TIC (télé-information client): the groups that a French meter sends by itself, historique (1200 baud, older meters and
//! Linky by default) and standard (9600 baud, Linky on request).
//!
//! [`framer`] cuts bytes into frames, [`group`] reads and checks each group, [`labels`] is the table of labels, [`reading`]
//! gives the meaning. Both modes go through one decoder: each group tells its own by its separator, so an operator who
//! switches the mode loses nothing but the frame in between. The bytes may carry their parity bit, see [`crate::parity`].
//! No clock, no port; at most [`framer::MAX_FRAME`] bytes are kept. There is no key and no signature: a checksum of six bits
//! per group is all there is, so lengths and characters are checked as well.
//!
//! Source: Enedis-NOI-CPT_54E (Linky), Enedis-NOI-CPT_02E (older meters).

pub mod framer;
pub mod group;
pub mod labels;
pub mod print;
pub mod reading;

use std::collections::VecDeque;

use crate::error::DecodeError;
use crate::reading::Reading;
use framer::Framer;

/// Bytes in, readings out.
#[derive(Debug, Default)]
pub struct Decoder {
    framer: Framer,
    /// What was wrong with single groups of the frame just given, told after its reading.
    pending: VecDeque<DecodeError>,
}

impl Decoder {
    /// A decoder that waits for a frame to begin.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes, as many as fit; gives how many. Poll until nothing comes, then hand in the rest.
    pub fn handle_bytes(&mut self, bytes: &[u8]) -> usize {
        self.framer.handle_bytes(bytes)
    }

    /// The input has ended. A frame without an end stays none.
    pub fn handle_end(&mut self) {}

    /// The link broke: half a frame is forgotten.
    pub fn handle_break(&mut self) {
        *self = Self::default();
    }

    /// The next reading, or what became of a frame or a group that gave none. `None`: more bytes are needed.
    pub fn poll_reading(&mut self) -> Option<Result<Reading, DecodeError>> {
        if let Some(error) = self.pending.pop_front() {
            return Some(Err(error));
        }
        let frame = match self.framer.poll_frame()? {
            Ok(frame) => frame,
            Err(error) => return Some(Err(error)),
        };
        let reading = reading::interpret(frame, |error| self.pending.push_back(error));
        match reading {
            Some(reading) => Some(Ok(reading)),
            None => Some(Err(self.pending.pop_front().unwrap_or(DecodeError::Malformed { offset: 0 }))),
        }
    }
}

#[cfg(test)]
mod tests;
