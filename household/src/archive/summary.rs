//! What stands for many readings at once: how many, what was booked, and the least, mean and most of each line.
//!
//! Summaries of stretches that follow each other join into that of the whole, exactly: a sum is kept with its count, and
//! never a mean of means. What was booked over a gap before the first reading is kept apart ([`Summary::lead`]), because
//! an interval that begins within a gap must not count it.

use meter_link::reading::{Flow, Phase, Quantity};
use meter_link::units::MAX;

use super::Damage;
use super::block::{self, Block, Column, ColumnId, MAX_ROWS, Reference};
use super::channel::Channels;
use super::column::{Packer, Shape, Values};

/// A quantity that is drawn as a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// Current in mA.
    Current(Phase),
    /// Net power in mW: import positive, export negative.
    Power(Phase),
    /// Voltage in mV.
    Voltage(Phase),
}

/// All lines, in the order in which they are stored.
pub const LINES: [Line; 10] = [
    Line::Power(Phase::Total),
    Line::Power(Phase::L1),
    Line::Power(Phase::L2),
    Line::Power(Phase::L3),
    Line::Voltage(Phase::L1),
    Line::Voltage(Phase::L2),
    Line::Voltage(Phase::L3),
    Line::Current(Phase::L1),
    Line::Current(Phase::L2),
    Line::Current(Phase::L3),
];

/// Some of [`LINES`], a bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lines(u16);

impl Lines {
    /// All.
    pub const ALL: Self = Self((1 << LINES.len()) - 1);
    /// None: amounts alone.
    pub const NONE: Self = Self(0);
    /// Power, of all phases together and of each: what is kept by the minute.
    pub const POWER: Self = Self(0b1111);
    /// Net power of all phases together.
    pub const TOTAL: Self = Self(1);

    /// One line alone. Nothing for a line that is not kept (a neutral conductor's).
    pub fn only(line: Line) -> Self {
        Self(LINES.iter().position(|other| *other == line).map_or(0, |place| 1 << place))
    }

    /// Whether these are all among others.
    pub const fn are_among(self, others: Self) -> bool {
        self.0 & others.0 == self.0
    }

    /// Their places in [`LINES`].
    pub fn places(self) -> impl Iterator<Item = usize> {
        (0..LINES.len()).filter(move |place| self.0 >> place & 1 == 1)
    }
}

/// Least, most and mean of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Readings that had a value; at least one.
    pub count: i64,
    /// The least.
    pub min: i64,
    /// The most.
    pub max: i64,
    /// All of them added.
    pub sum: i64,
}

impl Extent {
    fn of(value: i64) -> Self {
        Self { count: 1, min: value, max: value, sum: value }
    }

    /// The mean, rounded toward zero.
    pub const fn mean(&self) -> i64 {
        self.sum / if self.count > 0 { self.count } else { 1 }
    }

    fn join(&mut self, other: &Self) {
        *self = Self {
            count: self.count + other.count,
            min: self.min.min(other.min),
            max: self.max.max(other.max),
            sum: self.sum + other.sum,
        };
    }
}

/// A stretch of readings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// How many.
    pub count: i64,
    /// Instant of the first; 0 if there is none.
    pub first_at: i64,
    /// Instant of the last; 0 if there is none.
    pub last_at: i64,
    /// Booked up to and with the first reading, since the one before the stretch. `None` if nothing of that side had been
    /// seen by then.
    pub lead: [Option<i64>; 2],
    /// Booked up to and with the last reading, since the one before the stretch. `None` if nothing of that side had been
    /// seen by then.
    pub rise: [Option<i64>; 2],
    /// The lines that were asked for and said something, as in [`LINES`].
    pub lines: [Option<Extent>; LINES.len()],
}

impl Summary {
    /// Whether there is no reading.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Joins a stretch that follows.
    pub fn join(&mut self, later: &Self) {
        if later.is_empty() {
            return;
        }
        if self.is_empty() {
            *self = *later;
            return;
        }
        self.count += later.count;
        self.last_at = later.last_at;
        for (rise, more) in self.rise.iter_mut().zip(later.rise) {
            *rise = more.map(|more| rise.unwrap_or(0) + more);
        }
        for (extent, more) in self.lines.iter_mut().zip(&later.lines) {
            match (extent.as_mut(), more) {
                (Some(extent), Some(more)) => extent.join(more),
                (None, Some(more)) => *extent = Some(*more),
                (_, None) => (),
            }
        }
    }
}

/// A line's values, from the channels that a block has. `None` if none of them speaks of it.
pub fn line_values(
    line: Line,
    ids: impl Iterator<Item = ColumnId>,
    channels: &Channels,
    mut column: impl FnMut(ColumnId) -> Result<Option<Values>, Damage>,
) -> Result<Option<Values>, Damage> {
    let ids: Vec<ColumnId> = ids.collect();
    let mut amounts = |quantity: Quantity| -> Result<Option<Values>, Damage> {
        let mut found: Option<Values> = None;
        for id in &ids {
            let Some(meaning) = channels.meaning(*id).filter(|meaning| meaning.quantity == quantity) else { continue };
            let Some(values) = column(*id)?.filter(|_| !meaning.is_instant) else { continue };
            let smallest = values.into_iter().map(|value| meaning.smallest(value?));
            found = Some(match found {
                None => smallest.collect(),
                Some(first) => first.into_iter().zip(smallest).map(|(first, value)| first.or(value)).collect(),
            });
        }
        Ok(found)
    };
    let bounded = |values: Values| -> Values {
        values.into_iter().map(|value| value.filter(|value| (-MAX..=MAX).contains(value))).collect()
    };
    match line {
        Line::Current(phase) => Ok(amounts(Quantity::Current(phase))?.map(bounded)),
        Line::Voltage(phase) => Ok(amounts(Quantity::Voltage(phase))?.map(bounded)),
        Line::Power(phase) => {
            let import = amounts(Quantity::ActivePower(Flow::Import, phase))?;
            let export = amounts(Quantity::ActivePower(Flow::Export, phase))?;
            let net = amounts(Quantity::ActivePower(Flow::Net, phase))?;
            let Some(rows) = [&import, &export, &net].into_iter().flatten().map(Vec::len).next() else {
                return Ok(None);
            };
            let at = |values: &Option<Values>, row: usize| values.as_ref().and_then(|values| values[row]);
            let both = |row: usize| match (at(&import, row), at(&export, row)) {
                (None, None) => at(&net, row),
                (import, export) => import.unwrap_or(0).checked_sub(export.unwrap_or(0)),
            };
            Ok(Some(bounded((0..rows).map(both).collect())))
        }
    }
}

/// Readings to be summed up.
#[derive(Clone, Copy, Debug)]
pub struct Readings<'a> {
    /// Their instants, rising.
    pub at: &'a [i64],
    /// Booked at each of them, by side.
    pub booked: &'a [Values; 2],
    /// Booked before the first.
    pub before: [Option<i64>; 2],
    /// Lines by their place in [`LINES`].
    pub lines: &'a [(usize, Values)],
}

/// Sums up the stretches between bounds, which rise; one summary fewer than bounds. Readings outside them are left out.
pub fn sum_up(readings: &Readings<'_>, bounds: &[i64]) -> Vec<Summary> {
    let mut summaries = Vec::with_capacity(bounds.len().saturating_sub(1));
    let place_of = |bound: i64| readings.at.partition_point(|at| *at < bound);
    let mut start = bounds.first().map_or(0, |bound| place_of(*bound));
    for bound in bounds.iter().skip(1) {
        let end = start + readings.at[start..].partition_point(|at| at < bound);
        summaries.push(sum_up_one(readings, start, end));
        start = end;
    }
    summaries
}

fn sum_up_one(readings: &Readings<'_>, start: usize, end: usize) -> Summary {
    let mut summary = Summary::default();
    if start >= end {
        return summary;
    }
    summary.count = (end - start) as i64;
    (summary.first_at, summary.last_at) = (readings.at[start], readings.at[end - 1]);
    for side in 0..2 {
        let booked = &readings.booked[side];
        let before = if start == 0 { readings.before[side] } else { booked[start - 1] }.unwrap_or(0);
        summary.lead[side] = booked[start].map(|booked| booked - before);
        summary.rise[side] = booked[end - 1].map(|booked| booked - before);
    }
    for (place, values) in readings.lines {
        let mut extent: Option<Extent> = None;
        for value in values[start..end].iter().flatten() {
            match &mut extent {
                None => extent = Some(Extent::of(*value)),
                Some(extent) => {
                    extent.count += 1;
                    extent.min = extent.min.min(*value);
                    extent.max = extent.max.max(*value);
                    extent.sum += *value;
                }
            }
        }
        summary.lines[*place] = extent;
    }
    summary
}

/// Summaries with the start of each stretch; those without a reading are left out.
pub type Level = Vec<(i64, Summary)>;

/// Columns of a level.
const START: ColumnId = 0;
const FIRST_AT: ColumnId = 1;
const LAST_AT: ColumnId = 2;
const COUNT: ColumnId = 3;
const LEAD: [ColumnId; 2] = [4, 5];
const RISE: [ColumnId; 2] = [6, 7];

/// The columns of a line: mean, what the mean leaves, least, most, count.
const fn line_columns(place: usize) -> [ColumnId; 5] {
    let first = 16 + 5 * place as ColumnId;
    [first, first + 1, first + 2, first + 3, first + 4]
}

/// Writes a level with some of its lines. At most [`MAX_ROWS`] stretches.
pub fn write_level(level: &[(i64, Summary)], lines: Lines, packer: &mut Packer) -> Vec<u8> {
    let all = |value: fn(&(i64, Summary)) -> i64| -> Values { level.iter().map(|one| Some(value(one))).collect() };
    let side = |value: fn(&Summary) -> [Option<i64>; 2], side: usize| -> Values {
        level.iter().map(|(_, summary)| value(summary)[side]).collect()
    };
    let mut columns: Vec<(ColumnId, Values, Shape, Reference)> = vec![
        (START, all(|(start, _)| *start), Shape::Clock, Reference::default()),
        (FIRST_AT, all(|(start, summary)| summary.first_at - start), Shape::Step, Reference::default()),
        (LAST_AT, all(|(start, summary)| summary.last_at - start), Shape::Step, Reference::default()),
        (COUNT, all(|(_, summary)| summary.count), Shape::Step, Reference::default()),
    ];
    for place in 0..2 {
        columns.push((LEAD[place], side(|summary| summary.lead, place), Shape::Step, Reference::default()));
        columns.push((RISE[place], side(|summary| summary.rise, place), Shape::Step, Reference::default()));
    }
    for place in lines.places() {
        columns.extend(put_line(level, place));
    }
    let columns: Vec<Column<'_>> = columns
        .iter()
        .map(|(id, values, shape, reference)| Column { id: *id, values, shape: *shape, reference: reference.clone() })
        .collect();
    block::encode(&[], level.len(), &columns, packer)
}

fn put_line(level: &[(i64, Summary)], place: usize) -> Vec<(ColumnId, Values, Shape, Reference)> {
    let extents: Vec<Option<Extent>> = level.iter().map(|(_, summary)| summary.lines[place]).collect();
    if extents.iter().all(Option::is_none) {
        return Vec::new();
    }
    // A mean is of the same digits as what it is of, and what it leaves of the sum is smaller than the count.
    let digit = extents.iter().flatten().flat_map(|extent| [extent.min, extent.max, extent.sum]).fold(0, common).max(1);
    let mean = |extent: &Extent| (extent.sum / digit).div_euclid(extent.count.max(1)) * digit;
    let column = |value: &dyn Fn(&Extent) -> i64| -> Values {
        extents.iter().map(|extent| extent.as_ref().map(value)).collect()
    };
    let [means, rests, mins, maxes, counts] = line_columns(place);
    let beside = |id| Reference { plus: vec![id], ..Reference::default() };
    vec![
        (means, column(&mean), Shape::Step, Reference::default()),
        (rests, column(&|extent| extent.sum - mean(extent) * extent.count), Shape::Level, Reference::default()),
        (mins, column(&|extent| extent.min), Shape::Level, beside(means)),
        (maxes, column(&|extent| extent.max), Shape::Level, beside(means)),
        (counts, column(&|extent| extent.count), Shape::Level, beside(COUNT)),
    ]
}

/// Reads a level with the lines that are asked for, as far as it has them.
pub fn read_level(bytes: &[u8], lines: Lines) -> Result<Level, Damage> {
    const MISSING: Damage = Damage::Nonsense("level");
    let block = Block::read(bytes)?;
    let need = |id| -> Result<Vec<i64>, Damage> {
        block.column(id)?.ok_or(MISSING)?.into_iter().collect::<Option<_>>().ok_or(MISSING)
    };
    let (start, first, last, count) = (need(START)?, need(FIRST_AT)?, need(LAST_AT)?, need(COUNT)?);
    let both = |ids: [ColumnId; 2]| -> Result<[Values; 2], Damage> {
        Ok([block.column(ids[0])?.ok_or(MISSING)?, block.column(ids[1])?.ok_or(MISSING)?])
    };
    let (lead, rise) = (both(LEAD)?, both(RISE)?);
    let mut level: Level = Vec::with_capacity(block.rows().min(MAX_ROWS));
    for row in 0..block.rows() {
        let summary = Summary {
            count: count[row],
            first_at: start[row].wrapping_add(first[row]),
            last_at: start[row].wrapping_add(last[row]),
            lead: [lead[0][row], lead[1][row]],
            rise: [rise[0][row], rise[1][row]],
            lines: [None; LINES.len()],
        };
        level.push((start[row], summary));
    }
    for place in lines.places() {
        let [means, rests, mins, maxes, counts] = line_columns(place);
        let Some(means) = block.column(means)? else { continue };
        let column = |id| block.column(id)?.ok_or(MISSING);
        let (rests, mins, maxes, counts) = (column(rests)?, column(mins)?, column(maxes)?, column(counts)?);
        for (row, (_, summary)) in level.iter_mut().enumerate() {
            summary.lines[place] = match (counts[row], means[row], rests[row], mins[row], maxes[row]) {
                (Some(count), Some(mean), Some(rest), Some(min), Some(max)) => {
                    Some(Extent { count, min, max, sum: mean.wrapping_mul(count).wrapping_add(rest) })
                }
                _ => None,
            };
        }
    }
    Ok(level)
}

/// Joins the stretches of a finer level to those of a coarser one, by the start of the coarser stretch.
pub fn join_level(level: &[(i64, Summary)], coarser: impl Fn(i64) -> i64) -> Level {
    let mut joined: Level = Vec::new();
    for (start, summary) in level {
        let start = coarser(*start);
        match joined.last_mut() {
            Some((last, whole)) if *last == start => whole.join(summary),
            _ => joined.push((start, *summary)),
        }
    }
    joined
}

fn common(one: i64, other: i64) -> i64 {
    let (mut one, mut other) = (one.saturating_abs(), other.saturating_abs());
    while other > 0 {
        (one, other) = (other, one % other);
    }
    one
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::HOUR;
    use super::super::account::Account;
    use super::super::hour::{Hour, tests as hours};
    use super::*;
    use contract::live::PointKind;

    const MINUTE: i64 = 60_000;

    fn hour() -> impl Strategy<Value = Hour> {
        proptest::collection::vec(hours::row(), 0..120).prop_map(|rows| {
            let channels = hours::channels();
            let mut hour = Hour::open(Account::default());
            for row in &rows {
                hour.insert(row, PointKind::Connection, &channels);
            }
            hour
        })
    }

    fn lines(hour: &Hour, lines: Lines) -> Vec<(usize, Values)> {
        let channels = hours::channels();
        let columns = hour.rows().columns();
        let values = |place: usize| {
            line_values(LINES[place], columns.keys().copied(), &channels, |id| Ok(columns.get(&id).cloned()))
        };
        lines.places().filter_map(|place| Some((place, values(place).expect("in memory")?))).collect()
    }

    fn level(hour: &Hour, width: i64) -> Level {
        let lines = lines(hour, Lines::ALL);
        let at = hour.rows().at();
        let readings = Readings { at, booked: hour.booked(), before: hour.opening().booked(), lines: &lines };
        let bounds: Vec<i64> = (0..=HOUR / width).map(|place| place * width).collect();
        let summaries = bounds.iter().copied().zip(sum_up(&readings, &bounds));
        summaries.filter(|(_, summary)| !summary.is_empty()).collect()
    }

    proptest! {
        #[test]
        fn stretches_join_into_what_the_whole_is(hour in hour()) {
            let minutes = level(&hour, MINUTE);
            let start_of = |width: i64| move |at: i64| at - at.rem_euclid(width);
            for width in [5 * MINUTE, 15 * MINUTE, HOUR] {
                prop_assert_eq!(join_level(&minutes, start_of(width)), level(&hour, width));
            }
        }

        #[test]
        fn a_level_is_read_as_it_was_written(hour in hour()) {
            let minutes = level(&hour, MINUTE);
            let bytes = write_level(&minutes, Lines::ALL, &mut Packer::new(3));
            prop_assert_eq!(&read_level(&bytes, Lines::ALL).expect("its own bytes"), &minutes);
            let mut amounts = minutes.clone();
            for (_, summary) in &mut amounts {
                summary.lines = [None; LINES.len()];
            }
            prop_assert_eq!(read_level(&bytes, Lines::NONE).expect("its own bytes"), amounts);
        }

        #[test]
        fn least_and_most_are_those_of_the_readings(hour in hour()) {
            let values = lines(&hour, Lines::TOTAL);
            let Some((_, values)) = values.first() else { return Ok(()) };
            for (start, summary) in level(&hour, MINUTE) {
                let inside = hour.rows().at().iter().zip(values).filter(|(at, _)| (start..start + MINUTE).contains(*at));
                let inside: Vec<i64> = inside.filter_map(|(_, value)| *value).collect();
                let extent = summary.lines[0];
                prop_assert_eq!(extent.map(|extent| extent.min), inside.iter().min().copied());
                prop_assert_eq!(extent.map(|extent| extent.max), inside.iter().max().copied());
                prop_assert_eq!(extent.map_or(0, |extent| extent.count), inside.len() as i64);
                prop_assert_eq!(extent.map_or(0, |extent| extent.sum), inside.iter().sum::<i64>());
            }
        }
    }

    #[test]
    fn an_opening_register_is_told_from_one_that_stood() {
        let summary = |lead, rise| Summary { count: 1, lead: [lead; 2], rise: [rise; 2], ..Summary::default() };
        let mut whole = summary(None, None);
        whole.join(&summary(None, Some(3)));
        whole.join(&summary(Some(4), Some(5)));
        assert_eq!((whole.lead[0], whole.rise[0]), (None, Some(8)));
    }
}
