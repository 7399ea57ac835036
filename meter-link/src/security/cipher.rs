//! AES-GCM as DLMS/COSEM uses it: 12-byte nonces, 12-byte tags, keys of 128 or 256 bits. Pure functions of their input.
//!
//! Source: NIST SP 800-38D; Green Book, section 9.2.3.3.7.3 (Galois/Counter mode).

use aes_gcm::aead::AeadInOut as _;
use aes_gcm::aes::cipher::consts::U12;
use aes_gcm::aes::cipher::{Block, BlockCipherEncrypt, KeyInit, array::Array};
use aes_gcm::aes::{Aes128, Aes256};
use aes_gcm::{AesGcm, Nonce};

use super::key::Key;

/// Bytes of an authentication tag.
pub const TAG: usize = 12;

/// A nonce: system title, then invocation counter.
pub fn nonce(title: [u8; 8], counter: u32) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[..8].copy_from_slice(&title);
    nonce[8..].copy_from_slice(&counter.to_be_bytes());
    nonce
}

/// A key, made ready.
#[derive(Clone)]
pub struct Cipher(Prepared);

#[derive(Clone)]
enum Prepared {
    Short(Box<(AesGcm<Aes128, U12, U12>, Aes128)>),
    Long(Box<(AesGcm<Aes256, U12, U12>, Aes256)>),
}

impl Cipher {
    /// Expands a key.
    pub fn new(key: &Key) -> Self {
        // `Key` has 16 or 32 bytes.
        match <[u8; 16]>::try_from(key.bytes()) {
            Ok(bytes) => Self(Prepared::Short(Box::new((AesGcm::new(&bytes.into()), Aes128::new(&bytes.into()))))),
            Err(_) => {
                let mut bytes = [0; 32];
                bytes.copy_from_slice(key.bytes());
                Self(Prepared::Long(Box::new((AesGcm::new(&bytes.into()), Aes256::new(&bytes.into())))))
            }
        }
    }

    /// Decrypts in place if the tag holds. `false`: it does not, and `text` is as it was.
    pub fn open(&self, nonce: [u8; 12], associated: &[u8], text: &mut [u8], tag: [u8; TAG]) -> bool {
        let (nonce, tag) = (Nonce::from(nonce), Array::from(tag));
        match &self.0 {
            Prepared::Short(pair) => pair.0.decrypt_inout_detached(&nonce, associated, text.into(), &tag).is_ok(),
            Prepared::Long(pair) => pair.0.decrypt_inout_detached(&nonce, associated, text.into(), &tag).is_ok(),
        }
    }

    /// Encrypts in place; gives the tag. A nonce must never be used twice under one key.
    pub fn seal(&self, nonce: [u8; 12], associated: &[u8], text: &mut [u8]) -> [u8; TAG] {
        let nonce = Nonce::from(nonce);
        let tag = match &self.0 {
            Prepared::Short(pair) => pair.0.encrypt_inout_detached(&nonce, associated, text.into()),
            Prepared::Long(pair) => pair.0.encrypt_inout_detached(&nonce, associated, text.into()),
        };
        tag.expect("a frame is far shorter than the 64 GiB that one nonce may encrypt").into()
    }

    /// Counter mode alone, in place: what a frame without a tag uses. Any key gives something; its own inverse.
    pub fn stream(&self, nonce: [u8; 12], text: &mut [u8]) {
        match &self.0 {
            Prepared::Short(pair) => stream(&pair.1, nonce, text),
            Prepared::Long(pair) => stream(&pair.1, nonce, text),
        }
    }
}

/// Counter mode as in GCM: block 1 is the tag's, text begins with block 2.
fn stream<C: BlockCipherEncrypt>(cipher: &C, nonce: [u8; 12], text: &mut [u8]) {
    for (chunk, number) in text.chunks_mut(16).zip(2_u32..) {
        let mut block = Block::<C>::default();
        block[..12].copy_from_slice(&nonce);
        block[12..].copy_from_slice(&number.to_be_bytes());
        cipher.encrypt_block(&mut block);
        for (byte, mask) in chunk.iter_mut().zip(block.iter()) {
            *byte ^= mask;
        }
    }
}

impl std::fmt::Debug for Cipher {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Cipher(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: [u8; 12] = [0x4D, 0x4D, 0x4D, 0, 0, 0xBC, 0x61, 0x4E, 1, 0x23, 0x45, 0x67];

    /// The example of the Green Book: get-request of the clock's time, suite 0, encrypted and authenticated.
    #[test]
    fn k3_opens_the_standards_own_example() {
        let cipher = Cipher::new(&Key::parse("000102030405060708090A0B0C0D0E0F").expect("a key"));
        let mut associated = vec![0x30];
        associated.extend(Key::parse("D0D1D2D3D4D5D6D7D8D9DADBDCDDDEDF").expect("a key").bytes());
        let mut text = [0xC0, 1, 0, 0, 8, 0, 0, 1, 0, 0, 255, 2, 0];
        let plain = text;
        let tag = cipher.seal(NONCE, &associated, &mut text);
        assert_eq!(text[..5], [0x41, 0x13, 0x12, 0xFF, 0x93]);
        assert_eq!(tag, [0x7D, 0x82, 0x5C, 0x3B, 0xE4, 0xA7, 0x7C, 0x3F, 0xCC, 0x05, 0x6B, 0x6B]);
        let mut streamed = text;
        cipher.stream(NONCE, &mut streamed);
        assert_eq!(streamed, plain);
        assert!(cipher.open(NONCE, &associated, &mut text, tag));
        assert_eq!(text, plain);
        assert!(!cipher.open(NONCE, &associated, &mut text, [0; TAG]));
        assert_eq!(text, plain, "a frame that fails stays as it was");
    }

    /// Test cases 4 and 16 of the specification of GCM (McGrew and Viega, appendix B), whose tags DLMS cuts to twelve bytes.
    #[test]
    fn k3_agrees_with_vectors_that_others_computed() {
        let bytes = |text: &str| -> Vec<u8> {
            let digits = text.len() / 2;
            (0..digits).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).expect("digits")).collect()
        };
        let key = "feffe9928665731c6d6a8f9467308308";
        let nonce: [u8; 12] = bytes("cafebabefacedbaddecaf888").try_into().expect("twelve");
        let associated = bytes("feedfacedeadbeeffeedfacedeadbeefabaddad2");
        let plain = bytes(concat!(
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72",
            "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
        ));
        for (key, sealed, tag) in [
            (
                key.to_owned(),
                concat!(
                    "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e",
                    "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091"
                ),
                "5bc94fbc3221a5db94fae95a",
            ),
            (
                key.repeat(2),
                concat!(
                    "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa",
                    "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
                ),
                "76fc6ece0f4e1768cddf8853",
            ),
        ] {
            let cipher = Cipher::new(&Key::parse(&key).expect("a key"));
            let mut text = plain.clone();
            assert_eq!(cipher.seal(nonce, &associated, &mut text)[..], bytes(tag), "the tag");
            assert_eq!(text, bytes(sealed), "the text");
            let tag = bytes(tag).try_into().expect("twelve");
            assert!(cipher.open(nonce, &associated, &mut text, tag) && text == plain);
        }
    }

    #[test]
    fn a_long_key_is_another_cipher() {
        let (short, long) = (Cipher::new(&[1; 16].into()), Cipher::new(&[1; 32].into()));
        let (mut one, mut other) = ([0; 40], [0; 40]);
        assert_ne!(short.seal(NONCE, &[], &mut one), long.seal(NONCE, &[], &mut other));
        assert_ne!(one, other);
    }
}
