//! Every public P1 frame of the corpus beside the project, where it is there: each number with a unit, each bare number
//! of a quantity, and each stamp decodes to what the case expects.
//!
//! A case whose transmitted checksum is wrong must be refused as it stands; its values are compared with the checksum made
//! right. The project's own captures cover each variant without the corpus.

use meter_link::d0::is_d0;
use meter_link::decimal::Decimal;
use meter_link::decoder::Decoder;
use meter_link::obis::Obis;
use meter_link::p1::framer;
use meter_link::reading::{Measured, MeterTime, Reading, Unit};
use meter_link::security::KeyPair;
use serde_json::Value;

use crate::support::{Case, Outcome, decode, decode_in, json, judge_all, why};

#[test]
fn every_public_p1_frame_decodes_to_its_expected_values() {
    judge_all("p1", judge);
}

fn judge(Case { description: case, bytes, folder }: &Case) -> Result<Outcome, String> {
    let mut bytes = bytes.clone();
    let key = |name: &str| case["keys"][name].as_str();
    let keys = key("ek").and_then(|ek| KeyPair::parse(ek, key("ak").or_else(|| key("aad_key"))));
    let without_authentication = key("ek").and_then(|ek| KeyPair::parse(ek, None));
    let keys: Vec<KeyPair> = keys.into_iter().chain(without_authentication).collect();

    // A stream has more than one telegram, and ciphertext none to look at.
    let is_stream = case["expected"]["rows"].is_array();
    let split = if keys.is_empty() && !is_stream { framer::split(&bytes) } else { None };
    let refused = match split {
        Some(framer::Split { computed, sent: Some(sent), .. }) => computed != sent,
        _ => false,
    };
    if refused {
        if decode(&keys, &bytes).iter().any(Result::is_ok) {
            return Err("a wrong checksum was accepted".to_owned());
        }
        if case["nature"].as_str().is_some_and(|nature| nature.contains("negative")) {
            return Ok(Outcome::Nothing(why(&decode(&keys, &bytes))));
        }
        bytes = put_right(&bytes).ok_or("no telegram")?;
    }
    let mut decoder = Decoder::new(&keys, &[]);
    if is_d0(&bytes) {
        // One of these is D0 all the same; a home would wait for a second telegram that confirms it.
        decoder = decoder.showing_damaged();
    }
    let readings: Vec<Reading> = decode_in(&mut decoder, &bytes).into_iter().flatten().collect();

    let mut expected = case["expected"].clone();
    if let Some(plain) = expected["plaintext_case"].as_str() {
        let name = plain.rsplit('/').next().unwrap_or_default();
        expected = json(&folder.join(format!("{name}.json")))?["expected"].clone();
    }
    if let Some(rows) = expected["rows"].as_array() {
        return rows_equal(&readings, rows).map(Outcome::Right);
    }
    let reading = readings.first().ok_or("no reading")?;
    let mut right = stamp_equals(reading.meter_time, expected["timestamp"].as_str())?;
    for (code, lines) in expected["objects"].as_object().ok_or("no expectation")? {
        for line in lines.as_array().into_iter().flatten() {
            right += object_equals(reading, code, line)?;
        }
    }
    Ok(Outcome::Right(right))
}

/// The same telegram with the checksum that its bytes have.
fn put_right(bytes: &[u8]) -> Option<Vec<u8>> {
    let telegram = framer::split(bytes)?;
    Some([telegram.bytes, format!("{:04X}\r\n", telegram.computed).as_bytes()].concat())
}

/// The telegram's stamp in local time, as its meter sent it.
fn stamp_equals(found: Option<MeterTime>, expected: Option<&str>) -> Result<usize, String> {
    let Some(expected) = expected else { return Ok(0) };
    let digits: Vec<i64> = expected.bytes().filter(u8::is_ascii_digit).map(|digit| i64::from(digit - b'0')).collect();
    let pairs: Vec<i64> = digits.chunks_exact(2).map(|pair| pair[0] * 10 + pair[1]).collect();
    let &[.., month, day, hour, minute, second] = pairs.as_slice() else { return Err("no stamp expected".to_owned()) };
    let is_sense = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second < 60;
    let same = match found {
        None => !is_sense,
        Some(time) => {
            let local = time.unix_milliseconds / 1_000 + i64::from(time.offset_seconds);
            is_sense && local % 86_400 == hour * 3_600 + minute * 60 + second
        }
    };
    if same { Ok(1) } else { Err(format!("expected the stamp {expected}, found {found:?}")) }
}

/// Every number of a line is there, in base units. Gives how many there were.
fn object_equals(reading: &Reading, code: &str, line: &Value) -> Result<usize, String> {
    let groups: Vec<(&str, Option<&str>)> = line
        .as_array()
        .into_iter()
        .flatten()
        .map(|group| (group[0].as_str().unwrap_or_default(), group[1].as_str()))
        .collect();
    // Gas as it was in DSMR 2.2 and 3: code and unit stand before the number.
    if let (true, [.., (code, _), (unit, _), (number, _)]) = (code.ends_with(":24.3.0"), groups.as_slice()) {
        return number_equals(reading, code, number, unit).map(|()| 1);
    }
    // A line that is no code is kept; nothing in it is a number we know.
    if Obis::parse(code.as_bytes()).is_none() {
        return Ok(0);
    }
    let mut right = 0;
    for (number, unit) in groups {
        match unit {
            // How long the power was away: part of a log, which is kept as it is.
            Some("s") => continue,
            Some(unit) => number_equals(reading, code, number, unit)?,
            None if is_bare_quantity(code) => number_equals(reading, code, number, "")?,
            None => continue,
        }
        right += 1;
    }
    Ok(right)
}

/// Power factors, sags and swells, failures, the rate: numbers without a unit.
fn is_bare_quantity(code: &str) -> bool {
    let electricity = code.starts_with("1-") && [".7.0", ".32.0", ".36.0"].iter().any(|end| code.ends_with(end));
    electricity || ["0-0:96.14.0", "0-0:96.7.21", "0-0:96.7.9"].contains(&code)
}

fn number_equals(reading: &Reading, code: &str, number: &str, unit: &str) -> Result<(), String> {
    let obis = Obis::parse(code.as_bytes()).ok_or(format!("{code} is no code"))?;
    if reading.values.iter().any(|value| value.obis == obis && same(value, number, unit)) {
        return Ok(());
    }
    let found: Vec<_> = reading.values.iter().filter(|value| value.obis == obis).map(|value| value.value).collect();
    Err(format!("{code}: expected {number} {unit}, found {found:?}"))
}

fn same(found: &Measured, number: &str, unit: &str) -> bool {
    base(number, unit).is_some_and(|(value, unit)| {
        // Compare as values: 0.98 kW is 980 W however many places it was sent with.
        let scale = |decimal: Decimal| i128::from(decimal.mantissa) * 10_i128.pow(18 - u32::from(decimal.places));
        unit == found.unit && scale(value) == scale(found.value)
    })
}

fn base(number: &str, unit: &str) -> Option<(Decimal, Unit)> {
    let (unit, exponent) = match unit.to_ascii_lowercase().as_str() {
        "kwh" => (Unit::WattHour, 3),
        "wh" => (Unit::WattHour, 0),
        "kw" => (Unit::Watt, 3),
        "w" => (Unit::Watt, 0),
        "kvar" => (Unit::Var, 3),
        "var" => (Unit::Var, 0),
        "kvarh" => (Unit::VarHour, 3),
        "varh" => (Unit::VarHour, 0),
        "kva" => (Unit::VoltAmpere, 3),
        "v" => (Unit::Volt, 0),
        "a" => (Unit::Ampere, 0),
        "hz" => (Unit::Hertz, 0),
        "m3" => (Unit::CubicMetre, 0),
        "gj" => (Unit::Joule, 9),
        "" => (Unit::One, 0),
        _ => return None,
    };
    Some((Decimal::parse(number.as_bytes())?.scaled(exponent)?, unit))
}

/// A stream: its columns are the telegram's time, 1.8.1, 1.8.2 and 1.7.0.
fn rows_equal(readings: &[Reading], rows: &[Value]) -> Result<usize, String> {
    if readings.len() != rows.len() {
        return Err(format!("expected {} readings, found {}", rows.len(), readings.len()));
    }
    let mut right = 0;
    for (reading, row) in readings.iter().zip(rows) {
        let columns = [("1-0:1.8.1", "kWh"), ("1-0:1.8.2", "kWh"), ("1-0:1.7.0", "kW")];
        for (column, (code, unit)) in columns.iter().enumerate() {
            number_equals(reading, code, row[column + 1].as_str().unwrap_or_default(), unit)?;
            right += 1;
        }
    }
    Ok(right)
}
