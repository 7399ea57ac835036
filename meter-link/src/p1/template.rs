//! A telegram like the one before it, read without parsing it again.
//!
//! A meter sends the same lines each second, and in them little but digits changes. From one telegram and what
//! [`super::reading`] made of it, a template learns which digits belong to values and stamps. The next telegram is compared
//! with it in one pass; if everything else is the same, the digits are read where they stand, into the reading at hand. If
//! anything differs (a line, a length, a sign, a unit, summer time, a text), or a number turns out to be none (a sentinel, a
//! day 32), the parser runs and the template learns anew. So it never decides what something means, and a telegram costs no
//! allocation while it looks like the one before.
//!
//! Invariants: [`Template::read`] gives exactly what the parser gives for the same bytes. `shape` and `mask` are as long as
//! the telegram learned from; where `mask` is [`DIGIT`], `shape` holds a digit. Numbers and stamps lie within them, and
//! nothing but their digits can change without the template not fitting.

use std::ops::Range;

use super::reading::{Place, interpret_noting};
use super::telegram::Telegram;
use super::time;
use crate::decimal::Decimal;
use crate::meaning::is_sentinel;
use crate::reading::{Reading, Trust, Unit};

/// Where a byte must be the same.
const SAME: u8 = 0xFF;
/// Where any digit may stand: of `0` to `9`, the upper half is the same.
const DIGIT: u8 = 0xF0;

/// The telegram read last, and how to read one like it.
pub(super) struct Template {
    /// The telegram from `/` to `!`.
    shape: Vec<u8>,
    /// For each byte of `shape`, [`SAME`] or [`DIGIT`].
    mask: Vec<u8>,
    numbers: Vec<Number>,
    stamps: Vec<Stamp>,
    reading: Reading,
}

/// The digits of a value.
struct Number {
    /// Just after its last digit; at least [`WINDOW`].
    end: usize,
    /// Index in the reading's values.
    value: usize,
    /// Of the [`WINDOW`] bytes before `end`, the digits after the point, or all if it has none.
    fraction: u128,
    /// The digits before the point, once they are moved over the point.
    whole: u128,
    /// Whether it has more than eight digits.
    is_long: bool,
    /// What its digits are multiplied with: the sign, and a prefix that is larger than its places.
    factor: i64,
    /// Whether it can be what meters send when they have no value.
    has_sentinels: bool,
}

/// A stamp.
struct Stamp {
    range: Range<usize>,
    /// Index of the value it belongs to; `None` for the meter's clock.
    value: Option<usize>,
}

/// Bytes that a number with its point must fit into; no meter sends more.
const WINDOW: usize = 16;

impl Default for Template {
    fn default() -> Self {
        Self {
            shape: Vec::new(),
            mask: Vec::new(),
            numbers: Vec::new(),
            stamps: Vec::new(),
            reading: Reading::new("p1", Trust::Unverified),
        }
    }
}

impl Template {
    /// Reads a telegram from `/` to `!`.
    pub(super) fn read(&mut self, bytes: &[u8], trust: Trust) -> &mut Reading {
        if !self.fits(bytes) || self.fill(bytes).is_none() {
            self.learn(bytes);
        }
        self.reading.trust = trust;
        self.reading.counter = None;
        &mut self.reading
    }

    /// Whether only digits differ, and only where they may.
    fn fits(&self, bytes: &[u8]) -> bool {
        // Six added to a digit stays in the upper half 3; added to `:` or what follows it, not.
        let differs =
            |(byte, (shape, mask)): (&u8, (&u8, &u8))| ((byte ^ shape) | (byte.wrapping_add(6 & !mask) ^ shape)) & mask;
        bytes.len() == self.shape.len()
            && bytes.iter().zip(self.shape.iter().zip(&self.mask)).map(differs).fold(0, |all, one| all | one) == 0
            && !bytes.is_empty()
    }

    /// Whether the next telegram needs no parser.
    #[cfg(test)]
    pub(super) fn is_like(&mut self, bytes: &[u8]) -> bool {
        self.fits(bytes) && self.fill(bytes).is_some()
    }

    /// Reads the digits of a telegram that fits. `None`: some make no sense, and the reading is half old, half new.
    fn fill(&mut self, bytes: &[u8]) -> Option<()> {
        for number in &self.numbers {
            let digits = number.read(bytes)?;
            if number.has_sentinels && is_sentinel(digits) {
                return None;
            }
            self.reading.values.get_mut(number.value)?.value.mantissa = digits * number.factor;
        }
        let mut moved = false;
        for Stamp { range, value } in &self.stamps {
            let text = &bytes[range.clone()];
            if *text == self.shape[range.clone()] {
                continue;
            }
            moved = true;
            let time = Some(time::parse(text, self.reading.country)?);
            match value {
                Some(value) => self.reading.values.get_mut(*value)?.meter_time = time,
                None => self.reading.meter_time = time,
            }
        }
        // Not before: several values may have the same stamp.
        if moved {
            for Stamp { range, .. } in &self.stamps {
                self.shape[range.clone()].copy_from_slice(&bytes[range.clone()]);
            }
        }
        Some(())
    }

    /// Parses a telegram and notes where its values and stamps stand.
    fn learn(&mut self, bytes: &[u8]) {
        self.shape.clear();
        self.shape.extend_from_slice(bytes);
        self.mask.clear();
        self.mask.resize(bytes.len(), SAME);
        self.numbers.clear();
        self.stamps.clear();
        let (mask, numbers, stamps) = (&mut self.mask, &mut self.numbers, &mut self.stamps);
        // What the parser hands out borrows from `bytes`.
        let range_of = |part: &[u8]| {
            let start = part.as_ptr().addr() - bytes.as_ptr().addr();
            start..start + part.len()
        };
        let loosen = |mask: &mut [u8], range: Range<usize>| {
            for (byte, mask) in bytes[range.clone()].iter().zip(&mut mask[range]) {
                *mask = if byte.is_ascii_digit() { DIGIT } else { SAME };
            }
        };
        let mut value = 0;
        self.reading = interpret_noting(&Telegram::parse(bytes), Trust::Unverified, |place| match place {
            Place::Clock(text) => {
                loosen(mask, range_of(text));
                stamps.push(Stamp { range: range_of(text), value: None });
            }
            Place::Kept(text) => mask[range_of(text)].fill(SAME),
            Place::Number { text, exponent, stamp } => {
                let start = range_of(text).start;
                if let Some(number) = Number::learn(bytes, start, exponent, value) {
                    loosen(mask, start..number.end);
                    numbers.push(number);
                }
                if let Some(text) = stamp {
                    loosen(mask, range_of(text));
                    stamps.push(Stamp { range: range_of(text), value: Some(value) });
                }
                value += 1;
            }
        });
        for number in &mut self.numbers {
            number.has_sentinels &= self.reading.values[number.value].unit != Unit::One;
        }
    }
}

impl Number {
    /// The number that begins at `start`. `None`: it stays as it is, for it has more digits than any meter sends, or is minus
    /// nothing: a register may say that, and no other negative number.
    fn learn(bytes: &[u8], start: usize, exponent: i8, value: usize) -> Option<Self> {
        let is_negative = bytes[start] == b'-';
        let from = start + usize::from(is_negative);
        let count = |from: usize| bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let whole = count(from);
        let has_point = bytes.get(from + whole) == Some(&b'.');
        let places = if has_point { count(from + whole + 1) } else { 0 };
        let end = from + whole + usize::from(has_point) + places;
        let is_zero = bytes[from..end].iter().all(|byte| matches!(byte, b'0' | b'.'));
        // Zeros that the prefix adds when it is larger than the places.
        let zeros = u32::try_from(exponent).unwrap_or(0).saturating_sub(places as u32);
        if is_negative && is_zero
            || end < WINDOW
            || end - from > WINDOW
            || whole + places + zeros as usize > Decimal::MAX_DIGITS
        {
            return None;
        }
        // The low four bits of the `count` bytes that stand before the last `after`.
        let low_bits = |count: usize, after: usize| {
            (WINDOW - after - count..WINDOW - after).fold(0, |mask, byte| mask | 0x0F_u128 << (byte * 8))
        };
        let factor = 10_i64.pow(zeros);
        Some(Self {
            end,
            value,
            fraction: if has_point { low_bits(places, 0) } else { low_bits(whole, 0) },
            whole: if has_point { low_bits(whole, places) } else { 0 },
            is_long: whole + places > 8,
            factor: if is_negative { -factor } else { factor },
            has_sentinels: !is_negative,
        })
    }

    /// Its digits as one number, the point left out.
    #[inline]
    fn read(&self, bytes: &[u8]) -> Option<i64> {
        let window = u128::from_le_bytes(*bytes.get(..self.end)?.last_chunk()?);
        // The first digit is the lowest byte; moving up by one byte puts the last one before the point over it.
        let digits = (window & self.fraction) | (window << 8 & self.whole);
        let last = eight_digits((digits >> 64) as u64);
        Some(if self.is_long { eight_digits(digits as u64) * 100_000_000 + last } else { last })
    }
}

/// The number whose eight decimal digits are these bytes, the first the lowest.
#[inline]
const fn eight_digits(bytes: u64) -> i64 {
    let pairs = (bytes * 10 + (bytes >> 8)) & 0x00FF_00FF_00FF_00FF;
    let fours = (pairs * 100 + (pairs >> 16)) & 0x0000_FFFF_0000_FFFF;
    ((fours * 10_000 + (fours >> 32)) & 0xFFFF_FFFF) as i64
}

/// Holds a household's telegram.
impl std::fmt::Debug for Template {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Template(…)")
    }
}
