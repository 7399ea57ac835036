//! The meaning of a P1 telegram: quantities, units, times, child meters, country.
//!
//! Never fails: what is not understood is listed, one bad line or one bad child loses nothing else. Values are exact; a
//! sentinel (all bits set where a meter has no value) is no value. Rates stay numbers; the country profile names them.

use super::objects::{Meaning, meaning};
use super::telegram::{Line, Object, Telegram};
use super::time;
use crate::country::Country;
use crate::decimal::Decimal;
use crate::obis::Obis;
use crate::reading::{
    Child, Equipment, Flow, Measured, Medium, MeterTime, NotUnderstood, Quantity, Reading, Trust, Unit,
};

/// Lines that are kept when they are not understood: more than any telegram has.
const MAX_KEPT: usize = 64;

/// What meters send as a register when they have none: all bits of 24, 31, 32 or 48 set, and one less, which some use for
/// "not yet". As a mantissa, so wherever the point stands (16777.215).
const SENTINELS: [i64; 9] = [
    0x00FF_FFFF,
    0x00FF_FFFE,
    0x7FFF_FFFF,
    0x7FFF_FFFE,
    0xFFFF_FFFF,
    0xFFFF_FFFE,
    0xFFFF_FFFD,
    0xFFFF_FFFF_FFFF,
    0xFFFF_FFFF_FFFE,
];

/// Gives a telegram its meaning.
pub fn interpret(telegram: &Telegram<'_>, trust: Trust) -> Reading {
    let country = country(telegram);
    let mut reading = Reading {
        protocol: "p1",
        identification: identification(telegram.identification),
        equipment: None,
        country,
        meter_time: None,
        trust,
        values: Vec::with_capacity(32),
        children: Vec::new(),
        not_understood: Vec::new(),
    };
    for line in telegram.lines() {
        let (obis, text) = match line {
            Line::Object(object) => match understand(&mut reading, &object) {
                true => continue,
                false => (Some(object.obis), object.text),
            },
            Line::Unclear(text) => (None, text),
        };
        if reading.not_understood.len() < MAX_KEPT {
            reading.not_understood.push(NotUnderstood { obis, text: text.escape_ascii().to_string() });
        }
    }
    name_children(&mut reading);
    reading
}

/// Adds one object to the reading. False if it makes no sense.
fn understand(reading: &mut Reading, object: &Object<'_>) -> bool {
    let obis = object.obis;
    let mut values = object.values();
    let Some(first) = values.next() else { return false };
    let last = values.last().unwrap_or(first);
    let country = reading.country;
    match meaning(obis) {
        None => false,
        Some(Meaning::Known) => true,
        Some(Meaning::Time) => {
            reading.meter_time = time::parse(first, country);
            reading.meter_time.is_some()
        }
        Some(Meaning::Equipment) => {
            equipment(reading, obis, first);
            true
        }
        Some(Meaning::ChildType) => match Decimal::parse(first) {
            Some(Decimal { mantissa, places: 0 }) if obis.b > 0 => {
                child(reading, obis.b).medium = medium(mantissa);
                true
            }
            // An empty channel.
            _ => first.is_empty(),
        },
        // Thresholds can have one for each direction.
        Some(Meaning::Quantity(Quantity::ByCode)) => {
            object.values().fold(true, |all, value| push(reading, obis, Quantity::ByCode, value, None, None) && all)
        }
        Some(Meaning::Quantity(quantity)) => push(reading, obis, quantity, first, None, None),
        Some(Meaning::DemandPeak) => {
            let flow = if obis.c == 1 { Flow::Import } else { Flow::Export };
            push(reading, obis, Quantity::DemandPeak(flow), last, None, time::parse(first, country))
        }
        Some(Meaning::ChildRegister) => {
            // A stamp that makes no sense loses only itself.
            push(reading, obis, Quantity::Volume, last, None, time::parse(first, country))
        }
        Some(Meaning::ChildRegisterOld) => {
            let mut values = object.values().skip(4);
            let (code, unit) = (values.next().and_then(Obis::parse), values.next());
            code.is_some_and(|code| push(reading, code, Quantity::Volume, last, unit, time::parse(first, country)))
        }
    }
}

/// Adds one value. False if it is no number or its unit does not fit.
fn push(
    reading: &mut Reading,
    obis: Obis,
    quantity: Quantity,
    text: &[u8],
    unit: Option<&[u8]>,
    meter_time: Option<MeterTime>,
) -> bool {
    // `001247.747*kWh`, on some meters without the star.
    let end = text.iter().position(|byte| !matches!(byte, b'0'..=b'9' | b'.' | b'-')).unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    let symbol = unit.unwrap_or(rest.strip_prefix(b"*").unwrap_or(rest));
    let (Some(number), Some((unit, exponent))) = (Decimal::parse(number), unit_of(symbol)) else { return false };
    let quantity = match (quantity, unit) {
        (Quantity::Volume, Unit::Joule) => Quantity::Heat,
        (Quantity::Volume, Unit::WattHour) | (Quantity::Volume, Unit::CubicMetre) => quantity,
        (Quantity::Volume, _) => return false,
        _ if !fits(quantity, unit) => return false,
        _ => quantity,
    };
    let is_register = matches!(
        quantity,
        Quantity::ActiveEnergy(..) | Quantity::ReactiveEnergy(..) | Quantity::Volume | Quantity::Heat
    );
    if is_register && (SENTINELS.contains(&number.mantissa) || number.mantissa < 0) {
        return false;
    }
    let Some(value) = number.scaled(exponent) else { return false };
    let channel = if obis.a == 0 && obis.c == 24 { obis.b } else { 0 };
    if channel > 0 {
        child(reading, channel);
    }
    reading.values.push(Measured { obis, channel, quantity, value, unit, meter_time });
    true
}

/// Whether a unit can belong to a quantity.
const fn fits(quantity: Quantity, unit: Unit) -> bool {
    match quantity {
        Quantity::ActiveEnergy(..) => matches!(unit, Unit::WattHour),
        Quantity::ActivePower(..) | Quantity::Demand(_) | Quantity::DemandPeak(_) => matches!(unit, Unit::Watt),
        Quantity::ApparentPower(..) => matches!(unit, Unit::VoltAmpere),
        Quantity::ReactiveEnergy(..) => matches!(unit, Unit::VarHour),
        Quantity::ReactivePower(..) => matches!(unit, Unit::Var),
        Quantity::Current(_) => matches!(unit, Unit::Ampere),
        Quantity::Voltage(_) => matches!(unit, Unit::Volt),
        Quantity::Frequency => matches!(unit, Unit::Hertz),
        Quantity::Rate | Quantity::Count | Quantity::PowerFactor(_) => matches!(unit, Unit::One),
        Quantity::ByCode | Quantity::Heat | Quantity::Volume => true,
    }
}

/// A unit and its power of ten. Meters disagree about capitals.
fn unit_of(symbol: &[u8]) -> Option<(Unit, i8)> {
    let table: [(&[u8], Unit, i8); 24] = [
        (b"", Unit::One, 0),
        (b"kW", Unit::Watt, 3),
        (b"kWh", Unit::WattHour, 3),
        (b"V", Unit::Volt, 0),
        (b"A", Unit::Ampere, 0),
        (b"m3", Unit::CubicMetre, 0),
        (b"kvar", Unit::Var, 3),
        (b"kvarh", Unit::VarHour, 3),
        (b"W", Unit::Watt, 0),
        (b"Wh", Unit::WattHour, 0),
        (b"var", Unit::Var, 0),
        (b"varh", Unit::VarHour, 0),
        (b"GJ", Unit::Joule, 9),
        (b"MJ", Unit::Joule, 6),
        (b"kVA", Unit::VoltAmpere, 3),
        (b"VA", Unit::VoltAmpere, 0),
        (b"Hz", Unit::Hertz, 0),
        (b"kHz", Unit::Hertz, 3),
        (b"kV", Unit::Volt, 3),
        (b"kA", Unit::Ampere, 3),
        (b"MWh", Unit::WattHour, 6),
        (b"dm3", Unit::CubicMetre, -3),
        (b"l", Unit::CubicMetre, -3),
        (b"kVAh", Unit::VoltAmpereHour, 3),
    ];
    // `mW` would be read as `MW` below; no meter sends either as power, and MWh and MJ are large in every meter that has them.
    table.iter().find(|(text, ..)| text.eq_ignore_ascii_case(symbol)).map(|&(_, unit, exponent)| (unit, exponent))
}

/// The child on a channel, announced now if it was not yet.
fn child(reading: &mut Reading, channel: u8) -> &mut Child {
    let place = match reading.children.iter().position(|child| child.channel == channel) {
        Some(place) => place,
        None => {
            reading.children.push(Child { channel, medium: Medium::Unclear, equipment: None });
            reading.children.len() - 1
        }
    };
    &mut reading.children[place]
}

/// EN 13757-3 device types.
const fn medium(device_type: i64) -> Medium {
    match device_type {
        2 => Medium::Electricity,
        3 => Medium::Gas,
        4 | 0x0A..=0x0D => Medium::Heat,
        6 | 7 | 0x15 | 0x16 => Medium::Water,
        _ => Medium::Unclear,
    }
}

/// What a child measures where its type was left out: joules are heat; the only cubic metres without a type are gas.
fn name_children(reading: &mut Reading) {
    for child in reading.children.iter_mut().filter(|child| child.medium == Medium::Unclear) {
        let value = reading.values.iter().find(|value| value.channel == child.channel);
        child.medium = match value.map(|value| value.quantity) {
            Some(Quantity::Heat) => Medium::Heat,
            Some(Quantity::Volume) => Medium::Gas,
            _ => Medium::Unclear,
        };
    }
}

/// Keeps a serial number; the meter's 96.1.1 before its other names.
fn equipment(reading: &mut Reading, obis: Obis, text: &[u8]) {
    if text.is_empty() {
        return;
    }
    let found = Equipment(text.escape_ascii().to_string());
    if obis.b > 0 && obis.a == 0 {
        child(reading, obis.b).equipment.get_or_insert(found);
    } else if reading.equipment.is_none() || (obis.c, obis.d, obis.e) == (96, 1, 1) {
        reading.equipment = Some(found);
    }
}

/// Maker and model. A run of six digits is a serial number, unless an underscore follows it (a firmware's number).
fn identification(line: &[u8]) -> String {
    let mut run = 0;
    let mut end = line.len();
    for (index, byte) in line.iter().enumerate() {
        run = if byte.is_ascii_digit() { run + 1 } else { 0 };
        if run == 6 {
            let digits = line[index..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            if line.get(index + digits) != Some(&b'_') {
                // The word that holds the run goes with it; maker and baud digit stay.
                let run = index - 5;
                let word = line[..run].iter().rposition(|byte| matches!(byte, b' ' | b'\\'));
                end = word.unwrap_or(4).min(run);
            }
            break;
        }
    }
    line[..end].trim_ascii().escape_ascii().to_string().replace("\\\\", "\\")
}

/// The country whose profile a telegram fits: by its identification, else by an object that only one country has.
fn country(telegram: &Telegram<'_>) -> Option<Country> {
    let known: [(&[u8], Country); 11] = [
        (b"FLU", Country::Be),
        (b"Lux", Country::Lu),
        (b"EST", Country::At),
        (b"AUX", Country::Hu),
        (b"ESO", Country::Lt),
        (b"ADN9 7", Country::Fi),
        (b"ADN9 6", Country::Se),
        (b"ELL", Country::Se),
        (b"LGF", Country::Se),
        (b"NES", Country::Dk),
        (b"EGM", Country::Pl),
    ];
    if let Some((_, country)) = known.iter().find(|(start, _)| telegram.identification.starts_with(start)) {
        return Some(*country);
    }
    let has = |wanted: Obis| telegram.lines().any(|line| matches!(line, Line::Object(object) if object.obis == wanted));
    if has(Obis::new(0, 0, 96, 1, 4)) {
        // Only eMUCS sends its version there, and only Belgium uses it without a header of its own.
        return Some(Country::Be);
    }
    let dutch = has(Obis::new(1, 3, 0, 2, 8)) || has(Obis::new(0, 1, 24, 3, 0)) || has(Obis::new(0, 0, 96, 13, 1));
    dutch.then_some(Country::Nl)
}
