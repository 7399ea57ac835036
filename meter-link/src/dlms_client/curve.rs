//! Signatures and key agreement of suites 1 (P-256) and 2 (P-384). Pure functions; randomness comes from the caller.
//!
//! Source: Green Book, section 9.2.3.4 (public key algorithms); NIST SP 800-56A, C(2e, 0s); IEC 62056-5-3, table 18.

use std::fmt;

use p256::elliptic_curve::sec1::ToSec1Point as _;
use sha2::{Digest as _, Sha256, Sha384};

use crate::security::key::{Key, Suite};

/// A private key of 32 (P-256) or 48 (P-384) bytes. `Debug` is redacted.
#[derive(Clone, PartialEq, Eq)]
pub struct PrivateKey(Vec<u8>);

impl PrivateKey {
    /// `None` unless it is a key of this suite's curve.
    pub fn new(suite: Suite, bytes: &[u8]) -> Option<Self> {
        let key = Self(bytes.to_vec());
        key.public(suite).map(|_| key)
    }

    /// The bytes, for the place where keys are kept.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Its public key, x then y.
    pub fn public(&self, suite: Suite) -> Option<Vec<u8>> {
        Some(match suite {
            Suite::Zero => return None,
            Suite::One => {
                let key = p256::SecretKey::from_slice(&self.0).ok()?;
                key.public_key().to_sec1_point(false).as_bytes()[1..].to_vec()
            }
            Suite::Two => {
                let key = p384::SecretKey::from_slice(&self.0).ok()?;
                key.public_key().to_sec1_point(false).as_bytes()[1..].to_vec()
            }
        })
    }

    /// Signature of a message, r then s.
    pub(crate) fn sign(&self, suite: Suite, message: &[u8]) -> Option<Vec<u8>> {
        use p256::ecdsa::signature::Signer as _;
        Some(match suite {
            Suite::Zero => return None,
            Suite::One => {
                let signature: p256::ecdsa::Signature =
                    p256::ecdsa::SigningKey::from_slice(&self.0).ok()?.sign(message);
                signature.to_bytes().to_vec()
            }
            Suite::Two => {
                let signature: p384::ecdsa::Signature =
                    p384::ecdsa::SigningKey::from_slice(&self.0).ok()?.sign(message);
                signature.to_bytes().to_vec()
            }
        })
    }

    /// The secret shared with the owner of a public key (its x).
    fn shared(&self, suite: Suite, public: &[u8]) -> Option<Vec<u8>> {
        let point = [&[4], public].concat();
        Some(match suite {
            Suite::Zero => return None,
            Suite::One => {
                let key = p256::SecretKey::from_slice(&self.0).ok()?;
                let public = p256::PublicKey::from_sec1_bytes(&point).ok()?;
                p256::ecdh::diffie_hellman(key.to_nonzero_scalar(), public.as_affine()).raw_secret_bytes().to_vec()
            }
            Suite::Two => {
                let key = p384::SecretKey::from_slice(&self.0).ok()?;
                let public = p384::PublicKey::from_sec1_bytes(&point).ok()?;
                p384::ecdh::diffie_hellman(key.to_nonzero_scalar(), public.as_affine()).raw_secret_bytes().to_vec()
            }
        })
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PrivateKey(…)")
    }
}

/// Whether a signature (r then s) of a message was made by the owner of a public key (x then y).
pub(crate) fn is_signed(suite: Suite, public: &[u8], message: &[u8], signature: &[u8]) -> bool {
    use p256::ecdsa::signature::Verifier as _;
    let point = [&[4], public].concat();
    let holds = || {
        Some(match suite {
            Suite::Zero => return None,
            Suite::One => {
                let signature = p256::ecdsa::Signature::from_slice(signature).ok()?;
                p256::ecdsa::VerifyingKey::from_sec1_bytes(&point).ok()?.verify(message, &signature).is_ok()
            }
            Suite::Two => {
                let signature = p384::ecdsa::Signature::from_slice(signature).ok()?;
                p384::ecdsa::VerifyingKey::from_sec1_bytes(&point).ok()?.verify(message, &signature).is_ok()
            }
        })
    };
    holds().unwrap_or(false)
}

/// The symmetric key that both ephemeral keys give: one round of the hash over counter, shared secret, algorithm and titles.
pub fn agree(suite: Suite, ours: &PrivateKey, theirs: &[u8], client: [u8; 8], meter: [u8; 8]) -> Option<Key> {
    let shared = ours.shared(suite, theirs)?;
    // AES-GCM-128 is 2.16.756.5.8.3.0, AES-GCM-256 is .1.
    let algorithm = [0x60, 0x85, 0x74, 0x05, 0x08, 0x03, u8::from(suite == Suite::Two)];
    let message = [&[0, 0, 0, 1], &shared[..], &algorithm, &client, &meter].concat();
    match suite {
        Suite::Zero => None,
        Suite::One => Key::new(&Sha256::digest(message)[..16]),
        Suite::Two => Key::new(&Sha384::digest(message)[..32]),
    }
}
