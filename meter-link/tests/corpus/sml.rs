//! Every public SML capture of the corpus beside the project, where it is there: each number of each frame decodes to
//! what the case expects, and nothing else is read; the meters that wait for their PIN are told apart.

use std::path::{Path, PathBuf};

use meter_link::decimal::Decimal;
use meter_link::obis::Obis;
use meter_link::reading::{Reading, Trust, Unit};
use meter_link::sml::Decoder;
use serde_json::Value;

#[test]
fn every_public_sml_frame_decodes_to_its_expected_values() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus/sml");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        println!("not run: the corpus is not beside the project");
        return;
    };
    let mut cases: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    cases.sort();
    let mut wrong = Vec::new();
    for case in &cases {
        let name = case.file_stem().unwrap_or_default().to_string_lossy();
        match judge(&folder, case) {
            Ok((frames, numbers)) => println!("{name}: {numbers} numbers in {frames} readings"),
            Err(reason) => wrong.push(format!("{name}: {reason}")),
        }
    }
    println!("{} of {} cases right", cases.len() - wrong.len(), cases.len());
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// How many frames and numbers were right.
fn judge(folder: &Path, case: &Path) -> Result<(usize, usize), String> {
    let text = std::fs::read_to_string(case).map_err(|error| error.to_string())?;
    let case: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let bytes = std::fs::read(folder.join(case["data_file"].as_str().unwrap_or_default()))
        .map_err(|error| error.to_string())?;
    let readings = decode(&bytes);
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
    Ok((frames.len(), right))
}

fn decode(mut bytes: &[u8]) -> Vec<Reading> {
    let mut decoder = Decoder::new();
    let mut readings = Vec::new();
    while !bytes.is_empty() {
        let taken = decoder.handle_bytes(&bytes[..bytes.len().min(100)]);
        bytes = &bytes[taken..];
        readings.extend(std::iter::from_fn(|| decoder.poll_reading()).flatten());
    }
    readings
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
