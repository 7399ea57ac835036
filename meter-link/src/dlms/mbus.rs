//! Bytes to messages over wired M-Bus: long frames, segments joined (EN 13757-2, EN 13757-3 annex on DLMS).
//!
//! `68 L L 68`, L bytes, their sum, `16`. Some Sagemcom meters let L wrap and mean 256 more. The control information
//! carries the segment's number and whether it is the last; two bytes of service access points follow.

use super::MAX_MESSAGE;
use crate::error::DecodeError;

const START: u8 = 0x68;
const STOP: u8 = 0x16;
/// Control, address, control information, source and destination.
const HEADER: usize = 5;
/// The longest frame: a length that wrapped, and the six bytes around.
const MAX_FRAME: usize = 6 + 256 + HEADER;
/// Control information: the last segment.
const FINAL: u8 = 0x10;

/// Cuts bytes into messages.
#[derive(Debug, Default)]
pub struct Framer {
    buffer: Vec<u8>,
    /// Start of what was not looked at yet. start <= buffer.len()
    start: usize,
    /// Segments of a message so far.
    message: Vec<u8>,
    /// Number of the next segment. 0 if and only if `message` is empty, or was handed out.
    next: u8,
}

/// What lies at the start of the buffer.
enum Found {
    /// A frame of so many bytes.
    Frame(usize),
    /// Start and stop were there, the sum was wrong.
    Damaged { expected: u16, found: u16 },
    /// More bytes are needed.
    Short,
    /// No frame begins here.
    Nothing,
}

impl Framer {
    /// Takes bytes, as many as fit; gives how many.
    pub fn handle_bytes(&mut self, bytes: &[u8]) -> usize {
        if self.start > 0 && self.buffer.len() + bytes.len() > MAX_FRAME {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        let taken = bytes.len().min(MAX_FRAME.saturating_sub(self.buffer.len()));
        self.buffer.extend_from_slice(&bytes[..taken]);
        taken
    }

    /// Bytes since the beginning of a message that is not whole yet; 0 if none has begun, `usize::MAX` after its first frame.
    pub fn inside(&self) -> usize {
        match self.buffer.len() - self.start {
            _ if self.next > 0 => usize::MAX,
            unread @ 4.. => unread,
            _ => 0,
        }
    }

    /// The next whole message. `None`: more bytes are needed.
    pub fn poll_message(&mut self) -> Option<Result<&[u8], DecodeError>> {
        if self.next == 0 {
            self.message.clear();
        }
        loop {
            let Some(place) = memchr::memchr(START, &self.buffer[self.start..]) else {
                self.start = self.buffer.len();
                return None;
            };
            self.start += place;
            match look(&self.buffer[self.start..]) {
                Found::Short => return None,
                Found::Nothing => self.start += 1,
                Found::Damaged { expected, found } => {
                    self.start += 1;
                    self.next = 0;
                    return Some(Err(DecodeError::Checksum { expected, found }));
                }
                Found::Frame(length) => {
                    let frame = &self.buffer[self.start + 4..self.start + length - 2];
                    let (number, data) = (frame[2] & 0x0F, &frame[HEADER..]);
                    if number != self.next {
                        // The rest of the message before was lost, or the first segment of this one. A first one is looked
                        // at again.
                        let expected = u16::from(std::mem::take(&mut self.next));
                        self.start += if number == 0 { 0 } else { length };
                        return Some(Err(DecodeError::PartMissing { expected, found: u16::from(number) }));
                    }
                    self.start += length;
                    if self.message.len() + data.len() > MAX_MESSAGE {
                        self.next = 0;
                        return Some(Err(DecodeError::TooLong { limit: MAX_MESSAGE }));
                    }
                    self.message.extend_from_slice(data);
                    let is_final = frame[2] & FINAL != 0;
                    self.next = if is_final { 0 } else { number + 1 };
                    if is_final {
                        return Some(Ok(&self.message));
                    }
                }
            }
        }
    }
}

/// Looks at bytes that begin with the start byte.
fn look(bytes: &[u8]) -> Found {
    let [_, length, again, start, ..] = bytes else { return Found::Short };
    if length != again || *start != START {
        return Found::Nothing;
    }
    // A length too short for a header has wrapped.
    let length = usize::from(*length) + if usize::from(*length) <= HEADER { 256 } else { 0 };
    if bytes.get(4).is_some_and(|control| !matches!(control, 0x53 | 0x73)) {
        return Found::Nothing;
    }
    let Some(frame) = bytes.get(4..4 + length + 2) else { return Found::Short };
    let (expected, found) = (frame[..length].iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)), frame[length]);
    match frame[length + 1] {
        STOP if found == expected => Found::Frame(4 + length + 2),
        STOP => Found::Damaged { expected: u16::from(expected), found: u16::from(found) },
        _ => Found::Nothing,
    }
}
