//! Every public RAVEn fragment of the corpus: demand, registers and stamps are as expected, and what carries no energy
//! gives no value.

use std::path::{Path, PathBuf};

use meter_link::decimal::Decimal;
use meter_link::raven::Decoder;
use meter_link::reading::Reading;
use serde_json::Value;

#[test]
fn every_public_raven_fragment_decodes_to_its_expected_values() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus/raven");
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
    println!("raven: {} of {} cases right", cases.len() - wrong.len(), cases.len());
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn judge(folder: &Path, case: &Path) -> Result<(), String> {
    let case: Value = serde_json::from_str(&std::fs::read_to_string(case).map_err(|error| error.to_string())?)
        .map_err(|error| error.to_string())?;
    let bytes = std::fs::read(folder.join(case["data_file"].as_str().unwrap_or_default()))
        .map_err(|error| error.to_string())?;
    let mut decoder = Decoder::new();
    if decoder.handle_bytes(&bytes) != bytes.len() {
        return Err("longer than a fragment can be".to_owned());
    }
    let results: Vec<_> = std::iter::from_fn(|| decoder.poll_reading()).collect();
    let [Ok(reading)] = results.as_slice() else { return Err(format!("{} results", results.len())) };
    let fields = &case["expected"]["fields"];
    let mut expected = 0;
    for (field, code) in
        [("demand", "1-0:16.7.0"), ("summation_delivered", "1-0:1.8.0"), ("summation_received", "1-0:2.8.0")]
    {
        if let Some(number) = fields[field].as_str() {
            expected += 1;
            number_equals(reading, code, number)?;
        }
    }
    if reading.values.len() != expected {
        return Err(format!("expected {expected} values, found {}", reading.values.len()));
    }
    let stamp = fields["time_stamp"].as_str().or(fields["utc_time"].as_str());
    // All of them stamp the same second, 2022-03-11T00:47:35Z.
    match (stamp, reading.meter_time) {
        (None, None) => Ok(()),
        (Some("2022-03-11T00:47:35+00:00"), Some(time)) if time.unix_milliseconds == 1_646_959_655_000 => Ok(()),
        (expected, found) => Err(format!("expected the stamp {expected:?}, found {found:?}")),
    }
}

/// A value in thousands (kW, kWh) is there in single units.
fn number_equals(reading: &Reading, code: &str, number: &str) -> Result<(), String> {
    let expected = Decimal::parse(number.as_bytes()).and_then(|number| number.scaled(3)?.thousandths());
    let found = reading.values.iter().find(|value| value.obis.to_string() == code);
    match found.and_then(|value| value.value.thousandths()) {
        Some(found) if Some(found) == expected => Ok(()),
        found => Err(format!("{code}: expected {expected:?}, found {found:?}")),
    }
}
