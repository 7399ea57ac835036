//! The journal of a key change: pure data, kept durably by the caller after every step, so that no meter is lost whenever
//! the power fails.
//!
//! `Pending` (written before anything is sent) → `Sent` (written before the keys go out) → `Verified` (a read under the new
//! keys was answered) → `Active` (the old keys are no longer needed). The old keys stay until `Active`. After a crash
//! [`KeyChange::candidates`] says which keys to try, in order; one of them opens the meter, also if it took only one of
//! the two.
//!
//! Source: SP 800-57 part 1, section 8 (states of keys); two-phase commit.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::ciphering::Keys;
use crate::security::key::Key;

/// How far a change is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Written down; nothing was sent.
    Pending,
    /// Sent, or about to be: the meter may use either.
    Sent,
    /// The meter answered under the new keys.
    Verified,
    /// Done.
    Active,
}

/// One change of one meter's keys. Holds keys: belongs where keys are kept. `Debug` is redacted by its parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyChange {
    /// How far it is.
    stage: Stage,
    /// What the meter has used so far.
    #[serde(serialize_with = "write_keys", deserialize_with = "read_keys")]
    old: Keys,
    /// What it is to use.
    #[serde(serialize_with = "write_keys", deserialize_with = "read_keys")]
    new: Keys,
}

impl KeyChange {
    /// A change that is only written down.
    pub const fn new(old: Keys, new: Keys) -> Self {
        Self { stage: Stage::Pending, old, new }
    }

    /// How far it is.
    pub const fn stage(&self) -> Stage {
        self.stage
    }

    /// What the meter is to use.
    pub const fn new_keys(&self) -> &Keys {
        &self.new
    }

    /// To be kept *before* the keys go out.
    #[must_use]
    pub fn sent(self) -> Self {
        Self { stage: self.stage.max(Stage::Sent), ..self }
    }

    /// The meter answered a read under these keys. Under the old ones the change has not happened and may be sent again;
    /// under a mixture it took one of two, and the rest is to be sent again from there.
    #[must_use]
    pub fn answered_under(self, keys: &Keys) -> Self {
        if self.stage == Stage::Active {
            self
        } else if *keys == self.new {
            Self { stage: Stage::Verified, ..self }
        } else {
            Self { stage: Stage::Pending, old: keys.clone(), new: self.new }
        }
    }

    /// The caller has made the new keys the meter's; the old ones may go. Nothing happens before they are proven.
    #[must_use]
    pub fn finished(self) -> Self {
        let stage = if self.stage == Stage::Verified { Stage::Active } else { self.stage };
        Self { stage, ..self }
    }

    /// The keys to try, most probable first.
    pub fn candidates(&self) -> Vec<Keys> {
        let mixed = |one: &Keys, other: &Keys| Keys {
            encryption: one.encryption.clone(),
            authentication: other.authentication.clone(),
        };
        let (old, new) = (&self.old, &self.new);
        let mut candidates = match self.stage {
            Stage::Pending => vec![old.clone(), new.clone()],
            Stage::Sent => vec![new.clone(), old.clone(), mixed(new, old), mixed(old, new)],
            Stage::Verified => vec![new.clone(), old.clone()],
            Stage::Active => vec![new.clone()],
        };
        // Where only one of two changes, mixtures repeat.
        let all = std::mem::take(&mut candidates);
        for keys in all {
            if !candidates.contains(&keys) {
                candidates.push(keys);
            }
        }
        candidates
    }
}

fn write_keys<S: Serializer>(keys: &Keys, serializer: S) -> Result<S::Ok, S::Error> {
    (keys.encryption.to_hexadecimal(), keys.authentication.to_hexadecimal()).serialize(serializer)
}

fn read_keys<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Keys, D::Error> {
    let (encryption, authentication) = <(String, String)>::deserialize(deserializer)?;
    let keys = Key::parse(&encryption).zip(Key::parse(&authentication));
    keys.map(|(encryption, authentication)| Keys { encryption, authentication })
        .ok_or_else(|| serde::de::Error::custom("expected a key of 32 or 64 hexadecimal digits"))
}
