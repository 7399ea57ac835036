//! A meter of IEEE 2030.5: who we are to it, when it knows us, and which certificate it shows.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use meter_link::bridge::Secret;
use meter_link::health::LinkProblem;
use meter_link::link::bridge::ccm8;
use meter_link::link::bridge::sep2::{fingerprint, identity, lfdi, pair};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::server::{Answer, answer, path};

/// 2026-11-23 04:00 UTC.
pub(crate) const NOW: i64 = 1_795_406_400_000;

/// Whom a meter knows, by their numbers; the utility adds to them while the meter runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known(Arc<Mutex<BTreeSet<String>>>);

impl Known {
    pub(crate) fn register(&self, lfdi: String) {
        self.0.lock().expect("no test panics while it registers").insert(lfdi);
    }
}

/// Asks for a certificate, and knows who is known.
impl ClientCertVerifier for Known {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let number: String = Sha256::digest(end_entity)[..20].iter().map(|byte| format!("{byte:02X}")).collect();
        if self.0.lock().expect("no test panics while it registers").contains(&number) {
            Ok(ClientCertVerified::assertion())
        } else {
            Err(CertificateError::UnknownIssuer.into())
        }
    }

    /// Who signs is compared with the certificate by the peer of another make, see `peer`; here the number is the point.
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("this is TLS 1.2".to_owned()))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}

/// A meter's key and certificate, with the critical policy that the standard wants, as acceptor.
pub(crate) fn certificate(known: &Known) -> TlsAcceptor {
    let secret = identity(NOW).expect("randomness");
    let mut parts = secret.0.split(' ').map(bytes);
    let (certificate, key) = (parts.next().expect("a certificate"), parts.next().expect("a key"));
    let key = PrivateKeyDer::Pkcs8(key.into());
    let key = rustls::crypto::ring::sign::any_ecdsa_type(&key).expect("a key on P-256");
    let certified = CertifiedKey::new(vec![certificate.into()], key);
    let builder = ServerConfig::builder_with_provider(Arc::new(ccm8::provider()));
    let configuration = builder
        .with_protocol_versions(&[&rustls::version::TLS12])
        .expect("TLS 1.2")
        .with_client_cert_verifier(Arc::new(known.clone()))
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    TlsAcceptor::from(Arc::new(configuration))
}

fn bytes(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits.bytes().collect();
    digits
        .chunks_exact(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).expect("digits"), 16).expect("digits"))
        .collect()
}

/// A meter on a port of its own, one question a connection; it ends with the test.
pub(crate) async fn meter(acceptor: TlsAcceptor, say: impl Fn(&str) -> Answer + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let say = Arc::new(say);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, say) = (acceptor.clone(), Arc::clone(&say));
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    answer(stream, |question| say(path(question))).await;
                }
            });
        }
    });
    port
}

fn points(place: &str) -> Answer {
    if place == "/upt" { Answer::ok("<UsagePointList/>") } else { Answer::status(404) }
}

#[tokio::test]
async fn k5_a_meter_that_does_not_know_us_yet_leaves_the_identity_as_it_is() {
    let known = Known::default();
    let port = meter(certificate(&known), points).await;
    let secret = identity(NOW).expect("randomness");
    let number = lfdi(&secret).expect("a number");
    assert_eq!(pair("127.0.0.1", port, &secret).await, Err(LinkProblem::PairingNeeded));
    known.register(number.clone());
    let paired = pair("127.0.0.1", port, &secret).await.expect("it knows us now");
    assert_eq!((lfdi(&paired), fingerprint(&secret)), (Some(number), None));
    assert_eq!(fingerprint(&paired).map(|digits| digits.len()), Some(64));
    assert_eq!(pair("127.0.0.1", port, &paired).await, Ok(paired), "paired again, nothing is new");
}

#[tokio::test]
async fn a_meter_that_refuses_us_by_its_answer_needs_a_pairing_too() {
    let known = Known::default();
    let secret = identity(NOW).expect("randomness");
    known.register(lfdi(&secret).expect("a number"));
    for status in [401, 403] {
        let port = meter(certificate(&known), move |_| Answer::status(status)).await;
        assert_eq!(pair("127.0.0.1", port, &secret).await, Err(LinkProblem::PairingNeeded), "{status}");
    }
    let port = meter(certificate(&known), |_| Answer::status(404)).await;
    assert_eq!(pair("127.0.0.1", port, &secret).await, Err(LinkProblem::Unrecognised));
    assert_eq!(pair("127.0.0.1", port, &Secret("nonsense".to_owned())).await, Err(LinkProblem::PairingNeeded));
}
