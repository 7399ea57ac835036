//! Writes messages and the frames around them, the reverse of the framers: for simulated meters and round-trip tests.

use super::axdr::Token;
use crate::checksum::x25;
use crate::obis::Obis;
use crate::security::ber_print;

/// The three bytes of the logical link control, before the first byte of a message over HDLC.
pub const LLC: [u8; 3] = [0xE6, 0xE7, 0x00];

/// One entry of a list.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Its code.
    pub obis: Obis,
    /// Its value.
    pub value: Token<'a>,
    /// Power of ten and unit, where they are sent.
    pub scale: Option<(i8, u8)>,
}

/// A notification without a time: an array of structures, the first of them the list's own name, then one for each entry.
pub fn notification(name: &[u8], entries: &[Entry<'_>]) -> Vec<u8> {
    let mut message = vec![0x0F, 0x40, 0, 0, 0, 0x00];
    token(&mut message, Token::Array(entries.len() + 1));
    token(&mut message, Token::Structure(2));
    token(&mut message, Token::Octets(&[1, 1, 0, 2, 129, 255]));
    token(&mut message, Token::Text(name));
    for Entry { obis, value, scale } in entries {
        token(&mut message, Token::Structure(if scale.is_some() { 3 } else { 2 }));
        token(&mut message, Token::Octets(&[obis.a, obis.b, obis.c, obis.d, obis.e, obis.f]));
        token(&mut message, *value);
        if let Some((exponent, unit)) = scale {
            token(&mut message, Token::Structure(2));
            message.extend([0x0F, *exponent as u8]);
            token(&mut message, Token::Enumeration(*unit));
        }
    }
    message
}

/// Appends one token as meters write it: an integer in eight bytes, or four where it fits and is not negative.
pub fn token(bytes: &mut Vec<u8>, token: Token<'_>) {
    let mut counted = |tag: u8, length: usize, content: &[u8]| {
        bytes.push(tag);
        bytes.extend(ber_print(length));
        bytes.extend_from_slice(content);
    };
    match token {
        Token::Array(count) => counted(1, count, &[]),
        Token::Bits(packed) => counted(4, packed.len() * 8, packed),
        Token::Boolean(truth) => bytes.extend([3, u8::from(truth)]),
        Token::Enumeration(number) => bytes.extend([22, number]),
        Token::Float(bits) => {
            bytes.push(24);
            bytes.extend(bits.to_be_bytes());
        }
        Token::Integer(number) => match u32::try_from(number) {
            Ok(short) => {
                bytes.push(6);
                bytes.extend(short.to_be_bytes());
            }
            Err(_) => {
                bytes.push(20);
                bytes.extend(number.to_be_bytes());
            }
        },
        Token::Null => bytes.push(0),
        Token::Octets(content) => counted(9, content.len(), content),
        Token::Structure(count) => counted(2, count, &[]),
        Token::Text(content) => counted(10, content.len(), content),
    }
}

/// A message over HDLC, in frames of at most `size` bytes of information, 1 to 2 030.
pub fn hdlc(message: &[u8], size: usize) -> Vec<u8> {
    let information = [&LLC[..], message].concat();
    let count = information.chunks(size).count();
    let frames = information.chunks(size).zip(1..);
    frames.flat_map(|(part, number)| hdlc_frame(part, number < count)).collect()
}

/// One HDLC frame. `more`: the message goes on in the next.
pub fn hdlc_frame(information: &[u8], more: bool) -> Vec<u8> {
    let length = (information.len() + 10) as u16;
    let format = 0xA000 | if more { 0x0800 } else { 0 } | length;
    let mut frame = [&format.to_be_bytes()[..], &[0xCF, 0x02, 0x23, 0x13]].concat();
    frame.extend(x25(&frame).to_le_bytes());
    frame.extend_from_slice(information);
    frame.extend(x25(&frame).to_le_bytes());
    [&[0x7E][..], &frame, &[0x7E]].concat()
}

/// A message in blocks of at most `size` bytes, 1 to 127, each of them a message of its own.
pub fn blocks(message: &[u8], size: usize) -> Vec<Vec<u8>> {
    let count = message.chunks(size).count();
    let parts = message.chunks(size).zip(1_u16..);
    parts
        .map(|(part, number)| {
            let control = if usize::from(number) == count { 0xC0 } else { 0x40 };
            let head = [&[0xE0, control][..], &number.to_be_bytes(), &[0, 0, part.len() as u8]].concat();
            [&head, part].concat()
        })
        .collect()
}

/// A message over wired M-Bus, in frames of at most `size` bytes of it, 1 to 250. More than sixteen frames cannot be told
/// apart by their numbers.
pub fn mbus(message: &[u8], size: usize) -> Vec<u8> {
    let count = message.chunks(size).count();
    let mut bytes = Vec::new();
    for (place, part) in message.chunks(size).enumerate() {
        let last = if place + 1 == count { 0x10 } else { 0 };
        let content = [&[0x53, 0xFF, place as u8 & 0x0F | last, 0x01, 0x67][..], part].concat();
        let sum = content.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
        bytes.extend([0x68, content.len() as u8, content.len() as u8, 0x68]);
        bytes.extend(content);
        bytes.extend([sum, 0x16]);
    }
    bytes
}

/// A message over the TCP/UDP wrapper.
pub fn wrapper(message: &[u8]) -> Vec<u8> {
    let length = message.len() as u16;
    [&[0, 1, 0, 1, 0, 0x67][..], &length.to_be_bytes(), message].concat()
}
