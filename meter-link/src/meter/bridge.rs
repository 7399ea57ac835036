//! The part of a meter's task for network meters and bridges: bodies instead of a stream of bytes.
//!
//! A bridge that repeats what its meter said before is not live: a body with the stamp of the one before it counts as
//! silence, so that an old value is never shown as new.

use std::pin::pin;

use tokio::time::{Instant, sleep_until};

use super::{Alone, Config, MAX_PAUSE, PAUSE, Task, with_chance};
use crate::bridge::{self, Kind};
use crate::error::DecodeError;
use crate::health::{LinkProblem, LinkState};
use crate::link::BridgeLink;
use crate::p1;
use crate::reading::{MeterTime, Reading, Trust};

impl Task {
    /// Reads a bridge until nobody listens any more.
    pub(super) async fn serve_bridge(&mut self, config: &Config, kind: Kind) -> Result<(), Alone> {
        // Some hand on whole P1 telegrams. One decoder for all times: counters must not fall after a break.
        let mut telegrams = p1::Decoder::resuming(&config.keys, config.counters.clone());
        let mut pause = PAUSE;
        loop {
            let frames = self.health.frames;
            let ended = self.hear_bridge(config, kind, &mut telegrams).await;
            self.health.problem = Some(ended?);
            if self.health.frames > frames {
                pause = PAUSE;
            }
            self.tell(LinkState::Waiting).await?;
            self.pause(with_chance(if is_for_a_person(self.health.problem) { MAX_PAUSE } else { pause })).await?;
            pause = (pause * 2).min(MAX_PAUSE);
            self.health.reconnects += 1;
        }
    }

    /// Opens, and takes bodies until a problem comes.
    async fn hear_bridge(
        &mut self,
        config: &Config,
        kind: Kind,
        telegrams: &mut p1::Decoder,
    ) -> Result<LinkProblem, Alone> {
        let opened = tokio::select! {
            opened = BridgeLink::open(&config.address, config.secret.as_ref()) => opened,
            () = self.events.closed() => return Err(Alone),
        };
        let mut link = match opened {
            Ok(link) => link,
            Err(problem) => return Ok(problem),
        };
        telegrams.handle_break();
        let mut stamp = None;
        loop {
            let body = {
                // Not dropped when it takes long: half an answer would be lost.
                let mut next = pin!(link.next());
                loop {
                    let patience = Instant::now() + self.patience();
                    let body = tokio::select! {
                        body = &mut next => Some(body),
                        () = sleep_until(patience) => None,
                        () = self.events.closed() => return Err(Alone),
                    };
                    match body {
                        Some(body) => break body,
                        None => {
                            self.health.problem = Some(LinkProblem::Silent);
                            self.tell_bridge().await?;
                        }
                    }
                }
            };
            let body = match body {
                Ok(body) => body,
                Err(problem) => return Ok(problem),
            };
            self.health.bytes += body.len() as u64;
            for result in readings(kind, &body, telegrams) {
                match result {
                    Ok(reading) if is_repeated(&reading, &mut stamp) => (),
                    Ok(mut reading) => {
                        if link.is_pinned() {
                            reading.trust = reading.trust.max(Trust::Checked);
                        }
                        self.health.problem = None;
                        self.take(reading, false).await?;
                    }
                    // A device's word on itself between its measurements.
                    Err(DecodeError::NoReading) => (),
                    Err(error) => self.count(error, Vec::new()).await?,
                }
            }
            self.tell_bridge().await?;
        }
    }

    /// Tells whether the bridge is live.
    async fn tell_bridge(&mut self) -> Result<(), Alone> {
        let state = if self.is_late() { LinkState::Listening } else { LinkState::Live };
        if state == LinkState::Listening && self.last_frame.is_some() {
            self.health.problem = Some(LinkProblem::Silent);
        }
        self.tell(state).await
    }
}

/// What a body says; a telegram may say several things.
fn readings(kind: Kind, body: &[u8], telegrams: &mut p1::Decoder) -> Vec<Result<Reading, DecodeError>> {
    // A telegram begins with a stroke, an encrypted one with its tag; no body of JSON or XML does.
    if !matches!(body.first(), Some(b'/' | 0xDB)) {
        return vec![bridge::decode(kind, body)];
    }
    let mut results = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let taken = telegrams.handle_bytes(rest);
        rest = &rest[taken..];
        results.extend(std::iter::from_fn(|| telegrams.poll_reading()));
    }
    telegrams.handle_end();
    results.extend(std::iter::from_fn(|| telegrams.poll_reading()));
    // Each body begins anew.
    telegrams.handle_break();
    results
}

/// Whether a meter's clock stands still since the reading before.
fn is_repeated(reading: &Reading, stamp: &mut Option<MeterTime>) -> bool {
    reading.meter_time.is_some() && std::mem::replace(stamp, reading.meter_time) == reading.meter_time
}

/// Waiting does not help, a person does; asked again rarely.
const fn is_for_a_person(problem: Option<LinkProblem>) -> bool {
    matches!(problem, Some(LinkProblem::NotEnabled | LinkProblem::PairingNeeded | LinkProblem::Untrusted))
}
