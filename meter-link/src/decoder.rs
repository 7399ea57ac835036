//! Any protocol: finds out what a meter speaks, then reads it.
//!
//! Until one is recognised, every protocol listens to the same bytes. One is chosen when it has read a whole frame whose
//! checksum held (or, where the protocol has none, as many consistent telegrams as it asks for); the others then fall
//! silent until [`Decoder::forget_protocol`]. What arrives in clear from a meter that is known to authenticate is refused,
//! whatever it is spoken in. Owns no clock and no port.

use std::collections::VecDeque;

use crate::dlms::{self, Framing};
use crate::error::DecodeError;
use crate::p1;
use crate::reading::{Reading, Trust};
use crate::security::{Counter, KeyPair, Opener};
use crate::sml;

/// Bytes that are listened to at a time while the protocol is not known: the smallest buffer among them.
const SIP: usize = 256;

/// What a meter speaks, and how its frames are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// DLMS/COSEM push over HDLC.
    DlmsHdlc,
    /// DLMS/COSEM push over wired M-Bus.
    DlmsMbus,
    /// DLMS/COSEM push over the TCP/UDP wrapper.
    DlmsWrapper,
    /// P1 telegrams, in clear or sealed; and DLMS/COSEM push sealed without a frame around it.
    P1,
    /// SML.
    Sml,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::DlmsHdlc, Self::DlmsMbus, Self::DlmsWrapper, Self::P1, Self::Sml];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DlmsHdlc => "dlms-hdlc",
            Self::DlmsMbus => "dlms-mbus",
            Self::DlmsWrapper => "dlms-wrapper",
            Self::P1 => "p1",
            Self::Sml => "sml",
        }
    }
}

/// Bytes in, readings out, whatever the meter speaks.
#[derive(Debug)]
pub struct Decoder {
    voices: Vec<Voice>,
    /// Place of the one that was recognised.
    chosen: Option<usize>,
    /// Bytes to listen to while none is; at most [`SIP`].
    sip: Vec<u8>,
    /// What they gave.
    heard: VecDeque<Result<Reading, DecodeError>>,
    /// The first bytes, for a message without a frame around it, until a protocol is recognised.
    bare: Vec<u8>,
    /// Opens such a message, and knows what the meter's last counters were.
    opener: Opener,
    /// The meter authenticates what it sends.
    authenticates: bool,
}

/// One protocol, listening.
#[derive(Debug)]
struct Voice {
    protocol: Protocol,
    decoder: Spoken,
}

#[derive(Debug)]
enum Spoken {
    Dlms(Box<dlms::Decoder>),
    P1(Box<p1::Decoder>),
    Sml(sml::Decoder),
}

impl Decoder {
    /// Listens for every protocol. Tries these keys, newest first; accepts nothing at or below these counters.
    pub fn new(keys: &[KeyPair], counters: &[Counter]) -> Self {
        Self::of(&Protocol::ALL, keys, counters)
    }

    /// Listens for these protocols only.
    pub fn of(protocols: &[Protocol], keys: &[KeyPair], counters: &[Counter]) -> Self {
        let dlms = |framing| Spoken::Dlms(Box::new(dlms::Decoder::new(framing, keys, counters.to_vec())));
        let voices: Vec<Voice> = protocols
            .iter()
            .map(|protocol| Voice {
                protocol: *protocol,
                decoder: match protocol {
                    Protocol::DlmsHdlc => dlms(Framing::Hdlc),
                    Protocol::DlmsMbus => dlms(Framing::Mbus),
                    Protocol::DlmsWrapper => dlms(Framing::Wrapper),
                    Protocol::P1 => Spoken::P1(Box::new(p1::Decoder::resuming(keys, counters.to_vec()))),
                    Protocol::Sml => Spoken::Sml(sml::Decoder::new()),
                },
            })
            .collect();
        Self {
            chosen: (voices.len() == 1).then_some(0),
            voices,
            sip: Vec::new(),
            heard: VecDeque::new(),
            bare: Vec::new(),
            opener: Opener::new(keys, counters.to_vec()),
            authenticates: !counters.is_empty(),
        }
    }

    /// For looking at recordings, many of which were edited after the meter had signed them off: see
    /// [`p1::Decoder::showing_damaged`].
    pub fn showing_damaged(mut self) -> Self {
        for voice in &mut self.voices {
            voice.decoder.show_damaged();
        }
        self
    }

    /// What the meter speaks, once it is known.
    pub fn protocol(&self) -> Option<Protocol> {
        self.chosen.map(|place| self.voices[place].protocol)
    }

    /// Takes bytes, as many as fit; gives how many. Poll until nothing comes, then hand in the rest.
    pub fn handle_bytes(&mut self, bytes: &[u8]) -> usize {
        if let Some(place) = self.chosen {
            return self.voices[place].decoder.handle_bytes(bytes);
        }
        let taken = bytes.len().min(SIP - self.sip.len());
        self.sip.extend_from_slice(&bytes[..taken]);
        taken
    }

    /// The next reading, or what became of a frame that gave none. `None`: more bytes are needed.
    pub fn poll_reading(&mut self) -> Option<Result<Reading, DecodeError>> {
        if self.chosen.is_none() && !self.sip.is_empty() {
            self.listen();
        }
        if let Some(result) = self.heard.pop_front() {
            return Some(self.judge(result));
        }
        let result = self.voices[self.chosen?].decoder.poll_reading()?;
        Some(self.judge(result))
    }

    /// The input has ended: what waits for more is judged as it is.
    pub fn handle_end(&mut self) {
        match self.chosen {
            Some(place) => self.voices[place].decoder.handle_end(),
            None => {
                self.listen();
                for place in 0..self.voices.len() {
                    self.voices[place].decoder.handle_end();
                    if self.chosen.is_none() {
                        self.hear(place, false);
                    }
                }
                if self.chosen.is_none() && self.heard.is_empty() {
                    self.read_bare();
                }
            }
        }
    }

    /// The link broke: half a frame is forgotten. Keys, counters and the protocol stay.
    pub fn handle_break(&mut self) {
        for voice in &mut self.voices {
            voice.decoder.handle_break();
        }
        self.sip.clear();
        self.bare.clear();
    }

    /// Nothing was understood for long: listens for every protocol again. Keys and counters stay.
    pub fn forget_protocol(&mut self) {
        if self.voices.len() > 1 {
            self.chosen = None;
        }
        self.handle_break();
    }

    /// The ciphered message behind the last `KeyNeeded` or `KeyWrong`; see [`dlms::read_sealed`].
    pub fn sealed(&self) -> &[u8] {
        match self.chosen.map(|place| &self.voices[place].decoder) {
            Some(Spoken::Dlms(decoder)) => decoder.sealed(),
            Some(Spoken::P1(decoder)) => decoder.sealed(),
            Some(Spoken::Sml(_)) | None => &[],
        }
    }

    /// The highest counters accepted so far, to be kept over a restart.
    pub fn counters(&self) -> Vec<Counter> {
        match self.chosen.map(|place| &self.voices[place].decoder) {
            Some(Spoken::Dlms(decoder)) => decoder.opener().counters().to_vec(),
            Some(Spoken::P1(decoder)) => decoder.opener().counters().to_vec(),
            Some(Spoken::Sml(_)) | None => self.opener.counters().to_vec(),
        }
    }

    /// Whether the meter always counts 0, so that a recording can hardly be told from a new frame.
    pub fn is_replay_undetectable(&self) -> bool {
        match self.chosen.map(|place| &self.voices[place].decoder) {
            Some(Spoken::Dlms(decoder)) => decoder.opener().is_replay_undetectable(),
            Some(Spoken::P1(decoder)) => decoder.opener().is_replay_undetectable(),
            Some(Spoken::Sml(_)) | None => false,
        }
    }

    /// Refuses what a meter that authenticates did not.
    fn judge(&mut self, result: Result<Reading, DecodeError>) -> Result<Reading, DecodeError> {
        let reading = result?;
        if reading.trust == Trust::Authenticated {
            self.authenticates = true;
        } else if self.authenticates {
            return Err(DecodeError::TagMissing);
        }
        Ok(reading)
    }

    /// Lets every protocol listen to what has come.
    fn listen(&mut self) {
        let sip = std::mem::take(&mut self.sip);
        let room = dlms::MAX_MESSAGE.saturating_sub(self.bare.len());
        self.bare.extend_from_slice(&sip[..sip.len().min(room)]);
        for place in 0..self.voices.len() {
            let mut rest = &sip[..];
            while !rest.is_empty() {
                let taken = self.voices[place].decoder.handle_bytes(rest);
                rest = &rest[taken..];
                self.hear(place, true);
            }
            if self.chosen == Some(place) {
                self.bare.clear();
                for (_, other) in self.voices.iter_mut().enumerate().filter(|(other, _)| *other != place) {
                    other.decoder.handle_break();
                }
                return;
            }
        }
    }

    /// Takes what one protocol has understood.
    fn hear(&mut self, place: usize, going_on: bool) {
        while let Some(result) = self.voices[place].decoder.poll_reading() {
            let voice = &self.voices[place];
            // A sealed message may lie inside another protocol's frame, whose checksum has not come yet.
            let is_sealed = match &result {
                Ok(reading) => voice.protocol == Protocol::P1 && reading.counter.is_some(),
                Err(error) => voice.protocol == Protocol::P1 && error.proves_frame(),
            };
            let is_inside = going_on && is_sealed && self.voices.iter().any(|voice| voice.decoder.is_inside());
            let is_whole = match &result {
                Ok(_) => true,
                // Nothing but its look tells a sealed frame without a key: a maker's three letters begin its title.
                Err(DecodeError::KeyNeeded | DecodeError::KeyWrong) if is_sealed => voice.decoder.is_titled(),
                Err(error) => error.proves_frame(),
            };
            if is_whole && !is_inside {
                self.chosen = Some(place);
            }
            if self.chosen == Some(place) || (result.as_ref().is_err_and(|error| error.hints_at_frame()) && !is_inside)
            {
                self.heard.push_back(result);
            }
        }
    }

    /// Reads what came as one message without a frame around it: a datagram, or a recording of one.
    fn read_bare(&mut self) {
        let mut pending = None;
        let result = dlms::read(&self.bare, Trust::Unverified, &mut self.opener, &mut pending);
        if pending.is_none() && (result.is_ok() || result.as_ref().is_err_and(|error| error.proves_frame())) {
            self.heard.push_back(result);
        }
        self.bare.clear();
    }
}

impl Spoken {
    fn handle_bytes(&mut self, bytes: &[u8]) -> usize {
        match self {
            Self::Dlms(decoder) => decoder.handle_bytes(bytes),
            Self::P1(decoder) => decoder.handle_bytes(bytes),
            Self::Sml(decoder) => decoder.handle_bytes(bytes),
        }
    }

    fn poll_reading(&mut self) -> Option<Result<Reading, DecodeError>> {
        match self {
            Self::Dlms(decoder) => decoder.poll_reading(),
            Self::P1(decoder) => decoder.poll_reading(),
            Self::Sml(decoder) => decoder.poll_reading(),
        }
    }

    fn handle_end(&mut self) {
        match self {
            Self::Dlms(_) => (),
            Self::P1(decoder) => decoder.handle_end(),
            Self::Sml(decoder) => decoder.handle_end(),
        }
    }

    fn handle_break(&mut self) {
        match self {
            Self::Dlms(decoder) => decoder.handle_break(),
            Self::P1(decoder) => decoder.handle_break(),
            Self::Sml(decoder) => decoder.handle_break(),
        }
    }

    const fn show_damaged(&mut self) {
        match self {
            Self::Dlms(_) | Self::Sml(_) => (),
            Self::P1(decoder) => decoder.show_damaged(),
        }
    }

    /// Whether the sealed frame that no key opened begins with a maker's three letters.
    fn is_titled(&self) -> bool {
        let sealed = match self {
            Self::Dlms(decoder) => decoder.sealed(),
            Self::P1(decoder) => decoder.sealed(),
            Self::Sml(_) => &[],
        };
        sealed.get(2..5).is_some_and(|letters| letters.iter().all(u8::is_ascii_uppercase))
    }

    /// Whether a frame has begun under a header that held.
    fn is_inside(&self) -> bool {
        match self {
            Self::Dlms(decoder) => decoder.is_inside(),
            Self::P1(_) | Self::Sml(_) => false,
        }
    }
}
