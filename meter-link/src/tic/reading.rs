//! The meaning of a TIC frame: quantities, units, the meter's clock and number.
//!
//! One bad group loses only itself. Apparent power stays in VA: TIC sends no active power, and none is made up. What a mode
//! does not send (injection in historique) is absent, never zero.
//!
//! A horodate's letter tells winter (H) from summer (E), in lower case where the meter's clock has been without power. It is
//! read as French mainland time; the meters of overseas departments send their own.

use super::group::{Group, groups};
use super::labels::{Meaning, meaning, running};
use crate::civil::Civil;
use crate::country::Country;
use crate::decimal::Decimal;
use crate::error::DecodeError;
use crate::meaning::{electricity, is_plausible};
use crate::obis::Obis;
use crate::reading::{Equipment, Measured, MeterTime, NotUnderstood, Quantity, Reading, Trust, Unit};

/// Groups that are kept when they are not understood: more than any frame has.
const MAX_KEPT: usize = 64;

/// The code under which other meters send their running rate.
const RATE: Obis = Obis::new(0, 0, 96, 14, 0);

/// Gives a frame its meaning; what is wrong with single groups goes to `report`. `None` if no group was good.
pub fn interpret(frame: &[u8], mut report: impl FnMut(DecodeError)) -> Option<Reading> {
    let mut reading = Reading::new("tic", Trust::Checked);
    reading.country = Some(Country::Fr);
    reading.values.reserve(32);
    let mut good = 0_usize;
    for group in groups(frame) {
        match group {
            Ok(group) => {
                good += 1;
                if !note(&mut reading, &group) && reading.not_understood.len() < MAX_KEPT {
                    reading.not_understood.push(NotUnderstood { obis: None, text: text(&group) });
                }
            }
            // Where one group was damaged, another may have been damaged unseen: six bits of checksum miss one in 64.
            Err(error) => {
                reading.trust = Trust::Unverified;
                report(error);
            }
        }
    }
    (good > 0).then_some(reading)
}

/// Notes what a group says; `false` if it is not understood.
fn note(reading: &mut Reading, group: &Group<'_>) -> bool {
    let Some((meaning, length)) = meaning(group.label) else { return false };
    if group.value.len() != length {
        return false;
    }
    let measured = match meaning {
        Meaning::Known => return true,
        Meaning::Equipment => {
            reading.equipment.get_or_insert_with(|| Equipment(group.value.escape_ascii().to_string()));
            return true;
        }
        Meaning::Time => {
            let time = group.horodate.and_then(horodate);
            let is_new = reading.meter_time.is_none() && time.is_some();
            reading.meter_time = reading.meter_time.or(time);
            return is_new;
        }
        Meaning::Number(obis, unit) => number(obis, group.value, unit),
        Meaning::Rate => number(RATE, group.value, Unit::One),
        Meaning::RateByName => running(group.value).map(|rate| measured(RATE, Quantity::Rate, rate.into(), Unit::One)),
    };
    match measured {
        // A code that repeats is another frame's that ran into this one.
        Some(measured) if reading.values.iter().all(|value| value.obis != measured.obis) => {
            reading.values.push(measured);
            true
        }
        _ => false,
    }
}

/// A number of digits alone.
fn number(obis: Obis, text: &[u8], unit: Unit) -> Option<Measured> {
    let quantity = if obis == RATE { Quantity::Rate } else { electricity(obis)? };
    let value = Decimal::parse(text).filter(|_| text.iter().all(u8::is_ascii_digit))?;
    is_plausible(quantity, value, unit).then(|| measured(obis, quantity, value.mantissa, unit))
}

const fn measured(obis: Obis, quantity: Quantity, count: i64, unit: Unit) -> Measured {
    Measured { obis, channel: 0, quantity, value: Decimal::whole(count), unit, meter_time: None }
}

/// Season letter and `YYMMDDhhmmss`. `None` if it makes no sense.
fn horodate(text: &[u8]) -> Option<MeterTime> {
    let (season, digits) = text.split_first()?;
    let summer = match season {
        b'E' | b'e' => Some(true),
        b'H' | b'h' => Some(false),
        b' ' => None,
        _ => return None,
    };
    if digits.len() != 12 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let pair = |index: usize| i64::from(digits[index] - b'0') * 10 + i64::from(digits[index + 1] - b'0');
    Civil { year: 2_000 + pair(0), month: pair(2), day: pair(4), hour: pair(6), minute: pair(8), second: pair(10) }
        .in_country(summer, Some(Country::Fr))
}

/// A group as it was sent, without its checksum, and without a number that tells the household.
fn text(group: &Group<'_>) -> String {
    if matches!(group.label, b"ADCO" | b"ADSC" | b"PRM") {
        return group.label.escape_ascii().to_string();
    }
    let parts = [Some(group.label), group.horodate, Some(group.value)];
    parts.into_iter().flatten().map(|part| part.escape_ascii().to_string()).collect::<Vec<_>>().join(" ")
}
