//! SML: the file that a German meter pushes through its optical port every one to four seconds (eHZ, EDL21, mME).
//!
//! One idea a file: [`transport`] cuts bytes into frames, [`message`] walks the grammar, [`reading`] gives the meaning,
//! [`quirks`] lists what single meters do differently, [`print`] writes such files. No clock, no port; at most
//! [`transport::MAX_FRAME`] bytes are kept. Anybody with a lamp could have sent a frame: none is more than
//! [`Trust::Checked`](crate::reading::Trust::Checked).
//!
//! Source: BSI TR-03109-1 annex IV (SML 1.04, transport protocol version 1), FNN Lastenheft EDL 1.0.

pub mod message;
pub mod print;
pub mod quirks;
pub mod reading;
pub mod transport;

use crate::error::DecodeError;
use crate::reading::{Reading, Trust};
use transport::Framer;

/// Bytes in, readings out: one for each file that holds a list of values.
#[derive(Debug)]
pub struct Decoder {
    framer: Framer,
    /// The last reading; its memory serves the next.
    reading: Reading,
    /// What was wrong with messages of the last file, told after its reading; the last is told first.
    pending: Vec<DecodeError>,
}

impl Decoder {
    /// A decoder at the start of a stream, which may begin in the middle of a file.
    pub fn new() -> Self {
        Self { framer: Framer::default(), reading: Reading::new("sml", Trust::Checked), pending: Vec::new() }
    }

    /// Takes bytes, as many as fit; gives how many. Poll until nothing comes, then hand in the rest.
    pub fn handle_bytes(&mut self, bytes: &[u8]) -> usize {
        self.framer.handle_bytes(bytes)
    }

    /// The input has ended. Half a file stays half a file; what is whole is still given.
    pub const fn handle_end(&mut self) {}

    /// The link broke: half a file is forgotten.
    pub fn handle_break(&mut self) {
        self.framer = Framer::default();
        self.pending.clear();
    }

    /// The next reading, or what became of a file or message that gave none. `None`: more bytes are needed.
    pub fn poll_reading(&mut self) -> Option<Result<Reading, DecodeError>> {
        self.poll().map(|result| result.cloned())
    }

    /// The same, lent until the next poll: a file like the one before it then costs no allocation.
    pub fn poll(&mut self) -> Option<Result<&Reading, DecodeError>> {
        loop {
            if let Some(error) = self.pending.pop() {
                return Some(Err(error));
            }
            let Self { framer, reading, pending } = self;
            let is_reading = match framer.poll_frame()? {
                Err(error) => return Some(Err(error)),
                Ok(frame) => reading::interpret(&frame, reading, |error| pending.push(error)),
            };
            pending.reverse();
            if is_reading {
                return Some(Ok(&self.reading));
            }
        }
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
