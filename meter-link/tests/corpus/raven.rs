//! Every public RAVEn fragment of the corpus: demand, registers and stamps are as expected, and what carries no energy
//! gives no value.

use meter_link::decimal::Decimal;
use meter_link::reading::Reading;

use crate::support::{Case, Outcome, decode, judge_all};

#[test]
fn every_public_raven_fragment_decodes_to_its_expected_values() {
    judge_all("raven", judge);
}

fn judge(Case { description: case, bytes, .. }: &Case) -> Result<Outcome, String> {
    let results = decode(&[], bytes);
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
        (None, None) => (),
        (Some("2022-03-11T00:47:35+00:00"), Some(time)) if time.unix_milliseconds == 1_646_959_655_000 => (),
        (expected, found) => return Err(format!("expected the stamp {expected:?}, found {found:?}")),
    }
    Ok(Outcome::Right(expected))
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
