//! The meaning of an SML file: quantities, units, direction, time, and whether the meter waits for its PIN.
//!
//! Never fails: what is not understood is listed, one bad entry loses nothing else. Values are exact. The direction of a
//! power without a sign comes from the meter's status word, or from the registers it has; never from nowhere. A counter
//! of running seconds is no time.

use super::message::{Entry, Item, Raw, Time, Value, walk};
use super::quirks;
use super::transport::Frame;
use crate::civil;
use crate::country::Country;
use crate::decimal::Decimal;
use crate::error::DecodeError;
use crate::meaning::{cosem_unit, is_plausible};
use crate::obis::Obis;
use crate::reading::{Equipment, Flow, Measured, MeterTime, NotUnderstood, Phase, Quantity, Reading, Trust, Unit};

/// Entries that are kept when they are not understood: more than any meter sends.
const MAX_KEPT: usize = 64;
/// Letters of a maker's name that are kept: twice the longest known.
const MAX_MAKER: usize = 16;
/// A meter that waits for its PIN counts in whole kilowatt-hours: ten to the power of this, in watt-hours.
const WHOLE_KILOWATT_HOURS: i8 = 3;

/// What one entry says.
enum Said<'a> {
    Equipment(&'a [u8]),
    Maker(&'a [u8]),
    /// Nothing about energy: a key, a version.
    Nothing,
    NotUnderstood,
    Value(Measured),
}

/// What a file says beside its values.
#[derive(Default)]
struct Seen<'a> {
    server: &'a [u8],
    equipment: Option<&'a [u8]>,
    maker: Option<&'a [u8]>,
    /// Direction, by the first status word that says one.
    flow: Option<Flow>,
    /// 16.7.0 came as a number that cannot be negative.
    is_unsigned: bool,
    /// A register came with less than kilowatt-hours.
    is_exact: bool,
    opened: Option<MeterTime>,
    is_list: bool,
    /// A bit for each code that may have come: most are told apart without a look at the values.
    marks: u64,
}

/// Gives a file its meaning, in the memory of an earlier reading. Whether a list of values survived; if none did, the
/// reading says nothing. What was lost goes to `lost`, in the order sent.
pub fn interpret(frame: &Frame<'_>, reading: &mut Reading, mut lost: impl FnMut(DecodeError)) -> bool {
    let mut equipment = clear(reading);
    let mut seen = Seen::default();
    walk(frame, |item| match item {
        Item::Dropped(error) => lost(error),
        Item::Entry(entry, raw) => take(reading, &mut seen, &entry, raw),
        Item::List(list) => {
            (seen.is_list, seen.server) = (true, list.server);
            reading.meter_time = reading.meter_time.or_else(|| instant(list.time?));
        }
        Item::Opened(time) => seen.opened = time.and_then(instant),
        Item::Unclear(raw) => keep(reading, None, raw),
    });
    reading.meter_time = reading.meter_time.or(seen.opened);
    let id = seen.equipment.unwrap_or(seen.server);
    if !id.is_empty() {
        push_hexadecimal(&mut equipment, id);
        reading.equipment = Some(Equipment(equipment));
    }
    push_word(&mut reading.identification, seen.maker.or_else(|| maker(seen.server)).unwrap_or_default());
    direct(&mut reading.values, &seen);
    let is_register = |value: &Measured| matches!(value.quantity, Quantity::ActiveEnergy(..));
    reading.reduced = !seen.is_exact && !reading.values.is_empty() && reading.values.iter().all(is_register);
    seen.is_list
}

/// A reading that says nothing, but keeps its memory; gives that of the identifier.
fn clear(reading: &mut Reading) -> String {
    let Reading { identification, equipment, values, not_understood, .. } = reading;
    identification.clear();
    values.clear();
    not_understood.clear();
    let mut memory = equipment.take().map(|equipment| equipment.0).unwrap_or_default();
    memory.clear();
    (reading.protocol, reading.country, reading.trust) = ("sml", Some(Country::De), Trust::Checked);
    (reading.meter_time, reading.counter) = (None, None);
    memory
}

/// Takes one entry into a reading.
fn take<'a>(reading: &mut Reading, seen: &mut Seen<'a>, entry: &Entry<'a>, raw: Raw<'a>) {
    seen.flow = seen.flow.or_else(|| quirks::flow(entry.status?.value));
    // A repeated code is another list's.
    let Obis { c, d, e, f, .. } = entry.obis;
    let mark = 1_u64 << ((c.wrapping_mul(31) ^ d.wrapping_mul(7) ^ e ^ f) % 64);
    let is_repeated = seen.marks & mark != 0 && reading.values.iter().any(|value| value.obis == entry.obis);
    seen.marks |= mark;
    let mended = mend(seen, entry);
    match if is_repeated { Said::NotUnderstood } else { read_entry(entry, mended) } {
        Said::Equipment(id) => _ = seen.equipment.get_or_insert(id),
        Said::Maker(name) => _ = seen.maker.get_or_insert(name),
        Said::Nothing => (),
        Said::NotUnderstood => keep(reading, Some(entry.obis), raw),
        Said::Value(value) => {
            if matches!(value.quantity, Quantity::ActiveEnergy(..)) {
                seen.is_exact |= entry.scaler.unwrap_or(0) < WHOLE_KILOWATT_HOURS;
            }
            seen.is_unsigned |= entry.obis == NET_POWER && matches!(entry.value, Value::Unsigned(_));
            // What was sent stays beside what it means.
            if mended != entry.value {
                keep(reading, Some(entry.obis), raw);
            }
            reading.meter_time = reading.meter_time.or_else(|| instant(entry.time?));
            reading.values.push(value);
        }
    }
}

const NET_POWER: Obis = Obis::new(1, 0, 16, 7, 0);

/// The value that the meter means.
fn mend<'a>(seen: &Seen<'a>, entry: &Entry<'a>) -> Value<'a> {
    if entry.obis == NET_POWER { quirks::power(seen.server, seen.flow, entry.value) } else { entry.value }
}

/// Gives one entry its meaning, without allocating.
fn read_entry<'a>(entry: &Entry<'a>, value: Value<'a>) -> Said<'a> {
    let number = match value {
        Value::Bytes(bytes) => return read_bytes(entry.obis, bytes),
        Value::Signed(number) => Some(number.value),
        Value::Unsigned(number) => i64::try_from(number.value).ok(),
        Value::Absent | Value::Bool(_) | Value::Compound(_) => None,
    };
    number.and_then(|number| measure(entry, number)).map_or(Said::NotUnderstood, Said::Value)
}

fn read_bytes(obis: Obis, bytes: &[u8]) -> Said<'_> {
    match (obis.a, obis.b, obis.c, obis.d, obis.e) {
        // 96.1.0 and 0.0.9 of modern meters, 0.0.0 and 96.1.255 of old ones.
        (1, 0, 96, 1, 0) | (1, 0, 0, 0, 0 | 9) | (0, 0, 96, 1, 0 | 255) => Said::Equipment(bytes),
        (129, 129, 199, 130, 3) | (1, 0, 96, 50, 1) => Said::Maker(bytes),
        // The public key of the signature; versions of software and parameters.
        (129, 129, 199, 130, 5) | (1, 0, 0, 2, 0) | (1, 0, 96, 90, 2) => Said::Nothing,
        _ => Said::NotUnderstood,
    }
}

/// A number with its meaning, if it has one and a meter can have measured it.
fn measure(entry: &Entry<'_>, number: i64) -> Option<Measured> {
    // Codes of past billing periods (F below 255) are no current value.
    if !matches!(entry.obis, Obis { a: 1, b: 0, f: 255, .. }) || number.unsigned_abs() >= 10_u64.pow(18) {
        return None;
    }
    let (unit, exponent) = match entry.unit {
        Some(code @ 1..) => cosem_unit(code)?,
        Some(0) | None => (Unit::One, 0),
    };
    let quantity = match quirks::quantity(entry.obis)? {
        // One that goes below zero counts both directions, whatever its code says.
        Quantity::ActivePower(Flow::Import, phase) if number < 0 => Quantity::ActivePower(Flow::Net, phase),
        quantity => quantity,
    };
    let as_sent = Decimal::whole(number);
    let value = as_sent.scaled(entry.scaler.unwrap_or(0))?.scaled(exponent)?;
    is_plausible(quantity, as_sent, unit).then_some(Measured {
        obis: entry.obis,
        channel: 0,
        quantity,
        value,
        unit,
        meter_time: None,
    })
}

/// Gives powers without a sign their direction.
fn direct(values: &mut [Measured], seen: &Seen<'_>) {
    let has = |of| values.iter().any(|value| matches!(value.quantity, Quantity::ActiveEnergy(flow, _) if flow == of));
    // The status word goes first: a meter that counts export alone still sees what its inverter draws at night.
    let flow = seen.flow.or(match (has(Flow::Import), has(Flow::Export)) {
        (false, true) => Some(Flow::Export),
        (true, false) => Some(Flow::Import),
        _ => None,
    });
    let Some(flow) = flow else { return };
    for value in values.iter_mut().filter(|value| value.unit == Unit::Watt) {
        let is_total = match (value.obis.c, value.obis.d) {
            (1 | 15, 7) => true,
            (16, 7) => seen.is_unsigned,
            _ => false,
        };
        if is_total {
            let flow = if value.value.mantissa < 0 { Flow::Net } else { flow };
            value.quantity = Quantity::ActivePower(flow, Phase::Total);
        }
    }
}

fn keep(reading: &mut Reading, obis: Option<Obis>, raw: Raw<'_>) {
    if reading.not_understood.len() < MAX_KEPT {
        let mut text = String::new();
        push_hexadecimal(&mut text, raw.0);
        reading.not_understood.push(NotUnderstood { obis, text });
    }
}

/// The maker's letters in an identifier of DIN 43863-5.
fn maker(server: &[u8]) -> Option<&[u8]> {
    match server {
        [9 | 10, 1, letters @ ..] if letters.len() == 8 => letters.get(..3),
        [6, letters @ ..] if letters.len() == 9 => letters.get(..3),
        _ => None,
    }
    .filter(|letters| letters.iter().all(u8::is_ascii_uppercase))
}

/// Appends a maker's name; nothing if it is no word.
fn push_word(text: &mut String, name: &[u8]) {
    if name.len() <= MAX_MAKER && name.iter().all(u8::is_ascii_alphabetic) {
        text.extend(name.iter().copied().map(char::from));
    }
}

fn push_hexadecimal(text: &mut String, bytes: &[u8]) {
    const DIGITS: [u8; 16] = *b"0123456789ABCDEF";
    for part in bytes.chunks(32) {
        let mut digits = [[0; 2]; 32];
        for (pair, byte) in digits.iter_mut().zip(part) {
            *pair = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 0x0F)]];
        }
        text.push_str(str::from_utf8(digits[..part.len()].as_flattened()).unwrap_or_default());
    }
}

/// The instant of a time that is one.
fn instant(time: Time) -> Option<MeterTime> {
    match time {
        Time::Index(_) => None,
        Time::Local(stamp, place, summer) => {
            civil::at_unix(i64::from(stamp), Some((i32::from(place) + i32::from(summer)) * 60), Country::De)
        }
        Time::Stamp(stamp) => civil::at_unix(i64::from(stamp), None, Country::De),
    }
}
