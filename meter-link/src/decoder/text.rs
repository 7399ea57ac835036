//! P1, as it is and as a port with eight bits hears a meter with seven.
//!
//! Meters before DSMR 4 send seven bits with even parity. A bridge that was left at eight bits hands their parity on in bit 7.
//! Telegrams may also be sealed, and are then any bytes, so parity cannot simply be taken off: a second decoder listens to
//! what is left when it is, until the first has read a telegram as it came.

use std::collections::VecDeque;

use super::Voice;
use crate::error::DecodeError;
use crate::p1;
use crate::parity::Stripper;
use crate::reading::Reading;
use crate::security::{Counter, KeyPair, Opener};

/// Bytes that are stripped at a time.
const PORTION: usize = 256;

/// P1, with or without parity in bit 7.
#[derive(Debug)]
pub(super) struct Text {
    plain: p1::Decoder,
    /// Until telegrams are known to come without parity.
    stripped: Option<Stripped>,
    shows_damaged: bool,
}

/// Listens to telegrams whose parity was taken off.
#[derive(Debug)]
struct Stripped {
    decoder: p1::Decoder,
    stripper: Stripper,
    /// What it has read; no more than are whole in the bytes that were handed in at once.
    readings: VecDeque<Reading>,
}

impl Text {
    pub(super) fn new(keys: &[KeyPair], counters: &[Counter]) -> Self {
        let plain = p1::Decoder::resuming(keys, counters.to_vec());
        Self { plain, stripped: Some(Stripped::new(false)), shows_damaged: false }
    }
}

impl Stripped {
    fn new(shows_damaged: bool) -> Self {
        let mut decoder = p1::Decoder::new(Vec::new());
        if shows_damaged {
            decoder.show_damaged();
        }
        Self { decoder, stripper: Stripper::new(b'/'), readings: VecDeque::new() }
    }

    fn handle_bytes(&mut self, bytes: &[u8]) {
        for portion in bytes.chunks(PORTION) {
            let stripped: Vec<u8> = portion.iter().map(|byte| self.stripper.strip(*byte)).collect();
            let mut rest = &stripped[..];
            while !rest.is_empty() {
                let taken = self.decoder.handle_bytes(rest);
                rest = &rest[taken..];
                self.poll();
            }
        }
    }

    /// What is no reading may be what the other decoder reads.
    fn poll(&mut self) {
        self.readings.extend(std::iter::from_fn(|| self.decoder.poll_reading()).filter_map(Result::ok));
    }
}

impl Voice for Text {
    fn handle_bytes(&mut self, bytes: &[u8]) -> usize {
        let taken = self.plain.handle_bytes(bytes);
        if let Some(stripped) = &mut self.stripped {
            stripped.handle_bytes(&bytes[..taken]);
        }
        taken
    }

    fn poll_reading(&mut self) -> Option<Result<Reading, DecodeError>> {
        if let Some(result) = self.plain.poll_reading() {
            if result.is_ok() {
                self.stripped = None;
            }
            return Some(result);
        }
        self.stripped.as_mut()?.readings.pop_front().map(Ok)
    }

    fn handle_end(&mut self) {
        self.plain.handle_end();
        if let Some(stripped) = &mut self.stripped {
            stripped.decoder.handle_end();
            stripped.poll();
        }
    }

    fn handle_break(&mut self) {
        self.plain.handle_break();
        self.stripped = Some(Stripped::new(self.shows_damaged));
    }

    fn show_damaged(&mut self) {
        self.shows_damaged = true;
        self.plain.show_damaged();
        self.stripped = Some(Stripped::new(true));
    }

    fn is_wrapped(&self) -> bool {
        self.plain.is_wrapped()
    }

    fn since_sealed(&self) -> usize {
        self.plain.since_sealed()
    }

    fn opener(&self) -> Option<&Opener> {
        Some(self.plain.opener())
    }

    fn raise(&mut self, counters: &[Counter]) {
        self.plain.raise(counters);
    }

    fn sealed(&self) -> &[u8] {
        self.plain.sealed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::p1::print::{Ending, print};
    use crate::parity::with_parity;

    /// Registers read, in Wh.
    fn read(voice: &mut Text, bytes: &[u8]) -> Vec<String> {
        assert_eq!(voice.handle_bytes(bytes), bytes.len(), "room for a telegram");
        let readings = std::iter::from_fn(|| voice.poll_reading()).filter_map(Result::ok);
        readings.map(|reading| reading.values[0].value.to_string()).collect()
    }

    #[test]
    fn telegrams_are_read_with_and_without_parity_and_once_only() {
        let telegram = |register: &str| {
            let line = format!("1-0:1.8.1({register}*kWh)");
            print(b"MAD5\\MADE", [&b"0-0:96.13.0()"[..], line.as_bytes()], Ending::Checksum)
        };
        let with_parity = |telegram: Vec<u8>| telegram.into_iter().map(with_parity).collect::<Vec<_>>();
        let mut voice = Text::new(&[], &[]);
        assert_eq!(read(&mut voice, &with_parity(telegram("000001.000"))), ["1000"]);
        assert_eq!(read(&mut voice, &with_parity(telegram("000002.000"))), ["2000"]);
        // The port may be set right at last.
        assert_eq!(read(&mut voice, &telegram("000003.000")), ["3000"]);
        assert_eq!(read(&mut voice, &telegram("000004.000")), ["4000"]);
        voice.handle_break();
        assert_eq!(read(&mut voice, &with_parity(telegram("000005.000"))), ["5000"]);
    }

    #[test]
    fn a_bit_that_is_wrong_in_parity_is_no_other_character() {
        let telegram = print(b"MAD5\\MADE", [&b"1-0:1.8.1(000001.000*kWh)"[..]], Ending::Checksum);
        for place in 0..telegram.len() {
            let mut bytes: Vec<u8> = telegram.iter().copied().map(with_parity).collect();
            bytes[place] ^= 1 << (place % 7);
            let mut voice = Text::new(&[], &[]);
            let readings = read(&mut voice, &bytes);
            assert!(readings.is_empty() || readings == ["1000"], "byte {place}: {readings:?}");
        }
    }
}
