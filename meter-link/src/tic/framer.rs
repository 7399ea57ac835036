//! Bytes to TIC frames: what stands between STX and ETX.
//!
//! A meter breaks a frame off with EOT; another STX begins another frame. Owns no port and no clock, keeps at most
//! [`MAX_FRAME`] bytes, and after an error continues at the next STX.
//!
//! Source: Enedis-NOI-CPT_54E, section 5.3.

use crate::error::DecodeError;
use crate::parity::Stripper;

/// Most bytes of one frame: three times the longest known (1.4 kB, Linky standard, three phases with injection).
pub const MAX_FRAME: usize = 4_096;

pub(super) const STX: u8 = 0x02;
pub(super) const ETX: u8 = 0x03;
pub(super) const EOT: u8 = 0x04;

/// Collects bytes and gives frames.
///
/// Invariant: `start <= scanned <= buffer.len() <= MAX_FRAME`; everything before `start` is done with. The buffer holds no
/// parity bits.
#[derive(Debug)]
pub struct Framer {
    buffer: Vec<u8>,
    /// First byte not given out or dropped.
    start: usize,
    /// First byte not looked at for the end of the frame that begins at `start`.
    scanned: usize,
    stripper: Stripper,
}

impl Default for Framer {
    fn default() -> Self {
        Self { buffer: Vec::new(), start: 0, scanned: 0, stripper: Stripper::new(STX) }
    }
}

impl Framer {
    /// Takes as many bytes as fit and gives how many.
    pub fn handle_bytes(&mut self, bytes: &[u8]) -> usize {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.scanned -= self.start;
            self.start = 0;
        }
        let taken = bytes.len().min(MAX_FRAME - self.buffer.len());
        let Self { buffer, stripper, .. } = self;
        buffer.extend(bytes[..taken].iter().map(|byte| stripper.strip(*byte)));
        taken
    }

    /// The next frame, without its STX and ETX, or error. `None`: more bytes are needed.
    pub fn poll_frame(&mut self) -> Option<Result<&[u8], DecodeError>> {
        if self.scanned == self.start {
            let rest = &self.buffer[self.start..];
            self.drop_to(self.start + memchr::memchr(STX, rest).unwrap_or(rest.len()));
            self.scanned = self.buffer.len().min(self.start + 1);
        }
        let Some(found) = memchr::memchr3(STX, ETX, EOT, &self.buffer[self.scanned..]) else {
            if self.buffer.len() - self.start >= MAX_FRAME {
                self.drop_to(self.start + 1);
                return Some(Err(DecodeError::TooLong { limit: MAX_FRAME }));
            }
            self.scanned = self.buffer.len();
            return None;
        };
        let (start, end) = (self.start, self.scanned + found);
        match self.buffer[end] {
            ETX => {
                self.drop_to(end + 1);
                Some(Ok(&self.buffer[start + 1..end]))
            }
            EOT => {
                self.drop_to(end + 1);
                Some(Err(DecodeError::BrokenOff))
            }
            _ => {
                self.drop_to(end);
                Some(Err(DecodeError::Interrupted { length: end - start }))
            }
        }
    }

    fn drop_to(&mut self, at: usize) {
        (self.start, self.scanned) = (at, at);
    }
}
