//! The meaning of a RAVEn fragment: demand, registers, the meter's clock.
//!
//! Numbers are hexadecimal; a value is the number times Multiplier (0 means 1) by Divisor (0 means 1), in kW or kWh. It is
//! exact where the divisor is a power of ten, as meters have it; any other quotient is rounded toward zero to 1 mW or 1 mWh.
//! DigitsRight says how a display should print and changes no value. Demand is signed: 32 bits, or 24 where the stick
//! prints six digits, in which it hands on the meter's own. What carries no energy (prices, messages, the network) is kept
//! as sent, without the stick's keys.

use crate::civil;
use crate::decimal::Decimal;
use crate::meaning::is_plausible;
use crate::obis::Obis;
use crate::reading::{
    Equipment, Flow, Measured, MeterTime, NotUnderstood, OffsetSource, Phase, Quantity, Reading, Trust, Unit,
};
use crate::xml::Element;

/// 2000-01-01 00:00 UTC, from which Zigbee counts seconds.
const EPOCH: i64 = 946_684_800;

/// Elements that are kept of one fragment: more than any has.
const MAX_KEPT: usize = 64;

/// Keys and addresses, which no one needs to see.
const SECRET: [&str; 5] = ["CoordMacId", "DeviceMacId", "InstallCode", "LinkKey", "MeterMacId"];

/// Gives a fragment its meaning.
pub(crate) fn interpret(fragment: &Element) -> Reading {
    let mut reading = Reading::new("raven", Trust::Unverified);
    reading.equipment =
        fragment.said("MeterMacId").map(|address| Equipment(address.trim_start_matches("0x").to_uppercase()));
    reading.meter_time = fragment.said("TimeStamp").and_then(number).and_then(stamp);
    match fragment.name.as_str() {
        "CurrentSummation" | "CurrentSummationDelivered" => {
            for (name, flow, code) in [("SummationDelivered", Flow::Import, 1), ("SummationReceived", Flow::Export, 2)]
            {
                if let Some(sent) = fragment.child(name) {
                    let count = number(sent.text()).and_then(|count| i64::try_from(count).ok());
                    let quantity = Quantity::ActiveEnergy(flow, 0);
                    measure(&mut reading, fragment, sent, Obis::new(1, 0, code, 8, 0), quantity, count);
                }
            }
        }
        "InstantaneousDemand" => {
            if let Some(sent) = fragment.child("Demand") {
                let quantity = Quantity::ActivePower(Flow::Net, Phase::Total);
                measure(&mut reading, fragment, sent, Obis::new(1, 0, 16, 7, 0), quantity, demand(sent.text()));
            }
        }
        "TimeCluster" => reading.meter_time = clock(fragment),
        _ => {
            if let (Some(maker), Some(model)) = (fragment.said("Manufacturer"), fragment.said("ModelId")) {
                reading.identification = format!("{maker} {model}");
            }
            for child in fragment.children.iter().filter(|child| !SECRET.contains(&child.name.as_str())).take(MAX_KEPT)
            {
                keep(&mut reading, fragment, child);
            }
        }
    }
    reading
}

/// Notes one value; keeps its element if it makes no sense.
fn measure(
    reading: &mut Reading,
    fragment: &Element,
    sent: &Element,
    obis: Obis,
    quantity: Quantity,
    count: Option<i64>,
) {
    let factor = |name: &str| match fragment.child(name) {
        None => Some(1),
        Some(factor) => number(factor.text()).and_then(|factor| u32::try_from(factor).ok()).map(|factor| factor.max(1)),
    };
    let unit = if matches!(quantity, Quantity::ActiveEnergy(..)) { Unit::WattHour } else { Unit::Watt };
    let value = count
        .filter(|count| is_plausible(quantity, Decimal::whole(*count), unit))
        .and_then(|count| scale(count, factor("Multiplier")?, factor("Divisor")?));
    match value {
        Some(value) => reading.values.push(Measured { obis, channel: 0, quantity, value, unit, meter_time: None }),
        None => keep(reading, fragment, sent),
    }
}

fn keep(reading: &mut Reading, fragment: &Element, child: &Element) {
    let text = format!("{}/{}: {}", fragment.name, child.name, child.text().escape_default());
    reading.not_understood.push(NotUnderstood { obis: None, text });
}

/// A count of thousands (kW, kWh) in single units. `None` when it overflows.
fn scale(count: i64, multiplier: u32, divisor: u32) -> Option<Decimal> {
    let count = i128::from(count) * i128::from(multiplier);
    let places = divisor.ilog10();
    let (mantissa, places, exponent) = if divisor == 10_u32.pow(places) {
        (count, places as u8, 3)
    } else {
        (count * 1_000_000 / i128::from(divisor), 3, 0)
    };
    let mantissa = i64::try_from(mantissa).ok().filter(|mantissa| mantissa.unsigned_abs() < 10_u64.pow(18))?;
    Decimal { mantissa, places }.scaled(exponent)
}

/// Power as sent, with its sign. `None` for what a meter sends when it has no value.
fn demand(text: &str) -> Option<i64> {
    let count = number(text)?;
    let digits = text.len() - 2;
    let signed = if digits == 6 && count >= 0x80_0000 {
        count as i64 - 0x100_0000
    } else if digits >= 16 {
        count as i64
    } else {
        i64::from(u32::try_from(count).ok()? as i32)
    };
    (signed != -0x80_0000 && i32::try_from(signed).is_ok_and(|signed| signed != i32::MIN)).then_some(signed)
}

/// `0x` and one to sixteen hexadecimal digits.
fn number(text: &str) -> Option<u64> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?;
    let is_number = digits.len() <= 16 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_number.then(|| u64::from_str_radix(digits, 16).ok()).flatten()
}

/// Seconds since 2000, UTC.
fn stamp(seconds: u64) -> Option<MeterTime> {
    civil::from_unix_seconds(EPOCH + i64::from(u32::try_from(seconds).ok()?))
}

/// The meter's clock, which tells its zone too.
fn clock(fragment: &Element) -> Option<MeterTime> {
    let utc = fragment.said("UTCTime").and_then(number)?;
    let time = stamp(utc)?;
    let offset = fragment
        .said("LocalTime")
        .and_then(number)
        .and_then(|local| i32::try_from(i128::from(local) - i128::from(utc)).ok())
        // No zone is further from UTC.
        .filter(|offset| offset.abs() <= 14 * 3_600);
    Some(offset.map_or(time, |offset_seconds| MeterTime { offset_seconds, offset_source: OffsetSource::Meter, ..time }))
}
