//! Checksums that more than one protocol sends.
//!
//! Source: ISO/IEC 13239, annex A (the frame check sequence of HDLC, also of SML).

use crc::{CRC_16_IBM_SDLC, Crc, Table};

/// Sixteen bytes a step: frames are checked whole, twice over in SML.
const X25: Crc<u16, Table<16>> = Crc::<u16, Table<16>>::new(&CRC_16_IBM_SDLC);

/// CRC-16/X-25 of HDLC and SML. Sent with its low byte first.
#[inline]
pub fn x25(bytes: &[u8]) -> u16 {
    X25.checksum(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_the_check_value_of_the_catalogue() {
        assert_eq!(x25(b"123456789"), 0x906E);
        assert_eq!(x25(b""), 0);
    }
}
