//! Integers in few bytes: seven bits in each, low ones first (LEB128), signs folded in (zigzag).

/// Appends a number: one byte below 128, ten at most.
pub(super) fn put(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// Appends a number of either sign: one byte from -64 to 63.
pub(super) fn put_signed(bytes: &mut Vec<u8>, value: i64) {
    put(bytes, zigzag(value));
}

/// 0, -1, 1, -2 … as 0, 1, 2, 3 …
pub(super) const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

/// Reads what [`put`] wrote, from the front; `None` where the bytes end or are none of ours.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn next(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for (place, &byte) in self.rest.iter().enumerate().take(10) {
            let bits = u64::from(byte & 0x7F);
            if place == 9 && bits > 1 {
                return None;
            }
            value |= bits << (7 * place);
            if byte < 0x80 {
                self.rest = &self.rest[place + 1..];
                return Some(value);
            }
        }
        None
    }

    pub(super) fn next_signed(&mut self) -> Option<i64> {
        let value = self.next()?;
        Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    /// A number that counts things in memory.
    pub(super) fn next_count(&mut self) -> Option<usize> {
        usize::try_from(self.next()?).ok()
    }

    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    pub(super) const fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn reads_what_it_wrote(values in proptest::collection::vec(proptest::num::i64::ANY, 0..40)) {
            let mut bytes = Vec::new();
            for value in &values {
                put_signed(&mut bytes, *value);
            }
            let mut cursor = Cursor::new(&bytes);
            for value in values {
                proptest::prop_assert_eq!(cursor.next_signed(), Some(value));
            }
            proptest::prop_assert_eq!((cursor.next(), cursor.rest().len()), (None, 0));
        }
    }

    #[test]
    fn refuses_more_than_64_bits() {
        assert_eq!(Cursor::new(&[0xFF; 11]).next(), None);
        let mut largest = vec![0xFF; 9];
        largest.push(1);
        assert_eq!(Cursor::new(&largest).next(), Some(u64::MAX));
        largest[9] = 2;
        assert_eq!(Cursor::new(&largest).next(), None);
    }
}
