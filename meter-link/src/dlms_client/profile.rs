//! Load profiles: columns, and rows out of a buffer.
//!
//! A null in the clock's column is the row before plus the capture period, any other null is the value of the row before.
//! Nothing is assumed about how many rows there should be: power failures and clock changes leave gaps and repetitions,
//! which are told by their stamps and by the status column.
//!
//! Source: Blue Book part 2, section 4.3.6 (profile generic, class 7).

use super::data::Data;
use super::registers::{Register, ScalerUnit, measured};
use crate::civil::Civil;
use crate::country::Country;
use crate::error::DecodeError;
use crate::meaning::electricity;
use crate::obis::Obis;
use crate::reading::{Measured, MeterTime, OffsetSource, Quantity, StoredRow};

/// Status: the clock was not to be trusted, or the row's values were not. The bits that meters of several companion
/// standards share (IDIS package 2, DSMR, ESMR); what else they tell (summer time, power failure) spoils no register.
const DOUBTED: i64 = 0x06;

/// One captured attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Class of the object.
    pub class: u16,
    /// Its code.
    pub obis: Obis,
    /// Which attribute.
    pub attribute: u8,
    /// Which element of it; 0 for all.
    pub index: u16,
}

impl Column {
    /// Whether it holds the row's instant.
    pub const fn is_clock(&self) -> bool {
        self.class == 8 && self.attribute == 2
    }

    /// Whether it holds a register of active energy as it stood.
    pub fn is_energy(&self) -> bool {
        let Self { class, obis, attribute, index } = *self;
        let is_own = obis.a == 1 && obis.f == 255;
        is_own
            && matches!((class, attribute, index), (3 | 4, 2, 0))
            && matches!(electricity(obis), Some(Quantity::ActiveEnergy(..)))
    }

    /// Whether it holds the row's status (0-b:96.10.x).
    pub const fn is_status(&self) -> bool {
        self.obis.a == 0 && self.obis.c == 96 && self.obis.d == 10
    }
}

/// All columns of a profile, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns(pub Vec<Column>);

impl Columns {
    /// Reads attribute 3. `None` if it is no list of columns.
    pub fn read(data: &Data) -> Option<Self> {
        data.elements()?.iter().map(column).collect::<Option<_>>().map(Self)
    }
}

fn column(data: &Data) -> Option<Column> {
    let [class, obis, attribute, index] = data.elements()? else { return None };
    let [a, b, c, d, e, f] = *obis.bytes()? else { return None };
    Some(Column {
        class: class.integer()?.try_into().ok()?,
        obis: Obis { a, b, c, d, e, f },
        // Signed on the wire; makers' own attributes are negative and never captured clocks or registers.
        attribute: attribute.integer()?.try_into().unwrap_or(0),
        index: index.integer()?.try_into().ok()?,
    })
}

/// What must be known to read a buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Attribute 3.
    pub columns: Columns,
    /// Attribute 4; 0 if rows are captured by events.
    pub period_seconds: u32,
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The end of its period, by the meter's clock. `None`: not sent, or no sense.
    pub time: Option<MeterTime>,
    /// The status, as sent.
    pub status: Option<i64>,
    /// One per column; `None` where there has been no value yet.
    pub values: Vec<Option<Data>>,
}

/// Rows in the order sent. The error: the buffer is no table of these columns.
pub fn read_rows(profile: &Profile, buffer: &Data, country: Option<Country>) -> Result<Vec<Row>, DecodeError> {
    let columns = &profile.columns.0;
    let malformed = |place: usize| DecodeError::Malformed { offset: place };
    let mut rows: Vec<Row> = Vec::new();
    for (place, row) in buffer.elements().ok_or(malformed(0))?.iter().enumerate() {
        let cells = row.elements().filter(|cells| cells.len() == columns.len()).ok_or(malformed(place))?;
        let before = rows.last();
        let mut time = None;
        let mut status = None;
        let mut values = Vec::with_capacity(cells.len());
        for (number, (cell, column)) in cells.iter().zip(columns).enumerate() {
            let is_clock = column.is_clock();
            if is_clock {
                time = match cell {
                    Data::Null => before.and_then(|row| row.time).map(|time| later(time, profile.period_seconds)),
                    cell => cell.bytes().and_then(|octets| instant(octets, country)),
                };
            }
            let value = match cell {
                Data::Null if is_clock => None,
                Data::Null => before.and_then(|row| row.values[number].clone()),
                cell => Some(cell.clone()),
            };
            if column.is_status() {
                status = value.as_ref().and_then(Data::integer);
            }
            values.push(value);
        }
        rows.push(Row { time, status, values });
    }
    Ok(rows)
}

/// Where rows are missing: the last instant before and the first after, in milliseconds since 1970.
pub fn gaps(rows: &[Row], period_seconds: u32) -> Vec<(i64, i64)> {
    let period = i64::from(period_seconds) * 1_000;
    let times: Vec<i64> = rows.iter().filter_map(|row| row.time).map(|time| time.unix_milliseconds).collect();
    times.windows(2).filter(|pair| period > 0 && pair[1] - pair[0] > period).map(|pair| (pair[0], pair[1])).collect()
}

/// Registers of energy out of rows, `units` one per column. Left out: rows without an instant, and rows that the meter itself
/// doubts.
pub fn stored(profile: &Profile, rows: &[Row], units: &[Option<ScalerUnit>]) -> Vec<StoredRow> {
    let mut stored: Vec<StoredRow> = rows
        .iter()
        .filter(|row| row.status.is_none_or(|status| status & DOUBTED == 0))
        .filter_map(|row| {
            let cells = row.values.iter().zip(&profile.columns.0).zip(units);
            let values: Vec<Measured> =
                cells.filter_map(|((value, column), unit)| energy(column, value.as_ref()?, (*unit)?)).collect();
            Some(StoredRow { meter_time: row.time?, values }).filter(|row| !row.values.is_empty())
        })
        .collect();
    stored.sort_by_key(|row| row.meter_time.unix_milliseconds);
    stored.dedup_by_key(|row| row.meter_time.unix_milliseconds);
    stored
}

/// A register of energy in a column.
fn energy(column: &Column, value: &Data, scaler_unit: ScalerUnit) -> Option<Measured> {
    let register = Register { obis: column.obis, value: value.clone(), scaler_unit };
    measured(&register).filter(|_| column.is_energy())
}

/// An instant as a meter takes it: local time as its clock shows it, and its deviation where that clock has one. `like`: a
/// reading of the clock. `None` in years when no meter of these protocols hangs.
pub fn octets(unix_milliseconds: i64, like: MeterTime) -> Option<[u8; 12]> {
    let civil = Civil::of_unix(unix_milliseconds.div_euclid(1_000), like.offset_seconds)?;
    // Within the range of a calendar's fields, and 840 minutes at most.
    let [high, low] = (civil.year as u16).to_be_bytes();
    let deviation = match like.offset_source {
        OffsetSource::Meter => (-like.offset_seconds / 60) as i16,
        OffsetSource::Assumed => i16::MIN,
    };
    let [deviation_high, deviation_low] = deviation.to_be_bytes();
    let byte = |number: i64| number as u8;
    Some([
        high,
        low,
        byte(civil.month),
        byte(civil.day),
        byte(civil.weekday()),
        byte(civil.hour),
        byte(civil.minute),
        byte(civil.second),
        // Neither hundredths nor status are told.
        0xFF,
        deviation_high,
        deviation_low,
        0xFF,
    ])
}

fn later(time: MeterTime, seconds: u32) -> MeterTime {
    MeterTime { unix_milliseconds: time.unix_milliseconds + i64::from(seconds) * 1_000, ..time }
}

/// A date-time of 12 octets. Without a deviation the country and the calendar say it. `None` if it makes no sense.
pub fn instant(octets: &[u8], country: Option<Country>) -> Option<MeterTime> {
    let [year_high, year_low, month, day, _, hour, minute, second, _, high, low, status] = *octets else { return None };
    let civil = Civil {
        year: i64::from(u16::from_be_bytes([year_high, year_low])),
        month: month.into(),
        day: day.into(),
        hour: hour.into(),
        minute: minute.into(),
        // Not specified: the whole minute.
        second: if second == 0xFF { 0 } else { second.into() },
    };
    match i16::from_be_bytes([high, low]) {
        i16::MIN => civil.in_country((status != 0xFF && status & 0x80 != 0).then_some(true), country),
        // UTC is local time plus deviation; a day has 720 minutes either way.
        deviation @ -840..=840 => civil.at_offset(-i32::from(deviation) * 60),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOCK: Column = Column { class: 8, obis: Obis::new(0, 0, 1, 0, 0), attribute: 2, index: 0 };
    const STATUS: Column = Column { class: 1, obis: Obis::new(0, 0, 96, 10, 1), attribute: 2, index: 0 };
    const REGISTER: Column = Column { class: 3, obis: Obis::new(1, 0, 1, 8, 0), attribute: 2, index: 0 };

    fn stamp(hour: u8, minute: u8) -> Data {
        Data::Octets(vec![0x07, 0xEA, 3, 29, 7, hour, minute, 0, 0, 0xFF, 0xC4, 0])
    }

    #[test]
    fn nulls_are_what_was_to_be_expected() {
        let profile = Profile { columns: Columns(vec![CLOCK, STATUS, REGISTER]), period_seconds: 900 };
        let row = |time, status, value| Data::Structure(vec![time, status, value]);
        let number = Data::Integer;
        let buffer = Data::Array(vec![
            row(Data::Null, Data::Null, Data::Null),
            row(stamp(1, 0), number(0), number(100)),
            row(Data::Null, Data::Null, number(107)),
            row(Data::Null, number(8), Data::Null),
            row(stamp(3, 15), number(0), number(120)),
        ]);
        let rows = read_rows(&profile, &buffer, None).expect("rows");
        let minutes: Vec<_> =
            rows.iter().map(|row| row.time.map(|time| time.unix_milliseconds / 60_000 % 1_440)).collect();
        assert_eq!(minutes, [None, Some(0), Some(15), Some(30), Some(135)]);
        let values: Vec<_> = rows.iter().map(|row| row.values[2].as_ref().and_then(Data::integer)).collect();
        assert_eq!(values, [None, Some(100), Some(107), Some(107), Some(120)]);
        assert_eq!(rows.iter().map(|row| row.status).collect::<Vec<_>>(), [None, Some(0), Some(0), Some(8), Some(0)]);
        assert_eq!(gaps(&rows, 900).len(), 1);
    }

    #[test]
    fn rows_that_the_meter_doubts_and_columns_that_are_no_register_are_left_out() {
        let power = Column { obis: Obis::new(1, 0, 1, 7, 0), ..REGISTER };
        let profile = Profile { columns: Columns(vec![CLOCK, STATUS, REGISTER, power]), period_seconds: 900 };
        let row = |minute, status| {
            let number = Data::Integer;
            Data::Structure(vec![stamp(1, minute), number(status), number(100 + i128::from(minute)), number(7)])
        };
        let buffer = Data::Array(vec![row(45, 0), row(0, 0x80), row(15, 2), row(30, 4), row(0, 8)]);
        let rows = read_rows(&profile, &buffer, None).expect("rows");
        let unit = |unit| Some(ScalerUnit { scaler: 1, unit });
        let stored = stored(&profile, &rows, &[None, None, unit(30), unit(27)]);
        let values: Vec<_> = stored
            .iter()
            .map(|row| row.values.iter().map(|value| value.value.to_string()).collect::<Vec<_>>())
            .collect();
        assert_eq!(values, [["1000"], ["1450"]]);
    }

    #[test]
    fn an_instant_is_asked_for_as_the_clock_shows_it() {
        for text in [stamp(3, 15), Data::Octets(vec![0x07, 0xEA, 12, 31, 4, 23, 59, 58, 0, 0x80, 0, 0])] {
            let shown = text.bytes().and_then(|octets| instant(octets, None)).expect("an instant");
            let asked = octets(shown.unix_milliseconds, shown).expect("within the years");
            assert_eq!(instant(&asked, None), Some(shown));
            assert_eq!(asked[..8], text.bytes().expect("octets")[..8]);
        }
    }

    #[test]
    fn t16_without_a_deviation_the_calendar_decides() {
        let stamp = |status| [0x07, 0xEA, 7, 1, 3, 12, 0, 0, 0xFF, 0x80, 0, status];
        for status in [0xFF, 0x80, 0] {
            assert_eq!(instant(&stamp(status), None).map(|time| time.offset_seconds), Some(7_200));
        }
        assert_eq!(instant(&[0xFF; 12], None), None);
    }
}
