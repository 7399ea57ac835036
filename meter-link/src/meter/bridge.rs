//! The part of a meter's task for network meters and bridges: bodies instead of a stream of bytes.
//!
//! A bridge that repeats what its meter said before is not live: what comes again with the stamp it had, or comes first with
//! an old one, is held back, so that an old value is never shown as new. A stamp that moves is believed, however wrong.

use std::pin::pin;

use tokio::time::{Instant, sleep_until};

use super::{Alone, Config, MAX_PAUSE, PAUSE, Task, utc_milliseconds, with_chance};
use crate::bridge::{self, Kind};
use crate::diagnosis::CLOCK_TOLERANCE_MILLISECONDS;
use crate::error::DecodeError;
use crate::health::{LinkProblem, LinkState};
use crate::link::BridgeLink;
use crate::p1;
use crate::reading::{Measured, MeterTime, Reading, Trust};

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
            opened = BridgeLink::open(&config.source.address, config.secret.as_ref()) => opened,
            () = self.events.closed() => return Err(Alone),
        };
        let mut link = match opened {
            Ok(link) => link,
            Err(problem) => return Ok(problem),
        };
        telegrams.handle_break();
        let mut said = Said::default();
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
                            self.tell_bridge(false).await?;
                        }
                    }
                }
            };
            let body = match body {
                Ok(body) => body,
                Err(problem) => return Ok(problem),
            };
            self.health.bytes += body.len() as u64;
            let mut is_stale = false;
            for result in readings(kind, &body, telegrams) {
                match result {
                    Ok(reading) if said.holds(&reading, utc_milliseconds()) => is_stale = true,
                    Ok(mut reading) => {
                        if link.is_pinned() {
                            reading.trust = reading.trust.max(Trust::Checked);
                        }
                        self.health.problem = None;
                        is_stale = false;
                        self.take(reading, false).await?;
                    }
                    // A device's word on itself between its measurements.
                    Err(DecodeError::NoReading) => (),
                    Err(error) => self.count(error, Vec::new()).await?,
                }
            }
            self.tell_bridge(is_stale).await?;
        }
    }

    /// Tells whether the bridge is live. `is_stale`: it answered, and said nothing new.
    async fn tell_bridge(&mut self, is_stale: bool) -> Result<(), Alone> {
        let state = if self.is_late() { LinkState::Listening } else { LinkState::Live };
        if state == LinkState::Listening && (is_stale || self.last_frame.is_some()) {
            self.health.problem = Some(if is_stale { LinkProblem::Stale } else { LinkProblem::Silent });
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

/// What the meter behind a bridge, and each of its children that is told of alone, said last.
#[derive(Debug, Default)]
struct Said(Vec<(u8, MeterTime, Vec<Measured>)>);

impl Said {
    /// Whether a reading is nothing new: the same as before, by its stamp and its values. One that comes first is nothing
    /// new with a stamp that is older than any clock's error; the next shows whether the clock is wrong or the value old.
    /// What has no stamp is always new. A child's stamp is old by nature.
    fn holds(&mut self, reading: &Reading, now_utc_milliseconds: i64) -> bool {
        let channel = reading.values.first().map_or(0, |value| value.channel);
        let stamp = match channel {
            0 => reading.meter_time,
            _ => reading.values.iter().find_map(|value| value.meter_time),
        };
        let Some(stamp) = stamp else { return false };
        match self.0.iter_mut().find(|(of, ..)| *of == channel) {
            Some((_, last, values)) if *last == stamp && *values == reading.values => true,
            Some((_, last, values)) => {
                *last = stamp;
                reading.values.clone_into(values);
                false
            }
            None => {
                self.0.push((channel, stamp, reading.values.clone()));
                channel == 0 && stamp.unix_milliseconds < now_utc_milliseconds - CLOCK_TOLERANCE_MILLISECONDS
            }
        }
    }
}

/// Waiting does not help, a person does; asked again rarely.
const fn is_for_a_person(problem: Option<LinkProblem>) -> bool {
    matches!(problem, Some(LinkProblem::NotEnabled | LinkProblem::PairingNeeded | LinkProblem::Untrusted))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decimal::Decimal;
    use crate::obis::Obis;
    use crate::reading::{Flow, OffsetSource, Phase, Quantity, Unit};

    const NOW: i64 = 1_795_406_400_000;

    fn reading(channel: u8, stamp: Option<i64>, count: i64) -> Reading {
        let stamp = stamp.map(|unix_milliseconds| MeterTime {
            unix_milliseconds,
            offset_seconds: 0,
            offset_source: OffsetSource::Meter,
        });
        let mut reading = Reading::new("made", Trust::Unverified);
        reading.meter_time = stamp.filter(|_| channel == 0);
        reading.values.push(Measured {
            obis: Obis::new(1, channel, 16, 7, 0),
            channel,
            quantity: Quantity::ActivePower(Flow::Net, Phase::Total),
            value: Decimal::whole(count),
            unit: Unit::Watt,
            meter_time: stamp.filter(|_| channel > 0),
        });
        reading
    }

    #[track_caller]
    fn check(readings: &[(u8, Option<i64>, i64)], expect: &[bool]) {
        let mut said = Said::default();
        let held: Vec<_> =
            readings.iter().map(|&(channel, stamp, count)| said.holds(&reading(channel, stamp, count), NOW)).collect();
        assert_eq!(held, expect, "{readings:?}");
    }

    #[test]
    fn u1_what_comes_again_is_held_until_it_moves() {
        check(&[(0, Some(NOW), 5), (0, Some(NOW), 5), (0, Some(NOW + 10), 5)], &[false, true, false]);
        check(&[(0, None, 5), (0, None, 5)], &[false, false]);
    }

    #[test]
    fn u1_an_old_value_that_comes_first_is_held_and_a_wrong_clock_that_runs_is_not() {
        let old = NOW - 700_000;
        check(&[(0, Some(old), 5), (0, Some(old), 5), (0, Some(old + 10_000), 5)], &[true, true, false]);
        check(&[(0, Some(NOW - 500_000), 5)], &[false]);
        // T12: a clock that stands does not hide a meter whose values move.
        check(&[(0, Some(0), 5), (0, Some(0), 6), (0, Some(0), 6), (0, Some(0), 7)], &[true, false, true, false]);
    }

    #[test]
    fn a_child_that_repeats_itself_does_not_make_its_meter_look_alive() {
        let old = NOW - 1_800_000;
        check(
            &[(0, Some(NOW), 5), (1, Some(old), 7), (0, Some(NOW), 5), (1, Some(old), 7), (1, Some(NOW), 7)],
            &[false, false, true, true, false],
        );
    }
}
