//! What a watching screen is told: the whole first, then numbered changes.
//!
//! The first notice of a watch is a [`Notice::Snapshot`]. Numbers rise by one; a screen that sees a hole watches anew.
//! Everything announced has been stored before.

use serde::{Deserialize, Serialize};

use crate::live::{Home, MeterState, PointState, PowerSpan, Snapshot, Today};

/// A notice with its number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbered {
    /// Rises by one from notice to notice of one watch.
    pub number: u64,
    /// What happened.
    pub notice: Notice,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "content")]
pub enum Notice {
    /// Everything.
    Snapshot(Box<Snapshot>),
    /// A meter's health changed.
    Meter(Box<MeterState>),
    /// Meters were added or removed, or the home changed: the lists anew.
    Home(Box<Home>, Vec<MeterState>, Vec<PointState>),
    /// A point said something new; with the running day and, for the connection point, the newest span of the last hour.
    Reading {
        /// The point with its newest reading.
        point: Box<PointState>,
        /// The running day.
        today: Box<Today>,
        /// The span that holds the reading, to replace or append by its start.
        span: Option<PowerSpan>,
    },
}
