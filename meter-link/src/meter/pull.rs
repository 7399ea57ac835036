//! The part of a meter's task for meters that are asked over DLMS/COSEM: associates, reads at a humane pace, and fetches from
//! the meter's load profile what was missed.
//!
//! Readings are the same as of any other meter; what the meter stored comes as [`MeterEvent::Profile`], in parts between two
//! readings, so that the present never waits for the past. Refuses to hurry: a meter that refuses us is asked again after
//! minutes, because many lock a client out that tries wrong keys or passwords in a row; whoever corrects the key starts the
//! task anew.

mod filling;
mod plan;

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::asked::{Access, AskError, Asked};
use super::reserve::{CountersWanted, Reserve, Reserved};
use super::{Alone, Config, MAX_PAUSE, MeterEvent, PAUSE, Task, with_chance};
use crate::diagnosis::CLOCK_TOLERANCE_MILLISECONDS;
use crate::dlms_client::error::ClientError;
use crate::error::DecodeError;
use crate::health::{KeyState, LinkProblem, LinkState, ProfileProgress};
use crate::link::dlms::{DlmsAddress, Security, Way};
use crate::reading::LoadProfile;
use crate::security::{Counter, Fingerprint};
use filling::Filling;
use plan::Plan;

/// From the beginning of one reading to the next: what meters that push on their own choose, and slow enough for a serial
/// line of 9600 bits per second.
const PACE: Duration = Duration::from_secs(10);
/// Before a meter that refused us is asked again: five tries an hour lock nobody out.
const REFUSED_PAUSE: Duration = Duration::from_secs(720);

/// Asks whoever listens to the task to keep our counters.
#[derive(Clone, Debug)]
struct Listener(mpsc::Sender<MeterEvent>);

impl Reserve for Listener {
    async fn reserve(&mut self, key: Fingerprint, from: u32, count: u32) -> Option<Reserved> {
        let (reserved, given) = oneshot::channel();
        let wanted = CountersWanted { key, from, count, reserved };
        self.0.send(MeterEvent::CountersWanted(Box::new(wanted))).await.ok()?;
        given.await.ok()
    }
}

/// What is remembered of a meter from one association to the next.
struct Pulled<'a> {
    config: &'a Config,
    address: &'a DlmsAddress,
    /// All that were accepted, newest last.
    counters: Vec<Counter>,
    /// Place of the key that opened it last. keys[fitting] exists unless there are none.
    fitting: usize,
    plan: Option<Plan>,
    filling: Filling,
}

impl Pulled<'_> {
    /// Remembers a counter; what is at or below it is never accepted again.
    fn hear(&mut self, counter: Option<Counter>) {
        let Some(counter) = counter else { return };
        self.counters.retain(|known| known.key != counter.key);
        self.counters.push(counter);
    }

    /// Associates under the key that fitted last, then under the others, newest first.
    async fn open(&mut self, listener: &Listener) -> Result<Asked<Listener>, AskError> {
        let keys = &self.config.keys;
        let others = (0..keys.len()).filter(|place| *place != self.fitting);
        let mut places: Vec<usize> = std::iter::once(self.fitting).chain(others).collect();
        if !self.address.security.is_protected() {
            places.truncate(1);
        }
        let mut refused = AskError::KeyNeeded;
        for place in places {
            let access = Access {
                keys: keys.get(place).cloned(),
                secret: self.config.secret.clone(),
                counters: self.counters.clone(),
            };
            match Asked::open(self.address, &access, listener.clone()).await {
                Ok(asked) => {
                    self.fitting = place;
                    return Ok(asked);
                }
                Err(error) => match cause(error, self.address.security) {
                    Cause::Key | Cause::Forged(DecodeError::KeyWrong) => refused = error,
                    _ => return Err(error),
                },
            }
        }
        Err(refused)
    }
}

impl Task {
    /// Asks a meter until nobody listens any more.
    pub(super) async fn serve_dlms(&mut self, config: &Config, address: &DlmsAddress) -> Result<(), Alone> {
        let mut pulled = Pulled {
            config,
            address,
            counters: config.counters.clone(),
            fitting: 0,
            plan: None,
            filling: Filling::new(config.known_until_utc_milliseconds),
        };
        self.health.has_fitted = !config.counters.is_empty();
        if let Way::Line { speed, .. } = address.way {
            self.health.line_settings = Some(format!("{speed} 8N1"));
        }
        let mut pause = PAUSE;
        self.tell(LinkState::Opening).await?;
        loop {
            let frames = self.health.frames;
            let listening = self.events.clone();
            let error = tokio::select! {
                ended = self.pull(&mut pulled) => ended?,
                () = listening.closed() => return Err(Alone),
            };
            self.note(error, address.security).await?;
            if self.health.frames > frames {
                pause = PAUSE;
            }
            self.tell(LinkState::Waiting).await?;
            let is_refused = cause(error, address.security).is_refusal();
            self.pause(with_chance(if is_refused { REFUSED_PAUSE } else { pause })).await?;
            pause = (pause * 2).min(MAX_PAUSE);
            self.health.reconnects += 1;
        }
    }

    /// One association, from its opening to its end; gives what ended it.
    async fn pull(&mut self, pulled: &mut Pulled<'_>) -> Result<AskError, Alone> {
        let listener = Listener(self.events.clone());
        let mut asked = match pulled.open(&listener).await {
            Ok(asked) => asked,
            Err(error) => return Ok(error),
        };
        let known = pulled.plan.as_ref().map(Plan::equipment);
        match Plan::new(pulled.plan.take(), &mut asked).await {
            Ok(plan) => {
                if known.is_some_and(|known| known != plan.equipment()) {
                    pulled.filling.forget_source();
                }
                pulled.plan = Some(plan);
            }
            Err(error) => {
                pulled.hear(asked.counter());
                return Ok(error);
            }
        }
        let mut next = Instant::now();
        let ended = loop {
            let heard = asked.heard();
            let result = if Instant::now() >= next {
                next = Instant::now() + PACE;
                self.read(pulled, &mut asked).await
            } else if pulled.filling.is_due() {
                self.fill(pulled, &mut asked).await
            } else {
                sleep_until(next).await;
                Ok(Ok(()))
            };
            self.health.bytes += asked.heard() - heard;
            pulled.hear(asked.counter());
            match result? {
                Ok(()) => (),
                // A question that was refused ends nothing; the next may be answered.
                Err(error) if error.is_refusal() => self.health.decode_errors += 1,
                Err(error) => break error,
            }
        };
        Ok(ended)
    }

    /// One reading.
    async fn read(
        &mut self,
        pulled: &mut Pulled<'_>,
        asked: &mut Asked<Listener>,
    ) -> Result<Result<(), AskError>, Alone> {
        let Some(plan) = &pulled.plan else { return Ok(Ok(())) };
        let reading = match plan.read(asked).await {
            Ok(reading) => reading,
            Err(error) => return Ok(Err(error)),
        };
        let clock = reading.meter_time;
        self.health.problem = None;
        self.take(reading, false).await?;
        let is_right = |offset: i64| offset.abs() <= CLOCK_TOLERANCE_MILLISECONDS;
        // Rows are stamped by the meter's clock; one that is wrong now stamped them wrong.
        let clock = clock.filter(|_| self.health.clock_offset_milliseconds.is_some_and(is_right));
        pulled.filling.hear_clock(clock);
        self.show(pulled.filling.progress());
        self.tell(LinkState::Live).await?;
        Ok(Ok(()))
    }

    /// One part of what was missed.
    async fn fill(
        &mut self,
        pulled: &mut Pulled<'_>,
        asked: &mut Asked<Listener>,
    ) -> Result<Result<(), AskError>, Alone> {
        let Some(plan) = &pulled.plan else { return Ok(Ok(())) };
        let rows = match pulled.filling.fetch(plan, asked).await {
            Ok(rows) => rows,
            Err(error) => return Ok(Err(error)),
        };
        self.show(pulled.filling.progress());
        if !rows.is_empty() {
            let profile = LoadProfile {
                equipment: plan.equipment(),
                period_seconds: pulled.filling.period_seconds(),
                trust: plan.trust(),
                counter: asked.counter(),
                rows,
            };
            self.events.send(MeterEvent::Profile(Box::new(profile))).await.map_err(|_| Alone)?;
        }
        self.tell(self.health.state).await?;
        Ok(Ok(()))
    }

    /// Shows how far fetching is; its beginning and its end are told at once.
    fn show(&mut self, progress: Option<ProfileProgress>) {
        if self.health.profile_progress.is_some() != progress.is_some() {
            self.told = None;
        }
        self.health.profile_progress = progress;
    }

    /// Turns what ended an association into what a person can look at.
    async fn note(&mut self, error: AskError, security: Security) -> Result<(), Alone> {
        self.health.problem = None;
        match cause(error, security) {
            Cause::Forged(error) => self.count(error, Vec::new()).await?,
            // The meter says so, not we: no frame was refused.
            Cause::Key => {
                self.health.key = if self.health.has_fitted { KeyState::Changed } else { KeyState::Wrong };
                self.health.sealed_in_a_row = self.health.sealed_in_a_row.saturating_add(1);
            }
            Cause::KeyNeeded => self.health.key = KeyState::Needed,
            Cause::Link(problem) => self.health.problem = Some(problem),
            // What keeps our counters says so itself.
            Cause::Ours => (),
        }
        Ok(())
    }
}

/// Why an association could not be made, or ended.
enum Cause {
    /// What came is not the meter's, damaged, or came before.
    Forged(DecodeError),
    /// The meter does not know the key.
    Key,
    KeyNeeded,
    Link(LinkProblem),
    /// It is no matter of the meter.
    Ours,
}

impl Cause {
    /// Whether the meter refused us, so that trying on may lock us out.
    const fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Forged(DecodeError::KeyWrong)
                | Self::Key
                | Self::Link(LinkProblem::NotPermitted | LinkProblem::PasswordWrong)
        )
    }
}

const fn cause(error: AskError, security: Security) -> Cause {
    use ClientError as Error;
    let error = match error {
        AskError::Client(error) => error,
        AskError::CounterFar { .. } => return Cause::Link(LinkProblem::Untrusted),
        AskError::KeyNeeded => return Cause::KeyNeeded,
        AskError::Link(problem) => return Cause::Link(problem),
        AskError::NotKept => return Cause::Ours,
        AskError::NothingReadable => return Cause::Link(LinkProblem::NotPermitted),
        AskError::SecretNeeded => return Cause::Link(LinkProblem::PairingNeeded),
    };
    match (error, security) {
        // Diagnostic 13: who asks did not prove to be whom the meter knows.
        (Error::AssociationRefused { diagnostic: 13, .. }, Security::Low | Security::Sha256 | Security::Ecdsa)
        | (Error::AccessRefused { .. } | Error::AuthenticationWrong, Security::Sha256 | Security::Ecdsa) => {
            Cause::Link(LinkProblem::PasswordWrong)
        }
        (Error::AuthenticationWrong, _) => Cause::Forged(DecodeError::KeyWrong),
        (Error::ChallengeReflected, _) => Cause::Link(LinkProblem::Untrusted),
        (Error::Decode(error), _) => Cause::Forged(error),
        (Error::KeyMissing, _) => Cause::Key,
        // What meters answer to what they cannot open.
        (
            Error::AccessRefused { .. }
            | Error::AssociationRefused { diagnostic: 13, .. }
            | Error::Exception { .. }
            | Error::ServiceRefused { .. },
            Security::Gmac | Security::Sha256 | Security::Ecdsa,
        ) => Cause::Key,
        (
            Error::AccessRefused { .. }
            | Error::AssociationRefused { .. }
            | Error::Exception { .. }
            | Error::ServiceRefused { .. },
            _,
        ) => Cause::Link(LinkProblem::NotPermitted),
        (Error::LinkRefused, _) => Cause::Link(LinkProblem::Closed),
        (Error::ProtectionMissing, _) => Cause::Forged(DecodeError::TagMissing),
        (Error::TimedOut, _) => Cause::Link(LinkProblem::NoAnswer),
        (Error::TooLong { .. } | Error::Unexpected { .. }, _) => Cause::Link(LinkProblem::Unrecognised),
        (Error::CounterBehind { .. } | Error::CountersSpent | Error::NotReady, _) => Cause::Ours,
    }
}
