//! Any protocol: finds out what a meter speaks, then reads it.
//!
//! Until one is recognised, every protocol listens to the same bytes. One is chosen when it has read a whole frame under a
//! checksum that noise does not meet, or, where its frames prove less, two of them; the others then fall silent until
//! [`Decoder::forget_protocol`]. Unsure stays unsure. What arrives in clear from a meter that is known to authenticate is
//! refused, whatever it is spoken in. Owns no clock and no port.

mod text;

use std::collections::VecDeque;

use crate::bridge;
use crate::dlms::{self, Framing};
use crate::error::DecodeError;
use crate::obis::Obis;
use crate::reading::{Reading, Trust};
use crate::security::{Counter, KeyPair, Opener, ber_length};
use crate::{d0, raven, sml, tic};

/// Bytes that are taken at a time while the protocol is not known.
const SIP: usize = 256;
/// The longest message without a frame around it: the longest body of a bridge.
const MAX_BARE: usize = 65_536;
/// The most that stands before a sealed message in the frame around it: flag, format, two addresses of four bytes, control,
/// checksum, link control, and the head of a block.
const LONGEST_HEAD: usize = 26;
/// Values that noise does not make under a weak checksum.
const MANY: usize = 3;

/// What a meter speaks, and how its frames are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// What a bridge hands out as one body: JSON.
    Bridge,
    /// DLMS/COSEM push over HDLC.
    DlmsHdlc,
    /// DLMS/COSEM push over wired M-Bus.
    DlmsMbus,
    /// DLMS/COSEM push over the TCP/UDP wrapper.
    DlmsWrapper,
    /// P1 telegrams, in clear or sealed; and DLMS/COSEM push sealed without a frame around it.
    P1,
    /// IEC 62056-21, pushed or read out. Listens behind P1, whose old telegrams look alike.
    D0,
    /// XML of Rainforest's sticks.
    Raven,
    /// SML.
    Sml,
    /// Linky's TIC, both modes.
    Tic,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Bridge,
        Self::DlmsHdlc,
        Self::DlmsMbus,
        Self::DlmsWrapper,
        Self::P1,
        Self::D0,
        Self::Raven,
        Self::Sml,
        Self::Tic,
    ];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bridge => "bridge",
            Self::D0 => "d0",
            Self::DlmsHdlc => "dlms-hdlc",
            Self::DlmsMbus => "dlms-mbus",
            Self::DlmsWrapper => "dlms-wrapper",
            Self::P1 => "p1",
            Self::Raven => "raven",
            Self::Sml => "sml",
            Self::Tic => "tic",
        }
    }

    /// The protocol of this name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.name() == name)
    }

    /// What listens for it. `None`: it is not cut out of a stream.
    fn voice(self, keys: &[KeyPair], counters: &[Counter]) -> Option<Box<dyn Voice>> {
        let dlms = |framing| -> Box<dyn Voice> { Box::new(dlms::Decoder::new(framing, keys, counters.to_vec())) };
        Some(match self {
            Self::Bridge => return None,
            Self::D0 => Box::new(d0::Decoder::new()),
            Self::DlmsHdlc => dlms(Framing::Hdlc),
            Self::DlmsMbus => dlms(Framing::Mbus),
            Self::DlmsWrapper => dlms(Framing::Wrapper),
            Self::P1 => Box::new(text::Text::new(keys, counters)),
            Self::Raven => Box::new(raven::Decoder::new()),
            Self::Sml => Box::new(sml::Decoder::new()),
            Self::Tic => Box::new(tic::Decoder::new()),
        })
    }
}

/// One protocol, listening.
trait Voice: std::fmt::Debug + Send {
    fn handle_bytes(&mut self, bytes: &[u8]) -> usize;
    fn poll_reading(&mut self) -> Option<Result<Reading, DecodeError>>;
    fn handle_end(&mut self) {}
    fn handle_break(&mut self);
    fn show_damaged(&mut self) {}
    /// Bytes since the beginning of a frame whose header held and that is not whole yet; 0 if none has begun.
    fn inside(&self) -> usize {
        0
    }
    /// Whether what was told last lay in another protocol's frame.
    fn is_wrapped(&self) -> bool {
        false
    }
    /// Bytes since the sealed message told last began.
    fn since_sealed(&self) -> usize {
        0
    }
    /// What the meter's counters are, where it ciphers.
    fn opener(&self) -> Option<&Opener> {
        None
    }
    /// Accepts nothing at or below these counters either.
    fn raise(&mut self, _counters: &[Counter]) {}
    /// The ciphered message that no key opened.
    fn sealed(&self) -> &[u8] {
        &[]
    }
}

macro_rules! voices {
    ($($name:ty { $($more:tt)* })+) => {$(
        impl Voice for $name {
            fn handle_bytes(&mut self, bytes: &[u8]) -> usize {
                self.handle_bytes(bytes)
            }

            fn poll_reading(&mut self) -> Option<Result<Reading, DecodeError>> {
                self.poll_reading()
            }

            fn handle_break(&mut self) {
                self.handle_break();
            }

            $($more)*
        }
    )+};
}

voices! {
    dlms::Decoder {
        fn inside(&self) -> usize {
            self.inside()
        }

        fn opener(&self) -> Option<&Opener> {
            Some(self.opener())
        }

        fn raise(&mut self, counters: &[Counter]) {
            self.raise(counters);
        }

        fn sealed(&self) -> &[u8] {
            self.sealed()
        }
    }
    d0::Decoder {
        fn handle_end(&mut self) {
            self.handle_end();
        }

        fn show_damaged(&mut self) {
            self.show_single();
        }
    }
    raven::Decoder {
        fn handle_end(&mut self) {
            self.handle_end();
        }
    }
    sml::Decoder {
        fn handle_end(&mut self) {
            self.handle_end();
        }
    }
    tic::Decoder {
        fn handle_end(&mut self) {
            self.handle_end();
        }
    }
}

/// Bytes in, readings out, whatever the meter speaks.
#[derive(Debug)]
pub struct Decoder {
    voices: Vec<(Protocol, Box<dyn Voice>)>,
    /// Place of the one that was recognised.
    chosen: Option<usize>,
    /// Bytes to listen to while none is; at most [`SIP`].
    sip: Vec<u8>,
    /// What they gave.
    heard: VecDeque<Result<Reading, DecodeError>>,
    /// Telegrams that end in a checksum have been heard, if only in damaged ones: what has none is no reading of this line.
    has_checksums: bool,
    /// What proves too little alone, and whose it is.
    held: Option<(usize, Result<Reading, DecodeError>)>,
    /// The first bytes, for a message without a frame around it, until a protocol is recognised.
    bare: Vec<u8>,
    /// Opens such a message, and knows what the meter's last counters were.
    opener: Opener,
    /// Bodies of bridges are read.
    reads_bodies: bool,
    /// The meter authenticates what it sends.
    authenticates: bool,
}

/// How much a result says about who speaks.
#[derive(PartialEq, Eq)]
enum Proof {
    /// It is this one.
    Full,
    /// It is this one if it comes again.
    Half,
    /// Something like it.
    Hint,
    /// Nothing.
    None,
}

impl Decoder {
    /// Listens for every protocol. Tries these keys, newest first; accepts nothing at or below these counters.
    pub fn new(keys: &[KeyPair], counters: &[Counter]) -> Self {
        Self::of(&Protocol::ALL, keys, counters)
    }

    /// Listens for these protocols only.
    pub fn of(protocols: &[Protocol], keys: &[KeyPair], counters: &[Counter]) -> Self {
        let voices: Vec<_> =
            protocols.iter().filter_map(|protocol| Some((*protocol, protocol.voice(keys, counters)?))).collect();
        Self {
            chosen: (protocols.len() == 1 && voices.len() == 1).then_some(0),
            voices,
            sip: Vec::new(),
            heard: VecDeque::new(),
            has_checksums: false,
            held: None,
            bare: Vec::new(),
            opener: Opener::new(keys, counters.to_vec()),
            reads_bodies: protocols.contains(&Protocol::Bridge),
            authenticates: !counters.is_empty(),
        }
    }

    /// For looking at recordings, many of which were edited after the meter had signed them off: see
    /// [`p1::Decoder::showing_damaged`].
    pub fn showing_damaged(mut self) -> Self {
        for (_, voice) in &mut self.voices {
            voice.show_damaged();
        }
        self
    }

    /// What the meter speaks, once it is known.
    pub fn protocol(&self) -> Option<Protocol> {
        self.chosen.map(|place| self.voices[place].0)
    }

    /// Takes bytes, as many as fit; gives how many. Poll until nothing comes, then hand in the rest.
    pub fn handle_bytes(&mut self, bytes: &[u8]) -> usize {
        if let Some(place) = self.chosen {
            return self.voices[place].1.handle_bytes(bytes);
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
        let result = match self.heard.pop_front() {
            Some(result) => result,
            None => self.voices[self.chosen?].1.poll_reading()?,
        };
        Some(self.judge(result))
    }

    /// The input has ended: what waits for more is judged as it is.
    pub fn handle_end(&mut self) {
        if let Some(place) = self.chosen {
            return self.voices[place].1.handle_end();
        }
        self.listen();
        for place in 0..self.voices.len() {
            if self.chosen.is_none() {
                self.voices[place].1.handle_end();
                self.hear(place, false);
            }
        }
        if self.chosen.is_some() {
            return;
        }
        if let Some((place, result)) = self.held.take() {
            // Nothing more will come that could say it again.
            self.choose(place, result);
        } else if self.heard.is_empty() {
            self.read_bare();
        }
    }

    /// The link broke: half a frame is forgotten. Keys, counters and the protocol stay.
    pub fn handle_break(&mut self) {
        for (_, voice) in &mut self.voices {
            voice.handle_break();
        }
        self.sip.clear();
        self.bare.clear();
        self.held = None;
        self.has_checksums = false;
    }

    /// Nothing was understood for long: listens for every protocol again. Keys and counters stay.
    pub fn forget_protocol(&mut self) {
        // What was counted in one protocol's frames is no news in another's.
        let counters = self.counters().to_vec();
        self.opener.raise(&counters);
        for (_, voice) in &mut self.voices {
            voice.raise(&counters);
        }
        if self.voices.len() > 1 {
            self.chosen = None;
        }
        self.handle_break();
    }

    /// The ciphered message behind the last `KeyNeeded` or `KeyWrong`.
    pub fn sealed(&self) -> &[u8] {
        self.chosen.map_or(&[], |place| self.voices[place].1.sealed())
    }

    /// The highest counters accepted so far, to be kept over a restart.
    pub fn counters(&self) -> &[Counter] {
        self.opener().counters()
    }

    /// Whether the meter always counts 0, so that a recording can hardly be told from a new frame.
    pub fn is_replay_undetectable(&self) -> bool {
        self.opener().is_replay_undetectable()
    }

    fn opener(&self) -> &Opener {
        self.chosen.and_then(|place| self.voices[place].1.opener()).unwrap_or(&self.opener)
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

    /// Lets every protocol listen to what has come, all of them to one byte after the other: which is recognised first does
    /// not depend on how the bytes were cut.
    fn listen(&mut self) {
        let sip = std::mem::take(&mut self.sip);
        for (at, byte) in sip.iter().enumerate() {
            if self.bare.len() < MAX_BARE {
                self.bare.push(*byte);
            }
            for place in 0..self.voices.len() {
                // Who has been asked for all he has takes one more.
                self.voices[place].1.handle_bytes(&[*byte]);
                self.hear(place, true);
                if self.chosen == Some(place) {
                    return self.go_on(place, &sip[at + 1..]);
                }
            }
        }
    }

    /// One protocol has been recognised: the others fall silent, and it gets what has come since.
    fn go_on(&mut self, place: usize, mut rest: &[u8]) {
        self.bare.clear();
        for (_, (_, other)) in self.voices.iter_mut().enumerate().filter(|(other, _)| *other != place) {
            other.handle_break();
        }
        while !rest.is_empty() {
            let taken = self.voices[place].1.handle_bytes(rest);
            rest = &rest[taken..];
            self.hear(place, true);
        }
    }

    /// Takes what one protocol has understood.
    fn hear(&mut self, place: usize, going_on: bool) {
        while let Some(result) = self.voices[place].1.poll_reading() {
            if self.chosen == Some(place) {
                self.heard.push_back(result);
                continue;
            }
            self.has_checksums |=
                self.voices[place].0 == Protocol::P1 && matches!(result, Err(DecodeError::Checksum { .. }));
            match self.proof(place, &result, going_on) {
                Proof::Full => self.choose(place, result),
                Proof::Half if self.held.as_ref().is_some_and(|(whose, _)| *whose == place) => {
                    self.choose(place, result)
                }
                Proof::Half => self.held = Some((place, result)),
                Proof::Hint => self.heard.push_back(result),
                Proof::None => (),
            }
        }
    }

    fn choose(&mut self, place: usize, result: Result<Reading, DecodeError>) {
        self.chosen = Some(place);
        let held = self.held.take().filter(|(whose, _)| *whose == place);
        self.heard.extend(held.map(|(_, result)| result));
        self.heard.push_back(result);
    }

    /// How much a result of one protocol says.
    fn proof(&self, place: usize, result: &Result<Reading, DecodeError>, going_on: bool) -> Proof {
        let (protocol, voice) = &self.voices[place];
        // A sealed message may lie inside another protocol's frame, whose checksum has not come yet, or whose head was lost.
        let began = voice.since_sealed();
        let holds = |inside: usize| inside == usize::MAX || (began + 1..=began + LONGEST_HEAD).contains(&inside);
        let is_inside = || voice.is_wrapped() || going_on && self.voices.iter().any(|(_, other)| holds(other.inside()));
        let is_titled = || voice.sealed().get(2..5).is_some_and(|letters| letters.iter().all(u8::is_ascii_uppercase));
        match (protocol, result) {
            (Protocol::P1, Ok(reading)) if reading.trust == Trust::Authenticated || reading.protocol == "dlms" => {
                if is_inside() {
                    Proof::None
                } else {
                    Proof::Half
                }
            }
            // Old meters send no checksum. D0 looks alike, so only what D0 never sends tells P1, and the other way round.
            (Protocol::P1, Ok(reading)) if reading.trust == Trust::Unverified => {
                match codes(reading).any(d0::is_of_p1) || !reading.children.is_empty() || reading.meter_time.is_some() {
                    true if reading.values.len() >= MANY => Proof::Full,
                    true => Proof::Half,
                    false => Proof::None,
                }
            }
            (Protocol::D0, Ok(reading)) if reading.trust == Trust::Unverified => {
                if self.has_checksums || codes(reading).any(d0::is_of_p1) { Proof::None } else { Proof::Full }
            }
            // Six bits of checksum a line. Whole lines in rubbish, without the first, are no frame: they may have been blown
            // into another meter's telegrams, which have bytes enough that seem to begin and end one.
            (Protocol::Tic, Ok(reading)) if reading.trust == Trust::Unverified => {
                if reading.equipment.is_some() {
                    Proof::Half
                } else {
                    Proof::None
                }
            }
            (Protocol::Tic, Ok(reading)) if reading.values.len() < MANY => Proof::Half,
            (Protocol::DlmsWrapper, Ok(reading)) if reading.trust == Trust::Unverified => Proof::Half,
            (_, Ok(_)) => Proof::Full,
            // Nothing but its look tells a sealed frame without a key: a maker's three letters begin its title.
            (Protocol::P1, Err(error)) if error.proves_frame() => {
                let needs_key = matches!(error, DecodeError::KeyNeeded | DecodeError::KeyWrong);
                if is_inside() || needs_key && !is_titled() { Proof::None } else { Proof::Half }
            }
            // The wrapper has no checksum, but what is in it fills it.
            (Protocol::DlmsWrapper, Err(DecodeError::KeyNeeded)) if !is_titled() || !is_whole(voice.sealed()) => {
                Proof::None
            }
            (_, Err(error)) if error.proves_frame() => Proof::Full,
            (_, Err(error)) if error.hints_at_frame() => Proof::Hint,
            _ => Proof::None,
        }
    }

    /// Reads what came as one message without a frame around it: a datagram, a bridge's body, or a recording of one.
    fn read_bare(&mut self) {
        let bare = std::mem::take(&mut self.bare);
        if self.reads_bodies
            && let Some(kind) = bridge::recognise(&bare)
        {
            return self.heard.push_back(bridge::decode(kind, &bare));
        }
        let mut pending = None;
        let result = dlms::read(&bare, Trust::Unverified, &mut self.opener, &mut pending);
        if pending.is_none() && result.as_ref().err().is_none_or(|error| error.proves_frame()) {
            self.heard.push_back(result);
        }
    }
}

/// Whether a sealed message ends where it says: tag, title with its length, length, and so many bytes.
fn is_whole(sealed: &[u8]) -> bool {
    sealed.get(10..).and_then(ber_length).is_some_and(|(length, rest)| length == rest.len())
}

/// The codes that a telegram had, understood or not.
fn codes(reading: &Reading) -> impl Iterator<Item = Obis> {
    let kept = reading.not_understood.iter().filter_map(|kept| kept.obis);
    reading.values.iter().map(|value| value.obis).chain(kept)
}
