//! The home's readings for as long as the meter hangs there: blocks of compressed integer columns, and what sums them up.
//!
//! What every reading said is kept exactly, each channel a column of integers in the meter's own digits; nothing is null
//! that was sent and nothing is 0 that was not. Amounts follow from the *set* of readings kept, in the order of their own
//! times, whatever order they came in ([`account`]); so a late reading changes what a timely one would have. A block that
//! fails its checksum is refused whole and costs its hour only.
//!
//! Pure as far as here: rows and bytes. [`block`] and [`column`] are the format, [`hour`] an hour of one metering point,
//! [`day`] twenty-four of them, [`summary`] what stands for many rows at once, [`tail`] the journal of what no block holds yet.

pub mod account;
pub mod block;
pub mod channel;
pub mod column;
pub mod day;
pub mod hour;
pub mod journal;
pub mod rows;
pub mod summary;
pub mod tail;
mod varint;

/// Milliseconds of a block of rows.
pub const HOUR: i64 = 3_600_000;
/// Milliseconds of a day of blocks, cut at UTC midnight.
pub const DAY: i64 = 24 * HOUR;

/// CRC-32C (Castagnoli, RFC 3720 appendix B.4).
fn checksum(bytes: &[u8]) -> u32 {
    CRC.checksum(bytes)
}

const CRC: crc::Crc<u32, crc::Table<16>> = crc::Crc::<u32, crc::Table<16>>::new(&crc::CRC_32_ISCSI);

/// Why stored bytes cannot be read. They are never guessed at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The bytes are not those that were written.
    #[error("checksum does not match: expected {expected:08X}, found {found:08X}")]
    Checksum {
        /// As computed.
        expected: u32,
        /// As stored.
        found: u32,
    },
    /// Written by a newer Wattle.
    #[error("codec is not known: {0}")]
    Codec(u8),
    /// The checksum holds and what it guards makes no sense.
    #[error("block makes no sense: {0}")]
    Nonsense(&'static str),
}
