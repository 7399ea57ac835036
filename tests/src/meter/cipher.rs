//! General-glo-ciphering around a telegram, as Luxembourg's meters send it (DLMS Green Book, suite 0).

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes128Gcm, KeyInit};
use meter_link::security::KeyPair;
use meter_link::security::key::Key;

/// The authentication key that Luxembourg prints in its public specification, the same for every meter.
pub(super) const PUBLIC_AUTHENTICATION_KEY: [u8; 16] =
    [0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xAA, 0xBB, 0xCC, 0xDD, 0xEE, 0xFF];

/// Encrypted and authenticated.
const SECURITY_CONTROL: u8 = 0x30;

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

/// `DB 08 title 82 length 30 counter ciphertext tag`.
pub(crate) fn seal(keys: &KeyPair, title: [u8; 8], counter: u32, plain: &[u8]) -> Vec<u8> {
    let mut nonce = [0; 12];
    nonce[..8].copy_from_slice(&title);
    nonce[8..].copy_from_slice(&counter.to_be_bytes());
    let mut associated = vec![SECURITY_CONTROL];
    associated.extend(keys.authentication.as_ref().map_or(PUBLIC_AUTHENTICATION_KEY.as_slice(), Key::bytes));
    let key: [u8; 16] = keys.encryption.bytes().try_into().expect("suite 0 has keys of 16 bytes");
    let sealed = Aes128Gcm::new(&key.into())
        .encrypt(&nonce.into(), Payload { msg: plain, aad: &associated })
        .expect("a telegram is far shorter than what one nonce may encrypt");

    let mut frame = vec![0xDB, 8];
    frame.extend(title);
    let length = (1 + 4 + plain.len() + TAG) as u16;
    frame.push(0x82);
    frame.extend(length.to_be_bytes());
    frame.push(SECURITY_CONTROL);
    frame.extend(counter.to_be_bytes());
    frame.extend(&sealed[..plain.len() + TAG]);
    frame
}
