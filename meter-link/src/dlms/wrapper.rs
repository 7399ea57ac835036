//! Bytes to messages over the TCP/UDP wrapper: version 1, source, destination, length (IEC 62056-4-7).
//!
//! Has no checksum: TCP has one, and a reading that came so is `Unverified` unless its own tag says more.

use super::MAX_MESSAGE;

/// Version, source, destination, length.
const HEADER: usize = 8;

/// Cuts bytes into messages.
#[derive(Debug, Default)]
pub struct Framer {
    buffer: Vec<u8>,
    /// Bytes at the buffer's start that were handed out.
    used: usize,
    /// Bytes were passed over, so that a header may be none; until then, one begins where the connection or the last message
    /// left off, whatever it holds.
    is_astray: bool,
}

impl Framer {
    /// Takes bytes, as many as fit; gives how many.
    pub fn handle_bytes(&mut self, bytes: &[u8]) -> usize {
        self.buffer.drain(..std::mem::take(&mut self.used));
        let taken = bytes.len().min((HEADER + MAX_MESSAGE).saturating_sub(self.buffer.len()));
        self.buffer.extend_from_slice(&bytes[..taken]);
        taken
    }

    /// Bytes since the beginning of a message that is not whole yet; 0 if none has begun.
    pub fn inside(&self) -> usize {
        let unread = self.buffer.len() - self.used;
        if unread >= HEADER { unread } else { 0 }
    }

    /// The next whole message. `None`: more bytes are needed. Bytes that begin no header are passed over one by one.
    pub fn poll_message(&mut self) -> Option<&[u8]> {
        loop {
            let rest = self.buffer.get(self.used..)?;
            let (header, body) = rest.split_first_chunk::<HEADER>()?;
            let length = usize::from(header[6]) << 8 | usize::from(header[7]);
            let is_header = header[..2] == [0, 1] && (1..=MAX_MESSAGE).contains(&length);
            if !is_header || self.is_astray && !is_begun(body) {
                self.used += 1;
                self.is_astray = true;
                continue;
            }
            if body.len() < length {
                return None;
            }
            let start = self.used + HEADER;
            (self.used, self.is_astray) = (start + length, false);
            return self.buffer.get(start..start + length);
        }
    }
}

/// Whether a body begins as a message does. An empty one may yet.
fn is_begun(body: &[u8]) -> bool {
    matches!(body.first(), None | Some(0x0F | 0xDB | 0xDC | 0xE0))
}
