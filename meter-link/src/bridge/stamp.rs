//! Stamps of network bodies: `2024-06-28T14:12:34`, with `Z`, with an offset, or with neither.
//!
//! Without an offset it is local time by the European rule, and marked as assumed. Fractions of a second are dropped.
//!
//! Source: RFC 3339, section 5.6, and the local form that devices print.

use crate::civil::Civil;
use crate::decimal::Decimal;
use crate::reading::{MeterTime, OffsetSource};

/// Reads a stamp. `None` if it makes no sense.
pub(crate) fn parse(text: &str) -> Option<MeterTime> {
    let (civil, rest) = civil(text)?;
    let rest = match rest.strip_prefix('.') {
        Some(fraction) => fraction.trim_start_matches(|digit: char| digit.is_ascii_digit()),
        None => rest,
    };
    match rest {
        "" => civil.in_country(None, None),
        "Z" => civil.at_offset(0),
        _ => {
            let sign = match rest.as_bytes().first()? {
                b'+' => 1,
                b'-' => -1,
                _ => return None,
            };
            let (hours, minutes) = rest.get(1..)?.split_once(':')?;
            let seconds = two(hours)? * 3_600 + two(minutes)? * 60;
            civil.at_offset(i32::try_from(sign * seconds).ok()?)
        }
    }
}

/// Seconds since 1970 UTC, by the clock of a device that asks a time server. `None` before it has.
pub(crate) fn unix(seconds: Decimal) -> Option<MeterTime> {
    // 2008, from which on civil stamps are believed too, to 2050.
    const SENSE: std::ops::Range<i64> = 1_199_145_600..2_524_608_000;
    let unix_milliseconds = seconds.thousandths()?;
    SENSE.contains(&(unix_milliseconds / 1_000)).then_some(MeterTime {
        unix_milliseconds,
        offset_seconds: 0,
        offset_source: OffsetSource::Meter,
    })
}

/// The clock's face at the start of a text, and what follows.
fn civil(text: &str) -> Option<(Civil, &str)> {
    let (face, rest) = text.split_at_checked(19)?;
    let at = |start: usize| face.get(start..start + 2).and_then(two);
    let marks = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    let is_face = marks.iter().all(|(place, mark)| face.as_bytes()[*place] == *mark)
        && matches!(face.as_bytes()[10], b'T' | b' ');
    let civil = Civil {
        year: at(0)? * 100 + at(2)?,
        month: at(5)?,
        day: at(8)?,
        hour: at(11)?,
        minute: at(14)?,
        second: at(17)?,
    };
    is_face.then_some((civil, rest))
}

/// Two digits.
fn two(text: &str) -> Option<i64> {
    let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Option<(i64, i32, OffsetSource)>) {
        let found = parse(text).map(|time| (time.unix_milliseconds / 1_000, time.offset_seconds, time.offset_source));
        assert_eq!(found, expect, "{text}");
    }

    #[test]
    fn an_offset_is_taken_as_sent_and_assumed_only_where_there_is_none() {
        check("2024-06-28T14:12:34", Some((1_719_576_754, 7_200, OffsetSource::Assumed)));
        check("2024-06-28T12:12:34Z", Some((1_719_576_754, 0, OffsetSource::Meter)));
        check("2024-06-28T12:12:34.567Z", Some((1_719_576_754, 0, OffsetSource::Meter)));
        check("2024-06-28T06:42:34-05:30", Some((1_719_576_754, -19_800, OffsetSource::Meter)));
    }

    #[test]
    fn t12_t13_nonsense_is_no_time() {
        for text in [
            "",
            "1970-01-01T00:00:00Z",
            "2070-01-01T00:00:00Z",
            "2024-02-30T00:00:00",
            "2024-06-28T14:12",
            "2024-06-28T14:12:34+2",
            "2024-06-28T14:12:34x",
            "2024-06-28T14:12:é4x",
            "2024x06-28T14:12:34",
        ] {
            check(text, None);
        }
        assert_eq!(unix(Decimal::whole(0)), None);
    }
}
