//! Every protocol of the simulated home, read by the decoder for any: told apart under noise, and exact to its last digit.

use meter_link::decoder::{Decoder, Protocol};
use meter_link::error::DecodeError;
use meter_link::reading::{Flow, Quantity, Reading};
use meter_link::security::KeyPair;
use serde_json::Value;

use crate::home::{Dice, Profile};
use crate::meter::{Family, Version};
use crate::simulator::{INSTALLED_AT, Options, Simulator};

/// 2026-01-03T12:58:20Z: a full hour comes soon, at which some meters tell their registers.
const START: i64 = INSTALLED_AT + 2 * 86_400 + 43_200 + 3_500;

/// Chance of the noise; any other does as well.
const SEED: u64 = 11;

fn simulator(version: Version, seed: u64) -> Simulator {
    Simulator::new(&Options { seed, profile: Profile::Typical, version, keys: None, start: START })
}

/// Hands bytes over in portions of chance size.
fn decode(decoder: &mut Decoder, mut bytes: &[u8], dice: &mut Dice) -> Vec<Result<Reading, DecodeError>> {
    let mut results = Vec::new();
    while !bytes.is_empty() {
        let portion = bytes.len().min(dice.between(1, 300) as usize);
        let taken = decoder.handle_bytes(&bytes[..portion]);
        bytes = &bytes[taken..];
        results.extend(std::iter::from_fn(|| decoder.poll_reading()));
    }
    results
}

/// A register in mWh: the total, or the sum of the rates where no total is sent.
fn register(reading: &Reading, flow: Flow) -> Option<i64> {
    let of = |wanted: fn(u8) -> bool| {
        reading.values.iter().filter_map(move |value| match value.quantity {
            Quantity::ActiveEnergy(of, rate) if of == flow && wanted(rate) => value.value.thousandths(),
            _ => None,
        })
    };
    of(|rate| rate == 0).next().or_else(|| of(|rate| rate > 0).reduce(|sum, rate| sum + rate))
}

#[test]
fn every_version_is_read_to_exactly_what_its_meter_shows() {
    for (name, version) in Version::ALL {
        let mut dice = Dice::new(7, 3, 0);
        let mut simulator = simulator(version, 4);
        let mut decoder = Decoder::new(&[version.keys()], &[]);
        let mut compared = 0;
        for _ in 0..1 + 300 / version.interval() {
            let telegram = simulator.next_telegram();
            let results = decode(&mut decoder, &telegram, &mut dice);
            let state: Value =
                serde_json::from_str(&simulator.command("state").expect("a command").expect("an answer"))
                    .expect("JSON");
            for reading in results.iter().filter_map(|result| result.as_ref().ok()) {
                for (flow, shown) in
                    [(Flow::Import, "import_milliwatt_hours"), (Flow::Export, "export_milliwatt_hours")]
                {
                    let Some(found) = register(reading, flow) else { continue };
                    // An old telegram without a checksum is only given once the next has come.
                    let state = if state[shown].is_null() { &state["now"][shown] } else { &state[shown] };
                    if version.family() != Family::P1 {
                        assert_eq!(Some(found), state.as_i64(), "{name} {shown}");
                    }
                    compared += 1;
                }
            }
        }
        assert!(compared > 0, "{name} gave no register");
    }
}

/// A stream of some of a meter's telegrams with noise before, between and in them.
fn noisy(telegrams: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let mut stream: Vec<u8> = (0..dice.between(0, 200)).map(|_| dice.bits() as u8).collect();
    let offset = dice.between(0, telegrams[0].len() as i64 - 1) as usize;
    stream.extend(&telegrams[0][offset..]);
    for telegram in &telegrams[1..] {
        if dice.chance(30) {
            stream.extend((0..dice.between(1, 20)).map(|_| dice.bits() as u8));
        }
        let start = stream.len();
        stream.extend(telegram);
        if dice.chance(20) {
            let at = dice.between(start as i64, stream.len() as i64 - 1) as usize;
            stream[at] ^= 1 << dice.between(0, 7);
        }
        if dice.chance(10) {
            stream.remove(dice.between(start as i64, stream.len() as i64 - 1) as usize);
        }
    }
    stream
}

const fn is_of(protocol: Protocol, family: Family) -> bool {
    matches!(
        (protocol, family),
        (Protocol::D0, Family::D0)
            | (Protocol::DlmsHdlc | Protocol::DlmsMbus | Protocol::DlmsWrapper, Family::Dlms)
            | (Protocol::P1, Family::P1)
            | (Protocol::Sml, Family::Sml)
            | (Protocol::Tic, Family::Tic)
    )
}

#[test]
fn n15_a_thousand_noisy_lines_are_told_apart_and_none_is_told_wrong() {
    let (mut right, mut unsure, mut wrong) = (0, Vec::new(), Vec::new());
    let streams: Vec<(Version, Vec<Vec<u8>>)> = Version::ALL
        .into_iter()
        .flat_map(|(_, version)| {
            [1, 2].map(|seed| {
                let mut simulator = simulator(version, seed);
                (version, (0..40).map(|_| simulator.next_telegram()).collect())
            })
        })
        .collect();
    for run in 0..1_000_i64 {
        let mut dice = Dice::new(SEED, 5, run);
        let (version, telegrams) = &streams[dice.between(0, streams.len() as i64 - 1) as usize];
        let first = dice.between(0, 30) as usize;
        let stream = noisy(&telegrams[first..first + 9], &mut dice);
        let keys: Vec<KeyPair> = dice.chance(50).then(|| version.keys()).into_iter().collect();
        let mut decoder = Decoder::new(&keys, &[]);
        let results = decode(&mut decoder, &stream, &mut dice);
        let country = results.iter().flatten().find_map(|reading| reading.country);
        match decoder.protocol() {
            None => unsure.push(version.name()),
            Some(protocol) if !is_of(protocol, version.family()) => {
                wrong.push(format!("{}: {}", version.name(), protocol.name()));
            }
            Some(_) if country.is_some_and(|country| country != version.country()) => {
                wrong.push(format!("{}: {country:?}", version.name()));
            }
            Some(_) => right += 1,
        }
    }
    wrong.sort();
    wrong.dedup();
    assert!(right >= 990 && wrong.is_empty(), "{right} right, unsure {unsure:?}, wrong {wrong:?}");
}
