//! A-XDR data as COSEM attributes carry it. All types are read; nesting is at most [`MAX_DEPTH`] deep, and an element takes
//! at least one byte of input, so what is built stays in proportion to what came.
//!
//! Source: Blue Book part 2, section 4.1.5 (common data types); IEC 61334-6 (A-XDR).

use std::fmt;

use crate::decimal::Decimal;
use crate::error::DecodeError;

/// Profiles nest three deep; eight leaves room for objects nobody here has seen.
pub const MAX_DEPTH: u8 = 8;

/// One value. `Debug` shows its kind only: it may be a serial number.
#[derive(Clone, PartialEq, Eq)]
pub enum Data {
    /// Array, or compact array, of equals.
    Array(Vec<Self>),
    /// Bits, first bit highest, and how many count.
    Bits(Vec<u8>, usize),
    /// A truth.
    Boolean(bool),
    /// A number chosen from a list.
    Enumeration(u8),
    /// No value, or in a profile the value that is to be expected.
    Null,
    /// Any integer or binary-coded number.
    Integer(i128),
    /// A floating point number, as the shortest decimal that means it. `None`: no such decimal has 18 digits.
    Float(Option<Decimal>),
    /// Octets; also date-time (12), date (5) and time (4).
    Octets(Vec<u8>),
    /// Elements of different kinds.
    Structure(Vec<Self>),
    /// Visible or UTF-8 text, as sent.
    Text(Vec<u8>),
}

impl Data {
    /// The elements of an array or a structure.
    pub fn elements(&self) -> Option<&[Self]> {
        match self {
            Self::Array(elements) | Self::Structure(elements) => Some(elements),
            _ => None,
        }
    }

    /// Octets or text.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Octets(bytes) | Self::Text(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// A whole number of any width.
    pub fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => i64::try_from(*number).ok(),
            Self::Enumeration(number) => Some(i64::from(*number)),
            _ => None,
        }
    }

    /// A number of any kind, exactly. `None` if it has more than 18 digits or is no number.
    pub fn number(&self) -> Option<Decimal> {
        match self {
            Self::Float(number) => *number,
            _ => {
                let number = self.integer()?;
                (number.unsigned_abs() < 10_u64.pow(Decimal::MAX_DIGITS as u32)).then(|| Decimal::whole(number))
            }
        }
    }

    /// Reads one value that fills `bytes`.
    pub fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let data = reader.data()?;
        reader.end()?;
        Ok(data)
    }
}

impl fmt::Debug for Data {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Array(_) => "Array(…)",
            Self::Bits(..) => "Bits(…)",
            Self::Boolean(_) => "Boolean(…)",
            Self::Enumeration(_) => "Enumeration(…)",
            Self::Null => "Null",
            Self::Integer(_) => "Integer(…)",
            Self::Float(_) => "Float(…)",
            Self::Octets(_) => "Octets(…)",
            Self::Structure(_) => "Structure(…)",
            Self::Text(_) => "Text(…)",
        })
    }
}

/// Reads from the front of some bytes; knows where it is.
#[derive(Clone)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    /// Start of the unread part. place <= bytes.len()
    place: usize,
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, place: 0 }
    }

    pub(crate) const fn malformed(&self) -> DecodeError {
        DecodeError::Malformed { offset: self.place }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.place == self.bytes.len()
    }

    pub(crate) const fn end(&self) -> Result<(), DecodeError> {
        if self.is_empty() { Ok(()) } else { Err(self.malformed()) }
    }

    pub(crate) fn rest(&mut self) -> &'a [u8] {
        let rest = &self.bytes[self.place..];
        self.place = self.bytes.len();
        rest
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let bytes = self.bytes[self.place..].get(..length).ok_or_else(|| self.malformed())?;
        self.place += length;
        Ok(bytes)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (array, _) = self.bytes[self.place..].split_first_chunk().ok_or_else(|| self.malformed())?;
        self.place += N;
        Ok(*array)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_be_bytes)
    }

    /// A length in the form that A-XDR and BER share: one byte up to 127, else how many bytes and the bytes.
    pub(crate) fn length(&mut self) -> Result<usize, DecodeError> {
        let first = self.u8()?;
        if first < 0x80 {
            return Ok(usize::from(first));
        }
        let more = usize::from(first & 0x7F);
        if more == 0 || more > 4 {
            return Err(self.malformed());
        }
        let mut length = 0;
        for byte in self.take(more)? {
            length = length << 8 | usize::from(*byte);
        }
        Ok(length)
    }

    /// A length and that many bytes.
    pub(crate) fn octets(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = self.length()?;
        self.take(length)
    }

    pub(crate) fn data(&mut self) -> Result<Data, DecodeError> {
        self.value(MAX_DEPTH)
    }

    fn value(&mut self, depth: u8) -> Result<Data, DecodeError> {
        let kind = self.u8()?;
        self.content(kind, depth)
    }

    fn content(&mut self, kind: u8, depth: u8) -> Result<Data, DecodeError> {
        Ok(match kind {
            0 => Data::Null,
            1 => Data::Array(self.elements(depth)?),
            2 => Data::Structure(self.elements(depth)?),
            3 => Data::Boolean(self.u8()? != 0),
            4 => {
                let bits = self.length()?;
                Data::Bits(self.take(bits.div_ceil(8))?.to_vec(), bits)
            }
            5 => Data::Integer(i32::from_be_bytes(self.array()?).into()),
            6 => Data::Integer(self.u32()?.into()),
            9 => Data::Octets(self.octets()?.to_vec()),
            10 | 12 => Data::Text(self.octets()?.to_vec()),
            13 => Data::Integer(binary_coded(self.u8()?).ok_or_else(|| self.malformed())?.into()),
            15 => Data::Integer(i8::from_be_bytes(self.array()?).into()),
            16 => Data::Integer(i16::from_be_bytes(self.array()?).into()),
            17 => Data::Integer(self.u8()?.into()),
            18 => Data::Integer(self.u16()?.into()),
            19 => self.compact(depth)?,
            20 => Data::Integer(i64::from_be_bytes(self.array()?).into()),
            21 => Data::Integer(u64::from_be_bytes(self.array()?).into()),
            22 => Data::Enumeration(self.u8()?),
            23 => Data::Float(Decimal::of_binary32(self.u32()?)),
            24 => Data::Float(Decimal::of_binary64(u64::from_be_bytes(self.array()?))),
            25 => Data::Octets(self.take(12)?.to_vec()),
            26 => Data::Octets(self.take(5)?.to_vec()),
            27 => Data::Octets(self.take(4)?.to_vec()),
            _ => return Err(self.malformed()),
        })
    }

    fn elements(&mut self, depth: u8) -> Result<Vec<Data>, DecodeError> {
        let count = self.length()?;
        if depth == 0 || count > self.bytes.len() - self.place {
            return Err(self.malformed());
        }
        (0..count).map(|_| self.value(depth - 1)).collect()
    }

    /// A description of one element, then the bytes of all.
    fn compact(&mut self, depth: u8) -> Result<Data, DecodeError> {
        let start = self.place;
        self.skip_kind(depth)?;
        let kind = &self.bytes[start..self.place];
        let mut content = Reader::new(self.octets()?);
        let mut elements = Vec::new();
        while !content.is_empty() {
            let before = content.place;
            elements.push(content.described(&mut Reader::new(kind), depth)?);
            if content.place == before {
                return Err(self.malformed());
            }
        }
        Ok(Data::Array(elements))
    }

    fn skip_kind(&mut self, depth: u8) -> Result<(), DecodeError> {
        if depth == 0 {
            return Err(self.malformed());
        }
        match self.u8()? {
            1 => {
                self.u16()?;
                self.skip_kind(depth - 1)
            }
            2 => {
                let count = self.length()?;
                (0..count).try_for_each(|_| self.skip_kind(depth - 1))
            }
            _ => Ok(()),
        }
    }

    fn described(&mut self, kind: &mut Reader<'_>, depth: u8) -> Result<Data, DecodeError> {
        if depth == 0 {
            return Err(self.malformed());
        }
        match kind.u8()? {
            1 => {
                let count = kind.u16()?;
                let element = kind.clone();
                let mut elements = Vec::new();
                for _ in 0..count {
                    let before = self.place;
                    elements.push(self.described(&mut element.clone(), depth - 1)?);
                    if self.place == before {
                        return Err(self.malformed());
                    }
                }
                kind.skip_kind(depth - 1)?;
                Ok(Data::Array(elements))
            }
            2 => {
                let count = kind.length()?;
                (0..count).map(|_| self.described(kind, depth - 1)).collect::<Result<_, _>>().map(Data::Structure)
            }
            kind => self.content(kind, depth - 1),
        }
    }
}

fn binary_coded(byte: u8) -> Option<u8> {
    (byte >> 4 < 10 && byte & 15 < 10).then(|| (byte >> 4) * 10 + (byte & 15))
}

/// Appends a length in the form that A-XDR and BER share.
pub(crate) fn write_length(length: usize, to: &mut Vec<u8>) {
    // Nothing that is sent or wrapped here is longer than 1 MiB.
    let [_, high, middle, low] = (length as u32).to_be_bytes();
    match length {
        0..=0x7F => to.push(low),
        0x80..=0xFF => to.extend([0x81, low]),
        0x100..=0xFFFF => to.extend([0x82, middle, low]),
        _ => to.extend([0x83, high, middle, low]),
    }
}

/// Appends a length and the bytes.
pub(crate) fn write_octets(bytes: &[u8], to: &mut Vec<u8>) {
    write_length(bytes.len(), to);
    to.extend(bytes);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_compact_array_is_an_array() {
        let compact = [19, 2, 2, 18, 22, 6, 0, 1, 7, 0, 2, 8];
        let plain = [1, 2, 2, 2, 18, 0, 1, 22, 7, 2, 2, 18, 0, 2, 22, 8];
        assert_eq!(Data::read(&compact), Data::read(&plain));
        assert!(Data::read(&compact).is_ok());
    }

    #[test]
    fn a_float_is_the_decimal_it_prints_as() {
        let data = Data::read(&[23, 0x43, 0x66, 0x19, 0x9A]).expect("a float");
        assert_eq!(data.number().map(|number| number.to_string()).as_deref(), Some("230.1"));
    }

    #[test]
    fn too_deep_or_too_long_is_refused() {
        assert!(Data::read(&[&[1, 1].repeat(7)[..], &[0]].concat()).is_ok());
        assert!(Data::read(&[&[1, 1].repeat(9)[..], &[0]].concat()).is_err());
        assert!(Data::read(&[1, 0x84, 0xFF, 0xFF, 0xFF, 0xFF, 0]).is_err());
        assert!(Data::read(&[19, 0, 1, 0]).is_err(), "elements of no bytes");
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic(bytes in proptest::collection::vec(0_u8..30, 0..200)) {
            let _ = Data::read(&bytes);
        }
    }
}
