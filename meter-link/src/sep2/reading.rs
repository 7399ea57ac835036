//! The meaning of what a meter of IEEE 2030.5 lists: power and registers, by the type of each reading.
//!
//! The type decides, never the description and never the number in a link: unit, direction, power of ten, how the value
//! adds up. One thing only the description tells: a register of one tariff has the type of the total on Itron's meters, so
//! a reading that calls itself one (`TOU`) and does not say of which tariff it is left out. Forward is import. A meter that
//! gives power forward alone gives it with a sign. Maxima and the energy of intervals are left out.
//!
//! Source: IEEE 2030.5-2018 schema: ReadingType (UomType, FlowDirectionType, AccumulationBehaviourType,
//! DataQualifierType, PhaseCode), Reading; the same numbers as IEC 61968-9.

use crate::civil;
use crate::decimal::Decimal;
use crate::error::DecodeError;
use crate::meaning::is_plausible;
use crate::obis::Obis;
use crate::reading::{Equipment, Flow, Measured, MeterTime, NotUnderstood, Phase, Quantity, Reading, Trust, Unit};
use crate::xml::Element;

/// Values that are read of one meter.
const MAX_VALUES: usize = super::MAX_LISTED;

/// What a type says, as far as it is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kind {
    quantity: Sort,
    phase: Phase,
    direction: Option<Flow>,
    /// Power of ten of the value.
    prefix: i8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Energy,
    Power,
}

/// Whether readings of a type have a meaning here.
pub(super) fn is_wanted(kind: &Element) -> bool {
    Kind::of(kind).is_some()
}

impl Kind {
    fn of(kind: &Element) -> Option<Self> {
        let number = |name: &str| kind.said(name).map(|text| text.parse::<i32>());
        let plain = |name: &str| number(name).map_or(Some(0), Result::ok);
        let quantity = match (plain("uom")?, plain("accumulationBehaviour")?, plain("dataQualifier")?) {
            // Watts, now: not said, indicated, instantaneous; neither maximum nor minimum.
            (38, 0 | 6 | 12, 0 | 2 | 12) => Sort::Power,
            // Watt-hours since installation: not said, bulk, cumulative, summation.
            (72, 0 | 1 | 3 | 9, 0 | 12) => Sort::Energy,
            _ => return None,
        };
        if plain("intervalLength")? != 0 && quantity == Sort::Energy {
            return None;
        }
        let phase = match plain("phase")? {
            0 => Phase::Total,
            128 => Phase::L1,
            64 => Phase::L2,
            32 => Phase::L3,
            _ => return None,
        };
        let direction = match (plain("flowDirection")?, quantity) {
            (1, _) => Some(Flow::Import),
            (19, _) => Some(Flow::Export),
            (4, Sort::Power) => Some(Flow::Net),
            (0, Sort::Power) => None,
            _ => return None,
        };
        // Electricity, or not said.
        if !matches!(plain("commodity")?, 0..=2) {
            return None;
        }
        let prefix = i8::try_from(plain("powerOfTenMultiplier")?).ok().filter(|power| power.abs() <= 9)?;
        Some(Self { quantity, phase, direction, prefix })
    }

    /// `is_signed`: no reading of the meter gives power the other way.
    fn meaning(self, tariff: u8, is_signed: bool) -> Option<(Obis, Quantity, Unit)> {
        let offset = match self.phase {
            Phase::L1 => 20,
            Phase::L2 => 40,
            Phase::L3 => 60,
            Phase::Total | Phase::Neutral => 0,
        };
        match (self.quantity, self.direction) {
            (Sort::Energy, Some(flow @ (Flow::Import | Flow::Export))) => {
                let c = if flow == Flow::Import { 1 } else { 2 };
                let quantity = Quantity::ActiveEnergy(flow, tariff);
                (self.phase == Phase::Total).then_some((Obis::new(1, 0, c, 8, tariff), quantity, Unit::WattHour))
            }
            (Sort::Energy, _) => None,
            (Sort::Power, Some(flow @ (Flow::Import | Flow::Export))) if !is_signed || flow == Flow::Export => {
                let c = if flow == Flow::Import { 1 } else { 2 };
                Some((Obis::new(1, 0, c + offset, 7, 0), Quantity::ActivePower(flow, self.phase), Unit::Watt))
            }
            (Sort::Power, _) => {
                let quantity = Quantity::ActivePower(Flow::Net, self.phase);
                Some((Obis::new(1, 0, 16 + offset, 7, 0), quantity, Unit::Watt))
            }
        }
    }
}

/// Gives a meter's document its meaning.
pub(super) fn interpret(point: &Element) -> Result<Reading, DecodeError> {
    let mut reading = Reading::new("sep2", Trust::Unverified);
    if let Some(device) = point.child("DeviceInformation") {
        reading.identification = device.said("mfModel").unwrap_or_default().to_owned();
        reading.equipment = device.said("lFDI").map(|number| Equipment(number.to_uppercase()));
    }
    let entries = point.children.iter().filter(|entry| entry.name == "MeterReading").take(MAX_VALUES);
    let entries: Vec<_> = entries
        .filter_map(|entry| Some((entry, Kind::of(entry.child("ReadingType")?)?, entry.child("Reading")?)))
        .collect();
    let is_signed =
        !entries.iter().any(|(_, kind, _)| (kind.quantity, kind.direction) == (Sort::Power, Some(Flow::Export)));
    for (entry, kind, sent) in entries {
        take(&mut reading, entry, kind, sent, is_signed);
    }
    leave_parts(&mut reading);
    if reading.values.is_empty() && reading.not_understood.is_empty() {
        return Err(DecodeError::NoReading);
    }
    Ok(reading)
}

/// Leaves out the registers of tariffs where the total of their direction did not come: they may be some of several, and
/// their sum is then no total.
fn leave_parts(reading: &mut Reading) {
    let has = |flow| reading.values.iter().any(|value| value.quantity == Quantity::ActiveEnergy(flow, 0));
    let (import, export) = (has(Flow::Import), has(Flow::Export));
    reading.values.retain(|value| match value.quantity {
        Quantity::ActiveEnergy(Flow::Import, 1..) => import,
        Quantity::ActiveEnergy(Flow::Export, 1..) => export,
        _ => true,
    });
}

fn take(reading: &mut Reading, entry: &Element, kind: Kind, sent: &Element, is_signed: bool) {
    let description = entry.said("description").unwrap_or_default();
    let Some(text) = sent.said("value") else { return };
    let tariff = sent.said("touTier").map_or(Some(0), |tier| tier.parse::<u8>().ok());
    let is_block = sent.said("consumptionBlock").is_some_and(|block| block != "0");
    let Some(tariff) = tariff.filter(|tariff| !is_block && (*tariff > 0 || !description.contains("TOU"))) else {
        return keep(reading, description, text);
    };
    let Some((obis, quantity, unit)) = kind.meaning(tariff, is_signed) else {
        return keep(reading, description, text);
    };
    let value = Decimal::parse(text.as_bytes())
        .filter(|number| is_plausible(quantity, *number, unit))
        .and_then(|number| number.scaled(kind.prefix));
    match value {
        // The first of a kind counts.
        Some(_) if reading.values.iter().any(|known| known.obis == obis) => keep(reading, description, text),
        Some(value) => {
            // What the meter measured last tells its time.
            reading.meter_time = reading.meter_time.max(stamp(sent));
            reading.values.push(Measured { obis, channel: 0, quantity, value, unit, meter_time: None });
        }
        None => keep(reading, description, text),
    }
}

fn keep(reading: &mut Reading, description: &str, text: &str) {
    let text = format!("{description}: {}", text.escape_default()).chars().take(256).collect();
    reading.not_understood.push(NotUnderstood { obis: None, text });
}

/// The end of a reading's period: seconds since 1970 UTC.
fn stamp(reading: &Element) -> Option<MeterTime> {
    let period = reading.child("timePeriod")?;
    let start: i64 = period.said("start")?.parse().ok()?;
    let duration: u32 = period.said("duration").unwrap_or("0").parse().ok()?;
    civil::from_unix_seconds(start.checked_add(i64::from(duration))?)
}
