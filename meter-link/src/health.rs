//! How a meter's link is doing: what it hears, what fails, what it waits for.
//!
//! Kept by the meter's task, shown on every screen that mentions the meter. Holds counts and states, never bytes.

use serde::{Deserialize, Serialize};

use crate::country::Country;
use crate::error::DecodeError;
use crate::reading::{Reading, Trust};

/// A meter's health since its task started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// What the link is doing.
    pub state: LinkState,
    /// Why it is not live, if it is not.
    pub problem: Option<LinkProblem>,
    /// Speed and framing of a serial line, like `115200 8N1`, once found; what is being tried until then.
    pub line_settings: Option<String>,
    /// Settings of the serial line that were listened with since the last frame, and gave none.
    #[serde(default)]
    pub tried: Vec<TriedSettings>,
    /// How often a silent meter has been asked to speak since the last frame.
    #[serde(default)]
    pub asked: u32,
    /// The protocol, once recognised: `p1`.
    pub protocol: Option<String>,
    /// The meter's identification line, without a serial number.
    pub identification: Option<String>,
    /// The country profile, once recognised.
    pub country: Option<Country>,
    /// Bytes heard.
    pub bytes: u64,
    /// Frames whose checksum held or that carry none.
    pub frames: u64,
    /// Frames whose checksum failed.
    pub checksum_failures: u64,
    /// Frames, lines or values that could not be understood where they should have been.
    pub decode_errors: u64,
    /// Frames that were whole and whose list of values nobody knows.
    #[serde(default)]
    pub layouts_unclear: u64,
    /// Frames whose authentication tag failed, was missing, or whose invocation counter was not fresh.
    pub rejected: u64,
    /// Frames of a known protocol, good or not.
    #[serde(default)]
    pub recognised: u64,
    /// How often the link was opened again.
    pub reconnects: u64,
    /// Whether the meter's key fits.
    pub key: KeyState,
    /// A key has opened a frame before.
    #[serde(default)]
    pub has_fitted: bool,
    /// Frames since the last good one that no key opened, or not with its authentication key.
    #[serde(default)]
    pub sealed_in_a_row: u32,
    /// Why the last frame was refused, if one was.
    #[serde(default)]
    pub last_refusal: Option<Refusal>,
    /// The frame heard last had been counted before.
    #[serde(default)]
    pub replayed_lately: bool,
    /// The meter always counts 0: a recording can hardly be told from what is new.
    #[serde(default)]
    pub replay_undetectable: bool,
    /// The meter holds back exact values until its PIN is entered.
    #[serde(default)]
    pub reduced: bool,
    /// Arrival of the last good frame, milliseconds since 1970 UTC.
    pub last_frame_utc_milliseconds: Option<i64>,
    /// Usual time between good frames.
    pub interval_milliseconds: Option<u32>,
    /// Meter's clock minus host's clock at the last frame, smoothed over nothing.
    pub clock_offset_milliseconds: Option<i64>,
    /// The meter's clock shows what no clock can mean: it was never set.
    #[serde(default)]
    pub clock_nonsense: bool,
    /// How far the meter's own records of what was missed have been fetched. `None`: nothing is being fetched.
    #[serde(default)]
    pub profile_progress: Option<ProfileProgress>,
}

/// Parts of a load profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileProgress {
    /// Fetched. done <= of
    pub done: u32,
    /// All.
    pub of: u32,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            state: LinkState::Opening,
            problem: None,
            line_settings: None,
            tried: Vec::new(),
            asked: 0,
            protocol: None,
            identification: None,
            country: None,
            bytes: 0,
            frames: 0,
            checksum_failures: 0,
            decode_errors: 0,
            layouts_unclear: 0,
            rejected: 0,
            recognised: 0,
            reconnects: 0,
            key: KeyState::NotNeeded,
            has_fitted: false,
            sealed_in_a_row: 0,
            last_refusal: None,
            replayed_lately: false,
            replay_undetectable: false,
            reduced: false,
            last_frame_utc_milliseconds: None,
            interval_milliseconds: None,
            clock_offset_milliseconds: None,
            clock_nonsense: false,
            profile_progress: None,
        }
    }
}

impl Health {
    /// Takes note of a reading. Arrival, interval and clock are the task's to note: it has a clock.
    pub fn hear_reading(&mut self, reading: &Reading, replay_undetectable: bool) {
        self.recognised += 1;
        self.frames += 1;
        self.protocol = Some(reading.protocol.to_owned());
        self.identification = Some(reading.identification.clone());
        self.country = reading.country.or(self.country);
        self.reduced = reading.reduced;
        // Not every list has the clock in it.
        self.clock_nonsense = reading.meter_time.is_none() && (self.clock_nonsense || reading.has_nonsense_clock());
        self.sealed_in_a_row = 0;
        self.replayed_lately = false;
        self.replay_undetectable = replay_undetectable;
        if reading.trust == Trust::Authenticated {
            self.key = KeyState::Fits;
            self.has_fitted = true;
        }
    }

    /// Takes note of a frame that gave no reading.
    pub fn hear_error(&mut self, error: DecodeError) {
        // A frame that fails came at the right speed all the same; only what has no end or no beginning may be noise.
        self.recognised += u64::from(error.proves_frame() || error.hints_at_frame());
        match error {
            DecodeError::Checksum { .. } | DecodeError::ChecksumMissing | DecodeError::LineChecksum { .. } => {
                self.checksum_failures += 1;
            }
            DecodeError::KeyNeeded | DecodeError::TitleMissing => self.key = KeyState::Needed,
            DecodeError::AuthenticationKeyWrong => self.key = KeyState::AuthenticationWrong,
            DecodeError::KeyWrong if self.has_fitted => self.key = KeyState::Changed,
            DecodeError::KeyWrong | DecodeError::NoTelegram => self.key = KeyState::Wrong,
            DecodeError::LayoutUnclear { .. } => self.layouts_unclear += 1,
            DecodeError::Replayed { .. } => self.replayed_lately = true,
            _ if error.is_rejection() => (),
            _ => self.decode_errors += 1,
        }
        let refusal = Refusal::of(error);
        self.rejected += u64::from(refusal.is_some() || error == DecodeError::NoTelegram);
        self.last_refusal = refusal.or(self.last_refusal);
        if matches!(error, DecodeError::AuthenticationKeyWrong | DecodeError::KeyNeeded | DecodeError::KeyWrong) {
            self.sealed_in_a_row = self.sealed_in_a_row.saturating_add(1);
        }
    }
}

/// Settings of a serial line with which nothing was understood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriedSettings {
    /// Speed and framing, like `9600 7E1`.
    pub settings: String,
    /// Bytes that came with them; 0: silence.
    pub bytes: u64,
}

/// What a link is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkState {
    /// Being opened for the first time.
    Opening,
    /// Open; no good frame yet, or none for longer than three intervals and at least ten seconds.
    Listening,
    /// Good frames arrive.
    Live,
    /// Broken; will be opened again after a pause.
    Waiting,
    /// A recorded file has been read to its end.
    Ended,
    /// Needs a person; see the problem.
    Stopped,
}

/// Why a link is not live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkProblem {
    /// Another program holds the port.
    Busy,
    /// The other side closed or the device went away.
    Closed,
    /// The program may not open the port.
    Denied,
    /// What is there takes the connection and answers no question.
    NoAnswer,
    /// The device answers, but its owner has not switched its local interface on.
    NotEnabled,
    /// The name, address, file or port does not exist.
    NotFound,
    /// The meter answers, and refuses who asks or every register.
    NotPermitted,
    /// The device was never paired, or no longer accepts the pairing.
    PairingNeeded,
    /// The meter asks for a password or secret, and has not got the right one.
    PasswordWrong,
    /// The other side refuses connections.
    Refused,
    /// No byte within ten seconds.
    Silent,
    /// The bridge answers, and what it knows of the meter stands still.
    Stale,
    /// Bytes arrive, but no frame of a known protocol.
    Unrecognised,
    /// Something answers in the paired device's place: its certificate is another one.
    Untrusted,
}

/// Whether a meter's key is there and right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    /// The meter sends in clear.
    NotNeeded,
    /// The meter encrypts, and there is no key.
    Needed,
    /// The last frame opens with the encryption key, but not with the authentication key.
    AuthenticationWrong,
    /// A frame has opened before, and the last one did not: the operator has changed the key.
    Changed,
    /// There is a key, and the last frame does not open with it.
    Wrong,
    /// The last frame opened.
    Fits,
}

/// Why a frame was refused: a security event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The encryption key opens it, the authentication key does not.
    AuthenticationKeyWrong,
    /// Authenticated with a key that a newer one has replaced.
    KeyRetired,
    /// No key's tag holds: a wrong key, or bytes changed on the way.
    KeyWrong,
    /// Its invocation counter repeats or falls.
    Replayed,
    /// The meter authenticates what it sends, and this came without.
    TagMissing,
    /// Authenticated by another meter.
    TitleForeign,
}

impl Refusal {
    /// The refusal that an error is. `None`: it is none.
    pub const fn of(error: DecodeError) -> Option<Self> {
        Some(match error {
            DecodeError::AuthenticationKeyWrong => Self::AuthenticationKeyWrong,
            DecodeError::KeyRetired => Self::KeyRetired,
            DecodeError::KeyWrong => Self::KeyWrong,
            DecodeError::Replayed { .. } => Self::Replayed,
            DecodeError::TagMissing => Self::TagMissing,
            DecodeError::TitleForeign => Self::TitleForeign,
            _ => return None,
        })
    }
}
