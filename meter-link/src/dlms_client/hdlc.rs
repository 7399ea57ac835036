//! HDLC as a client speaks it: one connection, window 1, segments, repeats. Owns no clock: the caller says when to repeat.
//!
//! A frame is taken by its length and both checksums, never by searching for its end. Frames for others, repeated ones and
//! damaged ones are dropped. Keeps at most one frame and one message of [`MAX_MESSAGE`] bytes.
//!
//! Source: IEC 62056-46, sections 6.4 (frames) and 6.5 (connection, information transfer).

use std::collections::VecDeque;

use super::{MAX_MESSAGE, error::ClientError};
use crate::checksum::x25;
use crate::error::DecodeError;

const FLAG: u8 = 0x7E;
const SET_NORMAL: u8 = 0x93;
const DISCONNECT: u8 = 0x53;
const ACKNOWLEDGE: u8 = 0x73;
const DISCONNECTED: u8 = 0x1F;
const REJECT: u8 = 0x97;
/// What both sides take until they agree on more.
const DEFAULT_INFORMATION: u16 = 128;
/// A frame's own bytes beside its information, at most: two addresses of four, control, two checksums, format.
const OVERHEAD: usize = 16;

/// What came over the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Connected,
    Disconnected,
    Message(Vec<u8>),
}

/// The connection.
#[derive(Clone, Debug)]
pub(crate) struct Hdlc {
    /// As sent: lowest bit ends an address.
    client: Vec<u8>,
    server: Vec<u8>,
    /// What we offer to take per frame. `None`: nothing is said, so 128.
    offered: Option<u16>,
    /// What the meter takes per frame.
    theirs: usize,
    /// Number of our next frame, and of the one expected. < 8
    sending: u8,
    expecting: u8,
    closing: bool,
    /// Not yet a whole frame.
    buffer: Vec<u8>,
    /// Segments so far.
    message: Vec<u8>,
    /// Segments not yet sent, with whether more follow.
    waiting: VecDeque<(bool, Vec<u8>)>,
    /// To be sent again if no answer comes. Empty: nothing is open.
    last: Vec<u8>,
}

impl Hdlc {
    pub(crate) fn new(client: u8, logical: u16, physical: Option<u16>, offered: Option<u16>) -> Self {
        Self {
            client: vec![client << 1 | 1],
            server: address(logical, physical),
            offered,
            theirs: usize::from(DEFAULT_INFORMATION),
            sending: 0,
            expecting: 0,
            closing: false,
            buffer: Vec::new(),
            message: Vec::new(),
            waiting: VecDeque::new(),
            last: Vec::new(),
        }
    }

    pub(crate) fn connect(&mut self) -> Vec<u8> {
        let mut information = Vec::new();
        if let Some([high, low]) = self.offered.map(u16::to_be_bytes) {
            information = vec![0x81, 0x80, 0x14, 5, 2, high, low, 6, 2, high, low, 7, 4, 0, 0, 0, 1, 8, 4, 0, 0, 0, 1];
        }
        self.keep(SET_NORMAL, false, &information)
    }

    pub(crate) fn disconnect(&mut self) -> Vec<u8> {
        self.closing = true;
        self.keep(DISCONNECT, false, &[])
    }

    /// Cuts a message into segments; gives the first frame.
    pub(crate) fn send(&mut self, apdu: &[u8]) -> Vec<u8> {
        let message = [&[0xE6, 0xE6, 0x00], apdu].concat();
        let mut parts = message.chunks(self.theirs.max(8)).peekable();
        while let Some(part) = parts.next() {
            self.waiting.push_back((parts.peek().is_some(), part.to_vec()));
        }
        self.next().unwrap_or_default()
    }

    /// The last frame again. Empty: no answer is open.
    pub(crate) fn repeat(&self) -> Vec<u8> {
        self.last.clone()
    }

    /// Takes bytes; adds frames to be sent to `out`.
    pub(crate) fn handle(
        &mut self,
        bytes: &[u8],
        out: &mut VecDeque<Vec<u8>>,
        heard: &mut Vec<Result<Heard, ClientError>>,
    ) {
        for part in bytes.chunks(256) {
            self.buffer.extend(part);
            while let Some((skip, frame)) = self.cut() {
                if let Some((control, segmented, information)) = frame {
                    self.take(control, segmented, &information, out, heard);
                }
                self.buffer.drain(..skip);
            }
        }
    }

    /// How many bytes to drop, and the frame in them. `None`: more bytes are needed.
    #[expect(clippy::type_complexity, reason = "a frame's three parts, used once")]
    fn cut(&self) -> Option<(usize, Option<(u8, bool, Vec<u8>)>)> {
        if self.buffer.is_empty() {
            return None;
        }
        let Some(start) = self.buffer.iter().position(|byte| *byte == FLAG) else {
            return Some((self.buffer.len(), None));
        };
        if start > 0 {
            return Some((start, None));
        }
        let [_, high, low, ..] = self.buffer[..] else { return None };
        if high & 0xF0 != 0xA0 {
            return Some((1, None));
        }
        let length = usize::from(high & 7) << 8 | usize::from(low);
        let frame = self.buffer.get(1..=length)?;
        let end = self.buffer.get(length + 1)?;
        // The closing flag may open the next frame.
        match open(frame, &self.client, &self.server) {
            Some(frame) if *end == FLAG => {
                Some((length + 1, frame.map(|(control, rest)| (control, high & 8 != 0, rest.to_vec()))))
            }
            _ => Some((1, None)),
        }
    }

    fn take(
        &mut self,
        control: u8,
        segmented: bool,
        information: &[u8],
        out: &mut VecDeque<Vec<u8>>,
        heard: &mut Vec<Result<Heard, ClientError>>,
    ) {
        match control {
            ACKNOWLEDGE if self.closing => {
                self.last.clear();
                heard.push(Ok(Heard::Disconnected));
            }
            ACKNOWLEDGE if self.last.is_empty() => (),
            ACKNOWLEDGE => {
                self.theirs = usize::from(agreed(information).unwrap_or(DEFAULT_INFORMATION));
                self.last.clear();
                heard.push(Ok(Heard::Connected));
            }
            DISCONNECTED if self.closing => heard.push(Ok(Heard::Disconnected)),
            DISCONNECTED | REJECT => heard.push(Err(ClientError::LinkRefused)),
            // Receive ready: the next segment, unless it acknowledges less than was sent.
            _ if control & 0x0F == 1 && control >> 5 == self.sending => {
                if let Some(frame) = self.next() {
                    out.push_back(frame);
                }
            }
            _ if control & 1 == 0 && (control >> 1) & 7 == self.expecting => {
                self.expecting = (self.expecting + 1) & 7;
                self.last.clear();
                if self.message.len() + information.len() > MAX_MESSAGE {
                    self.message.clear();
                    heard.push(Err(DecodeError::TooLong { limit: MAX_MESSAGE }.into()));
                    return;
                }
                self.message.extend(information);
                if segmented {
                    // Receive ready.
                    out.push_back(self.keep(self.expecting << 5 | 0x11, false, &[]));
                    return;
                }
                let message = std::mem::take(&mut self.message);
                heard.push(match message.strip_prefix(&[0xE6, 0xE7, 0x00]) {
                    Some(apdu) => Ok(Heard::Message(apdu.to_vec())),
                    None => Err(DecodeError::Malformed { offset: 0 }.into()),
                });
            }
            _ => (),
        }
    }

    /// The next segment as a frame.
    fn next(&mut self) -> Option<Vec<u8>> {
        let (more, part) = self.waiting.pop_front()?;
        let control = self.expecting << 5 | 0x10 | self.sending << 1;
        self.sending = (self.sending + 1) & 7;
        Some(self.keep(control, more, &part))
    }

    fn keep(&mut self, control: u8, segmented: bool, information: &[u8]) -> Vec<u8> {
        self.last = frame(&self.server, &self.client, control, segmented, information);
        self.last.clone()
    }
}

/// An address with its ends: upper (logical) alone, or upper and lower (physical) of one or two bytes each.
fn address(logical: u16, physical: Option<u16>) -> Vec<u8> {
    let pair = |number: u16| [((number >> 6) & 0xFE) as u8, ((number << 1) & 0xFE) as u8];
    let mut address = match physical {
        None if logical < 0x80 => vec![(logical << 1) as u8],
        None => pair(logical).to_vec(),
        Some(physical) if logical < 0x80 && physical < 0x80 => vec![(logical << 1) as u8, (physical << 1) as u8],
        Some(physical) => [pair(logical), pair(physical)].concat(),
    };
    if let Some(last) = address.last_mut() {
        *last |= 1;
    }
    address
}

fn frame(to: &[u8], from: &[u8], control: u8, segmented: bool, information: &[u8]) -> Vec<u8> {
    let check = if information.is_empty() { 0 } else { 2 };
    let length = 2 + to.len() + from.len() + 1 + check + information.len() + 2;
    debug_assert!(length <= 0x7FF && length <= information.len() + OVERHEAD);
    let mut frame = vec![0xA0 | (length >> 8) as u8 & 7 | if segmented { 8 } else { 0 }, length as u8];
    frame.extend([to, from, &[control]].concat());
    if !information.is_empty() {
        let sum = x25(&frame);
        frame.extend(sum.to_le_bytes());
        frame.extend(information);
    }
    let sum = x25(&frame);
    frame.extend(sum.to_le_bytes());
    [&[FLAG], &frame[..], &[FLAG]].concat()
}

/// Control and information of an undamaged frame; inner `None` if it is for another. Outer `None`: damaged.
fn open<'a>(frame: &'a [u8], to: &[u8], from: &[u8]) -> Option<Option<(u8, &'a [u8])>> {
    let (body, sum) = frame.split_last_chunk::<2>()?;
    if x25(body) != u16::from_le_bytes(*sum) {
        return None;
    }
    let Some(rest) = body.get(2..).and_then(|rest| rest.strip_prefix(to)).and_then(|rest| rest.strip_prefix(from))
    else {
        return Some(None);
    };
    let (control, rest) = rest.split_first()?;
    let Some((sum, information)) = rest.split_first_chunk::<2>() else { return Some(Some((*control, &[]))) };
    let head = &body[..body.len() - rest.len()];
    (x25(head) == u16::from_le_bytes(*sum)).then_some(Some((*control, information)))
}

/// The most that the meter takes in one frame, out of its answer to the connection.
fn agreed(information: &[u8]) -> Option<u16> {
    let mut rest = information.strip_prefix(&[0x81, 0x80])?.get(1..)?;
    while let [kind, length, more @ ..] = rest {
        let value = more.get(..usize::from(*length))?;
        // What it receives at most: 6; what it sends at most (5) is its own affair.
        if *kind == 6 && !value.is_empty() {
            let value = value.iter().fold(0_u32, |sum, byte| sum << 8 | u32::from(*byte));
            // A frame's length has eleven bits.
            return Some(value.clamp(8, 2_030) as u16);
        }
        rest = &more[usize::from(*length)..];
    }
    None
}
