//! The meaning of a D0 telegram: quantities, units, the meter's clock and number.
//!
//! Never fails: what is not understood is listed. A value of a past period (`1.8.0*01`) keeps its exact number under its full
//! code and is never the register itself. Energy without a unit is in kWh or kvarh, as the meters that leave it out mean it.
//! Meters that put a sign on their one power send import minus export under the code of import; it is named as what it is.

use super::telegram::{Line, Object, lines};
use crate::civil::Civil;
use crate::country::Country;
use crate::decimal::Decimal;
use crate::meaning::{electricity, is_plausible};
use crate::obis::Obis;
use crate::p1::reading::{identification, unit_of};
use crate::p1::time;
use crate::reading::{Equipment, Flow, Measured, MeterTime, NotUnderstood, Phase, Quantity, Reading, Trust};

/// Lines that are kept when they are not understood: more than any telegram has.
const MAX_KEPT: usize = 64;

/// Makers whose meters with an optical port hang in Germany only.
const GERMAN: [&[u8]; 6] = [b"DZG", b"EBZ", b"EMH", b"ESY", b"HAG", b"LOG"];

/// What an object is.
enum Meaning {
    Date,
    Equipment,
    Known,
    Number(Quantity),
    Stamp,
    Time,
}

/// The meter's clock as it comes, in one object or two.
#[derive(Default)]
struct Clock {
    date: Option<([i64; 3], Option<Season>)>,
    time: Option<([i64; 3], Option<Season>)>,
    whole: Option<MeterTime>,
}

/// The digit before a date or a time.
#[derive(Clone, Copy)]
enum Season {
    Summer,
    Utc,
    Winter,
}

/// Gives a telegram its meaning.
pub fn interpret(first: &[u8], body: &[u8], trust: Trust) -> Reading {
    let mut reading = Reading::new("d0", trust);
    // Logarex writes its type as six digits, which elsewhere are a serial number.
    let is_logarex = first.starts_with(b"LOG");
    reading.identification =
        if is_logarex { first.trim_ascii().escape_ascii().to_string() } else { identification(first) };
    reading.country = GERMAN.iter().any(|maker| first.starts_with(maker)).then_some(Country::De);
    let mut clock = Clock::default();
    let mut signed = first.starts_with(b"ESY") || first.starts_with(b"HAG");
    for line in lines(body) {
        let (obis, text) = match line {
            Line::Object(object) => {
                signed |= is_one_power(object.obis)
                    && object.values().next().is_some_and(|value| matches!(value.first(), Some(b'+' | b'-')));
                if note(&mut reading, &mut clock, &object) {
                    continue;
                }
                (Some(object.obis), object.text)
            }
            Line::Unclear(text) => (None, text),
        };
        keep(&mut reading, obis, text.escape_ascii().to_string());
    }
    reading.meter_time = clock.whole.or_else(|| clock.join(reading.country));
    if signed && !reading.values.iter().any(|value| matches!(value.quantity, Quantity::ActivePower(Flow::Export, _))) {
        name_net(&mut reading);
    }
    reading
}

fn keep(reading: &mut Reading, obis: Option<Obis>, text: String) {
    if reading.not_understood.len() < MAX_KEPT {
        reading.not_understood.push(NotUnderstood { obis, text });
    }
}

/// Notes what an object says; `false` if it is not understood.
fn note(reading: &mut Reading, clock: &mut Clock, object: &Object<'_>) -> bool {
    let Some(first) = object.values().next().map(<[u8]>::trim_ascii) else { return false };
    let country = reading.country;
    match meaning(object.obis) {
        None => false,
        Some(Meaning::Known) => true,
        Some(Meaning::Equipment) => {
            if !first.is_empty() {
                reading.equipment.get_or_insert_with(|| Equipment(first.escape_ascii().to_string()));
            }
            true
        }
        Some(Meaning::Date) => set(&mut clock.date, triple(first)),
        Some(Meaning::Time) => set(&mut clock.time, triple(first)),
        Some(Meaning::Stamp) => set(&mut clock.whole, stamp(first, country).or_else(|| time::parse(first, country))),
        // A past period that had none.
        Some(Meaning::Number(Quantity::ByCode)) if first.is_empty() => true,
        Some(Meaning::Number(quantity)) => {
            // A peak's instant follows it.
            let at = object.values().nth(1).and_then(|text| stamp(text.trim_ascii(), country));
            match measure(object.obis, quantity, first, at) {
                // A repeated code is another telegram's that ran into this one.
                Some(value) if reading.values.iter().all(|other| other.obis != value.obis) => {
                    reading.values.push(value);
                    true
                }
                _ => false,
            }
        }
    }
}

/// Sets what is not set yet; whether it did.
fn set<T>(place: &mut Option<T>, value: Option<T>) -> bool {
    let is_new = place.is_none() && value.is_some();
    if is_new {
        *place = value;
    }
    is_new
}

/// What a code means. `None`: not known; the object is kept as it is.
fn meaning(obis: Obis) -> Option<Meaning> {
    // EasyMeter writes 255 for "all rates" of an instantaneous value.
    let e = if obis.d == 7 && obis.e == 255 { 0 } else { obis.e };
    let current = Obis { e, f: 255, ..obis };
    let number = match (obis.a, obis.c, obis.d, e) {
        (1, 1, 6, 0) => Some(Quantity::DemandPeak(Flow::Import)),
        (1, 2, 6, 0) => Some(Quantity::DemandPeak(Flow::Export)),
        (1, 1..=10, 2 | 6, _) => Some(Quantity::ByCode),
        (1, ..) => electricity(current),
        (0, 96, 7, _) => Some(Quantity::Count),
        _ => None,
    };
    Some(match (number, obis.a, obis.c, obis.d, e) {
        (Some(_), ..) if obis.f != 255 => Meaning::Number(Quantity::ByCode),
        (Some(quantity), ..) => Meaning::Number(quantity),
        (None, 1, 0, 0, _) | (None, 0 | 1, 96, 1, _) => Meaning::Equipment,
        (None, 1, 0, 9, 1) if obis.f == 255 => Meaning::Time,
        (None, 1, 0, 9, 2) if obis.f == 255 => Meaning::Date,
        (None, 1, 0, 9, 4) | (None, 0, 1, 0, 0) if obis.f == 255 => Meaning::Stamp,
        // Constants, versions, resets; angles; tamper counters; status, errors.
        (None, 1, 0, ..) | (None, 1, 81, 7, _) | (None, 1, 82, 8, _) | (None, 0 | 1, 96..=99, ..) => Meaning::Known,
        _ => return None,
    })
}

/// One number with its unit. `None` if it is no number, a sentinel, or its unit does not fit.
fn measure(obis: Obis, quantity: Quantity, text: &[u8], meter_time: Option<MeterTime>) -> Option<Measured> {
    let (number, rest) = Decimal::parse_start(text.strip_prefix(b"+").unwrap_or(text))?;
    let symbol = match rest.strip_prefix(b"*").unwrap_or(rest).trim_ascii() {
        b"" if (obis.a, obis.d) == (1, 8) && matches!(obis.c, 3..=8) => b"kvarh",
        b"" if (obis.a, obis.d) == (1, 8) => &b"kWh"[..],
        symbol => symbol,
    };
    let (unit, exponent) = unit_of(symbol)?;
    let value = number.scaled(exponent)?;
    is_plausible(quantity, number, unit).then_some(Measured { obis, channel: 0, quantity, value, unit, meter_time })
}

/// Whether a code is the import of power, in which some meters send the difference of both directions.
const fn is_one_power(obis: Obis) -> bool {
    matches!((obis.a, obis.c, obis.d), (1, 1 | 21 | 41 | 61, 7))
}

/// Names a signed power what it is. Phases without a sign beside a negative total (eBZ) cannot all be right: they are kept
/// as sent, for nobody can tell which of them flows out.
fn name_net(reading: &mut Reading) {
    for value in &mut reading.values {
        if let Quantity::ActivePower(Flow::Import, phase) = value.quantity {
            value.quantity = Quantity::ActivePower(Flow::Net, phase);
        }
    }
    let is_phase =
        |value: &Measured| matches!(value.quantity, Quantity::ActivePower(Flow::Net, phase) if phase != Phase::Total);
    let total = Quantity::ActivePower(Flow::Net, Phase::Total);
    let exports = reading.values.iter().any(|value| value.quantity == total && value.value.mantissa < 0);
    let mut phases = reading.values.iter().filter(|value| is_phase(value));
    if exports && phases.clone().any(is_phase) && phases.all(|value| value.value.mantissa >= 0) {
        let unclear: Vec<Measured> = reading.values.iter().copied().filter(is_phase).collect();
        reading.values.retain(|value| !is_phase(value));
        for value in unclear {
            keep(reading, Some(value.obis), format!("{}({}*{})", value.obis, value.value, value.unit.symbol()));
        }
    }
}

impl Clock {
    /// Date and time of one telegram.
    fn join(&self, country: Option<Country>) -> Option<MeterTime> {
        let (([year, month, day], of_date), ([hour, minute, second], of_time)) = (self.date?, self.time?);
        Civil { year: 2_000 + year, month, day, hour, minute, second }.in_season(of_date.or(of_time), country)
    }
}

impl Civil {
    /// The instant, with what the meter says of the season.
    fn in_season(self, season: Option<Season>, country: Option<Country>) -> Option<MeterTime> {
        match season {
            Some(Season::Utc) => self.at_offset(0),
            Some(Season::Summer) => self.in_country(Some(true), country),
            Some(Season::Winter) => self.in_country(Some(false), country),
            None => self.in_country(None, country),
        }
    }
}

/// Pairs of digits with or without `:`, `-`, `.` between, and the season's digit where one stands before them.
fn pairs(text: &[u8]) -> Option<([i64; 6], usize, Option<Season>)> {
    let mut digits = [0_u8; 13];
    let mut count = 0;
    for byte in text {
        match byte {
            b'0'..=b'9' => {
                *digits.get_mut(count)? = byte - b'0';
                count += 1;
            }
            b':' | b'-' | b'.' | b' ' | b',' => (),
            _ => return None,
        }
    }
    let season = match (count % 2, digits[0]) {
        (0, _) => None,
        (_, 0) => Some(Season::Winter),
        (_, 1) => Some(Season::Summer),
        (_, 2) => Some(Season::Utc),
        _ => return None,
    };
    let mut numbers = [0; 6];
    for (number, pair) in numbers.iter_mut().zip(digits[count % 2..count].chunks_exact(2)) {
        *number = i64::from(pair[0]) * 10 + i64::from(pair[1]);
    }
    Some((numbers, count / 2, season))
}

/// A date or a time alone.
fn triple(text: &[u8]) -> Option<([i64; 3], Option<Season>)> {
    match pairs(text)? {
        ([one, two, three, ..], 3, season) => Some(([one, two, three], season)),
        _ => None,
    }
}

/// `YYMMDDhhmm` with or without seconds.
fn stamp(text: &[u8], country: Option<Country>) -> Option<MeterTime> {
    let ([year, month, day, hour, minute, second], 5 | 6, season) = pairs(text)? else { return None };
    Civil { year: 2_000 + year, month, day, hour, minute, second }.in_season(season, country)
}
