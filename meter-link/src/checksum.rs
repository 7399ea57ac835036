//! Checksums that more than one protocol sends.
//!
//! A thousand bytes in some sixty nanoseconds where the processor multiplies without carries (`crc-fast` asks it at run
//! time), from tables elsewhere: the user interface's wasm pays for no more than it had.
//!
//! Source: DSMR P1 Companion Standard 5.0.2, section 6.2 (CRC-16/ARC); ISO/IEC 13239, annex A (CRC-16/X-25).

/// CRC-16/ARC: telegrams of P1.
pub fn arc(bytes: &[u8]) -> u16 {
    engine::arc(bytes)
}

/// CRC-16/X-25 of HDLC and SML, and of one maker's telegrams of P1. HDLC and SML send it with its low byte first.
pub fn x25(bytes: &[u8]) -> u16 {
    engine::x25(bytes)
}

#[cfg(any(target_arch = "aarch64", target_arch = "x86_64"))]
mod engine {
    use crc_fast::{CrcAlgorithm, checksum};

    pub(super) fn arc(bytes: &[u8]) -> u16 {
        checksum(CrcAlgorithm::Crc16Arc, bytes) as u16
    }

    pub(super) fn x25(bytes: &[u8]) -> u16 {
        checksum(CrcAlgorithm::Crc16IbmSdlc, bytes) as u16
    }
}

#[cfg(not(any(target_arch = "aarch64", target_arch = "x86_64")))]
mod engine {
    use crc::{CRC_16_ARC, CRC_16_IBM_SDLC, Crc, Table};

    const ARC: Crc<u16, Table<16>> = Crc::<u16, Table<16>>::new(&CRC_16_ARC);
    const X25: Crc<u16, Table<16>> = Crc::<u16, Table<16>>::new(&CRC_16_IBM_SDLC);

    pub(super) fn arc(bytes: &[u8]) -> u16 {
        ARC.checksum(bytes)
    }

    pub(super) fn x25(bytes: &[u8]) -> u16 {
        X25.checksum(bytes)
    }
}

/// CRC-16/Kermit: X-25 without its complements, which some firmware of Holley sends.
pub fn kermit(bytes: &[u8]) -> u16 {
    const KERMIT: crc::Crc<u16> = crc::Crc::<u16>::new(&crc::CRC_16_KERMIT);
    KERMIT.checksum(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_give_the_catalogue_s_check_values_and_agree_with_tables_at_every_length() {
        assert_eq!((arc(b"123456789"), x25(b"123456789")), (0xBB3D, 0x906E));
        assert_eq!(kermit(b"123456789"), 0x2189);
        let bytes: Vec<u8> = (0..1_100_u32).map(|index| ((index * 37) >> 2) as u8).collect();
        let tables = [&crc::CRC_16_ARC, &crc::CRC_16_IBM_SDLC].map(crc::Crc::<u16>::new);
        for length in 0..bytes.len() {
            let part = &bytes[..length];
            assert_eq!([arc(part), x25(part)], [tables[0].checksum(part), tables[1].checksum(part)], "{length}");
        }
    }
}
