//! What was missed, and how it is fetched from the meter's load profile: in parts of a day, the oldest first.
//!
//! Missed is what lies between two readings that are further apart than [`GAP`], and at the start what lies between the
//! last reading that is kept and the first new one. Rows are asked for by time; from a meter that refuses that, by their
//! place; and from one that takes no selection at all, all at once. Whatever it answers, only rows inside the time missed
//! are handed on.

use std::collections::VecDeque;

use super::super::asked::{AskError, Asked};
use super::Listener;
use super::plan::{Plan, readable};
use crate::dlms_client::apdu::Selection;
use crate::dlms_client::association::Conformance;
use crate::dlms_client::error::ClientError;
use crate::dlms_client::profile::{Profile, octets, stored};
use crate::dlms_client::registers::ScalerUnit;
use crate::error::DecodeError;
use crate::health::ProfileProgress;
use crate::obis::Obis;
use crate::reading::{MeterTime, StoredRow};

/// Readings further apart have a gap between them that a row can lie in: a dozen readings.
const GAP: i64 = 120_000;
/// The most that is asked for: what meters with large stores keep of an hourly profile, and a few minutes of asking.
const MOST: i64 = 400 * DAY;
/// One part, unless its rows would be fewer than [`ROWS`].
const DAY: i64 = 86_400_000;
/// Rows of one part: a day of quarters of an hour.
const ROWS: i64 = 96;
/// Meters that compare local times without their offset are an hour off on one side of a clock change.
const MARGIN: i64 = 3_600_000;

/// What is still to be fetched.
#[derive(Debug, Default)]
pub(super) struct Filling {
    /// The newest reading, by the meter's clock.
    known_until: Option<i64>,
    /// How the meter's clock shows its times.
    clock: Option<MeterTime>,
    /// Both ends of what was missed, not included; rows outside are dropped.
    missed: Option<(i64, i64)>,
    parts: VecDeque<Part>,
    /// How many there were. parts.len() <= all
    all: u32,
    /// `None`: not found out yet. Inner `None`: the meter has none that can be used.
    source: Option<Option<Source>>,
}

/// A load profile whose rows say how registers stood.
#[derive(Debug)]
struct Source {
    obis: Obis,
    profile: Profile,
    /// One per column.
    units: Vec<Option<ScalerUnit>>,
    by: By,
    /// Rows have been selected and came.
    selects: bool,
}

/// How rows are selected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Nothing,
    Place,
    Time,
}

/// One question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// Rows by place, from 1.
    Places(u32, u32),
    /// Rows by time, both ends included.
    Times(i64, i64),
    Whole,
}

impl Filling {
    /// Nothing is missed yet but what lies after the last reading that is kept, if there is one.
    pub(super) fn new(known_until: Option<i64>) -> Self {
        Self { known_until, ..Self::default() }
    }

    /// A reading came, at this instant of the meter's clock; `None`: it has none that is right.
    pub(super) fn hear_clock(&mut self, clock: Option<MeterTime>) {
        let Some(clock) = clock else { return };
        let now = clock.unix_milliseconds;
        let before = self.known_until.replace(now);
        self.clock = Some(clock);
        let Some(before) = before.filter(|before| now - before > GAP) else { return };
        // What is still to be fetched from before is older.
        let from = match (self.parts.front(), self.missed) {
            (Some(Part::Times(from, _)), _) => *from,
            (Some(_), Some((start, _))) => start,
            _ => before,
        };
        self.missed = Some((from.max(now - MOST), now));
        self.divide();
    }

    /// Another device answers: whatever is known of the one before is worth nothing.
    pub(super) fn forget_source(&mut self) {
        self.source = None;
    }

    /// Whether something is to be fetched.
    pub(super) fn is_due(&self) -> bool {
        !self.parts.is_empty()
    }

    /// How far it is. `None`: nothing is being fetched.
    pub(super) fn progress(&self) -> Option<ProfileProgress> {
        let left = u32::try_from(self.parts.len()).unwrap_or(u32::MAX);
        self.is_due().then(|| ProfileProgress { done: self.all.saturating_sub(left), of: self.all })
    }

    /// Period of the profile that is fetched; 0 if there is none.
    pub(super) fn period_seconds(&self) -> u32 {
        self.source().map_or(0, |source| source.profile.period_seconds)
    }

    /// Fetches the next part. A refusal is no error: then another way is tried, or the part is left out.
    pub(super) async fn fetch(&mut self, plan: &Plan, asked: &mut Asked<Listener>) -> Result<Vec<StoredRow>, AskError> {
        let Some((start, end)) = self.missed else { return Ok(Vec::new()) };
        if self.source.is_none() {
            self.source = Some(find(plan, asked).await?);
            self.divide();
        }
        let (Some(Some(source)), Some(&part)) = (&mut self.source, self.parts.front()) else {
            self.parts.clear();
            return Ok(Vec::new());
        };
        let selection = match (part, self.clock) {
            (Part::Whole, _) | (_, None) => None,
            (Part::Places(from, to), _) => Some(Selection::Entries { from, to }),
            (Part::Times(from, to), Some(clock)) => octets(from - MARGIN, clock)
                .zip(octets(to + MARGIN, clock))
                .map(|(from, to)| Selection::Range { from, to }),
        };
        let rows = match asked.rows(source.obis, &source.profile, selection, None).await {
            Ok(rows) => stored(&source.profile, &rows, &source.units),
            Err(error) if error.is_refusal() => {
                if source.selects || source.by == By::Nothing {
                    // Some refuse where they have no row.
                    self.parts.pop_front();
                } else {
                    source.by = if source.by == By::Time { By::Place } else { By::Nothing };
                    self.divide_anew(asked).await?;
                }
                return Ok(Vec::new());
            }
            // The answer came and is no table: it will be none the next time either.
            Err(AskError::Client(ClientError::Decode(DecodeError::Malformed { .. }))) => {
                self.parts.clear();
                return Ok(Vec::new());
            }
            Err(error) => return Err(error),
        };
        source.selects = true;
        self.parts.pop_front();
        let mut wanted = start + 1..end;
        if let Part::Times(from, to) = part {
            let asked = from - 2 * MARGIN..=to + 2 * MARGIN;
            if rows.iter().all(|row| asked.contains(&row.meter_time.unix_milliseconds)) {
                // Those of the margins belong to the parts beside it.
                wanted = from + 1..end.min(to + 1);
            } else {
                // It does not select, and has sent all there is.
                self.parts.clear();
            }
        }
        Ok(rows.into_iter().filter(|row| wanted.contains(&row.meter_time.unix_milliseconds)).collect())
    }

    fn source(&self) -> Option<&Source> {
        self.source.as_ref().and_then(Option::as_ref)
    }

    /// Cuts what was missed into parts, as far as that can be done without the meter.
    fn divide(&mut self) {
        let Some((start, end)) = self.missed else { return };
        self.parts.clear();
        match self.source().map_or(By::Time, |source| source.by) {
            By::Time => {
                let step = (i64::from(self.period_seconds()) * 1_000 * ROWS).max(DAY);
                let mut from = start;
                while from < end {
                    let to = (from + step).min(end);
                    self.parts.push_back(Part::Times(from, to));
                    from = to;
                }
            }
            By::Place | By::Nothing => self.parts.push_back(Part::Whole),
        }
        self.count();
    }

    /// The same by place: the newest rows, as many as the time missed can have.
    async fn divide_anew(&mut self, asked: &mut Asked<Listener>) -> Result<(), AskError> {
        self.divide();
        let (Some((start, end)), Some(source)) = (self.missed, self.source()) else { return Ok(()) };
        let period = i64::from(source.profile.period_seconds) * 1_000;
        if source.by != By::Place || period == 0 {
            return Ok(());
        }
        let last = asked.entries(source.obis).await?.filter(|last| (1..=i64::from(u32::MAX)).contains(last));
        let Some(last) = last else { return Ok(()) };
        self.parts.clear();
        // One more, for a row that is written meanwhile.
        let mut from = (last - (end - start) / period - 1).max(1);
        while from <= last {
            let to = (from + ROWS - 1).min(last);
            let place = |place: i64| u32::try_from(place).unwrap_or(u32::MAX);
            self.parts.push_back(Part::Places(place(from), place(to)));
            from = to + 1;
        }
        self.count();
        Ok(())
    }

    fn count(&mut self) {
        self.all = u32::try_from(self.parts.len()).unwrap_or(u32::MAX);
    }
}

/// The first profile whose rows carry an instant and a register of energy.
async fn find(plan: &Plan, asked: &mut Asked<Listener>) -> Result<Option<Source>, AskError> {
    for &obis in &plan.profiles {
        let profile = match asked.profile(obis).await {
            Ok(profile) => profile,
            Err(AskError::Client(ClientError::Decode(DecodeError::Malformed { .. }))) => continue,
            Err(error) if error.is_refusal() => continue,
            Err(error) => return Err(error),
        };
        let columns = &profile.columns.0;
        let mut units = Vec::with_capacity(columns.len());
        for column in columns {
            let unit = match column.is_energy() {
                true => asked.read(&[readable(column.class, column.obis, 3)?]).await?.pop(),
                false => None,
            };
            units.push(unit.and_then(Result::ok).as_ref().and_then(ScalerUnit::read));
        }
        if columns.iter().any(|column| column.is_clock()) && units.iter().any(Option::is_some) {
            let selects = asked.agreed().conformance.has(Conformance::SELECTIVE_ACCESS);
            let by = if selects { By::Time } else { By::Nothing };
            return Ok(Some(Source { obis, profile, units, by, selects: false }));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::OffsetSource;

    const HOUR: i64 = 3_600_000;
    const NOON: i64 = 1_772_452_800_000;

    fn clock(unix_milliseconds: i64) -> Option<MeterTime> {
        Some(MeterTime { unix_milliseconds, offset_seconds: 3_600, offset_source: OffsetSource::Meter })
    }

    #[test]
    fn only_a_gap_is_filled_and_in_parts_of_a_day() {
        let mut filling = Filling::new(None);
        filling.hear_clock(clock(NOON));
        assert!(!filling.is_due(), "nothing is known before the first reading of all");
        filling.hear_clock(clock(NOON + 10_000));
        filling.hear_clock(None);
        assert!(!filling.is_due());
        filling.hear_clock(clock(NOON + 10_000 + 50 * HOUR));
        let parts: Vec<Part> = filling.parts.iter().copied().collect();
        let from = NOON + 10_000;
        assert_eq!(
            parts,
            [
                Part::Times(from, from + 24 * HOUR),
                Part::Times(from + 24 * HOUR, from + 48 * HOUR),
                Part::Times(from + 48 * HOUR, from + 50 * HOUR),
            ]
        );
        assert_eq!(filling.progress(), Some(ProfileProgress { done: 0, of: 3 }));
        filling.parts.pop_front();
        assert_eq!(filling.progress(), Some(ProfileProgress { done: 1, of: 3 }));
        filling.hear_clock(clock(from + 51 * HOUR));
        let left = (from + 24 * HOUR, from + 51 * HOUR);
        assert_eq!(filling.missed, Some(left), "what was not fetched yet is not forgotten");
    }

    #[test]
    fn what_is_asked_for_is_bounded() {
        let mut filling = Filling::new(Some(0));
        filling.hear_clock(clock(NOON));
        assert_eq!((filling.missed, filling.parts.len()), (Some((NOON - MOST, NOON)), 400));
        let mut set_back = Filling::new(Some(NOON));
        set_back.hear_clock(clock(NOON - HOUR));
        assert!(!set_back.is_due());
    }
}
