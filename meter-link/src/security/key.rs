//! A symmetric key and the suite it belongs to. `Debug` is redacted.

use std::fmt;

/// DLMS/COSEM security suites.
///
/// Source: Green Book, section 9.2.3.7 (security suites).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Suite {
    /// AES-128-GCM, AES-128 key wrap.
    Zero,
    /// AES-128-GCM, ECDSA and ECDH with P-256, SHA-256.
    One,
    /// AES-256-GCM, ECDSA and ECDH with P-384, SHA-384.
    Two,
}

impl Suite {
    /// The suite in the low four bits of a security control byte. `None` for one that no standard has.
    pub const fn of_control(control: u8) -> Option<Self> {
        match control & 0x0F {
            0 => Some(Self::Zero),
            1 => Some(Self::One),
            2 => Some(Self::Two),
            _ => None,
        }
    }

    /// Its number on the wire.
    pub const fn number(self) -> u8 {
        match self {
            Self::Zero => 0,
            Self::One => 1,
            Self::Two => 2,
        }
    }

    /// Length of its symmetric keys in bytes.
    pub const fn key_length(self) -> usize {
        match self {
            Self::Zero | Self::One => 16,
            Self::Two => 32,
        }
    }
}

/// A symmetric key of 16 bytes (AES-128) or 32 (AES-256).
#[derive(Clone, PartialEq, Eq)]
pub struct Key(Bytes);

#[derive(Clone, PartialEq, Eq)]
enum Bytes {
    Short([u8; 16]),
    Long([u8; 32]),
}

impl Key {
    /// `None` unless there are 16 or 32 bytes.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        match bytes.len() {
            16 => bytes.try_into().ok().map(|bytes: [u8; 16]| bytes.into()),
            32 => bytes.try_into().ok().map(|bytes: [u8; 32]| bytes.into()),
            _ => None,
        }
    }

    /// Reads 32 or 64 hexadecimal digits, spaces and dashes between them allowed, or the 16 characters that some operators
    /// print instead. `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let digits: Vec<u8> = text
            .bytes()
            .filter(|byte| !matches!(byte, b' ' | b'-' | b':'))
            .map(|byte| byte.to_ascii_uppercase())
            .collect();
        if matches!(digits.len(), 32 | 64) && digits.iter().all(u8::is_ascii_hexdigit) {
            let value = |digit: u8| if digit < b'A' { digit - b'0' } else { digit - b'A' + 10 };
            let bytes: Vec<u8> = digits.chunks_exact(2).map(|pair| value(pair[0]) << 4 | value(pair[1])).collect();
            return Self::new(&bytes);
        }
        (text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_graphic())).then(|| Self::new(text.as_bytes()))?
    }

    /// The bytes, for a cipher or for the place where keys are kept.
    pub const fn bytes(&self) -> &[u8] {
        match &self.0 {
            Bytes::Short(bytes) => bytes,
            Bytes::Long(bytes) => bytes,
        }
    }

    /// Upper-case hexadecimal digits, for the place where keys are kept.
    pub fn to_hexadecimal(&self) -> String {
        use std::fmt::Write as _;
        self.bytes().iter().fold(String::new(), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02X}");
            text
        })
    }
}

impl From<[u8; 16]> for Key {
    fn from(bytes: [u8; 16]) -> Self {
        Self(Bytes::Short(bytes))
    }
}

impl From<[u8; 32]> for Key {
    fn from(bytes: [u8; 32]) -> Self {
        Self(Bytes::Long(bytes))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Key(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_operators_print() {
        let expect = Key::from([0xAB; 16]);
        for text in [
            "ABABABABABABABABABABABABABABABAB",
            " abababababababababababababababab\n",
            "ABABABAB-ABABABAB ABABABAB:ABABABAB",
        ] {
            assert_eq!(Key::parse(text), Some(expect.clone()));
        }
        assert_eq!(Key::parse("4sCgKz$BbJc=NcRf"), Key::new(b"4sCgKz$BbJc=NcRf"));
        assert_eq!(Key::parse(&"0F".repeat(32)), Some([0x0F; 32].into()));
        for text in ["", "AB", "ABABABABABABABABABABABABABABABA", "GBABABABABABABABABABABABABABABAB", "häuserchen häus"]
        {
            assert_eq!(Key::parse(text), None);
        }
    }

    #[test]
    fn prints_what_it_read_only_when_asked() {
        let key = Key::from([0x1F; 16]);
        assert_eq!(Key::parse(&key.to_hexadecimal()), Some(key.clone()));
        assert_eq!(format!("{key:?}"), "Key(…)");
    }
}
