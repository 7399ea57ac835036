//! Checksums of the wires, bit by bit and slowly, so that they share nothing with the ones they are compared to.

/// CRC-16/X-25: the polynomial 0x1021 reflected, from all ones, inverted. Sent low byte first.
pub(crate) fn x25(bytes: &[u8]) -> u16 {
    !bytes.iter().fold(0xFFFF, |crc: u16, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { 0x8408 } else { 0 })
    })
}

/// Sum of bytes, kept to eight bits (M-Bus).
pub(crate) fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte))
}

/// All bytes exclusive-or (IEC 62056-21).
pub(crate) fn block_check(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |check, byte| check ^ byte)
}

/// The sixth bits' sum, made printable (Linky).
pub(crate) fn printable(bytes: &[u8]) -> u8 {
    (sum(bytes) & 0x3F) + 0x20
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksums_are_the_published_ones() {
        assert_eq!(x25(b"123456789"), 0x906E);
        assert_eq!(sum(&[0x53, 0xFF, 0xFF]), 0x51);
        assert_eq!(block_check(b"1.8.0\x03"), b'1' ^ b'.' ^ b'8' ^ b'.' ^ b'0' ^ 3);
        // The sum of "PREF", a tab, "12" and a tab, by hand: 80+82+69+70+9+49+50+9 = 418, whose low six bits are 34.
        assert_eq!(printable(b"PREF\t12\t"), b'B');
    }
}
