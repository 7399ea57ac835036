//! OBIS codes: the six numbers that name a quantity in a meter (IEC 62056-6-1, `A-B:C.D.E*F`).

use std::fmt;

use serde::{Deserialize, Serialize};

/// One OBIS code. `f` is 255 where the wire leaves it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Obis {
    /// Medium: 0 abstract, 1 electricity, 6 heat, 7 gas, 8 water.
    pub a: u8,
    /// Channel: 0 the meter itself, 1.. its child meters.
    pub b: u8,
    /// Physical quantity.
    pub c: u8,
    /// How it was processed: 4 to 6 demand, 7 instantaneous, 8 time integral since installation.
    pub d: u8,
    /// Rate, 0 for the total.
    pub e: u8,
    /// Billing period, 255 for the current one.
    pub f: u8,
}

impl Obis {
    /// The code `a-b:c.d.e` of the current billing period.
    pub const fn new(a: u8, b: u8, c: u8, d: u8, e: u8) -> Self {
        Self { a, b, c, d, e, f: 255 }
    }

    /// Reads `A-B:C.D.E` with an optional `*F`, and nothing more. `None` for anything else.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (obis, rest) = Self::parse_start(text)?;
        rest.is_empty().then_some(obis)
    }

    /// Reads a code at the start of a text; gives it and what follows.
    pub(crate) fn parse_start(text: &[u8]) -> Option<(Self, &[u8])> {
        let (a, rest) = number(text)?;
        let (b, rest) = number(rest.strip_prefix(b"-")?)?;
        let (c, rest) = number(rest.strip_prefix(b":")?)?;
        let (d, rest) = number(rest.strip_prefix(b".")?)?;
        let (e, rest) = number(rest.strip_prefix(b".")?)?;
        let (f, rest) = match rest.strip_prefix(b"*") {
            Some(rest) => number(rest)?,
            None => (255, rest),
        };
        Some((Self { a, b, c, d, e, f }, rest))
    }
}

/// One to three digits, at most 255, and what follows.
#[inline]
fn number(text: &[u8]) -> Option<(u8, &[u8])> {
    let (mut value, mut rest) = match text {
        [digit @ b'0'..=b'9', rest @ ..] => (u16::from(digit - b'0'), rest),
        _ => return None,
    };
    for _ in 0..2 {
        let [digit @ b'0'..=b'9', more @ ..] = rest else { break };
        (value, rest) = (value * 10 + u16::from(digit - b'0'), more);
    }
    Some((u8::try_from(value).ok()?, rest))
}

impl fmt::Display for Obis {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { a, b, c, d, e, f } = self;
        write!(formatter, "{a}-{b}:{c}.{d}.{e}")?;
        if *f != 255 {
            write!(formatter, "*{f}")?;
        }
        Ok(())
    }
}

impl From<Obis> for String {
    fn from(code: Obis) -> Self {
        code.to_string()
    }
}

impl TryFrom<String> for Obis {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(text.as_bytes()).ok_or("expected an OBIS code like 1-0:1.8.0")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_what_it_read() {
        for text in ["1-0:1.8.0", "0-4:24.2.3", "1-0:1.8.0*96", "255-255:255.255.255*0"] {
            assert_eq!(Obis::parse(text.as_bytes()).map(|code| code.to_string()).as_deref(), Some(text));
        }
        assert_eq!(Obis::parse(b"1-0:1.8.0*255"), Some(Obis::new(1, 0, 1, 8, 0)));
    }

    #[test]
    fn refuses_what_is_no_code() {
        for text in ["", "1.8.0", "1-0:1.8", "256-0:1.8.0", "1-0:1.8.0*", "1-0:4:24.7.0", "1-0:1.8.0 ", "0001-0:1.8.0"]
        {
            assert_eq!(Obis::parse(text.as_bytes()), None, "{text}");
        }
    }
}
