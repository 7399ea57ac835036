//! Shelly energy meters: the status of a second-generation device, of one of its components, or of a first-generation one.
//!
//! A three-phase component (`em`) is the meter; of several single-phase ones (`em1`, `pm1`, `switch`, `emeters`) the first
//! is the meter and the others are child meters on channels of their own, since nothing says that they measure one supply.
//! Power is positive for import as the device is mounted. Registers of one phase have no place among a meter's totals and
//! are told by their code alone.
//!
//! Never takes a value of a component that says it has an error or is not valid.
//!
//! Source: shelly-api-docs.shelly.cloud, components EM, EMData, EM1, EM1Data, PM1, Switch; first generation, `/status`.

use serde_json::value::RawValue;

use super::json::{Meaning, Object, take};
use crate::decimal::Decimal;
use crate::error::DecodeError;
use crate::obis::Obis;
use crate::reading::{Child, Flow, Measured, Medium, Phase, Quantity, Reading, Trust, Unit};

/// Components of one kind that are read; the largest device has four.
const MAX_CHANNELS: u8 = 8;
const PHASES: [(Phase, u8); 3] = [(Phase::L1, 20), (Phase::L2, 40), (Phase::L3, 60)];

/// Reads a status.
pub fn decode(body: &[u8]) -> Result<Reading, DecodeError> {
    let object = Object::parse(body)?;
    let mut reading = Reading::new("shelly", Trust::Unverified);
    let clock = object.object("sys").and_then(|sys| sys.number("unixtime")).or_else(|| object.number("unixtime"));
    reading.meter_time = clock.and_then(super::stamp::unix);
    if let Some(meters) = object.list("emeters") {
        take_first_generation(&mut reading, &object, &meters);
    } else if is_status(&object) {
        for (key, value) in object.fields() {
            let Some((component, id)) = key.split_once(':') else { continue };
            let Some(id) = id.parse().ok().filter(|id| *id < MAX_CHANNELS) else { continue };
            if let Some(part) = Object::of(value) {
                take_component(&mut reading, component, id, &part);
            }
        }
    } else {
        let id = object.get("id").and_then(|id| id.get().parse().ok()).filter(|id| *id < MAX_CHANNELS);
        let Some((component, id)) = component(&object).zip(id) else { return Err(DecodeError::NoReading) };
        take_component(&mut reading, component, id, &object);
    }
    let is_empty = reading.values.is_empty() && reading.not_understood.is_empty();
    if is_empty { Err(DecodeError::NoReading) } else { Ok(reading) }
}

pub(super) fn is_measurement(object: &Object<'_>) -> bool {
    object.has("emeters") || is_status(object) || (object.has("id") && component(object).is_some())
}

/// A status of all components, of which one measures.
fn is_status(object: &Object<'_>) -> bool {
    object.fields().any(|(key, _)| {
        key.split_once(':')
            .is_some_and(|(component, _)| matches!(component, "em" | "em1" | "em1data" | "emdata" | "pm1" | "switch"))
    })
}

/// Which component a status of one is of.
fn component(object: &Object<'_>) -> Option<&'static str> {
    [
        ("a_act_power", "em"),
        ("total_act_power", "em"),
        ("total_act", "emdata"),
        ("a_total_act_energy", "emdata"),
        ("total_act_energy", "em1data"),
        ("act_power", "em1"),
        ("apower", "pm1"),
    ]
    .into_iter()
    .find_map(|(key, component)| object.has(key).then_some(component))
}

fn take_component(reading: &mut Reading, component: &str, id: u8, part: &Object<'_>) {
    match component {
        "em" if id == 0 => take_three_phases(reading, part),
        "emdata" if id == 0 => take_three_phase_registers(reading, part),
        "em1" | "em1data" | "pm1" | "switch" => take_single_phase(reading, id, part),
        _ => (),
    }
}

fn take_three_phases(reading: &mut Reading, part: &Object<'_>) {
    use Quantity as Q;
    for (letter, (phase, offset)) in ["a", "b", "c"].into_iter().zip(PHASES) {
        // A phase with an error is left out, and its last values with it.
        if part.list(&format!("{letter}_errors")).is_some_and(|errors| !errors.is_empty()) {
            continue;
        }
        for (name, c, quantity, unit) in [
            ("act_power", 16, Q::ActivePower(Flow::Net, phase), Unit::Watt),
            ("aprt_power", 9, Q::ApparentPower(Flow::Net, phase), Unit::VoltAmpere),
            ("voltage", 12, Q::Voltage(phase), Unit::Volt),
            ("current", 11, Q::Current(phase), Unit::Ampere),
            ("pf", 13, Q::PowerFactor(phase), Unit::One),
        ] {
            take_field(reading, 0, part, &format!("{letter}_{name}"), now(c + offset, quantity, unit));
        }
    }
    take_field(reading, 0, part, "a_freq", now(14, Q::Frequency, Unit::Hertz));
    take_field(reading, 0, part, "n_current", now(91, Q::Current(Phase::Neutral), Unit::Ampere));
    // The sum of the phases' amounts, which is no conductor's current.
    take_field(reading, 0, part, "total_current", now(90, Q::ByCode, Unit::Ampere));
    take_field(reading, 0, part, "total_act_power", now(16, Q::ActivePower(Flow::Net, Phase::Total), Unit::Watt));
    let apparent = now(9, Q::ApparentPower(Flow::Net, Phase::Total), Unit::VoltAmpere);
    take_field(reading, 0, part, "total_aprt_power", apparent);
}

fn take_three_phase_registers(reading: &mut Reading, part: &Object<'_>) {
    for (letter, (_, offset)) in ["a", "b", "c"].into_iter().zip(PHASES) {
        for (name, c) in [("total_act_energy", 1), ("total_act_ret_energy", 2)] {
            let obis = Obis::new(1, 0, c + offset, 8, 0);
            let meaning = Meaning { obis, quantity: Quantity::ByCode, unit: Unit::WattHour, prefix: 0 };
            take_field(reading, 0, part, &format!("{letter}_{name}"), meaning);
        }
    }
    take_field(reading, 0, part, "total_act", register(0, Flow::Import));
    take_field(reading, 0, part, "total_act_ret", register(0, Flow::Export));
}

fn take_single_phase(reading: &mut Reading, channel: u8, part: &Object<'_>) {
    use Quantity as Q;
    if part.list("errors").is_some_and(|errors| !errors.is_empty()) {
        return;
    }
    let start = reading.values.len();
    for (name, c, quantity, unit) in [
        ("act_power", 16, Q::ActivePower(Flow::Net, Phase::Total), Unit::Watt),
        ("apower", 16, Q::ActivePower(Flow::Net, Phase::Total), Unit::Watt),
        ("aprt_power", 9, Q::ApparentPower(Flow::Net, Phase::Total), Unit::VoltAmpere),
        ("voltage", 12, Q::Voltage(Phase::Total), Unit::Volt),
        ("current", 11, Q::Current(Phase::Total), Unit::Ampere),
        ("pf", 13, Q::PowerFactor(Phase::Total), Unit::One),
        ("freq", 14, Q::Frequency, Unit::Hertz),
    ] {
        take_field(reading, channel, part, name, on(channel, now(c, quantity, unit)));
    }
    take_field(reading, channel, part, "total_act_energy", register(channel, Flow::Import));
    take_field(reading, channel, part, "total_act_ret_energy", register(channel, Flow::Export));
    for (name, flow) in [("aenergy", Flow::Import), ("ret_aenergy", Flow::Export)] {
        if let Some(energy) = part.object(name) {
            take_field(reading, channel, &energy, "total", register(channel, flow));
        }
    }
    note_channel(reading, channel, start);
}

/// One phase each on a device that gives their sum; else each a meter of its own.
fn take_first_generation(reading: &mut Reading, object: &Object<'_>, meters: &[&RawValue]) {
    use Quantity as Q;
    let is_three_phase = object.get("total_power").is_some() && meters.len() == 3;
    let (mut import, mut export) = (Some(Decimal::whole(0)), Some(Decimal::whole(0)));
    for (meter, channel) in meters.iter().zip(0..MAX_CHANNELS) {
        let Some(part) = Object::of(meter).filter(|part| part.get("is_valid").is_none_or(|is| is.get() == "true"))
        else {
            (import, export) = (None, None);
            continue;
        };
        let start = reading.values.len();
        let (at, phase, offset) = match PHASES.get(usize::from(channel)) {
            Some((phase, offset)) if is_three_phase => (0, *phase, *offset),
            _ => (channel, Phase::Total, 0),
        };
        for (name, c, quantity, unit) in [
            ("power", 16, Q::ActivePower(Flow::Net, phase), Unit::Watt),
            ("reactive", 3, Q::ReactivePower(Flow::Net, phase), Unit::Var),
            ("voltage", 12, Q::Voltage(phase), Unit::Volt),
            ("current", 11, Q::Current(phase), Unit::Ampere),
            ("pf", 13, Q::PowerFactor(phase), Unit::One),
        ] {
            take_field(reading, at, &part, name, on(at, now(c + offset, quantity, unit)));
        }
        for (name, flow, sum) in [("total", Flow::Import, &mut import), ("total_returned", Flow::Export, &mut export)] {
            let of_phase = Meaning { quantity: Quantity::ByCode, ..register(at, flow) };
            let of_phase = Meaning { obis: Obis { c: of_phase.obis.c + offset, ..of_phase.obis }, ..of_phase };
            take_field(reading, at, &part, name, if is_three_phase { of_phase } else { register(at, flow) });
            *sum = sum.zip(part.number(name)).and_then(|(sum, number)| sum.plus(number));
        }
        note_channel(reading, at, start);
    }
    if !is_three_phase {
        return;
    }
    take_field(reading, 0, object, "total_power", now(16, Q::ActivePower(Flow::Net, Phase::Total), Unit::Watt));
    // The device has no register of all phases; it counts each for itself, and so does their sum.
    for (sum, flow) in [(import, Flow::Import), (export, Flow::Export)] {
        if let Some(value) = sum {
            let Meaning { obis, quantity, unit, .. } = register(0, flow);
            reading.values.push(Measured { obis, channel: 0, quantity, value, unit, meter_time: None });
        }
    }
}

/// Names a child meter, if anything came of it.
fn note_channel(reading: &mut Reading, channel: u8, start: usize) {
    let is_new = channel > 0 && reading.children.iter().all(|child| child.channel != channel);
    if is_new && reading.values.len() > start {
        reading.children.push(Child { channel, medium: Medium::Electricity, equipment: None });
    }
}

fn take_field(reading: &mut Reading, channel: u8, part: &Object<'_>, key: &str, meaning: Meaning) {
    if let Some(value) = part.get(key) {
        take(reading, channel, meaning, key, value, None);
    }
}

const fn now(c: u8, quantity: Quantity, unit: Unit) -> Meaning {
    Meaning { obis: Obis::new(1, 0, c, 7, 0), quantity, unit, prefix: 0 }
}

const fn register(channel: u8, flow: Flow) -> Meaning {
    let c = if matches!(flow, Flow::Import) { 1 } else { 2 };
    let quantity = Quantity::ActiveEnergy(flow, 0);
    Meaning { obis: Obis::new(1, channel, c, 8, 0), quantity, unit: Unit::WattHour, prefix: 0 }
}

const fn on(channel: u8, meaning: Meaning) -> Meaning {
    Meaning { obis: Obis { b: channel, ..meaning.obis }, ..meaning }
}
