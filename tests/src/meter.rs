//! The meter on the wall: what it says of a home, in each protocol and maker's habit.
//!
//! Written from the published descriptions of the telegrams and independent of `meter-link`'s own writers, so that the two
//! can check each other. A telegram is a pure function of the home, the instant and what the meter believes to be the
//! time.
//!
//! [`Version`] the list of them · `print` P1 · `dlms` HDLC and M-Bus push · `sml` · `tic` Linky · `d0` IEC 62056-21 ·
//! `values` what all of these are told · `cipher` and `checksum` beneath them.

mod checksum;
mod cipher;
mod d0;
mod dlms;
mod homewizard;
mod print;
mod sml;
mod tic;
mod values;
mod version;

use meter_link::security::KeyPair;

use crate::home::{Home, Profile, Registers};
use values::Values;
pub use version::{Ciphering, Family, Framing, Version};

/// 2020-01-01T00:00:00Z: counters count telegrams since then; a second apart, they last beyond the century.
const COUNTED_SINCE: i64 = 1_577_836_800;

/// What is wrong with one telegram on purpose. All false: nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quirks {
    /// Child meters are stamped `632525252525W`.
    pub child_clock: bool,
    /// All registers show 0.
    pub zero: bool,
    /// The first import register shows this many Wh too much.
    pub spike_watt_hours: u64,
    /// One bit that this number chooses is another one, under checksums that are right.
    pub flip: Option<u64>,
    /// What an encrypting meter leaves away.
    pub strip: Option<Strip>,
    /// What an encrypting meter's invocation counter shows instead of the clock's.
    pub counter: Option<CounterQuirk>,
}

/// What is left away from an encrypted telegram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strip {
    /// Everything: it is sent in clear.
    Cipher,
    /// The tag only.
    Tag,
}

/// What is wrong with a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CounterQuirk {
    /// A thousand less than it should be.
    Back,
    /// Always 0.
    Zero,
}

impl Quirks {
    /// True if a careful reader takes the telegram's values for true ones.
    pub const fn is_honest(&self) -> bool {
        !self.zero
            && self.spike_watt_hours == 0
            && self.flip.is_none()
            && self.strip.is_none()
            && !matches!(self.counter, Some(CounterQuirk::Back))
    }
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
    /// Says whole kWh and nothing more, as a modern metering device without its PIN. Only SML has this.
    pub reduced: bool,
}

/// What the meter in the cupboard says of energy, in mWh as transmitted last, cut off and never rounded up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// The total, or the sum of the rates where no total is transmitted.
    pub import_milliwatt_hours: u64,
    /// The same, into the grid; 0 where there is no such register.
    pub export_milliwatt_hours: u64,
}

impl Meter {
    /// A meter with a true clock, and keys that are published for nobody's use.
    pub fn new(version: Version) -> Self {
        Self { version, keys: version.keys(), clock_error: 0, reduced: version == Version::SmlMmeReduced }
    }

    /// The telegram at the home's second, all of its frames: registers up to then, power of the second before.
    ///
    /// An encrypting meter counts its invocations by the clock, so that they rise over any restart. Characters of seven
    /// bits come without their parity; see [`Framing`].
    pub fn telegram(&self, home: &mut Home, quirks: Quirks) -> Vec<u8> {
        let ticks = (home.second() - COUNTED_SINCE) / self.version.interval();
        let ticks = ticks.clamp(1, i64::from(u32::MAX)) as u32;
        let counter = match quirks.counter {
            None => ticks,
            Some(CounterQuirk::Back) => ticks.saturating_sub(1_000),
            Some(CounterQuirk::Zero) => 0,
        };
        match self.version.family() {
            Family::D0 => d0::telegram(self, &Values::new(self, home, quirks)),
            Family::Dlms => dlms::push(self, &Values::new(self, home, quirks), counter),
            Family::P1 => self.p1(home, quirks, counter),
            Family::Sml => sml::frame(self, &Values::new(self, home, quirks)),
            Family::Tic => tic::frame(self, &Values::new(self, home, quirks)),
        }
    }

    /// What a HomeWizard P1 meter makes of the telegram at the home's second.
    pub fn measurement(&self, home: &mut Home, quirks: Quirks) -> String {
        homewizard::measurement(&Values::new(self, home, quirks))
    }

    fn p1(&self, home: &mut Home, quirks: Quirks, counter: u32) -> Vec<u8> {
        let text = print::telegram(self, home, quirks);
        let Some(how) = self.ciphering(&quirks) else { return text };
        let title = cipher::title(&home.device().equipment);
        let mut sealed = cipher::seal(&self.keys, how, title, counter, &text, true);
        dlms::flip(&mut sealed[24..], quirks.flip);
        sealed
    }

    /// How this telegram is encrypted, if it is.
    fn ciphering(&self, quirks: &Quirks) -> Option<Ciphering> {
        let how = self.version.ciphering()?;
        match quirks.strip {
            None => Some(how),
            Some(Strip::Cipher) => None,
            Some(Strip::Tag) => Some(Ciphering { control: how.control & !cipher::AUTHENTICATED, ..how }),
        }
    }

    /// The last digit of its registers now, in mW·s.
    pub const fn energy_step(&self) -> u64 {
        match self.version {
            Version::SmlMme | Version::SmlMmeReduced if self.reduced => Version::SmlMmeReduced.energy_step(),
            Version::SmlEhz if self.reduced => Version::SmlMmeReduced.energy_step(),
            Version::SmlMmeReduced => Version::SmlMme.energy_step(),
            version => version.energy_step(),
        }
    }

    /// True if the telegram at this second holds the registers.
    pub const fn tells_registers(&self, second: i64) -> bool {
        second.rem_euclid(self.version.register_interval()) == 0
    }

    /// The registers as they were when they were due last.
    pub fn told_registers(&self, home: &Home) -> Registers {
        match self.version.register_interval() {
            3_600 => home.registers_of_hour(),
            900 => home.registers_of_quarter(),
            _ => home.registers(),
        }
    }

    /// What the registers in the last telegram that held them add up to.
    pub fn shown(&self, home: &Home) -> Shown {
        let registers = self.told_registers(home);
        let step = self.energy_step();
        // 3 600 mW·s to the mWh.
        let shown = |milliwatt_seconds: u64| milliwatt_seconds / step * step / 3_600;
        let sum = |rates: &[u64]| {
            if self.version.totals() { shown(rates.iter().sum()) } else { rates.iter().map(|rate| shown(*rate)).sum() }
        };
        Shown {
            import_milliwatt_hours: sum(&registers.import),
            export_milliwatt_hours: if self.version.exports() { sum(&registers.export) } else { 0 },
        }
    }

    /// Net power in mW as the version would transmit it: whole watts, or tens of them before DSMR 4. Linky says only VA,
    /// and a meter without PIN nothing.
    pub fn shown_power(&self, home: &mut Home) -> i64 {
        print::net_milliwatts(self, home)
    }

    /// True if its telegrams carry the power of the phase.
    pub fn prints_phase(&self, profile: Profile, phase: usize) -> bool {
        let prints = match self.version.family() {
            Family::D0 | Family::Tic => false,
            Family::Dlms => matches!(
                self.version,
                Version::AidonSe | Version::DedCiphering | Version::GloSuite1 | Version::IskraSi | Version::KamstrupDk
            ),
            Family::P1 => !matches!(self.version, Version::Dsmr22 | Version::Dsmr3 | Version::At),
            Family::Sml => matches!(self.version, Version::SmlEhz) && !self.reduced,
        };
        prints && phase < profile.phase_count()
    }
}

#[cfg(test)]
mod tests;
