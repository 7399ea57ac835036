//! The keys of one meter, their epochs, and the invocation counters that outlive them all.
//!
//! The keys themselves are only in memory and among the secrets: the current one, the one before it, and one entered
//! early. The database knows fingerprints. An epoch's number rises with every new key; a key is current once it has
//! authenticated a frame and no newer one has. Counters never fall and never go: a key entered again goes on where it was.

use contract::live::{MAX_KEYS_SHOWN, MeterId};
use contract::security::{KeyEpochState, KeySlot};
use meter_link::security::key::Suite;
use meter_link::security::{Counter, Fingerprint, KeyPair};
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};

use crate::key_policy::KeyPolicy;
use crate::store::StoreError;

/// The use of a key is noted at most this often: nobody needs it to the second.
const USE_NOTED: i64 = 60_000;

/// What protects one meter.
#[derive(Clone, Debug, Default)]
pub(super) struct Keys {
    /// The keys that are kept, newest first.
    pub(super) held: Vec<KeyPair>,
    /// All keys there ever were, newest first.
    epochs: Vec<Epoch>,
    /// Oldest first.
    pub(super) counters: Vec<Counter>,
}

#[derive(Clone, Debug)]
struct Epoch {
    fingerprint: Fingerprint,
    number: u32,
    bytes: usize,
    /// As it is used. `None`: nothing has told yet.
    suite: Option<u8>,
    added: i64,
    first_used: Option<i64>,
    last_used: Option<i64>,
    retired: Option<i64>,
}

/// What entering a key changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entered {
    /// It is there already.
    Known,
    /// A key to read with from now on.
    New,
}

impl Keys {
    /// Reads what the database knows. Keys that it does not know yet get their epochs.
    pub(super) fn load(
        writer: &mut Connection,
        meter: MeterId,
        held: Vec<KeyPair>,
        now: i64,
    ) -> Result<Self, StoreError> {
        let transaction = writer.transaction()?;
        let mut keys = Self { held: Vec::new(), epochs: epochs(&transaction, meter)?, counters: Vec::new() };
        for pair in held.iter().rev() {
            if keys.epoch(pair.fingerprint()).is_none() {
                keys.begin(&transaction, meter, pair, now)?;
            }
        }
        transaction.commit()?;
        keys.hold(held);
        keys.counters = counters(writer, meter)?;
        Ok(keys)
    }

    /// Takes a key that somebody entered.
    pub(super) fn enter(
        &mut self,
        transaction: &Transaction<'_>,
        meter: MeterId,
        pair: &KeyPair,
        now: i64,
    ) -> Result<Entered, StoreError> {
        if self.held.contains(pair) {
            return Ok(Entered::Known);
        }
        let fingerprint = pair.fingerprint();
        match self.epoch(fingerprint) {
            None => self.begin(transaction, meter, pair, now)?,
            // Never proved and displaced by a later one: it stands anew.
            Some(epoch) if epoch.first_used.is_none() && epoch.retired.is_some() => {
                self.epochs.retain(|epoch| epoch.fingerprint != fingerprint);
                self.begin(transaction, meter, pair, now)?;
            }
            Some(_) => (),
        }
        self.counters = counters(transaction, meter)?;
        let mut held = std::mem::take(&mut self.held);
        held.retain(|other| other.fingerprint() != fingerprint);
        held.push(pair.clone());
        self.retire(transaction, meter, now)?;
        self.hold(held);
        Ok(Entered::New)
    }

    /// Takes a key that the meter has answered under: it is the current one from now on, whatever else was entered.
    pub(super) fn take(
        &mut self,
        transaction: &Transaction<'_>,
        meter: MeterId,
        pair: &KeyPair,
        suite: Suite,
        now: i64,
    ) -> Result<(), StoreError> {
        self.enter(transaction, meter, pair, now)?;
        let fingerprint = pair.fingerprint();
        let highest = self.counters.iter().rfind(|counter| counter.key == fingerprint).copied();
        if let Some(counter) = highest {
            self.accept(transaction, meter, counter, now, false)?;
        }
        self.used_with(transaction, meter, fingerprint, suite)
    }

    /// Notes the suite that a key is used with.
    pub(super) fn used_with(
        &mut self,
        transaction: &Transaction<'_>,
        meter: MeterId,
        fingerprint: Fingerprint,
        suite: Suite,
    ) -> Result<(), StoreError> {
        for epoch in self.epochs.iter_mut().filter(|epoch| epoch.fingerprint == fingerprint) {
            epoch.suite = Some(suite.number());
        }
        transaction.execute(
            "UPDATE key_epoch SET suite = ? WHERE meter = ? AND fingerprint = ?",
            params![suite.number(), meter.0, fingerprint.0],
        )?;
        Ok(())
    }

    /// When the key in use was entered or made.
    pub(super) fn in_use_since(&self) -> Option<i64> {
        let current = self.current();
        self.epochs.iter().find(|epoch| Some(epoch.number) == current).map(|epoch| epoch.added)
    }

    /// The keys that are kept, the one in use first.
    pub(super) fn in_order_of_use(&self) -> Vec<KeyPair> {
        let mut keys = self.held.clone();
        keys.sort_by_key(|pair| self.epoch(pair.fingerprint()).map(|epoch| self.slot(epoch)) != Some(KeySlot::Current));
        keys
    }

    /// Whether a counter is above all that were accepted. Meters that always count 0 have only that.
    pub(super) fn is_fresh(&self, counter: Counter) -> bool {
        let mut known = self.counters.iter().filter(|known| (known.key, known.title) == (counter.key, counter.title));
        known.all(|known| counter.highest > known.highest || (counter.highest, known.highest) == (0, 0))
    }

    /// Keeps a counter and notes that its key was used. `kept`: its frame waited for the key, so the key may be older than
    /// those that were entered before it. True if screens should be told.
    pub(super) fn accept(
        &mut self,
        transaction: &Transaction<'_>,
        meter: MeterId,
        counter: Counter,
        at: i64,
        kept: bool,
    ) -> Result<bool, StoreError> {
        transaction
            .prepare_cached(
                "INSERT INTO invocation_counter (meter, title, fingerprint, highest) VALUES (?, ?, ?, ?)
                 ON CONFLICT DO UPDATE SET highest = max(highest, excluded.highest)",
            )?
            .execute(params![meter.0, counter.title, counter.key.0, counter.highest])?;
        match self.counters.iter_mut().find(|known| (known.key, known.title) == (counter.key, counter.title)) {
            Some(known) => known.highest = known.highest.max(counter.highest),
            None => self.counters.push(counter),
        }
        let Some(place) = self.epochs.iter().position(|epoch| epoch.fingerprint == counter.key) else {
            return Ok(false);
        };
        let epoch = &mut self.epochs[place];
        let is_first = epoch.first_used.is_none();
        if !is_first && epoch.last_used.is_some_and(|last| (last..last + USE_NOTED).contains(&at)) {
            return Ok(false);
        }
        epoch.first_used.get_or_insert(at);
        epoch.last_used = epoch.last_used.max(Some(at));
        let used = epoch.clone();
        if is_first && kept {
            self.place_by_use(transaction, meter, &used, at)?;
        }
        transaction
            .prepare_cached(
                "UPDATE key_epoch SET first_used_utc_milliseconds = ?, last_used_utc_milliseconds = ?
                 WHERE meter = ? AND fingerprint = ?",
            )?
            .execute(params![used.first_used, used.last_used, meter.0, used.fingerprint.0])?;
        if is_first {
            self.retire(transaction, meter, at)?;
            let held = std::mem::take(&mut self.held);
            self.hold(held);
        }
        Ok(true)
    }

    /// The suite of a key that is known; by its length until something told it.
    pub(super) fn suite(&self, key: Fingerprint) -> Option<u8> {
        self.epoch(key).map(Epoch::suite)
    }

    /// What screens see.
    pub(super) fn states(&self, policy: &KeyPolicy, now: i64) -> Vec<KeyEpochState> {
        let shown = self.epochs.iter().take(MAX_KEYS_SHOWN);
        let state = shown.map(|epoch| KeyEpochState {
            number: epoch.number,
            suite: epoch.suite(),
            since_utc_milliseconds: epoch.added,
            last_used_utc_milliseconds: epoch.last_used,
            state: self.slot(epoch),
            refused_from_utc_milliseconds: policy.end_to_say(epoch.suite(), now),
        });
        state.collect()
    }

    fn epoch(&self, fingerprint: Fingerprint) -> Option<&Epoch> {
        self.epochs.iter().find(|epoch| epoch.fingerprint == fingerprint)
    }

    /// Begins an epoch, above all others.
    fn begin(
        &mut self,
        transaction: &Transaction<'_>,
        meter: MeterId,
        pair: &KeyPair,
        now: i64,
    ) -> Result<(), StoreError> {
        let number: Option<u32> = transaction
            .query_row("SELECT max(number) FROM key_epoch WHERE meter = ?", [meter.0], |row| row.get(0))
            .optional()?
            .flatten();
        let epoch = Epoch {
            fingerprint: pair.fingerprint(),
            number: number.unwrap_or(0) + 1,
            bytes: pair.encryption.bytes().len(),
            suite: None,
            added: now,
            first_used: None,
            last_used: None,
            retired: None,
        };
        transaction.execute(
            "INSERT OR REPLACE INTO key_epoch (meter, fingerprint, number, bytes, added_utc_milliseconds)
             VALUES (?, ?, ?, ?, ?)",
            params![meter.0, epoch.fingerprint.0, epoch.number, epoch.bytes as i64, now],
        )?;
        self.epochs.insert(0, epoch);
        Ok(())
    }

    /// Puts a key whose kept frames came before others were first used below those.
    fn place_by_use(
        &mut self,
        transaction: &Transaction<'_>,
        meter: MeterId,
        used: &Epoch,
        at: i64,
    ) -> Result<(), StoreError> {
        let is_later =
            |epoch: &Epoch| epoch.fingerprint != used.fingerprint && epoch.first_used.is_some_and(|first| first > at);
        let Some(number) = self.epochs.iter().filter(|epoch| is_later(epoch)).map(|epoch| epoch.number).min() else {
            return Ok(());
        };
        if number > used.number {
            return Ok(());
        }
        for epoch in &mut self.epochs {
            if epoch.fingerprint == used.fingerprint {
                epoch.number = number;
            } else if (number..used.number).contains(&epoch.number) {
                epoch.number += 1;
            }
            transaction.execute(
                "UPDATE key_epoch SET number = ? WHERE meter = ? AND fingerprint = ?",
                params![epoch.number, meter.0, epoch.fingerprint.0],
            )?;
        }
        self.epochs.sort_by_key(|epoch| std::cmp::Reverse(epoch.number));
        Ok(())
    }

    /// Retires what a newer key has replaced: all below the current one, and all unproved ones but the newest.
    fn retire(&mut self, transaction: &Transaction<'_>, meter: MeterId, at: i64) -> Result<(), StoreError> {
        let current = self.current();
        let mut unproved = 0;
        // Where nothing is proved yet, two may be right: a meter without a tag never proves any.
        let allowed = if current.is_some() { 1 } else { 2 };
        for epoch in &mut self.epochs {
            let is_replaced = current.is_some_and(|current| epoch.number < current);
            if epoch.first_used.is_none() && epoch.retired.is_none() && !is_replaced {
                unproved += 1;
            }
            let is_displaced = epoch.first_used.is_none() && unproved > allowed;
            if epoch.retired.is_none() && (is_replaced || is_displaced) {
                epoch.retired = Some(at);
                transaction.execute(
                    "UPDATE key_epoch SET retired_utc_milliseconds = ? WHERE meter = ? AND fingerprint = ?",
                    params![at, meter.0, epoch.fingerprint.0],
                )?;
            }
        }
        Ok(())
    }

    /// Keeps of these keys those that have a place, newest first.
    fn hold(&mut self, keys: Vec<KeyPair>) {
        let place = |pair: &KeyPair| {
            let fingerprint = pair.fingerprint();
            self.epochs.iter().position(|epoch| epoch.fingerprint == fingerprint)
        };
        let mut placed: Vec<_> = keys
            .into_iter()
            .filter_map(|pair| place(&pair).map(|place| (place, pair)))
            .filter(|(place, _)| self.slot(&self.epochs[*place]) != KeySlot::Retired)
            .collect();
        placed.sort_by_key(|(place, _)| *place);
        self.held = placed.into_iter().map(|(_, pair)| pair).collect();
    }

    /// Number of the newest key that was proved.
    fn current(&self) -> Option<u32> {
        self.epochs.iter().find(|epoch| epoch.first_used.is_some()).map(|epoch| epoch.number)
    }

    fn slot(&self, epoch: &Epoch) -> KeySlot {
        let is_before = |other: &&Epoch, number: u32| other.number < number;
        match self.current() {
            Some(current) if epoch.number == current => KeySlot::Current,
            Some(current) if epoch.number > current && epoch.retired.is_none() => KeySlot::Next,
            Some(current) => {
                let mut used = self.epochs.iter().filter(|epoch| epoch.first_used.is_some());
                let previous = used.find(|other| is_before(other, current));
                // A meter that proved none of its earlier keys may still have used the one before.
                let previous = previous.or_else(|| self.epochs.iter().find(|other| is_before(other, current)));
                match previous {
                    Some(previous) if previous.number == epoch.number => KeySlot::Previous,
                    _ => KeySlot::Retired,
                }
            }
            None if epoch.retired.is_some() => KeySlot::Retired,
            None if self.epochs.iter().any(|other| other.number > epoch.number && other.retired.is_none()) => {
                KeySlot::Previous
            }
            None => KeySlot::Current,
        }
    }
}

impl Epoch {
    const fn suite(&self) -> u8 {
        match self.suite {
            Some(suite) => suite,
            None if self.bytes == 32 => 2,
            None => 0,
        }
    }
}

fn epochs(connection: &Connection, meter: MeterId) -> Result<Vec<Epoch>, StoreError> {
    let mut statement = connection.prepare(
        "SELECT fingerprint, number, bytes, added_utc_milliseconds, first_used_utc_milliseconds,
             last_used_utc_milliseconds, retired_utc_milliseconds, suite
         FROM key_epoch WHERE meter = ? ORDER BY number DESC",
    )?;
    let read = |row: &Row<'_>| {
        Ok(Epoch {
            fingerprint: Fingerprint(row.get(0)?),
            number: row.get(1)?,
            bytes: usize::try_from(row.get::<_, i64>(2)?).unwrap_or(16),
            added: row.get(3)?,
            first_used: row.get(4)?,
            last_used: row.get(5)?,
            retired: row.get(6)?,
            suite: row.get(7)?,
        })
    };
    let epochs = statement.query_map([meter.0], read)?;
    Ok(epochs.collect::<Result<_, _>>()?)
}

/// The meter's counters; and those that one of its keys reached while the meter was paired before.
fn counters(connection: &Connection, meter: MeterId) -> Result<Vec<Counter>, StoreError> {
    let mut statement = connection.prepare(
        "SELECT title, fingerprint, max(highest) FROM invocation_counter
         WHERE meter = ?1 OR fingerprint IN (SELECT fingerprint FROM key_epoch WHERE meter = ?1)
         GROUP BY title, fingerprint ORDER BY min(id)",
    )?;
    let read = |row: &Row<'_>| Ok(Counter { title: row.get(0)?, key: Fingerprint(row.get(1)?), highest: row.get(2)? });
    let counters = statement.query_map([meter.0], read)?;
    Ok(counters.collect::<Result<_, _>>()?)
}
