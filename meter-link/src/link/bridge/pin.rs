//! A device's certificate, remembered at pairing and asked for again at every connection.
//!
//! The name in these certificates is `appliance/<kind>/<serial>`, in the common name: no host name, so no usual check fits,
//! and people switch checks off. Here the whole certificate is pinned by its fingerprint and its name. Between pairing and
//! un-pairing no other certificate is accepted, whoever signed it. Before pairing the first one seen is taken, once, and the
//! device's serial number is compared with its name afterwards.
//!
//! Source: api-documentation.homewizard.com, version 2, authorization; RFC 5280 section 4.1.

use std::fmt;
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use sha2::{Digest as _, Sha256};

/// A remembered certificate. Its name holds a serial number: `Debug` is redacted.
#[derive(Clone, PartialEq, Eq)]
pub struct Pin {
    /// Common name: `appliance/<kind>/<serial>`.
    pub name: String,
    /// SHA-256 of the certificate.
    pub fingerprint: [u8; 32],
}

impl Pin {
    /// The device's serial number, as its certificate names it.
    pub(super) fn serial(&self) -> &str {
        self.name.rsplit('/').next().unwrap_or_default()
    }

    /// Reads a certificate. `None` unless its common name is that of an appliance.
    fn of(certificate: &[u8]) -> Option<Self> {
        let name = common_name(certificate)?;
        let parts: Vec<_> = name.split('/').collect();
        let is_appliance = matches!(parts[..], ["appliance", kind, serial] if !kind.is_empty() && !serial.is_empty());
        is_appliance.then(|| Self { name: name.to_owned(), fingerprint: Sha256::digest(certificate).into() })
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Pin(…)")
    }
}

/// Accepts one certificate: the pinned one, or the first.
#[derive(Debug)]
pub(super) struct Pinned {
    pin: OnceLock<Pin>,
    provider: Arc<CryptoProvider>,
}

impl Pinned {
    pub(super) fn new(pin: Option<Pin>) -> Arc<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        Arc::new(Self { pin: pin.map_or_else(OnceLock::new, OnceLock::from), provider })
    }

    /// The certificate that was accepted.
    pub(super) fn pin(&self) -> Option<&Pin> {
        self.pin.get()
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
        let shown = Pin::of(end_entity).ok_or(CertificateError::NotValidForName)?;
        if *self.pin.get_or_init(|| shown.clone()) == shown {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
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

/// The subject's common name. `None` if there is none, or not exactly one.
fn common_name(certificate: &[u8]) -> Option<&str> {
    const SEQUENCE: u8 = 0x30;
    const SET: u8 = 0x31;
    /// 2.5.4.3.
    const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
    let (_, outer, _) = element(certificate).filter(|(tag, ..)| *tag == SEQUENCE)?;
    let (_, mut rest, _) = element(outer).filter(|(tag, ..)| *tag == SEQUENCE)?;
    // Version (left out by the first), serial number, algorithm, issuer, validity; then the subject.
    let before = if rest.first() == Some(&0xA0) { 5 } else { 4 };
    for _ in 0..before {
        (_, _, rest) = element(rest)?;
    }
    let (_, mut names, _) = element(rest).filter(|(tag, ..)| *tag == SEQUENCE)?;
    let mut found = None;
    while let Some((SET, set, next)) = element(names) {
        let (_, pair, _) = element(set).filter(|(tag, ..)| *tag == SEQUENCE)?;
        let (_, kind, value) = element(pair)?;
        if kind == COMMON_NAME {
            let (_, text, _) = element(value)?;
            if found.replace(std::str::from_utf8(text).ok()?).is_some() {
                return None;
            }
        }
        names = next;
    }
    found
}

/// One DER element: tag, content, and what follows.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (length, rest) = match rest {
        [length @ ..=0x7F, rest @ ..] => (usize::from(*length), rest),
        [0x81, length, rest @ ..] => (usize::from(*length), rest),
        [0x82, high, low, rest @ ..] => (usize::from(u16::from_be_bytes([*high, *low])), rest),
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}
