//! Every protocol of the simulated home, read by the decoder for any: told apart under noise, and exact to its last digit.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use meter_link::decoder::{Decoder, Protocol};
use meter_link::error::DecodeError;
use meter_link::parity::with_parity;
use meter_link::reading::{Flow, Quantity, Reading};
use meter_link::security::KeyPair;
use serde_json::Value;

use crate::home::{Dice, Profile};
use crate::meter::{Family, Framing, Version};
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

/// How strongly a line is disturbed, in percent of its telegrams.
#[derive(Clone, Copy, Debug)]
struct Noise {
    /// Have bytes of nobody, or of another meter, in front.
    strangers: i64,
    /// Have one wrong bit.
    flips: i64,
    /// Lack a byte.
    losses: i64,
}

/// A good line, one with a loose plug, and one that hardly works.
const NOISES: [Noise; 4] = [
    Noise { strangers: 0, flips: 0, losses: 0 },
    Noise { strangers: 10, flips: 5, losses: 5 },
    Noise { strangers: 30, flips: 20, losses: 10 },
    Noise { strangers: 50, flips: 35, losses: 20 },
];

/// Telegrams of one run, the one included that is come upon in its midst.
const TELEGRAMS: usize = 9;

/// One meter's telegrams.
struct Recording {
    version: Version,
    telegrams: Vec<Vec<u8>>,
}

/// Two homes of each version.
fn recordings() -> Vec<Recording> {
    let recorded = |(_, version): (_, Version)| {
        [1, 2].map(|seed| {
            let mut simulator = simulator(version, seed);
            Recording { version, telegrams: (0..40).map(|_| simulator.next_telegram()).collect() }
        })
    };
    Version::ALL.into_iter().flat_map(recorded).collect()
}

/// Bytes that mean nothing: of nobody, or out of the midst of what some meter says.
fn strangers(recordings: &[Recording], dice: &mut Dice) -> Vec<u8> {
    if dice.chance(50) {
        return (0..dice.between(1, 200)).map(|_| dice.bits() as u8).collect();
    }
    let other = &recordings[dice.between(0, recordings.len() as i64) as usize].telegrams;
    let telegram = &other[dice.between(0, other.len() as i64) as usize];
    // A third from the middle: no frame of any protocol is whole in it.
    let third = telegram.len() / 3;
    let from = dice.between(third as i64 / 2, third as i64) as usize;
    telegram[from..from + third].to_vec()
}

/// A stream of some of a meter's telegrams, come upon in the midst of one, with noise before, between and in them.
fn disturbed(recording: &Recording, recordings: &[Recording], noise: Noise, dice: &mut Dice) -> Vec<u8> {
    // Seven bits, heard with eight.
    let parity = recording.version.framing() == Framing::SevenEven
        && recording.version.family() != Family::P1
        && dice.chance(50);
    let first = dice.between(0, (recording.telegrams.len() - TELEGRAMS + 1) as i64) as usize;
    let mut stream = Vec::new();
    for (place, telegram) in recording.telegrams[first..first + TELEGRAMS].iter().enumerate() {
        if dice.chance(noise.strangers) {
            stream.extend(strangers(recordings, dice));
        }
        let from = if place == 0 { dice.between(0, telegram.len() as i64) as usize } else { 0 };
        let mut telegram: Vec<u8> = match parity {
            true => telegram[from..].iter().copied().map(with_parity).collect(),
            false => telegram[from..].to_vec(),
        };
        let mut anywhere = || dice.between(0, telegram.len() as i64) as usize;
        let (flipped, lost) = (anywhere(), anywhere());
        if dice.chance(noise.flips) {
            telegram[flipped] ^= 1 << dice.between(0, 8);
        }
        if dice.chance(noise.losses) {
            telegram.remove(lost);
        }
        stream.extend(telegram);
    }
    stream
}

/// What reads a version, and nothing else.
const fn protocol(version: Version) -> Protocol {
    match version {
        Version::KaifaAt | Version::KaifaCh256 | Version::SagemcomAt => Protocol::DlmsMbus,
        _ => match version.family() {
            Family::D0 => Protocol::D0,
            Family::Dlms => Protocol::DlmsHdlc,
            Family::P1 => Protocol::P1,
            Family::Sml => Protocol::Sml,
            Family::Tic => Protocol::Tic,
        },
    }
}

/// What became of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    Right,
    Unsure(&'static str),
    Wrong(String),
}

/// Listens to a disturbed line and compares what is said of it with what it is.
fn listen(version: Version, stream: &[u8], tells_country: bool, dice: &mut Dice) -> Outcome {
    let keys: Vec<KeyPair> = dice.chance(50).then(|| version.keys()).into_iter().collect();
    let is_read = version.ciphering().is_none() || !keys.is_empty();
    let mut decoder = Decoder::new(&keys, &[]);
    let results = decode(&mut decoder, stream, dice);
    let countries: Vec<_> = results.iter().flatten().map(|reading| reading.country).collect();
    match decoder.protocol() {
        None => Outcome::Unsure(version.name()),
        Some(found) if found != protocol(version) => Outcome::Wrong(format!("{}: {}", version.name(), found.name())),
        Some(_) if countries.iter().flatten().any(|country| *country != version.country()) => {
            Outcome::Wrong(format!("{}: {countries:?}", version.name()))
        }
        Some(_) if tells_country && is_read && !countries.contains(&Some(version.country())) => {
            Outcome::Unsure(version.name())
        }
        Some(_) => Outcome::Right,
    }
}

/// Whether telegrams that arrive undisturbed say in which country their meter hangs.
fn tells_country(recording: &Recording) -> bool {
    let mut decoder = Decoder::new(&[recording.version.keys()], &[]);
    let results = decode(&mut decoder, &recording.telegrams.concat(), &mut Dice::new(SEED, 6, 0));
    results.iter().flatten().any(|reading| reading.country.is_some())
}

/// Runs of these numbers. Version and noise go round, so that each meets each.
fn outcomes(recordings: &[Recording], runs: Range<i64>) -> Vec<Outcome> {
    let tells: Vec<bool> = recordings.iter().map(tells_country).collect();
    runs.map(|run| {
        let mut dice = Dice::new(SEED, 5, run);
        let place = run as usize % recordings.len();
        let noise = NOISES[run as usize / recordings.len() % NOISES.len()];
        let stream = disturbed(&recordings[place], recordings, noise, &mut dice);
        match listen(recordings[place].version, &stream, tells[place], &mut dice) {
            Outcome::Wrong(what) => Outcome::Wrong(format!("run {run}: {what}")),
            outcome => outcome,
        }
    })
    .collect()
}

/// The runs to make: a thousand, or those that somebody wants who looks for more: `WATTLE_RUNS=1000..11000`.
fn runs() -> Range<i64> {
    let wanted = std::env::var("WATTLE_RUNS").ok();
    let wanted = wanted.as_deref().and_then(|wanted| wanted.split_once(".."));
    match wanted.map(|(from, to)| (from.parse(), to.parse())) {
        Some((Ok(from), Ok(to))) => from..to,
        _ => 0..1_000,
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "how many runs were right is what a person asks of them")]
fn n15_a_thousand_noisy_lines_are_told_apart_and_none_is_told_wrong() {
    let outcomes = outcomes(&recordings(), runs());
    let mut others: BTreeMap<String, usize> = BTreeMap::new();
    for outcome in outcomes.iter().filter(|outcome| **outcome != Outcome::Right) {
        *others.entry(format!("{outcome:?}")).or_default() += 1;
    }
    let right = outcomes.iter().filter(|outcome| **outcome == Outcome::Right).count();
    let is_wrong = outcomes.iter().any(|outcome| matches!(outcome, Outcome::Wrong(_)));
    let all = outcomes.len();
    println!("{right} of {all} right, none else but {others:?}");
    assert!(right * 100 >= all * 99 && !is_wrong, "{right} of {all} right, {others:?}");
}

#[test]
fn what_no_meter_says_is_told_as_nothing() {
    let recordings = recordings();
    for run in 0..500_i64 {
        let mut dice = Dice::new(SEED, 7, run);
        let stream: Vec<u8> = (0..30).flat_map(|_| strangers(&recordings, &mut dice)).collect();
        let keys: Vec<KeyPair> = recordings[0..2].iter().map(|recording| recording.version.keys()).collect();
        let mut decoder = Decoder::new(&keys[..dice.between(0, 3) as usize], &[]);
        let results = decode(&mut decoder, &stream, &mut dice);
        assert_eq!(decoder.protocol(), None, "run {run}");
        assert!(results.iter().all(Result::is_err), "run {run}: {results:?}");
    }
}

/// Versions whose telegrams do not say where their meter hangs: sealed push without a maker's list, Kamstrup's list that two
/// countries have, P1 of the Nordic form, texts whose maker sells everywhere.
const NOWHERE: [&str; 12] = [
    "d0-mode-c",
    "d0-mode-d",
    "ded-ciphering",
    "dk",
    "glo-suite1",
    "iskra-at",
    "kaifa-at",
    "kaifa-ch-256",
    "kamstrup-no",
    "kamstrup-se",
    "no",
    "sagemcom-at",
];

#[test]
fn the_country_is_told_by_all_that_say_it_and_never_guessed() {
    let recordings = recordings();
    let silent = recordings.iter().filter(|recording| !tells_country(recording));
    let silent: BTreeSet<_> = silent.map(|recording| recording.version.name()).collect();
    assert_eq!(silent, BTreeSet::from(NOWHERE));
}
