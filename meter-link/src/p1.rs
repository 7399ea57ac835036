//! P1: the telegram that a meter's customer port sends by itself (DSMR 2.2 to 5, ESMR 5, eMUCS, and their kin in Sweden,
//! Finland, Denmark, Norway, Lithuania, Hungary, Switzerland, Austria and Luxembourg).
//!
//! Five ideas, one file each: [`framer`] cuts bytes into frames, [`telegram`] reads the grammar, [`objects`] is the table
//! of OBIS codes, [`reading`] gives the meaning, `template` saves both where a telegram is like the last.
//! [`Decoder`] joins them with the opening of encrypted frames. No clock, no port; at most [`framer::MAX_FRAME`] bytes are
//! kept.
//!
//! Source: DSMR P1 Companion Standard 5.0.2, IEC 62056-21 mode D, eMUCS-P1 1.7.1.

pub mod framer;
pub mod objects;
pub mod print;
pub mod reading;
pub mod telegram;
mod template;
pub mod time;

use crate::dlms;
use crate::error::DecodeError;
use crate::reading::{Reading, Trust};
use crate::security::{Counter, KeyPair, Opener};
use framer::{Frame, Framer};
use telegram::Telegram;
use template::Template;

/// Bytes in, readings out.
#[derive(Debug)]
pub struct Decoder {
    framer: Framer,
    opener: Opener,
    template: Template,
    /// What an opened frame's telegram said wrongly, told after its reading.
    pending: Option<DecodeError>,
    /// Whether a telegram whose checksum fails is shown after its error.
    shows_damaged: bool,
    /// Such a telegram.
    damaged: Option<Reading>,
    /// It is told next.
    is_damaged_due: bool,
    /// The sealed frame that no key opened, until the next one.
    sealed: Vec<u8>,
    /// The last notification that came sealed like a telegram.
    notified: Option<Reading>,
}

impl Decoder {
    /// A decoder that tries these keys, newest first, on encrypted frames.
    pub fn new(keys: Vec<KeyPair>) -> Self {
        Self::resuming(&keys, Vec::new())
    }

    /// The same after a restart: nothing at or below these counters is accepted.
    pub fn resuming(keys: &[KeyPair], counters: Vec<Counter>) -> Self {
        let mut framer = Framer::default();
        if let Some(counter) = counters.last() {
            framer.know_title(counter.title);
        }
        Self {
            framer,
            opener: Opener::new(keys, counters),
            template: Template::default(),
            pending: None,
            shows_damaged: false,
            damaged: None,
            is_damaged_due: false,
            sealed: Vec::new(),
            notified: None,
        }
    }

    /// For looking at recordings, many of which were edited after the meter had signed them off: a telegram whose checksum
    /// fails is also given, after its error and as unverified. Never for what enters a home's books.
    pub fn showing_damaged(mut self) -> Self {
        self.show_damaged();
        self
    }

    pub(crate) const fn show_damaged(&mut self) {
        self.shows_damaged = true;
    }

    /// The sealed frame behind the last `KeyNeeded` or `KeyWrong`, so that it can be read once its key is known.
    pub fn sealed(&self) -> &[u8] {
        &self.sealed
    }

    /// Whether the sealed frame told last lay in another protocol's frame.
    pub(crate) const fn is_wrapped(&self) -> bool {
        self.framer.is_wrapped()
    }

    /// Bytes taken since the sealed frame told last began.
    pub(crate) const fn since_sealed(&self) -> usize {
        self.framer.since_sealed()
    }

    /// What is known of the meter's counters.
    pub const fn opener(&self) -> &Opener {
        &self.opener
    }

    /// Accepts nothing at or below these counters either.
    pub(crate) fn raise(&mut self, counters: &[Counter]) {
        self.opener.raise(counters);
        if let Some(counter) = counters.last() {
            self.framer.know_title(counter.title);
        }
    }

    /// Takes bytes, as many as fit; gives how many. Poll until nothing comes, then hand in the rest.
    pub fn handle_bytes(&mut self, bytes: &[u8]) -> usize {
        self.framer.handle_bytes(bytes)
    }

    /// The input has ended: what waits for more is judged as it is.
    pub fn handle_end(&mut self) {
        self.framer.handle_end();
    }

    /// The link broke: half a frame is forgotten. Keys stay, and so do the counters that no later frame may fall below.
    pub fn handle_break(&mut self) {
        self.framer.clear();
        self.pending = None;
    }

    /// The next reading, or what became of a frame that gave none. `None`: more bytes are needed.
    pub fn poll_reading(&mut self) -> Option<Result<Reading, DecodeError>> {
        self.poll().map(|result| result.cloned())
    }

    /// The same, lent until the next poll: a telegram like the one before it then costs no allocation.
    pub fn poll(&mut self) -> Option<Result<&Reading, DecodeError>> {
        if let Some(error) = self.pending.take() {
            return Some(Err(error));
        }
        if std::mem::take(&mut self.is_damaged_due) {
            return self.damaged.as_ref().map(Ok);
        }
        let frame = match self.framer.poll_frame()? {
            Ok(frame) => frame,
            Err(error) => {
                if self.shows_damaged && matches!(error, DecodeError::Checksum { .. }) {
                    let telegram = Telegram::parse(self.framer.refused());
                    self.damaged = Some(reading::interpret(&telegram, Trust::Unverified));
                    self.is_damaged_due = true;
                }
                return Some(Err(error));
            }
        };
        match frame {
            Frame::Telegram { .. } | Frame::SealedUntitled(_) if self.opener.authenticates() => {
                Some(Err(DecodeError::TagMissing))
            }
            Frame::Telegram { bytes, checked } => {
                let trust = if checked { Trust::Checked } else { Trust::Unverified };
                Some(Ok(self.template.read(bytes, trust)))
            }
            Frame::SealedUntitled(_) => Some(Err(DecodeError::TitleMissing)),
            Frame::Sealed(bytes) => {
                let Self { opener, template, notified, pending, sealed, .. } = self;
                let result = open(bytes, opener, template, notified, pending);
                if matches!(result, Err(DecodeError::KeyNeeded | DecodeError::KeyWrong)) {
                    sealed.clear();
                    sealed.extend_from_slice(bytes);
                }
                match result {
                    Ok(Reading { counter: Some(counter), .. }) => self.framer.know_title(counter.title),
                    Err(DecodeError::AuthenticationKeyWrong | DecodeError::KeyWrong | DecodeError::TagMissing) => {
                        self.framer.doubt();
                    }
                    _ => (),
                }
                Some(result)
            }
        }
    }
}

/// Opens one whole sealed frame that was kept, and reads it.
pub(crate) fn read_sealed(frame: &[u8], opener: &mut Opener) -> Result<Reading, DecodeError> {
    open(frame, opener, &mut Template::default(), &mut None, &mut None).cloned()
}

/// Opens a sealed frame and reads it: a telegram, or a DLMS notification that came without a frame around it. What an inner
/// checksum says wrongly is left in `pending`.
fn open<'a>(
    frame: &[u8],
    opener: &mut Opener,
    template: &'a mut Template,
    notified: &'a mut Option<Reading>,
    pending: &mut Option<DecodeError>,
) -> Result<&'a Reading, DecodeError> {
    let opened = opener.open(frame)?;
    if opened.plain.first() == Some(&0x0F) {
        return dlms::read_opened(&opened, pending).map(|reading| &*notified.insert(reading));
    }
    let inner = framer::split(opened.plain).ok_or(DecodeError::NoTelegram)?;
    // Without a tag only a whole telegram with its own checksum is believed at all.
    let whole = inner.sent == Some(inner.computed) && inner.rest == b"\r\n";
    if opened.trust == Trust::Unverified && !whole {
        return Err(DecodeError::KeyWrong);
    }
    // After a good tag the inner checksum adds nothing; the one public real frame has a wrong one.
    if let (expected, Some(found)) = (inner.computed, inner.sent)
        && expected != found
    {
        *pending = Some(DecodeError::InnerChecksum { expected, found });
    }
    let reading = template.read(inner.bytes, opened.trust);
    reading.counter = opened.counter;
    Ok(reading)
}

#[cfg(test)]
mod tests;
