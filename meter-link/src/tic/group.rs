//! The grammar of a TIC frame: groups of a label, at times a horodate, and a value, each with its own checksum.
//!
//! Borrows from the frame, allocates nothing, interprets nothing. The checksum has six bits: it sees neither two swapped
//! bytes nor a bit 6 that flipped, so characters that cannot be there make a group malformed as well.
//!
//! Source: Enedis-NOI-CPT_54E, section 5.3.5; Enedis-NOI-CPT_02E, section 4.

use crate::error::DecodeError;

/// Most characters of a label: four more than `SMAXSN2-1` and `PJOURF+1` have.
const MAX_LABEL: usize = 13;

/// How a meter sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// As meters did before Linky: separated by spaces, the last of which is not summed.
    Historique,
    /// Separated by tabs, all of which are summed.
    Standard,
}

/// One group whose checksum held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group<'a> {
    /// Which mode it was sent in.
    pub mode: Mode,
    /// What it is about: `EAST`.
    pub label: &'a [u8],
    /// The instant the value belongs to, standard mode only: `E210414070239`.
    pub horodate: Option<&'a [u8]>,
    /// The value; empty for a group that is all horodate.
    pub value: &'a [u8],
}

impl Mode {
    /// What stands between the parts of a group.
    pub const fn separator(self) -> u8 {
        match self {
            Self::Historique => b' ',
            Self::Standard => b'\t',
        }
    }
}

/// The groups of a frame, each with what it says or what is wrong with it.
pub fn groups(frame: &[u8]) -> impl Iterator<Item = Result<Group<'_>, DecodeError>> {
    let mut at = 0;
    // Line feed begins and carriage return ends a group. Where noise took one of them, the other still parts the groups.
    frame.split(|byte| matches!(byte, b'\n' | b'\r')).filter_map(move |text| {
        let offset = at;
        at += text.len() + 1;
        (!text.is_empty()).then(|| parse(text, offset))
    })
}

/// Reads one group from its label to its checksum.
fn parse(text: &[u8], offset: usize) -> Result<Group<'_>, DecodeError> {
    let malformed = DecodeError::Malformed { offset };
    let mode = if text.contains(&b'\t') { Mode::Standard } else { Mode::Historique };
    let [content @ .., separator, found] = text else { return Err(malformed) };
    if *separator != mode.separator() || !text.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~')) {
        return Err(malformed);
    }
    let expected = checksum(mode, content);
    if expected != *found {
        return Err(DecodeError::LineChecksum { expected, found: *found });
    }
    let group = match mode {
        Mode::Historique => {
            let label = content.iter().position(|byte| *byte == b' ').ok_or(malformed)?;
            Group { mode, label: &content[..label], horodate: None, value: &content[label + 1..] }
        }
        Mode::Standard => {
            let mut parts = content.split(|byte| *byte == b'\t');
            match (parts.next(), parts.next(), parts.next(), parts.next()) {
                (Some(label), Some(value), None, None) => Group { mode, label, horodate: None, value },
                (Some(label), horodate, Some(value), None) => Group { mode, label, horodate, value },
                _ => return Err(malformed),
            }
        }
    };
    let is_label = |byte: &u8| matches!(byte, b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'-' | b'_');
    let good = (1..=MAX_LABEL).contains(&group.label.len()) && group.label.iter().all(is_label);
    if good { Ok(group) } else { Err(malformed) }
}

/// The checksum over a group from its label to before the last separator, which standard mode sums too.
pub fn checksum(mode: Mode, content: &[u8]) -> u8 {
    let last = match mode {
        Mode::Historique => 0,
        Mode::Standard => b'\t',
    };
    (content.iter().fold(last, |sum, byte| sum.wrapping_add(*byte)) & 0x3F) + 0x20
}
