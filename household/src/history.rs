//! Questions about the past: amounts per interval, and the power line of a day.
//!
//! Energy of an interval is the difference of booked totals at its edges. A total at an edge is known only where readings
//! stand close on both sides of it; an edge inside a gap belongs to nobody, and the gap's energy is told as a fact (a total
//! without a shape), never spread over bars.

use contract::history::{Amounts, Bucket, Fact, FactKind, HistoryReply, Period, Resolution};
use contract::live::{PointId, PointKind, PowerSpan};
use meter_link::units::{Millilitres, MilliwattHours, Milliwatts};
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::calendar::{Calendar, Interval};
use crate::store::StoreError;

/// Width of the power line's spans over a day: one minute, which is finer than any screen's pixel.
const POWER_SPAN: i64 = 60_000;

/// A hole between two readings of a point that is longer than this is a gap.
///
/// Electricity: two minutes, a dozen readings of the slowest P1 meter (10 s), and short enough that no quarter-hour hides
/// one. Children: three hours, because meters before DSMR 5 pass gas on once an hour and may miss one.
pub fn gap_after(kind: PointKind) -> i64 {
    match kind {
        PointKind::Connection | PointKind::Generation => 120_000,
        PointKind::Gas | PointKind::Heat | PointKind::Water => 3 * 3_600_000,
    }
}

/// The booked totals at one reading.
#[derive(Clone, Copy, Debug)]
struct Row {
    at: i64,
    import: Option<i64>,
    export: Option<i64>,
}

/// The readings around an instant.
#[derive(Clone, Copy, Debug)]
struct Edge {
    at: i64,
    /// The last one at or before it.
    before: Option<Row>,
    /// The first one after it.
    after: Option<Row>,
}

impl Edge {
    /// Whether no gap lies across it; beyond the last reading, whether that is fresh.
    fn covered(&self, gap: i64, now: i64) -> bool {
        self.before.is_some_and(|before| {
            let after = self.after.map_or(now, |after| after.at);
            before.at == self.at || after - before.at <= gap
        })
    }
}

/// Amounts of one point over one interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Measured {
    import: Option<i64>,
    export: Option<i64>,
    complete: bool,
}

fn edge(connection: &Connection, point: PointId, at: i64) -> Result<Edge, StoreError> {
    let row = |row: &rusqlite::Row<'_>| Ok(Row { at: row.get(0)?, import: row.get(1)?, export: row.get(2)? });
    let before = connection
        .prepare_cached(
            "SELECT at_utc_milliseconds, booked_import, booked_export FROM reading
             WHERE point = ? AND at_utc_milliseconds <= ? ORDER BY at_utc_milliseconds DESC LIMIT 1",
        )?
        .query_row(params![point.0, at], row)
        .optional()?;
    let after = connection
        .prepare_cached(
            "SELECT at_utc_milliseconds, booked_import, booked_export FROM reading
             WHERE point = ? AND at_utc_milliseconds > ? ORDER BY at_utc_milliseconds LIMIT 1",
        )?
        .query_row(params![point.0, at], row)
        .optional()?;
    Ok(Edge { at, before, after })
}

fn between(start: &Edge, end: &Edge, gap: i64, now: i64) -> Measured {
    let covered = start.covered(gap, now);
    let first = if covered { start.before } else { start.after };
    let (Some(first), Some(last)) = (first, end.before) else { return Measured::default() };
    if last.at <= first.at {
        return Measured::default();
    }
    let difference = |first: Option<i64>, last: Option<i64>| Some(last? - first?);
    Measured {
        import: difference(first.import, last.import),
        export: difference(first.export, last.export),
        complete: covered && end.covered(gap, now),
    }
}

/// Adds what one point measured to the amounts of an interval.
fn add(amounts: &mut Amounts, kind: PointKind, measured: Measured) {
    let energy = |sum: Option<MilliwattHours>, more: Option<i64>| match (sum, more) {
        (sum, None) => sum,
        (sum, Some(more)) => Some(MilliwattHours::saturating(sum.map_or(0, MilliwattHours::count) + more)),
    };
    let volume = |sum: Option<Millilitres>, more: Option<i64>| match (sum, more) {
        (sum, None) => sum,
        (sum, Some(more)) => Some(Millilitres::saturating(sum.map_or(0, Millilitres::count) + more)),
    };
    match kind {
        PointKind::Connection => {
            amounts.import_milliwatt_hours = energy(amounts.import_milliwatt_hours, measured.import);
            amounts.export_milliwatt_hours = energy(amounts.export_milliwatt_hours, measured.export);
            amounts.complete = measured.complete;
        }
        // A plant's meter counts what it makes as export toward the home, a PV branch meter read from the grid likewise;
        // some inverters count it as import. Only one of the two ever moves.
        PointKind::Generation => {
            let made = measured.export.unwrap_or(0).max(measured.import.unwrap_or(0));
            if measured.export.is_some() || measured.import.is_some() {
                amounts.generation_milliwatt_hours = energy(amounts.generation_milliwatt_hours, Some(made));
            }
        }
        PointKind::Gas => amounts.gas_millilitres = volume(amounts.gas_millilitres, measured.import),
        PointKind::Water => amounts.water_millilitres = volume(amounts.water_millilitres, measured.import),
        PointKind::Heat => {}
    }
}

/// Amounts of consecutive intervals, and of all of them together.
pub fn amounts(
    connection: &Connection,
    points: &[(PointId, PointKind)],
    intervals: &[Interval],
    now: i64,
) -> Result<(Vec<Amounts>, Amounts), StoreError> {
    let mut each = vec![Amounts::default(); intervals.len()];
    let mut whole = Amounts::default();
    let (Some(first), Some(last)) = (intervals.first(), intervals.last()) else { return Ok((each, whole)) };
    for &(point, kind) in points {
        let gap = gap_after(kind);
        let mut start = edge(connection, point, first.start)?;
        let beginning = start;
        for (interval, amounts) in intervals.iter().zip(&mut each) {
            if interval.start > now {
                break;
            }
            let end = edge(connection, point, interval.end)?;
            add(amounts, kind, between(&start, &end, gap, now));
            start = end;
        }
        let end = edge(connection, point, last.end)?;
        add(&mut whole, kind, between(&beginning, &end, gap, now));
    }
    Ok((each, whole))
}

/// Net power in spans of a fixed width; spans without a reading are left out.
pub fn power(
    connection: &Connection,
    point: PointId,
    start: i64,
    end: i64,
    span: i64,
) -> Result<Vec<PowerSpan>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT (at_utc_milliseconds - ?2) / ?4, min(power_milliwatts), sum(power_milliwatts), max(power_milliwatts),
                count(power_milliwatts)
         FROM reading
         WHERE point = ?1 AND at_utc_milliseconds >= ?2 AND at_utc_milliseconds < ?3 AND power_milliwatts IS NOT NULL
         GROUP BY 1 ORDER BY 1",
    )?;
    let spans = statement.query_map(params![point.0, start, end, span], |row| {
        let (index, count): (i64, i64) = (row.get(0)?, row.get(4)?);
        Ok(PowerSpan {
            start_utc_milliseconds: start + index * span,
            min_milliwatts: Milliwatts::saturating(row.get(1)?),
            mean_milliwatts: Milliwatts::saturating(row.get::<_, i64>(2)? / count.max(1)),
            max_milliwatts: Milliwatts::saturating(row.get(3)?),
        })
    })?;
    Ok(spans.collect::<Result<_, _>>()?)
}

/// The first instant for which anything is kept.
pub fn first_reading(connection: &Connection) -> Result<Option<i64>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT min((SELECT min(at_utc_milliseconds) FROM reading WHERE reading.point = point.id)) FROM point
         WHERE kind IN ('connection', 'generation')",
    )?;
    Ok(statement.query_row([], |row| row.get(0))?)
}

/// What happened to a point's data in [start, end).
fn facts(connection: &Connection, point: PointId, start: i64, end: i64) -> Result<Vec<Fact>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT kind, start_utc_milliseconds, end_utc_milliseconds, import_milliwatt_hours, export_milliwatt_hours
         FROM fact WHERE point = ?1 AND end_utc_milliseconds >= ?2 AND start_utc_milliseconds < ?3
         ORDER BY start_utc_milliseconds",
    )?;
    let facts = statement.query_map(params![point.0, start, end], |row| {
        let kind = match row.get_ref(0)?.as_str()? {
            "filled" => FactKind::Filled,
            "gap" => FactKind::Gap,
            "reset" => FactKind::Reset,
            "jump" => FactKind::Jump,
            "spike" => FactKind::Spike,
            "swap" => FactKind::Swap,
            _ => FactKind::ClockWrong,
        };
        let energy = |value: Option<i64>| value.map(MilliwattHours::saturating);
        Ok(Fact {
            kind,
            start_utc_milliseconds: row.get(1)?,
            end_utc_milliseconds: row.get(2)?,
            import_milliwatt_hours: energy(row.get(3)?),
            export_milliwatt_hours: energy(row.get(4)?),
        })
    })?;
    Ok(facts.collect::<Result<_, _>>()?)
}

/// The reply to the call `history`.
pub fn answer(
    connection: &Connection,
    calendar: &Calendar,
    points: &[(PointId, PointKind)],
    question: (Period, jiff::civil::Date, Option<Resolution>),
    now: i64,
) -> Result<HistoryReply, StoreError> {
    let (period, day, resolution) = question;
    let start_date = Calendar::period_start(period, day);
    let end_date = Calendar::period_end(period, start_date);
    let resolution = resolution.unwrap_or(match period {
        Period::Day => Resolution::Hour,
        Period::Week | Period::Month => Resolution::Day,
        Period::Year => Resolution::Month,
    });
    let intervals = calendar.buckets(start_date, end_date, resolution);
    let (start, end) = (calendar.day_start(start_date), calendar.day_start(end_date));
    let (each, total) = amounts(connection, points, &intervals, now)?;
    let connection_point = points.iter().find(|(_, kind)| *kind == PointKind::Connection);
    let (power, facts) = match connection_point {
        None => (Vec::new(), Vec::new()),
        Some(&(point, _)) => (
            if period == Period::Day { power(connection, point, start, end, POWER_SPAN)? } else { Vec::new() },
            facts(connection, point, start, end)?,
        ),
    };
    let first_date = first_reading(connection)?.map(|at| calendar.date(at));
    let previous = Calendar::period_start(period, start_date.saturating_sub(jiff::Span::new().days(1)));
    let buckets = intervals
        .iter()
        .zip(each)
        .map(|(interval, amounts)| Bucket {
            start_utc_milliseconds: interval.start,
            end_utc_milliseconds: interval.end,
            utc_offset_seconds: interval.offset_seconds,
            amounts,
        })
        .collect();
    Ok(HistoryReply {
        period,
        start_date: start_date.to_string(),
        previous_date: first_date.filter(|first| *first < start_date).map(|_| previous.to_string()),
        next_date: (end <= now).then(|| end_date.to_string()),
        start_utc_milliseconds: start,
        end_utc_milliseconds: end,
        resolution,
        buckets,
        power,
        power_span_milliseconds: POWER_SPAN,
        total,
        facts,
    })
}
