//! A meter's wall clock, and the instant it means.
//!
//! Without a mark for summer time or an offset the European rule decides, and the offset is marked as assumed. Stamps that
//! no meter in the field can mean (month 0, 2068) are none.
//!
//! Source: Directive 2000/84/EC for the rule.

use crate::country::Country;
use crate::reading::{MeterTime, OffsetSource};

/// Years in which meters of these protocols hang: the oldest is of 2007; a meter hangs for at most a few decades more.
const YEARS: std::ops::RangeInclusive<i64> = 2008..=2050;

/// What a meter's clock shows. Any numbers; whether they make sense is asked when they become an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields of a calendar are their own names")]
pub struct Civil {
    pub year: i64,
    pub month: i64,
    pub day: i64,
    pub hour: i64,
    pub minute: i64,
    pub second: i64,
}

impl Civil {
    /// The instant in a country's time. `summer`: what the meter says of summer time; `None` if it says nothing. `None` if the
    /// stamp makes no sense.
    pub fn in_country(self, summer: Option<bool>, country: Option<Country>) -> Option<MeterTime> {
        let local = self.seconds()?;
        let standard = i64::from(country.map_or(3_600, Country::standard_offset_seconds));
        let (offset, offset_source) = match summer {
            Some(true) => (standard + 3_600, OffsetSource::Meter),
            Some(false) => (standard, OffsetSource::Meter),
            None if is_summer(self.year, local - standard) => (standard + 3_600, OffsetSource::Assumed),
            None => (standard, OffsetSource::Assumed),
        };
        Some(MeterTime { unix_milliseconds: (local - offset) * 1_000, offset_seconds: offset as i32, offset_source })
    }

    /// The instant, where the meter sends its offset (local time minus UTC, in seconds). `None` if the stamp makes no sense.
    pub fn at_offset(self, offset_seconds: i32) -> Option<MeterTime> {
        Some(MeterTime {
            unix_milliseconds: (self.seconds()? - i64::from(offset_seconds)) * 1_000,
            offset_seconds,
            offset_source: OffsetSource::Meter,
        })
    }

    /// What a clock shows that is `offset_seconds` ahead of UTC. `None` in years when no meter of these protocols hangs.
    pub fn of_unix(seconds: i64, offset_seconds: i32) -> Option<Self> {
        let local = seconds + i64::from(offset_seconds);
        let day_number = local.div_euclid(86_400);
        let year = YEARS.rev().find(|year| days(*year, 1, 1) <= day_number)?;
        let month = (1..=12).rev().find(|month| days(year, *month, 1) <= day_number)?;
        let (day, second) = (day_number - days(year, month, 1) + 1, local.rem_euclid(86_400));
        let civil = Self { year, month, day, hour: second / 3_600, minute: second / 60 % 60, second: second % 60 };
        // Past the last year the month has too many days.
        civil.seconds().map(|_| civil)
    }

    /// Day of the week, 1 for Monday.
    pub fn weekday(self) -> i64 {
        // 1970-01-01 was a Thursday.
        (days(self.year, self.month, self.day) + 3).rem_euclid(7) + 1
    }

    /// Seconds from 1970-01-01 in the clock's own time.
    fn seconds(self) -> Option<i64> {
        let Self { year, month, day, hour, minute, second } = self;
        let days_in_month = match month {
            2 if year % 4 == 0 => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => return None,
        };
        let is_sense = YEARS.contains(&year)
            && (1..=days_in_month).contains(&day)
            && (0..24).contains(&hour)
            && (0..60).contains(&minute)
            && (0..60).contains(&second);
        is_sense.then(|| days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second)
    }
}

/// The instant of a clock that counts seconds since 1970-01-01 UTC. `offset_seconds`: local time minus UTC, where the meter
/// says it; the country's otherwise. `None` in years when no meter of these protocols hangs.
pub fn at_unix(seconds: i64, offset_seconds: Option<i32>, country: Country) -> Option<MeterTime> {
    let year = YEARS.rev().find(|year| days(*year, 1, 1) * 86_400 <= seconds)?;
    if seconds >= days(year + 1, 1, 1) * 86_400 || offset_seconds.is_some_and(|offset| offset.abs() > 50_400) {
        return None;
    }
    let (offset_seconds, offset_source) = match offset_seconds {
        Some(offset) => (offset, OffsetSource::Meter),
        None => {
            let summer = if is_summer(year, seconds) { 3_600 } else { 0 };
            (country.standard_offset_seconds() + summer, OffsetSource::Assumed)
        }
    };
    Some(MeterTime { unix_milliseconds: seconds * 1_000, offset_seconds, offset_source })
}

/// The instant of a clock that counts UTC and says nothing of its zone. `None` in years when no meter of these protocols
/// hangs: a clock that was never set.
pub fn from_unix_seconds(seconds: i64) -> Option<MeterTime> {
    // With an offset the country decides nothing.
    at_unix(seconds, Some(0), Country::Gb)
}

/// Days since 1970-01-01; valid for the years of [`YEARS`], in which every fourth is a leap year.
const fn days(year: i64, month: i64, day: i64) -> i64 {
    const BEFORE: [i64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let leap = if year % 4 == 0 && month > 2 { 1 } else { 0 };
    (year - 1970) * 365 + (year - 1969) / 4 + BEFORE[(month - 1) as usize] + leap + day - 1
}

/// Whether summer time holds at a UTC second, by the European rule: last Sunday of March to last Sunday of October, 01:00 UTC.
/// In the repeated hour, read as winter time.
const fn is_summer(year: i64, utc: i64) -> bool {
    const fn last_sunday(year: i64, month: i64) -> i64 {
        let last = days(year, month, 31);
        // 1970-01-01 was a Thursday.
        last - (last + 4) % 7
    }
    // `utc` is computed with winter's offset, so it lies an hour late while summer time holds.
    let (start, end) = (last_sunday(year, 3) * 86_400 + 3_600, last_sunday(year, 10) * 86_400 + 3_600);
    utc >= start && utc < end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_shows_what_it_means() {
        let civil = Civil { year: 2026, month: 3, day: 29, hour: 3, minute: 30, second: 5 };
        assert_eq!(Civil::of_unix(1_774_747_805, 7_200), Some(civil));
        assert_eq!(
            (civil.weekday(), civil.at_offset(7_200).map(|time| time.unix_milliseconds)),
            (7, Some(1_774_747_805_000))
        );
        assert_eq!(Civil::of_unix(0, 0), None);
        assert_eq!(Civil::of_unix(4_000_000_000, 0), None);
    }

    proptest::proptest! {
        #[test]
        fn every_second_is_read_as_it_is_shown(seconds in 1_200_000_000_i64..2_500_000_000, quarters in -48_i32..=56) {
            let offset = quarters * 900;
            let civil = Civil::of_unix(seconds, offset).expect("within the years");
            proptest::prop_assert_eq!(civil.at_offset(offset).map(|time| time.unix_milliseconds), Some(seconds * 1_000));
        }
    }
}
