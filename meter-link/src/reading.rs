//! What a meter said at an instant: quantities with their meaning, sign and exact value.
//!
//! Every protocol ends here. A reading never holds a value that the meter marked as absent (sentinels are left out and
//! listed in [`Reading::not_understood`]), and never stamps a child meter's value with the main meter's time.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::country::Country;
use crate::decimal::Decimal;
use crate::obis::Obis;
use crate::security::Counter;

/// One telegram, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The protocol it came in, as named on the command line: `p1`.
    pub protocol: &'static str,
    /// The meter's identification line: maker and type, never the serial number. Empty where the protocol has none.
    pub identification: String,
    /// The meter's own serial number or equipment identifier.
    pub equipment: Option<Equipment>,
    /// The country whose profile the telegram fits, which decides zone and names of rates. `None` if it cannot be told.
    pub country: Option<Country>,
    /// The meter's clock at the telegram, as far as it can be told. `None` if it sends none or the text makes no sense.
    pub meter_time: Option<MeterTime>,
    /// How far the bytes can be believed.
    pub trust: Trust,
    /// The meter holds back exact values until its PIN is entered: whole kilowatt-hours and no power.
    pub reduced: bool,
    /// Everything understood, in the order sent.
    pub values: Vec<Measured>,
    /// Child meters that were announced, with or without a value.
    pub children: Vec<Child>,
    /// Lines, objects or values that were kept but not understood, as sent.
    pub not_understood: Vec<NotUnderstood>,
    /// The invocation counter it came with, where a tag proves it: to be kept before the reading counts.
    pub counter: Option<Counter>,
}

impl Reading {
    /// A reading in which nothing has been understood yet.
    pub const fn new(protocol: &'static str, trust: Trust) -> Self {
        Self {
            protocol,
            identification: String::new(),
            equipment: None,
            country: None,
            meter_time: None,
            trust,
            reduced: false,
            values: Vec::new(),
            children: Vec::new(),
            not_understood: Vec::new(),
            counter: None,
        }
    }

    /// Whether the meter sent a clock that shows what no clock can mean: 2000-01-01, month 0.
    pub fn has_nonsense_clock(&self) -> bool {
        // COSEM and P1; D0's date, time and stamp. Empty parentheses are no clock.
        let is_clock = |obis: Obis| matches!((obis.a, obis.c, obis.d, obis.e), (0, 1, 0, 0) | (0 | 1, 0, 9, 1..=4));
        self.not_understood.iter().any(|kept| kept.obis.is_some_and(is_clock) && !kept.text.ends_with("()"))
    }
}

/// One quantity with its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    /// The code it was sent under.
    pub obis: Obis,
    /// 0 for the meter itself, 1.. for a child meter.
    pub channel: u8,
    /// What it means.
    pub quantity: Quantity,
    /// The exact value in `unit`, without a prefix. Flow gives the sign's meaning; the value is as sent.
    pub value: Decimal,
    /// The unit, without a prefix.
    pub unit: Unit,
    /// The instant the value belongs to where it has its own (child meters, demand peaks).
    pub meter_time: Option<MeterTime>,
}

/// What a value means, in the words of the glossary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Quantity {
    /// Register of active energy; rate 0 is the total.
    ActiveEnergy(Flow, u8),
    /// Instantaneous active power, of one phase or all.
    ActivePower(Flow, Phase),
    /// Instantaneous apparent power.
    ApparentPower(Flow, Phase),
    /// A quantity that only its code names: quadrants, thresholds.
    ByCode,
    /// The meter's running or last mean power over its demand period.
    Demand(Flow),
    /// Highest demand of the running month; its instant is in `meter_time`.
    DemandPeak(Flow),
    /// Current.
    Current(Phase),
    /// Mains frequency.
    Frequency,
    /// Register of a child heat or cold meter in joules.
    Heat,
    /// cos φ.
    PowerFactor(Phase),
    /// The rate that counts now.
    Rate,
    /// Register of reactive energy; rate 0 is the total.
    ReactiveEnergy(Flow, u8),
    /// Instantaneous reactive power.
    ReactivePower(Flow, Phase),
    /// Voltage.
    Voltage(Phase),
    /// Register of a child gas or water meter.
    Volume,
    /// How often or how long something happened (sags, swells, failures): a bare number, named by its OBIS code.
    Count,
}

/// Direction at the connection point, seen from the home.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flow {
    /// Into the home.
    Import,
    /// Out of the home.
    Export,
    /// Import positive, export negative, in one number.
    Net,
}

/// Which conductor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// All together.
    Total,
    /// First phase.
    L1,
    /// Second phase.
    L2,
    /// Third phase.
    L3,
    /// Neutral conductor.
    Neutral,
}

/// Units without a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unit {
    /// A.
    Ampere,
    /// m³.
    CubicMetre,
    /// °C.
    DegreeCelsius,
    /// Hz.
    Hertz,
    /// J.
    Joule,
    /// A bare number.
    One,
    /// var.
    Var,
    /// varh.
    VarHour,
    /// V.
    Volt,
    /// VA.
    VoltAmpere,
    /// VAh.
    VoltAmpereHour,
    /// W.
    Watt,
    /// Wh.
    WattHour,
}

impl Unit {
    /// The symbol used in the decode command's JSON; empty for a bare number.
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::Ampere => "A",
            Self::CubicMetre => "m3",
            Self::DegreeCelsius => "degC",
            Self::Hertz => "Hz",
            Self::Joule => "J",
            Self::One => "",
            Self::Var => "var",
            Self::VarHour => "varh",
            Self::Volt => "V",
            Self::VoltAmpere => "VA",
            Self::VoltAmpereHour => "VAh",
            Self::Watt => "W",
            Self::WattHour => "Wh",
        }
    }
}

/// How far the bytes can be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// Neither a checksum nor a tag was there to verify.
    Unverified,
    /// A checksum held: no accident changed the bytes, but anybody could have made them.
    Checked,
    /// The authentication tag held and the invocation counter was fresh.
    Authenticated,
}

/// A meter's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MeterTime {
    /// Milliseconds since 1970-01-01 UTC.
    pub unix_milliseconds: i64,
    /// Local time minus UTC in seconds, as the meter or the country profile says.
    pub offset_seconds: i32,
    /// How the offset was found.
    pub offset_source: OffsetSource,
}

/// How a meter's offset from UTC is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OffsetSource {
    /// The meter sent it (summer/winter mark, deviation).
    Meter,
    /// Assumed from the country profile and the calendar; the repeated hour of autumn is then ambiguous.
    Assumed,
}

/// A child meter on a channel of the meter (M-Bus).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Child {
    /// Channel, 1 to 255.
    pub channel: u8,
    /// What it measures.
    pub medium: Medium,
    /// Its serial number.
    pub equipment: Option<Equipment>,
}

/// What flows through a meter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Medium {
    /// Electricity (M-Bus device type 2).
    Electricity,
    /// Gas (3).
    Gas,
    /// Heat (4, 12) or cold.
    Heat,
    /// Any other device type.
    Unclear,
    /// Water (6, 7).
    Water,
}

/// Registers that the meter itself stored while nobody listened, each as it stood at the end of a period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadProfile {
    /// The meter's own serial number or equipment identifier: rows belong to this device.
    pub equipment: Option<Equipment>,
    /// Distance of its rows; 0 if it does not say. Rows may be missing.
    pub period_seconds: u32,
    /// How far the bytes can be believed.
    pub trust: Trust,
    /// The invocation counter it came with, where a tag proves it: to be kept before the rows count.
    pub counter: Option<Counter>,
    /// In order of time, each instant once. Only registers of energy.
    pub rows: Vec<StoredRow>,
}

/// One row of a load profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRow {
    /// The end of its period, by the meter's clock.
    pub meter_time: MeterTime,
    /// Registers as they stood then.
    pub values: Vec<Measured>,
}

/// A serial number or equipment identifier. Compared and stored, never printed: `Debug` is redacted.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Equipment(pub String);

impl fmt::Debug for Equipment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Equipment(…)")
    }
}

/// Something that was sent and kept but carries no value we know. The text may hold a serial number: `Debug` is redacted.
#[derive(Clone, PartialEq, Eq)]
pub struct NotUnderstood {
    /// Its code, where it had one.
    pub obis: Option<Obis>,
    /// The line as sent, with bytes outside ASCII escaped.
    pub text: String,
}

impl fmt::Debug for NotUnderstood {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("NotUnderstood").field("obis", &self.obis).finish_non_exhaustive()
    }
}
