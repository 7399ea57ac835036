//! A gap gets its shape: rows of the meter's own load profile, booked between the two readings around it.
//!
//! What it refuses: rows of another device; a row outside every gap; one whose register stands below the row before it or
//! above the reading after the gap; all rows of a gap across which something else happened (a reset, a jump, a swap: what is
//! booked is then not what the register rose by); rows that leave out a side that moved meanwhile. So the totals never
//! change, and rows that come again find no gap to go to. The gap's fact gives way to one that says where its shape came
//! from; what is still missing between rows stays a gap.

use std::collections::BTreeMap;

use meter_link::reading::LoadProfile;
use rusqlite::{OptionalExtension as _, Transaction, params};

use super::{Point, Side, registers, trust_number};
use crate::history::gap_after;
use crate::store::StoreError;

/// Registers by side and rate.
type Registers = BTreeMap<(Side, u8), i64>;

/// A gap with what was known on both sides of it.
struct Gap {
    fact: i64,
    start: i64,
    end: i64,
    before: Known,
    after: Known,
}

/// What is known at a reading.
struct Known {
    registers: Registers,
    booked: [Option<i64>; 2],
}

/// A row that goes into a gap.
struct Filled {
    at: i64,
    registers: Registers,
    booked: [Option<i64>; 2],
}

impl Point {
    /// Books rows into this point's gaps. False if none had a place.
    pub(in crate::recorder) fn fill(
        &self,
        transaction: &Transaction<'_>,
        profile: &LoadProfile,
    ) -> Result<bool, StoreError> {
        let device = profile.equipment.as_ref().map(|equipment| &equipment.0);
        if device.is_some() && device != self.equipment.as_ref() {
            return Ok(false);
        }
        let rows: Vec<(i64, Registers)> = profile
            .rows
            .iter()
            .map(|row| {
                let registers = registers(self.kind, &row.values);
                let by_rate = registers.iter().map(|&(side, rate, _, value)| ((side, rate), value)).collect();
                (row.meter_time.unix_milliseconds, by_rate)
            })
            .collect();
        let (Some((first, _)), Some((last, _))) = (rows.first(), rows.last()) else { return Ok(false) };
        let mut has_filled = false;
        for gap in self.gaps(transaction, *first, *last)? {
            let filled = gap.filled(&rows);
            if !filled.is_empty() {
                self.write_filled(transaction, &gap, &filled, profile)?;
                has_filled = true;
            }
        }
        Ok(has_filled)
    }

    /// Gaps that have a place for rows from `first` to `last`.
    fn gaps(&self, transaction: &Transaction<'_>, first: i64, last: i64) -> Result<Vec<Gap>, StoreError> {
        let mut statement = transaction.prepare_cached(
            "SELECT id, start_utc_milliseconds, end_utc_milliseconds FROM fact
             WHERE point = ? AND kind = 'gap' AND start_utc_milliseconds < ? AND end_utc_milliseconds > ?
             ORDER BY start_utc_milliseconds",
        )?;
        let found = statement.query_map([self.id.0, last, first], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        let found: Vec<(i64, i64, i64)> = found.collect::<Result<_, _>>()?;
        let mut gaps = Vec::new();
        for (fact, start, end) in found {
            if let (Some(before), Some(after)) = (self.known(transaction, start)?, self.known(transaction, end)?) {
                gaps.push(Gap { fact, start, end, before, after });
            }
        }
        Ok(gaps)
    }

    /// What is known at the reading of an instant. `None`: there is no reading.
    fn known(&self, transaction: &Transaction<'_>, at: i64) -> Result<Option<Known>, StoreError> {
        let booked = transaction
            .prepare_cached(
                "SELECT booked_import, booked_export FROM reading WHERE point = ? AND at_utc_milliseconds = ?",
            )?
            .query_row([self.id.0, at], |row| Ok([row.get(0)?, row.get(1)?]))
            .optional()?;
        let Some(booked) = booked else { return Ok(None) };
        let mut registers = Registers::new();
        for &(side, rate) in self.books.keys() {
            let value = transaction
                .prepare_cached(
                    "SELECT value FROM register WHERE point = ? AND flow = ? AND rate = ? AND at_utc_milliseconds <= ?
                     ORDER BY at_utc_milliseconds DESC LIMIT 1",
                )?
                .query_row(params![self.id.0, side.name(), rate, at], |row| row.get(0))
                .optional()?;
            registers.extend(value.map(|value| ((side, rate), value)));
        }
        Ok(Some(Known { registers, booked }))
    }

    fn write_filled(
        &self,
        transaction: &Transaction<'_>,
        gap: &Gap,
        filled: &[Filled],
        profile: &LoadProfile,
    ) -> Result<(), StoreError> {
        for row in filled {
            transaction
                .prepare_cached(
                    "INSERT INTO reading (point, at_utc_milliseconds, clock, trust, booked_import, booked_export)
                     VALUES (?, ?, 1, ?, ?, ?)",
                )?
                .execute(params![self.id.0, row.at, trust_number(profile.trust), row.booked[0], row.booked[1]])?;
            for (&(side, rate), &value) in row.registers.iter().filter(|(key, value)| gap.allows(**key, **value)) {
                transaction
                    .prepare_cached("INSERT OR IGNORE INTO register VALUES (?, ?, ?, ?, ?)")?
                    .execute(params![self.id.0, side.name(), rate, row.at, value])?;
            }
        }
        transaction.prepare_cached("DELETE FROM fact WHERE id = ?")?.execute([gap.fact])?;
        // Rows stand as far apart as the meter's period; more than that is still missing.
        let usual = gap_after(self.kind).max(i64::from(profile.period_seconds) * 1_000);
        let edges: Vec<(i64, [Option<i64>; 2])> = std::iter::once((gap.start, gap.before.booked))
            .chain(filled.iter().map(|row| (row.at, row.booked)))
            .chain(std::iter::once((gap.end, gap.after.booked)))
            .collect();
        let mut kept: Option<(i64, [Option<i64>; 2])> = None;
        for pair in edges.windows(2) {
            let ((start, before), (end, after)) = (pair[0], pair[1]);
            if end - start <= usual {
                kept.get_or_insert((start, before));
                continue;
            }
            self.note_filled(transaction, kept.take(), (start, before))?;
            self.note(transaction, "gap", (start, before), (end, after))?;
        }
        self.note_filled(transaction, kept, (gap.end, gap.after.booked))
    }

    /// Notes that a stretch has its shape from the meter's own records, and joins it to those beside it.
    fn note_filled(
        &self,
        transaction: &Transaction<'_>,
        start: Option<(i64, [Option<i64>; 2])>,
        end: (i64, [Option<i64>; 2]),
    ) -> Result<(), StoreError> {
        let Some(mut start) = start else { return Ok(()) };
        let mut end = end;
        let beside = transaction
            .prepare_cached(
                "DELETE FROM fact WHERE point = ?1 AND kind = 'filled'
                 AND (end_utc_milliseconds = ?2 OR start_utc_milliseconds = ?3)
                 RETURNING start_utc_milliseconds, end_utc_milliseconds",
            )?
            .query_map([self.id.0, start.0, end.0], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<Vec<(i64, i64)>, _>>()?;
        for (from, to) in beside {
            let booked = |at: i64| self.known(transaction, at).map(|known| known.map(|known| (at, known.booked)));
            start = booked(from.min(start.0))?.unwrap_or(start);
            end = booked(to.max(end.0))?.unwrap_or(end);
        }
        self.note(transaction, "filled", start, end)
    }

    fn note(
        &self,
        transaction: &Transaction<'_>,
        kind: &str,
        (start, before): (i64, [Option<i64>; 2]),
        (end, after): (i64, [Option<i64>; 2]),
    ) -> Result<(), StoreError> {
        let rise = |side: usize| Some(after[side]? - before[side]?);
        transaction
            .prepare_cached(
                "INSERT INTO fact (point, kind, start_utc_milliseconds, end_utc_milliseconds,
                     import_milliwatt_hours, export_milliwatt_hours) VALUES (?, ?, ?, ?, ?, ?)",
            )?
            .execute(params![self.id.0, kind, start, end, rise(0), rise(1)])?;
        Ok(())
    }
}

impl Gap {
    /// Whether a register of a row lies between the readings around it.
    fn allows(&self, key: (Side, u8), value: i64) -> bool {
        let (before, after) = (self.before.registers.get(&key), self.after.registers.get(&key));
        before.zip(after).is_some_and(|(before, after)| (*before..=*after).contains(&value))
    }

    /// The rows that go into it, in order.
    fn filled(&self, rows: &[(i64, Registers)]) -> Vec<Filled> {
        let mut filled: Vec<Filled> = Vec::new();
        let mut last = [Side::Import, Side::Export].map(|side| total(&self.before.registers, side));
        for (at, registers) in rows.iter().filter(|(at, _)| (self.start + 1..self.end).contains(at)) {
            let mut booked = [None; 2];
            let mut totals = last;
            let mut fits = !registers.is_empty();
            for (place, side) in [Side::Import, Side::Export].into_iter().enumerate() {
                let Some(start) = self.before.booked[place] else { continue };
                match self.place(side, registers, last[place]) {
                    Some((value, rise)) => (totals[place], booked[place]) = (Some(value), Some(start + rise)),
                    None => fits = false,
                }
            }
            if fits {
                last = totals;
                filled.push(Filled { at: *at, registers: registers.clone(), booked });
            }
        }
        filled
    }

    /// The total of a row and how far it is above the reading before the gap. `None`: it has no place there.
    fn place(&self, side: Side, row: &Registers, last: Option<i64>) -> Option<(i64, i64)> {
        let (first, end) = (total(&self.before.registers, side)?, total(&self.after.registers, side)?);
        let place = if side == Side::Import { 0 } else { 1 };
        let rise = self.after.booked[place]? - self.before.booked[place]?;
        // Something else happened meanwhile, or happened and is not certain yet.
        if rise != end - first {
            return None;
        }
        let has_total = self.before.registers.contains_key(&(side, 0));
        let is_whole = self.before.registers.keys().filter(|(of, _)| *of == side).all(|key| row.contains_key(key));
        let value = match (has_total, row.get(&(side, 0))) {
            (true, Some(value)) => *value,
            (false, _) if is_whole => total(row, side)?,
            // Not in the row; where it stood still, it is known all the same.
            _ if rise == 0 => end,
            _ => return None,
        };
        (last?..=end).contains(&value).then_some((value, value - first))
    }
}

/// What a side has counted: its own total where there is one, else all of its rates.
fn total(registers: &Registers, side: Side) -> Option<i64> {
    if let Some(total) = registers.get(&(side, 0)) {
        return Some(*total);
    }
    let rates: Vec<i64> = registers.iter().filter(|((of, _), _)| *of == side).map(|(_, value)| *value).collect();
    (!rates.is_empty()).then(|| rates.iter().sum())
}
