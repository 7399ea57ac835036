//! Carries the replacement of a meter's keys through, and tries again for as long as it takes.
//!
//! What is to be done is the journal's, how it is done is `meter_link::meter::replacement`'s, and what is kept is the home's:
//! this joins the three. Between two tries the meter is read with the keys that are known, so a place of secrets that stays
//! locked, or a meter that sleeps, costs no reading.

use std::time::Duration;

use contract::error::{CallError, ErrorCode};
use contract::live::MeterId;
use contract::security::KeyReplacementTrouble;
use household::home::{Household, OpenChange};
use meter_link::bridge::Secret;
use meter_link::dlms_client::key_change::{KeyChange, SuiteKeys, Trouble};
use meter_link::link::DlmsAddress;
use meter_link::meter::MeterEvent;
use meter_link::meter::asked::{Access, AskError, Asked};
use meter_link::meter::replacement::{Halted, Keeper, advance};
use meter_link::meter::reserve::{CountersWanted, Reserve, Reserved};
use meter_link::security::key::Suite;
use meter_link::security::{Counter, Fingerprint};
use tokio::sync::oneshot;

use crate::meters::Reading;

/// First pause before another try.
const PAUSE: Duration = Duration::from_secs(5);
/// Longest pause: who unlocks the secrets or plugs the meter in again waits at most a minute.
const MAX_PAUSE: Duration = Duration::from_secs(60);
/// Longest pause with a meter that refuses every key: some lock a client out that comes too often.
const MAX_PAUSE_REFUSED: Duration = Duration::from_secs(600);

/// Tries until the replacement has ended; an order to start the meter's task anew follows then.
pub(crate) async fn replace(household: Household, address: DlmsAddress, open: OpenChange, reading: &Reading) {
    let (meter, number) = (reading.meter, open.number);
    let (counters, secret) = (reading.counters.clone(), reading.secret.clone());
    let mut host = Host { household: household.clone(), meter, address, counters, secret, number, kept: open.change };
    let mut pause = PAUSE;
    loop {
        let kept = host.kept.clone();
        let trouble = match advance(&mut host, kept).await {
            Ok(ended) => match household.end_key_change(meter, number, ended).await {
                Ok(()) => return,
                Err(error) if error.code == ErrorCode::NotFound => return,
                Err(error) => host.tell(&error),
            },
            // Somebody has stopped it, or it has ended.
            Err(Halted::Keeper(error)) if error.code == ErrorCode::NotFound => return,
            Err(Halted::Keeper(error)) => host.tell(&error),
            Err(Halted::Meter(trouble)) => match trouble {
                Trouble::KeysRefused => KeyReplacementTrouble::KeysRefused,
                _ => KeyReplacementTrouble::MeterSilent,
            },
            Err(Halted::NotKept) => KeyReplacementTrouble::SecretsUnavailable,
        };
        household.halt_key_change(meter, number, trouble).await;
        // It ends only where the meter cannot be read at all; then the pause is passed all the same.
        let passed = tokio::time::sleep(pause);
        tokio::select! {
            () = passed => (),
            () = async {
                reading.clone().read().await;
                std::future::pending().await
            } => (),
        }
        let longest = if trouble == KeyReplacementTrouble::KeysRefused { MAX_PAUSE_REFUSED } else { MAX_PAUSE };
        pause = (pause * 2).min(longest);
    }
}

/// The home's side of a change, as the meter's side needs it.
struct Host {
    household: Household,
    meter: MeterId,
    address: DlmsAddress,
    counters: Vec<Counter>,
    /// A password or signing key that the association asks for beside the keys.
    secret: Option<Secret>,
    number: i64,
    /// What the home has kept last.
    kept: KeyChange,
}

impl Host {
    fn step(&self, change: &KeyChange) -> OpenChange {
        OpenChange { number: self.number, change: change.clone() }
    }

    fn tell(&self, error: &CallError) -> KeyReplacementTrouble {
        tracing::warn!(meter = self.meter.0, "the replacement of keys cannot go on: {error}");
        KeyReplacementTrouble::SecretsUnavailable
    }
}

impl Keeper for Host {
    type Reserve = Reserving;
    type Error = CallError;

    async fn open(&mut self, keys: &SuiteKeys) -> Result<Asked<Reserving>, AskError> {
        let (counters, secret) = (self.counters.clone(), self.secret.clone());
        let access = Access { keys: Some(keys.pair()), counters, secret };
        let address = DlmsAddress { suite: keys.suite, ..self.address.clone() };
        Asked::open(&address, &access, Reserving { household: self.household.clone(), meter: self.meter }).await
    }

    async fn heard(&mut self, counter: Counter) -> Result<(), CallError> {
        self.household.hear_counter(self.meter, counter).await?;
        self.counters.retain(|known| known.key != counter.key);
        self.counters.push(counter);
        Ok(())
    }

    async fn keep(&mut self, change: &KeyChange) -> Result<(), CallError> {
        self.household.keep_key_change(self.meter, self.step(change)).await?;
        self.kept.clone_from(change);
        Ok(())
    }

    async fn propose(&mut self, change: &KeyChange, suite: Suite) -> Result<Option<KeyChange>, CallError> {
        let proposed = self.household.propose_keys(self.meter, self.step(change), suite).await?;
        if let Some(change) = &proposed {
            self.kept.clone_from(change);
        }
        Ok(proposed)
    }
}

/// Our own counters, kept by the home before they are used.
pub(crate) struct Reserving {
    household: Household,
    meter: MeterId,
}

impl Reserve for Reserving {
    async fn reserve(&mut self, key: Fingerprint, from: u32, count: u32) -> Option<Reserved> {
        let (reserved, given) = oneshot::channel();
        let wanted = CountersWanted { key, from, count, reserved };
        self.household.hear(self.meter, MeterEvent::CountersWanted(Box::new(wanted))).await;
        given.await.ok()
    }
}
