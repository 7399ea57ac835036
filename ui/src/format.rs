//! Exact integers to what people read: three significant digits, the reader's decimal sign, the home's own clock.
//!
//! Integer arithmetic only. Times come as UTC milliseconds and an offset; nothing here knows zones.

use meter_link::units::{Milliamperes, Millilitres, Millivolts, MilliwattHours, Milliwatts};

/// A number and its unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Quantity {
    /// The number with the reader's decimal sign; never with a sign, direction has its own words.
    pub(crate) number: String,
    /// The unit.
    pub(crate) unit: &'static str,
}

impl Quantity {
    /// Number and unit with a space that does not break.
    pub(crate) fn joined(&self) -> String {
        format!("{}\u{a0}{}", self.number, self.unit)
    }
}

/// Power without its sign: `1.24 kW`, `620 W`, `8 W`.
pub(crate) fn power(power: Milliwatts, decimal_sign: char) -> Quantity {
    let watts = (power.count().abs() + 500) / 1_000;
    if watts < 1_000 {
        return Quantity { number: watts.to_string(), unit: "W" };
    }
    Quantity { number: significant(power.count().abs(), 1_000_000, decimal_sign), unit: "kW" }
}

/// Energy: `0.42 kWh`, `4.23 kWh`, `42.3 kWh`, `423 kWh`.
pub(crate) fn energy(energy: MilliwattHours, decimal_sign: char) -> Quantity {
    Quantity { number: significant(energy.count().abs(), 1_000_000, decimal_sign), unit: "kWh" }
}

/// Volume in cubic metres.
pub(crate) fn volume(volume: Millilitres, decimal_sign: char) -> Quantity {
    Quantity { number: significant(volume.count().abs(), 1_000_000, decimal_sign), unit: "m³" }
}

/// Voltage to a volt.
pub(crate) fn voltage(voltage: Millivolts) -> Quantity {
    Quantity { number: ((voltage.count() + 500) / 1_000).to_string(), unit: "V" }
}

/// Current to a tenth.
pub(crate) fn current(current: Milliamperes, decimal_sign: char) -> Quantity {
    let tenths = (current.count().abs() + 50) / 100;
    Quantity { number: format!("{}{decimal_sign}{}", tenths / 10, tenths % 10), unit: "A" }
}

/// Bytes in the unit that suits.
pub(crate) fn bytes(count: u64, decimal_sign: char) -> Quantity {
    let count = i64::try_from(count).unwrap_or(i64::MAX / 1_000);
    match count {
        0..10_000 => Quantity { number: count.to_string(), unit: "B" },
        10_000..1_000_000 => Quantity { number: (count / 1_000).to_string(), unit: "kB" },
        1_000_000..1_000_000_000 => Quantity { number: significant(count, 1_000_000, decimal_sign), unit: "MB" },
        _ => Quantity { number: significant(count, 1_000_000_000, decimal_sign), unit: "GB" },
    }
}

/// A whole number in groups of three, as in every language: `1 234 567` with narrow spaces that do not break.
pub(crate) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() * 2);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// `count / unit` with three significant digits, at most two places.
fn significant(count: i64, unit: i64, decimal_sign: char) -> String {
    let hundredths = (count + unit / 200) / (unit / 100);
    if hundredths < 1_000 {
        return format!("{}{decimal_sign}{:02}", hundredths / 100, hundredths % 100);
    }
    let tenths = (count + unit / 20) / (unit / 10);
    if tenths < 1_000 {
        return format!("{}{decimal_sign}{}", tenths / 10, tenths % 10);
    }
    ((count + unit / 2) / unit).to_string()
}

/// An instant on a local clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Civil {
    /// Year.
    pub(crate) year: i64,
    /// 1 to 12.
    pub(crate) month: i64,
    /// 1 to 31.
    pub(crate) day: i64,
    /// 0 is Monday.
    pub(crate) weekday: i64,
    /// 0 to 23.
    pub(crate) hour: i64,
    /// 0 to 59.
    pub(crate) minute: i64,
    /// 0 to 59.
    pub(crate) second: i64,
}

/// The local clock at an instant, for an offset from UTC.
pub(crate) fn civil(utc_milliseconds: i64, offset_seconds: i32) -> Civil {
    let seconds = utc_milliseconds.div_euclid(1_000) + i64::from(offset_seconds);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Years of the proleptic Gregorian calendar that begin in March, in eras of 400.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    Civil {
        year: era * 400 + year_of_era + i64::from(month <= 2),
        month,
        day: of_year - (153 * from_march + 2) / 5 + 1,
        // 1970-01-01 was a Thursday.
        weekday: (days + 3).rem_euclid(7),
        hour: second / 3_600,
        minute: second / 60 % 60,
        second: second % 60,
    }
}

impl Civil {
    /// `14:02:10`.
    pub(crate) fn clock(&self) -> String {
        format!("{:02}:{:02}:{:02}", self.hour, self.minute, self.second)
    }

    /// `14:02`.
    pub(crate) fn short_clock(&self) -> String {
        format!("{:02}:{:02}", self.hour, self.minute)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(milliwatts: i64, expect: &str) {
        assert_eq!(power(Milliwatts::saturating(milliwatts), '.').joined().replace('\u{a0}', " "), expect);
    }

    #[test]
    fn power_has_three_significant_digits() {
        check(0, "0 W");
        check(8_000, "8 W");
        check(-620_400, "620 W");
        check(999_499, "999 W");
        check(999_500, "1.00 kW");
        check(1_235_000, "1.24 kW");
        check(9_996_000, "10.0 kW");
        check(12_349_000, "12.3 kW");
        check(-123_400_000, "123 kW");
    }

    #[test]
    fn energy_follows_the_readers_decimal_sign() {
        assert_eq!(energy(MilliwattHours::saturating(4_230_000), ',').number, "4,23");
        assert_eq!(energy(MilliwattHours::saturating(423_400_000), ',').number, "423");
        assert_eq!(energy(MilliwattHours::ZERO, ',').number, "0,00");
    }

    #[test]
    fn large_counts_are_grouped() {
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567).replace('\u{202f}', " "), "1 234 567");
    }

    #[test]
    fn the_local_clock_is_right_on_odd_days() {
        let at = |text: &str, utc: i64, offset: i32| {
            let Civil { year, month, day, weekday, .. } = civil(utc, offset);
            assert_eq!(format!("{year}-{month:02}-{day:02} {weekday} {}", civil(utc, offset).clock()), text);
        };
        at("1970-01-01 3 00:00:00", 0, 0);
        at("2028-02-29 1 12:00:00", 1_835_434_800_000, 3_600);
        at("2026-12-31 3 23:59:59", 1_798_757_999_999, 3_600);
        at("1969-12-31 2 23:59:59", -1, 0);
    }
}
