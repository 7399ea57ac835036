//! Rainforest EAGLE-200 and EAGLE-3: what the device says of its meter, and what it is asked.
//!
//! A body is one `Device` with its variables, already in kilowatts and kilowatt-hours; older EAGLEs upload the fragments that
//! RAVEn sticks print, alone or in an envelope. The time of a reading is when the device heard its meter last, so what it
//! repeats of a meter that is gone is known to be old.
//!
//! Refuses a meter that is not connected. A device that was started a moment ago has not heard its meter yet and says zero:
//! beside an import register of zero no zero is a value. A demand that the device forgot to sign is signed here. Prices,
//! messages and the network are kept as sent.
//!
//! Source: Rainforest Automation, EAGLE-200 Local API manual 1.0; EAGLE Uploader API manual; Zigbee Smart Energy profile 1.1,
//! attributes of metering.

use std::borrow::Cow;

use crate::civil;
use crate::decimal::Decimal;
use crate::error::DecodeError;
use crate::health::LinkProblem;
use crate::meaning::is_plausible;
use crate::obis::Obis;
use crate::raven;
use crate::reading::{Equipment, Flow, Measured, MeterTime, NotUnderstood, Phase, Quantity, Reading, Trust, Unit};
use crate::xml::Element;

/// Which devices are joined, the meter among them.
pub const DEVICES: &str = "<Command><Name>device_list</Name></Command>";

/// Variables that are read of one device: three times as many as any has.
const MAX_VARIABLES: usize = 128;
/// Things that are kept when they are not understood.
const MAX_KEPT: usize = 64;
/// Characters that are kept of each.
const MAX_TEXT: usize = 256;

/// What asks for all that the device knows of one meter.
pub fn query(address: &str) -> String {
    format!(
        "<Command><Name>device_query</Name><DeviceDetails><HardwareAddress>{address}</HardwareAddress></DeviceDetails>\
         <Components><All>Y</All></Components></Command>"
    )
}

/// The address of the meter in a list of devices: of several electricity meters the connected one, heard last. The error
/// says why there is none: `Silent`, one is listed and not connected; `Unrecognised`, none, or no list.
pub fn choose(list: &[u8]) -> Result<String, LinkProblem> {
    let list = Element::parse(&mended(list)).ok_or(LinkProblem::Unrecognised)?;
    let is_address = |text: &str| {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        (1..=16).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
    };
    let meters = list.children.iter().filter(|device| {
        device.name == "Device"
            && device.said("ModelId") == Some("electric_meter")
            && device.said("HardwareAddress").is_some_and(is_address)
    });
    let mut found = Err(LinkProblem::Unrecognised);
    let mut heard = None;
    for device in meters {
        let contact = device.said("LastContact").and_then(contact).map(|time| time.unix_milliseconds);
        if !is_connected(device) {
            found = found.or(Err(LinkProblem::Silent));
        } else if found.is_err() || contact > heard {
            heard = contact;
            found = device.said("HardwareAddress").map(str::to_owned).ok_or(LinkProblem::Unrecognised);
        }
    }
    found
}

/// Reads a body.
pub fn decode(body: &[u8]) -> Result<Reading, DecodeError> {
    if body.len() > super::MAX_BODY {
        return Err(DecodeError::TooLong { limit: super::MAX_BODY });
    }
    let root = Element::parse(&mended(body)).ok_or(DecodeError::Malformed { offset: 0 })?;
    let mut reading = Reading::new("eagle", Trust::Unverified);
    match root.name.as_str() {
        "Device" => take_device(&mut reading, &root)?,
        name if name.eq_ignore_ascii_case("rainforest") => {
            root.children.iter().for_each(|fragment| take_fragment(&mut reading, fragment));
        }
        _ => take_fragment(&mut reading, &root),
    }
    if reading.values.is_empty() && reading.not_understood.is_empty() {
        return Err(DecodeError::NoReading);
    }
    Ok(reading)
}

/// Whether a document is what one of these devices says of a meter.
pub(super) fn is_measurement(body: &[u8]) -> bool {
    let Some(root) = Element::parse(&mended(body)) else { return false };
    match root.name.as_str() {
        "Device" => root.child("Components").is_some(),
        name if name.eq_ignore_ascii_case("rainforest") => root.children.iter().any(is_fragment),
        _ => is_fragment(&root),
    }
}

fn is_fragment(element: &Element) -> bool {
    matches!(element.name.as_str(), "CurrentSummation" | "CurrentSummationDelivered" | "InstantaneousDemand")
}

/// A fragment as the older devices upload it.
fn take_fragment(reading: &mut Reading, fragment: &Element) {
    let Reading { equipment, meter_time, mut values, mut not_understood, .. } = raven::reading::interpret(fragment);
    reading.equipment = reading.equipment.take().or(equipment);
    reading.meter_time = reading.meter_time.max(meter_time);
    reading.values.append(&mut values);
    not_understood.truncate(MAX_KEPT.saturating_sub(reading.not_understood.len()));
    reading.not_understood.append(&mut not_understood);
}

fn take_device(reading: &mut Reading, device: &Element) -> Result<(), DecodeError> {
    let details = device.child("DeviceDetails").ok_or(DecodeError::NoReading)?;
    if !is_connected(details) {
        return Err(DecodeError::NoReading);
    }
    reading.meter_time = details.said("LastContact").and_then(contact);
    reading.equipment =
        details.said("HardwareAddress").map(|address| Equipment(address.trim_start_matches("0x").to_uppercase()));
    let variables: Vec<Variable<'_>> = device
        .child("Components")
        .map(|components| components.children.as_slice())
        .unwrap_or_default()
        .iter()
        .filter_map(|component| component.child("Variables"))
        .flat_map(|variables| &variables.children)
        .filter_map(Variable::of)
        .take(MAX_VARIABLES)
        .collect();
    let divisor = variables.iter().find(|variable| variable.name == "zigbee:Divisor");
    let divisor = divisor.and_then(|divisor| divisor.text.parse().ok()).unwrap_or(1_000);
    let is_unheard = variables.iter().any(|variable| variable.name == IMPORT && variable.number().is_some_and(is_zero));
    for variable in &variables {
        match variable.meaning() {
            Some((obis, quantity)) if variable.number().is_none_or(|number| !is_unheard || !is_zero(number)) => {
                take(reading, variable, obis, quantity, divisor);
            }
            // Applied already.
            None if matches!(variable.name, "zigbee:Divisor" | "zigbee:Multiplier") => (),
            _ => keep(reading, variable),
        }
    }
    Ok(())
}

/// The meter's import register, which no meter in use has at zero.
const IMPORT: &str = "zigbee:CurrentSummationDelivered";

/// One variable of a device that has a value.
struct Variable<'a> {
    name: &'a str,
    /// The number, without its unit.
    text: &'a str,
    /// Beside the number or behind it. `None`: as the manual says.
    unit: Option<&'a str>,
}

impl<'a> Variable<'a> {
    fn of(element: &'a Element) -> Option<Self> {
        let (name, value) = (element.said("Name")?, element.said("Value")?);
        let is_number = value.starts_with(|start: char| start.is_ascii_digit() || start == '-');
        let (text, unit) = match value.split_once(' ') {
            Some((number, unit)) if is_number => (number, Some(unit.trim())),
            _ => (value, element.said("Units")),
        };
        Some(Self { name, text, unit })
    }

    fn meaning(&self) -> Option<(Obis, Quantity)> {
        Some(match self.name {
            IMPORT => (Obis::new(1, 0, 1, 8, 0), Quantity::ActiveEnergy(Flow::Import, 0)),
            "zigbee:CurrentSummationReceived" => (Obis::new(1, 0, 2, 8, 0), Quantity::ActiveEnergy(Flow::Export, 0)),
            "zigbee:InstantaneousDemand" => (Obis::new(1, 0, 16, 7, 0), Quantity::ActivePower(Flow::Net, Phase::Total)),
            _ => return None,
        })
    }

    fn number(&self) -> Option<Decimal> {
        Decimal::parse(self.text.as_bytes())
    }
}

/// Takes a value in its unit; keeps it where it makes no sense.
fn take(reading: &mut Reading, variable: &Variable<'_>, obis: Obis, quantity: Quantity, divisor: i64) {
    let is_energy = matches!(quantity, Quantity::ActiveEnergy(..));
    let unit = if is_energy { Unit::WattHour } else { Unit::Watt };
    let prefix = match (is_energy, variable.unit) {
        (true, Some("kWh") | None) | (false, Some("kW") | None) => Some(3),
        (true, Some("Wh")) | (false, Some("W")) => Some(0),
        _ => None,
    };
    let number = variable.number().filter(|number| !is_sentinel(*number, divisor));
    let number = if is_energy { number } else { number.and_then(|number| signed(number, divisor)) };
    let value = number.filter(|number| is_plausible(quantity, *number, unit)).and_then(|number| number.scaled(prefix?));
    match value {
        Some(value) => reading.values.push(Measured { obis, channel: 0, quantity, value, unit, meter_time: None }),
        None => keep(reading, variable),
    }
}

fn keep(reading: &mut Reading, variable: &Variable<'_>) {
    if reading.not_understood.len() < MAX_KEPT {
        let text = format!("{}: {}", variable.name, variable.text.escape_default()).chars().take(MAX_TEXT).collect();
        reading.not_understood.push(NotUnderstood { obis: None, text });
    }
}

/// What the meter sent, before the device divided it. `None` where that is no whole number.
fn raw(number: Decimal, divisor: i64) -> Option<i64> {
    let places = 10_i64.checked_pow(u32::from(number.places))?;
    let product = number.mantissa.checked_mul(divisor)?;
    (product % places == 0).then_some(product / places)
}

/// Whether the meter sent what meters send when they have no value.
fn is_sentinel(number: Decimal, divisor: i64) -> bool {
    raw(number, divisor).is_some_and(crate::meaning::is_sentinel)
}

/// A demand with its sign. The meter sends 24 bits, some firmware reads them, or 32 made of them, as a number above zero;
/// no home reaches half of that. `None` when it overflows.
fn signed(number: Decimal, divisor: i64) -> Option<Decimal> {
    let wrap = match raw(number, divisor) {
        Some(0x80_0000..=0xFF_FFFF) => 1_i64 << 24,
        Some(0x8000_0000..=0xFFFF_FFFF) => 1 << 32,
        _ => return Some(number),
    };
    let places = 10_i64.checked_pow(u32::from(number.places))?;
    let mantissa = number.mantissa - wrap.checked_mul(places)? / divisor;
    Some(Decimal { mantissa, ..number })
}

const fn is_zero(number: Decimal) -> bool {
    number.mantissa == 0
}

/// Whether the device hears this meter. `Connected`; where it does not say, it does.
fn is_connected(device: &Element) -> bool {
    device.said("ConnectionStatus").is_none_or(|status| status.eq_ignore_ascii_case("connected"))
}

/// When the device heard its meter last: seconds since 1970 UTC, in hexadecimal digits. `None`: never.
fn contact(text: &str) -> Option<MeterTime> {
    let digits = text.strip_prefix("0x")?;
    civil::from_unix_seconds(i64::from_str_radix(digits, 16).ok()?)
}

/// A document in which every `&` that begins nothing stands for itself: labels of tariffs come with a bare one.
fn mended(body: &[u8]) -> Cow<'_, [u8]> {
    let is_bare = |at: usize| {
        let rest = &body[at + 1..];
        let name = rest.iter().take(8).take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'#').count();
        name == 0 || rest.get(name) != Some(&b';')
    };
    if !memchr::memchr_iter(b'&', body).any(is_bare) {
        return Cow::Borrowed(body);
    }
    let mut mended = Vec::with_capacity(body.len() + 64);
    for (at, byte) in body.iter().enumerate() {
        mended.push(*byte);
        if *byte == b'&' && is_bare(at) {
            mended.extend_from_slice(b"amp;");
        }
    }
    Cow::Owned(mended)
}
