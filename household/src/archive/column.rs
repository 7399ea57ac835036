//! One column of integers as a stream of bytes, codec 1: differences, zigzag, varint, zstd.
//!
//! A column that stands still, or rises by the same amount each row, needs no stream at all. Which rows said nothing is
//! kept exactly, as runs. What all differences have in common is divided out (a meter that shows whole watts counts
//! 1 000 mW at a time). Writes nothing that it does not read back; reads nothing beyond a stated number of rows.

use super::Damage;
use super::varint::{Cursor, put, put_signed};

/// One value per row; `None` where the row says nothing.
pub type Values = Vec<Option<i64>>;

/// What a column looks like, so that little of it is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Rises by nearly the same each row: time.
    Clock,
    /// Stays near its first value: what is left beside a reference.
    Level,
    /// Stays near the value before.
    Step,
}

/// Flags of a column's parameters.
const ABSENT: u8 = 1 << 2;
const PACKED: u8 = 1 << 3;
const STEPPED: u8 = 1 << 4;

/// Below this many bytes zstd's own frame costs more than it saves.
const WORTH_PACKING: usize = 24;

/// zstd with its tables, to be used again for the next column.
pub struct Packer(zstd::bulk::Compressor<'static>);

impl Packer {
    /// A packer of a level: 3 packs six million readings a second, 19 two hundred thousand and an eighth smaller.
    pub fn new(level: i32) -> Self {
        let mut packer = zstd::bulk::Compressor::new(level).unwrap_or_default();
        // The capacity is known from the rows, and the block has a checksum of its own.
        let _ = packer.include_contentsize(false);
        let _ = packer.include_checksum(false);
        Self(packer)
    }

    fn pack(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        if bytes.len() < WORTH_PACKING {
            return None;
        }
        self.0.compress(bytes).ok().filter(|packed| packed.len() < bytes.len())
    }
}

impl std::fmt::Debug for Packer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Packer")
    }
}

/// Writes a column: its parameters to `head`; gives its stream.
pub(super) fn encode(head: &mut Vec<u8>, values: &[Option<i64>], shape: Shape, packer: &mut Packer) -> Vec<u8> {
    let present: Vec<i64> = values.iter().filter_map(|value| *value).collect();
    let first = present.first().copied().unwrap_or(0);
    let mut left = differences(&present, shape);
    let drift = if shape == Shape::Clock { median(&left) } else { 0 };
    let mut step = 0;
    for value in &mut left {
        *value = value.wrapping_sub(drift);
        if step != 1 {
            step = common(step, value.unsigned_abs());
        }
    }
    let mut stream = Vec::new();
    let mut flags = shape as u8;
    if present.len() < values.len() {
        flags |= ABSENT;
        put_runs(&mut stream, values);
    }
    if step > 0 {
        let divisor = if step <= i64::MAX.unsigned_abs() { step.cast_signed() } else { 1 };
        if divisor > 1 {
            flags |= STEPPED;
        }
        stream.reserve(left.len() * 2);
        for value in left {
            put_signed(&mut stream, if divisor > 1 { value / divisor } else { value });
        }
        step = divisor.unsigned_abs();
    }
    let packed = packer.pack(&stream);
    if packed.is_some() {
        flags |= PACKED;
    }
    head.push(flags);
    put_signed(head, first);
    if shape == Shape::Clock {
        put_signed(head, drift);
    }
    if flags & STEPPED != 0 {
        put(head, step);
    }
    packed.unwrap_or(stream)
}

/// Reads the parameters that [`encode`] wrote.
pub(super) fn parameters(head: &mut Cursor<'_>) -> Option<Parameters> {
    let flags = *head.take(1)?.first()?;
    let shape = match flags & 3 {
        0 => Shape::Clock,
        1 => Shape::Level,
        2 => Shape::Step,
        _ => return None,
    };
    Some(Parameters {
        shape,
        flags,
        first: head.next_signed()?,
        drift: if shape == Shape::Clock { head.next_signed()? } else { 0 },
        step: if flags & STEPPED != 0 { i64::try_from(head.next()?).ok()? } else { 1 },
    })
}

/// How a stream is to be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parameters {
    shape: Shape,
    flags: u8,
    first: i64,
    drift: i64,
    step: i64,
}

impl Parameters {
    /// Reads a stream of so many rows.
    pub(super) fn decode(self, stream: &[u8], rows: usize) -> Result<Values, Damage> {
        // Ten bytes a number at most; runs of rows without a value are fewer than rows.
        let unpacked = match self.flags & PACKED != 0 {
            true => zstd::bulk::decompress(stream, 20 * rows + 20).map_err(|_| Damage::Nonsense("stream"))?,
            false => Vec::new(),
        };
        let mut cursor = Cursor::new(if self.flags & PACKED != 0 { &unpacked } else { stream });
        let present = match self.flags & ABSENT != 0 {
            true => Some(runs(&mut cursor, rows).ok_or(Damage::Nonsense("runs"))?),
            false => None,
        };
        let stands = cursor.rest().is_empty();
        let mut last = self.first;
        let mut is_first = true;
        let mut next = || {
            let difference = match stands || (is_first && self.shape != Shape::Level) {
                true => 0,
                false => cursor.next_signed()?.wrapping_mul(self.step),
            };
            let drift = if is_first { 0 } else { self.drift };
            is_first = false;
            let value = last.wrapping_add(difference).wrapping_add(drift);
            if self.shape != Shape::Level {
                last = value;
            }
            Some(value)
        };
        let mut values = Vec::with_capacity(rows);
        for row in 0..rows {
            let said = present.as_ref().is_none_or(|present| present[row]);
            values.push(if said { Some(next().ok_or(Damage::Nonsense("values"))?) } else { None });
        }
        if !stands && !cursor.rest().is_empty() {
            return Err(Damage::Nonsense("values"));
        }
        Ok(values)
    }
}

/// What is left of each value beside its predecessor, or beside the first.
fn differences(present: &[i64], shape: Shape) -> Vec<i64> {
    match shape {
        Shape::Level => {
            let first = present.first().copied().unwrap_or(0);
            present.iter().map(|value| value.wrapping_sub(first)).collect()
        }
        Shape::Clock | Shape::Step => present.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect(),
    }
}

fn median(values: &[i64]) -> i64 {
    let mut sorted = values.to_vec();
    let middle = sorted.len() / 2;
    if sorted.is_empty() { 0 } else { *sorted.select_nth_unstable(middle).1 }
}

/// The greatest common divisor.
const fn common(mut one: u64, mut other: u64) -> u64 {
    while other > 0 {
        (one, other) = (other, one % other);
    }
    one
}

/// Lengths of runs of rows with and without a value, in turns, those with one first.
fn put_runs(stream: &mut Vec<u8>, values: &[Option<i64>]) {
    let mut runs = Vec::new();
    let (mut said, mut length) = (true, 0);
    for value in values {
        if value.is_some() != said {
            put(&mut runs, length);
            (said, length) = (!said, 0);
        }
        length += 1;
    }
    put(&mut runs, length);
    stream.append(&mut runs);
}

fn runs(cursor: &mut Cursor<'_>, rows: usize) -> Option<Vec<bool>> {
    let mut present = Vec::with_capacity(rows);
    let mut said = true;
    while present.len() < rows {
        let length = cursor.next_count().filter(|length| *length <= rows - present.len())?;
        present.resize(present.len() + length, said);
        said = !said;
    }
    Some(present)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round_trip(values: &[Option<i64>], shape: Shape) -> (Values, usize) {
        let mut head = Vec::new();
        let stream = encode(&mut head, values, shape, &mut Packer::new(3));
        let mut cursor = Cursor::new(&head);
        let read = parameters(&mut cursor).expect("its own parameters");
        assert!(cursor.rest().is_empty());
        (read.decode(&stream, values.len()).expect("its own stream"), head.len() + stream.len())
    }

    fn values() -> impl Strategy<Value = Values> {
        let value = prop_oneof![
            3 => (-50_i64..50).prop_map(Some),
            1 => Just(None),
            1 => any::<i64>().prop_map(Some),
            2 => (0_i64..9).prop_map(|watts| Some(watts * 1_000)),
        ];
        proptest::collection::vec(value, 0..300)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_and_null_is_not_zero(values in values()) {
            for shape in [Shape::Clock, Shape::Level, Shape::Step] {
                prop_assert_eq!(&round_trip(&values, shape).0, &values);
            }
        }

        #[test]
        fn any_bytes_are_refused_or_read_within_bounds(
            head in proptest::collection::vec(any::<u8>(), 0..12),
            stream in proptest::collection::vec(any::<u8>(), 0..200),
            rows in 0_usize..500,
        ) {
            if let Some(parameters) = parameters(&mut Cursor::new(&head))
                && let Ok(values) = parameters.decode(&stream, rows)
            {
                prop_assert_eq!(values.len(), rows);
            }
        }
    }

    #[test]
    fn what_stands_or_ticks_needs_no_stream() {
        let still: Values = vec![Some(230_100); 3_600];
        assert!(round_trip(&still, Shape::Step).1 <= 5);
        let seconds: Values = (0..3_600).map(|second| Some(1_772_406_000_000 + second * 1_000)).collect();
        assert!(round_trip(&seconds, Shape::Clock).1 <= 10);
        assert!(round_trip(&[None; 3_600], Shape::Step).1 <= 5, "nothing was said, all hour");
    }

    #[test]
    fn time_with_gaps_and_jitter_stays_small() {
        let gaps: Values = (0..3_600_i64)
            .filter(|second| second % 500 != 7)
            .map(|second| Some(1_772_406_000_000 + second * 1_000))
            .collect();
        let size = round_trip(&gaps, Shape::Clock).1;
        assert!(size < 80, "{size}");
        let jitter: Values =
            (0..3_600_i64).map(|second| Some(1_772_406_000_000 + second * 1_000 + second * second % 23)).collect();
        let size = round_trip(&jitter, Shape::Clock).1;
        assert!(size < 3_600, "a byte each: {size}");
    }

    #[test]
    fn values_at_both_ends_of_the_range_survive() {
        let values = vec![Some(i64::MIN), Some(i64::MAX), Some(0), None, Some(i64::MIN)];
        for shape in [Shape::Clock, Shape::Level, Shape::Step] {
            assert_eq!(round_trip(&values, shape).0, values);
        }
    }
}
