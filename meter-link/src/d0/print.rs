//! Writes D0 telegrams, the reverse of the framer and the grammar: for simulated meters and round-trip tests.

use super::framer::{ETX, STX, block_check};

/// How a telegram is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Pushed, without a check (mode D).
    Pushed,
    /// Read out, with a block check (modes A to C).
    ReadOut,
}

/// A whole telegram from its identification (without `/`) and its lines (without line ends), without parity bits.
pub fn print<'a>(identification: &[u8], lines: impl IntoIterator<Item = &'a [u8]>, form: Form) -> Vec<u8> {
    let mut telegram = Vec::with_capacity(1_024);
    telegram.push(b'/');
    telegram.extend_from_slice(identification);
    telegram.extend_from_slice(b"\r\n");
    match form {
        Form::Pushed => telegram.extend_from_slice(b"\r\n"),
        Form::ReadOut => telegram.push(STX),
    }
    let body = telegram.len();
    for line in lines {
        telegram.extend_from_slice(line);
        telegram.extend_from_slice(b"\r\n");
    }
    telegram.extend_from_slice(b"!\r\n");
    if form == Form::ReadOut {
        telegram.push(ETX);
        telegram.push(block_check(&telegram[body..]));
    }
    telegram
}
