//! Keys and trust: opens what meters encrypt, and says how far it can be believed.
//!
//! General-glo-ciphering and general-ded-ciphering, suites 0 to 2. A frame is authenticated only if its tag held and its
//! invocation counter is above the highest seen from that system title under that key. Fails closed: a wrong tag, a missing
//! tag on a meter that sends one, a counter that repeats or falls, another meter's title, and a key that a newer one has
//! replaced give nothing. Keeps a bounded number of counters; the caller keeps them over a restart.
//!
//! Source: IEC 62056-5-3, section 5 (general-glo-ciphering, security control byte); NIST SP 800-38D.

pub mod cipher;
pub mod key;
pub mod seal;

use std::fmt;

use crate::error::DecodeError;
use crate::reading::Trust;
use cipher::{Cipher, TAG, nonce};
use key::{Key, Suite};

/// The authentication key that Luxembourg's and Austria's operators publish for everybody.
pub(crate) const PUBLIC_AUTHENTICATION_KEY: [u8; 16] =
    [0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xAA, 0xBB, 0xCC, 0xDD, 0xEE, 0xFF];
/// Security control: the frame carries an authentication tag.
const AUTHENTICATED: u8 = 0x10;
/// Security control: the frame is encrypted.
const ENCRYPTED: u8 = 0x20;
/// Security control: the frame is compressed before it is encrypted; no meter known does it.
const COMPRESSED: u8 = 0x80;
/// Counters that are remembered: one per title and key. A key has one meter; sixteen keys are more than its life needs.
const MAX_COUNTERS: usize = 16;
/// Tags remembered of a meter that always counts 0: a quarter of an hour at one frame a second.
const MAX_TAGS: usize = 900;
/// Frames without a tag whose counters may rise again below an earlier one before that one counts as forged.
const MAX_DOUBTS: u8 = 16;

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

    /// What tells this key from another without giving it away: the tag of an empty text. Counters belong to it.
    pub fn fingerprint(&self) -> Fingerprint {
        // No system title is all zeros, so no frame ever uses this nonce.
        Fingerprint(Cipher::new(&self.encryption).seal([0; 12], b"fingerprint", &mut []))
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("KeyPair(…)")
    }
}

/// Tells one encryption key from another; nothing of the key can be worked out from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; TAG]);

/// The highest invocation counter accepted from a meter under a key. To be kept over a restart, before the reading that came
/// with it counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Counter {
    /// The meter's system title.
    pub title: [u8; 8],
    /// The key.
    pub key: Fingerprint,
    /// The counter.
    pub highest: u32,
}

impl fmt::Debug for Counter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Counter").field("highest", &self.highest).finish_non_exhaustive()
    }
}

/// A frame's content in clear. `Debug` is redacted: it holds a household's telegram.
#[derive(PartialEq, Eq)]
pub struct Opened<'a> {
    /// The content.
    pub plain: &'a [u8],
    /// `Authenticated` or `Unverified`.
    pub trust: Trust,
    /// The counter it came with, where a tag proves it.
    pub counter: Option<Counter>,
}

impl fmt::Debug for Opened<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Opened").field("trust", &self.trust).finish_non_exhaustive()
    }
}

/// Opens frames with a few keys and remembers counters.
#[derive(Clone, Debug)]
pub struct Opener {
    /// Newest first. A key is retired once one before it has a counter.
    epochs: Vec<Epoch>,
    counters: Vec<Counter>,
    /// Tags of accepted frames that counted 0 where all before them did; at most [`MAX_TAGS`], newest last.
    tags: Vec<[u8; TAG]>,
    /// The counter of the last frame without a tag, and how many since stayed below it.
    untagged: Option<(u32, u8)>,
    /// The last opened content.
    plain: Vec<u8>,
}

/// A key made ready.
#[derive(Clone, Debug)]
struct Epoch {
    suite_length: usize,
    cipher: Cipher,
    authentication: Option<Key>,
    fingerprint: Fingerprint,
}

/// A ciphered APDU, taken apart.
struct Sealed<'a> {
    title: [u8; 8],
    control: u8,
    suite: Suite,
    counter: u32,
    /// Ciphertext.
    text: &'a [u8],
    /// The tag, if and only if the control byte announces one.
    tag: Option<[u8; TAG]>,
}

impl Opener {
    /// An opener with these keys, newest first, that accepts nothing at or below these counters.
    pub fn new(keys: &[KeyPair], counters: Vec<Counter>) -> Self {
        let epochs = keys
            .iter()
            .map(|pair| Epoch {
                suite_length: pair.encryption.bytes().len(),
                cipher: Cipher::new(&pair.encryption),
                authentication: pair.authentication.clone(),
                fingerprint: pair.fingerprint(),
            })
            .collect();
        Self { epochs, counters, tags: Vec::new(), untagged: None, plain: Vec::new() }
    }

    /// Whether the meter is known to authenticate what it sends: anything less from it is refused.
    pub const fn authenticates(&self) -> bool {
        !self.counters.is_empty()
    }

    /// Accepts nothing at or below these counters either.
    pub(crate) fn raise(&mut self, counters: &[Counter]) {
        for counter in counters {
            let is_full = self.counters.len() >= MAX_COUNTERS;
            match self.counters.iter_mut().find(|known| (known.title, known.key) == (counter.title, counter.key)) {
                Some(known) => known.highest = known.highest.max(counter.highest),
                None if is_full => (),
                None => self.counters.push(*counter),
            }
        }
    }

    /// The highest counters accepted so far.
    pub fn counters(&self) -> &[Counter] {
        &self.counters
    }

    /// Whether the meter always counts 0, so that only a recent recording can be told from a new frame.
    pub fn is_replay_undetectable(&self) -> bool {
        self.counters.last().is_some_and(|counter| counter.highest == 0) && self.tags.len() > 1
    }

    /// Opens one whole APDU from its tag `DB` or `DC` on.
    pub fn open(&mut self, frame: &[u8]) -> Result<Opened<'_>, DecodeError> {
        // What a meter that authenticates did not sign is refused, whatever else is wrong with it.
        let authenticates = self.authenticates();
        let sealed = take_apart(frame).map_err(|error| if authenticates { DecodeError::TagMissing } else { error })?;
        if self.epochs.is_empty() {
            return Err(DecodeError::KeyNeeded);
        }
        let Some(tag) = sealed.tag else { return self.open_without_tag(&sealed) };
        let place = self.verify(&sealed, tag)?;
        let counter = self.advance(&sealed, place, tag)?;
        Ok(Opened { plain: &self.plain, trust: Trust::Authenticated, counter: Some(counter) })
    }

    /// Finds the key whose tag holds and leaves the content in `plain`.
    fn verify(&mut self, sealed: &Sealed<'_>, tag: [u8; TAG]) -> Result<usize, DecodeError> {
        let place = (0..self.epochs.len()).find(|place| {
            let epoch = &self.epochs[*place];
            epoch.suite_length == sealed.suite.key_length() && epoch.holds(sealed, tag, &mut self.plain)
        });
        if let Some(place) = place {
            return Ok(place);
        }
        // The encryption key alone opens it: then only the authentication key is wrong, and a person can be told so.
        let is_half = sealed.control & ENCRYPTED != 0
            && self.epochs.iter().any(|epoch| {
                self.plain.clear();
                self.plain.extend_from_slice(sealed.text);
                epoch.cipher.stream(nonce(sealed.title, sealed.counter), &mut self.plain);
                is_content(&self.plain)
            });
        Err(if is_half { DecodeError::AuthenticationKeyWrong } else { DecodeError::KeyWrong })
    }

    /// Encryption alone: anybody can flip bits in it, so nothing is authenticated, and never from a meter that can do better.
    fn open_without_tag(&mut self, sealed: &Sealed<'_>) -> Result<Opened<'_>, DecodeError> {
        if self.authenticates() {
            return Err(DecodeError::TagMissing);
        }
        let is_clear = sealed.control & ENCRYPTED == 0;
        let opens = self.epochs.iter().any(|epoch| {
            self.plain.clear();
            self.plain.extend_from_slice(sealed.text);
            if !is_clear {
                epoch.cipher.stream(nonce(sealed.title, sealed.counter), &mut self.plain);
            }
            is_content(&self.plain)
        });
        if !opens {
            return Err(DecodeError::KeyWrong);
        }
        // Its counter can be forged, so it only advises: one too low is refused, but a row of rising ones is believed again.
        let (highest, doubts) = self.untagged.unwrap_or((0, MAX_DOUBTS));
        if sealed.counter <= highest && doubts < MAX_DOUBTS {
            self.untagged = Some((highest, doubts + 1));
            return Err(DecodeError::Replayed { highest, found: sealed.counter });
        }
        self.untagged = Some((sealed.counter, 0));
        Ok(Opened { plain: &self.plain, trust: Trust::Unverified, counter: None })
    }

    /// Accepts a counter that is above all before it.
    fn advance(&mut self, sealed: &Sealed<'_>, place: usize, tag: [u8; TAG]) -> Result<Counter, DecodeError> {
        let key = self.epochs[place].fingerprint;
        let is_used = |epoch: &Epoch| self.counters.iter().any(|counter| counter.key == epoch.fingerprint);
        if self.epochs[..place].iter().any(|newer| newer.fingerprint != key && is_used(newer)) {
            return Err(DecodeError::KeyRetired);
        }
        let counter = Counter { title: sealed.title, key, highest: sealed.counter };
        let Some(known) = self.counters.iter_mut().find(|known| known.key == key) else {
            if self.counters.len() == MAX_COUNTERS {
                self.counters.remove(0);
            }
            self.counters.push(counter);
            self.tags = vec![tag];
            return Ok(counter);
        };
        if known.title != sealed.title {
            return Err(DecodeError::TitleForeign);
        }
        if sealed.counter > known.highest {
            known.highest = sealed.counter;
            return Ok(counter);
        }
        // Some meters always count 0. What they sent lately is still told from what is new.
        if (known.highest, sealed.counter) == (0, 0) && !self.tags.contains(&tag) {
            if self.tags.len() == MAX_TAGS {
                self.tags.remove(0);
            }
            self.tags.push(tag);
            return Ok(counter);
        }
        Err(DecodeError::Replayed { highest: known.highest, found: sealed.counter })
    }
}

impl Epoch {
    /// Whether the tag holds under this key; the content is then in `plain`.
    fn holds(&self, sealed: &Sealed<'_>, tag: [u8; TAG], plain: &mut Vec<u8>) -> bool {
        plain.clear();
        plain.extend_from_slice(sealed.text);
        let mut attempt = |key: &[u8], control: &[u8]| {
            let nonce = nonce(sealed.title, sealed.counter);
            let mut associated = [0; 1 + 32];
            let length = control.len() + key.len();
            associated[..control.len()].copy_from_slice(control);
            associated[control.len()..length].copy_from_slice(key);
            if sealed.control & ENCRYPTED != 0 {
                return self.cipher.open(nonce, &associated[..length], plain, tag);
            }
            self.cipher.open(nonce, &[&associated[..length], sealed.text].concat(), &mut [], tag)
        };
        let control = &[sealed.control];
        match &self.authentication {
            Some(key) => attempt(key.bytes(), control),
            // No key of its own: the published one, or none at all. Each is proved by the tag.
            None => attempt(&PUBLIC_AUTHENTICATION_KEY, control) || attempt(&[], control) || attempt(&[], &[]),
        }
    }
}

/// Whether opened bytes begin as a telegram or a notification does, which a wrong key's bytes hardly do.
fn is_content(plain: &[u8]) -> bool {
    match plain {
        [b'/', a, b, c, ..] => [a, b, c].iter().all(|letter| letter.is_ascii_alphanumeric()),
        // Data notification: invoke id, then no time or one of twelve bytes.
        [0x0F, _, _, _, _, 0x00 | 0x0C, ..] | [0x0F, _, _, _, _, 0x09, 0x0C, ..] => true,
        // Replies to what a client asked.
        [0xC4 | 0xC7, 1..=3, ..] => true,
        _ => false,
    }
}

fn take_apart(frame: &[u8]) -> Result<Sealed<'_>, DecodeError> {
    let parts = || {
        let [0xDB | 0xDC, 0x08, rest @ ..] = frame else { return None };
        let (title, rest) = rest.split_first_chunk::<8>()?;
        let (length, rest) = ber_length(rest)?;
        let (control, rest) = rest.get(..length)?.split_first()?;
        let (counter, content) = rest.split_first_chunk::<4>()?;
        let (text, tag) = match control & AUTHENTICATED {
            0 => (content, None),
            _ => content.split_last_chunk::<TAG>().map(|(text, tag)| (text, Some(*tag)))?,
        };
        let suite = Suite::of_control(*control).filter(|_| control & COMPRESSED == 0)?;
        Some(Sealed { title: *title, control: *control, suite, counter: u32::from_be_bytes(*counter), text, tag })
    };
    match frame {
        [0xDB | 0xDC, 0x00, ..] => Err(DecodeError::TitleMissing),
        _ => parts().ok_or(DecodeError::Malformed { offset: 0 }),
    }
}

/// A length as BER writes it, and what follows. `None` if it is cut off or above 65 535, which no meter sends. More bytes than
/// the number needs are allowed: some meters write 82 where 81 would do, or 84.
pub(crate) fn ber_length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    match bytes {
        [short @ ..=0x7F, rest @ ..] => Some((usize::from(*short), rest)),
        [0x81, length, rest @ ..] => Some((usize::from(*length), rest)),
        [0x82, high, low, rest @ ..] | [0x83, 0, high, low, rest @ ..] | [0x84, 0, 0, high, low, rest @ ..] => {
            Some((usize::from(*high) << 8 | usize::from(*low), rest))
        }
        _ => None,
    }
}

/// A length as BER writes it, in as few bytes as it needs, up to 65 535.
pub(crate) fn ber_print(length: usize) -> Vec<u8> {
    let [.., high, low] = length.to_be_bytes();
    match length {
        ..=0x7F => vec![low],
        0x80..=0xFF => vec![0x81, low],
        _ => vec![0x82, high, low],
    }
}
