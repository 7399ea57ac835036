//! Keys and trust: opens what meters encrypt, and says how far it can be believed.

use std::fmt;

/// The two keys of an encrypting meter. `Debug` is redacted.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyPair {
    /// Global unicast encryption key.
    pub encryption: [u8; 16],
    /// Authentication key; `None` if the operator gave none (Luxembourg publishes one for everybody).
    pub authentication: Option<[u8; 16]>,
}

impl KeyPair {
    /// Reads 32 hexadecimal digits each. `None` if either is anything else.
    pub fn parse(encryption: &str, authentication: Option<&str>) -> Option<Self> {
        Some(Self {
            encryption: hexadecimal(encryption)?,
            authentication: match authentication {
                Some(text) => Some(hexadecimal(text)?),
                None => None,
            },
        })
    }
}

fn hexadecimal(text: &str) -> Option<[u8; 16]> {
    let text = text.trim();
    if text.len() != 32 || !text.is_ascii() {
        return None;
    }
    let mut key = [0; 16];
    for (byte, digits) in key.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(key)
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("KeyPair(…)")
    }
}
