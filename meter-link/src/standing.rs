//! Whether what a meter says still moves: a child meter that froze behind it, a bridge that repeats itself.
//!
//! A link can be in the best of health while what it carries is old. Pure: the clock is an argument. Remembers only the
//! newest stamps and values; in memory, because the stamps themselves tell after a restart how old they are.

use std::collections::BTreeMap;

use crate::diagnosis::Finding;
use crate::reading::{Measured, Medium, MeterTime, Quantity, Reading};

/// A child meter sends every five minutes to once a day; two hours more are no alarm.
const CHILD_FROZEN_AFTER: i64 = 26 * 3_600_000;
/// A home that uses and makes exactly the same for so long does not exist: its voltage moves every second.
const BRIDGE_STALE_AFTER: i64 = 15 * 60_000;
/// Registers alone, without a stamp, stand for longer: those of a plant all night, whole kilowatt-hours while nobody is at
/// home.
const REGISTERS_STALE_AFTER: i64 = CHILD_FROZEN_AFTER;
/// A stamp older than this is no stamp.
const OLDEST_STAMP: i64 = 31 * 86_400_000;
/// So many times in a row no meter says the same second: it counts on while it speaks.
const REPEATED: u32 = 10;

/// What one meter said last, and since when.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// By channel: medium, the stamp, and when it moved last.
    children: BTreeMap<u8, (Medium, i64, i64)>,
    said: Option<Said>,
}

/// What the meter itself said.
#[derive(Clone, Debug)]
struct Said {
    time: Option<MeterTime>,
    values: Vec<Measured>,
    /// When that changed last.
    changed: i64,
    /// How often it was said again since.
    repeats: u32,
}

impl Standing {
    /// Takes a reading that came at `now`, milliseconds since 1970 UTC.
    pub fn hear(&mut self, reading: &Reading, now: i64) {
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
        match &mut self.said {
            Some(said) if said.time == reading.meter_time && said.values == reading.values => {
                said.repeats = said.repeats.saturating_add(1);
            }
            said => {
                let (time, values) = (reading.meter_time, reading.values.clone());
                *said = Some(Said { time, values, changed: now, repeats: 0 });
            }
        }
    }

    /// What a meter in good health is to be told of. `is_bridge`: something between the meter and us answers for it.
    pub fn finding(&self, is_bridge: bool, now: i64) -> Option<Finding> {
        let is_stale = |said: &Said| {
            let stood = now - said.changed;
            match said.time {
                // A clock that stands together with all it stamps is not the meter's fault, whatever the link is.
                Some(_) => stood >= BRIDGE_STALE_AFTER,
                None if said.values.iter().any(flows) => is_bridge && stood >= BRIDGE_STALE_AFTER,
                None => is_bridge && stood >= REGISTERS_STALE_AFTER,
            }
        };
        if self.said.as_ref().is_some_and(is_stale) {
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

    /// What a recording tells, in which nobody knows when anything came: its readings are heard at the meter's own time.
    pub fn finding_in_recording(&self) -> Option<Finding> {
        let said = self.said.as_ref()?;
        let time = said.time?.unix_milliseconds;
        // A clock that shows no seconds stands for a minute.
        if said.repeats >= REPEATED && time % 60_000 != 0 {
            return Some(Finding::BridgeStale);
        }
        self.finding(false, time.max(said.changed))
    }
}

/// Whether a value is of something that flows now, and so never stays the same in a home.
fn flows(value: &Measured) -> bool {
    let is_now = matches!(value.quantity, Quantity::ActivePower(..) | Quantity::Current(_) | Quantity::Voltage(_));
    is_now && value.value.mantissa != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::{OffsetSource, Trust};

    fn hear(standing: &mut Standing, seconds: i64) {
        let mut reading = Reading::new("p1", Trust::Checked);
        let unix_milliseconds = 1_772_406_000_000 + seconds * 1_000;
        reading.meter_time =
            Some(MeterTime { unix_milliseconds, offset_seconds: 3_600, offset_source: OffsetSource::Meter });
        standing.hear(&reading, unix_milliseconds);
    }

    #[test]
    fn a_recording_of_one_second_over_and_over_is_of_a_bridge_that_stands() {
        let mut standing = Standing::default();
        for seconds in 0..20 {
            hear(&mut standing, seconds);
            assert_eq!(standing.finding_in_recording(), None);
        }
        for repeat in 1..=15 {
            hear(&mut standing, 19);
            assert_eq!(standing.finding_in_recording().is_some(), repeat >= 10, "{repeat}");
        }
        hear(&mut standing, 20);
        assert_eq!(standing.finding_in_recording(), None, "it moves again");
    }
}
