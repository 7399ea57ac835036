//! The journal of what no block holds yet: a file of sealed records that a flash card survives.
//!
//! A record is written as soon as it is told, at its place in a file that has its full length from the beginning, so that
//! nothing but its own page is flushed. What was written survives the end of the process at any point; what was flushed
//! ([`Tail::flush`]) survives a power cut. Each record is sealed by itself (AES-256-GCM) under a key that is derived from
//! the database's and from salt that is new whenever the tail begins anew, so no two records ever share key and nonce.
//! Reading ends at the first record that does not open: torn, or of an earlier tail.
//!
//! ```text
//! form (1) · salt (32) · CRC-32C of both, little endian · zeros up to 512
//! records: length of what is sealed, u16 little endian · sealed bytes with their tag
//! ```

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use hkdf::Hkdf;
use sha2::Sha256;

use super::checksum;

/// Length of the file: two hours of readings of 35 channels at one a second.
const LENGTH: u64 = 512 << 10;
/// Where records begin: a sector of its own for what precedes them.
const START: u64 = 512;
/// Bytes that a record takes beyond its own: its length and its tag.
const OVERHEAD: u64 = 2 + 16;
/// The first form.
const FORM: u8 = 1;
/// Bytes of salt.
const SALT: usize = 32;

/// An open journal. One per database, held by its writer.
pub struct Tail {
    file: File,
    /// The database's key, from which each tail's own is derived.
    key: [u8; 32],
    cipher: Aes256Gcm,
    /// Number of the next record, its nonce.
    next: u64,
    /// Where it goes. START <= end <= LENGTH.
    end: u64,
    is_flushed: bool,
    /// A record was not written, or not whole. Nothing more is: no other may be sealed with its number.
    is_broken: bool,
}

impl std::fmt::Debug for Tail {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Tail").field("next", &self.next).field("end", &self.end).finish_non_exhaustive()
    }
}

impl Tail {
    /// Opens the journal, or makes one; gives the records that are in it. Before the first [`Self::append`] they have to be
    /// kept elsewhere and the tail has to [`Self::begin`] anew.
    pub fn open(path: &Path, key: [u8; 32]) -> io::Result<(Self, Vec<Vec<u8>>)> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path)?;
        let mut bytes = vec![0; START as usize];
        let length = file.metadata()?.len();
        let cipher = Aes256Gcm::new(&key.into());
        let mut tail = Self { file, key, cipher, next: 0, end: START, is_flushed: true, is_broken: false };
        let mut records = Vec::new();
        if length >= START {
            bytes.resize(length.min(LENGTH) as usize, 0);
            read_at(&tail.file, &mut bytes, 0)?;
            if let Some(salt) = salt(&bytes) {
                tail.derive(&salt);
                records = tail.read(&bytes);
            }
        }
        if length < LENGTH {
            // Written, not merely reserved: a flush of a record then has nothing to note about the file.
            for place in length / START..LENGTH / START {
                write_at(&tail.file, &[0; START as usize], place * START)?;
            }
            tail.file.sync_all()?;
        }
        Ok((tail, records))
    }

    /// Begins anew: what was written before is forgotten. To be called when all of it is kept elsewhere for certain.
    pub fn begin(&mut self) -> io::Result<()> {
        let mut salt = [0; SALT];
        getrandom::fill(&mut salt).map_err(|_| io::Error::from(io::ErrorKind::Unsupported))?;
        let mut head = vec![FORM];
        head.extend_from_slice(&salt);
        let sum = checksum(&head);
        head.extend_from_slice(&sum.to_le_bytes());
        write_at(&self.file, &head, 0)?;
        self.derive(&salt);
        (self.next, self.end, self.is_flushed, self.is_broken) = (0, START, false, false);
        Ok(())
    }

    /// Whether a record of so many bytes still fits.
    pub const fn has_room(&self, bytes: usize) -> bool {
        !self.is_broken && bytes < u16::MAX as usize && self.end + OVERHEAD + bytes as u64 <= LENGTH
    }

    /// Whether nothing was written since it began.
    pub const fn is_empty(&self) -> bool {
        self.next == 0
    }

    /// Writes a record. Refused where it does not fit. After one that failed the tail takes no more until it begins anew;
    /// all before stays readable.
    pub fn append(&mut self, record: &[u8]) -> io::Result<()> {
        if !self.has_room(record.len()) {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        let sealed = self.cipher.encrypt(&self.nonce(), Payload::from(record));
        let sealed = sealed.map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        let length = u16::try_from(sealed.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        let mut bytes = length.to_le_bytes().to_vec();
        bytes.extend_from_slice(&sealed);
        self.is_broken = true;
        write_at(&self.file, &bytes, self.end)?;
        self.is_broken = false;
        self.next += 1;
        self.end += bytes.len() as u64;
        self.is_flushed = false;
        Ok(())
    }

    /// Makes what was written survive a power cut. True if there was anything to do.
    pub fn flush(&mut self) -> io::Result<bool> {
        if self.is_flushed {
            return Ok(false);
        }
        self.file.sync_data()?;
        self.is_flushed = true;
        Ok(true)
    }

    fn derive(&mut self, salt: &[u8; SALT]) {
        let mut key = [0; 32];
        // 32 bytes are fewer than the 8 160 that can be derived.
        if Hkdf::<Sha256>::new(Some(salt), &self.key).expand(b"wattle tail 1", &mut key).is_ok() {
            self.cipher = Aes256Gcm::new(&key.into());
        }
    }

    fn nonce(&self) -> Nonce<aes_gcm::aead::consts::U12> {
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&self.next.to_be_bytes());
        Nonce::from(nonce)
    }

    fn read(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut records = Vec::new();
        let mut place = START as usize;
        while let Some(length) = bytes.get(place..place + 2) {
            let length = usize::from(u16::from_le_bytes([length[0], length[1]]));
            let Some(sealed) = bytes.get(place + 2..place + 2 + length) else { break };
            let Ok(record) = self.cipher.decrypt(&self.nonce(), Payload::from(sealed)) else { break };
            records.push(record);
            self.next += 1;
            place += 2 + length;
        }
        self.end = place as u64;
        records
    }
}

/// The salt of a tail that was begun.
fn salt(bytes: &[u8]) -> Option<[u8; SALT]> {
    let (head, rest) = bytes.split_at_checked(1 + SALT)?;
    let sum = u32::from_le_bytes(rest.get(..4)?.try_into().ok()?);
    (head[0] == FORM && checksum(head) == sum).then(|| head[1..].try_into().ok())?
}

#[cfg(unix)]
fn write_at(file: &File, bytes: &[u8], place: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, place)
}

#[cfg(unix)]
fn read_at(file: &File, bytes: &mut [u8], place: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, place)
}

#[cfg(not(unix))]
fn write_at(mut file: &File, bytes: &[u8], place: u64) -> io::Result<()> {
    use std::io::{Seek as _, SeekFrom, Write as _};
    file.seek(SeekFrom::Start(place))?;
    file.write_all(bytes)
}

#[cfg(not(unix))]
fn read_at(mut file: &File, bytes: &mut [u8], place: u64) -> io::Result<()> {
    use std::io::{Read as _, Seek as _, SeekFrom};
    file.seek(SeekFrom::Start(place))?;
    file.read_exact(bytes)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    struct Place(PathBuf);

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    fn place(name: &str) -> Place {
        let path = std::env::temp_dir().join(format!("wattle-tail-{}-{name}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        Place(path)
    }

    fn open(place: &Place) -> (Tail, Vec<Vec<u8>>) {
        Tail::open(&place.0, [7; 32]).expect("a temporary file")
    }

    /// A tail of records 0, 1, 2 …, each of 40 bytes.
    fn filled(place: &Place, count: u8) -> Tail {
        let (mut tail, _) = open(place);
        tail.begin().expect("a writable file");
        for record in 0..count {
            tail.append(&[record; 40]).expect("room");
        }
        tail
    }

    fn read(place: &Place) -> Vec<u8> {
        open(place).1.iter().map(|record| record[0]).collect()
    }

    #[test]
    fn what_was_written_is_read_whatever_way_the_writer_ended() {
        let place = place("written");
        std::mem::forget(filled(&place, 100));
        assert_eq!(read(&place), (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn a_tail_cut_or_garbled_anywhere_keeps_all_before() {
        let place = place("garbled");
        drop(filled(&place, 20));
        let whole = std::fs::read(&place.0).expect("its file");
        for at in START as usize..START as usize + 20 * 58 {
            let record = (at - START as usize) / 58;
            let mut garbled = whole.clone();
            garbled[at] ^= 0x10;
            std::fs::write(&place.0, &garbled).expect("its file");
            assert_eq!(read(&place), (0..record as u8).collect::<Vec<_>>(), "garbled at {at}");
        }
        for length in [0, 1, 36, 511, 512, 600, 1_000] {
            std::fs::write(&place.0, &whole[..length]).expect("its file");
            assert_eq!(read(&place).len(), length.saturating_sub(START as usize) / 58, "cut at {length}");
            assert_eq!(std::fs::metadata(&place.0).map(|file| file.len()).ok(), Some(LENGTH), "whole again");
        }
    }

    #[test]
    fn what_an_earlier_tail_left_is_never_read_again() {
        let place = place("earlier");
        let mut tail = filled(&place, 50);
        tail.begin().expect("a writable file");
        assert!(read(&place).is_empty());
        tail.append(&[200; 40]).expect("room");
        assert_eq!(read(&place), [200]);
    }

    #[test]
    fn another_key_opens_nothing_and_nothing_is_readable() {
        let place = place("sealed");
        drop(filled(&place, 30));
        let (_, records) = Tail::open(&place.0, [8; 32]).expect("a temporary file");
        assert!(records.is_empty());
        let bytes = std::fs::read(&place.0).expect("its file");
        assert!(!(0..30_u8).any(|record| bytes.windows(12).any(|window| window == [record.max(1); 12])));
    }

    #[test]
    fn a_full_tail_refuses_and_stays_readable() {
        let place = place("full");
        let (mut tail, _) = open(&place);
        tail.begin().expect("a writable file");
        let mut count = 0;
        while tail.has_room(4_000) {
            tail.append(&[1; 4_000]).expect("room");
            count += 1;
        }
        assert!(tail.append(&[1; 4_000]).is_err());
        assert_eq!(read(&place).len(), count);
        assert!(tail.flush().expect("a file") && !tail.flush().expect("a file"));
    }
}
