//! How far replacements are, as rows in the contract's words. Never a key.

use contract::live::MeterId;
use contract::security::KeyReplacementState;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::store::StoreError;

/// The last replacement of a meter's keys.
pub(super) fn last(connection: &Connection, meter: MeterId) -> Result<Option<KeyReplacementState>, StoreError> {
    let read = |row: &Row<'_>| {
        let word = |column: usize| row.get::<_, String>(column);
        Ok((word(0)?, word(1)?, row.get::<_, Option<String>>(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
    };
    let found = connection
        .query_row(
            "SELECT keys, stage, trouble, suite, since_utc_milliseconds, reached_utc_milliseconds
             FROM key_replacement WHERE meter = ? ORDER BY id DESC LIMIT 1",
            [meter.0],
            read,
        )
        .optional()?;
    Ok(found.and_then(|(keys, stage, trouble, suite, since, reached)| {
        Some(KeyReplacementState {
            keys: of_word(&keys)?,
            stage: of_word(&stage)?,
            since_utc_milliseconds: since,
            reached_utc_milliseconds: reached,
            suite,
            refused_from_utc_milliseconds: None,
            trouble: trouble.as_deref().and_then(of_word),
        })
    }))
}

/// When keys were last made here that a meter then used.
pub(super) fn last_made(connection: &Connection, meter: MeterId) -> Result<Option<i64>, StoreError> {
    let last = connection
        .prepare_cached(
            "SELECT max(reached_utc_milliseconds) FROM key_replacement WHERE meter = ? AND stage = 'active'",
        )?
        .query_row([meter.0], |row| row.get(0))
        .optional()?;
    Ok(last.flatten())
}

/// Number of the last one.
pub(super) fn newest(connection: &Connection, meter: MeterId) -> Result<Option<i64>, StoreError> {
    let newest = connection
        .query_row("SELECT max(id) FROM key_replacement WHERE meter = ?", [meter.0], |row| row.get(0))
        .optional()?;
    Ok(newest.flatten())
}

/// Writes how far the last one is.
pub(super) fn update(
    connection: &Connection,
    meter: MeterId,
    state: Option<KeyReplacementState>,
) -> Result<(), StoreError> {
    let Some(state) = state else { return Ok(()) };
    connection.execute(
        "UPDATE key_replacement SET stage = ?, suite = ?, trouble = ?, reached_utc_milliseconds = ?
         WHERE id = (SELECT max(id) FROM key_replacement WHERE meter = ?)",
        params![word(state.stage), state.suite, state.trouble.map(word), state.reached_utc_milliseconds, meter.0],
    )?;
    Ok(())
}

/// Writes a new replacement; gives its number.
pub(super) fn insert(
    connection: &Connection,
    number: Option<i64>,
    meter: MeterId,
    state: KeyReplacementState,
) -> Result<i64, StoreError> {
    connection.execute(
        "INSERT OR REPLACE INTO key_replacement
             (id, meter, keys, stage, suite, trouble, since_utc_milliseconds, reached_utc_milliseconds)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        params![
            number,
            meter.0,
            word(state.keys),
            word(state.stage),
            state.suite,
            state.trouble.map(word),
            state.since_utc_milliseconds,
            state.reached_utc_milliseconds
        ],
    )?;
    Ok(connection.last_insert_rowid())
}

/// The word of the contract for a thing without content.
fn word<T: Serialize>(value: T) -> String {
    let value = serde_json::to_value(value).ok();
    value.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
}

fn of_word<T: DeserializeOwned>(word: &str) -> Option<T> {
    serde_json::from_value(serde_json::Value::String(word.to_owned())).ok()
}
