//! Prints what a meter's bytes say: one JSON object per reading on standard output, one per error on standard error, and
//! there, last, what to look at first if anything is wrong.
//!
//!     cargo run -q -p meter-link --example decode -- [--protocol NAME] [--key HEX] [--auth-key HEX] FILE
//!
//! `NAME` is `auto` unless it is given: every protocol listens. `FILE` holds the raw bytes; `-` is standard input. The exit
//! status is 1 if nothing decoded, 2 if the command line makes no sense. A telegram whose checksum fails is printed with
//! trust `unverified`, after its error: recordings are often edited. The product itself never takes one. Nobody knows when
//! the bytes came, so a meter's clock is called wrong only if it shows nonsense, or a time after the recording was made.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "printing is what this program is for")]

use std::io::Read as _;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use meter_link::decoder::{Decoder, Protocol};
use meter_link::diagnosis::{CLOCK_TOLERANCE_MILLISECONDS, Finding, diagnose};
use meter_link::error::DecodeError;
use meter_link::health::{Health, LinkProblem, LinkState};
use meter_link::name::name;
use meter_link::reading::{Measured, MeterTime, Reading, Trust};
use meter_link::security::KeyPair;
use meter_link::standing::Standing;
use serde_json::{Value, json};

const USAGE: &str = "usage: decode [--protocol NAME] [--key HEX]... [--auth-key HEX]... FILE";

fn main() -> ExitCode {
    match Asked::read(std::env::args().skip(1)).and_then(|asked| asked.content().map(|content| (asked, content))) {
        Ok((asked, (bytes, made))) => {
            let (readings, _) = decode(&asked, &bytes, made, &mut |line| match line {
                Line::Error(line) => eprintln!("{line}"),
                Line::Reading(line) => println!("{line}"),
            });
            if readings == 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        }
        Err(message) => {
            eprintln!("{}", json!({ "error": "usage", "message": message }));
            ExitCode::from(2)
        }
    }
}

/// A line to be printed.
pub(crate) enum Line {
    Error(Value),
    Reading(Value),
}

pub(crate) struct Asked {
    pub(crate) protocols: Vec<Protocol>,
    pub(crate) keys: Vec<KeyPair>,
    pub(crate) file: String,
}

impl Asked {
    fn read(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let (mut keys, mut auth_keys, mut file) = (Vec::new(), Vec::new(), None);
        let mut protocols = Protocol::ALL.to_vec();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value; {USAGE}"));
            match argument.as_str() {
                "--protocol" => protocols = named(&value()?)?,
                "--key" => keys.push(value()?),
                "--auth-key" => auth_keys.push(value()?),
                _ if file.is_none() => file = Some(argument),
                _ => return Err(USAGE.to_owned()),
            }
        }
        // The last authentication key serves all keys behind it, too.
        let pair = |(place, key): (usize, &String)| {
            KeyPair::parse(key, auth_keys.get(place).or(auth_keys.last()).map(String::as_str))
                .ok_or("a key has 32 hexadecimal digits, or 64 in suite 2".to_owned())
        };
        let keys = keys.iter().enumerate().map(pair).collect::<Result<_, _>>()?;
        Ok(Self { protocols, keys, file: file.ok_or(USAGE.to_owned())? })
    }

    /// The bytes, and when they had been written at the latest, in milliseconds since 1970 UTC.
    fn content(&self) -> Result<(Vec<u8>, i64), String> {
        let since = |time: SystemTime| {
            i64::try_from(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
        };
        if self.file != "-" {
            let name = |error| format!("{}: {error}", self.file);
            let bytes = std::fs::read(&self.file).map_err(name)?;
            let made = std::fs::metadata(&self.file).and_then(|metadata| metadata.modified());
            return Ok((bytes, since(made.unwrap_or_else(|_| SystemTime::now()))));
        }
        let mut bytes = Vec::new();
        std::io::stdin().read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        Ok((bytes, since(SystemTime::now())))
    }
}

/// The protocols of a name: one, all, or the three ways in which DLMS messages are framed.
fn named(name: &str) -> Result<Vec<Protocol>, String> {
    let found: Vec<Protocol> = Protocol::ALL
        .into_iter()
        .filter(|protocol| name == "auto" || protocol.name() == name || protocol.name().split('-').next() == Some(name))
        .collect();
    if found.is_empty() {
        let known: Vec<&str> = Protocol::ALL.iter().map(|protocol| protocol.name()).collect();
        return Err(format!("unknown protocol: {name}; known: auto, dlms, {}", known.join(", ")));
    }
    Ok(found)
}

/// Decodes bytes that had been recorded by `made`; tells every line. Gives how many readings there were, and the finding.
pub(crate) fn decode(asked: &Asked, mut bytes: &[u8], made: i64, tell: &mut dyn FnMut(Line)) -> (usize, Finding) {
    let mut decoder = Decoder::of(&asked.protocols, &asked.keys, &[]).showing_damaged();
    let (mut readings, mut health, is_empty) = (0, Health::default(), bytes.is_empty());
    let (mut standing, mut damaged) = (Standing::default(), 0_usize);
    loop {
        let taken = decoder.handle_bytes(bytes);
        bytes = &bytes[taken..];
        if bytes.is_empty() {
            decoder.handle_end();
        }
        while let Some(result) = decoder.poll_reading() {
            match result {
                Ok(reading) => {
                    readings += 1;
                    // What is shown after its error says nothing of the meter.
                    if reading.trust == Trust::Unverified && damaged > 0 {
                        damaged -= 1;
                    } else {
                        let time = reading.meter_time.map(|time| time.unix_milliseconds);
                        let is_ahead = |ahead: &i64| *ahead > CLOCK_TOLERANCE_MILLISECONDS;
                        health.hear_reading(&reading, decoder.is_replay_undetectable());
                        health.clock_offset_milliseconds = time.map(|time| time - made).filter(is_ahead);
                        standing.hear(&reading, time.unwrap_or(0));
                    }
                    tell(Line::Reading(print_reading(&reading)));
                }
                Err(error) => {
                    damaged += usize::from(matches!(error, DecodeError::Checksum { .. }));
                    health.hear_error(error);
                    tell(Line::Error(print_error(error)));
                }
            }
        }
        if bytes.is_empty() {
            break;
        }
    }
    health.state = if readings > 0 { LinkState::Live } else { LinkState::Listening };
    health.problem = match (is_empty, health.recognised) {
        (true, _) => Some(LinkProblem::Silent),
        (false, 0) => Some(LinkProblem::Unrecognised),
        _ => None,
    };
    let finding = match diagnose(&health) {
        Finding::Fine => standing.finding_in_recording().unwrap_or(Finding::Fine),
        other => other,
    };
    if finding != Finding::Fine {
        let mut said = json!({ "finding": finding, "next": finding.next_step() });
        if finding == Finding::Unrecognised {
            said["tried"] = asked.protocols.iter().map(|protocol| protocol.name()).collect();
        }
        tell(Line::Error(said));
    }
    if health.replay_undetectable {
        let message = "this meter always counts 0: a recording of it cannot be told from what is new";
        tell(Line::Error(json!({ "note": "replay_undetectable", "message": message })));
    }
    (readings, finding)
}

fn print_error(error: DecodeError) -> Value {
    json!({ "error": error.code(), "message": error.to_string() })
}

fn print_reading(reading: &Reading) -> Value {
    json!({
        "protocol": reading.protocol,
        "at": reading.meter_time.map(print_utc),
        "meter_time": reading.meter_time.map(print_local),
        "trust": match reading.trust {
            Trust::Authenticated => "authenticated",
            Trust::Checked => "checked",
            Trust::Unverified => "unverified",
        },
        "identification": reading.identification,
        "country": reading.country,
        "reduced": reading.reduced,
        "counter": reading.counter.map(|counter| counter.highest),
        "values": reading.values.iter().map(|value| print_value(reading, value)).collect::<Vec<_>>(),
        "not_understood": reading.not_understood.iter().map(|kept| kept.text.as_str()).collect::<Vec<_>>(),
    })
}

fn print_value(reading: &Reading, measured: &Measured) -> Value {
    let child = reading.children.iter().find(|child| child.channel == measured.channel);
    let mut value = json!({
        "obis": measured.obis.to_string(),
        "name": name(measured, child.map(|child| child.medium)),
        "value": measured.value.to_string(),
        "unit": measured.unit.symbol(),
    });
    if measured.channel > 0 {
        value["meter"] = json!(measured.channel);
    }
    if let Some(time) = measured.meter_time {
        value["at"] = json!(print_utc(time));
        value["meter_time"] = json!(print_local(time));
    }
    value
}

fn print_utc(time: MeterTime) -> String {
    format!("{}Z", print_civil(time.unix_milliseconds / 1_000))
}

fn print_local(time: MeterTime) -> String {
    let minutes = time.offset_seconds / 60;
    let sign = if minutes < 0 { '-' } else { '+' };
    let local = print_civil(time.unix_milliseconds / 1_000 + i64::from(time.offset_seconds));
    format!("{local}{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60)
}

/// Seconds since 1970 as `YYYY-MM-DDThh:mm:ss`, by counting 400-year cycles from a March.
pub(crate) fn print_civil(seconds: i64) -> String {
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
}
