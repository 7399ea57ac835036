//! A day of blocks in one piece: twenty-four hours, each with its own checksum, so that one is read without the others.
//!
//! ```text
//! form (1) · 24 lengths, varint · CRC-32C of all before, little endian · the hours' blocks
//! ```
//!
//! Two kilobytes of every row would be left empty in the database's pages if each hour stayed a row of its own.

use super::varint::{Cursor, put};
use super::{Damage, checksum};

/// Hours of a day of blocks.
pub const HOURS: usize = 24;
/// The first form.
const FORM: u8 = 1;

/// Joins the blocks of a day's hours, empty where there is none.
pub fn write(hours: &[Vec<u8>; HOURS]) -> Vec<u8> {
    let mut bytes = vec![FORM];
    for hour in hours {
        put(&mut bytes, hour.len() as u64);
    }
    let sum = checksum(&bytes);
    bytes.extend_from_slice(&sum.to_le_bytes());
    for hour in hours {
        bytes.extend_from_slice(hour);
    }
    bytes
}

/// The blocks of a day's hours, unchecked, empty where there is none. An hour that the bytes end before is damaged.
pub fn read(bytes: &[u8]) -> Result<[Result<&[u8], Damage>; HOURS], Damage> {
    const SHORT: Damage = Damage::Nonsense("day");
    let mut cursor = Cursor::new(bytes);
    let form = *cursor.take(1).and_then(<[u8]>::first).ok_or(SHORT)?;
    if form != FORM {
        return Err(Damage::Codec(form));
    }
    let mut lengths = [0; HOURS];
    for length in &mut lengths {
        *length = cursor.next_count().ok_or(SHORT)?;
    }
    let head = &bytes[..bytes.len() - cursor.rest().len()];
    let expected = checksum(head);
    let found = cursor.take(4).and_then(|sum| Some(u32::from_le_bytes(sum.try_into().ok()?))).ok_or(SHORT)?;
    if expected != found {
        return Err(Damage::Checksum { expected, found });
    }
    Ok(lengths.map(|length| cursor.take(length).ok_or(SHORT)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_found_again_and_a_cut_day_keeps_its_beginning() {
        let mut hours: [Vec<u8>; HOURS] = std::array::from_fn(|hour| vec![hour as u8; hour * 100]);
        hours[3].clear();
        let bytes = write(&hours);
        let found = read(&bytes).expect("its own day");
        assert!(found.iter().zip(&hours).all(|(found, hour)| *found == Ok(hour)));
        let cut = read(&bytes[..bytes.len() - 1]).expect("its head is whole");
        assert!(cut[HOURS - 1].is_err() && cut[HOURS - 2].is_ok());
        for bit in 0..8 * 20 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&flipped).is_err(), "bit {bit}");
        }
    }
}
