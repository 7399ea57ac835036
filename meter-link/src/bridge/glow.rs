//! Hildebrand Glow, the display for British smart meters: what it publishes to a local MQTT broker.
//!
//! Topics are `glow/<id>/SENSOR/electricitymeter`, `…/SENSOR/gasmeter` and `…/STATE`, where the id is the display's. Stamps
//! are UTC. The gas meter is a child, told in kilowatt-hours that the display has computed, and in cubic metres by newer
//! ones; its stamp is its own, half an hour old as a rule. The MPAN and MPRN name the household's supply, not a meter, and
//! are not read; neither are prices, nor the sums of day, week and month, which follow from the registers.
//!
//! Refuses the state of the display itself, which is no measurement.
//!
//! Source: docs.glowmarkt.com, local MQTT; the bodies that displays send.

use super::json::{Meaning, Object, take};
use crate::country::Country;
use crate::error::DecodeError;
use crate::obis::Obis;
use crate::reading::{Child, Flow, Medium, Phase, Quantity, Reading, Trust, Unit};

/// The channel of the gas meter.
const GAS: u8 = 1;

/// Reads a message by its topic. One whose topic and content tell of different meters is refused.
pub fn decode_topic(topic: &str, payload: &[u8]) -> Result<Reading, DecodeError> {
    let named = topic.rsplit('/').next().unwrap_or_default();
    let object = Object::parse(payload)?;
    if object.get(named).is_none() { Err(DecodeError::NoReading) } else { read(&object) }
}

/// Reads a message by its content.
pub fn decode(body: &[u8]) -> Result<Reading, DecodeError> {
    read(&Object::parse(body)?)
}

pub(super) fn is_measurement(object: &Object<'_>) -> bool {
    object.has("electricitymeter") || object.has("gasmeter")
}

fn read(object: &Object<'_>) -> Result<Reading, DecodeError> {
    let mut reading = Reading::new("glow", Trust::Unverified);
    reading.country = Some(Country::Gb);
    let (electricity, gas) = (object.object("electricitymeter"), object.object("gasmeter"));
    if electricity.is_none() && gas.is_none() {
        return Err(DecodeError::NoReading);
    }
    if let Some(meter) = electricity {
        take_electricity(&mut reading, &meter);
    }
    if let Some(meter) = gas {
        take_gas(&mut reading, &meter);
    }
    Ok(reading)
}

fn take_electricity(reading: &mut Reading, meter: &Object<'_>) {
    reading.meter_time = meter.text("timestamp").as_deref().and_then(super::stamp::parse);
    let energy = meter.object("energy");
    for (key, c, flow) in [("import", 1, Flow::Import), ("export", 2, Flow::Export)] {
        let Some(register) = energy.as_ref().and_then(|energy| energy.object(key)) else { continue };
        let unit = register.text("units");
        take_number(reading, 0, &register, "cumulative", unit, |prefix| Meaning {
            obis: Obis::new(1, 0, c, 8, 0),
            quantity: Quantity::ActiveEnergy(flow, 0),
            unit: Unit::WattHour,
            prefix,
        });
    }
    if let Some(power) = meter.object("power") {
        let unit = power.text("units");
        take_number(reading, 0, &power, "value", unit, |prefix| Meaning {
            obis: Obis::new(1, 0, 16, 7, 0),
            quantity: Quantity::ActivePower(Flow::Net, Phase::Total),
            unit: Unit::Watt,
            prefix,
        });
    }
}

fn take_gas(reading: &mut Reading, meter: &Object<'_>) {
    reading.children.push(Child { channel: GAS, medium: Medium::Gas, equipment: None });
    let start = reading.values.len();
    let Some(register) = meter.object("energy").and_then(|energy| energy.object("import")) else { return };
    let volume = register.text("cumulativevolunits").unwrap_or_else(|| "m3".to_owned());
    if let Some(value) = register.get("cumulativevol").filter(|_| volume == "m3") {
        let obis = Obis::new(0, GAS, 24, 2, 1);
        let meaning = Meaning { obis, quantity: Quantity::Volume, unit: Unit::CubicMetre, prefix: 0 };
        take(reading, GAS, meaning, "cumulativevol", value, None);
    }
    let unit = register.text("units");
    take_number(reading, GAS, &register, "cumulative", unit, |prefix| Meaning {
        // No quantity of its own: the display's arithmetic, not the meter's register.
        obis: Obis::new(0, GAS, 24, 2, 2),
        quantity: Quantity::ByCode,
        unit: Unit::WattHour,
        prefix,
    });
    let time = meter.text("timestamp").as_deref().and_then(super::stamp::parse);
    reading.values[start..].iter_mut().for_each(|value| value.meter_time = time);
}

/// Takes a number in a unit that is named beside it; of a unit we do not know it is kept as not understood.
fn take_number(
    reading: &mut Reading,
    channel: u8,
    object: &Object<'_>,
    key: &str,
    unit: Option<String>,
    meaning: impl Fn(i8) -> Meaning,
) {
    let Some(value) = object.get(key) else { return };
    let prefix = match unit.as_deref() {
        Some("kW" | "kWh") | None => 3,
        Some("W" | "Wh") => 0,
        Some(_) => return super::json::keep(reading, key, value),
    };
    let meaning = meaning(prefix);
    let is_negative = super::json::number(value).is_some_and(|number| number.mantissa < 0);
    if is_negative && meaning.unit == Unit::WattHour {
        return super::json::keep(reading, key, value);
    }
    take(reading, channel, meaning, key, value, None);
}
