//! Speed and framing of a serial line, as plain data.
//!
//! Every meter has one stop bit. `9600 7E1` is how people write it; in an address, where a blank is awkward, `9600-7E1`.

use std::fmt;
use std::str::FromStr;

/// Slowest and fastest speed that is believed of an address: the sign-on's and twice the fastest meter's.
const BAUD: std::ops::RangeInclusive<u32> = 300..=230_400;

/// Speed and framing of a serial line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineSettings {
    /// Bits per second.
    pub baud: u32,
    /// Bits of a character.
    pub framing: Framing,
}

/// Bits of a character; one stop bit everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Eight data bits and even parity.
    EightEven,
    /// Eight data bits, no parity.
    EightNone,
    /// Seven data bits and even parity. The same ten bits on the wire as [`Self::EightNone`].
    SevenEven,
}

impl Framing {
    /// As people write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::EightEven => "8E1",
            Self::EightNone => "8N1",
            Self::SevenEven => "7E1",
        }
    }

    /// Bits of a character on the wire, start and stop included.
    pub const fn bits(self) -> u32 {
        match self {
            Self::EightEven => 11,
            Self::EightNone | Self::SevenEven => 10,
        }
    }
}

impl LineSettings {
    /// Settings of this speed and framing.
    pub const fn new(baud: u32, framing: Framing) -> Self {
        Self { baud, framing }
    }
}

impl fmt::Display for LineSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.baud, self.framing.name())
    }
}

impl FromStr for LineSettings {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "expected a speed and a framing: 115200-8N1, 9600-7E1, 2400-8E1";
        let (baud, framing) = text.split_once([' ', '-']).ok_or(EXPECTED)?;
        let baud = baud.parse().ok().filter(|baud| BAUD.contains(baud)).ok_or(EXPECTED)?;
        let framing = [Framing::EightEven, Framing::EightNone, Framing::SevenEven]
            .into_iter()
            .find(|known| known.name().eq_ignore_ascii_case(framing))
            .ok_or(EXPECTED)?;
        Ok(Self { baud, framing })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_of_writing_are_read_and_nothing_else() {
        let settings = LineSettings::new(9_600, Framing::SevenEven);
        assert_eq!(settings.to_string(), "9600 7E1");
        for text in ["9600 7E1", "9600-7E1", "9600-7e1"] {
            assert_eq!(text.parse(), Ok(settings), "{text}");
        }
        for text in ["", "9600", "9600-7N1", "7E1-9600", "0-8N1", "9600-8N1-", "99999999999-8N1"] {
            assert!(text.parse::<LineSettings>().is_err(), "{text}");
        }
    }
}
