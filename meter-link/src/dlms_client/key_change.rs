//! The journal of a key change: pure data, kept durably by the caller before every step, so that no meter is lost whenever
//! the power fails.
//!
//! `Pending` (written before anything is sent) → `Sent` (written before the keys go out) → `Verified` (a read under the new
//! keys was answered) → `Active` (the old keys are no longer needed). The old keys stay until `Active`. After a crash
//! [`KeyChange::candidates`] says which keys to try, in order; one of them opens the meter, also if it took only one of
//! the two, or took them for another suite. Master keys open nothing, so [`KeyChange::masters`] keeps all that may be the
//! meter's until one of them has wrapped keys that the meter took.
//!
//! Source: SP 800-57 part 1, section 8 (states of keys); two-phase commit.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::ciphering::Keys;
use super::curve::PrivateKey;
use super::security_setup::KeyId;
use crate::security::KeyPair;
use crate::security::key::{Key, Suite};

/// Keys entered during a change that are remembered: more than anybody types for one meter.
const MAX_ENTERED: usize = 4;

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

/// Keys, and the suite that they are used with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuiteKeys {
    /// The suite.
    #[serde(serialize_with = "write_suite", deserialize_with = "read_suite")]
    pub suite: Suite,
    /// The keys. Both have the length of the suite's.
    #[serde(serialize_with = "write_keys", deserialize_with = "read_keys")]
    pub keys: Keys,
}

impl SuiteKeys {
    /// `None` if a key has another length than the suite's.
    pub fn new(suite: Suite, keys: Keys) -> Option<Self> {
        let fits = |key: &Key| key.bytes().len() == suite.key_length();
        (fits(&keys.encryption) && fits(&keys.authentication)).then_some(Self { suite, keys })
    }

    /// The keys as those are kept that open frames.
    pub fn pair(&self) -> KeyPair {
        let Keys { encryption, authentication } = self.keys.clone();
        KeyPair { encryption, authentication: Some(authentication) }
    }
}

/// What both sides need to work out a master key. `Debug` is redacted by its parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreement {
    /// Our private key for signatures.
    #[serde(serialize_with = "write_private", deserialize_with = "read_private")]
    pub signing: PrivateKey,
    /// The meter's public key for signatures, x then y.
    pub meter_public: Vec<u8>,
}

/// Why a change does not go on, or ends without new keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The meter does not agree on a master key, or one of the signatures does not hold.
    AgreementRefused,
    /// The meter answered, and refused all keys that it may have.
    KeysRefused,
    /// The meter does not accept what was wrapped under the master key.
    MasterKeyWrong,
    /// The meter does not let this client change its keys.
    MeterRefuses,
    /// The meter did not answer.
    MeterSilent,
    /// The suite that the new keys would have is not to be used any more.
    SuiteEnded,
}

/// How a change ended. Nothing of it is needed any more once the caller has taken the keys over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The new keys are proven: [`KeyChange::target`].
    Replaced(KeyChange),
    /// The meter uses [`KeyChange::old`], which is proven.
    RolledBack(KeyChange, Trouble),
}

/// Where the meter's master key comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Master {
    /// Agreed on with the meter, in suite 1 or 2. Safe wherever the power fails: what the meter worked out and we did not
    /// hear is replaced by the next agreement, because the keys that open the meter have not changed.
    Agreed(Agreement),
    /// One of these, most probable first.
    Known(Vec<Key>),
}

/// One change of one meter's keys. Holds keys: belongs where keys are kept. `Debug` is redacted by its parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyChange {
    /// How far it is.
    stage: Stage,
    /// Whether the meter gets another master key too, handed over under the present one.
    replaces_master: bool,
    /// What the meter has used so far.
    old: SuiteKeys,
    /// What it is to use. `None`: not made yet, because the meter has to say its suite first.
    new: Option<SuiteKeys>,
    /// Keys that may be the meter's master key, most probable first.
    #[serde(serialize_with = "write_list", deserialize_with = "read_list")]
    masters: Vec<Key>,
    /// The master key that the meter is to take; one of `masters` once it may have been sent.
    #[serde(serialize_with = "write_list", deserialize_with = "read_list")]
    next_master: Vec<Key>,
    /// A master key is still to be agreed on.
    agreement: Option<Agreement>,
    /// Keys that a person entered meanwhile: tried last. At most [`MAX_ENTERED`].
    entered: Vec<SuiteKeys>,
}

impl KeyChange {
    /// A change that is only written down. `replaces_master`: the meter gets a new master key as well; for an agreed one
    /// that is so anyway.
    pub fn new(old: SuiteKeys, master: Master, replaces_master: bool) -> Self {
        let (masters, agreement) = match master {
            Master::Agreed(agreement) => (Vec::new(), Some(agreement)),
            Master::Known(masters) => (masters, None),
        };
        let replaces_master = replaces_master && agreement.is_none();
        Self {
            stage: Stage::Pending,
            replaces_master,
            old,
            new: None,
            masters,
            next_master: Vec::new(),
            agreement,
            entered: Vec::new(),
        }
    }

    /// How far it is.
    pub const fn stage(&self) -> Stage {
        self.stage
    }

    /// What the meter has used so far.
    pub const fn old(&self) -> &SuiteKeys {
        &self.old
    }

    /// What the meter is to use, once that is made.
    pub const fn target(&self) -> Option<&SuiteKeys> {
        self.new.as_ref()
    }

    /// Keys that may be the meter's master key, most probable first.
    pub fn masters(&self) -> &[Key] {
        &self.masters
    }

    /// Whether the meter gets another master key, handed over under the present one.
    pub const fn replaces_master(&self) -> bool {
        self.replaces_master
    }

    /// The master key that is to be handed over before the other keys.
    pub fn next_master(&self) -> Option<&Key> {
        self.next_master.first()
    }

    /// Whether the new master key may have reached the meter.
    pub fn is_master_sent(&self) -> bool {
        self.next_master().is_some_and(|next| self.masters.contains(next))
    }

    /// What a master key is still to be agreed on with.
    pub const fn agreement(&self) -> Option<&Agreement> {
        self.agreement.as_ref()
    }

    /// The new keys are made: to be kept before anything else happens. `master`: the new one, where it is replaced.
    #[must_use]
    pub fn proposed(self, new: SuiteKeys, master: Option<Key>) -> Self {
        let next_master = master.into_iter().filter(|_| self.replaces_master).collect();
        Self { new: Some(new), next_master, ..self }
    }

    /// To be kept *before* the new master key goes out.
    #[must_use]
    pub fn master_sent(mut self) -> Self {
        let next = self.next_master.clone();
        self.masters.retain(|master| !next.contains(master));
        self.masters.splice(..0, next);
        self
    }

    /// The meter certainly did not take the new master key.
    #[must_use]
    pub fn master_refused(mut self) -> Self {
        let next = std::mem::take(&mut self.next_master);
        self.masters.retain(|master| !next.contains(master));
        self
    }

    /// Both sides have worked out a master key.
    #[must_use]
    pub fn master_agreed(self, master: Key) -> Self {
        Self { masters: vec![master], agreement: None, ..self }
    }

    /// To be kept *before* the keys go out.
    #[must_use]
    pub fn sent(self) -> Self {
        Self { stage: self.stage.max(Stage::Sent), ..self }
    }

    /// The meter took keys that this one wrapped: it is the master key.
    #[must_use]
    pub fn master_proven(self, master: &Key) -> Self {
        Self { masters: vec![master.clone()], ..self }
    }

    /// A person says that these are the meter's keys. Believed once the meter answers under them.
    #[must_use]
    pub fn entered(mut self, keys: SuiteKeys) -> Self {
        self.entered.retain(|known| *known != keys);
        self.entered.truncate(MAX_ENTERED - 1);
        self.entered.insert(0, keys);
        self
    }

    /// With what a person entered meanwhile into another copy of this change.
    #[must_use]
    pub fn with_entered(self, other: &Self) -> Self {
        let new: Vec<_> = other.entered.iter().filter(|keys| !self.entered.contains(keys)).rev().cloned().collect();
        new.into_iter().fold(self, Self::entered)
    }

    /// The meter answered a read under these keys. Under the old ones the change has not happened and may be sent again;
    /// under a mixture it took one of two, and the rest is to be sent again from there.
    #[must_use]
    pub fn answered_under(self, found: &SuiteKeys) -> Self {
        let Some(new) = self.new.as_ref().filter(|_| self.stage != Stage::Active) else {
            return Self { old: if self.stage == Stage::Active { self.old } else { found.clone() }, ..self };
        };
        if found.keys != new.keys {
            return Self { stage: Stage::Pending, old: found.clone(), ..self };
        }
        // Under the new keys, whichever suite the meter uses them with.
        Self { stage: Stage::Verified, new: Some(found.clone()), ..self }
    }

    /// The new keys are the meter's, but which master key it has is not certain: fresh keys prove that.
    #[must_use]
    pub fn again(self) -> Self {
        match self.new {
            Some(proven) if self.stage == Stage::Verified => {
                Self { stage: Stage::Pending, old: proven, new: None, next_master: Vec::new(), ..self }
            }
            new => Self { new, ..self },
        }
    }

    /// Whether everything that was to be replaced is.
    pub fn is_proven(&self) -> bool {
        let is_master_certain = !self.replaces_master || self.masters == self.next_master;
        self.stage >= Stage::Verified && is_master_certain && self.agreement.is_none()
    }

    /// The caller has made the new keys the meter's; the old ones may go. Nothing happens before they are proven.
    #[must_use]
    pub fn finished(self) -> Self {
        let stage = if self.stage == Stage::Verified { Stage::Active } else { self.stage };
        Self { stage, ..self }
    }

    /// The keys that the meter has to take: those in which old and new differ.
    pub fn parts(&self) -> Vec<(KeyId, &Key)> {
        let Some(new) = &self.new else { return Vec::new() };
        let pair = |id, new, old| (new != old).then_some((id, new));
        let (new, old) = (&new.keys, &self.old.keys);
        [
            pair(KeyId::Unicast, &new.encryption, &old.encryption),
            pair(KeyId::Authentication, &new.authentication, &old.authentication),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// The keys to try, most probable first.
    pub fn candidates(&self) -> Vec<SuiteKeys> {
        let old = &self.old;
        let entered = self.entered.iter().filter(|_| self.stage != Stage::Active).cloned();
        let Some(new) = &self.new else { return [old.clone()].into_iter().chain(entered).collect() };
        let mixed = |one: &Keys, other: &Keys| Keys {
            encryption: one.encryption.clone(),
            authentication: other.authentication.clone(),
        };
        let both = [&new.keys, &old.keys];
        let mixtures = [mixed(both[0], both[1]), mixed(both[1], both[0])];
        let order = match self.stage {
            Stage::Pending => vec![both[1], both[0], &mixtures[0], &mixtures[1]],
            Stage::Sent | Stage::Verified => vec![both[0], both[1], &mixtures[0], &mixtures[1]],
            Stage::Active => vec![both[0]],
        };
        let mut candidates = Vec::new();
        for keys in order {
            let suites = if *keys == old.keys { [old.suite, new.suite] } else { [new.suite, old.suite] };
            // Keys of other lengths than the suite's are no keys of it; where only one of two changes, mixtures repeat.
            for candidate in suites.into_iter().filter_map(|suite| SuiteKeys::new(suite, keys.clone())) {
                if !candidates.contains(&candidate) {
                    candidates.push(candidate);
                }
            }
        }
        candidates.extend(entered);
        candidates
    }
}

fn write_suite<S: Serializer>(suite: &Suite, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u8(suite.number())
}

fn read_suite<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Suite, D::Error> {
    let number = u8::deserialize(deserializer)?;
    Suite::of_control(number).ok_or_else(|| serde::de::Error::custom("expected suite 0, 1 or 2"))
}

fn write_keys<S: Serializer>(keys: &Keys, serializer: S) -> Result<S::Ok, S::Error> {
    (keys.encryption.to_hexadecimal(), keys.authentication.to_hexadecimal()).serialize(serializer)
}

fn read_keys<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Keys, D::Error> {
    let (encryption, authentication) = <(String, String)>::deserialize(deserializer)?;
    let keys = Key::parse(&encryption).zip(Key::parse(&authentication));
    keys.map(|(encryption, authentication)| Keys { encryption, authentication }).ok_or_else(no_key)
}

fn write_list<S: Serializer>(keys: &[Key], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(keys.iter().map(Key::to_hexadecimal))
}

fn read_list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Key>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    texts.iter().map(|text| Key::parse(text).ok_or_else(no_key)).collect()
}

fn write_private<S: Serializer>(key: &PrivateKey, serializer: S) -> Result<S::Ok, S::Error> {
    key.bytes().serialize(serializer)
}

fn read_private<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PrivateKey, D::Error> {
    let bytes = Vec::<u8>::deserialize(deserializer)?;
    let key = [Suite::One, Suite::Two].into_iter().find_map(|suite| PrivateKey::new(suite, &bytes));
    key.ok_or_else(no_key)
}

/// Never with what was found instead: it may be half a key.
fn no_key<E: serde::de::Error>() -> E {
    E::custom("expected a key")
}
