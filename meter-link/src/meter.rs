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
pub mod replacement;
pub mod reserve;

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

use crate::bridge::Secret;
use crate::decoder::Decoder;
use crate::error::DecodeError;
use crate::health::{Health, KeyState, LinkProblem, LinkState, Refusal};
use crate::link::{Address, Link};
use crate::reading::Reading;
use crate::security::{Counter, KeyPair};
use reserve::CountersWanted;

/// First pause after a break.
const PAUSE: Duration = Duration::from_secs(1);
/// Longest pause: a person who plugs the cable in again waits at most a minute.
const MAX_PAUSE: Duration = Duration::from_secs(60);
/// A link without a byte for so long is silent, unless its meter is known to be slower: the slowest P1 meter sends every ten
/// seconds.
const SILENCE: Duration = Duration::from_secs(10);
/// So long each setting of a serial line is listened to: one interval of the slowest meter, and a telegram.
const LISTEN: Duration = Duration::from_secs(12);
/// So many bytes without a frame are a wrong speed: four telegrams.
const NOISE: u64 = 4_000;
/// A meter that was understood before is sought anew after so many bytes without a frame: it may have been swapped for one
/// of another speed. Sixteen telegrams, so that noise alone hardly does it.
const LOST: u64 = 16_000;
/// Good frames whose distances are remembered; their median is the usual one, whatever gap lies among them.
const DISTANCES: usize = 5;
/// Health is told at most this often while nothing but counts change.
const TELL: Duration = Duration::from_secs(1);

/// What a meter's task is started with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the meter is.
    pub address: Address,
    /// Keys to try on an encrypting meter, newest first.
    pub keys: Vec<KeyPair>,
    /// Proof of a pairing, for a bridge that asks for one.
    pub secret: Option<Secret>,
    /// Invocation counters that were accepted before; nothing at or below them is accepted again.
    pub counters: Vec<Counter>,
}

/// What a meter's task tells.
#[derive(Debug)]
pub enum MeterEvent {
    /// The task wants to send under a meter's key.
    CountersWanted(Box<CountersWanted>),
    /// Health changed; sent at most once a second, and at once when its state changes.
    Health(Box<Health>),
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
        live: !matches!(config.address, Address::File(_)),
        health: Health::default(),
        told: None,
        last_frame: None,
        distances: Vec::new(),
        settings: 0,
        events,
    };
    #[cfg(feature = "http")]
    if let Address::Bridge { kind, .. } = config.address {
        let _ = task.serve_bridge(&config, kind).await;
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
    settings: usize,
    events: mpsc::Sender<MeterEvent>,
}

impl Task {
    async fn serve(&mut self, config: &Config) -> Result<(), Alone> {
        // One for all times the link is opened: a counter seen before a break must not count as fresh after it.
        let mut decoder = Decoder::new(&config.keys, &config.counters);
        self.health.has_fitted = !config.counters.is_empty();
        let mut pause = PAUSE;
        loop {
            let frames = self.health.frames;
            match Link::open(&config.address, self.settings).await {
                Ok(link) => self.listen(link, &mut decoder).await?,
                Err(problem) => self.health.problem = Some(problem),
            }
            if !self.live {
                // A recording that cannot be read now will not be later.
                self.health.problem = self.health.problem.filter(|_| self.health.frames == 0);
                let ended = self.health.problem.is_none();
                return self.tell(if ended { LinkState::Ended } else { LinkState::Stopped }).await;
            }
            if self.health.frames > frames {
                pause = PAUSE;
            }
            self.tell(LinkState::Waiting).await?;
            self.pause(with_chance(pause)).await?;
            pause = (pause * 2).min(MAX_PAUSE);
            self.health.reconnects += 1;
        }
    }

    /// Waits, unless nobody listens any more.
    async fn pause(&self, pause: Duration) -> Result<(), Alone> {
        match timeout(pause, self.events.closed()).await {
            Ok(()) => Err(Alone),
            Err(_) => Ok(()),
        }
    }

    /// Reads an open link until it breaks, or a recording to its end.
    async fn listen(&mut self, mut link: Link, decoder: &mut Decoder) -> Result<(), Alone> {
        let mut buffer = vec![0; 4_096];
        // Bytes since the last recognised frame, or since these settings.
        let mut heard = 0_u64;
        let mut known = false;
        let mut settings_until = Instant::now() + LISTEN;
        self.health.problem = None;
        self.health.line_settings = link.settings_name().map(str::to_owned);
        decoder.handle_break();
        self.tell(LinkState::Listening).await?;
        loop {
            let silent_at = Instant::now() + self.patience();
            let deadline = if known { silent_at } else { silent_at.min(settings_until) };
            let read = tokio::select! {
                read = timeout_at(deadline, link.read(&mut buffer)) => read,
                () = self.events.closed() => return Err(Alone),
            };
            let count = match read {
                Ok(Ok(count)) if count > 0 => count,
                Ok(_) if self.live => {
                    self.health.problem = Some(LinkProblem::Closed);
                    return Ok(());
                }
                Ok(Ok(_)) => {
                    // A recording of an old meter may end without a mark. Half a telegram of a broken line is never believed.
                    decoder.handle_end();
                    return self.poll(decoder).await;
                }
                Ok(Err(_)) => {
                    self.health.problem = Some(LinkProblem::Closed);
                    return Ok(());
                }
                Err(_) => {
                    if Instant::now() >= silent_at {
                        self.health.problem = Some(LinkProblem::Silent);
                    }
                    0
                }
            };
            self.health.bytes += count as u64;
            heard += count as u64;
            let recognised = self.health.recognised;
            let mut rest = &buffer[..count];
            while !rest.is_empty() {
                let taken = decoder.handle_bytes(rest);
                rest = &rest[taken..];
                self.poll(decoder).await?;
            }
            if self.health.recognised > recognised {
                (known, heard) = (true, 0);
                self.settings = link.settings();
                self.health.problem = None;
            } else if known && heard > LOST {
                (known, settings_until) = (false, Instant::now());
                decoder.forget_protocol();
            }
            if !known && (heard > NOISE || Instant::now() >= settings_until) {
                if heard > 0 {
                    self.health.problem = Some(LinkProblem::Unrecognised);
                }
                link.try_next_settings();
                self.health.line_settings = link.settings_name().map(str::to_owned);
                (heard, settings_until) = (0, Instant::now() + LISTEN);
                decoder.forget_protocol();
            }
            let state = if self.is_late() || !known { LinkState::Listening } else { LinkState::Live };
            self.tell(state).await?;
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
        (usual * 3).max(SILENCE)
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
