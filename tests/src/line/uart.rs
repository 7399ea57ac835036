//! What a serial receiver hears of a sender's bits, at the same settings or at others.
//!
//! Bits are laid out on a line and sampled in the middle, as a receiver does it: a falling edge begins a character, and one
//! whose stop bit is missing waits for the line to rest. What a port hands out of a failed character is what Linux does: with
//! parity a 0; without, nothing, but for a break (all zeros), which is a 0 too. No clock: a burst is one call. Exact, no
//! chance in it.
//!
//! Also a part of meter-link's own tests, which know the rest of this crate as little as it knows them.

/// Speed and framing of one end; one stop bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wire {
    /// Bits per second; at least 1.
    pub baud: u32,
    /// Seven data bits instead of eight.
    pub seven: bool,
    /// Even parity.
    pub even: bool,
}

impl Wire {
    /// Data bits of a character.
    const fn data_bits(self) -> u32 {
        if self.seven { 7 } else { 8 }
    }

    /// Bits of a character, start and stop included.
    pub const fn bits(self) -> u32 {
        2 + self.data_bits() + self.even as u32
    }

    /// The levels of a character, start bit first, stop bit last.
    fn levels(self, byte: u8) -> impl Iterator<Item = bool> {
        let byte = if self.seven { byte & 0x7F } else { byte };
        let data = (0..self.data_bits()).map(move |bit| byte >> bit & 1 == 1);
        let parity = self.even.then_some(byte.count_ones() % 2 == 1);
        std::iter::once(false).chain(data).chain(parity).chain(std::iter::once(true))
    }
}

/// What `receiver` hands out of bytes that `sender` sends without a pause, on a line that rests before and after.
pub fn heard(bytes: &[u8], sender: Wire, receiver: Wire) -> Vec<u8> {
    if sender == receiver && !sender.seven {
        return bytes.to_vec();
    }
    let characters = bytes.iter().flat_map(|byte| sender.levels(*byte));
    let line: Vec<bool> = std::iter::once(true).chain(characters).collect();
    // In units of 1 / (both speeds) of a second: a bit of one end lasts as long as the other is fast.
    let (sent, sampled) = (u64::from(receiver.baud), u64::from(sender.baud));
    let level = |time: u64| line.get((time / sent) as usize).copied().unwrap_or(true);
    let end = line.len() as u64 * sent;
    let mut handed_out = Vec::new();
    let mut time = 0;
    loop {
        // Rest, then a falling edge.
        while time < end && !level(time) {
            time = (time / sent + 1) * sent;
        }
        while time < end && level(time) {
            time = (time / sent + 1) * sent;
        }
        if time >= end {
            return handed_out;
        }
        let middle = |bit: u32| time + sampled * u64::from(bit) + sampled / 2;
        if level(middle(0)) {
            // Too short for a start bit.
            time = middle(0);
            continue;
        }
        let data = receiver.data_bits();
        let byte = (0..data).fold(0, |byte, bit| byte | u8::from(level(middle(1 + bit))) << bit);
        let parity = !receiver.even || level(middle(1 + data)) == (byte.count_ones() % 2 == 1);
        let stop = middle(receiver.bits() - 1);
        let rests = level(stop);
        let is_break = byte == 0 && !rests;
        match parity && rests {
            true => handed_out.push(byte),
            false if receiver.even || is_break => handed_out.push(0),
            false => (),
        }
        time = stop;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn wire(baud: u32, seven: bool, even: bool) -> Wire {
        Wire { baud, seven, even }
    }

    const P1: Wire = wire(115_200, false, false);
    const OLD: Wire = wire(9_600, true, true);
    const MBUS: Wire = wire(2_400, false, true);

    #[test]
    fn the_same_settings_hear_what_was_sent() {
        let bytes: Vec<u8> = (0..=255).collect();
        for settings in [P1, wire(9_600, false, false), MBUS] {
            assert_eq!(heard(&bytes, settings, settings), bytes);
        }
        assert_eq!(heard(&bytes[..128], OLD, OLD), bytes[..128]);
    }

    #[test]
    fn eight_bits_hear_the_parity_of_seven() {
        assert_eq!(heard(b"/ABC", OLD, wire(9_600, false, false)), [0xAF, 0x41, 0x42, 0xC3]);
    }

    #[test]
    fn another_speed_or_framing_hears_garbage() {
        assert_eq!(heard(b"UU", wire(9_600, false, false), P1), [0; 10], "each low bit is a break");
        let slow = heard(b"1-0:1.8.0(000123.456*kWh)", P1, OLD);
        assert!(slow.len() < 5, "a fast burst is over soon: {slow:?}");
        // The parity bit is taken for a stop bit: about half of the characters are lost, and what follows them.
        let text = b"the quick brown fox jumps";
        let framing = heard(text, MBUS, wire(2_400, false, false));
        assert!(framing.len() < text.len() && framing != text, "{framing:?}");
        let parity = heard(text, wire(2_400, false, false), MBUS);
        assert!(parity.iter().filter(|byte| **byte == 0).count() > parity.len() / 2, "{parity:?}");
    }
}
