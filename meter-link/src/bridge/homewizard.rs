//! HomeWizard's local API: P1 meter, kWh meters, water meter and battery, versions 1 and 2.
//!
//! Both versions send one flat object, `/api/v1/data` and `/api/measurement`, with other names for the same things. Fields
//! that a device has no value for are left out. Power is positive for import. A three-phase device's total current is the
//! sum of the phases' amounts and is told as that. Gas, water and heat meters are children with stamps of their own; one
//! that is incomplete or of no known kind is kept as not understood and loses only itself.
//!
//! Refuses bodies that describe the device, its settings or its batteries' control instead of a measurement.
//!
//! Source: api-documentation.homewizard.com, versions 1 and 2.

use serde_json::value::RawValue;

use super::json::{Meaning, Object, keep, number, take};
use crate::error::DecodeError;
use crate::obis::Obis;
use crate::p1;
use crate::reading::{Child, Equipment, Flow, Medium, MeterTime, Phase, Quantity, Reading, Trust, Unit};

/// Children that are read: a P1 telegram has four channels.
const MAX_CHILDREN: usize = 16;

/// What a device says of itself at `/api`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// `HWE-P1`, `HWE-KWH3`, `HWE-WTR` …
    pub product_type: String,
    /// `3.02`.
    pub firmware_version: String,
    /// `v1`, `2.0.0`.
    pub api_version: String,
    /// Its own serial number, which is not the meter's.
    pub serial: Option<Equipment>,
}

/// Reads a measurement of either version.
pub fn decode(body: &[u8]) -> Result<Reading, DecodeError> {
    let object = Object::parse(body)?;
    if !is_measurement(&object) {
        return Err(DecodeError::NoReading);
    }
    let mut reading = Reading::new("homewizard", Trust::Unverified);
    let has_phases = ["active_current_l1_a", "current_l1_a"].iter().any(|key| object.has(key));
    for (key, value) in object.fields() {
        // Version 1 says that a thing is of now where version 2 does not.
        let plain = key.strip_prefix("active_").unwrap_or(key);
        match plain {
            "meter_model" => reading.identification = object.text(key).unwrap_or_default(),
            "unique_id" => reading.equipment = object.text(key).filter(|text| !text.is_empty()).map(Equipment),
            "timestamp" => reading.meter_time = stamp(value),
            "external" => take_external(&mut reading, key, value),
            "monthly_power_peak_w" | "montly_power_peak_w" => {
                let at = ["monthly_power_peak_timestamp", "montly_power_peak_timestamp"];
                let time = at.iter().find_map(|key| object.get(key)).and_then(stamp);
                let meaning = electricity(1, 6, 0, Quantity::DemandPeak(Flow::Import), Unit::Watt, 0);
                take(&mut reading, 0, meaning, key, value, time);
            }
            "total_liter_m3" => {
                child(&mut reading, 1, Medium::Water, None);
                take(&mut reading, 1, register(1, Unit::CubicMetre, 0), key, value, None);
            }
            _ => match meaning(plain, has_phases) {
                Some(meaning) => {
                    take(&mut reading, 0, meaning, key, value, None);
                }
                None if is_known(plain) || value.get() == "null" => (),
                None => keep(&mut reading, key, value),
            },
        }
    }
    take_old_gas(&mut reading, &object);
    Ok(reading)
}

/// Reads what a device says of itself. `None` if it is no such body.
pub fn device(body: &[u8]) -> Option<Device> {
    let object = Object::parse(body).ok()?;
    Some(Device {
        product_type: object.text("product_type")?,
        firmware_version: object.text("firmware_version").unwrap_or_default(),
        api_version: object.text("api_version")?,
        serial: object.text("serial").map(Equipment),
    })
}

/// Which version's measurement this looks like.
pub(super) fn recognise(object: &Object<'_>) -> Option<super::Kind> {
    if !is_measurement(object) {
        return None;
    }
    let is_first = object.fields().any(|(key, _)| key.starts_with("active_") || key.starts_with("total_"));
    Some(if is_first { super::Kind::HomeWizard } else { super::Kind::HomeWizard2 })
}

/// Not the batteries' control, which has a `power_w` too.
fn is_measurement(object: &Object<'_>) -> bool {
    let is_register = |key: &str| {
        ["energy_import_", "energy_export_", "total_power_", "active_power_"].iter().any(|start| key.starts_with(start))
            || matches!(key, "power_w" | "total_gas_m3" | "total_liter_m3" | "external")
    };
    !object.has("target_power_w") && object.fields().any(|(key, _)| is_register(key))
}

/// What a number means, by its key without the `active_` of version 1.
fn meaning(key: &str, has_phases: bool) -> Option<Meaning> {
    use Quantity as Q;
    if let Some(of) = key.strip_prefix("total_power_").or_else(|| key.strip_prefix("energy_")) {
        let (flow, rest) = match of.strip_prefix("import") {
            Some(rest) => (Flow::Import, rest),
            None => (Flow::Export, of.strip_prefix("export")?),
        };
        let rate = match rest {
            "_kwh" => 0,
            "_t1_kwh" => 1,
            "_t2_kwh" => 2,
            "_t3_kwh" => 3,
            "_t4_kwh" => 4,
            _ => return None,
        };
        let c = if flow == Flow::Import { 1 } else { 2 };
        return Some(electricity(c, 8, rate, Q::ActiveEnergy(flow, rate), Unit::WattHour, 3));
    }
    let (stem, phase) = ["_l1_", "_l2_", "_l3_"]
        .iter()
        .zip([Phase::L1, Phase::L2, Phase::L3])
        .find_map(|(part, phase)| key.split_once(part).map(|(stem, unit)| (format!("{stem}_{unit}"), phase)))
        .or_else(|| {
            // `power_factor_l1` has no unit behind it.
            [("_l1", Phase::L1), ("_l2", Phase::L2), ("_l3", Phase::L3)]
                .iter()
                .find_map(|(part, phase)| key.strip_suffix(part).map(|stem| (stem.to_owned(), *phase)))
        })
        .unwrap_or_else(|| (key.to_owned(), Phase::Total));
    let at = |c: u8| match phase {
        Phase::L1 => c + 20,
        Phase::L2 => c + 40,
        Phase::L3 => c + 60,
        Phase::Total | Phase::Neutral => c,
    };
    let now = |c: u8, quantity, unit| electricity(at(c), 7, 0, quantity, unit, 0);
    let count = |a: u8, c: u8, d: u8, e: u8, quantity| Meaning {
        obis: Obis::new(a, 0, c, d, e),
        quantity,
        unit: Unit::One,
        prefix: 0,
    };
    Some(match (stem.as_str(), phase) {
        ("power_w", _) => now(16, Q::ActivePower(Flow::Net, phase), Unit::Watt),
        ("voltage_v", _) => now(12, Q::Voltage(phase), Unit::Volt),
        // The sum of the phases' amounts, which is no conductor's current.
        ("current_a", Phase::Total) if has_phases => electricity(90, 7, 0, Q::ByCode, Unit::Ampere, 0),
        ("current_a", _) => now(11, Q::Current(phase), Unit::Ampere),
        ("apparent_power_va", _) => now(9, Q::ApparentPower(Flow::Net, phase), Unit::VoltAmpere),
        ("reactive_power_var", _) => now(3, Q::ReactivePower(Flow::Net, phase), Unit::Var),
        ("power_factor", _) => now(13, Q::PowerFactor(phase), Unit::One),
        ("frequency_hz", _) => now(14, Q::Frequency, Unit::Hertz),
        ("voltage_sag_count", Phase::L1 | Phase::L2 | Phase::L3) => count(1, at(12), 32, 0, Q::Count),
        ("voltage_swell_count", Phase::L1 | Phase::L2 | Phase::L3) => count(1, at(12), 36, 0, Q::Count),
        ("any_power_fail_count", _) => count(0, 96, 7, 21, Q::Count),
        ("long_power_fail_count", _) => count(0, 96, 7, 9, Q::Count),
        ("tariff", _) => count(0, 96, 14, 0, Q::Rate),
        ("average_power_15m_w" | "power_average_w", _) => electricity(1, 4, 0, Q::Demand(Flow::Import), Unit::Watt, 0),
        _ => return None,
    })
}

/// Fields that say nothing about energy, or repeat another field.
fn is_known(key: &str) -> bool {
    // Apparent and reactive current follow from the powers.
    key.starts_with("apparent_current_")
        || key.starts_with("reactive_current_")
        || matches!(
            key,
            "cycles"
                | "gas_timestamp"
                | "gas_unique_id"
                | "liter_lpm"
                | "monthly_power_peak_timestamp"
                | "montly_power_peak_timestamp"
                | "protocol_version"
                | "smr_version"
                | "state_of_charge_pct"
                | "total_gas_m3"
                | "total_liter_offset_m3"
                | "wifi_ssid"
                | "wifi_strength"
        )
}

const fn electricity(c: u8, d: u8, e: u8, quantity: Quantity, unit: Unit, prefix: i8) -> Meaning {
    Meaning { obis: Obis::new(1, 0, c, d, e), quantity, unit, prefix }
}

/// A child's register.
const fn register(channel: u8, unit: Unit, prefix: i8) -> Meaning {
    let quantity = if matches!(unit, Unit::Joule) { Quantity::Heat } else { Quantity::Volume };
    Meaning { obis: Obis::new(0, channel, 24, 2, 1), quantity, unit, prefix }
}

fn child(reading: &mut Reading, channel: u8, medium: Medium, equipment: Option<Equipment>) {
    reading.children.push(Child { channel, medium, equipment });
}

fn take_external(reading: &mut Reading, key: &str, value: &RawValue) {
    let Some(entries) = super::json::list(value) else { return keep(reading, key, value) };
    for (entry, channel) in entries.into_iter().take(MAX_CHILDREN).zip(1..) {
        if take_entry(reading, channel, entry).is_none() {
            keep(reading, key, entry);
        }
    }
}

/// One child's entry. `None` if it is incomplete or makes no sense. A stamp that makes no sense loses only itself.
fn take_entry(reading: &mut Reading, channel: u8, entry: &RawValue) -> Option<()> {
    let object = Object::of(entry)?;
    let equipment = object.text("unique_id").filter(|text| !text.is_empty())?;
    let medium = match object.text("type")?.as_str() {
        "gas_meter" => Medium::Gas,
        "heat_meter" | "inlet_heat_meter" => Medium::Heat,
        "warm_water_meter" | "water_meter" => Medium::Water,
        _ => return None,
    };
    let meaning = match object.text("unit")?.as_str() {
        "m3" => register(channel, Unit::CubicMetre, 0),
        "GJ" if medium == Medium::Heat => register(channel, Unit::Joule, 9),
        _ => return None,
    };
    let time = stamp(object.get("timestamp")?);
    let value = object.get("value")?;
    number(value)?;
    child(reading, channel, medium, Some(Equipment(equipment)));
    take(reading, channel, meaning, "value", value, time);
    Some(())
}

/// Version 1 names the gas meter a second time, outside the list; there alone in old firmware.
fn take_old_gas(reading: &mut Reading, object: &Object<'_>) {
    let Some(value) = object.get("total_gas_m3") else { return };
    if reading.children.iter().any(|child| child.medium == Medium::Gas) {
        return;
    }
    let channel = (1..=u8::MAX).find(|channel| reading.children.iter().all(|child| child.channel != *channel));
    let channel = channel.expect("fewer children than channels");
    child(reading, channel, Medium::Gas, object.text("gas_unique_id").map(Equipment));
    let time = object.get("gas_timestamp").and_then(stamp);
    take(reading, channel, register(channel, Unit::CubicMetre, 0), "total_gas_m3", value, time);
}

/// `210606140010` (version 1) or `"2024-06-28T14:12:34"` (version 2): the meter's local time without its offset. `None` if
/// it makes no sense.
fn stamp(value: &RawValue) -> Option<MeterTime> {
    let text = value.get().trim_matches('"');
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return p1::time::parse(text.as_bytes(), None);
    }
    super::stamp::parse(text)
}
