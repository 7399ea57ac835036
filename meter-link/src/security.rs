//! Keys and trust: opens what meters encrypt, and says how far it can be believed.
//!
//! General-glo-ciphering with AES-128-GCM (security suite 0). A frame is authenticated only if its tag held and its
//! invocation counter is above the highest seen from that system title under that key. Fails closed: a wrong tag, a missing
//! tag on a meter that sends one, and a counter that repeats or falls give nothing. Keeps a bounded number of counters.
//!
//! Source: IEC 62056-5-3, section 5 (general-glo-ciphering, security control byte); NIST SP 800-38D.

pub mod cipher;
pub mod key;

use std::fmt;

use crate::error::DecodeError;
use crate::reading::Trust;
use cipher::{Cipher, TAG, nonce};
use key::Key;

/// The authentication key that Luxembourg's and Austria's operators publish for everybody.
const PUBLIC_AUTHENTICATION_KEY: [u8; 16] =
    [0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xAA, 0xBB, 0xCC, 0xDD, 0xEE, 0xFF];
/// Security control: the frame carries an authentication tag.
const AUTHENTICATED: u8 = 0x10;
/// Security control: the frame is encrypted.
const ENCRYPTED: u8 = 0x20;
/// System titles whose counters are remembered per key; a port has one meter, and a cable may have been moved.
const MAX_COUNTERS: usize = 16;

/// The two keys of an encrypting meter. `Debug` is redacted.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyPair {
    /// Global unicast encryption key.
    pub encryption: Key,
    /// Authentication key; `None` if the operator gave none (Luxembourg publishes one for everybody).
    pub authentication: Option<Key>,
}

impl KeyPair {
    /// Reads each as [`Key::parse`] does. `None` if either is no key.
    pub fn parse(encryption: &str, authentication: Option<&str>) -> Option<Self> {
        Some(Self {
            encryption: Key::parse(encryption)?,
            authentication: match authentication {
                Some(text) => Some(Key::parse(text)?),
                None => None,
            },
        })
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("KeyPair(…)")
    }
}

/// A frame's content in clear. `Debug` is redacted: it holds a household's telegram.
#[derive(Clone, PartialEq, Eq)]
pub struct Opened {
    /// The content.
    pub plain: Vec<u8>,
    /// `Authenticated` or `Unverified`.
    pub trust: Trust,
}

impl fmt::Debug for Opened {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Opened").field("trust", &self.trust).finish_non_exhaustive()
    }
}

/// Opens frames with a few keys and remembers counters.
#[derive(Clone, Debug)]
pub struct Opener {
    keys: Vec<KeyPair>,
    /// Highest invocation counter accepted, by system title and key.
    counters: Vec<([u8; 8], usize, u32)>,
}

/// A general-glo-ciphering APDU, taken apart.
struct Sealed<'a> {
    title: [u8; 8],
    control: u8,
    counter: u32,
    /// Ciphertext and, if there is one, the tag.
    content: &'a [u8],
}

impl Opener {
    /// An opener with these keys, newest first.
    pub const fn new(keys: Vec<KeyPair>) -> Self {
        Self { keys, counters: Vec::new() }
    }

    /// Opens one whole APDU from its tag `DB` on.
    pub fn open(&mut self, frame: &[u8]) -> Result<Opened, DecodeError> {
        let sealed = take_apart(frame).ok_or(DecodeError::NoTelegram)?;
        if self.keys.is_empty() {
            return Err(DecodeError::KeyNeeded);
        }
        if sealed.control & (AUTHENTICATED | ENCRYPTED) == ENCRYPTED {
            return self.open_without_tag(&sealed);
        }
        let (place, plain) = (0..self.keys.len())
            .find_map(|place| Some((place, verify(&sealed, &self.keys[place])?)))
            .ok_or(DecodeError::KeyWrong)?;
        self.advance(sealed.title, place, sealed.counter)?;
        Ok(Opened { plain, trust: Trust::Authenticated })
    }

    /// Encryption alone: anybody can flip bits in it, so nothing is authenticated, and never from a meter that can do better.
    fn open_without_tag(&self, sealed: &Sealed<'_>) -> Result<Opened, DecodeError> {
        if self.counters.iter().any(|(title, ..)| *title == sealed.title) {
            return Err(DecodeError::TagMissing);
        }
        self.keys
            .iter()
            .map(|key| decrypt(sealed, key))
            .find(|plain| plain.starts_with(b"/"))
            .map(|plain| Opened { plain, trust: Trust::Unverified })
            .ok_or(DecodeError::NoTelegram)
    }

    /// Accepts a counter that is above all before it.
    fn advance(&mut self, title: [u8; 8], key: usize, found: u32) -> Result<(), DecodeError> {
        if let Some((.., highest)) = self.counters.iter_mut().find(|(of, under, _)| (*of, *under) == (title, key)) {
            if found <= *highest {
                return Err(DecodeError::Replayed { highest: *highest, found });
            }
            *highest = found;
            return Ok(());
        }
        if self.counters.len() == MAX_COUNTERS {
            self.counters.remove(0);
        }
        self.counters.push((title, key, found));
        Ok(())
    }
}

fn take_apart(frame: &[u8]) -> Option<Sealed<'_>> {
    let rest = frame.strip_prefix(&[0xDB, 0x08])?;
    let (title, rest) = rest.split_first_chunk::<8>()?;
    let ([0x82, _, _, rest @ ..] | [0x81, _, rest @ ..] | [..=0x7F, rest @ ..]) = rest else { return None };
    let (control, rest) = rest.split_first()?;
    let (counter, content) = rest.split_first_chunk::<4>()?;
    Some(Sealed { title: *title, control: *control, counter: u32::from_be_bytes(*counter), content })
}

/// The plaintext, if the tag holds under this key.
fn verify(sealed: &Sealed<'_>, keys: &KeyPair) -> Option<Vec<u8>> {
    let (text, tag) = sealed.content.split_last_chunk::<TAG>()?;
    let cipher = Cipher::new(&keys.encryption);
    let mut plain = text.to_vec();
    let mut attempt = |key: &[u8], control: &[u8]| {
        let associated = [control, key].concat();
        cipher.open(nonce(sealed.title, sealed.counter), &associated, &mut plain, *tag)
    };
    let control = &[sealed.control];
    let holds = match &keys.authentication {
        Some(key) => attempt(key.bytes(), control),
        // No key of its own: the published one, or none at all. Each is proved by the tag.
        None => attempt(&PUBLIC_AUTHENTICATION_KEY, control) || attempt(&[], control) || attempt(&[], &[]),
    };
    holds.then_some(plain)
}

/// Counter mode alone; any key gives something.
fn decrypt(sealed: &Sealed<'_>, keys: &KeyPair) -> Vec<u8> {
    let mut plain = sealed.content.to_vec();
    Cipher::new(&keys.encryption).stream(nonce(sealed.title, sealed.counter), &mut plain);
    plain
}
