//! Readings of one metering point in memory: a column for each channel, in the order of their own times.
//!
//! An instant has one row at most, and the first that came is kept: the same telegram, file or load profile a second time
//! changes nothing.

use std::collections::BTreeMap;
use std::ops::Range;

use meter_link::reading::Trust;

use super::block::ColumnId;
use super::column::Values;

/// Whose clock gave a row its time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Stamp {
    /// The host's: the meter sends none.
    #[default]
    Host,
    /// The meter's own.
    Meter,
    /// The host's: the meter sends one that cannot be believed.
    Wrong,
}

/// Where a row came from. The same for hours on end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mark {
    /// Whose clock.
    pub stamp: Stamp,
    /// How far the bytes can be believed.
    pub trust: Trust,
    /// Number of what it was read from (table `source`); 0: not known.
    pub source: u32,
    /// Number of the device it names (table `device`); [`UNNAMED`] or [`STRANGER`] where it has none.
    pub device: u32,
}

/// The row names no device.
pub const UNNAMED: u32 = 0;
/// The row names a device, and there were too many to number it: no two of them are the same.
pub const STRANGER: u32 = 1;

impl Default for Mark {
    fn default() -> Self {
        Self { stamp: Stamp::Host, trust: Trust::Unverified, source: 0, device: UNNAMED }
    }
}

/// One reading of one point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The instant it stands for, UTC milliseconds.
    pub at: i64,
    /// Where it came from.
    pub mark: Mark,
    /// What it says, each channel once.
    pub values: Vec<(ColumnId, i64)>,
}

/// Rows, by time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// Strictly rising.
    at: Vec<i64>,
    /// As many as `at`.
    marks: Vec<Mark>,
    /// Each as long as `at`.
    columns: BTreeMap<ColumnId, Values>,
}

impl Rows {
    /// Rows of columns that are there already. `None` unless all are equally long and time strictly rises.
    pub fn of(at: Vec<i64>, marks: Vec<Mark>, columns: BTreeMap<ColumnId, Values>) -> Option<Self> {
        let fits = marks.len() == at.len() && columns.values().all(|values| values.len() == at.len());
        (fits && at.windows(2).all(|pair| pair[0] < pair[1])).then_some(Self { at, marks, columns })
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.at.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.at.is_empty()
    }

    /// Their instants.
    pub fn at(&self) -> &[i64] {
        &self.at
    }

    /// Where they came from.
    pub fn marks(&self) -> &[Mark] {
        &self.marks
    }

    /// Their channels.
    pub const fn columns(&self) -> &BTreeMap<ColumnId, Values> {
        &self.columns
    }

    /// A row.
    pub fn row(&self, place: usize) -> Option<Row> {
        let values = self.columns.iter().filter_map(|(id, values)| Some((*id, values.get(place).copied().flatten()?)));
        Some(Row { at: *self.at.get(place)?, mark: *self.marks.get(place)?, values: values.collect() })
    }

    /// Takes a row unless there is one at its instant. True if it was taken.
    pub fn insert(&mut self, row: &Row) -> bool {
        let place = match self.at.last() {
            Some(last) if row.at <= *last => match self.at.binary_search(&row.at) {
                Ok(_) => return false,
                Err(place) => place,
            },
            _ => self.at.len(),
        };
        self.at.insert(place, row.at);
        self.marks.insert(place, row.mark);
        for (id, value) in &row.values {
            let values = self.columns.entry(*id).or_insert_with(|| vec![None; self.at.len() - 1]);
            if values.len() < self.at.len() {
                values.insert(place, Some(*value));
            }
        }
        for values in self.columns.values_mut().filter(|values| values.len() < self.at.len()) {
            values.insert(place, None);
        }
        true
    }

    /// Takes all rows of instants that are not there yet; gives how many.
    pub fn merge(&mut self, other: &Self) -> usize {
        let others = other.at.iter().enumerate();
        let fresh: Vec<usize> =
            others.filter(|(_, at)| self.at.binary_search(at).is_err()).map(|(place, _)| place).collect();
        if fresh.is_empty() {
            return 0;
        }
        // (from the other, place), in the order of time.
        let mut order: Vec<(bool, usize)> = Vec::with_capacity(self.len() + fresh.len());
        let (mut own, mut new) = (0, fresh.iter().copied().peekable());
        while own < self.len() || new.peek().is_some() {
            match new.peek() {
                Some(&place) if own == self.len() || other.at[place] < self.at[own] => {
                    order.push((true, place));
                    new.next();
                }
                _ => {
                    order.push((false, own));
                    own += 1;
                }
            }
        }
        let ids: Vec<ColumnId> = self.columns.keys().chain(other.columns.keys()).copied().collect();
        let columns = ids.into_iter().map(|id| {
            let pick = |&(is_new, place): &(bool, usize)| {
                let from = if is_new { &other.columns } else { &self.columns };
                from.get(&id).and_then(|values| values[place])
            };
            (id, order.iter().map(pick).collect())
        });
        *self = Self {
            columns: columns.collect(),
            at: order.iter().map(|&(is_new, place)| if is_new { other.at[place] } else { self.at[place] }).collect(),
            marks: order
                .iter()
                .map(|&(is_new, place)| if is_new { other.marks[place] } else { self.marks[place] })
                .collect(),
        };
        fresh.len()
    }

    /// The places of the rows in [start, end).
    pub fn within(&self, start: i64, end: i64) -> Range<usize> {
        self.at.partition_point(|at| *at < start)..self.at.partition_point(|at| *at < end)
    }

    /// Some of the rows; columns that say nothing there are left out.
    pub fn part(&self, places: Range<usize>) -> Self {
        let columns = self.columns.iter().map(|(id, values)| (*id, values[places.clone()].to_vec()));
        Self {
            at: self.at[places.clone()].to_vec(),
            marks: self.marks[places.clone()].to_vec(),
            columns: columns.filter(|(_, values)| values.iter().any(Option::is_some)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn row() -> impl Strategy<Value = Row> {
        let values = proptest::collection::btree_map(16_u32..20, -5_i64..5, 0..3);
        (0_i64..40, values, 0_u32..3).prop_map(|(at, values, source)| Row {
            at,
            mark: Mark { source, ..Mark::default() },
            values: values.into_iter().collect(),
        })
    }

    /// What a list that keeps the first row of each instant has.
    fn naive(rows: &[Row]) -> Vec<Row> {
        let mut kept: BTreeMap<i64, Row> = BTreeMap::new();
        for row in rows {
            kept.entry(row.at).or_insert_with(|| row.clone());
        }
        kept.into_values().collect()
    }

    fn list(rows: &Rows) -> Vec<Row> {
        (0..rows.len()).filter_map(|place| rows.row(place)).collect()
    }

    proptest! {
        #[test]
        fn rows_are_those_of_a_plain_list(rows in proptest::collection::vec(row(), 0..60), cut in 0_usize..60) {
            let (first, second) = rows.split_at(cut.min(rows.len()));
            let mut one = Rows::default();
            for row in first {
                one.insert(row);
            }
            prop_assert_eq!(list(&one), naive(first));
            let mut other = Rows::default();
            for row in second {
                other.insert(row);
            }
            let taken = one.merge(&other);
            let all = naive(&rows);
            prop_assert_eq!(list(&one), all.clone());
            prop_assert_eq!(taken, all.len() - naive(first).len());
            prop_assert_eq!(one.merge(&other), 0, "twice changes nothing");
            let part = one.part(one.within(10, 20));
            let expect: Vec<Row> = all.into_iter().filter(|row| (10..20).contains(&row.at)).collect();
            prop_assert_eq!(list(&part), expect);
        }
    }

    #[test]
    fn columns_that_do_not_fit_are_refused() {
        let values = BTreeMap::from([(16, vec![Some(1)])]);
        assert_eq!(Rows::of(vec![1, 2], vec![Mark::default(); 2], values), None);
        assert_eq!(Rows::of(vec![2, 2], vec![Mark::default(); 2], BTreeMap::new()), None);
    }
}
