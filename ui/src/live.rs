//! The home this second as signals: a snapshot first, then changes, each patched where it belongs.
//!
//! The last snapshot is remembered by the browser and painted before anything is fetched; until the home has spoken it
//! looks as old as it is.

use contract::live::{Home, MeterId, MeterState, PointKind, PointState, PowerSpan, Snapshot, Today};
use contract::notice::Notice;
use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::backend::{self, Watched, browser};

/// Spans kept: an hour of ten seconds.
const SPANS: usize = 360;
/// The remembered snapshot is renewed every so many readings; a page that reloads has fresh data in a moment anyway.
const REMEMBER_EVERY: u32 = 30;

/// How the page stands with the home.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nothing heard yet.
    Connecting,
    /// The connection broke.
    Disconnected,
    /// No meter is paired.
    Empty,
    /// Readings are fresh.
    Live,
    /// The home does not know this page.
    Locked,
    /// Paired, but no reading is fresh.
    Stale,
}

impl Standing {
    /// The word tests and style sheets know it by.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Disconnected => "disconnected",
            Self::Empty => "empty",
            Self::Live => "live",
            Self::Locked => "locked",
            Self::Stale => "stale",
        }
    }
}

/// Everything screens read from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Live {
    /// The home; `None` until anything is known.
    pub(crate) home: RwSignal<Option<Home>>,
    /// Paired meters.
    pub(crate) meters: RwSignal<Vec<MeterState>>,
    /// Metering points.
    pub(crate) points: RwSignal<Vec<PointState>>,
    /// The running day.
    pub(crate) today: RwSignal<Today>,
    /// The last hour at the connection point.
    pub(crate) last_hour: RwSignal<Vec<PowerSpan>>,
    /// The home's clock now, as well as the page can tell; moves once a second.
    pub(crate) now: RwSignal<i64>,
    /// How the page stands with the home.
    pub(crate) standing: Memo<Standing>,
    connection: RwSignal<Connection>,
    /// The home's clock minus the browser's.
    ahead: RwSignal<i64>,
    heard: StoredValue<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Connection {
    New,
    Lost,
    Locked,
    There,
}

impl Live {
    /// Begins to watch.
    pub(crate) fn begin() -> Self {
        let remembered: Option<Snapshot> =
            browser::remembered("snapshot").and_then(|text| serde_json::from_str(&text).ok());
        let connection = RwSignal::new(Connection::New);
        let home = RwSignal::new(None);
        let (meters, points) = (RwSignal::new(Vec::new()), RwSignal::new(Vec::<PointState>::new()));
        let now = RwSignal::new(browser::now());
        let standing = Memo::new(move |_| match connection.get() {
            Connection::New => Standing::Connecting,
            Connection::Lost => Standing::Disconnected,
            Connection::Locked => Standing::Locked,
            Connection::There if meters.with(Vec::is_empty) => Standing::Empty,
            Connection::There => match points.with(|points| is_fresh(points, &meters.get(), now.get())) {
                true => Standing::Live,
                false => Standing::Stale,
            },
        });
        let live = Self {
            home,
            meters,
            points,
            today: RwSignal::new(Today::default()),
            last_hour: RwSignal::new(Vec::new()),
            now,
            standing,
            connection,
            ahead: RwSignal::new(0),
            heard: StoredValue::new(0),
        };
        if let Some(snapshot) = remembered {
            live.take_snapshot(snapshot);
        }
        browser::every_second(move || live.now.set(browser::now() + live.ahead.get_untracked()));
        spawn_local(backend::watch(move |watched| match watched {
            Watched::Notice(numbered) => live.take(numbered.notice),
            Watched::Lost => live.connection.set(Connection::Lost),
            Watched::Locked => live.connection.set(Connection::Locked),
        }));
        live
    }

    fn take(&self, notice: Notice) {
        match notice {
            Notice::Snapshot(snapshot) => {
                remember(&snapshot);
                self.ahead.set(snapshot.home.now_utc_milliseconds - browser::now());
                self.now.set(snapshot.home.now_utc_milliseconds);
                self.take_snapshot(*snapshot);
            }
            Notice::Home(home, meters, points) => {
                self.home.set(Some(*home));
                self.meters.set(meters);
                self.points.set(points);
            }
            Notice::Meter(meter) => self.meters.update(|meters| {
                if let Some(known) = meters.iter_mut().find(|known| known.id == meter.id) {
                    *known = *meter;
                }
            }),
            Notice::Reading { point, today, span } => {
                self.points.update(|points| match points.iter_mut().find(|known| known.id == point.id) {
                    Some(known) => *known = *point,
                    None => points.push(*point),
                });
                if self.today.with_untracked(|known| *known != *today) {
                    self.today.set(*today);
                }
                if let Some(span) = span {
                    self.last_hour.update(|spans| patch(spans, span));
                }
                self.now.set(browser::now() + self.ahead.get_untracked());
                self.remember_now_and_then();
            }
        }
        if self.connection.get_untracked() != Connection::There {
            self.connection.set(Connection::There);
        }
    }

    fn take_snapshot(&self, snapshot: Snapshot) {
        self.home.set(Some(snapshot.home));
        self.meters.set(snapshot.meters);
        self.points.set(snapshot.points);
        self.today.set(snapshot.today);
        self.last_hour.set(snapshot.last_hour);
    }

    fn remember_now_and_then(&self) {
        self.heard.update_value(|heard| *heard += 1);
        if self.heard.get_value() % REMEMBER_EVERY != 1 {
            return;
        }
        if let Some(home) = self.home.get_untracked() {
            remember(&Snapshot {
                home,
                meters: self.meters.get_untracked(),
                points: self.points.get_untracked(),
                today: self.today.get_untracked(),
                last_hour: self.last_hour.get_untracked(),
            });
        }
    }

    /// The first point of a kind, if there is one.
    pub(crate) fn point(&self, kind: PointKind) -> Option<PointState> {
        self.points.with(|points| points.iter().find(|point| point.kind == kind).cloned())
    }

    /// One meter.
    pub(crate) fn meter(&self, id: MeterId) -> Option<MeterState> {
        self.meters.with(|meters| meters.iter().find(|meter| meter.id == id).cloned())
    }

    /// Local minus UTC seconds at the home.
    pub(crate) fn offset(&self) -> i32 {
        self.home.with(|home| home.as_ref().map_or(0, |home| home.utc_offset_seconds))
    }

    /// Age of a point's newest reading by the meter's own clock, less what that clock is known to be off.
    pub(crate) fn age_milliseconds(&self, point: &PointState) -> Option<i64> {
        Some(age(point, &self.meters.get(), self.now.get())?.max(0))
    }
}

fn remember(snapshot: &Snapshot) {
    if let Ok(text) = serde_json::to_string(snapshot) {
        browser::remember("snapshot", Some(&text));
    }
}

fn patch(spans: &mut Vec<PowerSpan>, span: PowerSpan) {
    let place = spans.partition_point(|known| known.start_utc_milliseconds < span.start_utc_milliseconds);
    match spans.get_mut(place) {
        Some(known) if known.start_utc_milliseconds == span.start_utc_milliseconds => *known = span,
        _ => spans.insert(place, span),
    }
    if spans.len() > SPANS {
        spans.remove(0);
    }
}

fn age(point: &PointState, meters: &[MeterState], now: i64) -> Option<i64> {
    let latest = point.latest.as_ref()?;
    let meter = point.meter.and_then(|id| meters.iter().find(|meter| meter.id == id));
    let off = match latest.clock {
        contract::live::Clock::Meter => meter.and_then(|meter| meter.health.clock_offset_milliseconds).unwrap_or(0),
        contract::live::Clock::Host => 0,
    };
    // Beyond ten minutes a clock is not believed and the reading carries the host's time.
    let off = if off.abs() > 600_000 { 0 } else { off };
    Some(now - latest.at_utc_milliseconds + off)
}

/// Whether any electric point has spoken within three of its meter's intervals, and at least ten seconds.
fn is_fresh(points: &[PointState], meters: &[MeterState], now: i64) -> bool {
    points.iter().filter(|point| matches!(point.kind, PointKind::Connection | PointKind::Generation)).any(|point| {
        let meter = point.meter.and_then(|id| meters.iter().find(|meter| meter.id == id));
        let interval = meter.and_then(|meter| meter.health.interval_milliseconds).unwrap_or(10_000);
        age(point, meters, now).is_some_and(|age| age < (i64::from(interval) * 3).max(10_000))
    })
}
