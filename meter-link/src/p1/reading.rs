//! The meaning of a P1 telegram: quantities, units, times, child meters, country.
//!
//! Never fails: what is not understood is listed, one bad line or one bad child loses nothing else. Values are exact; a
//! sentinel (all bits set where a meter has no value) is no value. Rates stay numbers; the country profile names them.

use super::objects::{Meaning, meaning};
use super::telegram::{Line, Object, Telegram};
use super::time;
use crate::country::Country;
use crate::decimal::Decimal;
use crate::meaning::is_plausible;
use crate::obis::Obis;
use crate::reading::{
    Child, Equipment, Flow, Measured, Medium, MeterTime, NotUnderstood, Quantity, Reading, Trust, Unit,
};

/// Lines that are kept when they are not understood: more than any telegram has.
const MAX_KEPT: usize = 64;

/// What one object says. Its numbers are handed out one by one, see [`read_object`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said<'a> {
    /// A child meter is on this channel and measures this.
    Child(u8, Medium),
    /// The serial number of the meter (channel 0) or a child.
    Equipment(u8, &'a [u8]),
    /// Nothing about energy: a text, a version, a switch.
    Nothing,
    /// Something this crate does not know, or no sense.
    NotUnderstood,
    /// The meter's clock.
    Time(MeterTime),
    /// Its numbers, which were handed out.
    Values,
}

/// Where in a telegram something of its reading stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// The meter's clock.
    Clock(&'a [u8]),
    /// A line kept as it is, told after the numbers in it that were understood.
    Kept(&'a [u8]),
    /// A value.
    Number {
        /// From its first digit or sign on, the unit included.
        text: &'a [u8],
        /// Power of ten of the unit's prefix.
        exponent: i8,
        /// The value's own stamp, where it has one in the same object.
        stamp: Option<&'a [u8]>,
    },
}

/// Gives a telegram its meaning.
pub fn interpret(telegram: &Telegram<'_>, trust: Trust) -> Reading {
    interpret_noting(telegram, trust, |_| ())
}

/// Gives a telegram its meaning, and tells where: its values in the order of the reading.
pub(super) fn interpret_noting<'a>(telegram: &Telegram<'a>, trust: Trust, mut place: impl FnMut(Place<'a>)) -> Reading {
    let country = country(telegram);
    let mut reading = Reading::new("p1", trust);
    reading.identification = identification(telegram.identification);
    reading.country = country;
    reading.values.reserve(32);
    for line in telegram.lines() {
        let (obis, text) = match line {
            // A repeated line is a past month's, or another telegram's that ran into this one.
            Line::Object(object) if is_repeated(&reading, object.obis) => (Some(object.obis), object.text),
            Line::Object(object) => {
                let Reading { values, children, .. } = &mut reading;
                let take = |value: Measured, at| {
                    if value.channel > 0 {
                        child(children, value.channel);
                    }
                    values.push(value);
                    place(at);
                };
                match read_object(&object, country, take) {
                    Said::NotUnderstood => (Some(object.obis), object.text),
                    said => {
                        if let (Said::Time(_), Some(text)) = (said, object.values().next()) {
                            place(Place::Clock(text));
                        }
                        note(&mut reading, object.obis, said);
                        continue;
                    }
                }
            }
            Line::Unclear(text) => (None, text),
        };
        place(Place::Kept(text));
        if reading.not_understood.len() < MAX_KEPT {
            reading.not_understood.push(NotUnderstood { obis, text: text.escape_ascii().to_string() });
        }
    }
    name_children(&mut reading);
    reading
}

/// Whether an object with this code was understood before.
fn is_repeated(reading: &Reading, obis: Obis) -> bool {
    reading.values.iter().any(|value| value.obis == obis)
        || (obis == Obis::new(0, 0, 1, 0, 0) && reading.meter_time.is_some())
}

/// Notes what is no number.
fn note(reading: &mut Reading, obis: Obis, said: Said<'_>) {
    match said {
        Said::Child(channel, medium) => child(&mut reading.children, channel).medium = medium,
        Said::Equipment(_, []) | Said::Nothing | Said::NotUnderstood | Said::Values => (),
        Said::Equipment(0, text) => {
            // The meter's 96.1.1 goes before its other names.
            if reading.equipment.is_none() || (obis.c, obis.d, obis.e) == (96, 1, 1) {
                reading.equipment = Some(Equipment(text.escape_ascii().to_string()));
            }
        }
        Said::Equipment(channel, text) => {
            child(&mut reading.children, channel)
                .equipment
                .get_or_insert_with(|| Equipment(text.escape_ascii().to_string()));
        }
        Said::Time(time) => reading.meter_time = Some(time),
    }
}

/// Gives one object its meaning, without allocating. Each number goes to `take`, in the order sent, with its place; of an
/// object in which only some make sense, those do, and the object is [`Said::NotUnderstood`].
#[inline]
pub fn read_object<'a>(
    object: &Object<'a>,
    country: Option<Country>,
    mut take: impl FnMut(Measured, Place<'a>),
) -> Said<'a> {
    let obis = object.obis;
    let mut values = object.values();
    let Some(first) = values.next() else { return Said::NotUnderstood };
    let mut number = |obis, quantity, text, unit, stamp: Option<&'a [u8]>| {
        let time = stamp.and_then(|stamp| time::parse(stamp, country));
        match measure(obis, quantity, text, unit, time) {
            Some((value, exponent)) => {
                take(value, Place::Number { text, exponent, stamp: time.and(stamp) });
                Said::Values
            }
            None => Said::NotUnderstood,
        }
    };
    match meaning(obis) {
        None => Said::NotUnderstood,
        // Thresholds can have one number for each direction.
        Some(Meaning::Quantity(Quantity::ByCode)) => object
            .values()
            .map(|value| number(obis, Quantity::ByCode, value, None, None))
            .fold(Said::Values, |all, one| if one == Said::NotUnderstood { one } else { all }),
        Some(Meaning::Quantity(quantity)) => number(obis, quantity, first, None, None),
        Some(Meaning::Known) => Said::Nothing,
        Some(Meaning::Time) => time::parse(first, country).map_or(Said::NotUnderstood, Said::Time),
        Some(Meaning::Equipment) => Said::Equipment(if obis.a == 0 { obis.b } else { 0 }, first),
        Some(Meaning::ChildType) => match Decimal::parse(first) {
            Some(Decimal { mantissa, places: 0 }) if obis.b > 0 => Said::Child(obis.b, medium(mantissa)),
            // An empty channel.
            _ if first.is_empty() => Said::Nothing,
            _ => Said::NotUnderstood,
        },
        Some(Meaning::DemandPeak) => {
            let flow = if obis.c == 1 { Flow::Import } else { Flow::Export };
            number(obis, Quantity::DemandPeak(flow), values.last().unwrap_or(first), None, Some(first))
        }
        // A stamp that makes no sense loses only itself.
        Some(Meaning::ChildRegister) => {
            number(obis, Quantity::Volume, values.last().unwrap_or(first), None, Some(first))
        }
        Some(Meaning::ChildRegisterOld) => {
            let mut values = values.skip(3);
            let (code, unit) = (values.next().and_then(Obis::parse), values.next());
            match (code, values.last()) {
                (Some(code), Some(text)) => number(code, Quantity::Volume, text, unit, Some(first)),
                _ => Said::NotUnderstood,
            }
        }
        Some(Meaning::History) => {
            let (mut stamp, mut said) = (None, Said::Nothing);
            for text in object.values() {
                match time::parse(text, country) {
                    Some(_) => stamp = Some(text),
                    // Counts and codes stand among them; a number here has a unit.
                    None if !text.contains(&b'*') => (),
                    None => said = number(obis, Quantity::ByCode, text, None, stamp),
                }
            }
            said
        }
    }
}

/// One number with its unit, and the power of ten of the unit's prefix. `None` if it is no number, a sentinel, or its unit does not fit.
#[inline]
fn measure(
    obis: Obis,
    quantity: Quantity,
    text: &[u8],
    unit: Option<&[u8]>,
    meter_time: Option<MeterTime>,
) -> Option<(Measured, i8)> {
    // `001247.747*kWh`, on some meters without the star.
    let (number, rest) = Decimal::parse_start(text)?;
    let symbol = unit.unwrap_or(rest.strip_prefix(b"*").unwrap_or(rest)).trim_ascii_end();
    let (unit, exponent) = unit_of(symbol)?;
    let quantity = match (quantity, unit) {
        (Quantity::Volume, Unit::Joule) => Quantity::Heat,
        // Heat meters that count kilowatt-hours; its name is the child's.
        (Quantity::Volume, Unit::WattHour) => Quantity::ByCode,
        _ => quantity,
    };
    if !is_plausible(quantity, number, unit) {
        return None;
    }
    let channel = if obis.a == 0 && obis.c == 24 { obis.b } else { 0 };
    Some((Measured { obis, channel, quantity, value: number.scaled(exponent)?, unit, meter_time }, exponent))
}

/// A unit and its power of ten. Meters disagree about capitals, and none sends a unit in which they would matter: `mW` is no
/// power of a home, and MWh and MJ are large in every meter that has them.
#[inline]
pub(crate) fn unit_of(symbol: &[u8]) -> Option<(Unit, i8)> {
    let mut small = [0; 5];
    let small = small.get_mut(..symbol.len())?;
    small.copy_from_slice(symbol);
    small.make_ascii_lowercase();
    Some(match &*small {
        b"" => (Unit::One, 0),
        b"w" => (Unit::Watt, 0),
        b"kw" => (Unit::Watt, 3),
        b"mw" => (Unit::Watt, 6),
        b"wh" => (Unit::WattHour, 0),
        b"kwh" => (Unit::WattHour, 3),
        b"mwh" => (Unit::WattHour, 6),
        b"var" => (Unit::Var, 0),
        b"kvar" => (Unit::Var, 3),
        b"varh" => (Unit::VarHour, 0),
        b"kvarh" => (Unit::VarHour, 3),
        b"va" => (Unit::VoltAmpere, 0),
        b"kva" => (Unit::VoltAmpere, 3),
        b"vah" => (Unit::VoltAmpereHour, 0),
        b"kvah" => (Unit::VoltAmpereHour, 3),
        b"v" => (Unit::Volt, 0),
        b"kv" => (Unit::Volt, 3),
        b"a" => (Unit::Ampere, 0),
        b"ka" => (Unit::Ampere, 3),
        b"hz" => (Unit::Hertz, 0),
        b"khz" => (Unit::Hertz, 3),
        b"j" => (Unit::Joule, 0),
        b"mj" => (Unit::Joule, 6),
        b"gj" => (Unit::Joule, 9),
        b"m3" => (Unit::CubicMetre, 0),
        b"dm3" | b"l" => (Unit::CubicMetre, -3),
        _ => return None,
    })
}

/// The child on a channel, announced now if it was not yet.
fn child(children: &mut Vec<Child>, channel: u8) -> &mut Child {
    let place = match children.iter().position(|child| child.channel == channel) {
        Some(place) => place,
        None => {
            children.push(Child { channel, medium: Medium::Unclear, equipment: None });
            children.len() - 1
        }
    };
    &mut children[place]
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

/// Maker and model. A run of six digits is a serial number, unless an underscore follows it (a firmware's number).
pub(crate) fn identification(line: &[u8]) -> String {
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
pub fn country(telegram: &Telegram<'_>) -> Option<Country> {
    let known: [(&[u8], Country); 13] = [
        (b"FLU", Country::Be),
        (b"Lux", Country::Lu),
        (b"EST", Country::At),
        (b"AUX", Country::Hu),
        (b"HLY5/", Country::Hu),
        (b"SAG5SAG-METER", Country::Hu),
        (b"ESO", Country::Lt),
        (b"ADN9 7", Country::Fi),
        (b"ADN9 6", Country::Se),
        (b"ELL", Country::Se),
        (b"LGZ", Country::Ch),
        (b"NES", Country::Dk),
        (b"EGM", Country::Pl),
    ];
    if let Some((_, country)) = known.iter().find(|(start, _)| telegram.identification.starts_with(start)) {
        return Some(*country);
    }
    telegram.lines().find_map(|line| match line {
        // Only eMUCS sends its version there, and only Belgium uses it without a header of its own.
        Line::Object(object) if object.obis == Obis::new(0, 0, 96, 1, 4) => Some(Country::Be),
        Line::Object(object) if DUTCH.contains(&object.obis) => Some(Country::Nl),
        _ => None,
    })
}

/// Objects that only Dutch telegrams have: the version, gas in the old form, a text for a separate display.
const DUTCH: [Obis; 3] = [Obis::new(1, 3, 0, 2, 8), Obis::new(0, 1, 24, 3, 0), Obis::new(0, 0, 96, 13, 1)];
