//! Until when a kind of key is accepted: data with end dates, so that an old security suite can be ended without new code.
//!
//! Kept as the home's setting `key_rules`, a JSON list; empty unless somebody filled it. Decides nothing by itself: the
//! recorder asks it for each frame that a tag proves.

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use crate::recorder::setting;
use crate::store::StoreError;

/// The name of the setting.
pub const SETTING: &str = "key_rules";

/// When one suite ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRule {
    /// Suite: 0, 1 or 2. A key whose suite nothing has told counts as the weakest of its length, 0 or 2.
    pub suite: u8,
    /// From here on screens say that it will end.
    pub warn_from_utc_milliseconds: i64,
    /// From here on nothing sealed with it is counted.
    pub refuse_from_utc_milliseconds: i64,
}

/// All rules of a home.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyPolicy(pub Vec<KeyRule>);

impl KeyPolicy {
    /// The home's rules; none if there are none or they make no sense, which is said.
    pub(crate) fn load(connection: &Connection) -> Result<Self, StoreError> {
        let Some(text) = setting(connection, SETTING)? else { return Ok(Self::default()) };
        Ok(Self(serde_json::from_str(&text).unwrap_or_else(|error| {
            tracing::warn!("key rules make no sense and are left out: column {}", error.column());
            Vec::new()
        })))
    }

    /// When a suite ends, if that is to be said by now.
    pub fn end_to_say(&self, suite: u8, now: i64) -> Option<i64> {
        let due = self.0.iter().filter(|rule| rule.suite == suite && rule.warn_from_utc_milliseconds <= now);
        due.map(|rule| rule.refuse_from_utc_milliseconds).min()
    }

    /// Whether a suite has ended.
    pub fn is_refused(&self, suite: u8, at: i64) -> bool {
        self.0.iter().any(|rule| rule.suite == suite && rule.refuse_from_utc_milliseconds <= at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_suite_warns_and_later_refuses() {
        let rule = KeyRule { suite: 0, warn_from_utc_milliseconds: 10, refuse_from_utc_milliseconds: 20 };
        let policy = KeyPolicy(vec![rule]);
        assert_eq!([9, 10, 25].map(|now| policy.end_to_say(0, now)), [None, Some(20), Some(20)]);
        assert_eq!([9, 19, 20].map(|at| policy.is_refused(0, at)), [false, false, true]);
        assert!(!policy.is_refused(2, 99), "another suite goes on");
    }
}
