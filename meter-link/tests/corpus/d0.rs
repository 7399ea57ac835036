//! Every public D0 telegram of the corpus beside the project, where it is there: each number with a unit (and each energy
//! without one) decodes to what the case expects, past periods under their own code, the clock to its local time.

use meter_link::d0::is_d0;
use meter_link::decimal::Decimal;
use meter_link::decoder::Decoder;
use meter_link::parity::with_parity;
use meter_link::reading::{Quantity, Reading, Trust, Unit};
use serde_json::Value;

use crate::support::{Case, Outcome, decode_in, judge_all};

#[test]
fn every_public_d0_telegram_decodes_to_its_expected_values() {
    judge_all("d0", judge);
}

fn judge(Case { description: case, bytes, .. }: &Case) -> Result<Outcome, String> {
    let parity: Vec<u8> = bytes.iter().copied().map(with_parity).collect();
    let reading = one(bytes)?;
    if one(&parity)? != reading {
        return Err("read differently with its parity bits".to_owned());
    }
    if !is_d0(bytes) {
        return Err("taken for P1".to_owned());
    }
    let expected = &case["expected"];
    if expected["identification"].as_str() != Some(&reading.identification) {
        return Err(format!("identified as {}", reading.identification));
    }
    let is_checked = case["checks"]["bcc_ok"].as_bool() == Some(true);
    if is_checked != (reading.trust == Trust::Checked) {
        return Err(format!("{:?}", reading.trust));
    }
    let mut right = 0;
    for (code, lines) in expected["objects"].as_object().ok_or("no expectation")? {
        for group in lines.as_array().into_iter().flatten().filter_map(|line| line.get(0)) {
            let (number, unit) = (group[0].as_str().unwrap_or_default(), group[1].as_str());
            right += usize::from(object_equals(&reading, code, number, unit)?);
        }
    }
    clock_equals(&reading, &expected["objects"]).map(|clocks| Outcome::Right(right + clocks))
}

/// The one telegram of a recording. A home would wait for a second one that confirms it.
fn one(bytes: &[u8]) -> Result<Reading, String> {
    let mut readings = decode_in(&mut Decoder::new(&[], &[]).showing_damaged(), bytes)
        .into_iter()
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| error.to_string())?;
    if readings.len() == 1 { readings.pop().ok_or(String::new()) } else { Err(format!("{} readings", readings.len())) }
}

/// Whether the object had something to compare; an error if that was wrong.
fn object_equals(reading: &Reading, code: &str, text: &str, unit: Option<&str>) -> Result<bool, String> {
    let unit = match unit {
        // Angles have no unit of ours.
        Some("deg") => return Ok(false),
        None if code.contains(".8.") && code.ends_with("*255") => "kWh",
        None => return Ok(false),
        Some(unit) => unit,
    };
    let (exponent, unit) = match unit {
        "kWh" => (3, Unit::WattHour),
        "kW" => (3, Unit::Watt),
        "W" => (0, Unit::Watt),
        "V" => (0, Unit::Volt),
        "A" => (0, Unit::Ampere),
        "Hz" => (0, Unit::Hertz),
        other => return Err(format!("{code}: a new unit: {other}")),
    };
    let full = if code.contains(':') { code.to_owned() } else { format!("1-0:{code}") };
    let full = if full.matches('.').count() == 1 { format!("{full}.0") } else { full };
    let full = full.replace("*255", "").replace("*0", "*");
    let digits = text.strip_prefix('+').unwrap_or(text).as_bytes();
    let number = Decimal::parse(digits).and_then(|number| number.scaled(exponent)).ok_or("no number expected")?;
    let found = reading.values.iter().find(|value| value.obis.to_string() == full);
    let found = found.ok_or(format!("{full} is missing"))?;
    if (found.value, found.unit) != (number, unit) {
        return Err(format!("{full}: expected {number}, found {}", found.value));
    }
    if full.contains('*') && found.quantity != Quantity::ByCode {
        return Err(format!("{full} was taken for the current value"));
    }
    Ok(true)
}

/// The clock in two objects, as local time.
fn clock_equals(reading: &Reading, objects: &Value) -> Result<usize, String> {
    let text = |code: &str| objects[code][0][0][0].as_str();
    let Some(time) = text("1-0:0.9.1*255") else { return Ok(0) };
    let number: i64 = time.parse().map_err(|_| "no time expected")?;
    let expected = number / 10_000 * 3_600 + number / 100 % 100 * 60 + number % 100;
    let found = reading.meter_time.ok_or("no clock")?;
    let local = found.unix_milliseconds / 1_000 + i64::from(found.offset_seconds);
    if local % 86_400 == expected { Ok(1) } else { Err("the clock is wrong".to_owned()) }
}
