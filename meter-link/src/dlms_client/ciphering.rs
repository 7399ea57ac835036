//! Seals what is sent and opens what comes, under the keys of one association.
//!
//! Nothing is opened without a tag that holds, and no counter at or below the last one under the same key. A counter for
//! sending is used once, and only out of the range that the caller has kept as used.
//!
//! Source: Green Book, section 9.2.7.2 (service-specific, general-global and general-dedicated ciphering).

use std::fmt;
use std::ops::Range;

use super::data::{Reader, write_octets};
use super::error::ClientError;
use crate::error::DecodeError;
use crate::security::cipher::{Cipher, TAG, nonce};
use crate::security::key::{Key, Suite};

/// Security control: authenticated.
pub(crate) const AUTHENTICATED: u8 = 0x10;
/// Security control: encrypted.
const ENCRYPTED: u8 = 0x20;

/// The keys of one key epoch of one meter. `Debug` is redacted.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    /// Global unicast encryption key.
    pub encryption: Key,
    /// Authentication key.
    pub authentication: Key,
}

impl fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Keys(…)")
    }
}

/// Which key seals a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Under {
    Dedicated,
    Global,
}

/// Both directions of one association.
#[derive(Clone, Debug)]
pub(crate) struct Ciphering {
    pub(crate) suite: Suite,
    pub(crate) client_title: [u8; 8],
    /// The meter's, pinned by the caller or learned in the association.
    pub(crate) meter_title: Option<[u8; 8]>,
    authentication: Key,
    global: Cipher,
    dedicated: Option<Cipher>,
    /// Not used yet, and kept as used by the caller.
    pub(crate) counters: Range<u32>,
    /// Highest accepted from the meter under the global key, then the dedicated.
    pub(crate) highest: [Option<u32>; 2],
}

impl Ciphering {
    pub(crate) fn new(
        suite: Suite,
        keys: &Keys,
        dedicated: Option<&Key>,
        titles: ([u8; 8], Option<[u8; 8]>),
        counters: Range<u32>,
        highest: Option<u32>,
    ) -> Option<Self> {
        let fits = |key: &Key| key.bytes().len() == suite.key_length();
        (fits(&keys.encryption) && fits(&keys.authentication) && dedicated.is_none_or(fits)).then(|| Self {
            suite,
            client_title: titles.0,
            meter_title: titles.1,
            authentication: keys.authentication.clone(),
            global: Cipher::new(&keys.encryption),
            dedicated: dedicated.map(Cipher::new),
            counters,
            highest: [highest, None],
        })
    }

    /// The meter uses other keys from now on. Its counter may start again: they are other keys.
    pub(crate) fn replace(&mut self, keys: &Keys) {
        self.global = Cipher::new(&keys.encryption);
        self.authentication = keys.authentication.clone();
        self.highest[0] = None;
    }

    pub(crate) fn counter(&mut self) -> Result<u32, ClientError> {
        self.counters.next().ok_or(ClientError::CountersSpent)
    }

    /// Security control, counter, ciphertext, tag.
    pub(crate) fn seal(&mut self, plain: &[u8], under: Under) -> Result<Vec<u8>, ClientError> {
        let counter = self.counter()?;
        Ok(self.seal_with(counter, plain, under))
    }

    fn seal_with(&self, counter: u32, plain: &[u8], under: Under) -> Vec<u8> {
        let control = AUTHENTICATED | ENCRYPTED | self.suite.number();
        let associated = [&[control], self.authentication.bytes()].concat();
        let mut sealed = vec![control];
        sealed.extend(counter.to_be_bytes());
        let start = sealed.len();
        sealed.extend(plain);
        let tag = self.cipher(under).seal(nonce(self.client_title, counter), &associated, &mut sealed[start..]);
        sealed.extend(tag);
        sealed
    }

    fn cipher(&self, under: Under) -> &Cipher {
        match (under, &self.dedicated) {
            (Under::Dedicated, Some(cipher)) => cipher,
            _ => &self.global,
        }
    }

    /// Opens what the meter sealed; remembers its counter.
    pub(crate) fn open(&mut self, sealed: &[u8], under: Under) -> Result<Vec<u8>, ClientError> {
        let mut reader = Reader::new(sealed);
        let control = reader.u8()?;
        let found = reader.u32()?;
        let content = reader.rest();
        if control & AUTHENTICATED == 0 {
            return Err(DecodeError::TagMissing.into());
        }
        // Compressed or under the broadcast key: neither is asked for.
        if control & 0xC0 != 0 || Suite::of_control(control) != Some(self.suite) {
            return Err(DecodeError::Malformed { offset: 0 }.into());
        }
        let title = self.meter_title.ok_or(DecodeError::TitleMissing)?;
        let (text, tag) = content.split_last_chunk::<TAG>().ok_or(DecodeError::TagMissing)?;
        let mut associated = [&[control], self.authentication.bytes()].concat();
        let mut plain = text.to_vec();
        let holds = if control & ENCRYPTED == 0 {
            associated.extend(text);
            self.cipher(under).open(nonce(title, found), &associated, &mut [], *tag)
        } else {
            self.cipher(under).open(nonce(title, found), &associated, &mut plain, *tag)
        };
        if !holds {
            return Err(DecodeError::KeyWrong.into());
        }
        let highest = &mut self.highest[usize::from(under == Under::Dedicated)];
        if let Some(highest) = highest.filter(|highest| found <= *highest) {
            return Err(DecodeError::Replayed { highest, found }.into());
        }
        *highest = Some(found);
        Ok(plain)
    }

    /// The tag over a challenge, made by one side: security control, counter, tag.
    pub(crate) fn proof(&self, title: [u8; 8], counter: u32, challenge: &[u8]) -> Vec<u8> {
        let control = AUTHENTICATED | self.suite.number();
        let associated = [&[control], self.authentication.bytes(), challenge].concat();
        let tag = self.global.seal(nonce(title, counter), &associated, &mut []);
        [&[control], &counter.to_be_bytes()[..], &tag].concat()
    }
}

/// How a sealed message is wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrapping {
    /// DB or DC.
    General(Under),
    /// A tag of its own per service.
    Service(Under),
}

/// Wraps a sealed request whose plain form begins with `tag`.
pub(crate) fn wrap(wrapping: Wrapping, tag: u8, title: [u8; 8], sealed: &[u8]) -> Vec<u8> {
    let mut apdu = match (wrapping, tag) {
        (Wrapping::General(Under::Global), _) => vec![0xDB],
        (Wrapping::General(Under::Dedicated), _) => vec![0xDC],
        (Wrapping::Service(Under::Global), 0xC0) => vec![0xC8],
        (Wrapping::Service(Under::Global), _) => vec![0xCB],
        (Wrapping::Service(Under::Dedicated), 0xC0) => vec![0xD0],
        (Wrapping::Service(Under::Dedicated), _) => vec![0xD3],
    };
    if matches!(wrapping, Wrapping::General(_)) {
        write_octets(&title, &mut apdu);
    }
    write_octets(sealed, &mut apdu);
    apdu
}

/// The sealed part of an answer, which key it is under, and the title it names. `None`: it is not sealed.
#[expect(clippy::type_complexity, reason = "three parts of one message, used once")]
pub(crate) fn unwrap(apdu: &[u8]) -> Result<Option<(&[u8], Under, Option<[u8; 8]>)>, DecodeError> {
    let mut reader = Reader::new(apdu);
    let (under, is_general) = match reader.u8()? {
        0xDB => (Under::Global, true),
        0xDC => (Under::Dedicated, true),
        0xCC | 0xCF => (Under::Global, false),
        0xD4 | 0xD7 => (Under::Dedicated, false),
        _ => return Ok(None),
    };
    let title = if is_general {
        match reader.octets()? {
            // Left out: the one of the association.
            [] => None,
            title => Some(title.try_into().map_err(|_| reader.malformed())?),
        }
    } else {
        None
    };
    let sealed = reader.octets()?;
    reader.end()?;
    Ok(Some((sealed, under, title)))
}
