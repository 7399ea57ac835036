//! D0: what European meters send through their optical port by IEC 62056-21, pushed (mode D) or read out after a sign-on
//! (modes A to C).
//!
//! [`framer`] cuts bytes into telegrams, [`telegram`] reads the grammar, [`reading`] gives the meaning, [`sign_on`] asks a
//! meter that waits to be asked. A readout has a block check; it holds or nothing is given. A pushed telegram has none, so a
//! reading is given only when the telegram before it said the same with registers that were not higher. The bytes may carry
//! their parity bit, see [`crate::parity`]. No clock, no port; at most [`framer::MAX_FRAME`] bytes and one reading are kept.
//! P1 telegrams begin alike: [`is_d0`] tells them apart.
//!
//! Source: IEC 62056-21, sections 6.3 to 6.6; IEC 62056-61 for the short codes.

pub mod framer;
pub mod print;
pub mod reading;
pub mod sign_on;
pub mod telegram;

use crate::error::DecodeError;
use crate::obis::Obis;
use crate::reading::{Quantity, Reading, Trust};
use framer::Framer;
use telegram::{Line, lines};

/// Most that an energy register may rise between two telegrams that confirm each other, in thousandths of a watt-hour: 1 kWh.
/// They come seconds apart, and 100 kW for half a minute is less; after a longer silence one more telegram is waited for.
const MAX_RISE: i64 = 1_000_000;

/// Bytes in, readings out.
#[derive(Debug, Default)]
pub struct Decoder {
    framer: Framer,
    /// The last telegram that had no check of its own.
    previous: Option<Reading>,
    /// Whether such a telegram is given without another that confirms it.
    shows_single: bool,
}

impl Decoder {
    /// A decoder that waits for a telegram to begin.
    pub fn new() -> Self {
        Self::default()
    }

    /// For looking at recordings, which often hold one telegram: one without a check is given at once, as unverified. Never
    /// for what enters a home's books.
    pub const fn showing_single(mut self) -> Self {
        self.show_single();
        self
    }

    pub(crate) const fn show_single(&mut self) {
        self.shows_single = true;
    }

    /// Takes bytes, as many as fit; gives how many. Poll until nothing comes, then hand in the rest.
    pub fn handle_bytes(&mut self, bytes: &[u8]) -> usize {
        self.framer.handle_bytes(bytes)
    }

    /// The input has ended: a readout whose block check is still awaited has none.
    pub const fn handle_end(&mut self) {
        self.framer.handle_end();
    }

    /// The link broke: half a telegram is forgotten, and the next one needs another that confirms it.
    pub fn handle_break(&mut self) {
        *self = Self { shows_single: self.shows_single, ..Self::default() };
    }

    /// The next reading, or what became of a telegram that gave none. `None`: more bytes are needed.
    pub fn poll_reading(&mut self) -> Option<Result<Reading, DecodeError>> {
        loop {
            let frame = match self.framer.poll_frame()? {
                Ok(frame) => frame,
                Err(error) => return Some(Err(error)),
            };
            let trust = if frame.checked { Trust::Checked } else { Trust::Unverified };
            let reading = reading::interpret(frame.identification, frame.body, trust);
            if frame.checked || self.shows_single {
                return Some(Ok(reading));
            }
            match self.previous.replace(reading.clone()) {
                None => (),
                Some(previous) if confirms(&previous, &reading) => return Some(Ok(reading)),
                Some(_) => return Some(Err(DecodeError::Unconfirmed)),
            }
        }
    }
}

/// Whether a telegram follows from the one before: the same meter, the same codes in the same order, registers that went on.
fn confirms(before: &Reading, after: &Reading) -> bool {
    before.identification == after.identification
        && before.equipment == after.equipment
        && before.values.len() == after.values.len()
        && before.not_understood.len() == after.not_understood.len()
        && before.not_understood.iter().zip(&after.not_understood).all(|(one, other)| one.obis == other.obis)
        && before.values.iter().zip(&after.values).all(|(one, other)| {
            let is_register = matches!(one.quantity, Quantity::ActiveEnergy(..) | Quantity::ReactiveEnergy(..));
            let rise = || other.value.thousandths()?.checked_sub(one.value.thousandths()?);
            (one.obis, one.unit) == (other.obis, other.unit)
                && (!is_register || rise().is_some_and(|rise| (0..=MAX_RISE).contains(&rise)))
        })
}

/// Whether a telegram, from `/` on to a few bytes after `!`, is D0 rather than P1, with or without its parity bits. Only one
/// that has come whole can be told.
///
/// P1 ends in a checksum or has an object that no German, Swiss or Slovenian optical port sends: its version, its stamp,
/// child meters, texts.
pub fn is_d0(bytes: &[u8]) -> bool {
    let mut stripper = crate::parity::Stripper::new(b'/');
    let text: Vec<u8> = bytes.iter().map(|byte| stripper.strip(*byte)).collect();
    if text.starts_with(b"/?") || text.contains(&framer::STX) {
        return true;
    }
    let Some(first) = text.iter().position(|byte| matches!(byte, b'\r' | b'\n')) else { return false };
    let mark = text.windows(2).position(|pair| matches!(pair, [b'\r' | b'\n', b'!'])).map(|at| at + 1);
    if mark.and_then(|mark| text.get(mark + 1)).is_some_and(u8::is_ascii_hexdigit) {
        return false;
    }
    let mut objects = 0_usize;
    for line in lines(&text[first..mark.unwrap_or(text.len())]) {
        let Line::Object(object) = line else { continue };
        if is_of_p1(object.obis) {
            return false;
        }
        objects += 1;
    }
    objects > 0
}

/// Objects by which P1 is known.
pub(crate) const fn is_of_p1(obis: Obis) -> bool {
    matches!(
        (obis.a, obis.b, obis.c, obis.d, obis.e),
        (0, 0, 1, 0, 0) | (1, 3, 0, 2, 8) | (0, _, 24, _, _) | (0, 0, 96, 13, _) | (0, 0, 96, 1, 4) | (0, 0, 17, 0, 0)
    )
}

#[cfg(test)]
mod tests;
