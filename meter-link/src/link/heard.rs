//! What the bytes of a serial line say about its settings while nothing else can be read from them.
//!
//! Counts only; keeps no byte. Three things show in the bytes themselves, whatever protocol they are of:
//!
//! - a meter of seven bits heard with eight: all bytes have an even number of ones, and many have bit 7 set;
//! - a meter that is much slower than we listen: each of its bits is several of ours, so that no run of equal bits within a
//!   byte is shorter than the ratio of the two speeds;
//! - parity or framing that does not fit: a port that listens with parity hands out 0 for each character that fails.
//!
//! A meter that is faster than we listen leaves no such trace, so a search goes from fast to slow. Framing errors marked in
//! the stream (PARMRK) would say little more: most USB adapters do not report them, and every 0xFF of a binary protocol
//! would come twice.

use super::line::Framing;

/// Bytes before anything is said: fewer agree by chance.
const ENOUGH: u64 = 32;
/// A meter's bit at a third of our speed is three of ours. Half the speed cannot be told from a list with many zeros.
const LEAST_RATIO: usize = 3;
/// Longest run that a byte can show: start bit and eight zeros.
const LONGEST_RUN: usize = 9;

/// Counts of what was heard.
#[derive(Clone, Copy, Debug, Default)]
pub struct Heard {
    /// Bytes.
    count: u64,
    /// Bytes that are 0.
    zeros: u64,
    /// Bytes with an even number of ones.
    even: u64,
    /// Bytes with bit 7 set.
    high: u64,
    /// Bytes that text protocols have: printable but `~`, line ends, STX, ETX, tabulator; bit 7 is taken for parity.
    text: u64,
    /// Bytes by the shortest whole run of equal bits in them.
    runs: [u64; LONGEST_RUN + 1],
}

/// What they say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// Another framing at this speed.
    OtherFraming,
    /// This is text, or may be: worth listening longer.
    Promising,
    /// Seven bits with even parity at this speed.
    SevenBits,
    /// A speed so many times slower, or slower still where this is [`LONGEST_RUN`].
    Slower(u32),
}

impl Heard {
    /// Counts bytes.
    pub fn count(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.count += 1;
            self.zeros += u64::from(*byte == 0);
            self.even += u64::from(byte.count_ones().is_multiple_of(2));
            self.high += u64::from(byte & 0x80 != 0);
            // HDLC fills pauses with `~`, and no text has it.
            self.text += u64::from(matches!(byte & 0x7F, 0x20..=0x7D | b'\r' | b'\n' | b'\t' | 0x02 | 0x03));
            self.runs[shortest_run(*byte)] += 1;
        }
    }

    /// How many bytes were heard.
    pub const fn bytes(&self) -> u64 {
        self.count
    }

    /// What they say. `None`: nothing, or too little was heard.
    pub fn evidence(&self, framing: Framing) -> Option<Evidence> {
        if self.count < ENOUGH {
            return None;
        }
        let are = |part: u64, percent: u64| part * 100 >= self.count * percent;
        let is_text = are(self.text, 90);
        match framing {
            // Zeros are frequent in a list of values, but not so frequent; text has none.
            Framing::EightEven if are(self.zeros, 75) => return Some(Evidence::OtherFraming),
            Framing::SevenEven if are(self.zeros, 25) => return Some(Evidence::OtherFraming),
            Framing::EightNone if is_text && are(self.even, 95) && are(self.high, 25) => {
                return Some(Evidence::SevenBits);
            }
            Framing::EightNone => {
                let at_least = |run: usize| self.runs[run..].iter().sum::<u64>();
                // All but one glitch in twenty: a meter that sends many zeros shows its single bits rarely.
                let ratio = (LEAST_RATIO..=LONGEST_RUN).rev().find(|run| are(at_least(*run), 95));
                if let Some(ratio) = ratio {
                    return Some(Evidence::Slower(u32::try_from(ratio).unwrap_or_default()));
                }
            }
            Framing::EightEven | Framing::SevenEven => (),
        }
        is_text.then_some(Evidence::Promising)
    }
}

/// The shortest run of equal bits from the start bit on. The last run goes on in the stop bit or after it, so it says nothing
/// unless it is the only one.
fn shortest_run(byte: u8) -> usize {
    let bits = u16::from(byte) << 1;
    let (mut shortest, mut length) = (LONGEST_RUN, 1);
    for place in 1..9 {
        if (bits >> place) & 1 == (bits >> (place - 1)) & 1 {
            length += 1;
        } else {
            (shortest, length) = (shortest.min(length), 1);
        }
    }
    shortest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parity::with_parity;

    #[track_caller]
    fn check(bytes: impl IntoIterator<Item = u8>, framing: Framing, expect: Option<Evidence>) {
        let mut heard = Heard::default();
        heard.count(&bytes.into_iter().collect::<Vec<_>>());
        assert_eq!(heard.evidence(framing), expect);
    }

    const TEXT: &[u8] = b"\x02\nADCO 210987654321 D\r\nOPTARIF HC.. <\r\nHCHC 004567890 /\r";

    #[test]
    fn text_promises_and_its_parity_is_seen() {
        check(TEXT.iter().copied(), Framing::EightNone, Some(Evidence::Promising));
        check(TEXT.iter().copied().map(with_parity), Framing::EightNone, Some(Evidence::SevenBits));
        check(TEXT.iter().copied(), Framing::SevenEven, Some(Evidence::Promising));
        // A pseudo-terminal set to seven bits takes none away.
        check(TEXT.iter().copied().map(with_parity), Framing::SevenEven, Some(Evidence::Promising));
        check(TEXT[..20].iter().copied(), Framing::EightNone, None);
    }

    #[test]
    fn runs_of_equal_bits_tell_how_much_slower_the_meter_is() {
        assert_eq!([0x00, 0x80, 0xF8, 0x78, 0x55, 0xFF].map(shortest_run), [9, 8, 4, 4, 1, 1]);
        let slower = |bytes: [u8; 4]| bytes.into_iter().cycle().take(40);
        check(slower([0x00, 0x78, 0x80, 0xF8]), Framing::EightNone, Some(Evidence::Slower(4)));
        check(slower([0x00, 0x80, 0x80, 0x00]), Framing::EightNone, Some(Evidence::Slower(8)));
        check(slower([0x00; 4]), Framing::EightNone, Some(Evidence::Slower(9)));
        check(slower([0x1C, 0xE0, 0xFC, 0x00]), Framing::EightNone, Some(Evidence::Slower(3)));
        // A kilobyte of filling, as a Hungarian meter sends, is no slow meter.
        check([0xFF; 40], Framing::EightNone, None);
    }

    #[test]
    fn failed_characters_say_that_the_framing_is_another() {
        let half = || TEXT.iter().map(|byte| if byte.count_ones() % 2 == 1 { 0 } else { *byte });
        check(half(), Framing::SevenEven, Some(Evidence::OtherFraming));
        check([0; 40], Framing::EightEven, Some(Evidence::OtherFraming));
    }

    #[test]
    fn no_meter_heard_rightly_looks_wrong() {
        for folder in ["dlms", "sml"] {
            let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("captures").join(folder);
            for entry in std::fs::read_dir(folder).expect("captures").flatten() {
                if entry.path().extension().is_none_or(|extension| extension != "txt") {
                    continue;
                }
                let text = std::fs::read_to_string(entry.path()).expect("a capture");
                let digits: Vec<u32> = text
                    .lines()
                    .filter(|line| !line.starts_with('#'))
                    .flat_map(|line| line.chars().filter_map(|digit| digit.to_digit(16)))
                    .collect();
                let bytes: Vec<u8> = digits.chunks_exact(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect();
                for framing in [Framing::EightEven, Framing::EightNone] {
                    for first in 0..bytes.len().saturating_sub(usize::try_from(ENOUGH).expect("small")) {
                        let mut heard = Heard::default();
                        // As many as are heard before it is asked, and then one by one.
                        for byte in &bytes[first..] {
                            heard.count(&[*byte]);
                            let evidence = heard.evidence(framing);
                            assert!(
                                matches!(evidence, None | Some(Evidence::Promising)),
                                "{}: {evidence:?} after {} bytes from {first}",
                                entry.path().display(),
                                heard.bytes()
                            );
                        }
                    }
                }
            }
        }
    }
}
