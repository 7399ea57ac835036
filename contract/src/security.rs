//! What protects a meter's data, as screens see it: the keys it was given, and what was refused. Never a key itself.

use meter_link::health::Refusal;
use serde::{Deserialize, Serialize};

/// One key of a meter, from when it was entered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyEpochState {
    /// 1 for the first key of this meter; rises with every new one.
    pub number: u32,
    /// Security suite whose keys have this length: 0 (AES-128; suite 1 has the same) or 2 (AES-256).
    pub suite: u8,
    /// When it was entered.
    pub since_utc_milliseconds: i64,
    /// When it last authenticated a frame, to the minute. `None`: it has proved nothing yet.
    pub last_used_utc_milliseconds: Option<i64>,
    /// Its place among the keys.
    pub state: KeySlot,
    /// From when on nothing sealed with a key of this kind is counted, once that day is near or past.
    #[serde(default)]
    pub refused_from_utc_milliseconds: Option<i64>,
}

/// A key's place among the keys of its meter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeySlot {
    /// What the meter uses.
    Current,
    /// Entered early: no frame has proved it yet.
    Next,
    /// The one before the current one: kept, and refused.
    Previous,
    /// Forgotten; only its number and its counters remain.
    Retired,
}

/// A frame that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityEvent {
    /// When it came.
    pub at_utc_milliseconds: i64,
    /// Why it was refused.
    pub kind: SecurityEventKind,
}

/// Why a frame was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecurityEventKind {
    /// The encryption key opens it, the authentication key does not.
    AuthenticationKeyWrong,
    /// Authenticated with a key that a newer one has replaced.
    KeyRetired,
    /// No key's tag holds: a wrong key, or bytes changed on the way.
    KeyWrong,
    /// It had been counted before.
    Replayed,
    /// Its key is of a kind that is no longer accepted.
    SuiteEnded,
    /// The meter authenticates what it sends, and this came without.
    TagMissing,
    /// Authenticated by another meter.
    TitleForeign,
}

impl From<Refusal> for SecurityEventKind {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::AuthenticationKeyWrong => Self::AuthenticationKeyWrong,
            Refusal::KeyRetired => Self::KeyRetired,
            Refusal::KeyWrong => Self::KeyWrong,
            Refusal::Replayed => Self::Replayed,
            Refusal::TagMissing => Self::TagMissing,
            Refusal::TitleForeign => Self::TitleForeign,
        }
    }
}
