//! The grammar of a D0 telegram: data sets of a code and its values in parentheses, one or several on a line.
//!
//! Codes are full (`1-0:1.8.0*255`) or short (`1.8.0`, `32.7`, `1.8.0*01`, `C.1.0`, `F.F`). Borrows from the frame, allocates
//! nothing, interprets nothing, loses nothing.
//!
//! Source: IEC 62056-21, section 6.6; IEC 62056-61, sections 5 and 6 (short codes, letters of group C).

use crate::obis::Obis;

/// One data set, or what is none.
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
    /// The code; group F is 255 for the current value.
    pub obis: Obis,
    /// All as sent, code included.
    pub text: &'a [u8],
    values: &'a [u8],
}

impl<'a> Object<'a> {
    /// What stands in each pair of parentheses.
    pub fn values(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut rest = self.values;
        std::iter::from_fn(move || {
            let inside = rest.strip_prefix(b"(")?;
            let close = memchr::memchr(b')', inside)?;
            rest = &inside[close + 1..];
            Some(&inside[..close])
        })
    }
}

/// The data sets of a telegram, up to the mark that ends it.
pub fn lines(body: &[u8]) -> impl Iterator<Item = Line<'_>> {
    let lines = body.split(|byte| matches!(byte, b'\r' | b'\n')).take_while(|line| *line != b"!");
    lines.flat_map(|line| {
        let mut rest = line;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let whole = rest;
            let length = data_set(whole).unwrap_or(whole.len());
            let text;
            (text, rest) = whole.split_at(length);
            let open = memchr::memchr(b'(', text).unwrap_or(text.len());
            Some(match (text.ends_with(b")"), code(&text[..open])) {
                (true, Some(obis)) => Line::Object(Object { obis, text, values: &text[open..] }),
                _ => Line::Unclear(text),
            })
        })
    })
}

/// Length of the data set at the start of a line: to where a parenthesis is closed and none opened.
fn data_set(line: &[u8]) -> Option<usize> {
    let mut at = memchr::memchr(b'(', line)?;
    while line.get(at) == Some(&b'(') {
        at += memchr::memchr(b')', &line[at..])? + 1;
    }
    Some(at)
}

/// A full or short code.
fn code(text: &[u8]) -> Option<Obis> {
    let (text, f) = match memchr::memchr2(b'*', b'&', text) {
        Some(at) => (&text[..at], number(&text[at + 1..])?),
        None => (text, 255),
    };
    let (medium, text) = match memchr::memchr(b':', text) {
        Some(at) => (Some(&text[..at]), &text[at + 1..]),
        None => (None, text),
    };
    let mut groups = text.split(|byte| *byte == b'.');
    let (c, d) = (group(groups.next()?)?, group(groups.next()?)?);
    let e = groups.next().map_or(Some(0), group)?;
    if groups.next().is_some() {
        return None;
    }
    let (a, b) = match medium {
        Some(medium) => {
            let mut parts = medium.split(|byte| *byte == b'-');
            let pair = (number(parts.next()?)?, number(parts.next()?)?);
            if parts.next().is_some() {
                return None;
            }
            pair
        }
        // Letters are objects of the meter itself.
        None => (u8::from(!text[0].is_ascii_alphabetic()), 0),
    };
    Some(Obis { a, b, c, d, e, f })
}

/// A group of a code: a number, or the letter that stands for one.
fn group(text: &[u8]) -> Option<u8> {
    match text {
        b"C" => Some(96),
        b"F" => Some(97),
        b"L" => Some(98),
        b"P" => Some(99),
        _ => number(text),
    }
}

/// One to three digits, at most 255.
fn number(text: &[u8]) -> Option<u8> {
    if !(1..=3).contains(&text.len()) || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    u8::try_from(text.iter().fold(0, |value, digit| value * 10 + u16::from(digit - b'0'))).ok()
}
