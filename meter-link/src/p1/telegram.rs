//! The grammar of a P1 telegram: an identification line, then lines of one code and its values in parentheses.
//!
//! Borrows from the frame, allocates nothing, interprets nothing, loses nothing: a line that is no object is given as it
//! is. A line that begins with `(` continues the object before it, as gas does in DSMR 2.2 and 3.
//!
//! Source: IEC 62056-21, section 6.6 (data block), DSMR P1 Companion Standard.

use crate::obis::Obis;

/// One telegram, as sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Telegram<'a> {
    /// What stands after `/` on the first line.
    pub identification: &'a [u8],
    body: &'a [u8],
}

/// One line or what continues it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// A code with its values.
    Object(Object<'a>),
    /// Anything else, without its line end.
    Unclear(&'a [u8]),
}

/// A code with its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Object<'a> {
    /// The code.
    pub obis: Obis,
    /// All as sent, code included, with the line end before a continuation.
    pub text: &'a [u8],
    values: &'a [u8],
}

impl<'a> Telegram<'a> {
    /// Reads a frame from `/` to `!`. Never fails: what is missing is empty.
    pub fn parse(bytes: &'a [u8]) -> Self {
        let bytes = bytes.strip_prefix(b"/").unwrap_or(bytes);
        let bytes = bytes.strip_suffix(b"!").unwrap_or(bytes);
        let (identification, body) = split_line(bytes);
        Self { identification, body }
    }

    /// The lines after the first, empty ones left out.
    pub fn lines(&self) -> Lines<'a> {
        Lines { rest: self.body }
    }
}

/// The first line without its end, and the rest.
fn split_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = memchr::memchr2(b'\n', b'\r', bytes).unwrap_or(bytes.len());
    let (line, rest) = bytes.split_at(end);
    let rest = match rest {
        [b'\r', b'\n', rest @ ..] | [_, rest @ ..] => rest,
        [] => rest,
    };
    (line, rest)
}

/// The lines of a telegram.
#[derive(Clone, Debug)]
pub struct Lines<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Line<'a>> {
        loop {
            if self.rest.is_empty() {
                return None;
            }
            let whole = self.rest;
            let (line, rest) = split_line(whole);
            self.rest = rest;
            if line.is_empty() {
                continue;
            }
            let Some((obis, code)) = code(line) else { return Some(Line::Unclear(line)) };
            let mut length = line.len();
            while let Some(next) = continuation(self.rest) {
                let (more, rest) = split_line(next);
                length = whole.len() - next.len() + more.len();
                self.rest = rest;
            }
            let text = &whole[..length];
            return Some(Line::Object(Object { obis, text, values: &text[code..] }));
        }
    }
}

/// From the next line on, if it continues the one before. Empty lines between do not matter, as elsewhere.
fn continuation(rest: &[u8]) -> Option<&[u8]> {
    let empty = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let next = &rest[empty..];
    (next.first() == Some(&b'(')).then_some(next)
}

/// The code at the start of a line and its length, if a parenthesis follows it.
fn code(line: &[u8]) -> Option<(Obis, usize)> {
    let (obis, rest) = Obis::parse_start(line)?;
    (rest.first() == Some(&b'(')).then_some((obis, line.len() - rest.len()))
}

impl<'a> Object<'a> {
    /// What stands in each pair of parentheses.
    pub fn values(&self) -> Values<'a> {
        Values { rest: self.values }
    }
}

/// The values of an object.
#[derive(Clone, Debug)]
pub struct Values<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Values<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let open = self.rest.iter().position(|byte| *byte == b'(')?;
        let inside = &self.rest[open + 1..];
        let close = inside.iter().position(|byte| *byte == b')')?;
        self.rest = &inside[close + 1..];
        Some(&inside[..close])
    }
}
