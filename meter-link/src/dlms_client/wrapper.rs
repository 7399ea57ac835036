//! The wrapper of TCP and UDP: version, two ports, length. Keeps at most one message.
//!
//! Source: IEC 62056-47, section 4.

use crate::error::DecodeError;

/// Version, source, destination, length.
const HEADER: usize = 8;

/// Both ends of a wrapped connection.
#[derive(Clone, Debug)]
pub(crate) struct Wrapper {
    client: u16,
    server: u16,
    /// Not yet a whole message. Never longer than a header and 65535 bytes.
    buffer: Vec<u8>,
}

impl Wrapper {
    pub(crate) const fn new(client: u16, server: u16) -> Self {
        Self { client, server, buffer: Vec::new() }
    }

    pub(crate) fn frame(&self, apdu: &[u8]) -> Vec<u8> {
        let mut frame = vec![0, 1];
        frame.extend(self.client.to_be_bytes());
        frame.extend(self.server.to_be_bytes());
        // The caller sends at most what the meter takes, which is a u16.
        frame.extend((apdu.len() as u16).to_be_bytes());
        frame.extend(apdu);
        frame
    }

    /// Takes some bytes; gives how many, and a message if it is whole.
    pub(crate) fn handle(&mut self, bytes: &[u8]) -> (usize, Option<Result<Vec<u8>, DecodeError>>) {
        let mut taken = 0;
        if self.buffer.len() < HEADER {
            taken = (HEADER - self.buffer.len()).min(bytes.len());
            self.buffer.extend(&bytes[..taken]);
            if self.buffer.len() < HEADER {
                return (taken, None);
            }
        }
        let field = |place: usize| u16::from_be_bytes([self.buffer[place], self.buffer[place + 1]]);
        if field(0) != 1 {
            self.buffer.clear();
            return (bytes.len(), Some(Err(DecodeError::Malformed { offset: 0 })));
        }
        let whole = HEADER + usize::from(field(6));
        let is_ours = field(2) == self.server && field(4) == self.client;
        let more = (whole - self.buffer.len()).min(bytes.len() - taken);
        self.buffer.extend(&bytes[taken..taken + more]);
        taken += more;
        if self.buffer.len() < whole {
            return (taken, None);
        }
        let message = std::mem::take(&mut self.buffer).split_off(HEADER);
        (taken, is_ours.then_some(Ok(message)))
    }
}
