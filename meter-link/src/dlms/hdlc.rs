//! Bytes to HDLC information fields (IEC 62056-46, frame format type 3), segments joined.
//!
//! Trusts the length, never searches for the closing flag (7E occurs inside, nothing is stuffed); believes a length only
//! under its header checksum; an information field only under the frame's. After an error it goes on at the next flag.

use super::MAX_MESSAGE;
use crate::checksum::x25;
use crate::error::DecodeError;

const FLAG: u8 = 0x7E;
/// Format type 3 in the high four bits.
const FORMAT: u8 = 0xA0;
/// The message goes on in the next frame.
const SEGMENTED: u8 = 0x08;
/// The longest frame that eleven bits of length can say, and its two flags.
const MAX_FRAME: usize = 0x7FF + 2;

/// Cuts bytes into messages.
#[derive(Debug, Default)]
pub struct Framer {
    buffer: Vec<u8>,
    /// Start of what was not looked at yet. start <= buffer.len()
    start: usize,
    /// Information fields of a message so far.
    message: Vec<u8>,
    /// How many they were; 0 once the message was handed out or dropped.
    parts: u16,
}

/// What lies at the start of the buffer.
enum Found {
    /// A frame: bytes of it up to (not including) its closing flag, where its information lies, whether more follows.
    Frame { length: usize, information: std::ops::Range<usize>, segmented: bool },
    /// Its header held and its checksum did not.
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
            _ if self.parts > 0 => usize::MAX,
            // What begins with a flag and was not passed over has a header that held, or not yet all of it.
            unread @ 3.. => unread,
            _ => 0,
        }
    }

    /// The next whole message. `None`: more bytes are needed.
    pub fn poll_message(&mut self) -> Option<Result<&[u8], DecodeError>> {
        if self.parts == 0 {
            self.message.clear();
        }
        loop {
            let rest = &self.buffer[self.start..];
            let Some(flag) = memchr::memchr(FLAG, rest) else {
                self.start = self.buffer.len();
                return None;
            };
            self.start += flag;
            match look(&self.buffer[self.start..]) {
                Found::Short => return None,
                Found::Nothing => self.start += 1,
                Found::Damaged { expected, found } => {
                    self.start += 1;
                    self.parts = 0;
                    return Some(Err(DecodeError::Checksum { expected, found }));
                }
                Found::Frame { length, information, segmented } => {
                    let information = &self.buffer[self.start + information.start..self.start + information.end];
                    let begins = matches!(information, [0xE6, 0xE6 | 0xE7, 0x00, ..]);
                    if begins && self.parts > 0 {
                        // The rest of the message before was lost. This frame is looked at again, as a first one.
                        let expected = std::mem::take(&mut self.parts) + 1;
                        self.message.clear();
                        return Some(Err(DecodeError::PartMissing { expected, found: 1 }));
                    }
                    // The closing flag may open the next frame.
                    self.start += length;
                    if information.is_empty() {
                        continue;
                    }
                    if self.parts == 0 && !begins && !matches!(information[0], 0x0F | 0xDB | 0xDC | 0xE0) {
                        return Some(Err(DecodeError::PartMissing { expected: 1, found: 2 }));
                    }
                    if self.message.len() + information.len() > MAX_MESSAGE {
                        self.parts = 0;
                        return Some(Err(DecodeError::TooLong { limit: MAX_MESSAGE }));
                    }
                    self.message.extend_from_slice(information);
                    self.parts = if segmented { self.parts + 1 } else { 0 };
                    if !segmented {
                        return Some(Ok(&self.message));
                    }
                }
            }
        }
    }
}

/// Looks at bytes that begin with a flag.
fn look(bytes: &[u8]) -> Found {
    let [_, format, low, rest @ ..] = bytes else { return Found::Short };
    if format & 0xF0 != FORMAT {
        return Found::Nothing;
    }
    let length = usize::from(format & 0x07) << 8 | usize::from(*low);
    let (Some(destination), source) = (address(rest), |at: usize| rest.get(at..).and_then(address)) else {
        return if rest.len() < 4 { Found::Short } else { Found::Nothing };
    };
    let Some(source) = source(destination) else {
        return if rest.len() < 8 { Found::Short } else { Found::Nothing };
    };
    // Format, addresses, control; then the header's checksum, the information, the frame's checksum.
    let header = 2 + destination + source + 1;
    if length < header + 2 {
        return Found::Nothing;
    }
    let check = |end: usize| {
        let (bytes, sent) = bytes.get(1..=end + 2)?.split_last_chunk::<2>()?;
        Some((x25(bytes), u16::from_le_bytes(*sent)))
    };
    match check(header) {
        None => return Found::Short,
        Some((expected, found)) if expected != found => return Found::Nothing,
        Some(_) => (),
    }
    let Some(closing) = bytes.get(1 + length) else { return Found::Short };
    match check(length - 2) {
        Some((expected, found)) if expected == found && *closing == FLAG => Found::Frame {
            length: 1 + length,
            information: if length > header + 4 { 1 + header + 2..1 + length - 2 } else { 0..0 },
            segmented: format & SEGMENTED != 0,
        },
        Some((expected, found)) => Found::Damaged { expected, found },
        None => Found::Nothing,
    }
}

/// Length of an address: its last byte has the lowest bit set; one, two or four bytes.
fn address(bytes: &[u8]) -> Option<usize> {
    bytes.iter().take(4).position(|byte| byte & 1 == 1).map(|place| place + 1)
}
