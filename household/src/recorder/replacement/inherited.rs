//! Keys that were made here and that nobody else knows: they outlive the pairing, so that a meter that was removed is not
//! locked for ever.
//!
//! They stay among the secrets under the number of the removed meter, and are copied when a meter is paired at the same
//! place. A key that was entered later by a person is known to somebody, and is forgotten with its meter.

use contract::live::{MeterId, MeterState};
use meter_link::link::{Address, DlmsAddress};
use meter_link::security::key::Suite;
use rusqlite::params;

use super::rows;
use crate::recorder::Recorder;
use crate::store::StoreError;

impl Recorder {
    /// Whether the keys that a meter uses were made here.
    pub(super) fn has_made_keys(&self, meter: MeterId) -> bool {
        let since = self.protections.get(&meter).and_then(|protection| protection.in_use_since());
        // In doubt they are kept.
        let made = rows::last_made(&self.writer, meter).unwrap_or(Some(i64::MAX));
        made.zip(since).is_some_and(|(made, since)| made >= since)
    }

    /// Gives a new meter the keys that a removed one had at the same place, if they are still kept.
    pub(in crate::recorder) fn inherit_keys(&mut self, meter: &MeterState) {
        let Ok(Address::Dlms(address)) = meter.address.parse() else { return };
        let inherited = match self.left_at(&address) {
            Ok(Some((left, suite))) => self.inherit(left, meter.id, &DlmsAddress { suite, ..address }),
            Ok(None) => return,
            Err(error) => Err(error),
        };
        if let Err(error) = inherited {
            tracing::warn!(meter = meter.id.0, "keys that were made here before cannot be read: {error}");
        }
    }

    /// The meter that was removed last from there, and the suite it then had.
    fn left_at(&self, address: &DlmsAddress) -> Result<Option<(MeterId, Suite)>, StoreError> {
        let mut statement = self.writer.prepare(
            "SELECT id, address FROM meter WHERE removed_utc_milliseconds IS NOT NULL
             ORDER BY removed_utc_milliseconds DESC, id DESC",
        )?;
        let removed = statement.query_map([], |row| Ok((MeterId(row.get(0)?), row.get::<_, String>(1)?)))?;
        for one in removed {
            let (id, text) = one?;
            if let Ok(Address::Dlms(left)) = text.parse()
                && (&left.way, left.server, left.physical) == (&address.way, address.server, address.physical)
                && self.secrets.read(&self.key_name(id))?.is_some()
            {
                return Ok(Some((id, left.suite)));
            }
        }
        Ok(None)
    }

    fn inherit(&mut self, left: MeterId, meter: MeterId, address: &DlmsAddress) -> Result<(), StoreError> {
        for (from, to) in
            [(self.key_name(left), self.key_name(meter)), (self.master_name(left), self.master_name(meter))]
        {
            if let Some(kept) = self.secrets.read(&from)? {
                self.secrets.keep(&to, &kept)?;
            }
        }
        self.protect(meter)?;
        let text = address.to_string();
        self.writer.execute("UPDATE meter SET address = ? WHERE id = ?", params![text, meter.0])?;
        self.live.change(|state| {
            state.meters.get_mut(&meter)?.address = text;
            None
        });
        if address.security.is_protected() {
            self.note_suite(meter, address.suite)?;
        }
        Ok(())
    }
}
