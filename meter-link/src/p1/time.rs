//! Meters' time stamps: `YYMMDDhhmmssX` with X = S (summer) or W (winter), and the forms of meters that leave X out.
//!
//! The letter is the only thing that tells the repeated hour of autumn from the one before it.
//!
//! Source: DSMR P1 Companion Standard 5.0.2, section 6.4.

use crate::civil::Civil;
use crate::country::Country;
use crate::reading::MeterTime;

/// Reads a stamp. `None` if it makes no sense.
pub fn parse(text: &[u8], country: Option<Country>) -> Option<MeterTime> {
    let (fields, mark) = digits(text)?;
    let [year, month, day, hour, minute, second] = fields;
    let summer = match mark {
        Some(b'S') => Some(true),
        Some(b'W') => Some(false),
        _ => None,
    };
    Civil { year, month, day, hour, minute, second }.in_country(summer, country)
}

/// Year, month, day, hour, minute, second, and the mark after them.
fn digits(text: &[u8]) -> Option<([i64; 6], Option<u8>)> {
    let (text, mark) = match text.split_last()? {
        (mark @ (b'S' | b'W'), rest) => (rest, Some(*mark)),
        _ => (text, None),
    };
    let mut plain = [0_u8; 14];
    let (mut count, mut spaced) = (0, false);
    for &byte in text {
        match byte {
            b'0'..=b'9' if count < 14 => {
                plain[count] = byte - b'0';
                count += 1;
            }
            // `20240111 09:35:00`
            b' ' | b':' if count >= 8 => spaced = true,
            _ => return None,
        }
    }
    let pair = |index: usize| i64::from(plain[index]) * 10 + i64::from(plain[index + 1]);
    let year = match count {
        12 if !spaced => 2_000 + pair(0),
        14 => pair(0) * 100 + pair(2),
        _ => return None,
    };
    let rest = count - 10;
    Some(([year, pair(rest), pair(rest + 2), pair(rest + 4), pair(rest + 6), pair(rest + 8)], mark))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::OffsetSource;

    #[track_caller]
    fn check(text: &str, country: Option<Country>, expect: Option<(i64, i32)>) {
        let found = parse(text.as_bytes(), country).map(|time| (time.unix_milliseconds / 1_000, time.offset_seconds));
        assert_eq!(found, expect, "{text}");
    }

    #[test]
    fn t11_the_letter_tells_the_repeated_hour() {
        check("261025023000S", Some(Country::Nl), Some((1_792_888_200, 7_200)));
        check("261025023000W", Some(Country::Nl), Some((1_792_891_800, 3_600)));
        check("261025033000S", Some(Country::Fi), Some((1_792_888_200, 10_800)));
    }

    #[test]
    fn t16_forms_without_a_letter_follow_the_calendar() {
        check("20240111 09:35:00", None, Some((1_704_962_100, 3_600)));
        check("120517020000", None, Some((1_337_212_800, 7_200)));
        check("240301120000", None, Some((1_709_290_800, 3_600)));
        let time = parse(b"240701120000", None).expect("a July noon");
        assert_eq!((time.offset_seconds, time.offset_source), (7_200, OffsetSource::Assumed));
    }

    #[test]
    fn t9_t10_the_offset_is_applied_once_and_gives_the_sent_time_back() {
        for (text, country) in
            [("261023201540S", Country::Nl), ("260123201540W", Country::Fi), ("260723201540", Country::Lt)]
        {
            let time = parse(text.as_bytes(), Some(country)).expect("a stamp");
            let local = time.unix_milliseconds / 1_000 + i64::from(time.offset_seconds);
            assert_eq!(local.rem_euclid(86_400), 20 * 3_600 + 15 * 60 + 40, "{text}");
        }
    }

    #[test]
    fn t12_t13_nonsense_is_no_time() {
        for text in [
            "632525252525W",
            "681027000000W",
            "700101000000S",
            "000101000000W",
            "250000000000W",
            "250229120000W",
            "",
            "W",
            "25010112000",
            "2501011200000W",
            "250101240000W",
            "notatimestamp",
            "25010112:0000W",
        ] {
            check(text, Some(Country::Nl), None);
        }
    }
}
