//! What protects a meter's data, as screens see it: the keys it was given, how their replacement stands, and what was
//! refused. A key itself goes inward only.

use meter_link::health::Refusal;
use serde::{Deserialize, Serialize};

use crate::calls::Secret;

/// One key of a meter, from when it was entered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyEpochState {
    /// 1 for the first key of this meter; rises with every new one.
    pub number: u32,
    /// Security suite it is used with: 0 (AES-128), 1 (AES-128, elliptic curves) or 2 (AES-256, elliptic curves). A key
    /// that was entered and has proved nothing yet is shown with the weakest of its length, 0 or 2.
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

/// What the household may change in a meter that it asks, and has the keys of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Administration {
    /// Whether its master key is kept, so that nobody has to give it again.
    pub master_key_kept: bool,
    /// Whether its keys were made here, so that nobody else knows them. They stay among the secrets when it is removed, for
    /// when it is paired again.
    #[serde(default)]
    pub keys_made_here: bool,
    /// The last replacement of its keys. `None`: there was none.
    pub replacement: Option<KeyReplacementState>,
}

/// Which of a meter's keys are replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplacedKeys {
    /// The authentication key.
    Authentication,
    /// The global unicast encryption key and the authentication key.
    Both,
    /// The master key; and both others with it, because only keys handed over under a new master key prove it.
    Master,
    /// The global unicast encryption key.
    Unicast,
}

/// What wraps new keys on their way to the meter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "from", content = "content", deny_unknown_fields)]
pub enum MasterKey {
    /// A master key that both sides work out now (suites 1 and 2). It is kept from then on.
    Agreed {
        /// Our private key for signatures, 64 (suite 1) or 96 (suite 2) hexadecimal digits.
        signing_key: Secret,
        /// The meter's public key for signatures, 128 or 192 hexadecimal digits.
        meter_public_key: String,
    },
    /// The meter's master key, 32 or 64 hexadecimal digits. It is kept from then on.
    Given(Secret),
    /// The one that is kept.
    Kept,
}

/// How the replacement of a meter's keys stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyReplacementState {
    /// Which keys.
    pub keys: ReplacedKeys,
    /// How far it is.
    pub stage: KeyReplacementStage,
    /// When it was asked for.
    pub since_utc_milliseconds: i64,
    /// When it got as far as `stage`.
    pub reached_utc_milliseconds: i64,
    /// Suite of the new keys: the strongest that the meter says it has. `None`: it was not asked yet.
    pub suite: Option<u8>,
    /// From when on keys of that suite are refused, once that day is near or past.
    pub refused_from_utc_milliseconds: Option<i64>,
    /// Why it does not go on, or why it ended without new keys.
    pub trouble: Option<KeyReplacementTrouble>,
}

impl KeyReplacementState {
    /// Whether it still goes on by itself.
    pub const fn is_open(&self) -> bool {
        !matches!(self.stage, KeyReplacementStage::Active | KeyReplacementStage::RolledBack)
    }
}

/// How far a replacement is, in the order of its course.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyReplacementStage {
    /// Written down; nothing was sent.
    Pending,
    /// Sent, or about to be: the meter may use either.
    Sent,
    /// The meter answered a read under the new keys.
    Verified,
    /// Done: the new keys are the meter's, and the old ones only history.
    Active,
    /// Ended without new keys: the meter answered a read under the old ones.
    RolledBack,
}

/// Why a replacement does not go on, or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyReplacementTrouble {
    /// The meter does not agree on a master key with us, or one of the signatures does not hold.
    AgreementRefused,
    /// The meter refuses every key that is kept. All of them are tried again and again, and none is given up.
    KeysRefused,
    /// The meter does not accept what was wrapped under this master key.
    MasterKeyWrong,
    /// The meter does not let us change its keys.
    MeterRefuses,
    /// The meter does not answer. It is tried again by itself.
    MeterSilent,
    /// The place of the secrets is locked, so nothing more is sent. It is tried again by itself.
    SecretsUnavailable,
    /// Somebody stopped it before anything was sent.
    Stopped,
    /// The strongest suite of this meter is no longer accepted.
    SuiteEnded,
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
