//! The task that joins a link and a protocol: opens, listens, recognises, decodes, and opens again after a break.
//!
//! The only place in this crate that reads a clock. One task owns one link; it ends when its future is dropped, when nobody
//! listens any more, or at the end of a recorded file. It never hammers a port: after a break it waits, longer each time,
//! with some chance in it so that many displays behind one bridge do not come back together.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use crate::error::DecodeError;
use crate::health::{Health, KeyState, LinkProblem, LinkState};
use crate::link::{Address, Link};
use crate::p1;
use crate::reading::Reading;
use crate::security::KeyPair;

/// First pause after a break.
const PAUSE: Duration = Duration::from_secs(1);
/// Longest pause: a person who plugs the cable in again waits at most a minute.
const MAX_PAUSE: Duration = Duration::from_secs(60);
/// A link without a byte for so long is silent: the slowest P1 meter sends every ten seconds.
const SILENCE: Duration = Duration::from_secs(12);
/// So long each setting of a serial line is listened to: one interval of the slowest meter, and a telegram.
const LISTEN: Duration = Duration::from_secs(12);
/// So many bytes without a frame are a wrong speed: four telegrams.
const NOISE: u64 = 4_000;
/// Health is told at most this often while nothing but counts change.
const TELL: Duration = Duration::from_secs(1);

/// What a meter's task is started with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the meter is.
    pub address: Address,
    /// Keys to try on an encrypting meter, newest first.
    pub keys: Vec<KeyPair>,
}

/// What a meter's task tells.
#[derive(Clone, Debug)]
pub enum MeterEvent {
    /// Health changed; sent at most once a second, and at once when its state changes.
    Health(Box<Health>),
    /// A reading arrived.
    Reading(Box<Arrived>),
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
        events,
    };
    // The only way out is that nobody listens; there is nobody to tell.
    let _ = task.serve(&config).await;
}

struct Task {
    live: bool,
    health: Health,
    /// What was told last, and when.
    told: Option<(LinkState, Option<LinkProblem>, KeyState, Instant)>,
    last_frame: Option<Instant>,
    events: mpsc::Sender<MeterEvent>,
}

impl Task {
    async fn serve(&mut self, config: &Config) -> Result<(), Alone> {
        let mut pause = PAUSE;
        loop {
            let frames = self.health.frames;
            match Link::open(&config.address).await {
                Ok(link) => {
                    self.listen(link, config).await?;
                    if !self.live {
                        self.health.problem = None;
                        return self.tell(LinkState::Ended).await;
                    }
                }
                Err(problem) => self.health.problem = Some(problem),
            }
            if self.health.frames > frames {
                pause = PAUSE;
            }
            self.tell(LinkState::Waiting).await?;
            tokio::time::sleep(with_chance(pause)).await;
            pause = (pause * 2).min(MAX_PAUSE);
            self.health.reconnects += 1;
        }
    }

    /// Reads an open link until it breaks.
    async fn listen(&mut self, mut link: Link, config: &Config) -> Result<(), Alone> {
        let mut decoder = p1::Decoder::new(config.keys.clone());
        let mut buffer = vec![0; 4_096];
        let mut heard_since = 0_u64;
        let mut setting_until = Instant::now() + LISTEN;
        let mut known = false;
        self.health.problem = None;
        self.health.line_settings = link.settings().map(str::to_owned);
        self.tell(LinkState::Listening).await?;
        loop {
            let deadline = Instant::now() + SILENCE;
            let deadline = if known { deadline } else { deadline.min(setting_until) };
            let count = match timeout_at(deadline, link.read(&mut buffer)).await {
                Ok(Ok(0)) | Ok(Err(_)) => {
                    decoder.handle_end();
                    self.poll(&mut decoder).await?;
                    self.health.problem = Some(LinkProblem::Closed);
                    return Ok(());
                }
                Ok(Ok(count)) => count,
                Err(_) => {
                    if heard_since == 0 || known {
                        self.health.problem = Some(LinkProblem::Silent);
                    }
                    0
                }
            };
            self.health.bytes += count as u64;
            heard_since += count as u64;
            let frames = self.health.frames;
            let mut rest = &buffer[..count];
            while !rest.is_empty() {
                let taken = decoder.handle_bytes(rest);
                rest = &rest[taken..];
                self.poll(&mut decoder).await?;
            }
            if self.health.frames > frames {
                (known, heard_since) = (true, 0);
                self.health.problem = None;
            } else if !known && (heard_since > NOISE || Instant::now() >= setting_until) {
                if heard_since > 0 {
                    self.health.problem = Some(LinkProblem::Unrecognised);
                }
                link.try_next_settings();
                self.health.line_settings = link.settings().map(str::to_owned);
                (heard_since, setting_until) = (0, Instant::now() + LISTEN);
                decoder = p1::Decoder::new(config.keys.clone());
            }
            let state = if self.is_late() || !known { LinkState::Listening } else { LinkState::Live };
            self.tell(state).await?;
        }
    }

    /// Takes what the decoder has.
    async fn poll(&mut self, decoder: &mut p1::Decoder) -> Result<(), Alone> {
        while let Some(result) = decoder.poll_reading() {
            match result {
                Ok(reading) => self.take(reading).await?,
                Err(error) => self.count(error),
            }
        }
        Ok(())
    }

    async fn take(&mut self, reading: Reading) -> Result<(), Alone> {
        let arrived = utc_milliseconds();
        let now = Instant::now();
        let health = &mut self.health;
        health.frames += 1;
        health.interval_milliseconds =
            self.last_frame.map(|last| u32::try_from((now - last).as_millis()).unwrap_or(u32::MAX));
        self.last_frame = Some(now);
        health.last_frame_utc_milliseconds = Some(arrived);
        health.protocol = Some(reading.protocol.to_owned());
        health.identification = Some(reading.identification.clone());
        health.country = reading.country;
        health.clock_offset_milliseconds = reading.meter_time.map(|time| time.unix_milliseconds - arrived);
        if reading.trust == crate::reading::Trust::Authenticated {
            health.key = KeyState::Fits;
        }
        let arrived = Arrived { reading, arrived_utc_milliseconds: arrived, live: self.live };
        self.events.send(MeterEvent::Reading(Box::new(arrived))).await.map_err(|_| Alone)
    }

    fn count(&mut self, error: DecodeError) {
        let health = &mut self.health;
        match error {
            DecodeError::Checksum { .. } => health.checksum_failures += 1,
            DecodeError::KeyNeeded => health.key = KeyState::Needed,
            DecodeError::KeyWrong | DecodeError::NoTelegram => {
                health.key = KeyState::Wrong;
                health.rejected += 1;
            }
            _ if error.is_rejection() => health.rejected += 1,
            _ => health.decode_errors += 1,
        }
    }

    /// Whether the meter has missed three of its usual intervals, and at least ten seconds.
    fn is_late(&self) -> bool {
        let usual = Duration::from_millis(u64::from(self.health.interval_milliseconds.unwrap_or(0)));
        self.last_frame.is_some_and(|last| last.elapsed() > (usual * 3).max(Duration::from_secs(10)))
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
