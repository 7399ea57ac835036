//! A block: columns of equal length, each with its stream, behind one header and one checksum.
//!
//! ```text
//! codec (1) · length of the rest's header, varint · header · streams · CRC-32C of all before, little endian
//! header: rows · what the columns' owner adds (length, bytes) · per column: id, reference, parameters, stream length
//! ```
//!
//! A reader of any age looks at the codec first. One column is decoded without the others, but for those it refers to: a
//! total is kept as what it differs from the sum of its parts. Never reads more than [`MAX_ROWS`] rows or [`MAX_COLUMNS`]
//! columns, whatever the bytes say.

use super::column::{self, Packer, Parameters, Shape, Values};
use super::varint::{Cursor, put};
use super::{Damage, checksum};

/// The first codec, and the one that every block can have.
pub const CODEC: u8 = 1;
/// Rows of a block: an hour at ten a second, which is more than any meter sends.
pub const MAX_ROWS: usize = 36_000;
/// Columns of a block.
pub const MAX_COLUMNS: usize = 1_024;
/// Columns that one may refer to.
const MAX_PARTS: usize = 32;
/// A number that names a column within its block.
pub type ColumnId = u32;

/// A column to be written.
#[derive(Clone, Debug)]
pub struct Column<'a> {
    /// Its name.
    pub id: ColumnId,
    /// Its values, as many as the block has rows.
    pub values: &'a [Option<i64>],
    /// What it looks like.
    pub shape: Shape,
    /// What it nearly is.
    pub reference: Reference,
}

/// What a column nearly is, of columns that are written before it and refer to nothing. Empty: nothing known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Summed; a row without a value counts 0.
    pub plus: Vec<ColumnId>,
    /// Taken off.
    pub minus: Vec<ColumnId>,
    /// What the sum is multiplied by: a total is booked in smaller units than it is sent in.
    pub factor: u32,
    /// Never below zero: a meter shows power in two directions, each 0 while the other flows.
    pub clamped: bool,
}

impl Default for Reference {
    fn default() -> Self {
        Self { plus: Vec::new(), minus: Vec::new(), factor: 1, clamped: false }
    }
}

impl Reference {
    fn is_empty(&self) -> bool {
        self.plus.is_empty() && self.minus.is_empty()
    }

    /// The reference's values from those of its parts, the added ones first.
    fn sum(&self, parts: &[Values], rows: usize) -> Vec<i64> {
        let mut sums = vec![0_i64; rows];
        for (part, values) in parts.iter().enumerate() {
            for (sum, value) in sums.iter_mut().zip(values) {
                let value = value.unwrap_or(0);
                *sum = if part < self.plus.len() { sum.wrapping_add(value) } else { sum.wrapping_sub(value) };
            }
        }
        for sum in &mut sums {
            *sum = sum.wrapping_mul(i64::from(self.factor));
            if self.clamped {
                *sum = (*sum).max(0);
            }
        }
        sums
    }
}

/// Writes a block. `owner` is handed back by [`Block::owner`]. All columns have `rows` values, [`MAX_ROWS`] at most.
pub fn encode(owner: &[u8], rows: usize, columns: &[Column<'_>], packer: &mut Packer) -> Vec<u8> {
    let mut head = Vec::new();
    let mut streams = Vec::new();
    put(&mut head, rows as u64);
    put(&mut head, owner.len() as u64);
    head.extend_from_slice(owner);
    put(&mut head, columns.len() as u64);
    for column in columns {
        put(&mut head, u64::from(column.id));
        let parts = &column.reference;
        put(&mut head, (parts.plus.len() as u64) << 1 | u64::from(parts.clamped));
        put(&mut head, parts.minus.len() as u64);
        for part in parts.plus.iter().chain(&parts.minus) {
            put(&mut head, u64::from(*part));
        }
        if !parts.is_empty() {
            put(&mut head, u64::from(parts.factor));
        }
        let stream = match parts.is_empty() {
            true => column::encode(&mut head, column.values, column.shape, packer),
            false => column::encode(&mut head, &beside(columns, column, rows), column.shape, packer),
        };
        put(&mut head, stream.len() as u64);
        streams.extend_from_slice(&stream);
    }
    let mut bytes = vec![CODEC];
    put(&mut bytes, head.len() as u64);
    bytes.append(&mut head);
    bytes.append(&mut streams);
    let sum = checksum(&bytes);
    bytes.extend_from_slice(&sum.to_le_bytes());
    bytes
}

/// What a column differs from its reference.
fn beside(columns: &[Column<'_>], column: &Column<'_>, rows: usize) -> Values {
    let part = |id: &ColumnId| {
        let found = columns.iter().find(|other| other.id == *id);
        found.map_or_else(|| vec![None; rows], |part| part.values.to_vec())
    };
    let parts: Vec<Values> = column.reference.plus.iter().chain(&column.reference.minus).map(part).collect();
    let sums = column.reference.sum(&parts, rows);
    column.values.iter().zip(sums).map(|(value, sum)| value.map(|value| value.wrapping_sub(sum))).collect()
}

/// A block whose checksum held. Columns are decoded when they are asked for.
#[derive(Clone, Debug)]
pub struct Block<'a> {
    rows: usize,
    owner: &'a [u8],
    columns: Vec<Stored<'a>>,
}

/// A column as it is stored.
#[derive(Clone, Debug)]
struct Stored<'a> {
    id: ColumnId,
    reference: Reference,
    parameters: Parameters,
    stream: &'a [u8],
}

impl<'a> Block<'a> {
    /// Checks a block and reads its header.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Damage> {
        let (guarded, sum) = bytes.split_last_chunk::<4>().ok_or(Damage::Nonsense("length"))?;
        let (expected, found) = (checksum(guarded), u32::from_le_bytes(*sum));
        if expected != found {
            return Err(Damage::Checksum { expected, found });
        }
        match guarded.first() {
            Some(&CODEC) => Self::parse(&guarded[1..]).ok_or(Damage::Nonsense("header")),
            Some(&codec) => Err(Damage::Codec(codec)),
            None => Err(Damage::Nonsense("length")),
        }
    }

    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut cursor = Cursor::new(bytes);
        let length = cursor.next_count()?;
        let mut head = Cursor::new(cursor.take(length)?);
        let mut streams = cursor;
        let rows = head.next_count().filter(|rows| *rows <= MAX_ROWS)?;
        let owner = head.next_count()?;
        let owner = head.take(owner)?;
        let count = head.next_count().filter(|count| *count <= MAX_COLUMNS)?;
        let mut columns: Vec<Stored<'a>> = Vec::with_capacity(count);
        for _ in 0..count {
            let id = u32::try_from(head.next()?).ok()?;
            let plus = head.next_count()?;
            let (plus, clamped, minus) = (plus >> 1, plus & 1 == 1, head.next_count()?);
            if plus > MAX_PARTS || minus > MAX_PARTS {
                return None;
            }
            // Only to what came before and refers to nothing itself.
            let is_plain = |id: &ColumnId| columns.iter().any(|one| one.id == *id && one.reference.is_empty());
            let mut part = || u32::try_from(head.next()?).ok().filter(is_plain);
            let plus: Vec<ColumnId> = (0..plus).map(|_| part()).collect::<Option<_>>()?;
            let minus: Vec<ColumnId> = (0..minus).map(|_| part()).collect::<Option<_>>()?;
            let mut reference = Reference { plus, minus, factor: 1, clamped };
            if !reference.is_empty() {
                reference.factor = u32::try_from(head.next()?).ok()?;
            }
            let parameters = column::parameters(&mut head)?;
            let length = head.next_count()?;
            let stream = streams.take(length)?;
            columns.push(Stored { id, reference, parameters, stream });
        }
        (head.rest().is_empty() && streams.rest().is_empty()).then_some(Self { rows, owner, columns })
    }

    /// How many rows there are.
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// What the owner of the columns added.
    pub const fn owner(&self) -> &'a [u8] {
        self.owner
    }

    /// The columns' names, in the order written.
    pub fn ids(&self) -> impl Iterator<Item = ColumnId> {
        self.columns.iter().map(|column| column.id)
    }

    /// A column's values. `None` if the block has no such column.
    pub fn column(&self, id: ColumnId) -> Result<Option<Values>, Damage> {
        let Some(stored) = self.columns.iter().find(|column| column.id == id) else { return Ok(None) };
        let mut values = stored.parameters.decode(stored.stream, self.rows)?;
        let reference = &stored.reference;
        if !reference.is_empty() {
            let parts = reference.plus.iter().chain(&reference.minus);
            let parts = parts.map(|part| Ok(self.column(*part)?.unwrap_or_default())).collect::<Result<Vec<_>, _>>()?;
            for (value, sum) in values.iter_mut().zip(reference.sum(&parts, self.rows)) {
                *value = value.map(|value| value.wrapping_add(sum));
            }
        }
        Ok(Some(values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn numbers(values: &[i64]) -> Values {
        values.iter().copied().map(Some).collect()
    }

    fn plain(id: ColumnId, values: &Values) -> Column<'_> {
        Column { id, values, shape: Shape::Step, reference: Reference::default() }
    }

    fn three_phases() -> Vec<u8> {
        let (l1, l2): (Values, Values) = (
            (0..900_i64).map(|row| Some(row * row % 977 * 1_000)).collect(),
            (0..900_i64).map(|row| if row % 9 == 0 { None } else { Some(row * 7 % 311 * 1_000) }).collect(),
        );
        let total: Values =
            l1.iter().zip(&l2).map(|(one, other)| Some(one.unwrap_or(0) + other.unwrap_or(0) + 1_000)).collect();
        let reference = Reference { plus: vec![1, 2], clamped: true, ..Reference::default() };
        let columns = [plain(1, &l1), plain(2, &l2), Column { id: 3, values: &total, shape: Shape::Level, reference }];
        encode(b"owner", 900, &columns, &mut Packer::new(3))
    }

    #[test]
    fn a_total_is_kept_as_what_it_differs_from_its_parts() {
        let bytes = three_phases();
        let block = Block::read(&bytes).expect("its own block");
        assert_eq!((block.rows(), block.owner()), (900, &b"owner"[..]));
        let column = |id| block.column(id).expect("undamaged").expect("it has it");
        assert_eq!(column(2)[9], None);
        assert_eq!(column(3)[10], Some(column(1)[10].unwrap_or(0) + column(2)[10].unwrap_or(0) + 1_000));
        assert_eq!(block.column(4), Ok(None));
        let stored = block.columns.iter().find(|column| column.id == 3).expect("it has it");
        assert!(stored.stream.is_empty(), "the difference stands still");
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let bytes = three_phases();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(Block::read(&flipped), Err(Damage::Checksum { .. })), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert!(Block::read(&bytes[..length]).is_err(), "cut at {length}");
        }
    }

    #[test]
    fn a_codec_of_tomorrow_is_named() {
        let mut bytes = vec![9, 0];
        let sum = checksum(&bytes);
        bytes.extend_from_slice(&sum.to_le_bytes());
        assert_eq!(Block::read(&bytes).map(|_| ()), Err(Damage::Codec(9)));
    }

    proptest! {
        #[test]
        fn bytes_with_a_right_checksum_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let mut sealed = vec![CODEC, bytes.len().min(40) as u8];
            sealed.extend_from_slice(&bytes);
            let sum = checksum(&sealed);
            sealed.extend_from_slice(&sum.to_le_bytes());
            if let Ok(block) = Block::read(&sealed) {
                for id in block.ids().collect::<Vec<_>>() {
                    let _ = block.column(id);
                }
            }
        }

        #[test]
        fn columns_are_read_as_they_were_written(
            one in proptest::collection::vec(any::<i64>(), 50),
            other in proptest::collection::vec(any::<i64>(), 50),
        ) {
            let (one, other) = (numbers(&one), numbers(&other));
            let reference = Reference { minus: vec![7], factor: 1_000, ..Reference::default() };
            let columns = [plain(7, &one), Column { id: 9, values: &other, shape: Shape::Level, reference }];
            let bytes = encode(&[], 50, &columns, &mut Packer::new(3));
            let block = Block::read(&bytes).expect("its own block");
            prop_assert_eq!(block.column(7), Ok(Some(one)));
            prop_assert_eq!(block.column(9), Ok(Some(other)));
        }
    }
}
