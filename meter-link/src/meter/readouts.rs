//! When a silent meter is asked for its readout, and when again.
//!
//! Listening comes first: a meter that speaks by itself is never asked, and a port is asked only after it was silent for
//! [`SILENCE`], three times as long as the slowest meter that speaks by itself. A port that does not answer is left alone,
//! longer each time, because some meters' customer ports lock up when they are written to. A meter that answers is asked again
//! at a pace that leaves it alone most of the time: reading heads draw on a meter's battery, and a readout at 300 baud takes
//! it half a minute. What is said is [`SignOn`]'s: the request for a readout, and nothing else.
//!
//! Time to find a meter that waits to be asked: [`SILENCE`] from the opening of the port, a second to answer, and its
//! readout.

use std::time::Duration;

use tokio::time::Instant;

use crate::d0::sign_on::{Progress, SignOn, Transmit};

/// So long a port must be silent before it is asked.
const SILENCE: Duration = Duration::from_secs(30);
/// Pause after the first time without an answer; doubled each time.
const PAUSE: Duration = Duration::from_secs(300);
/// Longest such pause.
const MAX_PAUSE: Duration = Duration::from_secs(3_600);
/// Pause between two readouts: what changes in a household shows in a minute's mean.
const PACE: Duration = Duration::from_secs(60);
/// And at least so many times as long as a readout takes.
const REST: u32 = 4;

/// What is asked of one link, over all times it is opened.
#[derive(Debug)]
pub(super) struct Readouts {
    /// Times of the sign-on count from here.
    start: Instant,
    /// The sign-on under way, and when it began.
    sign_on: Option<(SignOn, Instant)>,
    /// The link is silent since then.
    silent_since: Instant,
    /// Not before then, and not before [`SILENCE`] is over where it has never answered.
    next: Instant,
    /// The pause before that.
    pause: Duration,
    /// It has answered with a readout that held.
    answers: bool,
    /// Frames came that it was not asked for.
    speaks: bool,
    /// A frame came since the sign-on began.
    understood: bool,
}

impl Readouts {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            start: now,
            sign_on: None,
            silent_since: now,
            next: now,
            pause: Duration::ZERO,
            answers: false,
            speaks: false,
            understood: false,
        }
    }

    /// The link was opened anew: what was being said is forgotten, the pause is not.
    pub(super) fn handle_break(&mut self, now: Instant) {
        if self.sign_on.is_some() {
            self.rest(now);
        }
        self.silent_since = now;
    }

    /// Whether a sign-on or its readout is under way: the line is the meter's, and not to be tried with other settings.
    pub(super) const fn is_busy(&self) -> bool {
        self.sign_on.is_some()
    }

    /// How long the meter is left alone between two readouts. Zero for one that was not asked.
    pub(super) const fn pace(&self) -> Duration {
        if self.answers { self.pause } else { Duration::ZERO }
    }

    /// The speed of the readout under way.
    pub(super) fn baud(&self) -> Option<u32> {
        match self.sign_on.as_ref()?.0.progress() {
            Progress::Reading { baud } => Some(baud),
            Progress::Asking | Progress::Ended | Progress::Silent => None,
        }
    }

    /// When to call [`Self::poll_transmit`] if nothing comes. `None`: never.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.sign_on {
            Some((sign_on, _)) => sign_on.deadline().map(|deadline| self.start + deadline),
            None if self.speaks => None,
            None if self.answers => Some(self.next),
            None => Some(self.next.max(self.silent_since + SILENCE)),
        }
    }

    pub(super) fn handle_bytes(&mut self, bytes: &[u8], now: Instant) {
        self.silent_since = now;
        if let Some((sign_on, _)) = &mut self.sign_on {
            sign_on.handle_bytes(now - self.start, bytes);
        }
    }

    /// A frame was understood.
    pub(super) const fn handle_frame(&mut self) {
        if self.is_busy() {
            (self.understood, self.answers) = (true, true);
        } else if !self.answers {
            self.speaks = true;
        }
    }

    /// What to write now. To be called at the deadline and after bytes; may begin a sign-on, or end one.
    pub(super) fn poll_transmit(&mut self, now: Instant) -> Option<Transmit> {
        if self.sign_on.is_none() {
            if self.deadline().is_none_or(|deadline| now < deadline) {
                return None;
            }
            self.sign_on = Some((SignOn::new(now - self.start), now));
            self.understood = false;
        }
        let (sign_on, _) = self.sign_on.as_mut()?;
        sign_on.handle_timeout(now - self.start);
        if matches!(sign_on.progress(), Progress::Ended | Progress::Silent) {
            self.rest(now);
            return None;
        }
        sign_on.poll_transmit(now - self.start)
    }

    /// The sign-on is over, well or not.
    fn rest(&mut self, now: Instant) {
        let began = self.sign_on.take().map_or(now, |(_, began)| began);
        self.pause = if self.understood {
            PACE.max((now - began) * REST)
        } else {
            // One that answered before is missed sooner than one that never did.
            let first = if self.answers { PACE } else { PAUSE };
            (self.pause * 2).clamp(first, MAX_PAUSE)
        };
        self.next = now + self.pause;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &[u8] = b"/?!\r\n";

    /// Lets time pass to each deadline; gives the seconds at which something was said, and what.
    fn live(readouts: &mut Readouts, start: Instant, seconds: u64) -> Vec<(u64, Vec<u8>)> {
        let mut said = Vec::new();
        while let Some(now) = readouts.deadline().filter(|at| (*at - start).as_secs() <= seconds) {
            if let Some(transmit) = readouts.poll_transmit(now) {
                said.push(((now - start).as_secs(), transmit.bytes));
            }
        }
        said
    }

    #[test]
    fn w15_a_port_that_does_not_answer_is_asked_rarely_and_ever_more_rarely() {
        let start = Instant::now();
        let mut readouts = Readouts::new(start);
        let said = live(&mut readouts, start, 86_400);
        assert!(said.iter().all(|(_, bytes)| bytes == REQUEST));
        let times: Vec<u64> = said.iter().map(|(second, _)| *second).collect();
        // The first request often only wakes a meter up, so each time has three.
        assert_eq!(times[..7], [30, 32, 35, 337, 340, 342, 945]);
        assert!(times.len() <= 3 * 28, "{} requests in a day", times.len());
    }

    #[test]
    fn a_meter_that_speaks_by_itself_is_never_asked() {
        let start = Instant::now();
        let mut readouts = Readouts::new(start);
        readouts.handle_bytes(b"telegram", start + Duration::from_secs(20));
        readouts.handle_frame();
        assert_eq!(readouts.deadline(), None);
    }

    #[test]
    fn bytes_that_nobody_understands_put_the_question_off() {
        let start = Instant::now();
        let mut readouts = Readouts::new(start);
        readouts.handle_bytes(b"?", start + Duration::from_secs(29));
        assert_eq!(readouts.deadline(), Some(start + Duration::from_secs(59)));
    }

    #[test]
    fn a_meter_that_answers_is_left_alone_most_of_the_time() {
        let start = Instant::now();
        let mut readouts = Readouts::new(start);
        let asked = start + SILENCE;
        assert_eq!(readouts.poll_transmit(asked).map(|transmit| transmit.bytes).as_deref(), Some(REQUEST));
        let at = |seconds| asked + Duration::from_secs(seconds);
        readouts.handle_bytes(b"/ABC0OLD\r\n", at(1));
        let answer = readouts.poll_transmit(at(2)).expect("the answer to its speed");
        assert_eq!((&answer.bytes[..], answer.then_baud, readouts.baud()), (&b"\x06000\r\n"[..], 300, Some(300)));
        readouts.handle_bytes(b"\x02...\x03.", at(27));
        readouts.handle_frame();
        assert_eq!(readouts.poll_transmit(at(30)), None);
        assert!(!readouts.is_busy());
        assert_eq!((readouts.pace(), readouts.deadline()), (Duration::from_secs(120), Some(at(150))));
        // A readout that does not hold is no answer.
        assert!(readouts.poll_transmit(at(150)).is_some());
        readouts.handle_bytes(b"/ABC0OLD\r\n", at(151));
        readouts.poll_transmit(at(152)).expect("the answer to its speed");
        assert_eq!(readouts.poll_transmit(at(156)), None);
        assert_eq!(readouts.deadline(), Some(at(156 + 240)));
    }
}
