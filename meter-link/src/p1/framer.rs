//! Bytes to P1 frames.
//!
//! A telegram begins with `/` and ends with `!`, four hexadecimal digits of CRC-16/ARC over all from `/` to `!`, and a line
//! end. Old meters send no checksum, some leave out leading zeros or write small letters. An encrypted telegram is one
//! general-glo-ciphering APDU, `DB 08` and its length; Polish meters put one without its title between `/` and `!`. Once the
//! meter's title is known to be its own, the title alone tells that a sealed frame stands there, so that one whose head was
//! changed is given out to be refused, and swallows nothing that follows. Owns no port and no clock, keeps at most
//! [`MAX_FRAME`] bytes, and after an error continues at the next `/`.
//!
//! Source: DSMR P1 Companion Standard 5.0.2, section 6.2.

use std::ops::Range;

use crate::checksum;
use crate::error::DecodeError;
use crate::security::ber_length;

/// Most bytes of one telegram: three times the largest known (2.4 kB from a Hungarian meter with a kilobyte of text).
pub const MAX_FRAME: usize = 8_192;

/// Holley's DTSD545 sends CRC-16/X-25 instead.
const HOLLEY: &[u8] = b"/HLY";

/// Tag of a general-glo-ciphering APDU and the length of the system title that follows it.
const SEALED: [u8; 2] = [0xDB, 0x08];

/// Bytes of a sealed frame up to the end of its title.
const TITLED: usize = 10;

/// Bytes of the longest head that another protocol puts before a sealed message: tag, control, two numbers, a length.
const HEAD: usize = 8;

/// Start of text: stands within the identification of Iskra's IE.5.
const STX: u8 = 0x02;

/// Most bytes of an identification line: three times what the standard allows.
const MAX_IDENTIFICATION: usize = 64;

/// The object by which a telegram since DSMR 4 says so.
const VERSION: &[u8] = b"1-3:0.2.8(";

/// One frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// An encrypted telegram: a whole general-glo-ciphering APDU.
    Sealed(&'a [u8]),
    /// An encrypted telegram in a clear envelope from `/` to `!`, without the system title that opens it.
    SealedUntitled(&'a [u8]),
    /// A telegram from `/` to `!`.
    Telegram {
        /// The bytes, `/` and `!` included.
        bytes: &'a [u8],
        /// Whether a checksum was there; it held then.
        checked: bool,
    },
}

/// A telegram and its checksum, not compared yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split<'a> {
    /// From `/` to `!`.
    pub bytes: &'a [u8],
    /// Computed over `bytes`.
    pub computed: u16,
    /// Sent after them, if anything was.
    pub sent: Option<u16>,
    /// What follows the checksum.
    pub rest: &'a [u8],
}

/// Collects bytes and gives frames.
///
/// Invariant: `start <= scanned <= buffer.len() <= MAX_FRAME`; everything before `start` is done with.
#[derive(Debug, Default)]
pub struct Framer {
    buffer: Vec<u8>,
    /// First byte not given out or dropped.
    start: usize,
    /// First byte not looked at for the end of the frame that begins at `start`.
    scanned: usize,
    /// The telegram refused last, from `/` to `!`; valid until more bytes are taken.
    refused: (usize, usize),
    /// No more bytes come.
    ended: bool,
    /// A checksum has held before: this meter sends them, so a telegram without one is damaged.
    checks: bool,
    /// The bytes before the buffer's first.
    before: [u8; HEAD],
    /// The sealed frame given out last lay in another protocol's frame.
    is_wrapped: bool,
    /// Where it began; valid until more bytes are taken. sealed <= start
    sealed: usize,
    /// The meter's system title, once a tag has proved it.
    title: Option<[u8; 8]>,
    /// End of a sealed frame whose tag failed: before it only this meter's title begins a frame. 0 if there is none.
    doubted: usize,
}

/// What a look at the buffer found.
enum Found {
    /// A frame of this kind up to here.
    Sealed(usize),
    Telegram {
        /// Just after `!`.
        body: usize,
        /// Just after the checksum.
        end: usize,
    },
    /// Another telegram begins here.
    Interrupted(usize),
    /// Nothing complete.
    More,
}

impl Framer {
    /// Takes as many bytes as fit and gives how many.
    pub fn handle_bytes(&mut self, bytes: &[u8]) -> usize {
        if self.start > 0 {
            self.before = self.before_start();
            self.buffer.drain(..self.start);
            self.scanned -= self.start;
            self.doubted = self.doubted.saturating_sub(self.start);
            (self.start, self.sealed) = (0, 0);
        }
        let taken = bytes.len().min(MAX_FRAME - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..taken]);
        taken
    }

    /// A tag has proved that this is the meter's system title.
    pub(super) const fn know_title(&mut self, title: [u8; 8]) {
        self.title = Some(title);
    }

    /// The sealed frame given out last failed. Its length may be what was changed, so the next may begin before its end.
    pub(super) fn doubt(&mut self) {
        if self.title.is_some() {
            self.doubted = self.start;
            self.drop_to(self.start.saturating_sub(TITLED - 1).max(self.sealed + 1));
        }
    }

    /// Forgets all bytes.
    pub(super) fn clear(&mut self) {
        *self = Self { title: self.title, ..Self::default() };
    }

    /// No more bytes come: a telegram whose checksum or line end is still awaited is complete.
    pub fn handle_end(&mut self) {
        self.ended = true;
    }

    /// The next frame or error. `None`: more bytes are needed.
    pub fn poll_frame(&mut self) -> Option<Result<Frame<'_>, DecodeError>> {
        if self.scanned == self.start {
            self.seek();
        }
        match self.look() {
            Found::More if self.buffer.len() - self.start >= MAX_FRAME => {
                self.drop_to(self.start + 1);
                Some(Err(DecodeError::TooLong { limit: MAX_FRAME }))
            }
            Found::More => None,
            Found::Interrupted(at) => {
                let length = at - self.start;
                self.drop_to(at);
                Some(Err(DecodeError::Interrupted { length }))
            }
            Found::Sealed(end) => {
                let start = self.start;
                self.is_wrapped = is_head(self.before_start());
                self.sealed = start;
                self.drop_to(end);
                Some(Ok(Frame::Sealed(&self.buffer[start..end])))
            }
            Found::Telegram { body, end } => {
                let start = self.start;
                self.refused = (start, body);
                self.drop_to(end);
                let bytes = &self.buffer[start..body];
                let expected = checksum::arc(bytes);
                let sent = hexadecimal(&self.buffer[body..end]);
                let holds = sent.is_some_and(|found| {
                    found == expected || (bytes.starts_with(HOLLEY) && found == checksum::x25(bytes))
                });
                // Anything but a line end after the digits was a digit once.
                let garbled = end < body + 4 && self.buffer.get(end).is_some_and(|next| !matches!(next, b'\r' | b'\n'));
                self.checks |= holds;
                match sent {
                    Some(found) if !holds => Some(Err(DecodeError::Checksum { expected, found })),
                    None if self.checks || garbled => Some(Err(DecodeError::ChecksumMissing)),
                    _ if matches!(envelope(bytes), Envelope::Sealed(_)) => Some(Ok(Frame::SealedUntitled(bytes))),
                    sent => Some(Ok(Frame::Telegram { bytes, checked: sent.is_some() })),
                }
            }
        }
    }

    /// The telegram that the error just polled was about. Empty after anything else has happened.
    pub(super) fn refused(&self) -> &[u8] {
        self.buffer.get(self.refused.0..self.refused.1).unwrap_or_default()
    }

    /// Whether the sealed frame given out last lay in another protocol's frame, whose own checksum may have failed.
    pub(super) const fn is_wrapped(&self) -> bool {
        self.is_wrapped
    }

    /// Bytes taken since the sealed frame given out last began.
    pub(super) const fn since_sealed(&self) -> usize {
        self.buffer.len() - self.sealed
    }

    /// The bytes before the start.
    fn before_start(&self) -> [u8; HEAD] {
        let mut before = [0; HEAD];
        let near = self.start.min(HEAD);
        before[..HEAD - near].copy_from_slice(&self.before[near..]);
        before[HEAD - near..].copy_from_slice(&self.buffer[self.start - near..self.start]);
        before
    }

    fn drop_to(&mut self, at: usize) {
        (self.start, self.scanned) = (at, at);
    }

    /// Skips what begins no frame.
    fn seek(&mut self) {
        let rest = &self.buffer[self.start..];
        let doubted = self.doubted.saturating_sub(self.start).min(rest.len());
        let skipped = memchr::memchr2_iter(b'/', SEALED[0], &rest[doubted..])
            .map(|at| doubted + at)
            .find(|&at| rest[at] == b'/' || rest.get(at + 1).is_none_or(|next| *next == SEALED[1]));
        // A frame whose first two bytes were changed still has its title, of which only the beginning may be there.
        let unknown = match self.title {
            Some(_) if !self.ended => rest.len().saturating_sub(TITLED - 1),
            _ => rest.len(),
        };
        let titled = self.titled_in(0..skipped.map_or(rest.len(), |at| rest.len().min(at + TITLED)));
        let skipped = skipped.unwrap_or(unknown).min(titled.unwrap_or(usize::MAX));
        self.drop_to(self.start + skipped);
    }

    /// Where in a part of the unread bytes a sealed frame of this meter begins, by its title alone.
    fn titled_in(&self, part: Range<usize>) -> Option<usize> {
        let title = self.title?;
        let titles = self.buffer[self.start..].get(part.start + SEALED.len()..part.end)?;
        memchr::memmem::find(titles, &title).map(|at| part.start + at)
    }

    fn look(&mut self) -> Found {
        match self.buffer.get(self.start) {
            _ if self.is_titled() => self.look_for_length(),
            Some(_) if self.start < self.doubted => Found::More,
            Some(b'/') => self.look_for_mark(),
            Some(byte) if *byte == SEALED[0] => self.look_for_length(),
            Some(_) | None => Found::More,
        }
    }

    /// Whether the unread bytes begin as a sealed frame of this meter, changed or not.
    fn is_titled(&self) -> bool {
        self.title.is_some_and(|title| self.buffer.get(self.start + SEALED.len()..self.start + TITLED) == Some(&title))
    }

    /// Looks for the end of a telegram, which no sealed frame of this meter may stand before.
    fn look_for_mark(&mut self) -> Found {
        let titled = self.titled_in(0..self.buffer.len() - self.start).map(|at| self.start + at);
        let found = self.find_mark();
        match (titled, &found) {
            (Some(at), Found::More) if at > self.start => Found::Interrupted(at),
            (Some(at), Found::Telegram { body, .. }) if *body > at => Found::Interrupted(at),
            _ => found,
        }
    }

    /// Looks for `!` at the start of a line, or for another `/`.
    fn find_mark(&mut self) -> Found {
        let frame = &self.buffer[self.start..];
        match is_identification(frame) {
            Some(true) => (),
            Some(false) => return self.skip(),
            None if self.ended => (),
            None => return Found::More,
        }
        let (first, end) = match envelope(frame) {
            Envelope::Clear => (1, frame.len()),
            Envelope::Sealed(end) => (end.min(frame.len()), frame.len()),
            // What follows may be no text; what was looked at is.
            Envelope::Undecided(end) if !self.ended => (1, end),
            Envelope::Undecided(_) => (1, frame.len()),
        };
        let mut at = first.max(self.scanned - self.start);
        while let Some(found) = memchr::memchr2(b'/', b'!', &frame[at.min(end)..end]) {
            at += found;
            // Ciphertext is followed by the mark, whatever its last byte.
            let line_begins = matches!(frame[at - 1], b'\n' | b'\r') || (at == first && first > 1);
            match frame[at] {
                b'/' if line_begins => return Found::Interrupted(self.start + at),
                // In the middle of a line: where the line before was cut, or a stroke in a message's text.
                b'/' => match frame.get(at + 1..at + 5) {
                    Some([a, b, c, d]) if [a, b, c].iter().all(|l| l.is_ascii_alphabetic()) && d.is_ascii_digit() => {
                        return Found::Interrupted(self.start + at);
                    }
                    None if !self.ended => {
                        self.scanned = self.start + at;
                        return Found::More;
                    }
                    _ => at += 1,
                },
                _ if line_begins => {
                    // Looked at again when more bytes are there.
                    self.scanned = self.start + at;
                    let body = self.start + at + 1;
                    return match checksum_end(&frame[at + 1..], self.ended) {
                        Some(length) => Found::Telegram { body, end: body + length },
                        None => Found::More,
                    };
                }
                _ => at += 1,
            }
        }
        self.scanned = self.start + end.max(at);
        // A recording of an old meter may stop before the mark. A newer one names its version and must end with a checksum.
        if self.ended && frame.ends_with(b"\n") && memchr::memmem::find(frame, VERSION).is_none() {
            return Found::Telegram { body: self.scanned, end: self.scanned };
        }
        Found::More
    }

    /// Reads the length of an encrypted frame.
    fn look_for_length(&mut self) -> Found {
        let rest = &self.buffer[self.start..];
        let is_own = self.is_titled();
        // Tag, title length, title, then the length of what follows.
        let Some(head) = rest.get(TITLED..).filter(|head| !head.is_empty()) else { return self.more() };
        let Some((length, content)) = ber_length(head) else {
            let may_be_length = matches!(head[0], 0x81..=0x84) && head.len() < 5;
            return if may_be_length { self.more() } else { self.not_sealed(is_own) };
        };
        // Control byte and counter are the least there is.
        let is_sealed = length >= 5 && (is_own || content.first().is_none_or(|control| is_control(*control)));
        let end = rest.len() - content.len() + length;
        if !is_sealed || end > MAX_FRAME {
            return self.not_sealed(is_own);
        }
        // The next frame's title before this one's end: its length was changed.
        if is_own && let Some(at) = self.titled_in(TITLED..rest.len().min(end)) {
            return Found::Sealed(self.start + at);
        }
        if rest.len() >= end { Found::Sealed(self.start + end) } else { self.more() }
    }

    /// No sealed frame after all; or one of this meter whose head was changed, given out to be refused.
    fn not_sealed(&mut self, is_own: bool) -> Found {
        if is_own { Found::Sealed(self.start + TITLED) } else { self.skip() }
    }

    fn more(&mut self) -> Found {
        if self.ended { self.skip() } else { Found::More }
    }

    fn skip(&mut self) -> Found {
        self.drop_to(self.start + 1);
        self.seek();
        self.look()
    }
}

/// Whether bytes from `/` on begin with an identification: a maker's letter or digit, then no control character but what
/// some meters put into it (Iskra's STX), and a line end. `None`: cannot be told yet.
fn is_identification(frame: &[u8]) -> Option<bool> {
    for (place, byte) in frame[1..].iter().take(MAX_IDENTIFICATION).enumerate() {
        match byte {
            b'\r' | b'\n' => return Some(true),
            _ if place == 0 && !byte.is_ascii_alphanumeric() => return Some(false),
            b' '..=b'~' | &STX => (),
            _ => return Some(false),
        }
    }
    (frame.len() > MAX_IDENTIFICATION).then_some(true)
}

/// What stands between the identification line and the mark.
enum Envelope {
    /// Text.
    Clear,
    /// Ciphertext that ends here, counted from `/`.
    Sealed(usize),
    /// Cannot be told yet; up to here, all is text.
    Undecided(usize),
}

/// Tells text from ciphertext: a blank line, an empty title (`00`, on some after `DB`), two bytes of length, the control byte.
fn envelope(frame: &[u8]) -> Envelope {
    let head = &frame[..frame.len().min(MAX_IDENTIFICATION)];
    let Some(line) = memchr::memchr(b'\n', head) else {
        return if frame.len() < MAX_IDENTIFICATION { Envelope::Undecided(frame.len()) } else { Envelope::Clear };
    };
    let text = line + 1;
    let mut at = text;
    for wanted in [&b"\r"[..], b"\n", b"\xDB", b"\x00", b"\x82"] {
        match frame.get(at) {
            None => return Envelope::Undecided(text),
            Some(byte) if wanted == [*byte] => at += 1,
            Some(_) if wanted == b"\xDB" => (),
            Some(_) => return Envelope::Clear,
        }
    }
    let Some([high, low, control]) = frame.get(at..at + 3) else { return Envelope::Undecided(text) };
    let end = at + 2 + usize::from(u16::from_be_bytes([*high, *low]));
    if is_control(*control) && end < MAX_FRAME { Envelope::Sealed(end) } else { Envelope::Clear }
}

/// Whether these bytes end as the head of an HDLC frame, an M-Bus frame or a first block does.
const fn is_head(before: [u8; HEAD]) -> bool {
    match before {
        [.., 0xE6, 0xE6 | 0xE7, 0x00] => true,
        [length, again, 0x68, 0x53 | 0x73, ..] => length == again,
        [_, 0xE0, _, 0, 1, ..] | [0xE0, _, 0, 1, _, _, 0x81, _] | [_, 0, 1, _, _, 0x82, _, _] => true,
        _ => false,
    }
}

/// Whether a security control byte can be one: encrypted, suite 0 to 2, not compressed.
const fn is_control(byte: u8) -> bool {
    byte & 0x20 != 0 && byte & 0x0F <= 2 && byte & 0x80 == 0
}

/// Length of the checksum that follows `!`: four digits, or fewer before a line end. `None`: cannot be told yet.
fn checksum_end(rest: &[u8], ended: bool) -> Option<usize> {
    let digits = rest.iter().take(4).take_while(|byte| byte.is_ascii_hexdigit()).count();
    (digits == 4 || digits < rest.len() || ended).then_some(digits)
}

/// One to four hexadecimal digits. `None` for none.
fn hexadecimal(digits: &[u8]) -> Option<u16> {
    let text = std::str::from_utf8(digits).ok()?;
    u16::from_str_radix(text, 16).ok()
}

/// A telegram inside a text that is known to be whole.
pub fn split(text: &[u8]) -> Option<Split<'_>> {
    let start = text.iter().position(|byte| *byte == b'/')?;
    let mark = text.windows(2).rposition(|pair| matches!(pair, [b'\n' | b'\r', b'!']))? + 1;
    let bytes = text.get(start..=mark)?;
    let rest = &text[mark + 1..];
    let (digits, rest) = rest.split_at(checksum_end(rest, true)?);
    Some(Split { bytes, computed: checksum::arc(bytes), sent: hexadecimal(digits), rest })
}

/// The checksum of a telegram from `/` to `!`.
pub fn checksum(bytes: &[u8]) -> u16 {
    checksum::arc(bytes)
}
