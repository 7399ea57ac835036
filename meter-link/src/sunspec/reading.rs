//! The meaning of SunSpec models: what a plant makes, or what its meter counts.
//!
//! An inverter's power and energy go toward the home: they are export of a meter whose role is generation; what it draws at
//! night is import. A meter beside an inverter in one device is left out, for it counts something else. A meter alone counts
//! import and export; its power is positive for import, except SolarEdge's, which is positive for export. KOSTAL's Smart
//! Energy Meter counts export below zero, in a point that the specification has without a sign. Floats become decimals from
//! their bits: exactly where 18 digits hold them, else cut off after six places.

use crate::decimal::Decimal;
use crate::meaning::{electricity, is_plausible};
use crate::obis::Obis;
use crate::reading::{Equipment, Measured, NotUnderstood, Reading, Trust, Unit};
use crate::sunspec::Model;

/// Where an integer point and its scale factor stand, or a float.
#[derive(Clone, Copy)]
enum Place {
    /// 32 bits, of which 0 says that it is not counted.
    Accumulated(usize, usize),
    /// The same with a sign, of which only the amount counts.
    Backward(usize, usize),
    Float(usize),
    Signed(usize, usize),
    Unsigned(usize, usize),
}

use Place::{Accumulated, Backward, Float, Signed, Unsigned};

/// A point: group C and D of its code, unit, place.
type Point = (u8, u8, Unit, Place);

const INVERTER: [Point; 9] = [
    (31, 7, Unit::Ampere, Unsigned(1, 4)),
    (51, 7, Unit::Ampere, Unsigned(2, 4)),
    (71, 7, Unit::Ampere, Unsigned(3, 4)),
    (32, 7, Unit::Volt, Unsigned(8, 11)),
    (52, 7, Unit::Volt, Unsigned(9, 11)),
    (72, 7, Unit::Volt, Unsigned(10, 11)),
    (16, 7, Unit::Watt, Signed(12, 13)),
    (14, 7, Unit::Hertz, Unsigned(14, 15)),
    (2, 8, Unit::WattHour, Accumulated(22, 24)),
];

const INVERTER_FLOAT: [Point; 9] = [
    (31, 7, Unit::Ampere, Float(2)),
    (51, 7, Unit::Ampere, Float(4)),
    (71, 7, Unit::Ampere, Float(6)),
    (32, 7, Unit::Volt, Float(14)),
    (52, 7, Unit::Volt, Float(16)),
    (72, 7, Unit::Volt, Float(18)),
    (16, 7, Unit::Watt, Float(20)),
    (14, 7, Unit::Hertz, Float(22)),
    (2, 8, Unit::WattHour, Float(30)),
];

const METER: [Point; 10] = [
    (31, 7, Unit::Ampere, Signed(1, 4)),
    (51, 7, Unit::Ampere, Signed(2, 4)),
    (71, 7, Unit::Ampere, Signed(3, 4)),
    (32, 7, Unit::Volt, Signed(6, 13)),
    (52, 7, Unit::Volt, Signed(7, 13)),
    (72, 7, Unit::Volt, Signed(8, 13)),
    (14, 7, Unit::Hertz, Signed(14, 15)),
    (16, 7, Unit::Watt, Signed(16, 20)),
    (2, 8, Unit::WattHour, Accumulated(36, 52)),
    (1, 8, Unit::WattHour, Accumulated(44, 52)),
];

/// Whether a model is read at all.
pub(super) const fn is_known(id: u16) -> bool {
    matches!(id, 1) || is_inverter(id) || matches!(id, 201..=204)
}

const fn is_inverter(id: u16) -> bool {
    matches!(id, 101..=103 | 111..=113)
}

/// Gives a device's models their meaning.
pub(super) fn interpret(models: &[Model]) -> Reading {
    let mut reading = Reading::new("sunspec", Trust::Unverified);
    let common = models.iter().find(|model| model.id == 1);
    let text =
        |first: usize, count: usize| common.map(|model| text(&model.registers, first, count)).unwrap_or_default();
    let maker = text(0, 16);
    reading.identification = format!("{maker} {}", text(16, 16)).trim().to_owned();
    reading.equipment = Some(text(48, 16)).filter(|serial| !serial.is_empty()).map(Equipment);
    let inverter = models.iter().find(|model| is_inverter(model.id));
    let Some(model) = inverter.or_else(|| models.iter().find(|model| (201..=204).contains(&model.id))) else {
        return reading;
    };
    let points: &[Point] = match model.id {
        101..=103 => &INVERTER,
        111..=113 => &INVERTER_FLOAT,
        _ => &METER,
    };
    for &(c, d, unit, place) in points {
        let place = match place {
            Accumulated(at, scale) if maker.starts_with("KOSTAL") => Backward(at, scale),
            place => place,
        };
        let Some(value) = read(&model.registers, place) else { continue };
        let (c, value) = match (c, d) {
            (16, 7) if inverter.is_some() && value.mantissa < 0 => (1, negated(value)),
            (16, 7) if inverter.is_some() => (2, value),
            (16, 7) if maker == "SolarEdge" => (16, negated(value)),
            // A current's sign tells the direction of its power, which is told by the power.
            _ if unit == Unit::Ampere && value.mantissa < 0 => (c, negated(value)),
            _ => (c, value),
        };
        let obis = Obis::new(1, 0, c, d, 0);
        match electricity(obis).filter(|quantity| is_plausible(*quantity, value, unit)) {
            Some(quantity) => {
                reading.values.push(Measured { obis, channel: 0, quantity, value, unit, meter_time: None });
            }
            None => reading.not_understood.push(NotUnderstood { obis: Some(obis), text: value.to_string() }),
        }
    }
    reading
}

const fn negated(value: Decimal) -> Decimal {
    Decimal { mantissa: -value.mantissa, places: value.places }
}

/// A point's value. `None` if it is not implemented or out of range.
fn read(registers: &[u16], place: Place) -> Option<Decimal> {
    let long = |at: usize| Some((u32::from(*registers.get(at)?) << 16) | u32::from(*registers.get(at + 1)?));
    let (count, scale) = match place {
        Float(at) => return Decimal::of_binary32(long(at)?),
        Accumulated(at, scale) => (i64::from(long(at).filter(|count| *count != 0 && *count != u32::MAX)?), scale),
        Backward(at, scale) => {
            let count = long(at).filter(|count| *count != 0 && *count != u32::MAX)?;
            (i64::from((count as i32).unsigned_abs()), scale)
        }
        Signed(at, scale) => {
            (i64::from(registers.get(at).map(|count| *count as i16).filter(|it| *it != i16::MIN)?), scale)
        }
        Unsigned(at, scale) => (i64::from(*registers.get(at).filter(|count| **count != 0xFFFF)?), scale),
    };
    let scale = *registers.get(scale)? as i16;
    // The specification's range; 0x8000 says that it is not implemented, and with it the point.
    if !(-10..=10).contains(&scale) {
        return None;
    }
    Decimal::whole(count).scaled(scale as i8)
}

/// A text of two characters each, up to its first NUL.
fn text(registers: &[u16], first: usize, count: usize) -> String {
    let bytes = registers.iter().skip(first).take(count).flat_map(|register| register.to_be_bytes());
    let bytes: Vec<u8> = bytes.take_while(|byte| *byte != 0).collect();
    String::from_utf8_lossy(&bytes).trim().escape_default().to_string()
}
