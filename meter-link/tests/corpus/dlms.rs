//! DLMS/COSEM push: every value under a code, every value that another program gives by name, every trust.

use std::collections::BTreeMap;

use meter_link::decimal::Decimal;
use meter_link::decoder::Decoder;
use meter_link::obis::Obis;
use meter_link::reading::{Reading, Trust};
use meter_link::security::KeyPair;
use serde_json::Value;

use crate::support::{Case, Outcome, decode, judge_all, why};

#[test]
fn every_public_notification_decodes_to_its_expected_values() {
    judge_all("dlms", judge);
    judge_all("dlms_synth", judge);
}

fn judge(Case { description: case, bytes, .. }: &Case) -> Result<Outcome, String> {
    let key = |name: &str| case["keys"][name].as_str();
    let pair = |ek: &str, ak: &str| key(ek).and_then(|text| KeyPair::parse(text, key(ak)));
    let keys: Vec<KeyPair> = pair("ek2", "ak2").into_iter().chain(pair("ek", "ak")).collect();
    if key("ek2").is_some() {
        return judge_stream(case, &keys, bytes);
    }
    let results = decode(&keys, bytes);
    let readings: Vec<&Reading> = results.iter().filter_map(|result| result.as_ref().ok()).collect();
    let messages: Vec<&Value> = case["expected"]["messages"].as_array().into_iter().flatten().collect();
    let expected: Vec<&Value> = messages
        .iter()
        .copied()
        .filter(|message| !message["tree"].is_null() && message["decrypted_in_place"].is_null())
        .collect();
    if expected.is_empty() {
        return match readings.first() {
            None => Ok(Outcome::Nothing(why(&results))),
            Some(first) if case["expected"]["athombv_expected"].is_object() => Ok(Outcome::Right(first.values.len())),
            Some(_) => Err("a reading where none can be".to_owned()),
        };
    }
    if readings.len() != expected.len() {
        return Err(format!("expected {} readings, found {results:?}", expected.len()));
    }
    let mut right = 0;
    for (reading, message) in readings.into_iter().zip(&expected) {
        right += compare(reading, message)?;
        let control = message["general_glo"]["security_control"].as_str().or(message["security_control"].as_str());
        let trust = match control.map(|text| u8::from_str_radix(text, 16).unwrap_or(0)) {
            Some(control) if control & 0x10 != 0 => Trust::Authenticated,
            Some(_) => Trust::Unverified,
            None if message["transport"] == "raw-apdu" => Trust::Unverified,
            None => Trust::Checked,
        };
        if reading.trust != trust {
            return Err(format!("expected {trust:?}, found {:?}", reading.trust));
        }
    }
    if right == 0 {
        return Err(format!("nothing was compared: {expected:?}"));
    }
    Ok(Outcome::Right(right))
}

/// A recording with replays, forgeries and a change of keys: each message is accepted or refused as the case says.
fn judge_stream(case: &Value, keys: &[KeyPair], bytes: &[u8]) -> Result<Outcome, String> {
    let messages = case["expected"]["messages"].as_array().ok_or("no messages")?;
    let switch = case["keys"]["switch_offset"].as_u64().ok_or("no switch")? as usize;
    let mut decoder = Decoder::new(&keys[1..], &[]);
    let mut results = Vec::new();
    let mut run = |decoder: &mut Decoder, mut bytes: &[u8]| {
        while !bytes.is_empty() {
            let taken = decoder.handle_bytes(bytes);
            bytes = &bytes[taken..];
            results.extend(std::iter::from_fn(|| decoder.poll_reading()));
        }
    };
    run(&mut decoder, &bytes[..switch]);
    // The household has typed in the new key: the meter's task starts anew with both and the counters it kept.
    let mut decoder = Decoder::new(keys, decoder.counters());
    run(&mut decoder, &bytes[switch..]);
    let accepted: Vec<bool> = results.iter().map(Result::is_ok).collect();
    let expected: Vec<bool> = messages.iter().map(|message| message["accepted"] == true).collect();
    if accepted == expected {
        Ok(Outcome::Right(accepted.len()))
    } else {
        Err(format!("expected {expected:?}, found {results:?}"))
    }
}

/// Compares one reading with what a case expects of it; gives how many values.
fn compare(reading: &Reading, message: &Value) -> Result<usize, String> {
    let mut right = 0;
    for (code, entry) in message["values"].as_object().into_iter().flatten() {
        let Some(obis) = Obis::parse(code.as_bytes()) else { continue };
        let number = if entry["value"].is_number() { &entry["value"] } else { &entry["raw"] };
        if !number.is_number() || (obis.c, obis.d) == (0, 0) {
            continue;
        }
        let found = reading.values.iter().find(|value| value.obis == obis).ok_or(format!("{code} is missing"))?;
        // Without a scaler on the wire only the digits can be compared.
        let same = if entry["value"].is_number() {
            equal(found.value, number)
        } else {
            digits(found.value) == digits(decimal(number)?)
        };
        if !same {
            return Err(format!("{code}: expected {number}, found {}", found.value));
        }
        right += 1;
    }
    for (name, number) in message["amshan"].as_object().into_iter().flatten() {
        let Some(obis) = by_name().get(name.as_str()).copied().filter(|_| number.is_number()) else { continue };
        let found = reading
            .values
            .iter()
            .find(|value| (value.obis.c, value.obis.d, value.obis.e) == (obis.0, obis.1, 0))
            .ok_or(format!("{name} is missing"))?;
        let is_raw_energy = obis.1 == 8 && message["values"]["1-1:1.8.0"]["value"].is_null();
        if !(equal(found.value, number) || is_raw_energy && digits(found.value) == digits(decimal(number)?)) {
            return Err(format!("{name}: expected {number}, found {}", found.value));
        }
        right += 1;
    }
    // Positional lists that nothing names: the numbers themselves, in order.
    if right == 0 {
        let tree = numbers(&message["tree"]);
        for value in &reading.values {
            if !tree.iter().any(|number| digits(*number) == digits(value.value)) {
                return Err(format!("{} was never sent", value.value));
            }
            right += 1;
        }
    }
    Ok(right)
}

fn numbers(tree: &Value) -> Vec<Decimal> {
    match tree {
        Value::Number(_) => decimal(tree).into_iter().collect(),
        Value::Array(elements) => elements.iter().flat_map(numbers).collect(),
        _ => Vec::new(),
    }
}

fn decimal(number: &Value) -> Result<Decimal, String> {
    Decimal::parse(number.to_string().as_bytes()).ok_or(format!("{number} is no number"))
}

/// The significant digits, wherever the point stands.
fn digits(value: Decimal) -> i64 {
    let mut digits = value.mantissa;
    while digits != 0 && digits % 10 == 0 {
        digits /= 10;
    }
    digits
}

/// Whether a value is a number that another program printed, some with the dust of binary fractions.
fn equal(value: Decimal, number: &Value) -> bool {
    let scaled = |value: Decimal| i128::from(value.mantissa) * 10_i128.pow(18 - u32::from(value.places));
    decimal(number).is_ok_and(|number| (scaled(value) - scaled(number)).abs() < 10_i128.pow(6))
}

fn by_name() -> BTreeMap<&'static str, (u8, u8)> {
    let mut names = BTreeMap::from([
        ("active_power_import", (1, 7)),
        ("active_power_export", (2, 7)),
        ("reactive_power_import", (3, 7)),
        ("reactive_power_export", (4, 7)),
        ("active_power_import_total", (1, 8)),
        ("active_power_export_total", (2, 8)),
        ("reactive_power_import_total", (3, 8)),
        ("reactive_power_export_total", (4, 8)),
    ]);
    for (phase, names_of) in [
        (20, ["current_l1", "voltage_l1", "active_power_import_l1", "active_power_export_l1"]),
        (40, ["current_l2", "voltage_l2", "active_power_import_l2", "active_power_export_l2"]),
        (60, ["current_l3", "voltage_l3", "active_power_import_l3", "active_power_export_l3"]),
    ] {
        names.extend(names_of.into_iter().zip([(phase + 11, 7), (phase + 12, 7), (phase + 1, 7), (phase + 2, 7)]));
    }
    names
}
