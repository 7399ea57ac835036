//! A meter of IEEE 2030.5: who we are to it, when it knows us, and which certificate it shows.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use meter_link::bridge::{Kind, Secret};
use meter_link::health::LinkProblem;
use meter_link::link::Address;
use meter_link::link::bridge::ccm8;
use meter_link::link::bridge::sep2::{fingerprint, identity, lfdi, pair};
use meter_link::reading::{Reading, Trust};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::peer::Folder;
use super::server::{Answer, Told, answer, path};

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

/// A small meter, its links its own; what it measures is counted up.
fn tree(place: &str, count: u32) -> Option<String> {
    Some(match place {
        "/sdev/sdi" => "<DeviceInformation><lFDI>made up</lFDI></DeviceInformation>".to_owned(),
        "/upt" => "<UsagePointList><UsagePoint><MeterReadingListLink href='/e' all='2'/></UsagePoint></UsagePointList>"
            .to_owned(),
        "/e" => "<MeterReadingList all='2' results='2'>\
            <MeterReading><ReadingLink href='/v/1'/><ReadingTypeLink href='/k/1'/></MeterReading>\
            <MeterReading><ReadingLink href='/v/2'/><ReadingTypeLink href='/k/2'/></MeterReading></MeterReadingList>"
            .to_owned(),
        "/k/1" => "<ReadingType><flowDirection>1</flowDirection><uom>38</uom></ReadingType>".to_owned(),
        "/k/2" => "<ReadingType><flowDirection>1</flowDirection><uom>72</uom></ReadingType>".to_owned(),
        "/v/1" => format!("<Reading><value>-{count}</value></Reading>"),
        "/v/2" => "<Reading><value>12345678</value></Reading>".to_owned(),
        _ => return None,
    })
}

fn at(port: u16) -> Address {
    Address::Bridge { kind: Kind::Sep2, host: "127.0.0.1".to_owned(), port }
}

fn power(reading: &Reading) -> Option<i64> {
    reading.values.iter().find(|value| value.obis.to_string() == "1-0:16.7.0").map(|value| value.value.mantissa)
}

#[tokio::test]
async fn a_meter_is_read_again_and_again_until_it_does_not_know_us_any_more() {
    let known = Known::default();
    let secret = identity(NOW).expect("randomness");
    known.register(lfdi(&secret).expect("a number"));
    let asked = AtomicU32::new(0);
    let port = meter(certificate(&known), move |place| {
        let count = if place == "/v/1" { asked.fetch_add(1, Ordering::Relaxed) } else { 0 };
        // After two readings the utility withdraws us.
        match tree(place, 100 + count).filter(|_| count < 2) {
            Some(answer) => Answer::ok(answer),
            None if place == "/v/1" => Answer::status(401),
            None => Answer::status(404),
        }
    })
    .await;
    let paired = pair("127.0.0.1", port, &secret).await.expect("it knows us");
    let mut told = Told::start(at(port), Some(paired));
    let first = told.reading().await.reading;
    assert_eq!((first.protocol, first.trust, first.values.len()), ("sep2", Trust::Checked, 2));
    assert_eq!((power(&first), power(&told.reading().await.reading)), (Some(-100), Some(-101)));
    told.health(|health| health.problem == Some(LinkProblem::PairingNeeded)).await;
}

#[tokio::test]
async fn another_certificate_in_the_meters_place_is_refused() {
    let known = Known::default();
    let secret = identity(NOW).expect("randomness");
    known.register(lfdi(&secret).expect("a number"));
    let say = |place: &str| tree(place, 1).map_or(Answer::status(404), Answer::ok);
    let paired = pair("127.0.0.1", meter(certificate(&known), say).await, &secret).await.expect("it knows us");
    let impostor = meter(certificate(&known), say).await;
    let mut told = Told::start(at(impostor), Some(paired));
    told.health(|health| health.problem == Some(LinkProblem::Untrusted)).await;
    // Not paired, so nobody has seen a certificate yet.
    let mut told = Told::start(at(impostor), Some(secret));
    told.health(|health| health.problem == Some(LinkProblem::PairingNeeded)).await;
}

#[tokio::test]
async fn what_lists_nothing_that_has_a_meaning_is_not_recognised() {
    let known = Known::default();
    let secret = identity(NOW).expect("randomness");
    known.register(lfdi(&secret).expect("a number"));
    let port = meter(certificate(&known), points).await;
    let paired = pair("127.0.0.1", port, &secret).await.expect("it knows us");
    let mut told = Told::start(at(port), Some(paired));
    told.health(|health| health.problem == Some(LinkProblem::Unrecognised)).await;
}

#[tokio::test]
async fn a_meter_whose_tls_is_of_another_make_is_read() {
    let Some(folder) = Folder::new("read") else { return };
    for place in ["/sdev/sdi", "/upt", "/e", "/k/1", "/k/2", "/v/1", "/v/2"] {
        folder.write(&place[1..], &tree(place, 351).expect("a place of the meter"));
    }
    let meter = folder.meter();
    let secret = identity(NOW).expect("randomness");
    let paired = pair("127.0.0.1", meter.port, &secret).await.expect("the suite");
    let reading = Told::start(at(meter.port), Some(paired)).reading().await.reading;
    assert_eq!((power(&reading), reading.trust), (Some(-351), Trust::Checked));
}
