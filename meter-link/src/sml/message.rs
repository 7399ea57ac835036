//! The grammar of SML: messages, lists of values, entries. Walks borrowed bytes and allocates nothing.
//!
//! Every element begins with its type and length. A message whose own checksum fails is dropped and told; an entry of
//! another shape is handed out as it is; bytes that are no element end the walk. Nothing is interpreted here.
//!
//! Source: SML 1.04, chapters 5 (messages) and 6 (binary encoding).

use std::fmt;

use super::transport::{Frame, START};
use crate::checksum::{kermit, x25};
use crate::error::DecodeError;
use crate::obis::Obis;

/// What a walk comes across, in the order sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// A message, or the rest of the frame, that is lost.
    Dropped(DecodeError),
    /// An entry of the list that was announced last.
    Entry(Entry<'a>, Raw<'a>),
    /// A list of values begins.
    List(List<'a>),
    /// The file begins, at this time of the meter's.
    Opened(Option<Time>),
    /// A message of another kind, or an entry of another shape.
    Unclear(Raw<'a>),
}

/// The head of a list of values.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct List<'a> {
    /// The meter's identifier; empty where it sends none.
    pub server: &'a [u8],
    /// When the values were taken.
    pub time: Option<Time>,
}

/// One value with what belongs to it, as sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The code it is sent under.
    pub obis: Obis,
    /// The meter's status word.
    pub status: Option<Number<u64>>,
    /// When this value was taken, where that is said.
    pub time: Option<Time>,
    /// The unit, as DLMS numbers it.
    pub unit: Option<u8>,
    /// The value is the number times ten to the power of this.
    pub scaler: Option<i8>,
    /// The number or text.
    pub value: Value<'a>,
}

/// An integer and the bytes it was sent in, 1 to 8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number<T> {
    /// Its value.
    pub value: T,
    /// Bytes on the wire. `value` fits in them.
    pub width: u8,
}

/// A value as sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// None.
    Absent,
    /// A truth value.
    Bool(bool),
    /// Bytes: a text, an identifier, a key.
    Bytes(&'a [u8]),
    /// A list, from its first byte to its last.
    Compound(&'a [u8]),
    /// With a sign.
    Signed(Number<i64>),
    /// Without a sign.
    Unsigned(Number<u64>),
}

/// A meter's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// Seconds that the meter has run: no time of day.
    Index(u32),
    /// Seconds since 1970-01-01 UTC with the offset of the place and of summer, in minutes.
    Local(u32, i16, i16),
    /// Seconds since 1970-01-01 UTC.
    Stamp(u32),
}

/// Bytes as sent. They may hold a serial number: `Debug` is redacted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Raw<'a>(pub &'a [u8]);

/// Tags of the messages that meters push.
pub(super) const OPEN: u64 = 0x0101;
pub(super) const CLOSE: u64 = 0x0201;
pub(super) const GET_LIST: u64 = 0x0701;

/// Walks all messages of a frame. Nothing of a message is handed out before its checksum held.
#[inline]
pub fn walk<'a>(frame: &Frame<'a>, mut take: impl FnMut(Item<'a>)) {
    let mut cursor = Cursor { bytes: frame.body, at: 0 };
    while let Some(next) = cursor.bytes.get(cursor.at) {
        // Zeros behind the last message.
        if *next == END {
            cursor.at += 1;
            continue;
        }
        let Some(message) = cursor.message() else {
            take(Item::Dropped(DecodeError::Malformed { offset: START.len() + cursor.at }));
            return;
        };
        let expected = x25(message.covered);
        let holds = (message.sent == expected && !frame.is_kermit) || message.sent == kermit(message.covered);
        if !holds {
            take(Item::Dropped(DecodeError::MessageChecksum { expected, found: message.sent }));
            continue;
        }
        let mut body = Cursor { bytes: &cursor.bytes[..message.body_end], at: message.body };
        let understood = match message.tag {
            OPEN => body.open().map(|time| take(Item::Opened(time))),
            CLOSE => Some(()),
            GET_LIST => body.list(&mut take),
            _ => {
                take(Item::Unclear(Raw(message.covered)));
                Some(())
            }
        };
        if understood.is_none() {
            take(Item::Dropped(DecodeError::Malformed { offset: START.len() + body.at }));
        }
    }
}

/// A message whose checksum is not compared yet. Places are in the frame's body.
struct Message<'a> {
    tag: u64,
    /// First byte of what the tag names.
    body: usize,
    body_end: usize,
    /// What the checksum is computed over.
    covered: &'a [u8],
    /// The checksum, low byte first on the wire.
    sent: u16,
}

/// Bytes of a message that closes a file, least and most: a transaction of 3 to 8 bytes, a tag of 2 or 4.
const CLOSE_LENGTHS: (usize, usize) = (19, 26);

/// Ends a message; also what fills up a frame.
const END: u8 = 0;
/// An element that is left out.
const ABSENT: u8 = 1;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Bytes,
    Bool,
    Signed,
    Unsigned,
    List,
}

/// Reads elements. After `None` the place is where sense ended.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// A whole message; its inner shape is only counted.
    fn message(&mut self) -> Option<Message<'a>> {
        let start = self.at;
        self.expect_list(6)?;
        // Transaction, group, what to do on errors.
        self.skip()?;
        self.skip()?;
        self.skip()?;
        self.expect_list(2)?;
        let Value::Unsigned(tag) = self.value()? else { return None };
        let body = self.at;
        if tag.value == GET_LIST
            && let Some(message) = self.list_from_the_back(start, body)
        {
            return Some(message);
        }
        self.skip()?;
        let body_end = self.at;
        let Value::Unsigned(Number { value, width: ..=2 }) = self.value()? else { return None };
        if *self.bytes.get(self.at)? != END {
            return None;
        }
        self.at += 1;
        let covered = &self.bytes[start..body_end];
        // Leading zeros may be left out, so the bytes are turned after they were read as a number.
        Some(Message { tag: tag.value, body, body_end, covered, sent: (value as u16).swap_bytes() })
    }

    /// A list, if its end is where the last message of the frame begins and its checksum holds there: saves walking it twice.
    #[inline]
    fn list_from_the_back(&mut self, start: usize, body: usize) -> Option<Message<'a>> {
        let zeros = self.bytes.iter().rev().take_while(|byte| **byte == END).count();
        let last = self.bytes.len() - zeros + 1;
        for next in last.checked_sub(CLOSE_LENGTHS.1)?..=last - CLOSE_LENGTHS.0 {
            let Some(&[0x63, low, high, END, 0x76]) = self.bytes.get(next.checked_sub(4)?..=next) else { continue };
            let (body_end, sent) = (next - 4, u16::from_le_bytes([low, high]));
            let covered = self.bytes.get(start..body_end)?;
            if body_end > body && x25(covered) == sent {
                self.at = next;
                return Some(Message { tag: GET_LIST, body, body_end, covered, sent });
            }
        }
        None
    }

    /// The time in an open message.
    fn open(&mut self) -> Option<Option<Time>> {
        let (Kind::List, count @ 5..) = self.head()? else { return None };
        // Code page, client, file, server.
        for _ in 0..4 {
            self.skip()?;
        }
        let time = self.time()?;
        for _ in 5..count {
            self.skip()?;
        }
        Some(time)
    }

    /// A list of values.
    #[inline]
    fn list(&mut self, take: &mut impl FnMut(Item<'a>)) -> Option<()> {
        self.expect_list(7)?;
        self.skip()?;
        let server = match self.value()? {
            Value::Bytes(server) => server,
            _ => &[],
        };
        self.skip()?;
        let time = self.time()?;
        take(Item::List(List { server, time }));
        let (Kind::List, count) = self.head()? else { return None };
        for _ in 0..count {
            let start = self.at;
            if let Some(entry) = self.entry() {
                take(Item::Entry(entry, Raw(&self.bytes[start..self.at])));
                continue;
            }
            self.at = start;
            self.skip()?;
            take(Item::Unclear(Raw(&self.bytes[start..self.at])));
        }
        Some(())
    }

    #[inline(always)]
    fn entry(&mut self) -> Option<Entry<'a>> {
        let &[0x77, 0x07, a, b, c, d, e, f, ..] = self.bytes.get(self.at..)? else { return None };
        self.at += 8;
        let obis = Obis { a, b, c, d, e, f };
        let status = match self.value()? {
            Value::Unsigned(status) => Some(status),
            Value::Absent => None,
            _ => return None,
        };
        let time = self.time()?;
        let unit = match self.value()? {
            Value::Unsigned(Number { value, .. }) => Some(u8::try_from(value).ok()?),
            Value::Absent => None,
            _ => return None,
        };
        let scaler = match self.value()? {
            Value::Signed(Number { value, .. }) => Some(i8::try_from(value).ok()?),
            Value::Absent => None,
            _ => return None,
        };
        let value = self.value()?;
        // The signature.
        if self.bytes.get(self.at) == Some(&ABSENT) {
            self.at += 1;
        } else {
            self.skip()?;
        }
        Some(Entry { obis, status, time, unit, scaler, value })
    }

    /// A time in any of the shapes that meters send: with its choice, or bare. Another shape is no time.
    #[inline]
    fn time(&mut self) -> Option<Option<Time>> {
        if self.bytes.get(self.at) == Some(&ABSENT) {
            self.at += 1;
            return Some(None);
        }
        // As most meters send it.
        if let &[0x72, 0x62, 1, 0x65, a, b, c, d, ..] = self.bytes.get(self.at..)? {
            self.at += 8;
            return Some(Some(Time::Index(u32::from_be_bytes([a, b, c, d]))));
        }
        let start = self.at;
        let time = self.time_of_any_shape();
        self.at = start;
        self.skip()?;
        Some(time)
    }

    fn time_of_any_shape(&mut self) -> Option<Time> {
        match self.value()? {
            Value::Unsigned(Number { value, .. }) => Some(Time::Index(u32::try_from(value).ok()?)),
            Value::Compound(bytes) => {
                let mut list = Cursor { bytes, at: 0 };
                match list.head()? {
                    (Kind::List, 3) => list.local(),
                    (Kind::List, 2) => match (list.unsigned()?, list.bytes.get(list.at)? >> 4) {
                        (1, _) => Some(Time::Index(u32::try_from(list.unsigned()?).ok()?)),
                        (2, 6) => Some(Time::Stamp(u32::try_from(list.unsigned()?).ok()?)),
                        (2 | 3, 7) => {
                            list.expect_list(3)?;
                            list.local()
                        }
                        _ => None,
                    },
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// The three members of a local time.
    fn local(&mut self) -> Option<Time> {
        let stamp = u32::try_from(self.unsigned()?).ok()?;
        let mut minutes = || match self.value()? {
            Value::Signed(Number { value, .. }) => i16::try_from(value).ok(),
            _ => None,
        };
        Some(Time::Local(stamp, minutes()?, minutes()?))
    }

    fn unsigned(&mut self) -> Option<u64> {
        match self.value()? {
            Value::Unsigned(number) => Some(number.value),
            _ => None,
        }
    }

    /// Any element.
    #[inline(always)]
    fn value(&mut self) -> Option<Value<'a>> {
        let first = *self.bytes.get(self.at)?;
        if first == ABSENT {
            self.at += 1;
            return Some(Value::Absent);
        }
        // An integer with enough behind it to be read at one go.
        if let (0x52..=0x59 | 0x62..=0x69, Some(rest)) = (first, self.bytes.get(self.at + 1..))
            && let Some(eight) = rest.first_chunk::<8>()
        {
            let width = (first & 0x0F) - 1;
            let shift = 64 - 8 * u32::from(width);
            self.at += 1 + usize::from(width);
            return Some(if first < 0x60 {
                Value::Signed(Number { value: i64::from_be_bytes(*eight) >> shift, width })
            } else {
                Value::Unsigned(Number { value: u64::from_be_bytes(*eight) >> shift, width })
            });
        }
        self.value_of_any_shape()
    }

    fn value_of_any_shape(&mut self) -> Option<Value<'a>> {
        let start = self.at;
        let (kind, length) = self.head()?;
        if kind == Kind::List {
            self.at = start;
            self.skip()?;
            return Some(Value::Compound(&self.bytes[start..self.at]));
        }
        let content = self.bytes.get(self.at..self.at.checked_add(length)?)?;
        self.at += length;
        Some(match (kind, content) {
            (Kind::Bool, [truth]) => Value::Bool(*truth != 0),
            (Kind::Bytes, content) => Value::Bytes(content),
            (Kind::Signed, [first, ..]) if length <= 8 => {
                let sign = if *first < 0x80 { 0 } else { -1_i64 };
                let value = content.iter().fold(sign, |value, byte| value << 8 | i64::from(*byte));
                Value::Signed(Number { value, width: length as u8 })
            }
            (Kind::Unsigned, [_, ..]) if length <= 8 => {
                let value = content.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
                Value::Unsigned(Number { value, width: length as u8 })
            }
            _ => return None,
        })
    }

    fn expect_list(&mut self, count: u8) -> Option<()> {
        (*self.bytes.get(self.at)? == 0x70 | count).then(|| self.at += 1)
    }

    /// Steps over one element with all in it. Each one counted takes at least a byte, so it ends.
    #[inline]
    fn skip(&mut self) -> Option<()> {
        let mut left = 1_usize;
        while left > 0 {
            left -= 1;
            match self.head()? {
                (Kind::List, count) => left += count,
                (_, length) => self.at += length,
            }
            if left > self.bytes.len().checked_sub(self.at)? {
                return None;
            }
        }
        Some(())
    }

    /// An element's type, and its elements or bytes of content.
    #[inline]
    fn head(&mut self) -> Option<(Kind, usize)> {
        let first = *self.bytes.get(self.at)?;
        let kind = match first & 0x70 {
            0x00 => Kind::Bytes,
            0x40 => Kind::Bool,
            0x50 => Kind::Signed,
            0x60 => Kind::Unsigned,
            0x70 => Kind::List,
            _ => return None,
        };
        self.at += 1;
        let (mut length, mut heads, mut more) = (usize::from(first & 0x0F), 1, first & 0x80 != 0);
        while more {
            let next = *self.bytes.get(self.at)?;
            // Three bytes say more than a frame holds.
            if heads == 3 || next & 0x70 != 0 {
                return None;
            }
            self.at += 1;
            (length, heads, more) = (length << 4 | usize::from(next & 0x0F), heads + 1, next & 0x80 != 0);
        }
        // The length counts its own bytes, but not that of a list.
        Some((kind, if kind == Kind::List { length } else { length.checked_sub(heads)? }))
    }
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => formatter.write_str("Absent"),
            Self::Bool(truth) => write!(formatter, "Bool({truth})"),
            Self::Bytes(bytes) => write!(formatter, "Bytes({} bytes)", bytes.len()),
            Self::Compound(bytes) => write!(formatter, "Compound({} bytes)", bytes.len()),
            Self::Signed(number) => write!(formatter, "Signed({}, {})", number.value, number.width),
            Self::Unsigned(number) => write!(formatter, "Unsigned({}, {})", number.value, number.width),
        }
    }
}

impl fmt::Debug for Raw<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Raw({} bytes)", self.0.len())
    }
}

impl fmt::Debug for List<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("List").field("time", &self.time).finish_non_exhaustive()
    }
}
