//! Asks a meter over DLMS/COSEM: association, reads, and the change of a meter's keys.
//!
//! Sans-IO and sans-clock: bytes in by [`Client::handle_bytes`], bytes out by [`Client::poll_transmit`], what happened by
//! [`Client::poll_event`]. Randomness (challenges) is handed in, so a session can be repeated octet for octet.
//!
//! What it refuses: it cannot write an attribute and calls no method but those that prove who we are and change keys
//! (there is no code for others); it does not touch a disconnector. In a protected association it takes nothing that is
//! not sealed with a tag that holds and a counter above the last; it never sends a counter twice, nor one that the
//! caller has not kept as used before; an answer in clear, a repeated one, a reflected challenge end the association.
//!
//! One question is open at a time. At most one message of [`MAX_MESSAGE`] bytes is kept.
//!
//! Source: IEC 62056-5-3 (application layer), 62056-46 and -47 (HDLC, wrapper); Green Book, sections 9.2 to 9.5.

mod answers;
pub mod apdu;
pub mod association;
pub mod catalogue;
pub mod ciphering;
pub mod curve;
pub mod data;
pub mod error;
mod hdlc;
pub mod key_change;
pub mod profile;
pub mod registers;
pub mod security_setup;
pub mod session;
mod wrapper;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;

use sha2::{Digest as _, Sha256};

use crate::error::DecodeError;
use crate::security::key::{Key, Suite};
use apdu::{Answer, Attribute, Got, Method};
use association::{Agreed, Conformance};
use ciphering::{Ciphering, Keys, Under, Wrapping, unwrap, wrap};
use curve::PrivateKey;
use error::ClientError;
use hdlc::{Hdlc, Heard};
use security_setup::KeyId;
use wrapper::Wrapper;

/// A year of hourly rows of eight columns is half of it; longer spans are asked for in parts.
pub const MAX_MESSAGE: usize = 1 << 20;

/// How the meter is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Serial lines, and bridges that pass their bytes on.
    Hdlc {
        /// Client address: 16 public, 1 management, others by operator.
        client: u8,
        /// Upper server address: the logical device, normally 1.
        logical: u16,
        /// Lower server address: the device on the line, where there is one.
        physical: Option<u16>,
        /// Most bytes per frame that we offer to take. `None`: not negotiated, so 128.
        offered: Option<u16>,
    },
    /// TCP.
    Wrapper {
        /// Client port: as the client address.
        client: u16,
        /// Server port: the logical device, normally 1.
        server: u16,
    },
}

/// How each side proves who it is. `Debug` is redacted.
#[derive(Clone, PartialEq, Eq)]
pub enum Authentication {
    /// Not at all.
    None,
    /// By a password, in clear unless the link hides it.
    Low(Vec<u8>),
    /// Mechanism 7: by signatures over both challenges.
    Ecdsa {
        /// Ours.
        signing: PrivateKey,
        /// The meter's public key.
        meter: Vec<u8>,
    },
    /// Mechanism 5: by the tag that the keys give a challenge.
    Gmac,
    /// Mechanism 6: by the hash of a common secret and both challenges.
    Sha256(Vec<u8>),
}

impl Authentication {
    const fn mechanism(&self) -> u8 {
        match self {
            Self::None => 0,
            Self::Low(_) => 1,
            Self::Gmac => 5,
            Self::Sha256(_) => 6,
            Self::Ecdsa { .. } => 7,
        }
    }
}

impl fmt::Debug for Authentication {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Authentication({})", self.mechanism())
    }
}

/// Encryption and authentication of every message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protection {
    /// Its suite.
    pub suite: Suite,
    /// The meter's keys.
    pub keys: Keys,
    /// Our system title.
    pub client_title: [u8; 8],
    /// The meter's, pinned when it was paired. `None`: learned now.
    pub meter_title: Option<[u8; 8]>,
    /// A key for this association alone, random.
    pub dedicated: Option<Key>,
    /// Invocation counters that may be used. The caller has durably kept `end` as the next free one before it hands them in.
    pub counters: Range<u32>,
    /// The highest counter accepted from the meter under these keys. `None`: none yet.
    pub meter_counter: Option<u32>,
}

/// One association.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// How the meter is reached.
    pub transport: Transport,
    /// How both sides prove who they are. What is stronger than a password needs `protection`.
    pub authentication: Authentication,
    /// `None`: in clear.
    pub protection: Option<Protection>,
    /// Random, 8 to 64 bytes; used by what is stronger than a password.
    pub challenge: Vec<u8>,
    /// What is proposed.
    pub conformance: Conformance,
    /// The longest message that we take, 0xFFFF as a rule.
    pub longest: u16,
}

impl Config {
    /// In clear, with nothing but the transport.
    pub const fn public(transport: Transport) -> Self {
        Self {
            transport,
            authentication: Authentication::None,
            protection: None,
            challenge: Vec::new(),
            conformance: Conformance::READER,
            longest: 0xFFFF,
        }
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Questions may be asked.
    Associated(Agreed),
    /// One result per attribute asked for.
    Got(Vec<Got>),
    /// A key was agreed on; the meter uses it from the next message.
    KeyAgreed(KeyId, Key),
    /// The meter took the new keys and uses them from the next message.
    KeysTaken,
    /// A part of a long answer came.
    Progress {
        /// Bytes so far.
        bytes: usize,
    },
    /// The question was refused ([`ClientError::is_refusal`]), or the association is over.
    Failed(ClientError),
    /// The association ended as asked.
    Released,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    New,
    Linking,
    Associating,
    Proving,
    Ready,
    Asking(Question),
    Releasing,
    Unlinking,
    Over,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Question {
    Agree(KeyId, PrivateKey, Vec<u8>),
    Get(usize),
    Transfer,
}

#[derive(Clone, Debug)]
enum Link {
    Hdlc(Box<Hdlc>),
    Wrapper(Wrapper),
}

/// A long parameter that goes out in blocks.
#[derive(Clone, Debug)]
struct Outgoing {
    method: Method,
    parameter: Vec<u8>,
    /// Start of the part not yet sent. start <= parameter.len()
    start: usize,
    number: u32,
}

/// An answer that comes in blocks: of its service, or general ones.
#[derive(Clone, Debug, Default)]
struct Incoming {
    bytes: Vec<u8>,
    number: u32,
    /// Whether all blocks were opened with a tag.
    proven: bool,
}

/// One association with one meter. `Debug` is redacted.
#[derive(Clone)]
pub struct Client {
    config: Config,
    ciphering: Option<Ciphering>,
    link: Link,
    phase: Phase,
    agreed: Agreed,
    meter_challenge: Vec<u8>,
    /// The open question in clear, to be sealed again once if the counter was behind.
    plain: Vec<u8>,
    resynchronised: bool,
    outgoing: Option<Outgoing>,
    answer: Incoming,
    general: Incoming,
    transmit: VecDeque<Vec<u8>>,
    events: VecDeque<Event>,
}

impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Client").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Client {
    /// A client that has not sent anything. The error: a key is missing or does not fit its suite.
    pub fn new(config: Config) -> Result<Self, ClientError> {
        let ciphering = match &config.protection {
            None => None,
            Some(Protection { suite, keys, client_title, meter_title, dedicated, counters, meter_counter }) => Some(
                Ciphering::new(
                    *suite,
                    keys,
                    dedicated.as_ref(),
                    (*client_title, *meter_title),
                    counters.clone(),
                    *meter_counter,
                )
                .ok_or(ClientError::KeyMissing)?,
            ),
        };
        let needs_keys = config.authentication.mechanism() > 1;
        if needs_keys && (ciphering.is_none() || !(8..=64).contains(&config.challenge.len())) {
            return Err(ClientError::KeyMissing);
        }
        let link = match config.transport {
            Transport::Hdlc { client, logical, physical, offered } => {
                Link::Hdlc(Box::new(Hdlc::new(client, logical, physical, offered)))
            }
            Transport::Wrapper { client, server } => Link::Wrapper(Wrapper::new(client, server)),
        };
        Ok(Self {
            config,
            ciphering,
            link,
            phase: Phase::New,
            agreed: Agreed { conformance: Conformance(0), longest: 0 },
            meter_challenge: Vec::new(),
            plain: Vec::new(),
            resynchronised: false,
            outgoing: None,
            answer: Incoming::default(),
            general: Incoming::default(),
            transmit: VecDeque::new(),
            events: VecDeque::new(),
        })
    }

    /// Opens the association.
    pub fn associate(&mut self) {
        if self.phase != Phase::New {
            return self.events.push_back(Event::Failed(ClientError::NotReady));
        }
        if let Link::Hdlc(link) = &mut self.link {
            self.transmit.push_back(link.connect());
            self.phase = Phase::Linking;
        } else {
            self.attempt(Self::request_association);
        }
    }

    /// Asks for attributes, several only where the meter agreed to answer several. One [`Event::Got`] follows.
    pub fn get(&mut self, attributes: &[Attribute]) {
        let limit = if self.agreed.conformance.has(Conformance(0x200)) { 255 } else { 1 };
        if self.phase != Phase::Ready || attributes.is_empty() || attributes.len() > limit {
            return self.events.push_back(Event::Failed(ClientError::NotReady));
        }
        self.phase = Phase::Asking(Question::Get(attributes.len()));
        let plain = apdu::get(attributes);
        self.attempt(|client| client.ask(plain));
    }

    /// Hands wrapped keys to the meter. [`Event::KeysTaken`] follows, in answer to which [`Self::use_keys`] is due. Only
    /// in a protected association.
    pub fn transfer_keys(&mut self, wrapped: &[(KeyId, Vec<u8>)]) {
        self.act(Question::Transfer, Method::TransferKeys, Some(security_setup::parameter(wrapped)));
    }

    /// Agrees on a key with the meter, by an ephemeral key (random, used once), our signing key and the meter's public one.
    pub fn agree_key(&mut self, id: KeyId, ephemeral: PrivateKey, signing: &PrivateKey, meter: &[u8]) {
        let suite = self.ciphering.as_ref().map_or(Suite::Zero, |ciphering| ciphering.suite);
        let offer = security_setup::offer(suite, id, &ephemeral, signing);
        let parameter = offer.map(|offer| security_setup::parameter(&[(id, offer)]));
        self.act(Question::Agree(id, ephemeral, meter.to_vec()), Method::AgreeKey, parameter);
    }

    /// Other keys from the next message on.
    pub fn use_keys(&mut self, keys: &Keys) {
        if let Some(ciphering) = &mut self.ciphering {
            ciphering.replace(keys);
        }
    }

    /// Other invocation counters from the next message on, which the caller has durably kept as used. Ignored where they
    /// begin below those in use: under one key no counter comes twice. To be called after [`Self::use_keys`] too, with
    /// counters kept under the new key.
    pub fn use_counters(&mut self, counters: Range<u32>) {
        if let Some(ciphering) = &mut self.ciphering
            && counters.start >= ciphering.counters.start
        {
            ciphering.counters = counters;
        }
    }

    /// Ends the association. [`Event::Released`] follows.
    pub fn release(&mut self) {
        if self.phase != Phase::Ready {
            return self.events.push_back(Event::Failed(ClientError::NotReady));
        }
        self.phase = Phase::Releasing;
        self.attempt(|client| {
            let information = if client.ciphering.is_some() { client.initiate()? } else { Vec::new() };
            client.send(&association::release(&information));
            Ok(())
        });
    }

    /// Nothing came for a while: sends the last frame again where the transport allows it. `false`: it does not, or
    /// nothing is open.
    pub fn handle_timeout(&mut self) -> bool {
        match &self.link {
            Link::Hdlc(link) if self.phase != Phase::Over => {
                let frame = link.repeat();
                let repeats = !frame.is_empty();
                self.transmit.extend(repeats.then_some(frame));
                repeats
            }
            _ => false,
        }
    }

    /// Takes bytes from the meter, in any portions.
    pub fn handle_bytes(&mut self, bytes: &[u8]) {
        match &mut self.link {
            Link::Hdlc(link) => {
                let mut heard = Vec::new();
                link.handle(bytes, &mut self.transmit, &mut heard);
                for one in heard {
                    self.attempt(|client| client.hear_link(one?));
                }
            }
            Link::Wrapper(_) => {
                let mut rest = bytes;
                while !rest.is_empty() {
                    let Link::Wrapper(link) = &mut self.link else { return };
                    let (taken, message) = link.handle(rest);
                    rest = &rest[taken..];
                    if let Some(message) = message {
                        self.attempt(|client| client.hear_link(Heard::Message(message?)));
                    }
                }
            }
        }
    }

    /// Bytes for the meter.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.transmit.pop_front()
    }

    /// What happened since.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The next invocation counter. `None`: in clear.
    pub fn counter(&self) -> Option<u32> {
        self.ciphering.as_ref().map(|ciphering| ciphering.counters.start)
    }

    /// Invocation counters that may still be used. `None`: in clear.
    pub fn counters(&self) -> Option<Range<u32>> {
        self.ciphering.as_ref().map(|ciphering| ciphering.counters.clone())
    }

    /// The highest counter accepted from the meter under the global key, to be kept.
    pub fn meter_counter(&self) -> Option<u32> {
        self.ciphering.as_ref().and_then(|ciphering| ciphering.highest[0])
    }

    /// The meter's system title, pinned or learned. Learned is proven once the association is there.
    pub fn meter_title(&self) -> Option<[u8; 8]> {
        self.ciphering.as_ref().and_then(|ciphering| ciphering.meter_title)
    }

    /// Whether every answer is opened with a tag.
    pub const fn is_protected(&self) -> bool {
        self.ciphering.is_some()
    }

    /// Whether several attributes may be asked for at once.
    pub const fn takes_lists(&self) -> bool {
        self.agreed.conformance.has(Conformance(0x200))
    }

    fn act(&mut self, question: Question, method: Method, parameter: Option<Vec<u8>>) {
        if self.phase != Phase::Ready {
            return self.events.push_back(Event::Failed(ClientError::NotReady));
        }
        let (Some(parameter), true) = (parameter, self.is_protected()) else {
            return self.events.push_back(Event::Failed(ClientError::KeyMissing));
        };
        self.phase = Phase::Asking(question);
        self.attempt(|client| client.call(method, parameter));
    }

    fn attempt(&mut self, step: impl FnOnce(&mut Self) -> Result<(), ClientError>) {
        if let Err(error) = step(self) {
            self.fail(error);
        }
    }

    fn fail(&mut self, error: ClientError) {
        if self.phase == Phase::Over {
            return;
        }
        self.outgoing = None;
        self.answer = Incoming::default();
        self.general = Incoming::default();
        self.phase = match self.phase {
            Phase::Asking(_) | Phase::Ready if error.is_refusal() => Phase::Ready,
            _ => Phase::Over,
        };
        self.events.push_back(Event::Failed(error));
    }

    /// The initiate request, sealed where messages are.
    fn initiate(&mut self) -> Result<Vec<u8>, ClientError> {
        let dedicated = self.config.protection.as_ref().and_then(|protection| protection.dedicated.as_ref());
        // In a release nothing is agreed on; it carries the same request.
        let plain = association::initiate(dedicated.map(Key::bytes), self.config.conformance, self.config.longest);
        let Some(ciphering) = &mut self.ciphering else { return Ok(plain) };
        let mut information = vec![0x21];
        data::write_octets(&ciphering.seal(&plain, Under::Global)?, &mut information);
        Ok(information)
    }

    fn request_association(&mut self) -> Result<(), ClientError> {
        self.phase = Phase::Associating;
        let information = self.initiate()?;
        let value = match &self.config.authentication {
            Authentication::Low(password) => password,
            _ => &self.config.challenge,
        };
        let title = self.ciphering.as_ref().map(|ciphering| ciphering.client_title);
        let mechanism = self.config.authentication.mechanism();
        let apdu = association::request(title.is_some(), title, mechanism, value, &information);
        self.send(&apdu);
        Ok(())
    }

    /// Frames a message.
    fn send(&mut self, apdu: &[u8]) {
        let frame = match &mut self.link {
            Link::Hdlc(link) => link.send(apdu),
            Link::Wrapper(link) => link.frame(apdu),
        };
        self.transmit.push_back(frame);
    }

    /// Seals and sends a question.
    fn ask(&mut self, plain: Vec<u8>) -> Result<(), ClientError> {
        let apdu = match &mut self.ciphering {
            None => plain.clone(),
            Some(ciphering) => {
                let is_dedicated = self.config.protection.as_ref().is_some_and(|of| of.dedicated.is_some());
                // Until the meter has proved itself, as the recordings of all implementations have it.
                let (under, is_general) = match self.phase {
                    Phase::Proving => (Under::Global, false),
                    _ if is_dedicated => (Under::Dedicated, true),
                    _ => (Under::Global, true),
                };
                let is_general = is_general && self.agreed.conformance.has(Conformance::GENERAL_PROTECTION);
                let wrapping = if is_general { Wrapping::General(under) } else { Wrapping::Service(under) };
                let sealed = ciphering.seal(&plain, under)?;
                wrap(wrapping, plain.first().copied().unwrap_or_default(), ciphering.client_title, &sealed)
            }
        };
        let limit = if self.agreed.longest == 0 { 0xFFFF } else { usize::from(self.agreed.longest) };
        if apdu.len() > limit {
            return Err(ClientError::TooLong { limit });
        }
        self.plain = plain;
        self.send(&apdu);
        Ok(())
    }

    /// Calls one of the few methods, its parameter in blocks where the meter takes no more at once.
    fn call(&mut self, method: Method, parameter: Vec<u8>) -> Result<(), ClientError> {
        if parameter.len() <= self.portion() {
            return self.ask(apdu::action(method, &parameter));
        }
        self.outgoing = Some(Outgoing { method, parameter, start: 0, number: 0 });
        self.call_next()
    }

    /// Most bytes of a parameter in one message: what is around them takes less than 80.
    fn portion(&self) -> usize {
        match self.agreed.longest {
            0 => 0xFF00,
            longest => usize::from(longest).saturating_sub(80).max(16),
        }
    }

    fn call_next(&mut self) -> Result<(), ClientError> {
        let portion = self.portion();
        let Some(outgoing) = &mut self.outgoing else { return Err(ClientError::Unexpected { tag: 0xC7 }) };
        let end = (outgoing.start + portion).min(outgoing.parameter.len());
        outgoing.number += 1;
        let part = &outgoing.parameter[outgoing.start..end];
        let is_last = end == outgoing.parameter.len();
        let plain = apdu::action_block(outgoing.method, part, outgoing.number, is_last);
        outgoing.start = end;
        self.ask(plain)
    }
}

impl Incoming {
    fn add(&mut self, part: &[u8], proven: bool) -> Result<(), ClientError> {
        if self.bytes.len() + part.len() > MAX_MESSAGE {
            return Err(DecodeError::TooLong { limit: MAX_MESSAGE }.into());
        }
        self.bytes.extend(part);
        self.number += 1;
        self.proven = proven;
        Ok(())
    }
}

/// Compares without telling by its time where two differ.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |sum, (one, other)| sum | (one ^ other)) == 0
}
