//! Who we are to a meter: a key on P-256, the certificate that it signs, and the numbers made of the certificate.
//!
//! As one secret: certificate, private key and, once paired, the fingerprint of the meter's certificate, in hexadecimal
//! digits. The text is read again with everything checked: a key that does not belong to its certificate is no identity,
//! and neither is one whose private key is published.
//!
//! Source: IEEE 2030.5-2018 sections 6.3.3 and 6.3.4 (LFDI, SFDI), 6.11.7 (policies) and 6.11.8.4 (self-signed
//! certificates); Xcel's development kit allows three years.

use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, CustomExtension, DistinguishedName, DnType, KeyPair, KeyUsagePurpose};
use rustls::crypto::ring::sign::any_ecdsa_type;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::{CertifiedKey, SigningKey};
use rustls::{Error, SignatureAlgorithm};
use sha2::{Digest as _, Sha256};

use crate::bridge::Secret;
use crate::link::bridge::der::Certificate;
use crate::link::bridge::known;
use crate::link::bridge::pin::{Pin, hex};

/// What programs of this kind call themselves to Xcel's meters.
const NAME: &str = "MeterReaderHanClient";
/// One day back, for a meter whose clock is behind ours.
const BEFORE: Duration = Duration::from_secs(86_400);
/// Just under three years, the most that is allowed.
const VALID: Duration = Duration::from_secs(1_094 * 86_400);
/// Certificate policies, 2.5.29.32.
const POLICIES: &[u64] = &[2, 5, 29, 32];
/// One policy, 1.3.6.1.4.1.40732.2.2: a certificate that its holder signed.
const SELF_SIGNED: [u8; 16] =
    [0x30, 0x0E, 0x30, 0x0C, 0x06, 0x0A, 0x2B, 0x06, 0x01, 0x04, 0x01, 0x82, 0xBE, 0x1C, 0x02, 0x02];
/// ecPublicKey on prime256v1: 1.2.840.10045.2.1, 1.2.840.10045.3.1.7.
const P256: &[u8] =
    &[0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01, 0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07];

/// Why a certificate and key are no identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// The key is not on P-256.
    #[error("key is not on the curve P-256")]
    CurveOther,
    /// The private key belongs to another certificate.
    #[error("private key does not belong to the certificate")]
    KeyOther,
    /// Everybody has this private key.
    #[error("certificate is a published example: anybody can use it")]
    Published,
    /// Not a certificate, or not a private key, in PEM.
    #[error("certificate or private key is unreadable")]
    Unreadable,
}

/// Certificate, key, and the meter's certificate once paired.
pub(super) struct Identity {
    certificate: Vec<u8>,
    /// As PKCS #8.
    key: Vec<u8>,
    pub(super) pin: Option<Pin>,
}

/// A new identity, valid from now for just under three years. Make it once and keep it: a new one must be registered anew.
///
/// `None`: the operating system gives no randomness.
pub fn identity(now_utc_milliseconds: i64) -> Option<Secret> {
    let now = Duration::from_millis(u64::try_from(now_utc_milliseconds).ok()?);
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).ok()?;
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, NAME);
    parameters.not_before = rcgen::date_time_ymd(1970, 1, 1) + now.saturating_sub(BEFORE);
    parameters.not_after = parameters.not_before + VALID;
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let mut policies = CustomExtension::from_oid_content(POLICIES, SELF_SIGNED.to_vec());
    policies.set_criticality(true);
    parameters.custom_extensions = vec![policies];
    let certificate = parameters.self_signed(&key).ok()?;
    Some(Identity { certificate: certificate.der().to_vec(), key: key.serialize_der(), pin: None }.secret())
}

/// Takes over an identity that another program made and the utility knows already, from its two PEM files.
pub fn adopt(certificate_pem: &str, key_pem: &str) -> Result<Secret, IdentityError> {
    let certificate = CertificateDer::from_pem_slice(certificate_pem.as_bytes());
    let certificate = certificate.map_err(|_| IdentityError::Unreadable)?.to_vec();
    let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).map_err(|_| IdentityError::Unreadable)?;
    let key = key.secret_der().to_vec();
    let identity = Identity { certificate, key, pin: None };
    identity.check()?;
    Ok(identity.secret())
}

/// The number to register with the utility: 40 hexadecimal digits, in capitals. `None`: not an identity.
pub fn lfdi(secret: &Secret) -> Option<String> {
    let fingerprint = Identity::read(secret)?.fingerprint();
    Some(fingerprint[..20].iter().map(|byte| format!("{byte:02X}")).collect())
}

/// The short number, for typing: 12 decimal digits, the last a check on the others. `None`: not an identity.
pub fn sfdi(secret: &Secret) -> Option<String> {
    let fingerprint = Identity::read(secret)?.fingerprint();
    Some(short(&fingerprint))
}

/// The instant from which the meter refuses the identity, milliseconds since 1970 UTC. `None`: not an identity, or one
/// without an end.
pub fn expires_utc_milliseconds(secret: &Secret) -> Option<i64> {
    Certificate::read(&Identity::read(secret)?.certificate)?.expires_utc_milliseconds()
}

/// SHA-256 of the meter's certificate as it was when paired, 64 hexadecimal digits. `None`: not paired yet.
pub fn fingerprint(secret: &Secret) -> Option<String> {
    Identity::read(secret)?.pin.map(|pin| pin.digits())
}

impl Identity {
    /// Reads what [`Self::secret`] gave. `None` for anything else.
    pub(super) fn read(secret: &Secret) -> Option<Self> {
        let mut parts = secret.0.split(' ');
        let (certificate, key) = (hex(parts.next()?)?, hex(parts.next()?)?);
        let pin = match parts.next() {
            Some(digits) => Some(Pin::read(digits, "")?),
            None => None,
        };
        let identity = Self { certificate, key, pin };
        (parts.next().is_none() && identity.check().is_ok()).then_some(identity)
    }

    pub(super) fn secret(&self) -> Secret {
        let digits = |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
        let mut text = format!("{} {}", digits(&self.certificate), digits(&self.key));
        if let Some(pin) = &self.pin {
            text = format!("{text} {}", pin.digits());
        }
        Secret(text)
    }

    /// What a connection shows and signs with.
    pub(super) fn certified(&self) -> Result<CertifiedKey, Error> {
        let certificate = CertificateDer::from(self.certificate.clone());
        // Not `from_der`: it refuses the critical policy that the standard wants. `check` has compared the keys.
        Ok(CertifiedKey::new(vec![certificate], self.signing_key()?))
    }

    fn signing_key(&self) -> Result<Arc<dyn SigningKey>, Error> {
        any_ecdsa_type(&PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.key.clone())))
            .or_else(|_| any_ecdsa_type(&PrivateKeyDer::Sec1(self.key.clone().into())))
    }

    fn fingerprint(&self) -> [u8; 32] {
        Sha256::digest(&self.certificate).into()
    }

    fn check(&self) -> Result<(), IdentityError> {
        if known::is_published(&self.fingerprint()) {
            return Err(IdentityError::Published);
        }
        let certificate = Certificate::read(&self.certificate).ok_or(IdentityError::Unreadable)?;
        let (algorithm, _) = certificate.key_parts().ok_or(IdentityError::Unreadable)?;
        if algorithm != P256 {
            return Err(IdentityError::CurveOther);
        }
        let key = self.signing_key().map_err(|_| IdentityError::Unreadable)?;
        let is_pair = key.public_key().is_some_and(|public| public.as_ref() == certificate.key);
        if is_pair && key.algorithm() == SignatureAlgorithm::ECDSA { Ok(()) } else { Err(IdentityError::KeyOther) }
    }
}

/// The first 36 bits as a decimal number of 11 digits, and a digit that makes the sum of all a multiple of ten.
fn short(fingerprint: &[u8; 32]) -> String {
    let [a, b, c, d, e, ..] = *fingerprint;
    let number = u64::from_be_bytes([0, 0, 0, a, b, c, d, e]) >> 4;
    let digits = format!("{number:011}");
    let sum: u32 = digits.bytes().map(|digit| u32::from(digit - b'0')).sum();
    format!("{digits}{}", (10 - sum % 10) % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-23 04:00 UTC.
    const NOW: i64 = 1_795_406_400_000;

    #[test]
    fn the_numbers_are_those_of_the_standards_example() {
        let digits = "3E4F45AB31EDFE5B67E343E5E4562E31984E23E5349E2AD745672ED145EE213A";
        let fingerprint: [u8; 32] = hex(digits).and_then(|bytes| bytes.try_into().ok()).expect("32 bytes");
        assert_eq!(short(&fingerprint), "167261211391");
        assert!(known::is_published(&fingerprint));
    }

    #[test]
    fn an_identity_is_read_as_it_was_kept_and_never_printed() {
        let secret = identity(NOW).expect("randomness");
        let again = Identity::read(&secret).expect("an identity");
        assert_eq!(again.secret(), secret);
        let number = lfdi(&secret).expect("a number");
        assert!(number.len() == 40 && number.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'A'..=b'F')));
        assert_eq!(lfdi(&secret), lfdi(&again.secret()), "K5: the same certificate, the same number");
        assert_eq!((sfdi(&secret).map(|short| short.len()), fingerprint(&secret)), (Some(12), None));
        assert_ne!(lfdi(&secret), identity(NOW).and_then(|other| lfdi(&other)));
        assert_eq!(format!("{secret:?}"), "Secret(…)");
    }

    #[test]
    fn it_is_valid_for_just_under_three_years() {
        let secret = identity(NOW).expect("randomness");
        let days = (expires_utc_milliseconds(&secret).expect("an end") - NOW) / 86_400_000;
        assert_eq!(days, 1_093);
    }

    #[test]
    fn what_is_cut_or_mixed_is_no_identity() {
        let (one, other) = (identity(NOW).expect("randomness"), identity(NOW).expect("randomness"));
        let (certificate, _) = one.0.split_once(' ').expect("two parts");
        let (_, key) = other.0.split_once(' ').expect("two parts");
        for text in [
            String::new(),
            "nonsense".to_owned(),
            certificate.to_owned(),
            format!("{certificate} {key}"),
            format!("{certificate} {certificate}"),
            format!("{} 00", one.0),
            format!("{} {} x", one.0, "00".repeat(32)),
            one.0[..one.0.len() - 2].to_owned(),
            one.0[2..].to_owned(),
        ] {
            assert!(lfdi(&Secret(text.clone())).is_none(), "{text}");
        }
        let paired = Secret(format!("{} {}", one.0, "0a".repeat(32)));
        assert_eq!((lfdi(&paired), fingerprint(&paired)), (lfdi(&one), Some("0a".repeat(32))));
    }
}
