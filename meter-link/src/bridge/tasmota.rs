//! Tasmota: the answer to `Status 8` and the message on `tele/<topic>/SENSOR`.
//!
//! `ENERGY` is what the device measures itself; lists in it are phases, whose powers are summed exactly where no sum is
//! sent. Beside a count of export, `Total` is no import: it runs backwards, or holds both; it is told by its code alone. Beside it lie the meters that a reading head understands with names chosen by the owner's script: an object is
//! taken for a meter when it has a register by one of the usual names. Stamps are local time without an offset, and the
//! device's: they are the time of what it measures itself, and none of what its head has read of a meter, whenever that was.
//!
//! Refuses answers without a meter: sensors of temperature, states of switches.
//!
//! Source: tasmota.github.io/docs: Commands (Status 8), Power Monitoring, Smart Meter Interface.

use serde_json::value::RawValue;

use super::json::{Meaning, Object, keep, list, number, take};
use crate::decimal::Decimal;
use crate::error::DecodeError;
use crate::obis::Obis;
use crate::reading::{Flow, Measured, Phase, Quantity, Reading, Trust, Unit};

const PHASES: [(Phase, u8); 3] = [(Phase::L1, 20), (Phase::L2, 40), (Phase::L3, 60)];

/// Reads either form.
pub fn decode(body: &[u8]) -> Result<Reading, DecodeError> {
    let outer = Object::parse(body)?;
    let object = outer.object("StatusSNS").unwrap_or(outer);
    let mut reading = Reading::new("tasmota", Trust::Unverified);
    let time = object.text("Time").as_deref().and_then(super::stamp::parse);
    let own = object.object("ENERGY");
    match meter(&object) {
        // A head on the meter knows more than the plug it hangs on.
        Some(meter) => take_meter(&mut reading, &meter),
        None => {
            reading.meter_time = time;
            take_own(&mut reading, &own.ok_or(DecodeError::NoReading)?);
        }
    }
    Ok(reading)
}

pub(super) fn is_measurement(object: &Object<'_>) -> bool {
    match object.object("StatusSNS") {
        Some(inner) => inner.has("ENERGY") || meter(&inner).is_some(),
        None => object.has("Time") && (object.has("ENERGY") || meter(object).is_some()),
    }
}

/// The first object with a register by a usual name.
fn meter<'a>(object: &Object<'a>) -> Option<Object<'a>> {
    object.fields().filter(|(key, _)| *key != "ENERGY").filter_map(|(_, value)| Object::of(value)).find(|inner| {
        inner.fields().any(|(key, _)| matches!(script(key), Some(Meaning { quantity: Quantity::ActiveEnergy(..), .. })))
    })
}

fn take_own(reading: &mut Reading, energy: &Object<'_>) {
    use Quantity as Q;
    let phases = energy.list("Power").map_or(1, |phases| phases.len());
    let is_both_ways = energy.has("ImportActive") || energy.has("ExportActive");
    for (key, value) in energy.fields() {
        let (c, d, quantity, unit, prefix): (u8, u8, fn(Phase) -> Quantity, Unit, i8) = match key {
            "ImportActive" => (1, 8, |_| Q::ActiveEnergy(Flow::Import, 0), Unit::WattHour, 3),
            "Total" if is_both_ways => (16, 8, |_| Q::ByCode, Unit::WattHour, 3),
            "Total" => (1, 8, |_| Q::ActiveEnergy(Flow::Import, 0), Unit::WattHour, 3),
            "ExportActive" => (2, 8, |_| Q::ActiveEnergy(Flow::Export, 0), Unit::WattHour, 3),
            "Power" => (16, 7, |phase| Q::ActivePower(Flow::Net, phase), Unit::Watt, 0),
            "ApparentPower" => (9, 7, |phase| Q::ApparentPower(Flow::Net, phase), Unit::VoltAmpere, 0),
            "ReactivePower" => (3, 7, |phase| Q::ReactivePower(Flow::Net, phase), Unit::Var, 0),
            "Factor" => (13, 7, Q::PowerFactor, Unit::One, 0),
            "Voltage" => (12, 7, Q::Voltage, Unit::Volt, 0),
            "Current" => (11, 7, Q::Current, Unit::Ampere, 0),
            "Frequency" => (14, 7, |_| Q::Frequency, Unit::Hertz, 0),
            // Follow from the registers, or say how it was set up.
            "Period" | "Today" | "TotalStartTime" | "TotalTariff" | "Yesterday" => continue,
            _ => {
                keep(reading, key, value);
                continue;
            }
        };
        let meaning = |c, phase| Meaning { obis: Obis::new(1, 0, c, d, 0), quantity: quantity(phase), unit, prefix };
        let Some(each) = list(value) else {
            take(reading, 0, meaning(c, Phase::Total), key, value, None);
            continue;
        };
        // Or tariffs, in old firmware.
        if each.len() > PHASES.len() || (d == 8 && each.len() != phases) {
            keep(reading, key, value);
            continue;
        }
        // A register of one phase has no place among a meter's totals and is told by its code alone.
        for (value, (phase, offset)) in each.iter().zip(PHASES) {
            let of_phase = meaning(c + offset, phase);
            let of_phase = if d == 8 { Meaning { quantity: Q::ByCode, ..of_phase } } else { of_phase };
            take(reading, 0, of_phase, key, value, None);
        }
        if matches!(key, "ExportActive" | "ImportActive" | "Power" | "Total") {
            take_sum(reading, meaning(c, Phase::Total), &each);
        }
    }
}

/// The exact sum of the phases, where each has a number.
fn take_sum(reading: &mut Reading, meaning: Meaning, each: &[&RawValue]) {
    let sum = each.iter().try_fold(Decimal::whole(0), |sum, value| sum.plus(number(value)?));
    if let Some(value) = sum.filter(|_| !each.is_empty()).and_then(|sum| sum.scaled(meaning.prefix)) {
        let Meaning { obis, quantity, unit, .. } = meaning;
        reading.values.push(Measured { obis, channel: 0, quantity, value, unit, meter_time: None });
    }
}

fn take_meter(reading: &mut Reading, meter: &Object<'_>) {
    for (key, value) in meter.fields() {
        match script(key) {
            Some(meaning) => {
                take(reading, 0, meaning, key, value, None);
            }
            None => keep(reading, key, value),
        }
    }
}

/// What the usual names in scripts mean.
fn script(key: &str) -> Option<Meaning> {
    use Quantity as Q;
    let energy = |c: u8, rate: u8, flow| (Obis::new(1, 0, c, 8, rate), Q::ActiveEnergy(flow, rate), Unit::WattHour, 3);
    let now = |c: u8, quantity, unit| (Obis::new(1, 0, c, 7, 0), quantity, unit, 0);
    let plain = key.to_ascii_lowercase();
    let (obis, quantity, unit, prefix) = match plain.as_str() {
        "total_in" | "e_in" | "bezug" => energy(1, 0, Flow::Import),
        "total_in_t1" | "e_in_t1" => energy(1, 1, Flow::Import),
        "total_in_t2" | "e_in_t2" => energy(1, 2, Flow::Import),
        "total_out" | "e_out" | "einspeisung" => energy(2, 0, Flow::Export),
        "power" | "power_cur" | "power_curr" | "power_in" | "watt" => {
            now(16, Q::ActivePower(Flow::Net, Phase::Total), Unit::Watt)
        }
        "power_p1" | "power_l1" => now(36, Q::ActivePower(Flow::Net, Phase::L1), Unit::Watt),
        "power_p2" | "power_l2" => now(56, Q::ActivePower(Flow::Net, Phase::L2), Unit::Watt),
        "power_p3" | "power_l3" => now(76, Q::ActivePower(Flow::Net, Phase::L3), Unit::Watt),
        "volt_p1" | "voltage_l1" => now(32, Q::Voltage(Phase::L1), Unit::Volt),
        "volt_p2" | "voltage_l2" => now(52, Q::Voltage(Phase::L2), Unit::Volt),
        "volt_p3" | "voltage_l3" => now(72, Q::Voltage(Phase::L3), Unit::Volt),
        "amp_p1" | "current_l1" => now(31, Q::Current(Phase::L1), Unit::Ampere),
        "amp_p2" | "current_l2" => now(51, Q::Current(Phase::L2), Unit::Ampere),
        "amp_p3" | "current_l3" => now(71, Q::Current(Phase::L3), Unit::Ampere),
        "freq" | "hz" => now(14, Q::Frequency, Unit::Hertz),
        _ => return None,
    };
    Some(Meaning { obis, quantity, unit, prefix })
}
