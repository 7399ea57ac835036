//! Bytes to D0 telegrams.
//!
//! A telegram begins with `/` and its identification. A readout follows between STX and ETX with a block check (the XOR of
//! all after STX to ETX); a pushed telegram ends with `!` at the start of a line and has no check. What has one is P1 and is
//! passed over, and so are the reader's own sign-on `/?!` and its ACK, which an optical head echoes. Owns no port and no
//! clock, keeps at most [`MAX_FRAME`] bytes, and after an error continues at the next `/`.
//!
//! Source: IEC 62056-21, sections 6.3 and 6.5.

use crate::error::DecodeError;
use crate::parity::Stripper;

/// Most bytes of one telegram: nearly twice the longest known (9.5 kB, fifteen months of an Iskra MT174).
pub const MAX_FRAME: usize = 16_384;

/// Most bytes of an identification line: three times what the standard allows.
const MAX_IDENTIFICATION: usize = 64;

pub(super) const STX: u8 = 0x02;
pub(super) const ETX: u8 = 0x03;
const ACK: u8 = 0x06;

/// One telegram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What stands after `/` on the first line.
    pub identification: &'a [u8],
    /// The lines after it.
    pub body: &'a [u8],
    /// Whether a block check was there; it held then.
    pub checked: bool,
}

/// Collects bytes and gives telegrams.
///
/// Invariant: `start <= scanned <= buffer.len() <= MAX_FRAME`; everything before `start` is done with. The buffer holds no
/// parity bits.
#[derive(Debug)]
pub struct Framer {
    buffer: Vec<u8>,
    /// First byte not given out or dropped.
    start: usize,
    /// First byte not looked at for the end of the telegram that begins at `start`.
    scanned: usize,
    /// No more bytes come.
    ended: bool,
    stripper: Stripper,
}

impl Default for Framer {
    fn default() -> Self {
        Self { buffer: Vec::new(), start: 0, scanned: 0, ended: false, stripper: Stripper::new(b'/') }
    }
}

/// What a look at the buffer found. Places count from `start`.
enum Found {
    /// Another telegram begins here.
    Interrupted(usize),
    /// Nothing complete; looked at up to here.
    More(usize),
    /// No telegram begins here after all.
    Nothing,
    /// A telegram.
    Telegram { identification: usize, body: (usize, usize), end: usize, check: Check },
}

/// What stands for the bytes of a telegram.
enum Check {
    Block { expected: u8, found: Option<u8> },
    None,
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

    /// No more bytes come.
    pub const fn handle_end(&mut self) {
        self.ended = true;
    }

    /// The next telegram or error. `None`: more bytes are needed.
    pub fn poll_frame(&mut self) -> Option<Result<Frame<'_>, DecodeError>> {
        loop {
            if self.scanned == self.start {
                let rest = &self.buffer[self.start..];
                self.drop_to(self.start + memchr::memchr(b'/', rest).unwrap_or(rest.len()));
            }
            let start = self.start;
            match self.look() {
                Found::Nothing => self.drop_to(start + 1),
                Found::More(_) if self.buffer.len() - start >= MAX_FRAME => {
                    self.drop_to(start + 1);
                    return Some(Err(DecodeError::TooLong { limit: MAX_FRAME }));
                }
                Found::More(at) => {
                    self.scanned = start + at;
                    return None;
                }
                Found::Interrupted(length) => {
                    self.drop_to(start + length);
                    return Some(Err(DecodeError::Interrupted { length }));
                }
                Found::Telegram { identification, body, end, check } => {
                    self.drop_to(start + end);
                    let checked = match check {
                        Check::Block { expected, found: Some(found) } if expected != found => {
                            let (expected, found) = (u16::from(expected), u16::from(found));
                            return Some(Err(DecodeError::Checksum { expected, found }));
                        }
                        Check::Block { found: None, .. } => return Some(Err(DecodeError::ChecksumMissing)),
                        Check::Block { .. } => true,
                        Check::None => false,
                    };
                    let frame = &self.buffer[start..];
                    let (identification, body) = (&frame[1..identification], &frame[body.0..body.1]);
                    return Some(Ok(Frame { identification, body, checked }));
                }
            }
        }
    }

    const fn drop_to(&mut self, at: usize) {
        (self.start, self.scanned) = (at, at);
    }

    fn look(&self) -> Found {
        let frame = &self.buffer[self.start..];
        let is_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
        let more = |at: usize| Found::More(at.min(frame.len()));
        match frame {
            [] | [_] => return more(0),
            [_, b'?', ..] => return Found::Nothing,
            _ => (),
        }
        let head = &frame[..frame.len().min(MAX_IDENTIFICATION)];
        let Some(identification) = head.iter().position(is_end) else {
            return if head.len() == MAX_IDENTIFICATION { Found::Nothing } else { more(1) };
        };
        // Another telegram may begin where this one was cut in its first line.
        let line = &frame[1..identification];
        if line.len() < 4 || line.windows(5).any(|five| five[0] == b'/' && is_start(&five[1..])) {
            return Found::Nothing;
        }
        let skip_ends = |at: usize| at + frame[at..].iter().take_while(|byte| is_end(byte)).count();
        let mut at = skip_ends(identification);
        if frame.get(at) == Some(&ACK) {
            let Some(end) = frame[at..].iter().take(8).position(is_end) else {
                return if frame.len() - at < 8 { more(1) } else { Found::Nothing };
            };
            at = skip_ends(at + end);
        }
        let is_block = match frame.get(at) {
            None => return more(1),
            Some(byte) => *byte == STX,
        };
        let body = at + usize::from(is_block);
        let mut from = body.max(self.scanned - self.start);
        let mark = if is_block { ETX } else { b'!' };
        while let Some(found) = memchr::memchr2(b'/', mark, &frame[from.min(frame.len())..]) {
            from += found;
            if frame[from] == b'/' {
                match self.begins(&frame[from + 1..]) {
                    Some(true) => return Found::Interrupted(from),
                    Some(false) => from += 1,
                    None => return more(from),
                }
            } else if is_block {
                let found = frame.get(from + 1).copied();
                if found.is_none() && !self.ended {
                    return more(from);
                }
                let expected = block_check(&frame[body..=from]);
                let end = frame.len().min(from + 2);
                let check = Check::Block { expected, found };
                return Found::Telegram { identification, body: (body, from), end, check };
            } else if is_end(&frame[from - 1]) {
                // A digit begins the checksum of a P1 telegram.
                match frame.get(from + 1) {
                    None if !self.ended => return more(from),
                    Some(next) if next.is_ascii_hexdigit() => return Found::Nothing,
                    _ => (),
                }
                return Found::Telegram { identification, body: (body, from), end: from + 1, check: Check::None };
            } else {
                from += 1;
            }
        }
        more(frame.len())
    }

    /// Whether a telegram begins with this after `/`: three letters and a speed, or the reader's sign-on. `None`: more bytes
    /// are needed to tell.
    fn begins(&self, rest: &[u8]) -> Option<bool> {
        let is_sign_on = rest.first() == Some(&b'?');
        let undecided = rest.len() < 4 && !self.ended && is_start(rest);
        if undecided { None } else { Some(is_sign_on || (rest.len() >= 4 && is_start(rest))) }
    }
}

/// Whether bytes can be the three letters of a maker and the digit or letter of a speed, as far as they go.
fn is_start(bytes: &[u8]) -> bool {
    bytes.iter().take(3).all(u8::is_ascii_alphabetic) && bytes.get(3).is_none_or(u8::is_ascii_alphanumeric)
}

/// The block check over a readout, from after STX to ETX, both of seven bits.
pub fn block_check(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |check, byte| check ^ byte)
}
