//! DLMS/COSEM push: what a meter's HAN port notifies by itself, in clear or ciphered, over HDLC, wired M-Bus, the TCP/UDP
//! wrapper or bare.
//!
//! One idea a file: [`hdlc`], [`mbus`] and [`wrapper`] cut bytes into messages, [`block`] joins general block transfer,
//! [`axdr`] reads the data types, [`push`] the notification, [`layout`] the lists that carry no codes, [`reading`] gives the
//! meaning. [`Decoder`] joins them with the opening of ciphered messages. At most [`MAX_MESSAGE`] bytes are kept.
//!
//! Source: IEC 62056-5-3 (COSEM application layer), IEC 62056-46 (HDLC), EN 13757-2 (M-Bus), IEC 62056-4-7 (wrapper).

pub mod axdr;
pub mod block;
pub mod clock;
pub mod hdlc;
pub mod layout;
pub mod mbus;
pub mod print;
pub mod push;
pub mod reading;
pub mod wrapper;

use crate::error::DecodeError;
use crate::reading::{Reading, Trust};
use crate::security::{Counter, KeyPair, Opened, Opener};
use block::Blocks;

/// The longest message: the longest list known has 2 300 bytes.
pub const MAX_MESSAGE: usize = 8_192;

/// How a message is cut out of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// IEC 62056-46, frame type 3.
    Hdlc,
    /// EN 13757-2, long frames.
    Mbus,
    /// IEC 62056-4-7.
    Wrapper,
}

#[derive(Debug)]
enum Framer {
    Hdlc(hdlc::Framer),
    Mbus(mbus::Framer),
    Wrapper(wrapper::Framer),
}

/// Bytes in, readings out.
#[derive(Debug)]
pub struct Decoder {
    framing: Framing,
    framer: Framer,
    blocks: Blocks,
    opener: Opener,
    /// What is told after a reading that was understood in part.
    pending: Option<DecodeError>,
    /// The message that no key opened, until the next one.
    sealed: Vec<u8>,
}

impl Decoder {
    /// A decoder for one framing that tries these keys, newest first, and accepts nothing at or below these counters.
    pub fn new(framing: Framing, keys: &[KeyPair], counters: Vec<Counter>) -> Self {
        Self {
            framing,
            framer: Framer::new(framing),
            blocks: Blocks::default(),
            opener: Opener::new(keys, counters),
            pending: None,
            sealed: Vec::new(),
        }
    }

    /// Takes bytes, as many as fit; gives how many. Poll until nothing comes, then hand in the rest.
    pub fn handle_bytes(&mut self, bytes: &[u8]) -> usize {
        match &mut self.framer {
            Framer::Hdlc(framer) => framer.handle_bytes(bytes),
            Framer::Mbus(framer) => framer.handle_bytes(bytes),
            Framer::Wrapper(framer) => framer.handle_bytes(bytes),
        }
    }

    /// The link broke: half a message is forgotten. Keys stay, and so do the counters that no later frame may fall below.
    pub fn handle_break(&mut self) {
        self.framer = Framer::new(self.framing);
        self.blocks = Blocks::default();
        self.pending = None;
    }

    /// The next reading, or what became of a message that gave none. `None`: more bytes are needed.
    pub fn poll_reading(&mut self) -> Option<Result<Reading, DecodeError>> {
        if let Some(error) = self.pending.take() {
            return Some(Err(error));
        }
        loop {
            let message = match &mut self.framer {
                Framer::Hdlc(framer) => framer.poll_message(),
                Framer::Mbus(framer) => framer.poll_message(),
                Framer::Wrapper(framer) => framer.poll_message().map(Ok),
            };
            let message = match message? {
                Ok(message) => message,
                Err(error) => return Some(Err(error)),
            };
            let checked = self.framing != Framing::Wrapper;
            let message = if block::is_block(message) {
                match self.blocks.join(message) {
                    Ok(Some(message)) => message,
                    Ok(None) => continue,
                    Err(error) => return Some(Err(error)),
                }
            } else {
                message
            };
            let trust = if checked { Trust::Checked } else { Trust::Unverified };
            let result = read(message, trust, &mut self.opener, &mut self.pending);
            if matches!(result, Err(DecodeError::KeyNeeded | DecodeError::KeyWrong)) {
                self.sealed.clear();
                self.sealed.extend_from_slice(message);
            }
            return Some(result);
        }
    }

    /// The ciphered message behind the last `KeyNeeded` or `KeyWrong`, so that it can be read once its key is known.
    pub fn sealed(&self) -> &[u8] {
        &self.sealed
    }

    /// Bytes since the beginning, under a header that held, of a message that is not whole yet; 0 if none has begun.
    pub fn inside(&self) -> usize {
        match &self.framer {
            Framer::Hdlc(framer) => framer.inside(),
            Framer::Mbus(framer) => framer.inside(),
            Framer::Wrapper(framer) => framer.inside(),
        }
    }

    /// What is known of the meter's counters.
    pub const fn opener(&self) -> &Opener {
        &self.opener
    }

    /// Accepts nothing at or below these counters either.
    pub(crate) fn raise(&mut self, counters: &[Counter]) {
        self.opener.raise(counters);
    }
}

impl Framer {
    fn new(framing: Framing) -> Self {
        match framing {
            Framing::Hdlc => Self::Hdlc(hdlc::Framer::default()),
            Framing::Mbus => Self::Mbus(mbus::Framer::default()),
            Framing::Wrapper => Self::Wrapper(wrapper::Framer::default()),
        }
    }
}

/// Reads one whole message, ciphered or not. `trust`: how far its framing proves it. What was understood only in part leaves
/// its error in `pending`.
pub fn read(
    message: &[u8],
    trust: Trust,
    opener: &mut Opener,
    pending: &mut Option<DecodeError>,
) -> Result<Reading, DecodeError> {
    let message = without_llc(message);
    match message.first() {
        Some(0xDB | 0xDC) => read_opened(&opener.open(message)?, pending),
        _ if opener.authenticates() => Err(DecodeError::TagMissing),
        _ => {
            let found = push::Notification::parse(message)
                .and_then(|notification| reading::interpret(&notification, trust, false))?;
            *pending = found.unread;
            Ok(found.reading)
        }
    }
}

/// Reads an opened notification. What was understood only in part leaves its error in `pending`.
pub(crate) fn read_opened(opened: &Opened<'_>, pending: &mut Option<DecodeError>) -> Result<Reading, DecodeError> {
    let interpreted = push::Notification::parse(opened.plain)
        .and_then(|notification| reading::interpret(&notification, opened.trust, true));
    let is_authenticated = opened.trust == Trust::Authenticated;
    match interpreted {
        // Without a tag only a notification that is whole to its last byte is believed at all.
        Ok(found) if is_authenticated || found.unread.is_none() => {
            *pending = found.unread;
            let mut reading = found.reading;
            reading.counter = opened.counter;
            Ok(reading)
        }
        Err(error) if is_authenticated => Err(error),
        Err(error @ DecodeError::LayoutUnclear { .. }) => Err(error),
        Ok(_) | Err(_) => Err(DecodeError::KeyWrong),
    }
}

/// A message without the three bytes of the logical link control that HDLC puts before it.
pub(crate) fn without_llc(message: &[u8]) -> &[u8] {
    message.strip_prefix(&[0xE6, 0xE7, 0x00]).or_else(|| message.strip_prefix(&[0xE6, 0xE6, 0x00])).unwrap_or(message)
}

#[cfg(test)]
mod tests;
