//! What the recorder does for an encrypting meter: judges counters before anything is booked, keeps what no key opens,
//! and changes keys.
//!
//! A counter is committed with the reading it came with. A frame that fails gives one security event and never a booking.
//! A new key first opens what was kept, oldest first and with its own times; only then the meter's task starts anew.

use contract::error::{CallError, ErrorCode};
use contract::live::{MeterId, MeterState, Recording};
use contract::notice::Notice;
use contract::security::{SecurityEvent, SecurityEventKind};
use meter_link::bridge::Secret;
use meter_link::dlms_client::key_change::SuiteKeys;
use meter_link::error::DecodeError;
use meter_link::health::Refusal;
use meter_link::link::{Address, DlmsAddress};
use meter_link::meter::{Arrived, Refused};
use meter_link::sealed::open_sealed;
use meter_link::security::key::Suite;
use meter_link::security::{Counter, KeyPair, Opener};
use rusqlite::{Connection, Transaction, params};

use super::keys::{Entered, Keys};
use super::refused::{self, Kept, Sealed};
use super::{Recorder, attach, kinds, refuse};
use crate::home::MeterOrder;
use crate::key_policy::KeyPolicy;
use crate::store::StoreError;

/// What protects one meter.
#[derive(Clone, Debug, Default)]
pub(super) struct Protection {
    keys: Keys,
    kept: Kept,
}

/// What may be done with a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Book it.
    Book,
    /// Book it; screens are told of a key's use.
    BookAndTell,
    /// It never reaches the books; the event is written.
    Refused,
}

impl Protection {
    fn load(writer: &mut Connection, meter: MeterId, held: Vec<KeyPair>, now: i64) -> Result<Self, StoreError> {
        let kept = Kept::load(writer, meter)?;
        Ok(Self { keys: Keys::load(writer, meter, held, now)?, kept })
    }

    /// When the key in use was entered or made.
    pub(super) fn in_use_since(&self) -> Option<i64> {
        self.keys.in_use_since()
    }

    /// The keys that are kept, the one in use first.
    pub(super) fn in_order_of_use(&self) -> Vec<KeyPair> {
        self.keys.in_order_of_use()
    }

    /// Keeps a counter that came outside a reading.
    pub(super) fn hear_counter(
        &mut self,
        transaction: &Transaction<'_>,
        meter: MeterId,
        counter: Counter,
        now: i64,
    ) -> Result<(), StoreError> {
        self.keys.accept(transaction, meter, counter, now, false).map(|_| ())
    }

    /// Whether a reading may be believed at all: its counter is above all before it; it has none only if no reading of its
    /// meter ever had.
    pub(super) fn is_fresh(&self, counter: Option<Counter>) -> bool {
        match counter {
            Some(counter) => self.keys.is_fresh(counter),
            None => self.keys.counters.is_empty(),
        }
    }

    /// Keeps the counter that something came with at an instant, or the event that it is none to be counted.
    pub(super) fn judge(
        &mut self,
        transaction: &Transaction<'_>,
        meter: MeterId,
        counter: Option<Counter>,
        at: i64,
        policy: &KeyPolicy,
    ) -> Result<Verdict, StoreError> {
        self.judge_one(transaction, meter, (counter, at), policy, false)
    }

    fn judge_one(
        &mut self,
        transaction: &Transaction<'_>,
        meter: MeterId,
        (counter, at): (Option<Counter>, i64),
        policy: &KeyPolicy,
        kept: bool,
    ) -> Result<Verdict, StoreError> {
        let kind = match counter {
            None if self.is_fresh(counter) => return Ok(Verdict::Book),
            None => SecurityEventKind::TagMissing,
            Some(_) if !self.is_fresh(counter) => SecurityEventKind::Replayed,
            Some(counter) if self.keys.suite(counter.key).is_some_and(|suite| policy.is_refused(suite, at)) => {
                SecurityEventKind::SuiteEnded
            }
            Some(counter) => {
                let tell = self.keys.accept(transaction, meter, counter, at, kept)?;
                return Ok(if tell { Verdict::BookAndTell } else { Verdict::Book });
            }
        };
        refused::note(transaction, meter, SecurityEvent { at_utc_milliseconds: at, kind })?;
        Ok(Verdict::Refused)
    }
}

impl Recorder {
    /// Reads what protects a meter.
    pub(super) fn protect(&mut self, meter: MeterId) -> Result<(), StoreError> {
        let held = match self.secrets.read(&self.key_name(meter)) {
            Ok(kept) => kept.map(|text| read_keys(&text)).unwrap_or_default(),
            Err(error) => {
                tracing::warn!(meter = meter.0, "keys cannot be read: {error}");
                Vec::new()
            }
        };
        let protection = Protection::load(&mut self.writer, meter, held, (self.now)())?;
        self.protections.insert(meter, protection);
        self.load_replacement(meter)?;
        self.show_protection(meter);
        Ok(())
    }

    /// Orders the meter's task to start, with its keys, all its counters, and the proof for its device.
    pub(super) fn start(&self, meter: &MeterState, secret: Option<Secret>) {
        let keys = self.protections.get(&meter.id).map(|protection| &protection.keys);
        let _ = self.orders.send(MeterOrder::Start {
            meter: meter.id,
            address: meter.address.clone(),
            keys: keys.map(|keys| keys.held.clone()).unwrap_or_default(),
            counters: keys.map(|keys| keys.counters.clone()).unwrap_or_default(),
            secret,
            worked: self.line_settings(meter.id),
            changes_keys: self.open_change(meter.id).is_some(),
            known_until_utc_milliseconds: self.known_until(meter),
        });
    }

    /// Takes a key that somebody entered. One that is there already changes nothing.
    pub(super) fn set_meter_key(&mut self, id: MeterId, pair: &KeyPair) -> Result<(), CallError> {
        let Some(meter) = self.live.look(|state| state.meters.get(&id).cloned()) else {
            return Err(CallError::new(ErrorCode::NotFound, "there is no such meter"));
        };
        let locked =
            |error: crate::secrets::SecretsError| CallError::new(ErrorCode::SecretsUnavailable, error.to_string());
        let now = (self.now)();
        // The place may have been locked when the home was opened; what it holds must not be overwritten.
        let held = self.secrets.read(&self.key_name(id)).map_err(locked)?.map(|text| read_keys(&text));
        let mut protection =
            Protection::load(&mut self.writer, id, held.unwrap_or_default(), now).map_err(|error| refuse(&error))?;
        let transaction = self.writer.transaction().map_err(|error| refuse(&error.into()))?;
        let entered = protection.keys.enter(&transaction, id, pair, now).map_err(|error| refuse(&error))?;
        if entered == Entered::Known {
            drop(transaction);
            let known = self.protections.get(&id).is_some_and(|known| known.keys.held == protection.keys.held);
            if !known {
                // It was among the secrets while they were locked.
                self.protections.insert(id, protection);
                self.begin(&meter);
            }
            return Ok(());
        }
        if let Ok(Address::Dlms(address)) = meter.address.parse()
            && address.security.is_protected()
        {
            let noted = protection.keys.used_with(&transaction, id, pair.fingerprint(), address.suite);
            noted.map_err(|error| refuse(&error))?;
        }
        let name = format!("meter {} {}", id.0, self.identity);
        self.secrets.keep(&name, &print_keys(&protection.keys.held)).map_err(locked)?;
        transaction.commit().map_err(|error| refuse(&error.into()))?;
        self.protections.insert(id, protection);
        // The old task goes on meanwhile; what it cannot open is opened when it arrives here.
        let opened = self.open_kept(id, pair);
        let entered = self.enter_into_change(id);
        self.show_protection(id);
        self.begin(&meter);
        opened.map_err(|error| refuse(&error))?;
        entered
    }

    /// Notes the suite that a meter's keys are used with.
    pub(super) fn note_suite(&mut self, meter: MeterId, suite: Suite) -> Result<(), StoreError> {
        let Some(protection) = self.protections.get_mut(&meter) else { return Ok(()) };
        let transaction = self.writer.transaction()?;
        let fingerprints: Vec<_> = protection.keys.held.iter().map(KeyPair::fingerprint).collect();
        for fingerprint in fingerprints {
            protection.keys.used_with(&transaction, meter, fingerprint, suite)?;
        }
        transaction.commit()?;
        self.show_protection(meter);
        Ok(())
    }

    /// Takes over keys that the meter has answered under, in place of those it used before.
    pub(super) fn take_keys(&mut self, meter: &MeterState, proven: &SuiteKeys) -> Result<(), CallError> {
        let Some(mut protection) = self.protections.get(&meter.id).cloned() else { return Ok(()) };
        let (pair, now) = (proven.pair(), (self.now)());
        let transaction = self.writer.transaction().map_err(|error| refuse(&error.into()))?;
        let taken = protection.keys.take(&transaction, meter.id, &pair, proven.suite, now);
        taken.map_err(|error| refuse(&error))?;
        let address = address_with(&meter.address, proven.suite).filter(|address| *address != meter.address);
        if let Some(address) = &address {
            let written =
                transaction.execute("UPDATE meter SET address = ? WHERE id = ?", params![address, meter.id.0]);
            written.map_err(|error| refuse(&error.into()))?;
        }
        let name = format!("meter {} {}", meter.id.0, self.identity);
        self.secrets
            .keep(&name, &print_keys(&protection.keys.held))
            .map_err(|error| CallError::new(ErrorCode::SecretsUnavailable, error.to_string()))?;
        transaction.commit().map_err(|error| refuse(&error.into()))?;
        self.protections.insert(meter.id, protection);
        if let Some(address) = address {
            self.live.change(|state| {
                state.meters.get_mut(&meter.id)?.address = address;
                None
            });
        }
        Ok(())
    }

    pub(super) fn key_name(&self, id: MeterId) -> String {
        format!("meter {} {}", id.0, self.identity)
    }

    /// Keeps a frame that gave no reading, and its event. One that a key opens which came meanwhile is a reading.
    pub(super) fn record_refused(&mut self, meter: MeterId, refused: &Refused) -> Result<(), StoreError> {
        let Some(mut protection) = self.protections.get(&meter).cloned() else { return Ok(()) };
        let at = refused.arrived_utc_milliseconds;
        let (mut refusal, mut is_kept) = (refused.refusal, !refused.frame.is_empty());
        if !refused.frame.is_empty() && !protection.keys.held.is_empty() {
            let mut opener = Opener::new(&protection.keys.held, protection.keys.counters.clone());
            match open_sealed(&refused.frame, &mut opener) {
                Ok(reading) => {
                    let live = self.is_live(meter);
                    return self.record(meter, &Arrived { reading, arrived_utc_milliseconds: at, live });
                }
                Err(error) if is_final(error).is_some() => (refusal, is_kept) = (is_final(error), false),
                Err(_) => (),
            }
        }
        let dropped = protection.kept.dropped;
        let transaction = self.writer.transaction()?;
        if let Some(refusal) = refusal {
            let event = SecurityEvent { at_utc_milliseconds: at, kind: refusal.into() };
            refused::note(&transaction, meter, event)?;
        }
        if is_kept {
            protection.kept.keep(&transaction, meter, at, refusal.is_some(), &refused.frame)?;
        }
        transaction.commit()?;
        if dropped == 0 && protection.kept.dropped > 0 {
            tracing::warn!(meter = meter.0, "too many frames wait for their key: the oldest are dropped");
        }
        self.protections.insert(meter, protection);
        self.show_protection(meter);
        Ok(())
    }

    /// After the commit: what protects the meter now.
    pub(super) fn take_over(&mut self, meter: MeterId, protection: Protection, verdict: Verdict) {
        let before = self.protections.insert(meter, protection);
        if verdict == Verdict::Book {
            return;
        }
        let held = self.protections.get(&meter).map(|protection| &protection.keys.held);
        if let Some(held) = held
            && before.is_some_and(|before| before.keys.held != *held)
            && let Err(error) = self.secrets.keep(&self.key_name(meter), &print_keys(held))
        {
            // They are left out when the home is opened next, and tried again with the next key.
            tracing::warn!(meter = meter.0, "keys that were replaced cannot be forgotten: {error}");
        }
        self.show_protection(meter);
    }

    /// Tells screens of keys, events and kept frames.
    pub(super) fn show_protection(&self, meter: MeterId) {
        let Some(protection) = self.protections.get(&meter) else { return };
        let now = (self.now)();
        let start = self.calendar.day_start(self.calendar.date(now));
        let keys = protection.keys.states(&self.key_policy, now);
        let today = refused::count_since(&self.writer, meter, start).unwrap_or(0);
        let last = refused::events(&self.writer, meter, 1).ok().and_then(|events| events.first().copied());
        let administration = self.meter(meter).ok().and_then(|paired| self.administration(&paired));
        self.live.change(|state| {
            let shown = state.meters.get_mut(&meter)?;
            shown.keys = keys;
            shown.security_events_today = today;
            shown.last_security_event = last;
            shown.sealed_frames = protection.kept.frames.unsigned_abs();
            shown.sealed_frames_dropped = protection.kept.dropped.unsigned_abs();
            shown.administration = administration;
            Some(Notice::Meter(Box::new(shown.clone())))
        });
    }

    /// Opens what a meter sent before this key was known, oldest first; what opens is booked with its own time.
    fn open_kept(&mut self, meter: MeterId, pair: &KeyPair) -> Result<(), StoreError> {
        if self.live.look(|state| state.home.recording == Recording::Damaged) {
            return Ok(());
        }
        let Some(protection) = self.protections.get(&meter) else { return Ok(()) };
        // This key alone, so that an older one that was entered late is tried too; with every counter there is.
        let mut opener = Opener::new(std::slice::from_ref(pair), protection.keys.counters.clone());
        let (mut after, mut has_opened) = (0, false);
        loop {
            let portion = refused::portion(&self.writer, meter, after)?;
            let Some(last) = portion.last() else { break };
            after = last.id;
            has_opened |= self.open_portion(meter, &portion, &mut opener)?;
        }
        if has_opened {
            self.refresh()?;
            self.live.change(|state| Some(Notice::Snapshot(Box::new(state.snapshot()))));
        }
        Ok(())
    }

    /// Opens and books a portion in one transaction. True if something was opened.
    fn open_portion(&mut self, meter: MeterId, portion: &[Sealed], opener: &mut Opener) -> Result<bool, StoreError> {
        let Some(mut protection) = self.protections.get(&meter).cloned() else { return Ok(false) };
        let Some(role) = self.live.look(|state| state.meters.get(&meter).map(|meter| meter.role)) else {
            return Ok(false);
        };
        let live = self.is_live(meter);
        let mut points = self.points.clone();
        let mut has_opened = false;
        let transaction = self.writer.transaction()?;
        for sealed in portion {
            let reading = match open_sealed(&sealed.frame, opener) {
                Ok(reading) => reading,
                Err(error) => {
                    if let Some(refusal) = is_final(error) {
                        if !sealed.told {
                            let event = SecurityEvent { at_utc_milliseconds: sealed.at, kind: refusal.into() };
                            refused::note(&transaction, meter, event)?;
                        }
                        protection.kept.release(&transaction, sealed)?;
                    }
                    continue;
                }
            };
            if !has_opened {
                protection.kept.forget_dropped(&transaction, meter)?;
            }
            has_opened = true;
            let arrived = Arrived { reading, arrived_utc_milliseconds: sealed.at, live };
            protection.kept.release(&transaction, sealed)?;
            let came = (arrived.reading.counter, sealed.at);
            if protection.judge_one(&transaction, meter, came, &self.key_policy, true)? == Verdict::Refused {
                continue;
            }
            for kind in kinds(&arrived.reading, role) {
                let place = attach(&transaction, &mut points, kind, meter)?;
                points[place].hear(&transaction, &arrived)?;
            }
        }
        transaction.commit()?;
        let shown: Vec<_> = points.iter().map(super::Point::state).collect();
        self.points = points;
        self.live.change(|state| {
            state.points.extend(shown.into_iter().map(|point| (point.id, point)));
            None
        });
        self.take_over(meter, protection, Verdict::BookAndTell);
        Ok(has_opened)
    }

    /// Whether the meter's times are now: all but a recorded file's.
    fn is_live(&self, meter: MeterId) -> bool {
        self.live.look(|state| state.meters.get(&meter).is_none_or(|meter| !meter.address.starts_with("file:")))
    }
}

/// The refusal of a kept frame that no other key can undo.
fn is_final(error: DecodeError) -> Option<Refusal> {
    Refusal::of(error)
        .filter(|refusal| matches!(refusal, Refusal::Replayed | Refusal::TagMissing | Refusal::TitleForeign))
}

/// A meter's address, where it names a suite with this one.
fn address_with(address: &str, suite: Suite) -> Option<String> {
    match address.parse() {
        Ok(Address::Dlms(address)) => Some(DlmsAddress { suite, ..address }.to_string()),
        _ => None,
    }
}

/// A meter's keys as one secret, newest first: hexadecimal, a colon before an authentication key, commas between.
fn print_keys(keys: &[KeyPair]) -> String {
    let print = |keys: &KeyPair| match &keys.authentication {
        None => keys.encryption.to_hexadecimal(),
        Some(authentication) => format!("{}:{}", keys.encryption.to_hexadecimal(), authentication.to_hexadecimal()),
    };
    keys.iter().map(print).collect::<Vec<_>>().join(",")
}

fn read_keys(text: &str) -> Vec<KeyPair> {
    let read = |text: &str| match text.split_once(':') {
        None => KeyPair::parse(text, None),
        Some((encryption, authentication)) => KeyPair::parse(encryption, Some(authentication)),
    };
    text.split(',').filter_map(read).collect()
}
