//! A device's certificate, remembered at pairing and asked for again at every connection.
//!
//! No public authority signs these certificates, and their names are no host names (HomeWizard's is
//! `appliance/<kind>/<serial>`), so no usual check fits, and people switch checks off. Here the whole certificate is pinned
//! by its fingerprint. Between pairing and un-pairing no other certificate is accepted, whoever signed it. Before pairing
//! the first one seen is taken, once; where a kind of device has a name in it, the name must have its form, and the device's
//! serial number is compared with it afterwards.
//!
//! Never accepts a certificate whose private key is published.
//!
//! Source: api-documentation.homewizard.com, version 2, authorization; RFC 5246 section 7.4.3 for the signature.

use std::fmt;
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use sha2::{Digest as _, Sha256};

use super::der::Certificate;
use super::known;

/// A remembered certificate. Its name holds a serial number: `Debug` is redacted.
#[derive(Clone, PartialEq, Eq)]
pub struct Pin {
    /// Common name, where it is part of what is pinned: `appliance/<kind>/<serial>`. Else empty.
    pub name: String,
    /// SHA-256 of the certificate.
    pub fingerprint: [u8; 32],
}

/// What the name in a kind of device's certificate must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Names {
    /// `appliance/<kind>/<serial>`.
    Appliance,
    /// Anything: the certificate alone is pinned.
    Free,
}

impl Pin {
    /// The device's serial number, as its certificate names it.
    pub(super) fn serial(&self) -> &str {
        self.name.rsplit('/').next().unwrap_or_default()
    }

    /// Reads a certificate. `None` if its name has not the form it must have.
    fn of(certificate: &[u8], names: Names) -> Option<Self> {
        let fingerprint = Sha256::digest(certificate).into();
        if names == Names::Free {
            return Some(Self { name: String::new(), fingerprint });
        }
        let name = Certificate::read(certificate)?.common_name()?;
        let parts: Vec<_> = name.split('/').collect();
        let is_appliance = matches!(parts[..], ["appliance", kind, serial] if !kind.is_empty() && !serial.is_empty());
        is_appliance.then(|| Self { name: name.to_owned(), fingerprint })
    }

    /// The fingerprint as 64 hexadecimal digits.
    pub fn digits(&self) -> String {
        self.fingerprint.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// A pin of 64 hexadecimal digits and a name. `None` for any other digits.
    pub(super) fn read(digits: &str, name: &str) -> Option<Self> {
        let bytes = hex(digits)?;
        Some(Self { name: name.to_owned(), fingerprint: bytes.try_into().ok()? })
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Pin(…)")
    }
}

/// Bytes of hexadecimal digits. `None` for anything else.
pub(super) fn hex(digits: &str) -> Option<Vec<u8>> {
    if !digits.len().is_multiple_of(2) || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok()).collect()
}

/// Accepts one certificate: the pinned one, or the first.
#[derive(Debug)]
pub(super) struct Pinned {
    pin: OnceLock<Pin>,
    names: Names,
    provider: Arc<CryptoProvider>,
}

impl Pinned {
    pub(super) fn new(pin: Option<Pin>, names: Names, provider: CryptoProvider) -> Arc<Self> {
        let pin = pin.map_or_else(OnceLock::new, OnceLock::from);
        Arc::new(Self { pin, names, provider: Arc::new(provider) })
    }

    /// The certificate that was accepted.
    pub(super) fn pin(&self) -> Option<&Pin> {
        self.pin.get()
    }

    /// What connections are made with.
    pub(super) fn provider(&self) -> &Arc<CryptoProvider> {
        &self.provider
    }

    /// What a client needs to connect. `None` never comes of the versions named here.
    pub(super) fn configuration(self: &Arc<Self>) -> Option<ClientConfig> {
        let builder = ClientConfig::builder_with_provider(Arc::clone(&self.provider));
        let builder = builder.with_safe_default_protocol_versions().ok()?;
        let verifier = Arc::clone(self) as Arc<dyn ServerCertVerifier>;
        Some(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let shown = Pin::of(end_entity, self.names).ok_or(CertificateError::NotValidForName)?;
        if known::is_published(&shown.fingerprint) {
            return Err(CertificateError::Revoked.into());
        }
        if *self.pin.get_or_init(|| shown.clone()) == shown {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    /// By the key alone: meters mark extensions as critical that general readers of certificates refuse.
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let certificate = Certificate::read(certificate).ok_or(CertificateError::BadEncoding)?;
        let (algorithm, key) = certificate.key_parts().ok_or(CertificateError::BadEncoding)?;
        let supported = self.provider.signature_verification_algorithms.mapping;
        let (_, algorithms) =
            supported.iter().find(|(scheme, _)| *scheme == signature.scheme).ok_or(CertificateError::BadSignature)?;
        let is_valid = algorithms
            .iter()
            .filter(|candidate| candidate.public_key_alg_id().as_ref() == algorithm)
            .any(|candidate| candidate.verify_signature(key, message, signature.signature()).is_ok());
        if is_valid { Ok(HandshakeSignatureValid::assertion()) } else { Err(CertificateError::BadSignature.into()) }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
