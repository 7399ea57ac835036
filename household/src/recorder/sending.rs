//! Our own invocation counters towards meters that are asked: committed as used before anybody sends one.
//!
//! A counter belongs to a key and our title, for ever: removing a meter, or pairing it again, starts nothing anew. The title
//! is random and of this home alone, so that no other program under the same key ever shares a nonce with us.

use contract::live::MeterId;
use meter_link::meter::reserve::{CountersWanted, Reserved};
use meter_link::security::Fingerprint;
use rusqlite::{OptionalExtension as _, Transaction, params};

use super::Recorder;
use crate::store::StoreError;

/// How our titles begin: three letters for the maker, as every system title has them.
const MAKER: [u8; 3] = *b"WTL";

impl Recorder {
    /// Gives counters to whoever wants to send. Dropped unanswered where they cannot be kept.
    pub(super) fn reserve(&mut self, meter: MeterId, wanted: CountersWanted) {
        let CountersWanted { key, from, count, reserved } = wanted;
        if !self.protections.contains_key(&meter) {
            return; // Removed meanwhile.
        }
        let kept = self.writer.transaction().map_err(StoreError::from).and_then(|transaction| {
            let kept = take(&transaction, meter, key, from, count)?;
            transaction.commit()?;
            Ok(kept)
        });
        match kept {
            // Who asked may have gone; then they are lost, not used.
            Ok(Some(kept)) => drop(reserved.send(kept)),
            Ok(None) => tracing::warn!(meter = meter.0, "no invocation counters are left under this key"),
            Err(error) => tracing::warn!(meter = meter.0, "invocation counters cannot be kept: {error}"),
        }
    }
}

/// Takes counters at or above `from`. `None`: the key has none left.
fn take(
    transaction: &Transaction<'_>,
    meter: MeterId,
    key: Fingerprint,
    from: u32,
    count: u32,
) -> Result<Option<Reserved>, StoreError> {
    let kept: Option<([u8; 8], u32)> = transaction
        .query_row("SELECT title, next FROM sending_counter WHERE fingerprint = ?", [key.0], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    let (title, next) = match kept {
        Some(kept) => kept,
        None => (title(transaction, meter)?, 1),
    };
    let start = next.max(from);
    let Some(end) = start.checked_add(count) else { return Ok(None) };
    transaction.execute(
        "INSERT INTO sending_counter (fingerprint, meter, title, next) VALUES (?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET next = excluded.next",
        params![key.0, meter.0, title, end],
    )?;
    Ok(Some(Reserved { title, counters: start..end }))
}

/// Our title towards a meter: the one it knows, or a new one.
fn title(transaction: &Transaction<'_>, meter: MeterId) -> Result<[u8; 8], StoreError> {
    let known = transaction
        .query_row("SELECT title FROM sending_counter WHERE meter = ? LIMIT 1", [meter.0], |row| row.get(0))
        .optional()?;
    if let Some(known) = known {
        return Ok(known);
    }
    let mut title = [0; 8];
    title[..3].copy_from_slice(&MAKER);
    getrandom::fill(&mut title[3..]).expect("an operating system without randomness runs nothing safely");
    Ok(title)
}
