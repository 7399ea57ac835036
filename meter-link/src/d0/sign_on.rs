//! Asks a meter for its readout: the sign-on of modes A, B and C.
//!
//! Sans-IO and sans-clock: `now` is the time since any fixed start. Write what [`SignOn::poll_transmit`] gives at the speed it
//! names, then listen at the speed it names; hand in what arrives here and to the decoder; call
//! [`SignOn::handle_timeout`] when the deadline has passed. Never asks for anything but the readout: no password, no
//! programming mode. The line has seven bits with even parity.
//!
//! Source: IEC 62056-21, sections 6.3, 6.4.3 and 6.5 (times in annex A).

use std::time::Duration;

use crate::parity::Stripper;

/// The speed of the first words.
pub const FIRST_BAUD: u32 = 300;

/// A meter answers within 1.5 s; at 300 baud the request takes 0.2 s and the longest identification 0.8 s more.
const ANSWER: Duration = Duration::from_millis(2_500);

/// What a meter needs between its last word and ours: 200 ms, 20 ms if its maker's third letter is small.
const REACTION: Duration = Duration::from_millis(200);
const REACTION_FAST: Duration = Duration::from_millis(20);

/// Between two characters of a readout lie 1.5 s at most; twice that is silence.
const SILENCE: Duration = Duration::from_millis(3_000);

/// Unanswered requests before a meter counts as silent: the first often only wakes it up.
const MAX_TRIES: u8 = 3;

/// Most bytes of an identification that are kept: three times what the standard allows.
const MAX_LINE: usize = 64;

/// Something to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// What, without parity bits.
    pub bytes: Vec<u8>,
    /// At which speed.
    pub baud: u32,
    /// The speed to listen at once all of it has left.
    pub then_baud: u32,
}

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Waiting for the meter's identification.
    Asking,
    /// The readout has ended; begin again for the next.
    Ended,
    /// The readout comes at this speed.
    Reading {
        /// Bits per second.
        baud: u32,
    },
    /// The meter does not answer.
    Silent,
}

/// One sign-on and the readout after it.
#[derive(Debug)]
pub struct SignOn {
    progress: Progress,
    stripper: Stripper,
    line: Vec<u8>,
    tries: u8,
    /// What to write and not before when.
    pending: Option<(Duration, Transmit)>,
    deadline: Option<Duration>,
}

impl SignOn {
    /// Asks whichever meter listens.
    pub fn new(now: Duration) -> Self {
        let mut asking = Self {
            progress: Progress::Asking,
            stripper: Stripper::new(b'/'),
            line: Vec::new(),
            tries: 0,
            pending: None,
            deadline: None,
        };
        asking.ask(now);
        asking
    }

    /// How far it has come.
    pub const fn progress(&self) -> Progress {
        self.progress
    }

    /// When to call [`Self::poll_transmit`] or [`Self::handle_timeout`] next. `None`: nothing more will happen.
    pub fn deadline(&self) -> Option<Duration> {
        self.pending.as_ref().map(|(at, _)| *at).or(self.deadline)
    }

    /// What to write now.
    pub fn poll_transmit(&mut self, now: Duration) -> Option<Transmit> {
        let (_, transmit) = self.pending.take_if(|(at, _)| *at <= now)?;
        Some(transmit)
    }

    /// Bytes from the line, echoes of our own included.
    pub fn handle_bytes(&mut self, now: Duration, bytes: &[u8]) {
        for byte in bytes {
            match self.progress {
                Progress::Asking => self.handle_byte(now, *byte),
                Progress::Reading { .. } => self.deadline = Some(now + SILENCE),
                Progress::Ended | Progress::Silent => return,
            }
        }
    }

    /// The deadline may have passed.
    pub fn handle_timeout(&mut self, now: Duration) {
        if self.pending.is_some() || self.deadline.is_none_or(|deadline| now < deadline) {
            return;
        }
        match self.progress {
            Progress::Asking if self.tries < MAX_TRIES => self.ask(now),
            Progress::Asking => self.end(Progress::Silent),
            Progress::Reading { .. } => self.end(Progress::Ended),
            Progress::Ended | Progress::Silent => (),
        }
    }

    fn end(&mut self, progress: Progress) {
        (self.progress, self.deadline) = (progress, None);
    }

    fn ask(&mut self, now: Duration) {
        self.tries += 1;
        self.line.clear();
        let transmit = Transmit { bytes: b"/?!\r\n".to_vec(), baud: FIRST_BAUD, then_baud: FIRST_BAUD };
        self.pending = Some((now, transmit));
        self.deadline = Some(now + ANSWER);
    }

    /// Collects the identification line.
    fn handle_byte(&mut self, now: Duration, byte: u8) {
        match self.stripper.strip(byte) {
            b'/' => {
                self.line.clear();
                self.line.push(b'/');
            }
            b'\n' => {
                let line = std::mem::take(&mut self.line);
                self.handle_line(now, &line);
            }
            byte if !self.line.is_empty() && self.line.len() < MAX_LINE => self.line.push(byte),
            _ => (),
        }
    }

    fn handle_line(&mut self, now: Duration, line: &[u8]) {
        let [b'/', first, second, third, speed, ..] = line else { return };
        if ![first, second, third].into_iter().all(u8::is_ascii_alphabetic) {
            return;
        }
        let reaction = if third.is_ascii_lowercase() { REACTION_FAST } else { REACTION };
        // Mode C proposes a speed and waits for the answer, mode B changes by itself, mode A stays.
        let baud = match speed {
            b'0'..=b'6' => FIRST_BAUD << (speed - b'0'),
            b'A'..=b'F' => FIRST_BAUD << (speed - b'A' + 1),
            _ => FIRST_BAUD,
        };
        let bytes = if speed.is_ascii_digit() { vec![0x06, b'0', *speed, b'0', b'\r', b'\n'] } else { Vec::new() };
        self.pending = Some((now + reaction, Transmit { bytes, baud: FIRST_BAUD, then_baud: baud }));
        self.progress = Progress::Reading { baud };
        self.deadline = Some(now + reaction + SILENCE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[track_caller]
    fn check(identification: &str, wait: u64, answer: &[u8], baud: u32) {
        let mut asking = SignOn::new(at(0));
        let first = asking.poll_transmit(at(0)).expect("the request");
        assert_eq!((&first.bytes[..], first.baud), (&b"/?!\r\n"[..], 300));
        asking.handle_bytes(at(200), b"/?!\r\n");
        assert_eq!(asking.progress(), Progress::Asking, "an echo is no answer");
        let wire: Vec<u8> = identification.bytes().map(crate::parity::with_parity).collect();
        asking.handle_bytes(at(900), &wire);
        assert_eq!(asking.deadline(), Some(at(900 + wait)));
        assert_eq!(asking.poll_transmit(at(899 + wait)), None, "not before the meter listens");
        let second = asking.poll_transmit(at(900 + wait)).expect("the answer");
        assert_eq!((&second.bytes[..], second.baud, second.then_baud), (answer, 300, baud));
        assert_eq!(asking.progress(), Progress::Reading { baud });
    }

    #[test]
    fn the_meter_s_mode_decides_answer_and_speed() {
        check("/ISk5MT174-0001\r\n", 20, b"\x06050\r\n", 9_600);
        check("/LGZ4ZMF100AC.M26\r\n", 200, b"\x06040\r\n", 4_800);
        check("/ABC0OLD\r\n", 200, b"\x06000\r\n", 300);
        check("/ABCCMODEB\r\n", 200, b"", 2_400);
        check("/ABC MODEA\r\n", 200, b"", 300);
    }

    #[test]
    fn a_silent_meter_is_asked_three_times_and_left_alone() {
        let mut asking = SignOn::new(at(0));
        let mut asked = 0;
        while let Some(deadline) = asking.deadline() {
            asked += usize::from(asking.poll_transmit(deadline).is_some());
            asking.handle_timeout(deadline);
        }
        assert_eq!((asked, asking.progress()), (3, Progress::Silent));
    }

    #[test]
    fn silence_ends_a_readout() {
        let mut asking = SignOn::new(at(0));
        let _ = asking.poll_transmit(at(0));
        asking.handle_bytes(at(500), b"/ISk5MT174\r\n");
        let _ = asking.poll_transmit(at(600));
        asking.handle_bytes(at(1_000), b"\x02F.F(00)");
        asking.handle_timeout(at(2_000));
        assert_eq!(asking.progress(), Progress::Reading { baud: 9_600 });
        asking.handle_timeout(at(4_000));
        assert_eq!((asking.progress(), asking.deadline()), (Progress::Ended, None));
    }
}
