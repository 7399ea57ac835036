//! What meters store themselves: from when on they are asked for it, and what comes of it.

use contract::live::{MeterId, MeterState, PointKind, Role};
use contract::notice::Notice;
use meter_link::reading::LoadProfile;
use rusqlite::params;

use super::Recorder;
use super::protection::Verdict;
use crate::store::StoreError;

/// A gap that ended so recently may have been filled in part only when the host stopped.
const RECENT: i64 = 86_400_000;

impl Recorder {
    /// The newest reading of what a meter measures, or the beginning of a recent gap before it. `None`: there is none.
    pub(super) fn known_until(&self, meter: &MeterState) -> Option<i64> {
        let kind = kind(meter.role);
        let of = |holder| self.points.iter().find(|point| point.kind == kind && point.meter == holder);
        // The one that it reads, or would take over.
        let point = of(Some(meter.id)).or_else(|| of(None))?;
        let last = point.last_at()?;
        let gap: Option<i64> = self
            .writer
            .query_row(
                "SELECT min(start_utc_milliseconds) FROM fact
                 WHERE point = ? AND kind = 'gap' AND end_utc_milliseconds > ?",
                params![point.id.0, (self.now)() - RECENT],
                |row| row.get(0),
            )
            // Then only what comes after is asked for.
            .unwrap_or(None);
        Some(gap.map_or(last, |start| start.min(last)))
    }

    /// Books what a meter stored while nobody listened.
    pub(super) fn record_profile(&mut self, meter: MeterId, profile: &LoadProfile) -> Result<(), StoreError> {
        let Some(role) = self.live.look(|state| state.meters.get(&meter).map(|meter| meter.role)) else {
            return Ok(()); // Removed meanwhile.
        };
        let Some(mut protection) = self.protections.get(&meter).cloned() else { return Ok(()) };
        let now = (self.now)();
        let transaction = self.writer.transaction()?;
        let verdict = protection.judge(&transaction, meter, profile.counter, now, &self.key_policy)?;
        let point = self.points.iter().find(|point| point.meter == Some(meter) && point.kind == kind(role));
        let has_filled = match point {
            Some(point) if verdict != Verdict::Refused => point.fill(&transaction, profile)?,
            _ => false,
        };
        transaction.commit()?;
        self.take_over(meter, protection, verdict);
        if has_filled {
            self.refresh()?;
            self.live.change(|state| Some(Notice::Snapshot(Box::new(state.snapshot()))));
        }
        Ok(())
    }
}

const fn kind(role: Role) -> PointKind {
    match role {
        Role::Connection => PointKind::Connection,
        Role::Generation => PointKind::Generation,
    }
}
