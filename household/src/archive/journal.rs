//! What a record of the tail says: the rows of one telegram, and the invocation counter that came with it.
//!
//! One record is one telegram, whole or not at all, so a counter is never kept without its reading. A row is written as
//! what changed since the row before it of the same point: some thirty bytes a second. Reading goes through all records of
//! a tail in their order.

use std::collections::BTreeMap;

use contract::live::{MeterId, PointId};
use meter_link::security::{Counter, Fingerprint};

use super::account::stamp;
use super::block::{ColumnId, MAX_COLUMNS};
use super::hour::{trust, trust_number};
use super::rows::{Mark, Row};
use super::varint::{Cursor, put, put_signed};

/// A telegram as it is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// The counter it came with, and its meter.
    pub counter: Option<(MeterId, Counter)>,
    /// A row for each point that it speaks of.
    pub rows: Vec<(PointId, Row)>,
}

/// What rows are told apart from: the newest of each point. Begins anew with the tail.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    last: BTreeMap<PointId, Row>,
    counter: Option<(MeterId, Counter)>,
}

/// Flags of a row.
const SAME_MARK: u8 = 1;
const SAME_CHANNELS: u8 = 2;
/// Flags of an entry.
const COUNTER: u8 = 1;
const SAME_KEY: u8 = 2;

impl Journal {
    /// Writes an entry. To be taken over with [`Self::kept`] once the bytes are in the tail.
    pub fn write(&self, entry: &Entry) -> Vec<u8> {
        let mut bytes = Vec::new();
        let is_same_key = matches!((&entry.counter, &self.counter), (Some((meter, counter)), Some((of, last)))
            if meter == of && (counter.title, counter.key) == (last.title, last.key));
        let flags = if entry.counter.is_some() { COUNTER } else { 0 } | if is_same_key { SAME_KEY } else { 0 };
        put(&mut bytes, (entry.rows.len() as u64) << 2 | u64::from(flags));
        if let Some((meter, counter)) = &entry.counter {
            let last = self.counter.filter(|_| is_same_key).map_or(0, |(_, last)| last.highest);
            if !is_same_key {
                put_signed(&mut bytes, meter.0);
                bytes.extend_from_slice(&counter.title);
                bytes.extend_from_slice(&counter.key.0);
            }
            put_signed(&mut bytes, i64::from(counter.highest) - i64::from(last));
        }
        for (point, row) in &entry.rows {
            put_signed(&mut bytes, point.0);
            put_row(&mut bytes, row, self.last.get(point));
        }
        bytes
    }

    /// Takes over an entry that is in the tail.
    pub fn kept(&mut self, entry: Entry) {
        self.counter = entry.counter.or(self.counter);
        self.last.extend(entry.rows);
    }

    /// Reads the next record. `None` if it is none of ours.
    pub fn read(&mut self, record: &[u8]) -> Option<Entry> {
        let mut cursor = Cursor::new(record);
        let head = cursor.next()?;
        let flags = (head & 3) as u8;
        let mut entry = Entry::default();
        if flags & COUNTER != 0 {
            let (meter, mut counter) = match flags & SAME_KEY != 0 {
                true => self.counter?,
                false => {
                    let meter = MeterId(cursor.next_signed()?);
                    let title = cursor.take(8)?.try_into().ok()?;
                    let key = cursor.take(size_of::<Fingerprint>())?.try_into().ok()?;
                    (meter, Counter { title, key: Fingerprint(key), highest: 0 })
                }
            };
            counter.highest = u32::try_from(i64::from(counter.highest).checked_add(cursor.next_signed()?)?).ok()?;
            entry.counter = Some((meter, counter));
        }
        for _ in 0..(head >> 2).min(u64::from(u8::MAX)) {
            let point = PointId(cursor.next_signed()?);
            let row = next_row(&mut cursor, self.last.get(&point))?;
            entry.rows.push((point, row));
        }
        if !cursor.rest().is_empty() {
            return None;
        }
        self.kept(entry.clone());
        Some(entry)
    }
}

fn put_row(bytes: &mut Vec<u8>, row: &Row, last: Option<&Row>) {
    let same_mark = last.is_some_and(|last| last.mark == row.mark);
    let ids = |row: &Row| row.values.iter().map(|(id, _)| *id).collect::<Vec<ColumnId>>();
    let last = last.filter(|last| ids(last) == ids(row));
    bytes.push(if same_mark { SAME_MARK } else { 0 } | if last.is_some() { SAME_CHANNELS } else { 0 });
    put_signed(bytes, row.at.wrapping_sub(last.map_or(0, |last| last.at)));
    if !same_mark {
        bytes.push(row.mark.stamp as u8 | (trust_number(row.mark.trust) << 4));
        put(bytes, u64::from(row.mark.source));
        put(bytes, u64::from(row.mark.device));
    }
    match last {
        None => {
            put(bytes, row.values.len() as u64);
            for (id, value) in &row.values {
                put(bytes, u64::from(*id));
                put_signed(bytes, *value);
            }
        }
        Some(last) => {
            // A bit for each channel that changed, then by how much.
            let mut changed = vec![0_u8; row.values.len().div_ceil(8)];
            let mut changes = Vec::new();
            for (place, ((_, value), (_, before))) in row.values.iter().zip(&last.values).enumerate() {
                if value != before {
                    changed[place / 8] |= 1 << (place % 8);
                    put_signed(&mut changes, value.wrapping_sub(*before));
                }
            }
            bytes.append(&mut changed);
            bytes.append(&mut changes);
        }
    }
}

fn next_row(cursor: &mut Cursor<'_>, last: Option<&Row>) -> Option<Row> {
    let flags = *cursor.take(1)?.first()?;
    let same_channels = flags & SAME_CHANNELS != 0;
    let base = if same_channels { last?.at } else { 0 };
    let at = base.wrapping_add(cursor.next_signed()?);
    let mark = match flags & SAME_MARK != 0 {
        true => last?.mark,
        false => {
            let byte = *cursor.take(1)?.first()?;
            let (source, device) = (u32::try_from(cursor.next()?).ok()?, u32::try_from(cursor.next()?).ok()?);
            Mark { stamp: stamp(byte & 15)?, trust: trust(byte >> 4)?, source, device }
        }
    };
    let values = match same_channels {
        false => {
            let count = cursor.next_count().filter(|count| *count <= MAX_COLUMNS)?;
            let value = |_| Some((u32::try_from(cursor.next()?).ok()?, cursor.next_signed()?));
            (0..count).map(value).collect::<Option<_>>()?
        }
        true => {
            let mut values = last?.values.clone();
            let changed = cursor.take(values.len().div_ceil(8))?;
            for (place, (_, value)) in values.iter_mut().enumerate() {
                if changed[place / 8] >> (place % 8) & 1 == 1 {
                    *value = value.wrapping_add(cursor.next_signed()?);
                }
            }
            values
        }
    };
    Some(Row { at, mark, values })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry() -> impl Strategy<Value = Entry> {
        let value = prop_oneof![(-3_i64..3), any::<i64>()];
        let values = proptest::collection::btree_map(16_u32..22, value, 0..6);
        let row = (any::<i64>(), values, 0_u32..2).prop_map(|(at, values, device)| Row {
            at,
            mark: Mark { device, ..Mark::default() },
            values: values.into_iter().collect(),
        });
        let rows = proptest::collection::btree_map((1_i64..3).prop_map(PointId), row, 0..3);
        let counter = proptest::option::of((0_u8..2, any::<u32>()).prop_map(|(key, highest)| {
            (MeterId(1), Counter { title: *b"TSTmade1", key: Fingerprint([key; size_of::<Fingerprint>()]), highest })
        }));
        (rows, counter).prop_map(|(rows, counter)| Entry { counter, rows: rows.into_iter().collect() })
    }

    proptest! {
        #[test]
        fn entries_are_read_as_they_were_written(entries in proptest::collection::vec(entry(), 0..20)) {
            let (mut writer, mut reader) = (Journal::default(), Journal::default());
            for entry in entries {
                let bytes = writer.write(&entry);
                writer.kept(entry.clone());
                prop_assert_eq!(reader.read(&bytes), Some(entry));
            }
        }

        #[test]
        fn any_bytes_are_an_entry_or_none(records in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..5)) {
            let mut reader = Journal::default();
            for record in records {
                let _ = reader.read(&record);
            }
        }
    }

    #[test]
    fn a_second_of_which_little_changed_is_a_few_bytes() {
        let row = |second: i64| Row {
            at: 1_772_406_000_000 + second * 1_000,
            mark: Mark::default(),
            values: (16..51).map(|id| (id, if id < 24 { second * 7 % 90 } else { 230_000 })).collect(),
        };
        let mut journal = Journal::default();
        for second in 0..10 {
            let entry = Entry { counter: None, rows: vec![(PointId(1), row(second))] };
            let length = journal.write(&entry).len();
            journal.kept(entry);
            assert!(second == 0 || length < 24, "{length}");
        }
    }
}
