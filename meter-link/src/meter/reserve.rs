//! Invocation counters for what we send ourselves, kept as used before they are used.
//!
//! A counter that came twice under one key and title would give away what it protects, so it is better lost than used
//! again: whoever sends takes a portion, and what a restart leaves of it is never used.
//!
//! Source: SP 800-38D, section 8 (uniqueness of the initialisation vector).

use std::fmt;
use std::ops::Range;

use tokio::sync::oneshot;

use crate::security::Fingerprint;

/// Counters for sending, and the title they belong to. Durably kept as used.
#[derive(Clone, PartialEq, Eq)]
pub struct Reserved {
    /// Our system title towards this meter: another for each home, so that no two ever share a nonce.
    pub title: [u8; 8],
    /// May be used, each once.
    pub counters: Range<u32>,
}

impl fmt::Debug for Reserved {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Reserved").field("counters", &self.counters).finish_non_exhaustive()
    }
}

/// Who keeps our own invocation counters over a restart.
pub trait Reserve {
    /// Takes `count` counters at or above `from` for sending under a key. Returns when it is durably kept that they are
    /// used, so that nobody is ever given one of them again. The title is the same for all keys of a meter. `None`: they
    /// cannot be kept, and nothing may be sent.
    fn reserve(&mut self, key: Fingerprint, from: u32, count: u32) -> impl Future<Output = Option<Reserved>> + Send;
}

/// Counters that a meter's task asks its listener for.
#[derive(Debug)]
pub struct CountersWanted {
    /// The key that they are sent under.
    pub key: Fingerprint,
    /// None below this one.
    pub from: u32,
    /// How many.
    pub count: u32,
    /// Takes them once they are kept. Dropped: they cannot be.
    pub reserved: oneshot::Sender<Reserved>,
}
