//! Every public SML capture of the corpus beside the project, where it is there: each number of each frame decodes to
//! what the case expects, and nothing else is read; the meters that wait for their PIN are told apart.

use meter_link::decimal::Decimal;
use meter_link::obis::Obis;
use meter_link::reading::{Reading, Trust, Unit};
use serde_json::Value;

use crate::support::{Case, Outcome, decode, judge_all};

#[test]
fn every_public_sml_frame_decodes_to_its_expected_values() {
    judge_all("sml", judge);
}

fn judge(Case { description: case, bytes, .. }: &Case) -> Result<Outcome, String> {
    let readings: Vec<Reading> = decode(&[], bytes).into_iter().flatten().collect();
    let frames = case["expected"]["frames"].as_array().ok_or("no frames expected")?;
    if readings.len() != frames.len() {
        return Err(format!("expected {} readings, found {}", frames.len(), readings.len()));
    }
    let waits = case["id"].as_str().is_some_and(|id| id.contains("without_PIN"));
    let mut right = 0;
    for (index, (reading, frame)) in readings.iter().zip(frames).enumerate() {
        right += frame_equals(reading, frame).map_err(|reason| format!("frame {index}: {reason}"))?;
        if reading.reduced != waits {
            return Err(format!("frame {index}: expected to wait for a PIN: {waits}"));
        }
    }
    Ok(Outcome::Right(right))
}

/// Every number is there, no other is, and the identifier is the meter's.
fn frame_equals(reading: &Reading, frame: &Value) -> Result<usize, String> {
    let entries = frame["entries"].as_array().ok_or("no entries expected")?;
    let mut numbers = 0;
    for entry in entries {
        let obis = obis(entry["obis"].as_str().unwrap_or_default()).ok_or("no code")?;
        let Some(number) = entry["value"].as_i64() else { continue };
        numbers += 1;
        let unit = match entry["unit"].as_i64() {
            Some(27) => Unit::Watt,
            Some(30) => Unit::WattHour,
            other => return Err(format!("{obis}: a unit the test does not know: {other:?}")),
        };
        let scaler = entry["scaler"].as_i64().and_then(|scaler| i8::try_from(scaler).ok()).unwrap_or(0);
        let value = Decimal::whole(number).scaled(scaler).ok_or("a number too large")?;
        if !reading.values.iter().any(|found| (found.obis, found.unit, found.value) == (obis, unit, value)) {
            let found: Vec<_> =
                reading.values.iter().filter(|found| found.obis == obis).map(|found| found.value).collect();
            return Err(format!("{obis}: expected {value}, found {found:?}"));
        }
    }
    if reading.values.len() != numbers {
        return Err(format!("expected {numbers} numbers, found {}", reading.values.len()));
    }
    if !reading.not_understood.is_empty() {
        let codes: Vec<_> = reading.not_understood.iter().map(|kept| kept.obis).collect();
        return Err(format!("not understood: {codes:?}"));
    }
    if reading.trust != Trust::Checked || reading.identification.is_empty() {
        return Err("neither checked nor named".to_owned());
    }
    let server = frame["server_id"].as_str().unwrap_or_default().to_uppercase();
    let same = reading.equipment.as_ref().is_some_and(|equipment| server.contains(&equipment.0));
    if same { Ok(numbers) } else { Err("another meter's identifier".to_owned()) }
}

fn obis(digits: &str) -> Option<Obis> {
    let byte = |index: usize| u8::from_str_radix(digits.get(2 * index..2 * index + 2)?, 16).ok();
    Some(Obis { a: byte(0)?, b: byte(1)?, c: byte(2)?, d: byte(3)?, e: byte(4)?, f: byte(5)? })
}
