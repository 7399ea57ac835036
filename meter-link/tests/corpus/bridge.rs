//! Every public body of HomeWizard and Glow beside the project, where it is there: what it measures is read, what it does
//! not is refused.

use meter_link::bridge::{self, homewizard, recognise};
use meter_link::error::DecodeError;
use meter_link::reading::{Flow, Measured, Medium, Phase, Quantity, Reading};
use serde_json::Value;

use crate::support::{Case, Outcome, decode, judge_all};

#[test]
fn every_public_homewizard_body_decodes_to_its_expected_values() {
    check("homewizard");
}

#[test]
fn every_public_glow_body_decodes_to_its_expected_values() {
    check("glow");
}

fn check(family: &str) {
    judge_all(family, judge);
}

fn judge(Case { description: case, bytes: body, .. }: &Case) -> Result<Outcome, String> {
    let expected = &case["expected"];
    let is_other = ["reading", "product_type", "han_status"].iter().any(|key| expected.get(key).is_some());
    if is_other {
        let product = homewizard::device(body).map(|device| device.product_type);
        equals("product", product.as_deref(), expected["product_type"].as_str())?;
        equals("recognised", recognise(body), None)?;
        equals("refusal", homewizard::decode(body).err(), Some(DecodeError::NoReading))?;
        return equals("readings", decode(&[], body).into_iter().flatten().count(), 0)
            .map(|()| Outcome::Nothing("says what the device is, measures nothing".to_owned()));
    }
    let kind = recognise(body).ok_or("not recognised")?;
    let reading = bridge::decode(kind, body).map_err(|error| error.to_string())?;
    equals("found out", decode(&[], body), vec![Ok(reading.clone())])?;
    let energy = if reading.children.iter().any(|child| child.medium == Medium::Gas) && kind.scheme() == "glow" {
        milli(&reading, |value| value.channel == 1 && value.quantity == Quantity::ByCode)
    } else {
        register(&reading, Flow::Import)
    };
    compare("import", energy, &expected["import_kWh"], 6)?;
    compare("export", register(&reading, Flow::Export), &expected["export_kWh"], 6)?;
    let net = Quantity::ActivePower(Flow::Net, Phase::Total);
    compare("power", milli(&reading, |value| value.quantity == net), &expected["power_W"], 3)?;
    compare("gas", milli(&reading, |value| value.quantity == Quantity::Volume), &expected["gas_m3"], 3)?;
    for (name, start) in [("voltages_V", "12"), ("currents_A", "11")] {
        let sent = expected[name].as_array().map(Vec::as_slice).unwrap_or_default();
        let c: u8 = start.parse().map_err(|_| "a group")?;
        // The total comes first where there is one.
        let places: &[u8] = match (sent.len(), c) {
            (1, _) => &[c],
            (3, _) => &[c + 20, c + 40, c + 60],
            (4, _) => &[90, c + 20, c + 40, c + 60],
            _ => &[],
        };
        for (expect, place) in sent.iter().zip(places) {
            compare(name, milli(&reading, |value| (value.obis.c, value.obis.d) == (*place, 7)), expect, 3)?;
        }
    }
    let children = expected["external"].as_array().map(Vec::as_slice).unwrap_or_default();
    for (expect, channel) in children.iter().zip(1..) {
        compare("child", milli(&reading, |value| value.channel == channel), &expect["value"], 3)?;
    }
    if expected["reading_partial"] == true && reading.not_understood.len() < 3 {
        return Err("an invalid entry was taken".to_owned());
    }
    Ok(Outcome::Right(reading.values.len()))
}

/// The total, or the sum of the rates where there is none.
fn register(reading: &Reading, flow: Flow) -> Option<i64> {
    let of = |rate: u8| milli(reading, |value| value.quantity == Quantity::ActiveEnergy(flow, rate));
    of(0).or_else(|| Some(of(1)? + of(2).unwrap_or(0)))
}

fn milli(reading: &Reading, wanted: impl Fn(&Measured) -> bool) -> Option<i64> {
    reading.values.iter().find(|value| wanted(value)).and_then(|value| value.value.thousandths())
}

/// Compares thousandths with a number of the case, moved by so many places.
fn compare(what: &str, found: Option<i64>, expect: &Value, places: usize) -> Result<(), String> {
    if expect.is_null() {
        return if what == "power" { equals(what, found, None) } else { Ok(()) };
    }
    let text = expect.to_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let digits = format!("{whole}{fraction:0<places$}");
    equals(what, found, digits.parse().ok())
}

fn equals<T: PartialEq + std::fmt::Debug>(what: &str, found: T, expect: T) -> Result<(), String> {
    if found == expect { Ok(()) } else { Err(format!("{what}: expected {expect:?}, found {found:?}")) }
}
