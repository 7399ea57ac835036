//! What gave no reading because of its keys: security events, and the frames that are kept until their key is known.
//!
//! Both are bounded for each meter. Of events the oldest are forgotten silently; of kept frames that is counted and said,
//! because they are readings that somebody will miss.

use contract::live::MeterId;
use contract::security::{SecurityEvent, SecurityEventKind};
use rusqlite::types::FromSqlError;
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};

use crate::store::StoreError;

/// Events kept of a meter: a day of a wrong key at one frame every ten seconds.
const MAX_EVENTS: i64 = 10_000;
/// Frames kept of a meter: more than a day at one a second, eleven days at one every ten seconds.
pub(super) const MAX_FRAMES: i64 = 100_000;
/// Bytes of them: the same for the usual 300.
const MAX_BYTES: i64 = 32 << 20;
/// Frames that are opened in one transaction.
const PORTION: i64 = 500;

/// How many frames of a meter wait for their key.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Kept {
    pub(super) frames: i64,
    bytes: i64,
    pub(super) dropped: i64,
}

/// A frame that waits for its key.
pub(super) struct Sealed {
    pub(super) id: i64,
    pub(super) at: i64,
    /// Its security event is written.
    pub(super) told: bool,
    pub(super) frame: Vec<u8>,
}

impl Kept {
    pub(super) fn load(connection: &Connection, meter: MeterId) -> Result<Self, StoreError> {
        let (frames, bytes) = connection.query_row(
            "SELECT count(*), coalesce(sum(length(frame)), 0) FROM sealed_frame WHERE meter = ?",
            [meter.0],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        let dropped = connection
            .query_row("SELECT sealed_frames_dropped FROM meter WHERE id = ?", [meter.0], |row| row.get(0))
            .optional()?;
        Ok(Self { frames, bytes, dropped: dropped.unwrap_or(0) })
    }

    /// Keeps a frame; the oldest make room for it.
    pub(super) fn keep(
        &mut self,
        transaction: &Transaction<'_>,
        meter: MeterId,
        at: i64,
        told: bool,
        frame: &[u8],
    ) -> Result<(), StoreError> {
        transaction
            .prepare_cached("INSERT INTO sealed_frame (meter, at_utc_milliseconds, told, frame) VALUES (?, ?, ?, ?)")?
            .execute(params![meter.0, at, told, frame])?;
        self.frames += 1;
        self.bytes += length(frame);
        let dropped = self.dropped;
        while self.frames > MAX_FRAMES || self.bytes > MAX_BYTES {
            let freed: i64 = transaction
                .prepare_cached(
                    "DELETE FROM sealed_frame WHERE id = (SELECT min(id) FROM sealed_frame WHERE meter = ?)
                     RETURNING length(frame)",
                )?
                .query_row([meter.0], |row| row.get(0))?;
            self.frames -= 1;
            self.bytes -= freed;
            self.dropped += 1;
        }
        if self.dropped > dropped {
            self.note_dropped(transaction, meter)?;
        }
        Ok(())
    }

    /// Lets go of a frame that has been opened or refused for good.
    pub(super) fn release(&mut self, transaction: &Transaction<'_>, sealed: &Sealed) -> Result<(), StoreError> {
        transaction.prepare_cached("DELETE FROM sealed_frame WHERE id = ?")?.execute([sealed.id])?;
        self.frames -= 1;
        self.bytes -= length(&sealed.frame);
        Ok(())
    }

    /// Begins to count anew what is dropped: the key of the frames before is known.
    pub(super) fn forget_dropped(&mut self, transaction: &Transaction<'_>, meter: MeterId) -> Result<(), StoreError> {
        self.dropped = 0;
        self.note_dropped(transaction, meter)
    }

    fn note_dropped(self, transaction: &Transaction<'_>, meter: MeterId) -> Result<(), StoreError> {
        transaction
            .prepare_cached("UPDATE meter SET sealed_frames_dropped = ? WHERE id = ?")?
            .execute(params![self.dropped, meter.0])?;
        Ok(())
    }
}

/// The next portion of kept frames, oldest first.
pub(super) fn portion(connection: &Connection, meter: MeterId, after: i64) -> Result<Vec<Sealed>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT id, at_utc_milliseconds, told, frame FROM sealed_frame WHERE meter = ? AND id > ? ORDER BY id LIMIT ?",
    )?;
    let sealed = statement.query_map([meter.0, after, PORTION], |row| {
        Ok(Sealed { id: row.get(0)?, at: row.get(1)?, told: row.get(2)?, frame: row.get(3)? })
    })?;
    Ok(sealed.collect::<Result<_, _>>()?)
}

/// Writes an event.
pub(super) fn note(transaction: &Transaction<'_>, meter: MeterId, event: SecurityEvent) -> Result<(), StoreError> {
    transaction
        .prepare_cached("INSERT INTO security_event (meter, at_utc_milliseconds, kind) VALUES (?, ?, ?)")?
        .execute(params![meter.0, event.at_utc_milliseconds, name(event.kind)])?;
    transaction
        .prepare_cached(
            "DELETE FROM security_event WHERE meter = ?1 AND at_utc_milliseconds < (
                 SELECT at_utc_milliseconds FROM security_event WHERE meter = ?1
                 ORDER BY at_utc_milliseconds DESC LIMIT 1 OFFSET ?2)",
        )?
        .execute([meter.0, MAX_EVENTS - 1])?;
    Ok(())
}

/// Events of a meter since an instant.
pub(super) fn count_since(connection: &Connection, meter: MeterId, start: i64) -> Result<u64, StoreError> {
    let count: i64 = connection
        .prepare_cached("SELECT count(*) FROM security_event WHERE meter = ? AND at_utc_milliseconds >= ?")?
        .query_row([meter.0, start], |row| row.get(0))?;
    Ok(count.unsigned_abs())
}

/// The newest events of a meter, newest first.
pub(crate) fn events(connection: &Connection, meter: MeterId, limit: i64) -> Result<Vec<SecurityEvent>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT at_utc_milliseconds, kind FROM security_event WHERE meter = ?
         ORDER BY at_utc_milliseconds DESC, id DESC LIMIT ?",
    )?;
    let read = |row: &Row<'_>| {
        let kind = row.get_ref(1)?.as_str()?;
        let kind = serde_json::from_str(&format!("\"{kind}\"")).map_err(|_| FromSqlError::InvalidType)?;
        Ok(SecurityEvent { at_utc_milliseconds: row.get(0)?, kind })
    };
    let events = statement.query_map([meter.0, limit], read)?;
    Ok(events.collect::<Result<_, _>>()?)
}

/// The word of the contract.
fn name(kind: SecurityEventKind) -> String {
    serde_json::to_string(&kind).unwrap_or_default().trim_matches('"').to_owned()
}

fn length(frame: &[u8]) -> i64 {
    i64::try_from(frame.len()).unwrap_or(i64::MAX)
}
