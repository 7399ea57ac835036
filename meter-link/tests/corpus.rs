//! Every public P1 frame of the corpus beside the project, where it is there: decoded values equal the expected ones.
//!
//! A case whose transmitted checksum is wrong must give no reading. The project's own captures cover each variant without it.

use std::path::{Path, PathBuf};

use meter_link::decimal::Decimal;
use meter_link::obis::Obis;
use meter_link::p1::Decoder;
use meter_link::reading::{Measured, Reading, Unit};
use meter_link::security::KeyPair;
use serde_json::Value;

#[test]
fn every_public_p1_frame_decodes_to_its_expected_values() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus/p1");
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
        if let Err(reason) = judge(&folder, case) {
            wrong.push(format!("{}: {reason}", case.file_stem().unwrap_or_default().to_string_lossy()));
        }
    }
    println!("{} of {} cases right", cases.len() - wrong.len(), cases.len());
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn judge(folder: &Path, case: &Path) -> Result<(), String> {
    let text = std::fs::read_to_string(case).map_err(|error| error.to_string())?;
    let case: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let bytes =
        std::fs::read(folder.join(case["data_file"].as_str().unwrap_or_default())).map_err(|e| e.to_string())?;
    let key = |name: &str| case["keys"][name].as_str();
    let keys = key("ek").and_then(|ek| KeyPair::parse(ek, key("ak").or_else(|| key("aad_key"))));
    let without_authentication = key("ek").and_then(|ek| KeyPair::parse(ek, None));
    let readings = decode(keys.into_iter().chain(without_authentication).collect(), &bytes);

    let crc = &case["checks"]["crc"];
    let four_digits = crc["transmitted"].as_str().is_some_and(|sent| sent.len() == 4);
    let is_checksum = !bytes.windows(3).any(|three| three == b"!\r\n");
    if crc["ok"] == Value::Bool(false) && four_digits && is_checksum {
        return if readings.is_empty() { Ok(()) } else { Err("a wrong checksum was accepted".to_owned()) };
    }
    let mut expected = case["expected"].clone();
    if let Some(plain) = expected["plaintext_case"].as_str() {
        let name = plain.rsplit('/').next().unwrap_or_default();
        let text = std::fs::read_to_string(folder.join(format!("{name}.json"))).map_err(|error| error.to_string())?;
        let plain: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        expected = plain["expected"].clone();
    }
    if let Some(rows) = expected["rows"].as_array() {
        return rows_equal(&readings, rows);
    }
    let reading = readings.first().ok_or("no reading")?;
    let objects = expected["objects"].as_object().ok_or("no expectation")?;
    for (code, lines) in objects {
        for line in lines.as_array().into_iter().flatten() {
            object_equals(reading, code, line)?;
        }
    }
    Ok(())
}

fn decode(keys: Vec<KeyPair>, mut bytes: &[u8]) -> Vec<Reading> {
    let mut decoder = Decoder::new(keys);
    let mut readings = Vec::new();
    while !bytes.is_empty() {
        let taken = decoder.handle_bytes(bytes);
        bytes = &bytes[taken..];
        if bytes.is_empty() {
            decoder.handle_end();
        }
        readings.extend(std::iter::from_fn(|| decoder.poll_reading()).flatten());
    }
    readings
}

/// Every number with a unit that the case expects is there, in base units.
fn object_equals(reading: &Reading, code: &str, line: &Value) -> Result<(), String> {
    let groups: Vec<(&str, Option<&str>)> = line
        .as_array()
        .into_iter()
        .flatten()
        .map(|group| (group[0].as_str().unwrap_or_default(), group[1].as_str()))
        .collect();
    let old_gas = code.ends_with(":24.3.0");
    let (number, unit) = match (groups.as_slice(), old_gas) {
        ([.., (_, _), (_, _), (unit, _), (number, _)], true) => (*number, *unit),
        ([.., (number, Some(unit))], false) => (*number, *unit),
        // A bare number of a code that names a quantity.
        ([(number, None)], _) if code.starts_with("1-0:") && (code.contains(".7.0") || code.contains(".3")) => {
            (*number, "")
        }
        _ => return Ok(()),
    };
    if code.contains(":98.1.0") || code.contains(":99.97.0") {
        return Ok(()); // Logs are kept as they are.
    }
    let obis = if old_gas { code.replace(":24.3.0", ":24.2.1") } else { code.to_owned() };
    let obis = Obis::parse(obis.as_bytes()).ok_or(format!("{code} is no code"))?;
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
fn rows_equal(readings: &[Reading], rows: &[Value]) -> Result<(), String> {
    if readings.len() != rows.len() {
        return Err(format!("expected {} readings, found {}", rows.len(), readings.len()));
    }
    for (reading, row) in readings.iter().zip(rows) {
        for (column, (code, unit)) in
            [("1-0:1.8.1", "kWh"), ("1-0:1.8.2", "kWh"), ("1-0:1.7.0", "kW")].iter().enumerate()
        {
            let number = row[column + 1].as_str().unwrap_or_default();
            object_equals(reading, code, &serde_json::json!([[number, unit]]))?;
        }
    }
    Ok(())
}
