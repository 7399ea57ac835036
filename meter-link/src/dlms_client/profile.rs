//! Load profiles: columns, and rows out of a buffer.
//!
//! A null in the clock's column is the row before plus the capture period, any other null is the value of the row before.
//! Nothing is assumed about how many rows there should be: power failures and clock changes leave gaps and repetitions,
//! which are told by their stamps and by the status column.
//!
//! Source: Blue Book part 2, section 4.3.6 (profile generic, class 7).

use super::data::Data;
use crate::civil::Civil;
use crate::country::Country;
use crate::error::DecodeError;
use crate::obis::Obis;
use crate::reading::MeterTime;

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
    fn t16_without_a_deviation_the_calendar_decides() {
        let stamp = |status| [0x07, 0xEA, 7, 1, 3, 12, 0, 0, 0xFF, 0x80, 0, status];
        for status in [0xFF, 0x80, 0] {
            assert_eq!(instant(&stamp(status), None).map(|time| time.offset_seconds), Some(7_200));
        }
        assert_eq!(instant(&[0xFF; 12], None), None);
    }
}
