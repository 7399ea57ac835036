//! The home this second: what a screen that opens now is shown, and what watching screens are told.
//!
//! Changed only by the recorder, after it has committed. Reading a snapshot and joining the watch happen under one lock,
//! so nothing falls between them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use contract::live::{Home, MeterId, MeterState, PointId, PointState, PowerSpan, Snapshot, Today};
use contract::notice::{Notice, Numbered};
use meter_link::units::Milliwatts;
use tokio::sync::broadcast;

/// Width of a span of the last hour.
pub const SPAN: i64 = 10_000;
/// Spans kept: one hour.
const SPANS: usize = 360;
/// Notices a slow watcher may fall behind before it is given a fresh snapshot: a minute of one-second readings.
const BACKLOG: usize = 64;

/// The shared state behind every screen.
#[derive(Clone, Debug)]
pub struct Live {
    state: Arc<Mutex<State>>,
    notices: broadcast::Sender<Notice>,
}

/// What is shown.
#[derive(Clone, Debug)]
pub struct State {
    /// The home.
    pub home: Home,
    /// Paired meters.
    pub meters: BTreeMap<MeterId, MeterState>,
    /// Metering points.
    pub points: BTreeMap<PointId, PointState>,
    /// The running day.
    pub today: Today,
    /// The last hour at the connection point.
    pub last_hour: LastHour,
}

/// Spans of net power, oldest first, at most an hour of them.
#[derive(Clone, Debug, Default)]
pub struct LastHour(VecDeque<Sum>);

#[derive(Clone, Copy, Debug)]
struct Sum {
    start: i64,
    min: i64,
    max: i64,
    sum: i64,
    count: i64,
}

impl LastHour {
    /// Adds a reading; gives the span that holds it. `None` for one older than the hour.
    pub fn add(&mut self, at: i64, power: Milliwatts) -> Option<PowerSpan> {
        let (start, power) = (at - at.rem_euclid(SPAN), power.count());
        let place = self.0.partition_point(|span| span.start < start);
        match self.0.get_mut(place) {
            Some(span) if span.start == start => {
                *span = Sum {
                    start,
                    min: span.min.min(power),
                    max: span.max.max(power),
                    sum: span.sum + power,
                    count: span.count + 1,
                };
            }
            _ => self.0.insert(place, Sum { start, min: power, max: power, sum: power, count: 1 }),
        }
        let newest = self.0.back().map_or(start, |span| span.start);
        while self.0.front().is_some_and(|span| span.start <= newest - SPANS as i64 * SPAN) {
            self.0.pop_front();
        }
        self.0.iter().find(|span| span.start == start).map(Sum::span)
    }

    /// Puts back spans read from the database.
    pub fn restore(&mut self, spans: &[PowerSpan]) {
        self.0 = spans
            .iter()
            .map(|span| Sum {
                start: span.start_utc_milliseconds,
                min: span.min_milliwatts.count(),
                max: span.max_milliwatts.count(),
                sum: span.mean_milliwatts.count(),
                count: 1,
            })
            .collect();
    }

    fn spans(&self) -> Vec<PowerSpan> {
        self.0.iter().map(Sum::span).collect()
    }
}

impl Sum {
    fn span(&self) -> PowerSpan {
        PowerSpan {
            start_utc_milliseconds: self.start,
            min_milliwatts: Milliwatts::saturating(self.min),
            mean_milliwatts: Milliwatts::saturating(self.sum / self.count.max(1)),
            max_milliwatts: Milliwatts::saturating(self.max),
        }
    }
}

impl State {
    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot {
            home: self.home.clone(),
            meters: self.meters.values().cloned().collect(),
            points: self.points.values().cloned().collect(),
            today: self.today.clone(),
            last_hour: self.last_hour.spans(),
        }
    }

    /// The lists anew, for when something was added or removed.
    pub fn lists(&self) -> Notice {
        Notice::Home(
            Box::new(self.home.clone()),
            self.meters.values().cloned().collect(),
            self.points.values().cloned().collect(),
        )
    }
}

impl Live {
    /// Shared state with nobody watching.
    pub fn new(state: State) -> Self {
        Self { state: Arc::new(Mutex::new(state)), notices: broadcast::channel(BACKLOG).0 }
    }

    /// Everything, now.
    pub fn snapshot(&self) -> Snapshot {
        self.lock().snapshot()
    }

    /// A look at the state.
    pub fn look<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.lock())
    }

    /// Changes the state and tells the watchers; only the recorder does this.
    pub(crate) fn change(&self, change: impl FnOnce(&mut State) -> Option<Notice>) {
        let mut state = self.lock();
        if let Some(notice) = change(&mut state) {
            // Nobody watching is no error.
            let _ = self.notices.send(notice);
        }
    }

    /// Joins the watchers.
    pub fn watch(&self) -> Watch {
        let state = self.lock();
        Watch { live: self.clone(), notices: self.notices.subscribe(), snapshot: Some(state.snapshot()), number: 0 }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One screen's watch: a snapshot, then numbered changes; after falling behind, a snapshot again.
#[derive(Debug)]
pub struct Watch {
    live: Live,
    notices: broadcast::Receiver<Notice>,
    snapshot: Option<Snapshot>,
    number: u64,
}

impl Watch {
    /// The next notice. `None` when the home is closed.
    pub async fn next(&mut self) -> Option<Numbered> {
        let notice = match self.snapshot.take() {
            Some(snapshot) => Notice::Snapshot(Box::new(snapshot)),
            None => match self.notices.recv().await {
                Ok(notice) => notice,
                Err(broadcast::error::RecvError::Closed) => return None,
                Err(broadcast::error::RecvError::Lagged(_)) => {
                    let state = self.live.lock();
                    self.notices = self.live.notices.subscribe();
                    Notice::Snapshot(Box::new(state.snapshot()))
                }
            },
        };
        self.number += 1;
        Some(Numbered { number: self.number, notice })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_hour_keeps_peaks_and_forgets_what_is_older() {
        let mut hour = LastHour::default();
        for second in 0..4_000 {
            let power = if second == 3_333 { 9_000_000 } else { 100_000 };
            hour.add(second * 1_000, Milliwatts::saturating(power));
        }
        let spans = hour.spans();
        assert_eq!(spans.len(), SPANS);
        assert_eq!(spans.iter().map(|span| span.max_milliwatts.count()).max(), Some(9_000_000));
        assert_eq!(spans.first().map(|span| span.start_utc_milliseconds), Some(400_000));
    }
}
