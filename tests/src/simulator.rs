//! Home, meter, faults and line against a clock, and the words that drive them.
//!
//! Owns no clock: [`Simulator::tick`] is told the time. Every simulated second is counted, none is skipped in the books;
//! telegrams leave at the version's interval.

use std::collections::BTreeMap;
use std::fmt;
use std::io;

use meter_link::security::KeyPair;
use serde::Serialize;

use crate::faults::Faults;
use crate::home::{Home, Profile, Registers, timestamp};
use crate::line::{Kind, Line};
use crate::meter::{Family, Framing, Meter, Strip, Version};

/// 2026-01-01T00:00:00Z: when the simulated meters were put in, unless the simulation starts earlier.
///
/// Fixed, so that a home's registers depend on nothing but its seed and the instant.
pub const INSTALLED_AT: i64 = 1_767_225_600;

/// How long a hung-up pseudo-terminal waits for its last reader to let go, so that it comes back under its old name.
const PATIENCE_SECONDS: i64 = 15;

/// What a simulation is started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Decides everything about the home.
    pub seed: u64,
    /// Kind of household.
    pub profile: Profile,
    /// What the meter speaks.
    pub version: Version,
    /// What an encrypting meter encrypts with; `None` takes the simulator's own.
    pub keys: Option<KeyPair>,
    /// First second, Unix time.
    pub start: i64,
}

/// A simulated home behind its meter.
#[derive(Debug)]
pub struct Simulator {
    home: Home,
    meter: Meter,
    faults: Faults,
    line: Option<Line>,
    /// While hung up: the second at which the line opens again.
    opens_at: Option<i64>,
    /// Books at the last telegram that left whole.
    told: Option<Books>,
    telegrams: u64,
    /// Characters of seven bits carry their parity in bit 7, as a reader with eight data bits hears it.
    parity: bool,
}

/// What the home and its meter say at one instant.
#[derive(Clone, Debug, Serialize)]
struct Books {
    /// The true time, whatever the meter's clock shows.
    unix_seconds: i64,
    /// The same for people.
    at: String,
    /// As the meter transmitted them last, in its own steps; the sum of the rates where it transmits no total.
    import_milliwatt_hours: u64,
    export_milliwatt_hours: u64,
    /// Exact, all rates.
    import_milliwatt_seconds: u64,
    export_milliwatt_seconds: u64,
    /// By rate, from rate 1, as printed and exact.
    rates: Vec<RateBooks>,
    /// Made by the home's own plant since it was built, exact; no P1 meter knows it.
    generation_milliwatt_seconds: u64,
    /// Net at the connection point over the last second, as printed; import positive.
    power_milliwatts: i64,
    /// The same, exact, and of each phase.
    power_exact_milliwatts: i64,
    phase_milliwatts: Vec<i64>,
    phase_millivolts: Vec<i64>,
    generation_milliwatts: i64,
    /// Gas meters, replaced ones first.
    gas: Vec<ChildBooks>,
    water: ChildBooks,
}

#[derive(Clone, Debug, Serialize)]
struct RateBooks {
    rate: usize,
    import_milliwatt_hours: u64,
    export_milliwatt_hours: u64,
    import_milliwatt_seconds: u64,
    export_milliwatt_seconds: u64,
}

#[derive(Clone, Debug, Serialize)]
struct ChildBooks {
    channel: u8,
    equipment: String,
    /// Whole litres as printed.
    millilitres: u64,
    /// Of the transmission that is printed.
    unix_seconds: i64,
}

#[derive(Serialize)]
struct Announcement<'a> {
    address: &'a str,
    equipment: &'a str,
    version: &'static str,
    baud: u32,
    framing: &'static str,
    phases: usize,
    interval_seconds: i64,
    zone: Option<&'a str>,
    unix_seconds: i64,
}

#[derive(Serialize)]
struct State<'a> {
    /// The books at the last telegram that left undamaged; all zero before the first.
    #[serde(flatten)]
    told: &'a Option<Books>,
    /// The home at this second, whether or not the meter said so.
    now: Books,
    equipment: &'a str,
    telegrams: u64,
    readers: usize,
    address: Option<&'a str>,
    /// Of a bridge that pairs: names and tokens.
    users: BTreeMap<String, String>,
}

/// Why a command was not obeyed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadCommand(String);

impl fmt::Display for BadCommand {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "not a command: {}", self.0)
    }
}

impl std::error::Error for BadCommand {}

impl Simulator {
    /// A home counted up to its start, with no line yet.
    pub fn new(options: &Options) -> Self {
        let installed_at = if options.start >= INSTALLED_AT {
            INSTALLED_AT
        } else {
            let year = timestamp(options.start).to_zoned(jiff::tz::TimeZone::UTC).year();
            jiff::civil::date(year, 1, 1)
                .to_zoned(jiff::tz::TimeZone::UTC)
                .map_or(0, |first| first.timestamp().as_second())
        };
        let mut home = Home::new(options.profile, options.version.place(), options.seed, installed_at);
        home.advance_to(options.start);
        let mut meter = Meter::new(options.version);
        if let Some(keys) = &options.keys {
            meter.keys = keys.clone();
        }
        let faults = Faults::new(options.seed);
        // P1 readers set seven bits before DSMR 4; the others' are read by whoever listens with eight.
        let parity = options.version.framing() == Framing::SevenEven && options.version.family() != Family::P1;
        Self { home, meter, faults, line: None, opens_at: None, told: None, telegrams: 0, parity }
    }

    /// Gives the meter a port to talk on.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(&mut self, kind: Kind) -> io::Result<()> {
        self.line = Some(Line::open(kind)?);
        Ok(())
    }

    /// The home behind the meter.
    pub const fn home(&mut self) -> &mut Home {
        &mut self.home
    }

    /// The first line the binary prints, and again when a hang-up moved the port.
    pub fn announcement(&self) -> String {
        let version = self.meter.version;
        json(&Announcement {
            address: self.line.as_ref().map_or("", Line::address),
            equipment: &self.home.device().equipment,
            version: version.name(),
            baud: version.baud(),
            framing: version.framing().text(),
            phases: self.home.profile().phase_count(),
            interval_seconds: version.interval(),
            zone: self.home.place().zone.iana_name(),
            unix_seconds: self.home.second(),
        })
    }

    /// Looks after readers that came or went. Cheap; to be called often.
    pub fn poll(&mut self) {
        if let Some(line) = &mut self.line {
            line.poll();
        }
    }

    /// Lives up to `second`, and sends the telegrams that fall due on the way. Returns a line to print, if there is one.
    pub fn tick(&mut self, second: i64) -> Option<String> {
        let mut words = None;
        while self.home.second() < second {
            self.home.advance_to(self.home.second() + 1);
            words = self.reopen().or(words);
            if let Some(again) = self.faults.poll_replay() {
                self.hand_over(&again);
            }
            if self.home.second().rem_euclid(self.meter.version.interval()) == 0 {
                self.send();
            }
        }
        words
    }

    /// Lives up to `second` without a word: after a suspended host woke up, say.
    pub fn skip_to(&mut self, second: i64) {
        self.home.advance_to(second);
    }

    /// The next telegram as bytes, without a line, without parity and without waiting.
    pub fn next_telegram(&mut self) -> Vec<u8> {
        if let Some(again) = self.faults.poll_replay() {
            return again;
        }
        let interval = self.meter.version.interval();
        self.home.advance_to((self.home.second().div_euclid(interval) + 1) * interval);
        self.say().0
    }

    /// What the meter says now, and whether a careful reader believes it.
    fn say(&mut self) -> (Vec<u8>, bool) {
        let quirks = self.faults.quirks(self.meter.tells_registers(self.home.second()));
        let mut telegram = self.meter.telegram(&mut self.home, quirks);
        let whole = self.faults.disturb(&mut telegram);
        self.faults.remember(&telegram);
        (telegram, whole && quirks.is_honest())
    }

    fn send(&mut self) {
        if self.home.second() < self.faults.silent_until {
            return;
        }
        let honest = match self.line.as_mut().and_then(Line::bridge) {
            Some(bridge) => {
                let quirks = self.faults.quirks(self.meter.tells_registers(self.home.second()));
                bridge.send(&self.meter.measurement(&mut self.home, quirks));
                quirks.is_honest()
            }
            None => {
                let (telegram, honest) = self.say();
                self.hand_over(&telegram);
                honest
            }
        };
        self.telegrams += 1;
        if honest {
            let mut books = self.books();
            if let Some(told) = &self.told
                && !self.meter.tells_registers(self.home.second())
            {
                books.keep_registers(told);
            }
            self.told = Some(books);
        }
    }

    fn hand_over(&mut self, telegram: &[u8]) {
        let Some(line) = &mut self.line else { return };
        if self.parity {
            let even = |byte: &u8| if byte.count_ones() % 2 == 1 { byte | 0x80 } else { *byte };
            line.send(&telegram.iter().map(even).collect::<Vec<_>>());
        } else {
            line.send(telegram);
        }
    }

    fn reopen(&mut self) -> Option<String> {
        let late = self.home.second() - self.opens_at?;
        if late < 0 {
            return None;
        }
        // A port that cannot be opened now is tried again in the next second.
        let moved = self.line.as_mut()?.reopen(late < PATIENCE_SECONDS).ok()?;
        self.opens_at = None;
        moved.then(|| self.announcement())
    }

    fn books(&mut self) -> Books {
        let registers = self.home.registers();
        let shown = self.meter.shown(&self.home);
        let second = self.home.second();
        let moment = self.home.moment((second - 1).max(self.home.installed_at()));
        let phases = self.home.profile().phase_count();
        let hourly = self.meter.version.hourly_children();
        let gas = self.home.gas_meters().iter().map(|meter| {
            let (millilitres, at) = self.home.gas(meter, hourly);
            child(meter.channel, &meter.equipment, millilitres, at)
        });
        let gas = gas.collect();
        let (water, water_at) = self.home.water(hourly);
        Books {
            unix_seconds: second,
            at: timestamp(second).to_string(),
            import_milliwatt_hours: shown.import_milliwatt_hours,
            export_milliwatt_hours: shown.export_milliwatt_hours,
            import_milliwatt_seconds: registers.import_total(),
            export_milliwatt_seconds: registers.export_total(),
            rates: rates(&self.meter.told_registers(&self.home), &self.meter),
            generation_milliwatt_seconds: registers.generation,
            power_milliwatts: self.meter.shown_power(&mut self.home),
            power_exact_milliwatts: moment.net(),
            phase_milliwatts: moment.phases[..phases].to_vec(),
            phase_millivolts: moment.voltages[..phases].to_vec(),
            generation_milliwatts: moment.generation,
            gas,
            water: child(2, "", water, water_at),
        }
    }

    /// Obeys one line of text. `state` answers with a line of JSON, everything else with nothing.
    ///
    /// | words | what happens |
    /// |---|---|
    /// | `stall [SECONDS]`, `resume` | no output for that long, or until told |
    /// | `cut [RATE]` | the next telegram, or that share of all, loses bytes in its middle |
    /// | `garble RATE` | that share of telegrams gets flipped bits |
    /// | `drop [SECONDS]` | the port closes on its readers and opens again (3) |
    /// | `reboot [SECONDS] [zero]` | silence (20), then on as before, or with one telegram of zeros first |
    /// | `swap [WATT_HOURS]`, `swap gas` | another meter at the same place |
    /// | `zero`, `spike [WATT_HOURS]` | one telegram with registers that are not true |
    /// | `clock INSTANT`, `clock SECONDS`, `clock child`, `clock ok` | what the meter believes to be the time |
    /// | `noise PERCENT` | that share of telegrams gets flipped bits, and as many have bytes of nobody in front |
    /// | `flip` | the next telegram has one wrong bit under right checksums, so that only a tag tells |
    /// | `strip-tag [clear] [N]` | the next N telegrams (1) of an encrypting meter come without tag, or in clear |
    /// | `replay N` | the last N telegrams again, one in a second |
    /// | `counter-zero`, `counter-back`, `counter-ok` | the invocation counter is always 0, once too low, or right again |
    /// | `rekey HEX [HEX]` | other keys from now on: encryption, authentication |
    /// | `silence-child [off]` | gas and water meters send nothing more, or again |
    /// | `reduced on`, `reduced off` | SML without its PIN, and with it |
    /// | `tic-mode historique`, `tic-mode standard` | Linky's operator switches the mode |
    /// | `parity on`, `parity off` | characters of seven bits come with parity in bit 7, or without |
    /// | `button` | presses the button of a bridge that pairs: for thirty seconds it takes a new user |
    /// | `forget-users`, `replace` | that bridge is reset, or another one with a certificate of its own |
    /// | `power WATTS`, `power auto` | forces the net power; registers follow exactly |
    /// | `state` | one line of JSON: the books at the last undamaged telegram, and `now` |
    ///
    /// # Errors
    /// If it makes no sense; nothing has changed then.
    pub fn command(&mut self, words: &str) -> Result<Option<String>, BadCommand> {
        let bad = || BadCommand(words.trim().to_owned());
        let mut parts = words.split_whitespace();
        let Some(verb) = parts.next() else { return Ok(None) };
        let first = parts.next();
        let second = parts.next();
        let now = self.home.second();
        let version = self.meter.version;
        let seconds = |default: i64| match first {
            None => Ok(default),
            Some(text) => text.parse::<i64>().map_err(|_| bad()),
        };
        match verb {
            "button" | "forget-users" | "replace" => {
                let bridge = self.line.as_mut().and_then(Line::bridge).ok_or_else(bad)?;
                match verb {
                    "button" => bridge.press(),
                    "forget-users" => bridge.forget(),
                    _ => bridge.replace().map_err(|_| bad())?,
                }
            }
            "clock" => {
                self.meter.clock_error = match first.ok_or_else(bad)? {
                    "ok" | "child" => 0,
                    text => match text.parse() {
                        Ok(seconds) => seconds,
                        Err(_) => text.parse::<jiff::Timestamp>().map_err(|_| bad())?.as_second() - now,
                    },
                };
                self.faults.child_clock = first == Some("child");
            }
            "counter-back" => self.faults.counter_back_next = true,
            "counter-ok" => (self.faults.counter_zero, self.faults.counter_back_next) = (false, false),
            "counter-zero" => self.faults.counter_zero = true,
            "cut" => match first {
                None => self.faults.cut_next = true,
                Some(rate) => self.faults.cut_millionths = millionths(rate).ok_or_else(bad)?,
            },
            "drop" => {
                let pause = seconds(3)?;
                if let Some(line) = &mut self.line {
                    line.hang_up();
                    self.opens_at = Some(now.saturating_add(pause));
                }
            }
            "flip" => self.faults.flip_next = true,
            "garble" => self.faults.garble_millionths = first.and_then(millionths).ok_or_else(bad)?,
            "noise" => {
                let percent: f64 = first.and_then(|text| text.parse().ok()).ok_or_else(bad)?;
                let share = millionths(&(percent / 100.0).to_string()).ok_or_else(bad)?;
                (self.faults.garble_millionths, self.faults.babble_millionths) = (share, share);
            }
            "parity" => self.parity = switch(first).ok_or_else(bad)? && version.framing() == Framing::SevenEven,
            "power" => match first.ok_or_else(bad)? {
                "auto" => self.home.force(now, None),
                watts => {
                    let watts: i32 = watts.parse().map_err(|_| bad())?;
                    self.home.force(now, Some(i64::from(watts) * 1_000));
                }
            },
            "reboot" => {
                let pause = if first == Some("zero") { 20 } else { seconds(20)? };
                self.faults.silent_until = now.saturating_add(pause);
                self.faults.zero_next = first == Some("zero") || second == Some("zero");
            }
            "reduced" if version.family() == Family::Sml => self.meter.reduced = switch(first).ok_or_else(bad)?,
            "rekey" => {
                let keys = KeyPair::parse(first.ok_or_else(bad)?, second).ok_or_else(bad)?;
                let length = version.keys().encryption.bytes().len();
                if version.ciphering().is_none() || keys.encryption.bytes().len() != length {
                    return Err(bad());
                }
                self.meter.keys = keys;
            }
            "replay" => {
                let count = seconds(1)?;
                self.faults.replay(usize::try_from(count).map_err(|_| bad())?);
            }
            "resume" => self.faults.silent_until = i64::MIN,
            "silence-child" => self.home.silence_children(match first {
                None => true,
                text => switch(text).ok_or_else(bad)?,
            }),
            "spike" => self.faults.spike_next = u64::try_from(seconds(25_000)?).map_err(|_| bad())?,
            "stall" => self.faults.silent_until = now.saturating_add(seconds(i64::MAX)?),
            "state" => return Ok(Some(self.state())),
            "strip-tag" => {
                let (strip, count) = if first == Some("clear") { (Strip::Cipher, second) } else { (Strip::Tag, first) };
                let count = count.map_or(Ok(1), str::parse).map_err(|_| bad())?;
                if version.ciphering().is_none() || count == 0 {
                    return Err(bad());
                }
                self.faults.strip_next = Some((strip, count));
            }
            "swap" if first == Some("gas") => self.home.swap_gas_meter(),
            "swap" => self.home.swap_meter(u64::try_from(seconds(0)?).map_err(|_| bad())?),
            "tic-mode" if version.family() == Family::Tic => {
                self.meter.version = match first {
                    Some("historique") => Version::TicHistorique,
                    Some("standard") => Version::TicStandard,
                    _ => return Err(bad()),
                };
            }
            "zero" => self.faults.zero_next = true,
            _ => return Err(bad()),
        }
        Ok(None)
    }

    fn state(&mut self) -> String {
        let now = self.books();
        let readers = self.line.as_mut().map_or(0, Line::poll);
        json(&State {
            told: &self.told,
            now,
            equipment: &self.home.device().equipment,
            telegrams: self.telegrams,
            readers,
            users: self.line.as_mut().and_then(Line::bridge).map(|bridge| bridge.users()).unwrap_or_default(),
            address: self.line.as_ref().map(Line::address),
        })
    }
}

impl Books {
    /// Takes the registers of books that are older: nothing has been told of them since.
    fn keep_registers(&mut self, told: &Self) {
        self.import_milliwatt_hours = told.import_milliwatt_hours;
        self.export_milliwatt_hours = told.export_milliwatt_hours;
        self.rates.clone_from(&told.rates);
    }
}

fn rates(registers: &Registers, meter: &Meter) -> Vec<RateBooks> {
    let step = meter.energy_step();
    let shown = |exact: u64| exact / step * step / 3_600;
    (0..meter.version.rates())
        .map(|index| RateBooks {
            rate: index + 1,
            import_milliwatt_hours: shown(registers.import[index]),
            export_milliwatt_hours: shown(registers.export[index]),
            import_milliwatt_seconds: registers.import[index],
            export_milliwatt_seconds: registers.export[index],
        })
        .collect()
}

fn child(channel: u8, equipment: &str, millilitres: u64, at: i64) -> ChildBooks {
    ChildBooks { channel, equipment: equipment.to_owned(), millilitres: millilitres / 1_000 * 1_000, unix_seconds: at }
}

fn switch(word: Option<&str>) -> Option<bool> {
    match word? {
        "on" => Some(true),
        "off" => Some(false),
        _ => None,
    }
}

fn millionths(rate: &str) -> Option<i64> {
    let rate: f64 = rate.parse().ok()?;
    (0.0..=1.0).contains(&rate).then_some((rate * 1e6) as i64)
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("numbers and text always have a JSON form")
}

#[cfg(test)]
mod tests;
