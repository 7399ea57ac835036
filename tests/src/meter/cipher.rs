//! General-glo-ciphering and general-ded-ciphering around what a meter says (DLMS Green Book, suites 0 to 2).

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes128Gcm, Aes256Gcm, Nonce};
use meter_link::security::KeyPair;
use meter_link::security::key::Key;

use super::version::Ciphering;

/// The authentication key that Luxembourg prints in its public specification, the same for every meter.
pub(super) const PUBLIC_AUTHENTICATION_KEY: [u8; 16] =
    [0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xAA, 0xBB, 0xCC, 0xDD, 0xEE, 0xFF];

/// Security control: a tag is sent.
pub(super) const AUTHENTICATED: u8 = 0x10;

/// Tag bytes sent: DLMS cuts GCM's sixteen to twelve.
const TAG: usize = 12;

/// A system title of this simulator: three letters of a maker that does not exist, five bytes of the serial number.
pub(crate) fn title(equipment: &str) -> [u8; 8] {
    let mut title = *b"SIM\0\0\0\0\0";
    for (index, byte) in equipment.bytes().rev().take(10).enumerate() {
        title[3 + index / 2] |= (byte & 0x0F) << (4 * (index % 2));
    }
    title
}

/// `DB 08 title length control counter ciphertext [tag]`. `long_form` writes the length with three bytes whatever it is.
pub(crate) fn seal(
    keys: &KeyPair,
    how: Ciphering,
    title: [u8; 8],
    counter: u32,
    plain: &[u8],
    long_form: bool,
) -> Vec<u8> {
    let mut nonce = [0; 12];
    nonce[..8].copy_from_slice(&title);
    nonce[8..].copy_from_slice(&counter.to_be_bytes());
    let mut associated = Vec::new();
    // Without a tag nothing is authenticated, and what is encrypted does not depend on this.
    if how.control & AUTHENTICATED != 0 {
        associated.push(how.control);
        associated.extend(keys.authentication.as_ref().map_or(PUBLIC_AUTHENTICATION_KEY.as_slice(), Key::bytes));
    }
    let payload = Payload { msg: plain, aad: &associated };
    let nonce = Nonce::from(nonce);
    let sealed = match <[u8; 16]>::try_from(keys.encryption.bytes()) {
        Ok(key) => Aes128Gcm::new(&key.into()).encrypt(&nonce, payload),
        Err(_) => {
            let key: [u8; 32] = keys.encryption.bytes().try_into().expect("a key has 16 or 32 bytes");
            Aes256Gcm::new(&key.into()).encrypt(&nonce, payload)
        }
    }
    .expect("a telegram is far shorter than what one nonce may encrypt");
    let tag = if how.control & AUTHENTICATED == 0 { 0 } else { TAG };

    let mut frame = vec![how.tag, 8];
    frame.extend(title);
    let length = 1 + 4 + plain.len() + tag;
    match length {
        ..0x80 if !long_form => frame.push(length as u8),
        0x80..0x100 if !long_form => frame.extend([0x81, length as u8]),
        _ => {
            frame.push(0x82);
            frame.extend((length as u16).to_be_bytes());
        }
    }
    frame.push(how.control);
    frame.extend(counter.to_be_bytes());
    frame.extend(&sealed[..plain.len() + tag]);
    frame
}
