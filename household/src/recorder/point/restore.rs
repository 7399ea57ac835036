//! Points as the database left them: books, devices, and the newest reading, so that a screen has something (old) to show
//! before the meter speaks again.

use contract::live::{Clock, Latest, MeterId, PhaseState, PointId, PointKind};
use meter_link::obis::Obis;
use meter_link::reading::{Phase, Trust};
use meter_link::units::{Milliamperes, Millilitres, Millivolts, Milliwatts};
use rusqlite::{Connection, OptionalExtension as _};

use super::{Point, Side};
use crate::books::{Book, Suspect};
use crate::store::StoreError;

/// All points with their books and last readings.
pub(in crate::recorder) fn load(connection: &Connection) -> Result<Vec<Point>, StoreError> {
    let mut statement = connection.prepare("SELECT id, kind, meter, equipment, country FROM point ORDER BY id")?;
    let points = statement.query_map([], |row| {
        let kind = match row.get_ref(1)?.as_str()? {
            "connection" => PointKind::Connection,
            "generation" => PointKind::Generation,
            "gas" => PointKind::Gas,
            "water" => PointKind::Water,
            _ => PointKind::Heat,
        };
        let country: Option<String> = row.get(4)?;
        Ok(Point {
            equipment: row.get(3)?,
            country: country.and_then(|text| serde_json::from_str(&text).ok()),
            ..Point::blank(PointId(row.get(0)?), kind, row.get::<_, Option<i64>>(2)?.map(MeterId))
        })
    })?;
    let mut points: Vec<Point> = points.collect::<Result<_, _>>()?;
    for point in &mut points {
        load_books(connection, point)?;
        load_latest(connection, point)?;
    }
    Ok(points)
}

fn load_books(connection: &Connection, point: &mut Point) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT flow, rate, believed, believed_utc_milliseconds, booked, suspect FROM book WHERE point = ?",
    )?;
    let books = statement.query_map([point.id.0], |row| {
        let side = if row.get_ref(0)?.as_str()? == "import" { Side::Import } else { Side::Export };
        let suspect: Option<String> = row.get(5)?;
        let book = Book {
            believed: row.get(2)?,
            believed_at: row.get(3)?,
            booked: row.get(4)?,
            suspect: suspect.as_deref().and_then(read_suspect),
        };
        Ok(((side, row.get(1)?), book))
    })?;
    point.books = books.collect::<Result<_, _>>()?;
    Ok(())
}

/// The newest reading, so that a screen has something (old) to show before the meter speaks again.
fn load_latest(connection: &Connection, point: &mut Point) -> Result<(), StoreError> {
    let row = connection
        .prepare_cached("SELECT * FROM reading WHERE point = ? ORDER BY at_utc_milliseconds DESC LIMIT 1")?
        .query_row([point.id.0], |row| {
            let trust = match row.get::<_, i64>(3)? {
                2 => Trust::Authenticated,
                1 => Trust::Checked,
                _ => Trust::Unverified,
            };
            let mut phases = Vec::new();
            for (phase, index) in [(Phase::L1, 7), (Phase::L2, 8), (Phase::L3, 9)] {
                let state = PhaseState {
                    phase,
                    power_milliwatts: row.get::<_, Option<i64>>(index)?.and_then(Milliwatts::new),
                    voltage_millivolts: row.get::<_, Option<i64>>(index + 3)?.and_then(Millivolts::new),
                    current_milliamperes: row.get::<_, Option<i64>>(index + 6)?.and_then(Milliamperes::new),
                };
                if state.power_milliwatts.is_some()
                    || state.voltage_millivolts.is_some()
                    || state.current_milliamperes.is_some()
                {
                    phases.push(state);
                }
            }
            let latest = Latest {
                at_utc_milliseconds: row.get(1)?,
                clock: if row.get::<_, i64>(2)? == 1 { Clock::Meter } else { Clock::Host },
                trust,
                power_milliwatts: row.get::<_, Option<i64>>(6)?.and_then(Milliwatts::new),
                phases,
                registers: Vec::new(),
                rate: None,
                volume_millilitres: None,
                heat_joules: None,
            };
            Ok((latest, [row.get(4)?, row.get(5)?]))
        })
        .optional()?;
    let Some((mut latest, booked)) = row else { return Ok(()) };
    let import = point.books.get(&(Side::Import, 0)).map(|book| book.believed);
    match point.kind {
        PointKind::Connection | PointKind::Generation => {
            latest.registers = point
                .books
                .iter()
                .filter_map(|(&(side, rate), book)| {
                    let quantity = if side == Side::Import { 1 } else { 2 };
                    point.shown(&(side, rate, Obis::new(1, 0, quantity, 8, rate), book.believed))
                })
                .collect();
        }
        PointKind::Gas | PointKind::Water => latest.volume_millilitres = import.and_then(Millilitres::new),
        PointKind::Heat => latest.heat_joules = import,
    }
    point.last_at = Some(latest.at_utc_milliseconds);
    point.booked = booked;
    point.latest = Some(latest);
    Ok(())
}

fn read_suspect(text: &str) -> Option<Suspect> {
    let mut numbers = text.split(' ').map(str::parse::<i64>);
    let mut next = || numbers.next()?.ok();
    Some(Suspect {
        first: next()?,
        since: next()?,
        last: next()?,
        last_at: next()?,
        count: next().and_then(|count| u32::try_from(count).ok())?,
    })
}
