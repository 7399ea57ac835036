//! The replacement of a meter's keys: its journal among the secrets, new keys from the operating system's randomness, and
//! what becomes of both.
//!
//! The host carries a change through ([`meter_link::dlms_client::key_change`]) and asks here before every step. A step that
//! cannot be kept among the secrets is refused, so nothing is sent that a crash could make us forget. The database knows how
//! far a replacement is, never a key. At every start an open journal is ordered again, whatever happened in between. Keys
//! are given up only for others that the meter has answered a read under.

use contract::calls::ReplaceMeterKeys;
use contract::error::{CallError, ErrorCode};
use contract::live::{MeterId, MeterState};
use contract::security::{
    Administration, KeyReplacementStage, KeyReplacementState, KeyReplacementTrouble, ReplacedKeys,
};
use meter_link::dlms_client::ciphering::Keys as BothKeys;
use meter_link::dlms_client::key_change::{Ended, KeyChange, Stage, SuiteKeys, Trouble};
use meter_link::link::Address;
use meter_link::security::Counter;
use meter_link::security::key::{Key, Suite};
use serde::{Deserialize, Serialize};

mod given;
mod inherited;
mod rows;

use super::{Recorder, refuse};
use crate::home::OpenChange;
use crate::secrets::SecretsError;
use crate::store::StoreError;

/// A journal that could not be read because its place was locked is looked for again after so long.
const LOOK_AGAIN: i64 = 60_000;

/// What is known of one meter's replacements.
#[derive(Clone, Debug, Default)]
pub(super) struct Replacement {
    /// The last one, as screens see it.
    state: Option<KeyReplacementState>,
    /// The open one.
    journal: Option<Journal>,
    /// Keys that may be the meter's master key, most probable first.
    masters: Vec<Key>,
    /// The journal could not be read; when that was tried last.
    locked: Option<i64>,
}

/// An open change as it is kept among the secrets. `Debug` is redacted by its parts.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Journal {
    /// Row of `key_replacement`.
    number: i64,
    keys: ReplacedKeys,
    since: i64,
    change: KeyChange,
}

impl Recorder {
    /// Reads how the last replacement of a meter's keys stands, and its journal if it is open.
    pub(super) fn load_replacement(&mut self, meter: MeterId) -> Result<(), StoreError> {
        let mut replacement = Replacement { state: rows::last(&self.writer, meter)?, ..Replacement::default() };
        let is_open = replacement.state.is_some_and(|state| state.is_open());
        let journal = self.secrets.read(&self.journal_name(meter));
        match journal.and_then(|journal| Ok((journal, self.secrets.read(&self.master_name(meter))?))) {
            Ok((journal, masters)) => {
                replacement.masters = masters.map(|text| read_masters(&text)).unwrap_or_default();
                // Its text holds keys, so nothing of it is ever told.
                replacement.journal = journal.and_then(|text| serde_json::from_str(&text).ok());
                match &replacement.journal {
                    Some(journal) => replacement.state = Some(self.recover(meter, journal, replacement.state)?),
                    None if is_open => {
                        tracing::warn!(meter = meter.0, "the journal of a key replacement is gone");
                        let lost = Some(KeyReplacementTrouble::SecretsUnavailable);
                        replacement.state =
                            replacement.state.map(|state| self.moved(state, KeyReplacementStage::RolledBack, lost));
                        rows::update(&self.writer, meter, replacement.state)?;
                    }
                    None => (),
                }
            }
            Err(error) => {
                if is_open {
                    tracing::warn!(meter = meter.0, "the journal of a key replacement cannot be read: {error}");
                    replacement.locked = Some((self.now)());
                }
                if let Some(state) = &mut replacement.state {
                    state.trouble = state.trouble.or(is_open.then_some(KeyReplacementTrouble::SecretsUnavailable));
                }
            }
        }
        self.replacements.insert(meter, replacement);
        Ok(())
    }

    /// Looks again for journals whose place was locked.
    pub(super) fn look_for_journals(&mut self) {
        let now = (self.now)();
        let due = |replacement: &Replacement| replacement.locked.is_some_and(|at| now - at >= LOOK_AGAIN);
        let due: Vec<_> = self.replacements.iter().filter(|(_, one)| due(one)).map(|(meter, _)| *meter).collect();
        for meter in due {
            // The keys lie in the same place.
            if let Err(error) = self.protect(meter) {
                tracing::warn!(meter = meter.0, "what protects the meter cannot be read: {error}");
                continue;
            }
            let is_there = self.replacements.get(&meter).is_some_and(|replacement| replacement.locked.is_none());
            if let Some(meter) = self.meter(meter).ok().filter(|_| is_there) {
                self.begin(&meter);
            }
        }
    }

    /// The change that the host is to carry through.
    pub(super) fn open_change(&self, meter: MeterId) -> Option<OpenChange> {
        let journal = self.replacements.get(&meter)?.journal.as_ref()?;
        Some(OpenChange { number: journal.number, change: journal.change.clone() })
    }

    /// What screens see. `None`: nothing in this meter can be changed from here.
    pub(super) fn administration(&self, meter: &MeterState) -> Option<Administration> {
        let replacement = self.replacements.get(&meter.id).cloned().unwrap_or_default();
        let now = (self.now)();
        let ending = |suite: Option<u8>| suite.and_then(|suite| self.key_policy.end_to_say(suite, now));
        let state = replacement
            .state
            .map(|state| KeyReplacementState { refused_from_utc_milliseconds: ending(state.suite), ..state });
        (state.is_some() || self.administered(meter).is_some()).then_some(Administration {
            master_key_kept: !replacement.masters.is_empty(),
            keys_made_here: self.has_made_keys(meter.id),
            replacement: state,
        })
    }

    /// The keys of a meter that we may change, most probable first. `None` for one that only sends, or is asked in clear.
    fn administered(&self, meter: &MeterState) -> Option<(SuiteKeys, Vec<SuiteKeys>)> {
        let Ok(Address::Dlms(address)) = meter.address.parse::<Address>() else { return None };
        let keys = self.protections.get(&meter.id).filter(|_| address.security.is_protected())?.in_order_of_use();
        let mut keys = keys.into_iter().filter_map(|pair| {
            let keys = BothKeys { encryption: pair.encryption, authentication: pair.authentication? };
            SuiteKeys::new(address.suite, keys)
        });
        Some((keys.next()?, keys.collect()))
    }

    /// Begins to replace keys.
    pub(super) fn replace_meter_keys(&mut self, request: &ReplaceMeterKeys) -> Result<KeyReplacementState, CallError> {
        let meter = self.meter(request.meter)?;
        let known = self.replacements.get(&meter.id).cloned().unwrap_or_default();
        if known.journal.is_some() || known.locked.is_some() {
            return Err(CallError::new(ErrorCode::Busy, "its keys are being replaced already"));
        }
        let (old, others) = self
            .administered(&meter)
            .ok_or_else(|| CallError::new(ErrorCode::Unsupported, "this meter's keys cannot be replaced from here"))?;
        let master = given::master(&request.master_key, old.suite, &known.masters)?;
        let replaces_master = request.keys == ReplacedKeys::Master;
        let change = KeyChange::new(old, master, replaces_master);
        let change = others.into_iter().fold(change, KeyChange::entered);
        let since = (self.now)();
        let state = KeyReplacementState {
            keys: request.keys,
            stage: KeyReplacementStage::Pending,
            since_utc_milliseconds: since,
            reached_utc_milliseconds: since,
            suite: None,
            refused_from_utc_milliseconds: None,
            trouble: None,
        };
        let transaction = self.writer.transaction().map_err(|error| refuse(&error.into()))?;
        let number = rows::insert(&transaction, None, meter.id, state).map_err(|error| refuse(&error))?;
        let journal = Journal { number, keys: request.keys, since, change };
        let name = format!("meter {} change {}", meter.id.0, self.identity);
        let text = serde_json::to_string(&journal).map_err(|_| CallError::invalid("keys", "cannot be written"))?;
        self.secrets.keep(&name, &text).map_err(|error| locked(&error))?;
        transaction.commit().map_err(|error| refuse(&error.into()))?;
        let begun = Replacement { state: Some(state), journal: Some(journal), ..known };
        self.replacements.insert(meter.id, begun);
        self.show_protection(meter.id);
        self.begin(&meter);
        Ok(state)
    }

    /// Ends a replacement of which nothing was sent, or nothing arrived.
    pub(super) fn stop_key_replacement(&mut self, meter: MeterId) -> Result<(), CallError> {
        let paired = self.meter(meter)?;
        let Some(open) = self.open_change(meter) else {
            return Err(CallError::new(ErrorCode::NotFound, "no keys are being replaced"));
        };
        if open.change.stage() != Stage::Pending || open.change.is_master_sent() {
            return Err(CallError::new(ErrorCode::Busy, "the meter may have the new keys already"));
        }
        self.close(meter, KeyReplacementStage::RolledBack, Some(KeyReplacementTrouble::Stopped))?;
        self.begin(&paired);
        Ok(())
    }

    /// Keeps a step of a change, durably, before the host takes it.
    pub(super) fn keep_key_change(&mut self, meter: MeterId, open: &OpenChange) -> Result<(), CallError> {
        let mut journal = self.journal(meter, open.number)?;
        journal.change = open.change.clone().with_entered(&journal.change);
        self.keep_journal(meter, journal)?;
        let stage = match open.change.stage() {
            Stage::Pending => KeyReplacementStage::Pending,
            Stage::Sent => KeyReplacementStage::Sent,
            Stage::Verified | Stage::Active => KeyReplacementStage::Verified,
        };
        let Some(state) = self.replacement_state(meter) else { return Ok(()) };
        let suite = open.change.target().map(|target| target.suite.number());
        // Between two steps the meter has answered, or the secrets were there again.
        self.tell_state(meter, self.moved(KeyReplacementState { suite, ..state }, stage, None));
        Ok(())
    }

    /// Makes new keys of a suite and keeps them. `None`: the suite has ended.
    pub(super) fn propose_keys(
        &mut self,
        meter: MeterId,
        open: &OpenChange,
        suite: Suite,
    ) -> Result<Option<KeyChange>, CallError> {
        let journal = self.journal(meter, open.number)?;
        if self.key_policy.is_refused(suite.number(), (self.now)()) {
            if let Some(state) = self.replacement_state(meter) {
                self.tell_state(meter, KeyReplacementState { suite: Some(suite.number()), ..state });
            }
            return Ok(None);
        }
        let old = &open.change.old().keys;
        // Keys of another length cannot be mixed with the old ones.
        let is_longer = suite.key_length() != old.encryption.bytes().len();
        let replaces =
            |one: ReplacedKeys| is_longer || [one, ReplacedKeys::Both, ReplacedKeys::Master].contains(&journal.keys);
        let fresh = || given::random_key(suite);
        let keys = BothKeys {
            encryption: if replaces(ReplacedKeys::Unicast) { fresh()? } else { old.encryption.clone() },
            authentication: if replaces(ReplacedKeys::Authentication) { fresh()? } else { old.authentication.clone() },
        };
        let new = SuiteKeys { suite, keys };
        let master = if open.change.replaces_master() { Some(fresh()?) } else { None };
        let change = open.change.clone().proposed(new, master);
        self.keep_key_change(meter, &OpenChange { number: open.number, change: change.clone() })?;
        Ok(Some(change))
    }

    /// Takes over the keys that a change ended with, and forgets its journal.
    pub(super) fn end_key_change(&mut self, meter: MeterId, number: i64, ended: &Ended) -> Result<(), CallError> {
        self.journal(meter, number)?;
        let (change, proven, stage, trouble) = match ended {
            Ended::Replaced(change) => {
                let Some(target) = change.target().filter(|_| change.is_proven()) else {
                    return Err(CallError::invalid("change", "not proven"));
                };
                (change, target, KeyReplacementStage::Active, None)
            }
            Ended::RolledBack(change, trouble) => {
                (change, change.old(), KeyReplacementStage::RolledBack, Some(told(*trouble)))
            }
        };
        let paired = self.meter(meter)?;
        // A master key that never wrapped anything the meter took is forgotten, unless the meter may have it.
        if stage == KeyReplacementStage::Active || change.is_master_sent() {
            self.secrets
                .keep(&self.master_name(meter), &print_masters(change.masters()))
                .map_err(|error| locked(&error))?;
            if let Some(replacement) = self.replacements.get_mut(&meter) {
                replacement.masters = change.masters().to_vec();
            }
        }
        self.take_keys(&paired, proven)?;
        self.close(meter, stage, trouble)?;
        if let Ok(paired) = self.meter(meter) {
            self.begin(&paired);
        }
        Ok(())
    }

    /// A change cannot go on now; the host tries again by itself.
    pub(super) fn halt_key_change(&mut self, meter: MeterId, number: i64, trouble: KeyReplacementTrouble) {
        if let (Ok(_), Some(state)) = (self.journal(meter, number), self.replacement_state(meter))
            && state.trouble != Some(trouble)
        {
            self.tell_state(meter, KeyReplacementState { trouble: Some(trouble), ..state });
        }
    }

    /// A person entered keys while a change is open: they are tried too.
    pub(super) fn enter_into_change(&mut self, meter: MeterId) -> Result<(), CallError> {
        let journal = self.replacements.get(&meter).and_then(|replacement| replacement.journal.clone());
        let held = self.meter(meter).ok().and_then(|paired| self.administered(&paired));
        let (Some(mut journal), Some((first, others))) = (journal, held) else { return Ok(()) };
        let candidates = journal.change.candidates();
        let new: Vec<_> = others.into_iter().chain([first]).filter(|keys| !candidates.contains(keys)).collect();
        if new.is_empty() {
            return Ok(());
        }
        journal.change = new.into_iter().fold(journal.change, KeyChange::entered);
        self.keep_journal(meter, journal)
    }

    /// Keeps the counter of an answer. Its key may be one that is not the meter's yet.
    pub(super) fn hear_counter(&mut self, meter: MeterId, counter: Counter) -> Result<(), CallError> {
        let known = self.protections.get(&meter).cloned();
        let mut protection = known.ok_or_else(|| CallError::new(ErrorCode::NotFound, "there is no such meter"))?;
        let now = (self.now)();
        let kept = || {
            let transaction = self.writer.transaction()?;
            protection.hear_counter(&transaction, meter, counter, now)?;
            transaction.commit()?;
            Ok(protection)
        };
        let protection = kept().map_err(|error: StoreError| refuse(&error))?;
        self.protections.insert(meter, protection);
        Ok(())
    }

    /// Forgets what is known of a meter that is no longer paired, but for keys that nobody else knows: true if its keys are
    /// to stay. Refused while its meter may have some that only the journal knows.
    pub(super) fn forget_replacement(&mut self, meter: MeterId) -> Result<bool, CallError> {
        if self
            .replacement_state(meter)
            .is_some_and(|state| state.is_open() && state.stage != KeyReplacementStage::Pending)
        {
            return Err(CallError::new(
                ErrorCode::Busy,
                "its keys are being replaced; the meter may have the new ones",
            ));
        }
        let stays = self.has_made_keys(meter);
        self.replacements.remove(&meter);
        self.secrets.forget(&self.journal_name(meter)).map_err(|error| locked(&error))?;
        if !stays {
            self.secrets.forget(&self.master_name(meter)).map_err(|error| locked(&error))?;
        }
        Ok(stays)
    }

    fn replacement_state(&self, meter: MeterId) -> Option<KeyReplacementState> {
        self.replacements.get(&meter)?.state
    }

    /// The open journal, if it is that one.
    fn journal(&self, meter: MeterId, number: i64) -> Result<Journal, CallError> {
        let journal = self.replacements.get(&meter).and_then(|replacement| replacement.journal.clone());
        journal
            .filter(|journal| journal.number == number)
            .ok_or_else(|| CallError::new(ErrorCode::NotFound, "this replacement of keys has ended"))
    }

    fn keep_journal(&mut self, meter: MeterId, journal: Journal) -> Result<(), CallError> {
        let text = serde_json::to_string(&journal).map_err(|_| CallError::invalid("change", "cannot be written"))?;
        self.secrets.keep(&self.journal_name(meter), &text).map_err(|error| locked(&error))?;
        if let Some(replacement) = self.replacements.get_mut(&meter) {
            replacement.journal = Some(journal);
        }
        Ok(())
    }

    /// Ends the open replacement in the database, then forgets its journal. In the other order a crash would leave keys
    /// without a word of what became of them; so it only ends twice.
    fn close(
        &mut self,
        meter: MeterId,
        stage: KeyReplacementStage,
        trouble: Option<KeyReplacementTrouble>,
    ) -> Result<(), CallError> {
        let state = self.replacement_state(meter).map(|state| self.moved(state, stage, trouble));
        rows::update(&self.writer, meter, state).map_err(|error| refuse(&error))?;
        if let Some(replacement) = self.replacements.get_mut(&meter) {
            replacement.state = state;
            replacement.journal = None;
        }
        if let Err(error) = self.secrets.forget(&self.journal_name(meter)) {
            tracing::warn!(meter = meter.0, "the journal of a key replacement cannot be forgotten: {error}");
        }
        self.show_protection(meter);
        Ok(())
    }

    /// A state as it is from now on.
    fn moved(
        &self,
        state: KeyReplacementState,
        stage: KeyReplacementStage,
        trouble: Option<KeyReplacementTrouble>,
    ) -> KeyReplacementState {
        let reached = if state.stage == stage { state.reached_utc_milliseconds } else { (self.now)() };
        KeyReplacementState { stage, trouble, reached_utc_milliseconds: reached, ..state }
    }

    /// Writes a state and tells it. What is decided by stands in the journal, so a database that refuses stops nothing.
    fn tell_state(&mut self, meter: MeterId, state: KeyReplacementState) {
        if self.replacement_state(meter) == Some(state) {
            return;
        }
        if let Err(error) = rows::update(&self.writer, meter, Some(state)) {
            tracing::warn!(meter = meter.0, "how a key replacement stands cannot be written: {error}");
        }
        if let Some(replacement) = self.replacements.get_mut(&meter) {
            replacement.state = Some(state);
        }
        self.show_protection(meter);
    }

    /// The state of an open journal: as written last, or anew where the power failed between journal and database.
    fn recover(
        &self,
        meter: MeterId,
        journal: &Journal,
        written: Option<KeyReplacementState>,
    ) -> Result<KeyReplacementState, StoreError> {
        let newest = rows::newest(&self.writer, meter)?;
        if let Some(state) = written.filter(|_| newest == Some(journal.number)) {
            return Ok(state);
        }
        let state = KeyReplacementState {
            keys: journal.keys,
            stage: KeyReplacementStage::Pending,
            since_utc_milliseconds: journal.since,
            reached_utc_milliseconds: journal.since,
            suite: journal.change.target().map(|target| target.suite.number()),
            refused_from_utc_milliseconds: None,
            trouble: None,
        };
        rows::insert(&self.writer, Some(journal.number), meter, state)?;
        Ok(state)
    }

    fn journal_name(&self, meter: MeterId) -> String {
        format!("meter {} change {}", meter.0, self.identity)
    }

    pub(super) fn master_name(&self, meter: MeterId) -> String {
        format!("meter {} master {}", meter.0, self.identity)
    }
}

const fn told(trouble: Trouble) -> KeyReplacementTrouble {
    match trouble {
        Trouble::AgreementRefused => KeyReplacementTrouble::AgreementRefused,
        Trouble::KeysRefused => KeyReplacementTrouble::KeysRefused,
        Trouble::MasterKeyWrong => KeyReplacementTrouble::MasterKeyWrong,
        Trouble::MeterRefuses => KeyReplacementTrouble::MeterRefuses,
        Trouble::MeterSilent => KeyReplacementTrouble::MeterSilent,
        Trouble::SuiteEnded => KeyReplacementTrouble::SuiteEnded,
    }
}

fn locked(error: &SecretsError) -> CallError {
    CallError::new(ErrorCode::SecretsUnavailable, error.to_string())
}

/// Hexadecimal, most probable first, commas between.
fn print_masters(keys: &[Key]) -> String {
    keys.iter().map(Key::to_hexadecimal).collect::<Vec<_>>().join(",")
}

fn read_masters(text: &str) -> Vec<Key> {
    text.split(',').filter_map(Key::parse).collect()
}
