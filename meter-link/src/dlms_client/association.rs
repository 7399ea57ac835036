//! Opening and closing an association: AARQ, AARE, RLRQ.
//!
//! Source: Green Book, sections 9.4.2 (ACSE), 9.5 (their BER); xDLMS initiate request and response.

use super::data::{Reader, write_octets};
use super::error::ClientError;
use crate::error::DecodeError;

/// What both sides of an association can do, as a bit string of 24.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conformance(pub u32);

impl Conformance {
    /// Sealed messages of any service.
    pub const GENERAL_PROTECTION: Self = Self(0x40_0000);
    /// Any message in blocks.
    pub const GENERAL_BLOCKS: Self = Self(0x20_0000);
    /// A part of a profile's rows.
    pub const SELECTIVE_ACCESS: Self = Self(0x04);
    /// What this client uses: general protection and blocks, blocks of get and action, several attributes at once,
    /// get, selective access, action.
    pub const READER: Self = Self(0x60_1615);

    /// Whether all of `other` is in it.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// What the meter agreed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// What both can do.
    pub conformance: Conformance,
    /// The longest message that the meter takes; 0 for no limit.
    pub longest: u16,
}

/// The meter's answer, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) result: u8,
    pub(crate) diagnostic: u8,
    pub(crate) title: Option<[u8; 8]>,
    pub(crate) challenge: Vec<u8>,
    /// The initiate response, sealed or not.
    pub(crate) information: Vec<u8>,
}

/// Object identifier 2.16.756.5.8.`arc`.`number`.
const fn identifier(arc: u8, number: u8) -> [u8; 7] {
    [0x60, 0x85, 0x74, 0x05, 0x08, arc, number]
}

fn tagged(tag: u8, content: &[u8], to: &mut Vec<u8>) {
    to.push(tag);
    write_octets(content, to);
}

/// AARQ. `mechanism` 0 for none; `information` is the initiate request, sealed or not.
pub(crate) fn request(
    ciphered: bool,
    title: Option<[u8; 8]>,
    mechanism: u8,
    value: &[u8],
    information: &[u8],
) -> Vec<u8> {
    let mut body = Vec::new();
    tagged(0xA1, &[&[6, 7][..], &identifier(1, if ciphered { 3 } else { 1 })].concat(), &mut body);
    if let Some(title) = title {
        tagged(0xA6, &[&[4, 8][..], &title].concat(), &mut body);
    }
    if mechanism > 0 {
        body.extend([0x8A, 2, 7, 0x80]);
        tagged(0x8B, &identifier(2, mechanism), &mut body);
        let mut inner = Vec::new();
        tagged(0x80, value, &mut inner);
        tagged(0xAC, &inner, &mut body);
    }
    let mut inner = Vec::new();
    tagged(4, information, &mut inner);
    tagged(0xBE, &inner, &mut body);
    let mut apdu = Vec::new();
    tagged(0x60, &body, &mut apdu);
    apdu
}

/// RLRQ, normal; `information` as in the AARQ, or empty.
pub(crate) fn release(information: &[u8]) -> Vec<u8> {
    let mut body = vec![0x80, 1, 0];
    if !information.is_empty() {
        let mut inner = Vec::new();
        tagged(4, information, &mut inner);
        tagged(0xBE, &inner, &mut body);
    }
    let mut apdu = Vec::new();
    tagged(0x62, &body, &mut apdu);
    apdu
}

/// Initiate request.
pub(crate) fn initiate(dedicated: Option<&[u8]>, conformance: Conformance, longest: u16) -> Vec<u8> {
    let mut plain = vec![1];
    match dedicated {
        None => plain.push(0),
        Some(key) => {
            plain.push(1);
            write_octets(key, &mut plain);
        }
    }
    // Response allowed by default, no quality of service, version 6.
    plain.extend([0, 0, 6, 0x5F, 0x1F, 4, 0]);
    plain.extend(&conformance.0.to_be_bytes()[1..]);
    plain.extend(longest.to_be_bytes());
    plain
}

/// AARE.
pub(crate) fn response(apdu: &[u8]) -> Result<Response, ClientError> {
    let mut outer = Reader::new(apdu);
    let tag = outer.u8()?;
    if tag != 0x61 {
        return Err(ClientError::Unexpected { tag });
    }
    let mut body = Reader::new(outer.octets()?);
    // Nothing accepted until it says so.
    let mut response = Response { result: 1, ..Response::default() };
    while !body.is_empty() {
        let tag = body.u8()?;
        let content = body.octets()?;
        let mut inner = Reader::new(content);
        match tag {
            0xA2 | 0xA3 => {
                // A choice of source, then an integer; the result is an integer at once.
                if tag == 0xA3 {
                    inner.u8()?;
                    inner.length()?;
                }
                inner.u8()?;
                let number = *inner.octets()?.last().ok_or_else(|| inner.malformed())?;
                if tag == 0xA2 {
                    response.result = number;
                } else {
                    response.diagnostic = number;
                }
            }
            0xA4 => {
                inner.u8()?;
                response.title = Some(inner.octets()?.try_into().map_err(|_| inner.malformed())?);
            }
            0xAA => {
                inner.u8()?;
                response.challenge = inner.octets()?.to_vec();
            }
            0xBE => {
                inner.u8()?;
                response.information = inner.octets()?.to_vec();
            }
            _ => (),
        }
    }
    Ok(response)
}

/// Initiate response, or the error in its place.
pub(crate) fn agreed(plain: &[u8]) -> Result<Agreed, ClientError> {
    let mut reader = Reader::new(plain);
    match reader.u8()? {
        0x08 => (),
        0x0E => return Err(ClientError::ServiceRefused { service: reader.u8()?, error: reader.array::<2>()?[1] }),
        tag => return Err(ClientError::Unexpected { tag }),
    }
    if reader.u8()? != 0 {
        reader.u8()?;
    }
    if reader.u8()? != 6 || reader.array::<2>()? != [0x5F, 0x1F] || reader.octets()?.len() != 4 {
        return Err(DecodeError::Malformed { offset: 2 }.into());
    }
    // Just read: four bytes, the first of which counts unused bits.
    let start = plain.len() - reader.rest().len() - 3;
    let mut reader = Reader::new(&plain[start..]);
    let [high, middle, low] = reader.array()?;
    Ok(Agreed { conformance: Conformance(u32::from_be_bytes([0, high, middle, low])), longest: reader.u16()? })
}
