//! The part of a meter's task for links that are streams of bytes: opens, listens, asks where listening alone stays silent,
//! recognises, decodes, and opens again after a break.
//!
//! What a serial line is listened with is [`Search`]'s to say, when it is asked [`Readouts`]'s.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::readouts::Readouts;
use super::{Alone, Config, MAX_PAUSE, PAUSE, Task, with_chance};
use crate::d0::sign_on::Transmit;
use crate::decoder::{Decoder, Protocol};
use crate::health::{LinkProblem, LinkState, TriedSettings};
use crate::link::line::{Framing, LineSettings};
use crate::link::search::Search;
use crate::link::{Address, Link};

/// So many bytes without a frame are in no known language: four telegrams.
const NOISE: u64 = 4_000;
/// Or fewer for so long: one interval of the slowest meter, and a telegram.
const NOISY: Duration = Duration::from_secs(12);
/// A serial adapter keeps a few characters to itself before they are on the line; a meter waits longer than that.
const ADAPTER: Duration = Duration::from_millis(10);

/// An open link, and what has been heard on it.
struct Listening<'a> {
    link: Link,
    search: Search,
    readouts: Option<&'a mut Readouts>,
    /// Times of the search count from here.
    start: Instant,
    /// When the last byte came, or the link was opened.
    quiet_since: Instant,
    /// Bytes since the last recognised frame, and when the first of them came.
    noise: Option<(u64, Instant)>,
}

impl Task {
    /// Reads a stream of bytes until nobody listens any more, or a recording has ended.
    pub(super) async fn serve(&mut self, config: &Config) -> Result<(), Alone> {
        // One for all times the link is opened: a counter seen before a break must not count as fresh after it.
        let protocols = config.source.protocol.map_or(Protocol::ALL.to_vec(), |only| vec![only]);
        let mut decoder = Decoder::of(&protocols, &config.keys, &config.counters);
        self.health.has_fitted = !config.counters.is_empty();
        let is_serial = matches!(config.source.address, Address::Serial(_));
        let mut readouts = (is_serial && protocols.contains(&Protocol::D0)).then(|| Readouts::new(Instant::now()));
        let mut pause = PAUSE;
        loop {
            let frames = self.health.frames;
            let search = if is_serial {
                Search::new(config.source.line, self.worked, Duration::ZERO)
            } else {
                Search::without_settings(Duration::ZERO)
            };
            match Link::open(&config.source.address, search.settings()).await {
                Ok(link) => {
                    let start = Instant::now();
                    let readouts = readouts.as_mut();
                    let listening = Listening { link, search, readouts, start, quiet_since: start, noise: None };
                    self.listen(listening, &mut decoder).await?;
                }
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

    /// Reads an open link until it breaks, or a recording to its end.
    async fn listen(&mut self, mut listening: Listening<'_>, decoder: &mut Decoder) -> Result<(), Alone> {
        let mut buffer = vec![0; 4_096];
        self.health.problem = None;
        self.health.line_settings = listening.search.settings().map(|settings| settings.to_string());
        decoder.handle_break();
        if let Some(readouts) = &mut listening.readouts {
            readouts.handle_break(listening.start);
        }
        self.tell(LinkState::Listening).await?;
        loop {
            if self.ask(&mut listening, decoder).await?.is_err() {
                self.health.problem = Some(LinkProblem::Closed);
                return Ok(());
            }
            let deadline = listening.deadline(self.patience());
            let read = tokio::select! {
                read = timeout_at(deadline, listening.link.read(&mut buffer)) => read,
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
                Err(_) => 0,
            };
            let recognised = self.health.recognised;
            let mut rest = &buffer[..count];
            while !rest.is_empty() {
                let taken = decoder.handle_bytes(rest);
                rest = &rest[taken..];
                self.poll(decoder).await?;
            }
            self.hear(&mut listening, &buffer[..count], self.health.recognised > recognised);
            if !listening.is_asking() && listening.search.poll(listening.start.elapsed()) {
                self.turn(&mut listening, decoder);
            }
            let is_live = listening.search.is_known() && !self.is_late();
            self.tell(if is_live { LinkState::Live } else { LinkState::Listening }).await?;
        }
    }

    /// Takes note of bytes that came, or that none did.
    fn hear(&mut self, listening: &mut Listening<'_>, bytes: &[u8], recognised: bool) {
        let now = Instant::now();
        self.health.bytes += bytes.len() as u64;
        if !bytes.is_empty() {
            listening.quiet_since = now;
            let (noise, _) = listening.noise.get_or_insert((0, now));
            *noise += bytes.len() as u64;
            if let Some(readouts) = &mut listening.readouts {
                readouts.handle_bytes(bytes, now);
            }
            // What comes while a meter is asked says nothing about how it would speak by itself.
            if !listening.is_asking() {
                listening.search.handle_bytes(bytes);
            }
        }
        if recognised {
            listening.noise = None;
            match listening.asked_settings() {
                Some(settings) => listening.search.handle_settings(settings, listening.start.elapsed()),
                None => listening.search.handle_frame(listening.start.elapsed()),
            }
            if let Some(readouts) = &mut listening.readouts {
                readouts.handle_frame();
            }
            self.worked = listening.search.worked();
            self.health.problem = None;
            (self.health.tried, self.health.asked) = (Vec::new(), 0);
        } else if now >= listening.quiet_since + self.patience() {
            self.health.problem = Some(LinkProblem::Silent);
        } else if let Some((count, since)) = listening.noise
            && !listening.search.is_known()
            && (count > NOISE || now >= since + NOISY)
        {
            self.health.problem = Some(LinkProblem::Unrecognised);
        }
    }

    /// Listens with what the search says.
    fn turn(&mut self, listening: &mut Listening<'_>, decoder: &mut Decoder) {
        decoder.forget_protocol();
        let Some(settings) = listening.search.settings() else { return };
        self.set(listening, settings);
        let tried = listening
            .search
            .tried()
            .iter()
            .filter_map(|tried| Some(TriedSettings { settings: tried.settings?.to_string(), bytes: tried.bytes }));
        self.health.tried = tried.collect();
    }

    fn set(&mut self, listening: &mut Listening<'_>, settings: LineSettings) {
        listening.link.set(settings);
        // A meter that is asked begins at another speed each time; what is told is the speed of its readout.
        if !listening.search.is_known() {
            self.health.line_settings = Some(settings.to_string());
        }
    }

    /// Says what has to be said to a meter that waits to be asked. The inner error: the link broke.
    async fn ask(
        &mut self,
        listening: &mut Listening<'_>,
        decoder: &mut Decoder,
    ) -> Result<std::io::Result<()>, Alone> {
        let was_busy = listening.is_asking();
        let Some(readouts) = &mut listening.readouts else { return Ok(Ok(())) };
        let transmit = readouts.poll_transmit(Instant::now());
        self.pace = readouts.pace();
        match (was_busy, readouts.is_busy()) {
            (false, true) => {
                self.health.asked += 1;
                // What was half heard has nothing to do with the answer.
                decoder.handle_break();
            }
            (true, false) => {
                if let Some(settings) = listening.search.settings() {
                    self.set(listening, settings);
                }
            }
            _ => (),
        }
        let Some(Transmit { bytes, baud, then_baud }) = transmit else { return Ok(Ok(())) };
        let settings = LineSettings::new(baud, Framing::SevenEven);
        self.set(listening, settings);
        if !bytes.is_empty() {
            if let Err(error) = listening.link.write(&bytes).await {
                return Ok(Err(error));
            }
            let bits = bytes.len() as u64 * u64::from(settings.framing.bits());
            self.pause(Duration::from_micros(bits * 1_000_000 / u64::from(baud)) + ADAPTER).await?;
        }
        self.set(listening, LineSettings::new(then_baud, Framing::SevenEven));
        Ok(Ok(()))
    }
}

impl Listening<'_> {
    fn is_asking(&self) -> bool {
        self.readouts.as_ref().is_some_and(|readouts| readouts.is_busy())
    }

    /// The settings that a meter has named for the readout under way.
    fn asked_settings(&self) -> Option<LineSettings> {
        Some(LineSettings::new(self.readouts.as_ref()?.baud()?, Framing::SevenEven))
    }

    /// When to look up if nothing comes.
    fn deadline(&self, patience: Duration) -> Instant {
        let now = Instant::now();
        let silent = self.quiet_since + patience;
        // Told once that it is silent, there is no hurry to tell it again.
        let silent = if silent > now { silent } else { now + patience };
        let readouts = self.readouts.as_ref().and_then(|readouts| readouts.deadline());
        let search = self.search.deadline().filter(|_| !self.is_asking()).map(|deadline| self.start + deadline);
        [readouts, search].into_iter().flatten().fold(silent, Instant::min)
    }
}
