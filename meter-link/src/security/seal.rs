//! Seals a message as a meter does, the reverse of the opener: for simulated meters and round-trip tests.
//!
//! Whoever seals for a real line must never use a counter twice under one key.

use super::cipher::{Cipher, nonce};
use super::{AUTHENTICATED, ENCRYPTED, KeyPair, PUBLIC_AUTHENTICATION_KEY, ber_print};

/// A general-glo-ciphering APDU around `plain`. `control` is the security control byte: 20 encrypts, 10 authenticates, 30
/// does both, each with the suite's number added. Without an authentication key the published one is used.
pub fn seal(keys: &KeyPair, title: [u8; 8], counter: u32, control: u8, plain: &[u8]) -> Vec<u8> {
    let cipher = Cipher::new(&keys.encryption);
    let key = keys.authentication.as_ref().map_or(&PUBLIC_AUTHENTICATION_KEY[..], |key| key.bytes());
    let mut associated = [&[control][..], key].concat();
    let mut content = plain.to_vec();
    let tag = if control & ENCRYPTED != 0 {
        cipher.seal(nonce(title, counter), &associated, &mut content)
    } else {
        associated.extend_from_slice(plain);
        cipher.seal(nonce(title, counter), &associated, &mut [])
    };
    if control & AUTHENTICATED != 0 {
        content.extend(tag);
    }
    let length = ber_print(1 + 4 + content.len());
    [&[0xDB, 8][..], &title, &length, &[control], &counter.to_be_bytes(), &content].concat()
}
