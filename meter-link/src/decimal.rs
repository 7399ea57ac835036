//! Exact decimal numbers as meters print them.
//!
//! A mantissa and a power of ten; never a binary fraction. Keeps the places the meter sent (`00.120` and `0.12` are equal
//! in value and print differently). At most 18 digits, so the mantissa cannot overflow.

use std::fmt;

/// `mantissa × 10^-places`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Decimal {
    /// All digits as one integer, with the sign. |mantissa| < 10^18.
    pub mantissa: i64,
    /// Digits after the point; 0 to 18.
    pub places: u8,
}

impl Decimal {
    /// Most digits that are read; more is no number a meter sends.
    pub const MAX_DIGITS: usize = 18;

    /// A whole number. Digits beyond [`Self::MAX_DIGITS`] saturate.
    pub const fn whole(count: i64) -> Self {
        const LIMIT: i64 = 999_999_999_999_999_999;
        let mantissa = if count > LIMIT {
            LIMIT
        } else if count < -LIMIT {
            -LIMIT
        } else {
            count
        };
        Self { mantissa, places: 0 }
    }

    /// Reads `-?digits(.digits)?`, leading zeros allowed. `None` for anything else, the empty text included.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (number, rest) = Self::parse_start(text)?;
        rest.is_empty().then_some(number)
    }

    /// Reads a number at the start of a text, as far as it goes; gives it and what follows. A second point or sign makes it
    /// no number.
    #[inline]
    pub(crate) fn parse_start(text: &[u8]) -> Option<(Self, &[u8])> {
        let digits = text.strip_prefix(b"-").unwrap_or(text);
        let (whole, length) = count(0, digits)?;
        let (mantissa, places) = match digits.get(length) {
            Some(b'.') => count(whole, &digits[length + 1..])?,
            _ => (whole, 0),
        };
        let end = length + if digits.get(length) == Some(&b'.') { 1 + places } else { 0 };
        let rest = &digits[end..];
        if length + places == 0 || places > Self::MAX_DIGITS || matches!(rest, [b'.' | b'-', ..]) {
            return None;
        }
        let mantissa = if digits.len() < text.len() { -mantissa } else { mantissa };
        Some((Self { mantissa, places: places as u8 }, rest))
    }

    /// The value times 10^`exponent`, exactly; trailing places are kept where they stay places. `None` when it overflows.
    pub fn scaled(self, exponent: i8) -> Option<Self> {
        let places = i16::from(self.places) - i16::from(exponent);
        if places >= 0 {
            return (places <= 18).then_some(Self { mantissa: self.mantissa, places: places as u8 });
        }
        let factor = 10_i64.checked_pow(u32::from(places.unsigned_abs()))?;
        let mantissa = self.mantissa.checked_mul(factor)?;
        (mantissa.unsigned_abs() < 10_u64.pow(18)).then_some(Self { mantissa, places: 0 })
    }

    /// The exact sum, with the places of the longer number. `None` when it overflows.
    pub fn plus(self, other: Self) -> Option<Self> {
        let places = self.places.max(other.places);
        let aligned =
            |number: Self| number.mantissa.checked_mul(10_i64.checked_pow(u32::from(places - number.places))?);
        let mantissa = aligned(self)?.checked_add(aligned(other)?)?;
        (mantissa.unsigned_abs() < 10_u64.pow(18)).then_some(Self { mantissa, places })
    }

    /// The value in thousandths, rounded toward zero (a register never shows energy that it has not counted yet).
    /// `None` when it overflows.
    pub fn thousandths(self) -> Option<i64> {
        if self.places <= 3 {
            self.mantissa.checked_mul(10_i64.pow(u32::from(3 - self.places)))
        } else {
            Some(self.mantissa / 10_i64.pow(u32::from(self.places - 3)))
        }
    }
}

/// Appends the digits at the start of a text to a number; gives it and how many there were. `None` if it gets too long.
#[inline]
fn count(mut mantissa: i64, text: &[u8]) -> Option<(i64, usize)> {
    /// Below this another digit fits.
    const LIMIT: i64 = 10_i64.pow(Decimal::MAX_DIGITS as u32 - 1);
    let mut length = 0;
    while let Some(digit) = text.get(length).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit < 10) {
        if mantissa >= LIMIT {
            return None;
        }
        mantissa = mantissa * 10 + i64::from(digit);
        length += 1;
    }
    Some((mantissa, length))
}

impl fmt::Display for Decimal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.mantissa < 0 { "-" } else { "" };
        let divisor = 10_u64.pow(u32::from(self.places.min(18)));
        let (whole, fraction) = (self.mantissa.unsigned_abs() / divisor, self.mantissa.unsigned_abs() % divisor);
        if self.places == 0 {
            write!(formatter, "{sign}{whole}")
        } else {
            write!(formatter, "{sign}{whole}.{fraction:0width$}", width = usize::from(self.places))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Option<&str>) {
        assert_eq!(Decimal::parse(text.as_bytes()).map(|number| number.to_string()).as_deref(), expect);
    }

    #[test]
    fn reads_what_meters_print() {
        check("001247.747", Some("1247.747"));
        check("-00.024", Some("-0.024"));
        check("000747.85", Some("747.85"));
        check("006545766", Some("6545766"));
        check("999999999999999999", Some("999999999999999999"));
        check("000000000000000000000001", Some("1"));
        check("0.000000000000000001", Some("0.000000000000000001"));
        check("5.", Some("5"));
        check(".5", Some("0.5"));
    }

    #[test]
    fn refuses_what_is_no_number() {
        for text in [
            "",
            "-",
            ".",
            "1.2.3",
            "1e5",
            "+1",
            "0x10",
            " 1",
            "--1",
            "1-",
            ".-1",
            "0.0000000000000000001",
            "9999999999999999999",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn a_prefix_moves_the_point_and_nothing_else() {
        let kilo = |text: &str| Decimal::parse(text.as_bytes()).and_then(|number| number.scaled(3));
        assert_eq!(kilo("52185.7825309").map(|number| number.to_string()).as_deref(), Some("52185782.5309"));
        assert_eq!(kilo("0.98").map(|number| number.to_string()).as_deref(), Some("980"));
        assert_eq!(kilo("52185.7825309").and_then(Decimal::thousandths), Some(52_185_782_530));
        assert_eq!(Decimal::parse(b"999999999999999999").and_then(|number| number.scaled(1)), None);
    }
}
