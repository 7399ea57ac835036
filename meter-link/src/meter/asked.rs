//! One association with a meter that is asked, over a real line, with counters that are kept before they are used.
//!
//! Joins an address, the meter's keys and [`Session`]. What it refuses: to send a counter that [`Reserve`] has not given it;
//! to follow a counter that a meter claims without proof further than [`JUMP`]; to go on after any answer that is not the
//! meter's (see [`crate::dlms_client`]). After an error that is no refusal it is spent.
//!
//! Before a protected association the public client asks how far our counter has come (0-0:43.1.E): the meter takes
//! nothing at or below it, and what this program kept may be older than a backup or another reader of the same client.
//!
//! Source: Green Book, section 9.2.3.3.7.3 (invocation counter).

use std::ops::Range;

use super::reserve::Reserve;
use crate::bridge::Secret;
use crate::country::Country;
use crate::dlms_client::apdu::{Attribute, Got, Selection};
use crate::dlms_client::association::{Agreed, Conformance};
use crate::dlms_client::ciphering::Keys;
use crate::dlms_client::curve::PrivateKey;
use crate::dlms_client::error::ClientError;
use crate::dlms_client::profile::{Profile, Row};
use crate::dlms_client::registers::Identification;
use crate::dlms_client::security_setup::KeyId;
use crate::dlms_client::session::{Session, TIMEOUT};
use crate::dlms_client::{Authentication, Config, Protection, Transport};
use crate::health::LinkProblem;
use crate::link::asked::{self, Stream};
use crate::link::dlms::{DlmsAddress, PUBLIC_CLIENT, Security, Way};
use crate::obis::Obis;
use crate::security::key::{Key, Suite};
use crate::security::{Counter, Fingerprint, KeyPair, PUBLIC_AUTHENTICATION_KEY};

/// Counters that are reserved at once: a meter that is asked twenty things every ten seconds needs so many in a quarter of
/// an hour, and a restart wastes no more.
pub const PORTION: u32 = 2_048;
/// One question never starts with fewer: a day of a load profile in the smallest blocks takes some hundreds.
const LEAST: u32 = 1_024;
/// How far above what is kept a meter may say that our counter is. It says so without proof, and whoever could push it to
/// its end would lock us out; a million messages are a fortnight of another reader.
pub const JUMP: u32 = 1 << 20;
/// At first contact there is nothing to compare with; a sixteenth of all counters must remain.
const FIRST_MOST: u32 = 0xF000_0000;
/// What we offer to take in one HDLC frame: four times what is taken unasked, and a tenth of a second on a usual line.
const OFFERED: u16 = 512;

/// What opens a meter.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// The meter's keys. Needed where the address says that messages are protected.
    pub keys: Option<KeyPair>,
    /// The password (`low`), the common secret (`sha256`), or our private signing key and the meter's public one in
    /// hexadecimal digits with a colon between (`ecdsa`).
    pub secret: Option<Secret>,
    /// Counters that were accepted from meters before; nothing at or below the one of these keys is accepted.
    pub counters: Vec<Counter>,
}

/// Why a meter cannot be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// The meter does not answer, refuses, or answers what is refused here.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The meter claims, without proof, that our counter is further than can be.
    #[error("meter claims an invocation counter that cannot be: expected about {expected}, found {found}")]
    CounterFar {
        /// What is kept.
        expected: u32,
        /// What it says.
        found: u32,
    },
    /// The address asks for protection and there is no key.
    #[error("a key is needed")]
    KeyNeeded,
    /// The way to the meter cannot be opened.
    #[error("link cannot be opened: {0:?}")]
    Link(LinkProblem),
    /// The meter answers, and refuses every register.
    #[error("meter lets this client read no register")]
    NothingReadable,
    /// Counters cannot be kept now, so none may be sent.
    #[error("invocation counters cannot be kept")]
    NotKept,
    /// The address asks for a password, secret or signing key and there is none, or it makes no sense.
    #[error("a password or secret is needed")]
    SecretNeeded,
}

impl AskError {
    /// Whether the association goes on: only this question was refused.
    pub const fn is_refusal(self) -> bool {
        matches!(self, Self::Client(error) if error.is_refusal())
    }
}

/// An open association. `Debug` shows no keys.
#[derive(Debug)]
pub struct Asked<R> {
    session: Session<Stream>,
    agreed: Agreed,
    reserve: R,
    /// The key in use. `None`: in clear.
    key: Option<Fingerprint>,
    title: [u8; 8],
}

impl<R: Reserve> Asked<R> {
    /// Opens the way and associates.
    pub async fn open(address: &DlmsAddress, access: &Access, mut reserve: R) -> Result<Self, AskError> {
        let authentication = authentication(address, access)?;
        let (mut protection, mut key, mut title, mut line) = (None, None, [0; 8], None);
        if address.security.is_protected() {
            let pair = access.keys.as_ref().ok_or(AskError::KeyNeeded)?;
            let fingerprint = pair.fingerprint();
            let mut reserved = reserve.reserve(fingerprint, 0, PORTION).await.ok_or(AskError::NotKept)?;
            let (claimed, open) = claimed_counter(address).await?;
            line = open;
            if let Some(next) = claimed.map(|claimed| claimed.saturating_add(1))
                && next > reserved.counters.start
            {
                check_claim(reserved.counters.start, next)?;
                reserved = reserve.reserve(fingerprint, next, PORTION).await.ok_or(AskError::NotKept)?;
            }
            let known = access.counters.iter().rev().find(|counter| counter.key == fingerprint);
            protection = Some(Protection {
                suite: address.suite,
                keys: keys(pair),
                client_title: reserved.title,
                meter_title: known.map(|counter| counter.title),
                dedicated: None,
                counters: reserved.counters,
                meter_counter: known.map(|counter| counter.highest),
            });
            (key, title) = (Some(fingerprint), reserved.title);
        }
        let mut challenge = vec![0; 16];
        // Without randomness nothing is proven; the operating system always has some.
        getrandom::fill(&mut challenge).map_err(|_| AskError::NotKept)?;
        let config = Config {
            transport: transport(address, address.client),
            authentication,
            protection,
            challenge,
            conformance: Conformance::READER,
            longest: 0xFFFF,
        };
        let line = match line {
            Some(line) => line,
            None => asked::open(address).await.map_err(AskError::Link)?,
        };
        let (session, agreed) = Session::associate(line, config, TIMEOUT).await?;
        Ok(Self { session, agreed, reserve, key, title })
    }

    /// What both sides agreed to.
    pub const fn agreed(&self) -> Agreed {
        self.agreed
    }

    /// Whether every answer is opened with a tag.
    pub const fn is_protected(&self) -> bool {
        self.session.client().is_protected()
    }

    /// Bytes that came.
    pub const fn heard(&self) -> u64 {
        self.session.heard()
    }

    /// The highest counter accepted from the meter under its key, to be kept before what came with it counts. `None`: in
    /// clear, or nothing came under this key yet.
    pub fn counter(&self) -> Option<Counter> {
        let client = self.session.client();
        Some(Counter { title: client.meter_title()?, key: self.key?, highest: client.meter_counter()? })
    }

    /// Several attributes, one result for each.
    pub async fn read(&mut self, attributes: &[Attribute]) -> Result<Vec<Got>, AskError> {
        Ok(self.ready().await?.get_all(attributes, &mut |_| ()).await?)
    }

    /// Who made the meter, and its number.
    pub async fn identification(&mut self) -> Result<Identification, AskError> {
        Ok(self.ready().await?.identification().await?)
    }

    /// Columns and capture period of a profile.
    pub async fn profile(&mut self, obis: Obis) -> Result<Profile, AskError> {
        Ok(self.ready().await?.profile(obis).await?)
    }

    /// Rows of a profile, all or some.
    pub async fn rows(
        &mut self,
        obis: Obis,
        profile: &Profile,
        selection: Option<Selection>,
        country: Option<Country>,
    ) -> Result<Vec<Row>, AskError> {
        Ok(self.ready().await?.rows(obis, profile, selection, country, &mut |_| ()).await?)
    }

    /// Rows in use of a profile. `None` if the meter does not say.
    pub async fn entries(&mut self, obis: Obis) -> Result<Option<i64>, AskError> {
        Ok(self.ready().await?.entries(obis).await?.0)
    }

    /// Hands wrapped keys to the meter and goes on under `new`. The journal must say `Sent` before; that the meter uses them
    /// is proven by the next answer, so read something.
    pub async fn transfer_keys(&mut self, wrapped: &[(KeyId, Vec<u8>)], new: &KeyPair) -> Result<(), AskError> {
        let counters = self.counters_under(new).await?;
        self.ready().await?.transfer_keys(wrapped, &keys(new)).await?;
        self.take_over(new, counters);
        Ok(())
    }

    /// Agrees on a key with the meter; [`Self::use_keys`] then goes on under it. `ephemeral` is random and used once.
    pub async fn agree_key(
        &mut self,
        id: KeyId,
        ephemeral: PrivateKey,
        signing: &PrivateKey,
        meter: &[u8],
    ) -> Result<Key, AskError> {
        Ok(self.ready().await?.agree_key(id, ephemeral, signing, meter).await?)
    }

    /// Other keys from the next message on.
    pub async fn use_keys(&mut self, new: &KeyPair) -> Result<(), AskError> {
        let counters = self.counters_under(new).await?;
        self.session.use_keys(&keys(new));
        self.take_over(new, counters);
        Ok(())
    }

    /// Ends the association. What does not end orderly ends with the line.
    pub async fn release(self) {
        let _ = self.session.release().await;
    }

    /// The session, with counters enough for one question.
    async fn ready(&mut self) -> Result<&mut Session<Stream>, AskError> {
        if let (Some(key), Some(left)) = (self.key, self.session.client().counters())
            && left.end.saturating_sub(left.start) < LEAST
        {
            let counters = self.more(key, left.end).await?;
            self.session.use_counters(counters);
        }
        Ok(&mut self.session)
    }

    /// Counters kept as used under other keys, above all that were used here: a meter may go on counting.
    async fn counters_under(&mut self, new: &KeyPair) -> Result<Range<u32>, AskError> {
        let Some(left) = self.session.client().counters() else { return Err(AskError::KeyNeeded) };
        self.more(new.fingerprint(), left.end).await
    }

    async fn more(&mut self, key: Fingerprint, from: u32) -> Result<Range<u32>, AskError> {
        let reserved = self.reserve.reserve(key, from, PORTION).await.ok_or(AskError::NotKept)?;
        if reserved.title == self.title { Ok(reserved.counters) } else { Err(AskError::NotKept) }
    }

    fn take_over(&mut self, new: &KeyPair, counters: Range<u32>) {
        self.session.use_counters(counters);
        self.key = Some(new.fingerprint());
    }
}

/// What the meter says of our counter to whoever asks, and the line where it can be used again. `None`: it does not say.
async fn claimed_counter(address: &DlmsAddress) -> Result<(Option<u32>, Option<Stream>), AskError> {
    let line = asked::open(address).await.map_err(AskError::Link)?;
    let config = Config::public(transport(address, PUBLIC_CLIENT));
    // Many meters let the public client read nothing, or have none: then what is kept must do.
    let Ok((mut session, _)) = Session::associate(line, config, TIMEOUT).await else { return Ok((None, None)) };
    let claimed = session.invocation_counter(address.counter).await.ok();
    let line = session.release().await.ok();
    // A port is held open; a server may end its connection with the association.
    Ok((claimed, line.filter(|_| matches!(address.way, Way::Line { .. }))))
}

fn check_claim(kept: u32, next: u32) -> Result<(), AskError> {
    // Nothing was sent before: the first range begins at 0 or 1.
    let most = if kept <= 1 { FIRST_MOST } else { kept.saturating_add(JUMP) };
    if next <= most { Ok(()) } else { Err(AskError::CounterFar { expected: kept, found: next }) }
}

fn transport(address: &DlmsAddress, client: u16) -> Transport {
    if address.is_hdlc() {
        Transport::Hdlc {
            // At most 127, as the address has been read.
            client: client.min(127) as u8,
            logical: address.server,
            physical: address.physical,
            offered: Some(OFFERED),
        }
    } else {
        Transport::Wrapper { client, server: address.server }
    }
}

/// A meter's keys; the published authentication key where its operator gave none.
fn keys(pair: &KeyPair) -> Keys {
    let authentication = pair.authentication.clone().unwrap_or_else(|| PUBLIC_AUTHENTICATION_KEY.into());
    Keys { encryption: pair.encryption.clone(), authentication }
}

fn authentication(address: &DlmsAddress, access: &Access) -> Result<Authentication, AskError> {
    let secret = || access.secret.as_ref().map(|secret| secret.0.as_str()).ok_or(AskError::SecretNeeded);
    Ok(match address.security {
        Security::None => Authentication::None,
        Security::Low => Authentication::Low(secret()?.as_bytes().to_vec()),
        Security::Gmac => Authentication::Gmac,
        Security::Sha256 => Authentication::Sha256(secret()?.as_bytes().to_vec()),
        Security::Ecdsa => signatures(address.suite, secret()?).ok_or(AskError::SecretNeeded)?,
    })
}

/// Our private key and the meter's public one, hexadecimal digits with a colon between.
fn signatures(suite: Suite, text: &str) -> Option<Authentication> {
    let (signing, meter) = text.split_once(':')?;
    Some(Authentication::Ecdsa { signing: PrivateKey::new(suite, &octets(signing)?)?, meter: octets(meter)? })
}

fn octets(digits: &str) -> Option<Vec<u8>> {
    let digits = digits.trim().as_bytes();
    let value = |digit: u8| char::from(digit).to_digit(16);
    let pair = |pair: &[u8]| Some((value(pair[0])? << 4 | value(pair[1])?) as u8);
    digits.len().is_multiple_of(2).then(|| digits.chunks_exact(2).map(pair).collect())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claimed_counter_is_followed_only_so_far() {
        assert_eq!(check_claim(1, 4_000_000_000), Ok(()));
        assert_eq!(check_claim(1, u32::MAX), Err(AskError::CounterFar { expected: 1, found: u32::MAX }));
        assert_eq!(check_claim(5_000, 5_000 + JUMP), Ok(()));
        assert!(check_claim(5_000, 5_001 + JUMP).is_err());
        assert!(check_claim(u32::MAX - 5, u32::MAX).is_ok());
    }

    #[test]
    fn a_signing_key_and_a_public_one_are_read() {
        let signing = PrivateKey::new(Suite::One, &[7; 32]).expect("a key");
        let public = signing.public(Suite::One).expect("of this curve");
        let text =
            format!("{}:{}", "07".repeat(32), public.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        assert_eq!(signatures(Suite::One, &text), Some(Authentication::Ecdsa { signing, meter: public }));
        for text in ["", "07", "07:0", "0g:00"] {
            assert_eq!(signatures(Suite::One, text), None);
        }
    }
}
