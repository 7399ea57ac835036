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

    /// A binary fraction of 32 bits (IEEE 754), by its bits, as the decimal that it stands for: whole numbers exactly, and of a
    /// fraction as many digits as 32 bits can tell apart (7 in all). `None` for what is no number or too large.
    pub fn of_binary32(bits: u32) -> Option<Self> {
        Self::of_binary(bits >> 31 == 1, u64::from(bits & 0x7F_FFFF), 23, (bits >> 23 & 0xFF) as i32, 0xFF)
    }

    /// The same of 64 bits, which can tell 15 digits apart.
    pub fn of_binary64(bits: u64) -> Option<Self> {
        Self::of_binary(bits >> 63 == 1, bits & ((1 << 52) - 1), 52, (bits >> 52 & 0x7FF) as i32, 0x7FF)
    }

    /// `width`: bits of the fraction; `special`: the exponent of what is no number.
    fn of_binary(negative: bool, fraction: u64, width: u32, exponent: i32, special: i32) -> Option<Self> {
        let bias = special / 2 + width as i32;
        let (significand, power) = match exponent {
            _ if exponent == special => return None,
            0 => (i128::from(fraction), 1 - bias),
            _ => (i128::from(fraction | 1 << width), exponent - bias),
        };
        let (mantissa, places) = if power >= 0 {
            // More than 18 digits long before it leaves 128 bits.
            (significand.checked_shl(power.unsigned_abs()).filter(|_| power < 64)?, 0)
        } else {
            // Below 2^-110 is nothing but zero at these digits.
            let shift = power.unsigned_abs().min(110);
            let whole = significand >> shift;
            let digits = whole.checked_ilog10().map_or(0, |log| log + 1);
            let places = (if width == 23 { 7_u32 } else { 15 }).saturating_sub(digits);
            let doubled = (significand * 10_i128.pow(places)) >> (shift - 1);
            trim((doubled + 1) >> 1, places as u8)
        };
        let mantissa = i64::try_from(mantissa).ok().filter(|mantissa| *mantissa < 10_i64.pow(18))?;
        Some(Self { mantissa: if negative { -mantissa } else { mantissa }, places })
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

/// Takes the zeros off the end of a fraction.
fn trim(mut mantissa: i128, mut places: u8) -> (i128, u8) {
    while places > 0 && mantissa % 10 == 0 {
        (mantissa, places) = (mantissa / 10, places - 1);
    }
    (mantissa, places)
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

    #[test]
    fn a_float_becomes_a_decimal_without_float_arithmetic() {
        for (bits, expect) in [
            (0x4366_0000, Some("230")),
            (0xC148_0000, Some("-12.5")),
            (0x4366_199A, Some("230.1")),
            (0x4B7F_FFFF, Some("16777215")),
            (0x3DCC_CCCD, Some("0.1")),
            (0x0000_0001, Some("0")),
            (0x8000_0000, Some("0")),
            (0x7FC0_0000, None),
            (0x7F80_0000, None),
            (0x7F7F_FFFF, None),
        ] {
            assert_eq!(Decimal::of_binary32(bits).map(|value| value.to_string()).as_deref(), expect, "{bits:08X}");
        }
    }

    #[test]
    fn a_float_of_64_bits_too() {
        assert_eq!(
            Decimal::of_binary64(0x406C_C333_3333_3333).map(|value| value.to_string()).as_deref(),
            Some("230.1")
        );
        assert_eq!(Decimal::of_binary64(0x406C_C000_0000_0000).map(|value| value.to_string()).as_deref(), Some("230"));
        assert_eq!(Decimal::of_binary64(0x7FF0_0000_0000_0000), None);
    }
}
