//! The task that joins a link and a protocol: opens, listens, recognises, decodes, and opens again after a break.
//!
//! The only place in this crate that reads a clock. One task owns one link; it ends when its future is dropped, when nobody
//! listens any more, or at the end of a recorded file. It never hammers a port: after a break it waits, longer each time,
//! with some chance in it so that many displays behind one bridge do not come back together.

#[cfg(feature = "client")]
pub mod asked;
#[cfg(feature = "http")]
mod bridge;
#[cfg(feature = "client")]
mod pull;
mod readouts;
#[cfg(feature = "client")]
pub mod replacement;
pub mod reserve;
mod stream;

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use crate::bridge::Secret;
use crate::decoder::Decoder;
use crate::error::DecodeError;
use crate::health::{Health, KeyState, LinkProblem, LinkState, Refusal};
use crate::link::Address;
use crate::link::line::LineSettings;
use crate::link::source::Source;
use crate::reading::{LoadProfile, Reading};
use crate::security::{Counter, KeyPair};
use reserve::CountersWanted;

/// First pause after a break.
const PAUSE: Duration = Duration::from_secs(1);
/// Longest pause: a person who plugs the cable in again waits at most a minute.
const MAX_PAUSE: Duration = Duration::from_secs(60);
/// A link without a byte for so long is silent, unless its meter is known to be slower: the slowest P1 meter sends every ten
/// seconds.
const SILENCE: Duration = Duration::from_secs(10);
/// Good frames whose distances are remembered; their median is the usual one, whatever gap lies among them.
const DISTANCES: usize = 5;
/// Health is told at most this often while nothing but counts change.
const TELL: Duration = Duration::from_secs(1);

/// What a meter's task is started with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the meter is, and what is known of it beforehand.
    pub source: Source,
    /// Settings of a serial line that worked at an earlier time: listened with first.
    pub worked: Option<LineSettings>,
    /// Keys to try on an encrypting meter, newest first.
    pub keys: Vec<KeyPair>,
    /// Proof of a pairing, for a bridge that asks for one.
    pub secret: Option<Secret>,
    /// Invocation counters that were accepted before; nothing at or below them is accepted again.
    pub counters: Vec<Counter>,
    /// The last reading that is kept of what this meter measures, by its clock: from there on a meter that stores a load
    /// profile is asked what was missed. `None`: nothing was read yet, so nothing was missed.
    pub known_until_utc_milliseconds: Option<i64>,
}

impl Config {
    /// A meter of which nothing is known but where it is.
    pub const fn new(source: Source) -> Self {
        Self {
            source,
            worked: None,
            keys: Vec::new(),
            secret: None,
            counters: Vec::new(),
            known_until_utc_milliseconds: None,
        }
    }
}

/// What a meter's task tells.
#[derive(Debug)]
pub enum MeterEvent {
    /// The task wants to send under a meter's key.
    CountersWanted(Box<CountersWanted>),
    /// Health changed; sent at most once a second, and at once when its state changes.
    Health(Box<Health>),
    /// Rows that the meter stored while nobody listened, after the reading that ended the gap.
    Profile(Box<LoadProfile>),
    /// A reading arrived.
    Reading(Box<Arrived>),
    /// A frame was refused, or waits for its key.
    Refused(Box<Refused>),
}

/// A frame that gave no reading because of its keys.
#[derive(Clone, PartialEq, Eq)]
pub struct Refused {
    /// Why it was refused; `None`: it only waits for a key.
    pub refusal: Option<Refusal>,
    /// The ciphered frame, where a key that is not known yet may open it; else empty.
    pub frame: Vec<u8>,
    /// The host's clock at the frame's last byte, milliseconds since 1970 UTC.
    pub arrived_utc_milliseconds: i64,
}

impl std::fmt::Debug for Refused {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Refused").field("refusal", &self.refusal).finish_non_exhaustive()
    }
}

/// A reading and when it came.
#[derive(Clone, Debug)]
pub struct Arrived {
    /// What the meter said.
    pub reading: Reading,
    /// The host's clock at the frame's last byte, milliseconds since 1970 UTC.
    pub arrived_utc_milliseconds: i64,
    /// False for a recorded file, whose times lie in the past and are right.
    pub live: bool,
}

/// Nobody listens any more.
struct Alone;

/// Runs until dropped, until the receiver is gone, or to the end of a recorded file.
pub async fn run(config: Config, events: mpsc::Sender<MeterEvent>) {
    let mut task = Task {
        live: !matches!(config.source.address, Address::File(_)),
        health: Health::default(),
        told: None,
        last_frame: None,
        distances: Vec::new(),
        worked: config.worked,
        pace: Duration::ZERO,
        events,
    };
    #[cfg(feature = "http")]
    if let Address::Bridge { kind, .. } = config.source.address {
        let _ = task.serve_bridge(&config, kind).await;
        return;
    }
    #[cfg(feature = "client")]
    if let Address::Dlms(address) = &config.source.address {
        let _ = task.serve_dlms(&config, address).await;
        return;
    }
    // The only way out is that nobody listens; there is nobody to tell.
    let _ = task.serve(&config).await;
}

struct Task {
    live: bool,
    health: Health,
    /// What was told last, and when.
    told: Option<(LinkState, Option<LinkProblem>, KeyState, Instant)>,
    last_frame: Option<Instant>,
    /// Milliseconds between the last good frames, newest last; at most [`DISTANCES`].
    distances: Vec<u32>,
    /// The settings of a serial line with which the last good frame came.
    worked: Option<LineSettings>,
    /// How long a meter that has to be asked is left alone between two readouts; zero for one that speaks by itself.
    pace: Duration,
    events: mpsc::Sender<MeterEvent>,
}

impl Task {
    /// Waits, unless nobody listens any more.
    async fn pause(&self, pause: Duration) -> Result<(), Alone> {
        match timeout(pause, self.events.closed()).await {
            Ok(()) => Err(Alone),
            Err(_) => Ok(()),
        }
    }

    /// Takes what the decoder has.
    async fn poll(&mut self, decoder: &mut Decoder) -> Result<(), Alone> {
        while let Some(result) = decoder.poll_reading() {
            match result {
                Ok(reading) => self.take(reading, decoder.is_replay_undetectable()).await?,
                Err(error) => {
                    let frame = if matches!(error, DecodeError::KeyNeeded | DecodeError::KeyWrong) {
                        decoder.sealed().to_vec()
                    } else {
                        Vec::new()
                    };
                    self.count(error, frame).await?;
                }
            }
        }
        Ok(())
    }

    async fn take(&mut self, reading: Reading, replay_undetectable: bool) -> Result<(), Alone> {
        let arrived = utc_milliseconds();
        let now = Instant::now();
        self.health.hear_reading(&reading, replay_undetectable);
        let health = &mut self.health;
        if let Some(last) = self.last_frame.replace(now) {
            if self.distances.len() == DISTANCES {
                self.distances.remove(0);
            }
            self.distances.push(u32::try_from((now - last).as_millis()).unwrap_or(u32::MAX));
            let mut sorted = self.distances.clone();
            sorted.sort_unstable();
            health.interval_milliseconds = sorted.get(sorted.len() / 2).copied().filter(|_| self.live);
        }
        health.last_frame_utc_milliseconds = Some(arrived);
        health.clock_offset_milliseconds =
            reading.meter_time.filter(|_| self.live).map(|time| time.unix_milliseconds - arrived);
        let arrived = Arrived { reading, arrived_utc_milliseconds: arrived, live: self.live };
        self.events.send(MeterEvent::Reading(Box::new(arrived))).await.map_err(|_| Alone)
    }

    /// Counts a frame that gave no reading; tells it where keys were the reason.
    async fn count(&mut self, error: DecodeError, frame: Vec<u8>) -> Result<(), Alone> {
        self.health.hear_error(error);
        let refusal = Refusal::of(error);
        if refusal.is_none() && frame.is_empty() {
            return Ok(());
        }
        let refused = Refused { refusal, frame, arrived_utc_milliseconds: utc_milliseconds() };
        self.events.send(MeterEvent::Refused(Box::new(refused))).await.map_err(|_| Alone)
    }

    /// How long nothing may come: three of the meter's usual intervals, and at least ten seconds.
    fn patience(&self) -> Duration {
        let usual = Duration::from_millis(u64::from(self.health.interval_milliseconds.unwrap_or(0)));
        (usual.max(self.pace) * 3).max(SILENCE)
    }

    /// Whether good frames have stopped, or never came.
    fn is_late(&self) -> bool {
        self.last_frame.is_none_or(|last| self.live && last.elapsed() > self.patience())
    }

    /// Tells health: at once when the state is new, else at most once a second.
    async fn tell(&mut self, state: LinkState) -> Result<(), Alone> {
        self.health.state = state;
        let now = Instant::now();
        let news = (state, self.health.problem, self.health.key);
        let due = self.told.is_none_or(|(state, problem, key, at)| (state, problem, key) != news || now - at >= TELL);
        if !due {
            return if self.events.is_closed() { Err(Alone) } else { Ok(()) };
        }
        self.told = Some((news.0, news.1, news.2, now));
        self.events.send(MeterEvent::Health(Box::new(self.health.clone()))).await.map_err(|_| Alone)
    }
}

/// The host's clock.
fn utc_milliseconds() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// The pause, up to a quarter longer or shorter.
fn with_chance(pause: Duration) -> Duration {
    let chance = getrandom::u32().unwrap_or(u32::MAX / 2) % 512;
    pause * (768 + chance) / 1_024
}
