//! Every public TIC frame of the corpus beside the project, where it is there: each group with a number that has a meaning
//! decodes to it, each clock to its local time, and nothing is left that is not understood.

use meter_link::parity::with_parity;
use meter_link::reading::{Reading, Trust};
use meter_link::tic::labels::{Meaning, meaning};
use serde_json::Value;

use crate::support::{Case, Outcome, decode, judge_all};

#[test]
fn every_public_tic_frame_decodes_to_its_expected_values() {
    judge_all("tic", judge);
}

fn judge(case: &Case) -> Result<Outcome, String> {
    let parity: Vec<u8> = case.bytes.iter().copied().map(with_parity).collect();
    let readings = readings(&case.bytes)?;
    if self::readings(&parity)? != readings {
        return Err("read differently with its parity bits".to_owned());
    }
    let frames = case.description["expected"]["frames"].as_array().ok_or("no expectation")?;
    if frames.len() != readings.len() {
        return Err(format!("expected {} readings, found {}", frames.len(), readings.len()));
    }
    let mut right = 0;
    for (frame, reading) in frames.iter().zip(&readings) {
        if reading.trust != Trust::Checked || !reading.not_understood.is_empty() {
            return Err(format!("{:?}, {} groups not understood", reading.trust, reading.not_understood.len()));
        }
        for group in frame.as_array().into_iter().flatten() {
            right += usize::from(group_equals(reading, group)?);
        }
    }
    Ok(Outcome::Right(right))
}

fn readings(bytes: &[u8]) -> Result<Vec<Reading>, String> {
    decode(&[], bytes).into_iter().map(|result| result.map_err(|error| error.to_string())).collect()
}

/// Whether the group had something to compare; an error if that was wrong.
fn group_equals(reading: &Reading, group: &Value) -> Result<bool, String> {
    let label = group["label"].as_str().unwrap_or_default();
    let text = group["value"].as_str().unwrap_or_default();
    let same = match meaning(label.as_bytes()) {
        Some((Meaning::Number(obis, unit), _)) => {
            let number: i64 = text.parse().map_err(|_| format!("{label}: no number expected"))?;
            let found = reading.values.iter().find(|value| value.obis == obis);
            found.is_some_and(|value| (value.value.to_string(), value.unit) == (number.to_string(), unit))
        }
        Some((Meaning::Rate, _)) => {
            let found = reading.values.iter().find(|value| value.obis.to_string() == "0-0:96.14.0");
            found.is_some_and(|value| Ok(value.value.mantissa) == text.parse())
        }
        Some((Meaning::RateByName, _)) => {
            reading.values.iter().any(|value| value.obis.to_string() == "0-0:96.14.0" && value.value.mantissa > 0)
        }
        Some((Meaning::Time, _)) => {
            let stamp = group["horodate"].as_str().unwrap_or_default();
            let pair =
                |index: usize| stamp.get(index..index + 2).and_then(|pair| pair.parse::<i64>().ok()).unwrap_or(-1);
            reading.meter_time.is_some_and(|time| {
                let local = time.unix_milliseconds / 1_000 + i64::from(time.offset_seconds);
                local % 86_400 == pair(7) * 3_600 + pair(9) * 60 + pair(11)
                    && (time.offset_seconds == 7_200) == stamp.starts_with('E')
            })
        }
        Some((Meaning::Equipment, _)) => reading.equipment.as_ref().is_some_and(|equipment| equipment.0 == text),
        Some((Meaning::Known, _)) | None => return Ok(false),
    };
    if same { Ok(true) } else { Err(format!("{label} is wrong")) }
}
