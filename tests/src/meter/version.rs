//! What a simulated meter can speak: every protocol and maker's habit by the name it has on the command line.
//!
//! Facts only: country, interval, speed, framing, and how coarse its registers are. What is said is in the modules beside.

use std::str::FromStr;

use jiff::tz::TimeZone;
use meter_link::country::Country;
use meter_link::security::KeyPair;

use crate::home::{MILLIWATT_SECONDS_PER_WATT_HOUR, Place, Rates};

/// A protocol, the maker whose habits it has, and the country it hangs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Aidon in Norway: DLMS over HDLC, one value each two seconds, all of them each ten, registers each hour.
    AidonNo,
    /// Aidon in Sweden: DLMS over HDLC, 27 items each ten seconds.
    AidonSe,
    /// P1, Austria: integer Wh and W.
    At,
    /// P1, Switzerland.
    Ch,
    /// IEC 62056-21 mode C: what follows the sign-on, at its first speed.
    D0ModeC,
    /// IEC 62056-21 mode D: pushed.
    D0ModeD,
    /// DLMS over HDLC, general-ded-ciphering.
    DedCiphering,
    /// P1, Denmark.
    Dk,
    /// P1, Netherlands, 9600 7E1, no checksum, gas on two lines.
    Dsmr22,
    /// P1, Netherlands, 9600 7E1, no checksum, gas on two lines.
    Dsmr3,
    /// P1, Netherlands, every ten seconds, hourly gas.
    Dsmr4,
    /// P1, Netherlands, every second, gas every five minutes.
    Dsmr5,
    /// P1, Belgium: month peaks, gas as 24.2.3, water.
    EmucsBe,
    /// P1, Luxembourg, in clear.
    EmucsLu,
    /// P1, Netherlands, as DSMR 5 with an identification of its own.
    Esmr5,
    /// P1, Finland.
    Fi,
    /// DLMS over HDLC, general-glo-ciphering with suite 1.
    GloSuite1,
    /// P1, Hungary: four rates, a long monthly record.
    Hu,
    /// Iskraemeco in Austria: DLMS over HDLC, encrypted without a tag.
    IskraAt,
    /// Iskraemeco in Ljubljana: DLMS over HDLC, values by position, registers each quarter-hour.
    IskraSi,
    /// Kaifa in Austria (Netz NOe): DLMS over M-Bus in two segments, encrypted without a tag.
    KaifaAt,
    /// A Swiss meter with suite 2: DLMS over M-Bus, AES-256.
    KaifaCh256,
    /// Kaifa in Norway: DLMS over HDLC, values by position, three lists.
    KaifaNo,
    /// Kaifa in Sweden: DLMS over HDLC, codes and values in turn.
    KaifaSe,
    /// Kamstrup in Denmark: DLMS over HDLC, encrypted with a tag, registers in 10 Wh.
    KamstrupDk,
    /// Kamstrup in Norway: DLMS over HDLC, registers in 10 Wh each hour.
    KamstrupNo,
    /// Kamstrup in Sweden: the same, every ten seconds.
    KamstrupSe,
    /// Landis+Gyr E360 in Switzerland: DLMS over segmented HDLC, list of objects first.
    LgE360Ch,
    /// Landis+Gyr E450 in Austria (Burgenland): DLMS over HDLC, values by position, encrypted with a tag.
    LgE450At,
    /// Landis+Gyr E450 in Switzerland: DLMS in general block transfer, list of objects first, whole volts.
    LgE450ChGbt,
    /// P1, Lithuania: four rates.
    Lt,
    /// P1, Luxembourg, encrypted.
    LuEncrypted,
    /// P1, Norway.
    No,
    /// Sagemcom in Austria: DLMS over long M-Bus frames, suite 1, encrypted without a tag.
    SagemcomAt,
    /// P1, Sweden.
    Se,
    /// SML of an electronic household meter: tenths of a watt, power of each phase, manufacturer's key.
    SmlEhz,
    /// SML of a modern metering device with its PIN entered.
    SmlMme,
    /// The same without PIN: whole kWh and nothing else.
    SmlMmeReduced,
    /// Linky, mode historique.
    TicHistorique,
    /// Linky, mode standard.
    TicStandard,
}

/// What a protocol is made of, as far as faults and lines care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IEC 62056-21 text.
    D0,
    /// DLMS/COSEM push.
    Dlms,
    /// P1 telegrams.
    P1,
    /// Smart Message Language.
    Sml,
    /// Télé-information client.
    Tic,
}

/// Bits of a character on the serial line; one stop bit everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Eight data bits and even parity.
    EightEven,
    /// Eight data bits, no parity.
    EightNone,
    /// Seven data bits and even parity.
    SevenEven,
}

impl Framing {
    /// As people write it.
    pub const fn text(self) -> &'static str {
        match self {
            Self::EightEven => "8E1",
            Self::EightNone => "8N1",
            Self::SevenEven => "7E1",
        }
    }
}

/// How an encrypting meter wraps what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ciphering {
    /// First byte: general-glo-ciphering or general-ded-ciphering.
    pub tag: u8,
    /// Security control byte: suite, authentication, encryption.
    pub control: u8,
}

impl Version {
    /// All of them, with the names they have on the command line.
    pub const ALL: [(&'static str, Self); 40] = [
        ("aidon-no", Self::AidonNo),
        ("aidon-se", Self::AidonSe),
        ("at", Self::At),
        ("ch", Self::Ch),
        ("d0-mode-c", Self::D0ModeC),
        ("d0-mode-d", Self::D0ModeD),
        ("ded-ciphering", Self::DedCiphering),
        ("dk", Self::Dk),
        ("dsmr2.2", Self::Dsmr22),
        ("dsmr3", Self::Dsmr3),
        ("dsmr4", Self::Dsmr4),
        ("dsmr5", Self::Dsmr5),
        ("emucs-be", Self::EmucsBe),
        ("emucs-lu", Self::EmucsLu),
        ("esmr5", Self::Esmr5),
        ("fi", Self::Fi),
        ("glo-suite1", Self::GloSuite1),
        ("hu", Self::Hu),
        ("iskra-at", Self::IskraAt),
        ("iskra-si", Self::IskraSi),
        ("kaifa-at", Self::KaifaAt),
        ("kaifa-ch-256", Self::KaifaCh256),
        ("kaifa-no", Self::KaifaNo),
        ("kaifa-se", Self::KaifaSe),
        ("kamstrup-dk", Self::KamstrupDk),
        ("kamstrup-no", Self::KamstrupNo),
        ("kamstrup-se", Self::KamstrupSe),
        ("lg-e360-ch", Self::LgE360Ch),
        ("lg-e450-at", Self::LgE450At),
        ("lg-e450-ch-gbt", Self::LgE450ChGbt),
        ("lt", Self::Lt),
        ("lu-encrypted", Self::LuEncrypted),
        ("no", Self::No),
        ("sagemcom-at", Self::SagemcomAt),
        ("se", Self::Se),
        ("sml-ehz", Self::SmlEhz),
        ("sml-mme", Self::SmlMme),
        ("sml-mme-reduced", Self::SmlMmeReduced),
        ("tic-historique", Self::TicHistorique),
        ("tic-standard", Self::TicStandard),
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, other)| *other == self).map_or("", |(name, _)| name)
    }

    /// Its protocol.
    pub const fn family(self) -> Family {
        match self {
            Self::D0ModeC | Self::D0ModeD => Family::D0,
            Self::SmlEhz | Self::SmlMme | Self::SmlMmeReduced => Family::Sml,
            Self::TicHistorique | Self::TicStandard => Family::Tic,
            Self::At
            | Self::Ch
            | Self::Dk
            | Self::Dsmr22
            | Self::Dsmr3
            | Self::Dsmr4
            | Self::Dsmr5
            | Self::EmucsBe
            | Self::EmucsLu
            | Self::Esmr5
            | Self::Fi
            | Self::Hu
            | Self::Lt
            | Self::LuEncrypted
            | Self::No
            | Self::Se => Family::P1,
            _ => Family::Dlms,
        }
    }

    /// How it encrypts; `None` for a meter that speaks in clear.
    pub const fn ciphering(self) -> Option<Ciphering> {
        let (tag, control) = match self {
            Self::DedCiphering => (0xDC, 0x30),
            Self::GloSuite1 => (0xDB, 0x31),
            Self::IskraAt | Self::KaifaAt => (0xDB, 0x20),
            Self::KaifaCh256 => (0xDB, 0x32),
            Self::KamstrupDk | Self::LgE450At | Self::LuEncrypted => (0xDB, 0x30),
            Self::SagemcomAt => (0xDB, 0x21),
            _ => return None,
        };
        Some(Ciphering { tag, control })
    }

    /// Keys that are published for nobody's use.
    pub fn keys(self) -> KeyPair {
        if self == Self::KaifaCh256 {
            return KeyPair { encryption: [0x5A; 32].into(), authentication: Some([0xA5; 32].into()) };
        }
        KeyPair { encryption: [0x5A; 16].into(), authentication: None }
    }

    /// Where its meters hang.
    pub const fn country(self) -> Country {
        match self {
            Self::AidonNo | Self::KaifaNo | Self::KamstrupNo | Self::No => Country::No,
            Self::AidonSe | Self::KaifaSe | Self::KamstrupSe | Self::Se => Country::Se,
            Self::At | Self::IskraAt | Self::KaifaAt | Self::LgE450At | Self::SagemcomAt => Country::At,
            Self::Ch | Self::GloSuite1 | Self::KaifaCh256 | Self::LgE360Ch | Self::LgE450ChGbt => Country::Ch,
            Self::D0ModeC | Self::D0ModeD | Self::SmlEhz | Self::SmlMme | Self::SmlMmeReduced => Country::De,
            Self::DedCiphering => Country::Pl,
            Self::Dk | Self::KamstrupDk => Country::Dk,
            Self::Dsmr22 | Self::Dsmr3 | Self::Dsmr4 | Self::Dsmr5 | Self::Esmr5 => Country::Nl,
            Self::EmucsBe => Country::Be,
            Self::EmucsLu | Self::LuEncrypted => Country::Lu,
            Self::Fi => Country::Fi,
            Self::Hu => Country::Hu,
            Self::IskraSi => Country::Si,
            Self::Lt => Country::Lt,
            Self::TicHistorique | Self::TicStandard => Country::Fr,
        }
    }

    /// The home's zone and rates. The zone is UTC should the country's be missing from the time zone database.
    pub fn place(self) -> Place {
        Place {
            zone: TimeZone::get(self.country().zone()).unwrap_or(TimeZone::UTC),
            rates: match self {
                Self::Dsmr22
                | Self::Dsmr3
                | Self::Dsmr4
                | Self::Dsmr5
                | Self::Esmr5
                | Self::TicHistorique
                | Self::TicStandard => Rates::Dutch,
                Self::At | Self::Ch | Self::D0ModeC | Self::EmucsBe | Self::Hu | Self::IskraSi => Rates::Belgian,
                Self::Lt => Rates::Four,
                _ => Rates::Single,
            },
        }
    }

    /// Seconds between telegrams.
    pub const fn interval(self) -> i64 {
        match self {
            Self::At
            | Self::Ch
            | Self::Dk
            | Self::Dsmr5
            | Self::EmucsBe
            | Self::Esmr5
            | Self::Fi
            | Self::Lt
            | Self::Se
            | Self::SmlMme
            | Self::SmlMmeReduced => 1,
            Self::AidonNo | Self::D0ModeD | Self::KaifaNo | Self::SmlEhz | Self::TicHistorique | Self::TicStandard => 2,
            Self::KaifaAt | Self::KaifaCh256 | Self::LgE360Ch | Self::LgE450At | Self::SagemcomAt => 5,
            // A read-out at 300 baud takes that long.
            Self::D0ModeC => 20,
            _ => 10,
        }
    }

    /// Seconds between telegrams that hold the registers; at least [`Self::interval`], and a multiple of it.
    pub const fn register_interval(self) -> i64 {
        match self {
            Self::AidonNo | Self::KaifaNo | Self::KamstrupNo | Self::KamstrupSe => 3_600,
            Self::IskraSi => 900,
            _ => self.interval(),
        }
    }

    /// Speed of its serial line.
    pub const fn baud(self) -> u32 {
        match self.family() {
            Family::D0 if matches!(self, Self::D0ModeC) => 300,
            Family::Dlms if matches!(self, Self::IskraSi | Self::LgE360Ch) => 115_200,
            Family::Dlms => 2_400,
            Family::P1 if !matches!(self, Self::Dsmr22 | Self::Dsmr3) => 115_200,
            Family::Tic if matches!(self, Self::TicHistorique) => 1_200,
            Family::D0 | Family::P1 | Family::Sml | Family::Tic => 9_600,
        }
    }

    /// Bits of its characters.
    pub const fn framing(self) -> Framing {
        match self.family() {
            Family::D0 | Family::Tic => Framing::SevenEven,
            Family::P1 if matches!(self, Self::Dsmr22 | Self::Dsmr3) => Framing::SevenEven,
            // Swedish and Slovenian sockets are RS-232-like; all others of DLMS are M-Bus physics.
            Family::Dlms if !matches!(self, Self::IskraSi | Self::LgE360Ch) => Framing::EightEven,
            Family::Dlms | Family::P1 | Family::Sml => Framing::EightNone,
        }
    }

    /// True where gas and water are transmitted once an hour and not every five minutes.
    pub const fn hourly_children(self) -> bool {
        matches!(self, Self::Dsmr22 | Self::Dsmr3 | Self::Dsmr4 | Self::EmucsLu | Self::LuEncrypted)
    }

    /// True where the total registers (1.8.0, 2.8.0) are printed.
    pub const fn totals(self) -> bool {
        !matches!(
            self,
            Self::Dsmr22 | Self::Dsmr3 | Self::Dsmr4 | Self::Dsmr5 | Self::Esmr5 | Self::EmucsBe | Self::TicHistorique
        )
    }

    /// False where what flows into the grid has no register.
    pub const fn exports(self) -> bool {
        !matches!(self, Self::TicHistorique)
    }

    /// How many registers per direction are printed by rate; 0 where only the total is. Linky has them for import only.
    pub const fn rates(self) -> usize {
        match self {
            Self::Hu | Self::Lt => 4,
            Self::At
            | Self::Ch
            | Self::D0ModeC
            | Self::Dsmr22
            | Self::Dsmr3
            | Self::Dsmr4
            | Self::Dsmr5
            | Self::EmucsBe
            | Self::Esmr5
            | Self::IskraSi
            | Self::TicHistorique
            | Self::TicStandard => 2,
            _ => 0,
        }
    }

    /// The last digit of its registers, in mW·s.
    pub const fn energy_step(self) -> u64 {
        match self {
            Self::AidonNo | Self::KamstrupDk | Self::KamstrupNo | Self::KamstrupSe => {
                10 * MILLIWATT_SECONDS_PER_WATT_HOUR
            }
            Self::D0ModeD | Self::SmlEhz | Self::SmlMme => MILLIWATT_SECONDS_PER_WATT_HOUR / 10,
            Self::SmlMmeReduced => 1_000 * MILLIWATT_SECONDS_PER_WATT_HOUR,
            _ => MILLIWATT_SECONDS_PER_WATT_HOUR,
        }
    }

    /// The last digit of its power, in mW.
    pub const fn power_step(self) -> u64 {
        match self {
            Self::Dsmr22 | Self::Dsmr3 => 10_000,
            Self::SmlEhz => 100,
            _ => 1_000,
        }
    }
}

impl FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.iter().find(|(name, _)| *name == text).map(|(_, version)| *version).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|(name, _)| *name).collect();
            format!("expected one of {}", names.join(" "))
        })
    }
}
