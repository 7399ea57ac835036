//! Seven data bits with even parity (7E1), as old serial meters send them, where the line was read as eight bits.
//!
//! A port set to 7E1 hands out bytes without the parity bit; a bridge or a recording at 8N1 leaves it in bit 7. Both give the
//! same bytes here. Which of the two it is shows in the byte that begins a frame, if that has an odd number of ones: `/` and
//! STX do. In a frame with parity a byte of odd parity was damaged; it is marked and never taken for what it seems to be.
//!
//! Source: IEC 62056-21, section 5.2 (character format); Enedis-NOI-CPT_54E, section 4.1.

/// What stands in place of a damaged byte: bit 7 is set, so it is no character of any telegram.
pub const DAMAGED: u8 = 0xFF;

/// Takes the parity bit off the bytes of one line.
#[derive(Clone, Copy, Debug)]
pub struct Stripper {
    /// The byte that begins a frame, without parity.
    start: u8,
    /// Whether the last frame began with the parity bit set.
    parity: bool,
}

impl Stripper {
    /// For frames that begin with this byte. It must have an odd number of ones.
    pub const fn new(start: u8) -> Self {
        debug_assert!(start.count_ones() % 2 == 1 && start < 0x80, "the parity bit must show in the first byte");
        Self { start, parity: false }
    }

    /// The next byte without its parity bit, or [`DAMAGED`].
    pub const fn strip(&mut self, byte: u8) -> u8 {
        if byte & 0x7F == self.start {
            self.parity = byte & 0x80 != 0;
        }
        let even = byte.count_ones().is_multiple_of(2);
        if even && byte & 0x80 != 0 {
            byte & 0x7F
        } else if byte & 0x80 != 0 || (self.parity && !even) {
            DAMAGED
        } else {
            byte
        }
    }
}

/// A byte of seven bits with its parity bit, as it is on the wire: for simulated meters and tests.
pub const fn with_parity(byte: u8) -> u8 {
    if byte.count_ones() % 2 == 1 { byte | 0x80 } else { byte }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_line_give_the_same_bytes() {
        let text = b"noise/ABC5 1.8.0(000123.456*kWh)\r\n!\r\n";
        let (mut plain, mut parity) = (Stripper::new(b'/'), Stripper::new(b'/'));
        for byte in text {
            assert_eq!(plain.strip(*byte), *byte);
            assert_eq!(parity.strip(with_parity(*byte)), *byte);
        }
    }

    #[test]
    fn one_flipped_bit_in_a_line_with_parity_is_seen() {
        for byte in 0..0x80_u8 {
            for bit in 0..8 {
                let mut stripper = Stripper::new(b'/');
                stripper.strip(0xAF);
                let flipped = with_parity(byte) ^ (1 << bit);
                if flipped & 0x7F != b'/' {
                    assert_eq!(stripper.strip(flipped), DAMAGED, "{byte:02X} bit {bit}");
                }
            }
        }
    }
}
