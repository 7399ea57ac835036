//! Bytes to SML frames (transport protocol version 1).
//!
//! A frame is `1B1B1B1B 01010101`, the messages, zeros up to a multiple of four, `1B1B1B1B 1A`, how many zeros, and a
//! CRC-16/X-25 over all of it, low byte first. `1B1B1B1B` among the messages is sent twice. Owns no port and no clock,
//! keeps at most [`MAX_FRAME`] bytes, and after an error continues at the next start. A stream may begin and end in the
//! middle of a frame: that is no error.
//!
//! Source: SML 1.04, chapter 8.

use std::fmt;
use std::ops::Range;

use crate::checksum::{kermit, x25};
use crate::error::DecodeError;

/// Most bytes of one frame: ten times the largest that a meter is known to push.
pub const MAX_FRAME: usize = 8_192;

const ESCAPE: [u8; 4] = [0x1B; 4];
pub(super) const START: [u8; 8] = [0x1B, 0x1B, 0x1B, 0x1B, 1, 1, 1, 1];
/// Escape, mark, count of zeros, checksum.
const TRAILER: usize = 8;
/// The standard allows three zeros; a DZG sends four.
const MOST_PADDING: u8 = 4;

/// A frame whose checksum held.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The messages, and the zeros behind them.
    pub body: &'a [u8],
    /// The checksum was a CRC-16/Kermit, so those of the messages must be, too.
    pub is_kermit: bool,
}

/// Collects bytes and gives frames.
///
/// Invariant: `start <= scanned <= buffer.len() <= MAX_FRAME`; everything before `start` is done with.
#[derive(Default)]
pub struct Framer {
    buffer: Vec<u8>,
    /// First byte not given out or dropped.
    start: usize,
    /// First byte not looked at for the end of the frame that begins at `start`.
    scanned: usize,
    /// An escape was doubled before `scanned`.
    doubled: bool,
    /// The messages of a frame with a doubled escape, each single again.
    plain: Vec<u8>,
}

/// What a look at the buffer found.
enum Found {
    /// A frame up to here.
    Frame(usize),
    /// Another start here.
    Interrupted(usize),
    /// An escape that means nothing here.
    Malformed(usize),
    /// Nothing complete.
    More,
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
        self.buffer.extend_from_slice(&bytes[..taken]);
        taken
    }

    /// The next frame or error. `None`: more bytes are needed.
    pub fn poll_frame(&mut self) -> Option<Result<Frame<'_>, DecodeError>> {
        if self.scanned == self.start && !self.seek() {
            return None;
        }
        let start = self.start;
        match self.look() {
            Found::More if self.buffer.len() - start >= MAX_FRAME => {
                self.drop_to(start + 1);
                Some(Err(DecodeError::TooLong { limit: MAX_FRAME }))
            }
            Found::More => None,
            Found::Interrupted(at) => {
                self.drop_to(at);
                Some(Err(DecodeError::Interrupted { length: at - start }))
            }
            Found::Malformed(at) => {
                self.drop_to(at + ESCAPE.len());
                Some(Err(DecodeError::Malformed { offset: at - start }))
            }
            Found::Frame(end) => match check(&self.buffer[start..end]) {
                Ok(is_kermit) => {
                    let doubled = self.doubled;
                    self.drop_to(end);
                    let body = self.open(start + START.len()..end - TRAILER, doubled);
                    Some(Ok(Frame { body, is_kermit }))
                }
                // Where a frame was cut at a doubled escape, the next one's start lies inside.
                Err(error) => {
                    self.drop_to(start + START.len());
                    Some(Err(error))
                }
            },
        }
    }

    /// The messages of a frame, each doubled escape made single again.
    fn open(&mut self, body: Range<usize>, doubled: bool) -> &[u8] {
        let body = &self.buffer[body];
        if !doubled {
            return body;
        }
        self.plain.clear();
        let mut at = 0;
        while let Some(byte) = body.get(at) {
            if body[at..].starts_with(&ESCAPE) && body[at + 4..].starts_with(&ESCAPE) {
                self.plain.extend_from_slice(&ESCAPE);
                at += 2 * ESCAPE.len();
            } else {
                self.plain.push(*byte);
                at += 1;
            }
        }
        &self.plain
    }

    fn drop_to(&mut self, at: usize) {
        (self.start, self.scanned, self.doubled) = (at, at, false);
    }

    /// Skips what begins no frame. Whether a whole start is there.
    fn seek(&mut self) -> bool {
        let mut at = self.start;
        while let Some(found) = memchr::memchr(START[0], &self.buffer[at..]) {
            at += found;
            let rest = &self.buffer[at..];
            if rest.starts_with(&START) {
                self.drop_to(at);
                return true;
            }
            if START.starts_with(rest) {
                self.drop_to(at);
                return false;
            }
            at += 1;
        }
        self.drop_to(self.buffer.len());
        false
    }

    /// Looks for the end of the frame that begins at `start`.
    #[inline]
    fn look(&mut self) -> Found {
        let mut at = self.scanned.max(self.start + START.len());
        while let Some(found) = memchr::memchr(ESCAPE[0], &self.buffer[at..]) {
            at += found;
            let rest = &self.buffer[at..];
            let Some((escape, rest)) = rest.split_first_chunk::<4>() else {
                if ESCAPE.starts_with(rest) {
                    break;
                }
                at += 1;
                continue;
            };
            if *escape != ESCAPE {
                at += 1;
                continue;
            }
            match rest {
                [0x1B, 0x1B, 0x1B, 0x1B, ..] => {
                    self.doubled = true;
                    at += 2 * ESCAPE.len();
                }
                [0x1A, _, _, _, ..] => return Found::Frame(at + TRAILER),
                [1, 1, 1, 1, ..] => return Found::Interrupted(at),
                // Too short to tell.
                [] | [_] | [_, _] | [_, _, _] => break,
                // The escape begins a byte later.
                [0x1B, ..] => at += 1,
                _ => return Found::Malformed(at),
            }
        }
        // Bytes from `at` on that hold no 1B need no second look; those at an undecided escape do.
        self.scanned = match self.buffer.get(at) {
            Some(0x1B) => at,
            _ => self.buffer.len(),
        };
        Found::More
    }
}

/// Whether a whole frame's checksum is a CRC-16/Kermit; an error if it is neither.
fn check(frame: &[u8]) -> Result<bool, DecodeError> {
    let (covered, sent) = frame.split_at(frame.len() - 2);
    let found = u16::from_le_bytes([sent[0], sent[1]]);
    let expected = x25(covered);
    if found != expected && found != kermit(covered) {
        return Err(DecodeError::Checksum { expected, found });
    }
    match covered.last() {
        Some(..=MOST_PADDING) => Ok(found != expected),
        _ => Err(DecodeError::Malformed { offset: covered.len() - 1 }),
    }
}

impl fmt::Debug for Framer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Framer").field("kept", &(self.buffer.len() - self.start)).finish_non_exhaustive()
    }
}

impl fmt::Debug for Frame<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Frame").field("length", &self.body.len()).finish_non_exhaustive()
    }
}
