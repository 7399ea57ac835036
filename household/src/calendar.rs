//! The home's civil time: days of 23, 24 or 25 hours (or half an hour more or less), weeks, months, years.
//!
//! All bounds are computed by the civil calendar of one IANA zone and returned in UTC milliseconds; nothing is ever
//! grouped by the text of a wall clock, which would merge the repeated hour of autumn.

use contract::history::{Period, Resolution};
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _, Unit, ZonedRound};

/// One home's civil time.
#[derive(Clone, Debug)]
pub struct Calendar {
    zone: TimeZone,
    name: String,
}

/// A half-open interval with the local offset at its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// Start, UTC milliseconds.
    pub start: i64,
    /// End, UTC milliseconds; excluded.
    pub end: i64,
    /// Local minus UTC seconds at the start.
    pub offset_seconds: i32,
}

impl Calendar {
    /// The calendar of an IANA zone. `None` if there is no such zone.
    pub fn new(name: &str) -> Option<Self> {
        Some(Self { zone: TimeZone::get(name).ok()?, name: name.to_owned() })
    }

    /// The host's own zone; UTC if it has none that can be named.
    pub fn of_this_host() -> Self {
        let zone = TimeZone::system();
        match zone.iana_name().map(str::to_owned) {
            Some(name) => Self { zone, name },
            None => Self { zone: TimeZone::UTC, name: "UTC".to_owned() },
        }
    }

    /// Whether this is no place where people live: a host that was never told where it stands.
    pub fn is_universal(&self) -> bool {
        matches!(self.name.as_str(), "UTC" | "Etc/UTC" | "Etc/UCT" | "Etc/Universal" | "Etc/Zulu" | "GMT" | "Etc/GMT")
    }

    /// The IANA name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Local minus UTC seconds at an instant.
    pub fn offset_seconds(&self, at: i64) -> i32 {
        self.zone.to_offset(timestamp(at)).seconds()
    }

    /// The civil date at an instant.
    pub fn date(&self, at: i64) -> Date {
        timestamp(at).to_zoned(self.zone.clone()).date()
    }

    /// First day of the period that holds a day.
    pub fn period_start(period: Period, day: Date) -> Date {
        match period {
            Period::Day => day,
            Period::Week => day.saturating_sub(i64::from(day.weekday().to_monday_zero_offset()).days()),
            Period::Month => day.first_of_month(),
            Period::Year => day.first_of_year(),
        }
    }

    /// First day of the period after.
    pub fn period_end(period: Period, start: Date) -> Date {
        match period {
            Period::Day => start.saturating_add(1.day()),
            Period::Week => start.saturating_add(7.days()),
            Period::Month => start.saturating_add(1.month()),
            Period::Year => start.saturating_add(1.year()),
        }
    }

    /// The instant a civil day begins: midnight, or the first instant after it where midnight is skipped.
    pub fn day_start(&self, day: Date) -> i64 {
        self.instant(day.to_datetime(jiff::civil::Time::midnight()))
    }

    /// Buckets from one civil day up to another, without holes. Hours and quarters are steps of the clock inside a civil
    /// day: cut at local hours, so that every day starts its own, and a repeated hour is two buckets.
    pub fn buckets(&self, from: Date, until: Date, resolution: Resolution) -> Vec<Interval> {
        let mut intervals = Vec::new();
        let mut day = from;
        while day < until {
            let next = match resolution {
                Resolution::Month => day.first_of_month().saturating_add(1.month()).min(until),
                _ => day.saturating_add(1.day()),
            };
            let (start, end) = (self.day_start(day), self.day_start(next));
            match resolution {
                Resolution::Day | Resolution::Month => self.push(&mut intervals, start, end),
                Resolution::Hour => self.cut(&mut intervals, start, end, 3_600_000),
                Resolution::Quarter => self.cut(&mut intervals, start, end, 900_000),
            }
            if next <= day {
                break; // The calendar's last day.
            }
            day = next;
        }
        intervals
    }

    /// Cuts a day at multiples of `step` of the local clock.
    fn cut(&self, intervals: &mut Vec<Interval>, start: i64, end: i64, step: i64) {
        let mut at = start;
        while at < end {
            let local = at + i64::from(self.offset_seconds(at)) * 1_000;
            let mut next = at + step - local.rem_euclid(step);
            // Where the offset changes by a part of a step (Lord Howe: half an hour), the wall clock's mark moves.
            let shift = i64::from(self.offset_seconds(next) - self.offset_seconds(at)) * 1_000;
            if shift.rem_euclid(step) != 0 {
                next = self.change_between(at, next);
            }
            let next = next.min(end);
            self.push(intervals, at, next);
            at = next;
        }
    }

    /// The instant in (from, to] at which the offset changes.
    fn change_between(&self, from: i64, to: i64) -> i64 {
        self.zone
            .following(timestamp(from))
            .next()
            .map(|change| change.timestamp().as_millisecond())
            .filter(|&change| change > from && change <= to)
            .unwrap_or(to)
    }

    fn push(&self, intervals: &mut Vec<Interval>, start: i64, end: i64) {
        if start < end {
            intervals.push(Interval { start, end, offset_seconds: self.offset_seconds(start) });
        }
    }

    fn instant(&self, local: DateTime) -> i64 {
        match self.zone.to_ambiguous_timestamp(local).compatible() {
            Ok(instant) => instant.as_millisecond(),
            // Outside the calendar's range (years beyond ±9999).
            Err(_) => 0,
        }
    }

    /// The civil wall clock at an instant rounded down to seconds, for logs and tests: `2026-10-25T02:30:00+01:00`.
    pub fn print(&self, at: i64) -> String {
        let zoned = timestamp(at).to_zoned(self.zone.clone());
        let zoned = zoned.round(ZonedRound::new().smallest(Unit::Second)).unwrap_or(zoned);
        zoned.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
    }
}

/// The UTC instant; the calendar's ends where it lies beyond them.
fn timestamp(milliseconds: i64) -> Timestamp {
    Timestamp::from_millisecond(milliseconds).unwrap_or(if milliseconds < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calendar(name: &str) -> Calendar {
        Calendar::new(name).expect("a zone of the bundled database")
    }

    #[track_caller]
    fn check(zone: &str, day: &str, hours: usize, quarters: usize) {
        let (calendar, day): (_, Date) = (calendar(zone), day.parse().expect("a date"));
        let next = day.tomorrow().expect("not the last day");
        assert_eq!(calendar.buckets(day, next, Resolution::Hour).len(), hours, "{zone} {day} hours");
        assert_eq!(calendar.buckets(day, next, Resolution::Quarter).len(), quarters, "{zone} {day} quarters");
    }

    #[test]
    fn t1_t2_t4_days_have_23_24_or_25_hours_and_92_96_or_100_quarters() {
        check("Europe/Amsterdam", "2026-03-29", 23, 92);
        check("Europe/Amsterdam", "2026-10-25", 25, 100);
        check("Europe/Amsterdam", "2026-10-26", 24, 96);
        check("Australia/Lord_Howe", "2026-04-05", 25, 98);
        check("Asia/Kathmandu", "2026-10-25", 24, 96);
    }

    #[test]
    fn t1_in_every_zone_the_buckets_of_a_year_are_whole_and_without_holes() {
        let (from, until): (Date, Date) =
            ("2026-01-01".parse().expect("a date"), "2027-01-01".parse().expect("a date"));
        for name in jiff::tz::db().available() {
            let calendar = calendar(name.as_str());
            for resolution in [Resolution::Hour, Resolution::Day, Resolution::Month] {
                let buckets = calendar.buckets(from, until, resolution);
                assert_eq!(buckets.first().map(|bucket| bucket.start), Some(calendar.day_start(from)), "{name}");
                assert_eq!(buckets.last().map(|bucket| bucket.end), Some(calendar.day_start(until)), "{name}");
                assert!(buckets.windows(2).all(|pair| pair[0].end == pair[1].start), "{name}");
            }
        }
    }

    #[test]
    fn t3_the_repeated_hour_is_two_buckets() {
        let calendar = calendar("Europe/Berlin");
        let day: Date = "2025-10-26".parse().expect("a date");
        let buckets = calendar.buckets(day, day.tomorrow().expect("not the last day"), Resolution::Hour);
        let at_two: Vec<_> =
            buckets.iter().map(|bucket| calendar.print(bucket.start)).filter(|text| text.contains("T02:")).collect();
        assert_eq!(at_two, ["2025-10-26T02:00:00+02:00", "2025-10-26T02:00:00+01:00"]);
    }

    #[test]
    fn t5_days_begin_at_local_midnight_where_the_offset_has_half_and_quarter_hours() {
        for zone in ["Australia/Adelaide", "Asia/Kathmandu", "Asia/Kolkata"] {
            let calendar = calendar(zone);
            let start = calendar.day_start("2026-06-01".parse().expect("a date"));
            assert!(calendar.print(start).contains("2026-06-01T00:00:00"), "{zone}");
        }
    }

    #[test]
    fn a_day_without_midnight_begins_when_the_clock_first_shows_it() {
        // Cairo springs forward at midnight on the last Friday of April.
        let calendar = calendar("Africa/Cairo");
        let start = calendar.day_start("2026-04-24".parse().expect("a date"));
        assert!(calendar.print(start).starts_with("2026-04-24T01:00:00"), "{}", calendar.print(start));
    }

    #[test]
    fn periods_begin_on_their_first_day() {
        let day: Date = "2028-02-29".parse().expect("a date");
        let start = |period| Calendar::period_start(period, day).to_string();
        assert_eq!(start(Period::Week), "2028-02-28");
        assert_eq!(start(Period::Month), "2028-02-01");
        assert_eq!(start(Period::Year), "2028-01-01");
        assert_eq!(
            Calendar::period_end(Period::Month, Calendar::period_start(Period::Month, day)).to_string(),
            "2028-03-01"
        );
    }
}
