//! The home this second.
//!
//! Times are milliseconds since 1970-01-01 UTC; the home's zone reaches screens as an offset, so that no screen needs a
//! time-zone database and a reader abroad sees the home's own hours.

use meter_link::country::RateName;
use meter_link::diagnosis::Finding;
use meter_link::health::Health;
use meter_link::reading::{Flow, Phase, Trust};
use meter_link::units::{Milliamperes, Millilitres, Millivolts, MilliwattHours, Milliwatts};
use serde::{Deserialize, Serialize};

use crate::pairing::PairingState;
use crate::security::{Administration, KeyEpochState, SecurityEvent};

/// A paired meter. Its history belongs to its points and outlives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MeterId(pub i64);

/// A metering point: where something is measured, whichever device hangs there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PointId(pub i64);

/// Everything a screen needs to paint at once; the first notice of every watch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The home.
    pub home: Home,
    /// Paired meters, oldest first.
    pub meters: Vec<MeterState>,
    /// Metering points, the connection point first.
    pub points: Vec<PointState>,
    /// The running day in the home's zone.
    pub today: Today,
    /// Net power at the connection point in the last hour, oldest first, spans of ten seconds; spans without a reading
    /// are left out.
    pub last_hour: Vec<PowerSpan>,
}

/// The home itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Home {
    /// IANA name of the zone in which the home's days begin.
    pub zone: String,
    /// Local minus UTC time now.
    pub utc_offset_seconds: i32,
    /// The backend's clock when this was written.
    pub now_utc_milliseconds: i64,
    /// Whether what arrives is being kept.
    pub recording: Recording,
    /// What this host can do beyond the calls.
    pub capabilities: Vec<Capability>,
    /// First day for which history exists, `YYYY-MM-DD` in the home's zone.
    pub first_date: Option<String>,
}

/// Whether what arrives is being kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recording {
    /// The database is damaged; it is kept as it is and nothing is written to it.
    Damaged,
    /// Yes.
    #[default]
    Fine,
    /// The disk is full or refuses; readings wait in memory, the newest hour of them.
    Waiting,
}

/// What only some hosts can do; a screen asks before it offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Capability {
    /// The network can be searched for devices.
    DeviceSearch,
    /// Serial ports can be listed and opened.
    SerialPorts,
    /// A simulated home can be started.
    SimulatedHome,
}

/// A paired meter and how it does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeterState {
    /// Its number.
    pub id: MeterId,
    /// The household's name for it; empty until they give one.
    pub name: String,
    /// Where it is: `serial:/dev/ttyUSB0`, `tcp://host:port`, `homewizard2://host`, `file:path`, `simulated`.
    pub address: String,
    /// What it measures.
    pub role: Role,
    /// Link and decoding.
    pub health: Health,
    /// The first thing to look at when no data comes.
    pub finding: Finding,
    /// The keys it was given, newest first, at most [`MAX_KEYS_SHOWN`].
    #[serde(default)]
    pub keys: Vec<KeyEpochState>,
    /// Frames refused since the home's day began.
    #[serde(default)]
    pub security_events_today: u64,
    /// The frame refused last.
    #[serde(default)]
    pub last_security_event: Option<SecurityEvent>,
    /// Frames that are kept until their key is known.
    #[serde(default)]
    pub sealed_frames: u64,
    /// Such frames that had to make room for newer ones and are lost.
    #[serde(default)]
    pub sealed_frames_dropped: u64,
    /// The pairing that somebody has begun, until it has succeeded or its end was taken note of.
    #[serde(default)]
    pub pairing: Option<PairingState>,
    /// Number under which the utility registers this home with the meter (IEEE 2030.5: LFDI), where that is wanted: 40
    /// hexadecimal digits. Not a secret, and the same for as long as the home keeps its certificate.
    #[serde(default)]
    pub lfdi: Option<String>,
    /// What the household may change in the meter itself. `None`: nothing, it only listens.
    #[serde(default)]
    pub administration: Option<Administration>,
}

/// Keys of one meter that screens are told of: more than it has in its life.
pub const MAX_KEYS_SHOWN: usize = 32;

/// What a paired meter measures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The grid connection.
    #[default]
    Connection,
    /// What the home's own plant makes.
    Generation,
}

/// A metering point and the last it said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PointState {
    /// Its number.
    pub id: PointId,
    /// What is measured there.
    pub kind: PointKind,
    /// The meter that reads it now, if one does.
    pub meter: Option<MeterId>,
    /// The newest reading.
    pub latest: Option<Latest>,
}

/// What is measured at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PointKind {
    /// Where grid and home meet.
    Connection,
    /// The home's own plant.
    Generation,
    /// A gas meter.
    Gas,
    /// A water meter.
    Water,
    /// A heat or cold meter.
    Heat,
}

/// One reading as a screen shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latest {
    /// The instant it belongs to: the meter's own where it can be believed.
    pub at_utc_milliseconds: i64,
    /// Which clock gave that instant.
    pub clock: Clock,
    /// How far the bytes can be believed.
    pub trust: Trust,
    /// Net power: import positive, export negative. `None` if the meter sends none.
    pub power_milliwatts: Option<Milliwatts>,
    /// Phases in order, as far as the meter tells.
    pub phases: Vec<PhaseState>,
    /// Registers of energy as sent, total first where there is one.
    pub registers: Vec<Register>,
    /// The rate that counts now.
    pub rate: Option<u8>,
    /// Register of a gas or water meter.
    pub volume_millilitres: Option<Millilitres>,
    /// Register of a heat meter.
    pub heat_joules: Option<i64>,
}

/// Whose clock stamped a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clock {
    /// The host's: the meter sends no time, or one that cannot be believed.
    Host,
    /// The meter's.
    Meter,
}

/// One phase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseState {
    /// Which.
    pub phase: Phase,
    /// Net power.
    pub power_milliwatts: Option<Milliwatts>,
    /// Voltage.
    pub voltage_millivolts: Option<Millivolts>,
    /// Current.
    pub current_milliamperes: Option<Milliamperes>,
}

/// A register of energy as the meter shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Register {
    /// Its OBIS code.
    pub obis: String,
    /// Direction.
    pub flow: Flow,
    /// Rate; 0 is the total.
    pub rate: u8,
    /// What the country calls the rate.
    pub rate_name: Option<RateName>,
    /// The register.
    pub total_milliwatt_hours: MilliwattHours,
}

/// The running day.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Today {
    /// The day, `YYYY-MM-DD` in the home's zone.
    pub date: String,
    /// From the grid. `None`: nothing was measured, which is not zero.
    pub import_milliwatt_hours: Option<MilliwattHours>,
    /// To the grid.
    pub export_milliwatt_hours: Option<MilliwattHours>,
    /// Made by the home's own plant.
    pub generation_milliwatt_hours: Option<MilliwattHours>,
    /// Gas.
    pub gas_millilitres: Option<Millilitres>,
    /// Water.
    pub water_millilitres: Option<Millilitres>,
    /// Whether the whole day so far was measured without a gap.
    pub complete: bool,
}

/// Net power over one span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PowerSpan {
    /// Start of the span.
    pub start_utc_milliseconds: i64,
    /// Least.
    pub min_milliwatts: Milliwatts,
    /// Mean of the readings in it.
    pub mean_milliwatts: Milliwatts,
    /// Most.
    pub max_milliwatts: Milliwatts,
}
