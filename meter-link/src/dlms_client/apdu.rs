//! Questions and answers of the get and action services. There is no set service here, and no other action than those of
//! [`Method`]: what this client cannot write, it cannot send.
//!
//! Source: Green Book, section 9.5 (abstract syntax of COSEM PDUs).

use super::data::{Data, Reader, write_octets};
use super::error::ClientError;
use crate::error::DecodeError;
use crate::obis::Obis;

/// Confirmed, high priority, number 1: there is one open question at a time.
const INVOKE: u8 = 0xC1;

/// Classes that are read: data, registers, profiles, clock, associations, names, security setup, limiter, M-Bus client.
const READABLE: [u16; 11] = [1, 3, 4, 5, 6, 7, 8, 15, 17, 64, 72];

/// One attribute of a readable class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    class: u16,
    obis: Obis,
    number: u8,
    selection: Option<Selection>,
}

impl Attribute {
    /// `None` for a class that this client does not touch, a disconnector (70) before all.
    pub fn new(class: u16, obis: Obis, number: u8) -> Option<Self> {
        READABLE.contains(&class).then_some(Self { class, obis, number, selection: None })
    }

    /// A part of a profile's buffer.
    pub fn profile(obis: Obis, selection: Option<Selection>) -> Self {
        Self { class: 7, obis, number: 2, selection }
    }

    /// Its object's code.
    pub const fn obis(&self) -> Obis {
        self.obis
    }

    fn write(&self, to: &mut Vec<u8>) {
        write_object(self.class, self.obis, self.number, to);
        match &self.selection {
            None => to.push(0),
            Some(selection) => {
                to.push(1);
                selection.write(to);
            }
        }
    }
}

/// Which rows of a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Rows by place, from 1; `to` 0 for the last.
    Entries {
        /// First row.
        from: u32,
        /// Last row.
        to: u32,
    },
    /// Rows by the clock, both ends included, as 12 octets each.
    Range {
        /// First instant.
        from: [u8; 12],
        /// Last instant.
        to: [u8; 12],
    },
}

impl Selection {
    fn write(&self, to: &mut Vec<u8>) {
        match self {
            Self::Entries { from, to: last } => {
                to.extend([2, 2, 4, 6]);
                to.extend(from.to_be_bytes());
                to.push(6);
                to.extend(last.to_be_bytes());
                // All columns.
                to.extend([0x12, 0, 1, 0x12, 0, 0]);
            }
            Self::Range { from, to: last } => {
                // By the clock: class 8, 0-0:1.0.0, attribute 2.
                to.extend([1, 2, 4, 2, 4, 0x12, 0, 8, 9, 6, 0, 0, 1, 0, 0, 255, 0x0F, 2, 0x12, 0, 0]);
                for instant in [from, last] {
                    to.extend([9, 12]);
                    to.extend(instant);
                }
                to.extend([1, 0]);
            }
        }
    }
}

/// The only methods that are ever called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    AgreeKey,
    ProveOurselves,
    TransferKeys,
}

impl Method {
    const fn target(self) -> (u16, Obis, u8) {
        match self {
            Self::AgreeKey => (64, Obis::new(0, 0, 43, 0, 0), 3),
            Self::ProveOurselves => (15, Obis::new(0, 0, 40, 0, 0), 1),
            Self::TransferKeys => (64, Obis::new(0, 0, 43, 0, 0), 2),
        }
    }
}

fn write_object(class: u16, obis: Obis, number: u8, to: &mut Vec<u8>) {
    to.extend(class.to_be_bytes());
    to.extend([obis.a, obis.b, obis.c, obis.d, obis.e, obis.f, number]);
}

pub(crate) fn get(attributes: &[Attribute]) -> Vec<u8> {
    let mut apdu = vec![0xC0];
    if let [attribute] = attributes {
        apdu.extend([1, INVOKE]);
        attribute.write(&mut apdu);
    } else {
        // At most 255: the caller has checked.
        apdu.extend([3, INVOKE]);
        super::data::write_length(attributes.len(), &mut apdu);
        attributes.iter().for_each(|attribute| attribute.write(&mut apdu));
    }
    apdu
}

pub(crate) fn get_next(block: u32) -> Vec<u8> {
    [&[0xC0, 2, INVOKE], &block.to_be_bytes()[..]].concat()
}

pub(crate) fn action(method: Method, parameter: &[u8]) -> Vec<u8> {
    let mut apdu = vec![0xC3, 1, INVOKE];
    let (class, obis, number) = method.target();
    write_object(class, obis, number, &mut apdu);
    apdu.push(1);
    apdu.extend(parameter);
    apdu
}

/// A block of a long parameter; block 1 names the method.
pub(crate) fn action_block(method: Method, part: &[u8], number: u32, is_last: bool) -> Vec<u8> {
    let mut apdu = vec![0xC3, if number == 1 { 4 } else { 6 }, INVOKE];
    if number == 1 {
        let (class, obis, attribute) = method.target();
        write_object(class, obis, attribute, &mut apdu);
    }
    apdu.push(u8::from(is_last));
    apdu.extend(number.to_be_bytes());
    write_octets(part, &mut apdu);
    apdu
}

pub(crate) fn action_next(block: u32) -> Vec<u8> {
    [&[0xC3, 2, INVOKE], &block.to_be_bytes()[..]].concat()
}

/// What came back for one attribute.
pub type Got = Result<Data, ClientError>;

/// An answer of the meter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// A block of an answer; `is_get` tells of which service.
    Block {
        is_get: bool,
        is_last: bool,
        number: u32,
        part: Vec<u8>,
    },
    /// The meter took a block of ours.
    BlockTaken(u32),
    Done(Option<Data>),
    Exception {
        state: u8,
        service: u8,
        expected: Option<u32>,
    },
    Got(Vec<Got>),
}

pub(crate) fn answer(apdu: &[u8]) -> Result<Answer, ClientError> {
    let mut reader = Reader::new(apdu);
    match reader.u8()? {
        0xC4 => {
            let kind = reader.u8()?;
            invoked(&mut reader)?;
            match kind {
                1 => {
                    let got = got(&mut reader)?;
                    reader.end()?;
                    Ok(Answer::Got(vec![got]))
                }
                2 => {
                    let (is_last, number) = (reader.u8()? != 0, reader.u32()?);
                    if reader.u8()? != 0 {
                        return Ok(Answer::Got(vec![Err(ClientError::AccessRefused { result: reader.u8()? })]));
                    }
                    Ok(Answer::Block { is_get: true, is_last, number, part: reader.octets()?.to_vec() })
                }
                3 => Ok(Answer::Got(got_list(reader.rest())?)),
                _ => Err(reader.malformed().into()),
            }
        }
        0xC7 => {
            let kind = reader.u8()?;
            invoked(&mut reader)?;
            match kind {
                1 => done(reader.rest()),
                2 => {
                    let (is_last, number) = (reader.u8()? != 0, reader.u32()?);
                    Ok(Answer::Block { is_get: false, is_last, number, part: reader.octets()?.to_vec() })
                }
                4 => Ok(Answer::BlockTaken(reader.u32()?)),
                _ => Err(reader.malformed().into()),
            }
        }
        0xD8 => {
            let (state, service) = (reader.u8()?, reader.u8()?);
            let expected = if service == 6 { reader.u32().ok() } else { None };
            Ok(Answer::Exception { state, service, expected })
        }
        0x0E => {
            let service = reader.u8()?;
            Err(ClientError::ServiceRefused { service, error: reader.array::<2>()?[1] })
        }
        tag => Err(ClientError::Unexpected { tag }),
    }
}

fn invoked(reader: &mut Reader<'_>) -> Result<(), ClientError> {
    let tag = reader.u8()?;
    if tag & 0x0F == INVOKE & 0x0F { Ok(()) } else { Err(ClientError::Unexpected { tag }) }
}

/// Data, or why not. The outer error: the bytes make no sense.
fn got(reader: &mut Reader<'_>) -> Result<Got, DecodeError> {
    match reader.u8()? {
        0 => reader.data().map(Ok),
        1 => Ok(Err(ClientError::AccessRefused { result: reader.u8()? })),
        _ => Err(reader.malformed()),
    }
}

pub(crate) fn got_list(bytes: &[u8]) -> Result<Vec<Got>, DecodeError> {
    let mut reader = Reader::new(bytes);
    let count = reader.length()?;
    if count > bytes.len() {
        return Err(reader.malformed());
    }
    let list = (0..count).map(|_| got(&mut reader)).collect::<Result<_, _>>()?;
    reader.end()?;
    Ok(list)
}

/// The result of an action, and what it gives back.
pub(crate) fn done(bytes: &[u8]) -> Result<Answer, ClientError> {
    let mut reader = Reader::new(bytes);
    let result = reader.u8()?;
    if result != 0 {
        return Err(ClientError::AccessRefused { result });
    }
    // Some leave out that nothing comes back.
    if reader.is_empty() || reader.u8()? == 0 {
        return Ok(Answer::Done(None));
    }
    let data = got(&mut reader)??;
    reader.end()?;
    Ok(Answer::Done(Some(data)))
}
