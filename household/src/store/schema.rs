//! The database's format and its way from version to version. Forward only; every released version opens for ever.

use rusqlite::Connection;

use super::StoreError;

/// One step per version, in order; a released step never changes.
const STEPS: &[&str] = &[
    // 1: the first.
    "
    CREATE TABLE setting (
        name TEXT PRIMARY KEY,
        value TEXT NOT NULL
    ) STRICT;

    -- A paired meter: a way to read. Removed ones stay, for provenance.
    CREATE TABLE meter (
        id INTEGER PRIMARY KEY,
        address TEXT NOT NULL,
        name TEXT NOT NULL,
        role TEXT NOT NULL CHECK (role IN ('connection', 'generation')),
        added_utc_milliseconds INTEGER NOT NULL,
        removed_utc_milliseconds INTEGER
    ) STRICT;

    -- A metering point. History belongs to it, whatever device or driver reads it.
    CREATE TABLE point (
        id INTEGER PRIMARY KEY,
        kind TEXT NOT NULL CHECK (kind IN ('connection', 'generation', 'gas', 'water', 'heat')),
        meter INTEGER REFERENCES meter (id),
        equipment TEXT,
        country TEXT
    ) STRICT;

    -- The running books of each register (household/books.rs). Rate 0 is the total. Energy in mWh, volumes in ml, heat in J.
    CREATE TABLE book (
        point INTEGER NOT NULL REFERENCES point (id),
        flow TEXT NOT NULL CHECK (flow IN ('import', 'export')),
        rate INTEGER NOT NULL,
        believed INTEGER NOT NULL,
        believed_utc_milliseconds INTEGER NOT NULL,
        booked INTEGER NOT NULL,
        suspect TEXT,
        PRIMARY KEY (point, flow, rate)
    ) STRICT, WITHOUT ROWID;

    -- One row per telegram and point. The booked totals only ever rise, so energy between two rows is their difference.
    CREATE TABLE reading (
        point INTEGER NOT NULL REFERENCES point (id),
        at_utc_milliseconds INTEGER NOT NULL,
        clock INTEGER NOT NULL,
        trust INTEGER NOT NULL,
        booked_import INTEGER,
        booked_export INTEGER,
        power_milliwatts INTEGER,
        power_l1_milliwatts INTEGER,
        power_l2_milliwatts INTEGER,
        power_l3_milliwatts INTEGER,
        voltage_l1_millivolts INTEGER,
        voltage_l2_millivolts INTEGER,
        voltage_l3_millivolts INTEGER,
        current_l1_milliamperes INTEGER,
        current_l2_milliamperes INTEGER,
        current_l3_milliamperes INTEGER,
        PRIMARY KEY (point, at_utc_milliseconds)
    ) STRICT, WITHOUT ROWID;

    -- Registers as the meter showed them, whenever one changed.
    CREATE TABLE register (
        point INTEGER NOT NULL REFERENCES point (id),
        flow TEXT NOT NULL CHECK (flow IN ('import', 'export')),
        rate INTEGER NOT NULL,
        at_utc_milliseconds INTEGER NOT NULL,
        value INTEGER NOT NULL,
        PRIMARY KEY (point, flow, rate, at_utc_milliseconds)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE fact (
        id INTEGER PRIMARY KEY,
        point INTEGER NOT NULL REFERENCES point (id),
        kind TEXT NOT NULL CHECK (kind IN ('gap', 'reset', 'jump', 'spike', 'swap', 'clock_wrong')),
        start_utc_milliseconds INTEGER NOT NULL,
        end_utc_milliseconds INTEGER NOT NULL,
        import_milliwatt_hours INTEGER,
        export_milliwatt_hours INTEGER
    ) STRICT;
    CREATE INDEX fact_when ON fact (point, end_utc_milliseconds);
    ",
    // 2: what protects an encrypting meter (recorder/keys.rs, recorder/refused.rs).
    "
    -- Kept frames that had to make room since frames were last opened.
    ALTER TABLE meter ADD COLUMN sealed_frames_dropped INTEGER NOT NULL DEFAULT 0;

    -- The highest counter accepted from a system title under a key. Rows never go and never fall.
    CREATE TABLE invocation_counter (
        id INTEGER PRIMARY KEY,
        meter INTEGER NOT NULL REFERENCES meter (id),
        title BLOB NOT NULL,
        fingerprint BLOB NOT NULL,
        highest INTEGER NOT NULL,
        UNIQUE (meter, title, fingerprint)
    ) STRICT;
    CREATE INDEX invocation_counter_key ON invocation_counter (fingerprint);

    -- A key of a meter, by its fingerprint; the key itself is never here. Bytes: its length, 16 or 32.
    CREATE TABLE key_epoch (
        meter INTEGER NOT NULL REFERENCES meter (id),
        fingerprint BLOB NOT NULL,
        number INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        added_utc_milliseconds INTEGER NOT NULL,
        first_used_utc_milliseconds INTEGER,
        last_used_utc_milliseconds INTEGER,
        retired_utc_milliseconds INTEGER,
        PRIMARY KEY (meter, fingerprint)
    ) STRICT, WITHOUT ROWID;

    -- A frame that was refused.
    CREATE TABLE security_event (
        id INTEGER PRIMARY KEY,
        meter INTEGER NOT NULL REFERENCES meter (id),
        at_utc_milliseconds INTEGER NOT NULL,
        kind TEXT NOT NULL
    ) STRICT;
    CREATE INDEX security_event_when ON security_event (meter, at_utc_milliseconds);

    -- A ciphered frame that waits for its key. Told: its security event is written already.
    CREATE TABLE sealed_frame (
        id INTEGER PRIMARY KEY,
        meter INTEGER NOT NULL REFERENCES meter (id),
        at_utc_milliseconds INTEGER NOT NULL,
        told INTEGER NOT NULL,
        frame BLOB NOT NULL
    ) STRICT;
    CREATE INDEX sealed_frame_meter ON sealed_frame (meter, id);
    ",
    // 3: meters that are asked (recorder/sending.rs).
    "
    -- Our own invocation counters: the next free one under a key, and our title it belongs to. Rows never go and never fall.
    CREATE TABLE sending_counter (
        fingerprint BLOB PRIMARY KEY,
        meter INTEGER NOT NULL REFERENCES meter (id),
        title BLOB NOT NULL,
        next INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    ",
    // 4: keys that we replace (recorder/replacement.rs).
    "
    -- The suite that a key is used with; null until something told it.
    ALTER TABLE key_epoch ADD COLUMN suite INTEGER;

    -- A replacement of a meter's keys and how far it is, in the contract's words. Never a key.
    CREATE TABLE key_replacement (
        id INTEGER PRIMARY KEY,
        meter INTEGER NOT NULL REFERENCES meter (id),
        keys TEXT NOT NULL,
        stage TEXT NOT NULL,
        suite INTEGER,
        trouble TEXT,
        since_utc_milliseconds INTEGER NOT NULL,
        reached_utc_milliseconds INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX key_replacement_meter ON key_replacement (meter, id);
    ",
    // 5: gaps that got their shape (recorder/point/fill.rs).
    "
    DROP INDEX fact_when;
    ALTER TABLE fact RENAME TO fact_before;
    CREATE TABLE fact (
        id INTEGER PRIMARY KEY,
        point INTEGER NOT NULL REFERENCES point (id),
        kind TEXT NOT NULL CHECK (kind IN ('gap', 'filled', 'reset', 'jump', 'spike', 'swap', 'clock_wrong')),
        start_utc_milliseconds INTEGER NOT NULL,
        end_utc_milliseconds INTEGER NOT NULL,
        import_milliwatt_hours INTEGER,
        export_milliwatt_hours INTEGER
    ) STRICT;
    INSERT INTO fact SELECT * FROM fact_before;
    DROP TABLE fact_before;
    CREATE INDEX fact_when ON fact (point, end_utc_milliseconds);
    ",
];

/// Brings a database to the newest version; each step is one transaction.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let known = STEPS.len() as i64;
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    for (step, version) in STEPS.iter().zip(1_i64..).skip(usize::try_from(found).unwrap_or(0)) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "user_version", version)?;
        transaction.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_of_the_first_version_opens_and_keeps_its_rows() {
        let mut connection = Connection::open_in_memory().expect("memory");
        connection.execute_batch(STEPS[0]).expect("the first version");
        connection.pragma_update(None, "user_version", 1).expect("a version");
        connection
            .execute(
                "INSERT INTO meter (address, name, role, added_utc_milliseconds) VALUES ('file:made', '', 'connection', 7)",
                [],
            )
            .expect("a meter of the first version");
        connection
            .execute_batch(
                "INSERT INTO point (id, kind) VALUES (1, 'connection');
                 INSERT INTO fact VALUES (3, 1, 'gap', 10, 20, 30, NULL)",
            )
            .expect("a gap of the first version");
        migrate(&mut connection).expect("forward");
        let fact: (i64, String, i64) = connection
            .query_row("SELECT id, kind, import_milliwatt_hours FROM fact", [], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .expect("the gap is still there");
        assert_eq!(fact, (3, "gap".to_owned(), 30));
        let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).expect("a version");
        assert_eq!(found, STEPS.len() as i64);
        let (added, dropped): (i64, i64) = connection
            .query_row("SELECT added_utc_milliseconds, sealed_frames_dropped FROM meter", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .expect("the meter is still there");
        assert_eq!((added, dropped), (7, 0));
        migrate(&mut connection).expect("a second time changes nothing");
    }
}
