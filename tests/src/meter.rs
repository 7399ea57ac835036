//! The meter on the wall: what it prints of a home, in each version of P1.
//!
//! Written from the published descriptions of the telegrams and independent of `meter-link`'s own writer, so that the two
//! can check each other. A telegram is a pure function of the home, the instant and what the meter believes to be the
//! time.

mod cipher;
mod print;

use std::str::FromStr;

use jiff::tz::TimeZone;
use meter_link::country::Country;
use meter_link::security::KeyPair;

use crate::home::{Home, Place, Profile, Rates};

/// A version of P1 and the country it hangs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Austria: integer Wh and W.
    At,
    /// Switzerland.
    Ch,
    /// Denmark.
    Dk,
    /// Netherlands, 9600 7E1, no checksum, gas on two lines.
    Dsmr22,
    /// Netherlands, 9600 7E1, no checksum, gas on two lines.
    Dsmr3,
    /// Netherlands, every ten seconds, hourly gas.
    Dsmr4,
    /// Netherlands, every second, gas every five minutes.
    Dsmr5,
    /// Belgium: month peaks, gas as 24.2.3, water.
    EmucsBe,
    /// Luxembourg, in clear.
    EmucsLu,
    /// Netherlands, as DSMR 5 with an identification of its own.
    Esmr5,
    /// Finland.
    Fi,
    /// Hungary: four rates, a long monthly record.
    Hu,
    /// Lithuania: four rates.
    Lt,
    /// Luxembourg, encrypted.
    LuEncrypted,
    /// Norway.
    No,
    /// Sweden.
    Se,
}

impl Version {
    /// All of them, with the names they have on the command line.
    pub const ALL: [(&'static str, Self); 16] = [
        ("at", Self::At),
        ("ch", Self::Ch),
        ("dk", Self::Dk),
        ("dsmr2.2", Self::Dsmr22),
        ("dsmr3", Self::Dsmr3),
        ("dsmr4", Self::Dsmr4),
        ("dsmr5", Self::Dsmr5),
        ("emucs-be", Self::EmucsBe),
        ("emucs-lu", Self::EmucsLu),
        ("esmr5", Self::Esmr5),
        ("fi", Self::Fi),
        ("hu", Self::Hu),
        ("lt", Self::Lt),
        ("lu-encrypted", Self::LuEncrypted),
        ("no", Self::No),
        ("se", Self::Se),
    ];

    /// Where its meters hang.
    pub const fn country(self) -> Country {
        match self {
            Self::At => Country::At,
            Self::Ch => Country::Ch,
            Self::Dk => Country::Dk,
            Self::Dsmr22 | Self::Dsmr3 | Self::Dsmr4 | Self::Dsmr5 | Self::Esmr5 => Country::Nl,
            Self::EmucsBe => Country::Be,
            Self::EmucsLu | Self::LuEncrypted => Country::Lu,
            Self::Fi => Country::Fi,
            Self::Hu => Country::Hu,
            Self::Lt => Country::Lt,
            Self::No => Country::No,
            Self::Se => Country::Se,
        }
    }

    /// The home's zone and rates. The zone is UTC should the country's be missing from the time zone database.
    pub fn place(self) -> Place {
        Place {
            zone: TimeZone::get(self.country().zone()).unwrap_or(TimeZone::UTC),
            rates: match self {
                Self::Dsmr22 | Self::Dsmr3 | Self::Dsmr4 | Self::Dsmr5 | Self::Esmr5 => Rates::Dutch,
                Self::At | Self::Ch | Self::EmucsBe | Self::Hu => Rates::Belgian,
                Self::Lt => Rates::Four,
                Self::Dk | Self::EmucsLu | Self::Fi | Self::LuEncrypted | Self::No | Self::Se => Rates::Single,
            },
        }
    }

    /// Seconds between telegrams.
    pub const fn interval(self) -> i64 {
        match self {
            Self::Dsmr22 | Self::Dsmr3 | Self::Dsmr4 | Self::EmucsLu | Self::LuEncrypted | Self::Hu | Self::No => 10,
            Self::At
            | Self::Ch
            | Self::Dk
            | Self::Dsmr5
            | Self::EmucsBe
            | Self::Esmr5
            | Self::Fi
            | Self::Lt
            | Self::Se => 1,
        }
    }

    /// Speed of its serial line.
    pub const fn baud(self) -> u32 {
        if matches!(self, Self::Dsmr22 | Self::Dsmr3) { 9_600 } else { 115_200 }
    }

    /// True where gas and water are transmitted once an hour and not every five minutes.
    pub const fn hourly_children(self) -> bool {
        matches!(self, Self::Dsmr22 | Self::Dsmr3 | Self::Dsmr4 | Self::EmucsLu | Self::LuEncrypted)
    }

    /// True where the total registers (1.8.0, 2.8.0) are printed.
    pub const fn totals(self) -> bool {
        !matches!(self, Self::Dsmr22 | Self::Dsmr3 | Self::Dsmr4 | Self::Dsmr5 | Self::Esmr5 | Self::EmucsBe)
    }

    /// How many registers per direction are printed by rate; 0 where only the total is.
    pub const fn rates(self) -> usize {
        match self {
            Self::Dk | Self::EmucsLu | Self::Fi | Self::LuEncrypted | Self::No | Self::Se => 0,
            Self::Hu | Self::Lt => 4,
            _ => 2,
        }
    }
}

impl FromStr for Version {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.iter().find(|(name, _)| *name == text).map(|(_, version)| *version).ok_or(
            "expected dsmr2.2, dsmr3, dsmr4, dsmr5, esmr5, emucs-be, emucs-lu, lu-encrypted, se, fi, dk, no, lt, hu, ch or at",
        )
    }
}

/// What is wrong with one telegram on purpose. All false: nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quirks {
    /// Child meters are stamped `632525252525W`.
    pub child_clock: bool,
    /// All registers show 0.
    pub zero: bool,
    /// The first import register shows this many Wh too much.
    pub spike_watt_hours: u64,
}

/// A meter that can print.
#[derive(Clone, Debug)]
pub struct Meter {
    /// Which telegram it speaks.
    pub version: Version,
    /// What an encrypting meter encrypts with.
    pub keys: KeyPair,
    /// Meter's clock minus the true time in seconds.
    pub clock_error: i64,
}

/// What the meter in the cupboard says of energy, in whole Wh as printed, cut off and never rounded up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// The total, or the sum of the rates where no total is printed.
    pub import_watt_hours: u64,
    /// The same, into the grid.
    pub export_watt_hours: u64,
}

impl Meter {
    /// A meter with a true clock, and keys that are published for nobody's use.
    pub fn new(version: Version) -> Self {
        Self { version, keys: KeyPair { encryption: [0x5A; 16].into(), authentication: None }, clock_error: 0 }
    }

    /// The telegram at the home's second: registers up to then, power of the second before.
    ///
    /// An encrypting meter counts its invocations by the clock, so that they rise over any restart.
    pub fn telegram(&self, home: &mut Home, quirks: Quirks) -> Vec<u8> {
        let text = print::telegram(self, home, quirks);
        if self.version != Version::LuEncrypted {
            return text;
        }
        // Every ten seconds since 2020: lasts beyond the century.
        let counter = ((home.second() - 1_577_836_800) / self.version.interval()).clamp(1, i64::from(u32::MAX));
        cipher::seal(&self.keys, cipher::title(&home.device().equipment), counter as u32, &text)
    }

    /// What the registers in a telegram add up to.
    pub fn shown(&self, home: &Home) -> Shown {
        let registers = home.registers();
        let sum = |rates: &[u64]| {
            let watt_hours = |milliwatt_seconds: u64| milliwatt_seconds / crate::home::MILLIWATT_SECONDS_PER_WATT_HOUR;
            if self.version.totals() {
                watt_hours(rates.iter().sum())
            } else {
                rates.iter().map(|rate| watt_hours(*rate)).sum()
            }
        };
        Shown { import_watt_hours: sum(&registers.import), export_watt_hours: sum(&registers.export) }
    }

    /// Net power as printed, in mW: whole watts, or tens of watts before DSMR 4.
    pub fn shown_power(&self, home: &mut Home) -> i64 {
        print::net_milliwatts(self, home)
    }

    /// True if its telegrams carry the phase.
    pub fn prints_phase(&self, profile: Profile, phase: usize) -> bool {
        !matches!(self.version, Version::Dsmr22 | Version::Dsmr3 | Version::At) && phase < profile.phase_count()
    }
}

#[cfg(test)]
mod tests;
