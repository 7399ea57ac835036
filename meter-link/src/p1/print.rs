//! Writes telegrams, the reverse of the framer and the grammar: for simulated meters and round-trip tests.

use super::framer::checksum;
use super::telegram::{Line, Telegram};

/// How a telegram ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// `!` and the checksum, as since DSMR 4.
    Checksum,
    /// `!` alone, as in DSMR 2.2 and 3.
    Plain,
}

/// A whole telegram from its identification (without `/`) and its lines (without line ends).
pub fn print<'a>(identification: &[u8], lines: impl IntoIterator<Item = &'a [u8]>, ending: Ending) -> Vec<u8> {
    let mut telegram = Vec::with_capacity(1_024);
    telegram.push(b'/');
    telegram.extend_from_slice(identification);
    telegram.extend_from_slice(b"\r\n\r\n");
    for line in lines {
        telegram.extend_from_slice(line);
        telegram.extend_from_slice(b"\r\n");
    }
    telegram.push(b'!');
    if ending == Ending::Checksum {
        let checksum = checksum(&telegram);
        telegram.extend_from_slice(format!("{checksum:04X}").as_bytes());
    }
    telegram.extend_from_slice(b"\r\n");
    telegram
}

/// The telegram again, as its grammar was understood.
pub fn reprint(telegram: &Telegram<'_>, ending: Ending) -> Vec<u8> {
    let lines: Vec<_> = telegram
        .lines()
        .map(|line| match line {
            Line::Object(object) => object.text,
            Line::Unclear(text) => text,
        })
        .collect();
    print(telegram.identification, lines, ending)
}
