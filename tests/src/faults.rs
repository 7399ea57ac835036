//! What goes wrong between a meter and its reader: noise, lost bytes, silence, hang-ups, reboots, wrong clocks, odd values.
//!
//! Seeded, so that a bad day can be had twice. Works on whole telegrams before they reach the line, and never touches the
//! home: its registers stay true whatever is done to the words about them.

use std::collections::VecDeque;

use crate::home::Dice;
use crate::meter::{CounterQuirk, Quirks, Strip};

/// Telegrams that can be replayed.
pub const MOST_REMEMBERED: usize = 1_000;

/// Faults that are under way.
#[derive(Debug)]
pub struct Faults {
    dice: Dice,
    /// Share of telegrams that get flipped bits, in millionths.
    pub garble_millionths: i64,
    /// Share of telegrams that lose bytes in their middle, in millionths.
    pub cut_millionths: i64,
    /// The next telegram loses bytes.
    pub cut_next: bool,
    /// The next telegram shows zeros.
    pub zero_next: bool,
    /// The next telegram shows that many Wh too much.
    pub spike_next: u64,
    /// Child meters have no idea of the time.
    pub child_clock: bool,
    /// Share of telegrams with bytes of nobody in front, in millionths.
    pub babble_millionths: i64,
    /// The next telegram has a wrong bit under right checksums.
    pub flip_next: bool,
    /// What so many of the next telegrams lack.
    pub strip_next: Option<(Strip, u32)>,
    /// Every counter is 0.
    pub counter_zero: bool,
    /// The next counter is one that was long ago.
    pub counter_back_next: bool,
    /// Telegrams as they left, newest last; at most [`MOST_REMEMBERED`].
    sent: VecDeque<Vec<u8>>,
    /// Those to be sent again.
    again: VecDeque<Vec<u8>>,
    /// No output before this second (Unix time); `i64::MAX` until told otherwise.
    pub silent_until: i64,
}

impl Faults {
    /// None yet.
    pub const fn new(seed: u64) -> Self {
        Self {
            dice: Dice::new(seed, 61, 0),
            garble_millionths: 0,
            cut_millionths: 0,
            cut_next: false,
            zero_next: false,
            spike_next: 0,
            child_clock: false,
            babble_millionths: 0,
            flip_next: false,
            strip_next: None,
            counter_zero: false,
            counter_back_next: false,
            sent: VecDeque::new(),
            again: VecDeque::new(),
            silent_until: i64::MIN,
        }
    }

    /// What the meter itself gets wrong in the telegram that is about to be printed. Values that show once are used up;
    /// those of registers wait for a telegram that has any.
    pub fn quirks(&mut self, has_registers: bool) -> Quirks {
        let strip = self.strip_next.map(|(strip, _)| strip);
        self.strip_next =
            self.strip_next.and_then(|(strip, left)| Some((strip, left.checked_sub(1).filter(|left| *left > 0)?)));
        let counter = if std::mem::take(&mut self.counter_back_next) {
            Some(CounterQuirk::Back)
        } else {
            self.counter_zero.then_some(CounterQuirk::Zero)
        };
        Quirks {
            child_clock: self.child_clock,
            zero: has_registers && std::mem::take(&mut self.zero_next),
            spike_watt_hours: if has_registers { std::mem::take(&mut self.spike_next) } else { 0 },
            flip: std::mem::take(&mut self.flip_next).then(|| self.dice.bits()),
            strip,
            counter,
        }
    }

    /// Keeps a telegram as it left.
    pub fn remember(&mut self, telegram: &[u8]) {
        if self.sent.len() == MOST_REMEMBERED {
            self.sent.pop_front();
        }
        self.sent.push_back(telegram.to_vec());
    }

    /// Has the last `count` telegrams sent again, oldest first.
    pub fn replay(&mut self, count: usize) {
        self.again.extend(self.sent.iter().skip(self.sent.len().saturating_sub(count)).cloned());
    }

    /// A telegram to be sent again, if there is one.
    pub fn poll_replay(&mut self) -> Option<Vec<u8>> {
        self.again.pop_front()
    }

    /// Does to a telegram what the line does to it. True if it leaves as it came.
    pub fn disturb(&mut self, telegram: &mut Vec<u8>) -> bool {
        let mut whole = true;
        if self.dice.between(0, 1_000_000) < self.garble_millionths && !telegram.is_empty() {
            // Up to three flipped bits: a checksum of 16 bits sees every one of these, so a reader that shows the telegram
            // anyway has not looked.
            for _ in 0..self.dice.between(1, 4) {
                let at = self.dice.between(0, telegram.len() as i64) as usize;
                telegram[at] ^= 1 << self.dice.between(0, 8);
            }
            whole = false;
        }
        let cut = self.dice.between(0, 1_000_000) < self.cut_millionths;
        if (std::mem::take(&mut self.cut_next) || cut) && telegram.len() > 60 {
            let from = self.dice.between(20, telegram.len() as i64 - 30) as usize;
            let to = (from + self.dice.between(1, 300) as usize).min(telegram.len() - 8);
            telegram.drain(from..to.max(from + 1));
            whole = false;
        }
        if self.dice.between(0, 1_000_000) < self.babble_millionths {
            // What is heard between telegrams never counts against the telegram.
            let babble: Vec<u8> = (0..self.dice.between(1, 40)).map(|_| self.dice.bits() as u8).collect();
            telegram.splice(0..0, babble);
        }
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quiet_line_changes_nothing_and_a_noisy_one_every_telegram() {
        let telegram = vec![b'x'; 800];
        let mut faults = Faults::new(1);
        let mut sent = telegram.clone();
        assert!(faults.disturb(&mut sent));
        assert_eq!(sent, telegram);
        faults.garble_millionths = 1_000_000;
        assert!(!faults.disturb(&mut sent));
        faults.garble_millionths = 0;
        faults.cut_next = true;
        assert!(!faults.disturb(&mut sent));
        assert!(sent.len() < telegram.len());
        let length = sent.len();
        assert!(faults.disturb(&mut sent));
        assert_eq!(sent.len(), length);
    }
}
