//! COSEM date and time, twelve bytes.
//!
//! Year, month, day, weekday, hour, minute, second, hundredths, deviation, status. UTC is local time *plus* the deviation in
//! minutes. Where the deviation is unspecified (8000) the status may still tell summer time; else the country and the
//! calendar decide, except on Kamstrup's meters, which keep standard time all year.
//!
//! Source: IEC 62056-6-2, section 4.1.6.1.

use crate::civil::Civil;
use crate::country::Country;
use crate::reading::MeterTime;

/// Deviation that says nothing.
const UNSPECIFIED: i16 = i16::MIN;
/// Status: summer time holds.
const SUMMER: u8 = 0x80;
/// Status that says nothing.
const NO_STATUS: u8 = 0xFF;

/// The instant that twelve bytes mean. `keeps_standard_time`: without a mark the meter never goes to summer time. `None` if
/// they are not twelve, or make no sense.
pub fn parse(bytes: &[u8], country: Option<Country>, keeps_standard_time: bool) -> Option<MeterTime> {
    let &[year_high, year_low, month, day, _, hour, minute, second, _, high, low, status] = bytes else { return None };
    let civil = Civil {
        year: i64::from(u16::from_be_bytes([year_high, year_low])),
        month: i64::from(month),
        day: i64::from(day),
        hour: i64::from(hour),
        minute: i64::from(minute),
        // Some meters leave the second out.
        second: if second == 0xFF { 0 } else { i64::from(second) },
    };
    let deviation = i16::from_be_bytes([high, low]);
    if deviation != UNSPECIFIED {
        // No zone is further from Greenwich than fifteen hours.
        return if deviation.abs() <= 900 { civil.at_offset(-60 * i32::from(deviation)) } else { None };
    }
    let summer = match status {
        NO_STATUS => None,
        _ if status & SUMMER != 0 => Some(true),
        _ if keeps_standard_time => Some(false),
        _ => None,
    };
    let mut time = civil.in_country(summer, country)?;
    if summer == Some(false) {
        time.offset_source = crate::reading::OffsetSource::Assumed;
    }
    Some(time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::OffsetSource;

    #[track_caller]
    fn check(hexadecimal: &str, country: Option<Country>, standard: bool, expect: Option<(i64, i32)>) {
        let bytes: Vec<u8> = (0..hexadecimal.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hexadecimal[at..at + 2], 16).expect("hexadecimal digits"))
            .collect();
        let found = parse(&bytes, country, standard).map(|time| (time.unix_milliseconds / 1_000, time.offset_seconds));
        assert_eq!(found, expect, "{hexadecimal}");
    }

    #[test]
    fn t7_utc_is_local_time_plus_the_deviation() {
        // 20:23:45 two hours east of Greenwich is 18:23:45 UTC.
        check("07e8060f0614172d00ff8880", None, false, Some((1_718_475_825, 7_200)));
        check("07e8011501141700ffffc400", None, false, Some((1_705_864_980, 3_600)));
        check("07e9060f00101100ff000000", None, false, Some((1_750_004_220, 0)));
    }

    #[test]
    fn t8_kamstrup_keeps_standard_time_all_year() {
        check("07e6071106120000ff800000", Some(Country::No), true, Some((1_658_077_200, 3_600)));
        check("07e6071106120000ff800000", Some(Country::No), false, Some((1_658_073_600, 7_200)));
        check("07e6071106120000ff800000", Some(Country::Fi), true, Some((1_658_073_600, 7_200)));
        check("07e6011106120000ff800000", Some(Country::Fi), false, Some((1_642_435_200, 7_200)));
        check("07e6071106120000ff800080", Some(Country::No), true, Some((1_658_073_600, 7_200)));
    }

    #[test]
    fn an_offset_that_was_not_sent_is_marked_as_assumed() {
        let time = |status| parse(&[7, 230, 7, 17, 6, 18, 0, 0, 255, 128, 0, status], Some(Country::No), true);
        assert_eq!(time(0).map(|time| time.offset_source), Some(OffsetSource::Assumed));
        assert_eq!(time(0x80).map(|time| time.offset_source), Some(OffsetSource::Meter));
    }

    #[test]
    fn t12_nonsense_is_no_time() {
        for text in ["ffffffffffffffffffffffff", "07d00101ff000000ff800000", "07e80d0101000000ff800000", "07e80101"] {
            check(text, None, false, None);
        }
        check("07e8010101000000ff7fff00", None, false, None);
    }
}
