//! Whether what a meter says still moves: a child meter that froze behind it, a bridge that repeats itself.
//!
//! A link can be in the best of health while what it carries is old. Remembers only the newest stamps and values; in memory,
//! because the stamps themselves tell after a restart how old they are.

use std::collections::BTreeMap;

use meter_link::diagnosis::Finding;
use meter_link::meter::Arrived;
use meter_link::reading::{Measured, Medium, MeterTime};

/// A child meter sends every five minutes to once a day; two hours more are no alarm.
const CHILD_FROZEN_AFTER: i64 = 26 * 3_600_000;
/// A home that uses and makes exactly the same for so long does not exist: its voltage moves every second.
const BRIDGE_STALE_AFTER: i64 = 15 * 60_000;
/// A stamp older than this is no stamp.
const OLDEST_STAMP: i64 = 31 * 86_400_000;

/// What one meter said last, and since when.
#[derive(Clone, Debug, Default)]
pub(super) struct Standing {
    /// By channel: medium, the stamp, and when it moved last.
    children: BTreeMap<u8, (Medium, i64, i64)>,
    /// What the meter itself said, and when that changed last.
    said: Option<(Option<MeterTime>, Vec<Measured>, i64)>,
}

impl Standing {
    /// Takes a live reading.
    pub(super) fn hear(&mut self, arrived: &Arrived) {
        if !arrived.live {
            return;
        }
        let (reading, now) = (&arrived.reading, arrived.arrived_utc_milliseconds);
        for child in &reading.children {
            let mut values = reading.values.iter().filter(|value| value.channel == child.channel);
            let Some(stamp) = values.find_map(|value| value.meter_time).map(|time| time.unix_milliseconds) else {
                continue;
            };
            let known = self.children.get(&child.channel);
            let moved = match known {
                Some((_, last, moved)) if *last == stamp => *moved,
                Some(_) => now,
                // First heard: a stamp that can be one says itself how old it is.
                None if (now - OLDEST_STAMP..=now).contains(&stamp) => stamp,
                None => now,
            };
            self.children.insert(child.channel, (child.medium, stamp, moved));
        }
        let is_same = self
            .said
            .as_ref()
            .is_some_and(|(time, values, _)| *time == reading.meter_time && *values == reading.values);
        if !is_same {
            self.said = Some((reading.meter_time, reading.values.clone(), now));
        }
    }

    /// What a meter in good health is to be told of.
    pub(super) fn finding(&self, address: &str, now: i64) -> Option<Finding> {
        let is_stale = self.said.as_ref().is_some_and(|(.., changed)| now - changed >= BRIDGE_STALE_AFTER);
        if is_stale && is_bridge(address) {
            return Some(Finding::BridgeStale);
        }
        // A replaced child stays in the telegram for ever: of each medium the one that moved last counts.
        let mut newest: BTreeMap<Medium, i64> = BTreeMap::new();
        for (medium, _, moved) in self.children.values() {
            let at = newest.entry(*medium).or_insert(*moved);
            *at = (*at).max(*moved);
        }
        newest.values().any(|moved| now - moved >= CHILD_FROZEN_AFTER).then_some(Finding::ChildFrozen)
    }
}

/// Whether something between the meter and us answers for it.
fn is_bridge(address: &str) -> bool {
    !["serial:", "tcp:", "file:", "simulated"].iter().any(|own| address.starts_with(own))
}
