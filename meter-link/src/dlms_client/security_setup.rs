//! What is sent to change a meter's keys: wrapped keys (method 2) and signed ephemeral keys (method 3).
//!
//! Source: Blue Book part 2, section 4.4.7 (security setup, class 64); RFC 3394.

use aes_kw::{KeyInit as _, KwAes128, KwAes256};

use super::curve::{PrivateKey, agree, is_signed};
use super::data::{Data, write_octets};
use super::error::ClientError;
use crate::security::key::{Key, Suite};

/// Which of a meter's keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyId {
    /// Global unicast encryption key.
    Unicast = 0,
    /// Global broadcast encryption key.
    Broadcast = 1,
    /// Authentication key.
    Authentication = 2,
    /// Master key, which wraps the others.
    Master = 3,
}

/// A key wrapped under the master key. `None` if either has a length that AES does not.
pub fn wrap(master: &Key, key: &Key) -> Option<Vec<u8>> {
    let mut wrapped = vec![0; key.bytes().len() + 8];
    match master.bytes().len() {
        16 => KwAes128::new_from_slice(master.bytes()).ok()?.wrap_key(key.bytes(), &mut wrapped).ok()?,
        _ => KwAes256::new_from_slice(master.bytes()).ok()?.wrap_key(key.bytes(), &mut wrapped).ok()?,
    };
    Some(wrapped)
}

/// A key that was wrapped under the master key; `None` if it was not.
pub fn unwrap(master: &Key, wrapped: &[u8]) -> Option<Key> {
    let mut key = vec![0; wrapped.len().checked_sub(8)?];
    match master.bytes().len() {
        16 => KwAes128::new_from_slice(master.bytes()).ok()?.unwrap_key(wrapped, &mut key).ok()?,
        _ => KwAes256::new_from_slice(master.bytes()).ok()?.unwrap_key(wrapped, &mut key).ok()?,
    };
    Key::new(&key)
}

/// An array of structures of key and octets.
pub(crate) fn parameter(parts: &[(KeyId, Vec<u8>)]) -> Vec<u8> {
    // At most four: there are no more keys.
    let mut parameter = vec![1, parts.len() as u8];
    for (id, octets) in parts {
        parameter.extend([2, 2, 0x16, *id as u8, 9]);
        write_octets(octets, &mut parameter);
    }
    parameter
}

/// Our part of an agreement: ephemeral public key and its signature.
pub(crate) fn offer(suite: Suite, id: KeyId, ephemeral: &PrivateKey, signing: &PrivateKey) -> Option<Vec<u8>> {
    let public = ephemeral.public(suite)?;
    let signature = signing.sign(suite, &[&[id as u8], &public[..]].concat())?;
    Some([public, signature].concat())
}

/// The agreed key out of the meter's part, if its signature holds.
pub(crate) fn accept(
    suite: Suite,
    id: KeyId,
    ephemeral: &PrivateKey,
    meter_public: &[u8],
    titles: ([u8; 8], [u8; 8]),
    answer: Option<&Data>,
) -> Result<Key, ClientError> {
    let part = answer.and_then(Data::elements).and_then(|list| list.first()).and_then(Data::elements);
    let Some([number, octets]) = part else { return Err(ClientError::AuthenticationWrong) };
    let half = match suite {
        Suite::Zero => return Err(ClientError::KeyMissing),
        Suite::One => 64,
        Suite::Two => 96,
    };
    let octets = octets.bytes().filter(|octets| octets.len() == 2 * half && number.integer() == Some(id as i64));
    let (public, signature) = octets.ok_or(ClientError::AuthenticationWrong)?.split_at(half);
    if !is_signed(suite, meter_public, &[&[id as u8], public].concat(), signature) {
        return Err(ClientError::AuthenticationWrong);
    }
    agree(suite, ephemeral, public, titles.0, titles.1).ok_or(ClientError::AuthenticationWrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3394, section 4.1.
    #[test]
    fn wraps_as_the_standards_own_example() {
        let master = Key::parse("000102030405060708090A0B0C0D0E0F").expect("a key");
        let key = Key::parse("00112233445566778899AABBCCDDEEFF").expect("a key");
        let wrapped = wrap(&master, &key).expect("lengths fit");
        assert_eq!(wrapped[..8], [0x1F, 0xA6, 0x8B, 0x0A, 0x81, 0x12, 0xB4, 0x47]);
        assert_eq!(unwrap(&master, &wrapped), Some(key));
        assert_eq!(unwrap(&master, &[0; 24]), None);
    }

    #[test]
    fn both_sides_agree_on_one_key_and_a_foreign_signature_is_refused() {
        for (suite, length) in [(Suite::One, 32), (Suite::Two, 48)] {
            let key = |byte: u8| PrivateKey::new(suite, &vec![byte; length]).expect("a key");
            let (ours, theirs, signing, meter_signing) = (key(1), key(2), key(3), key(4));
            let part = offer(suite, KeyId::Unicast, &theirs, &meter_signing).expect("an offer");
            let answer = Data::read(&parameter(&[(KeyId::Unicast, part)])).expect("data");
            let titles = ([1; 8], [2; 8]);
            let accept = |by: &PrivateKey| {
                let public = by.public(suite).expect("a key");
                accept(suite, KeyId::Unicast, &ours, &public, titles, Some(&answer))
            };
            let public = ours.public(suite).expect("a key");
            assert_eq!(accept(&meter_signing).ok(), agree(suite, &theirs, &public, titles.0, titles.1));
            assert_eq!(accept(&signing), Err(ClientError::AuthenticationWrong));
        }
    }
}
