//! HomeWizard's version 2: pairing with a button, a pinned certificate, measurements over a web socket.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::{SinkExt as _, StreamExt as _};
use meter_link::bridge::{Kind, Secret};
use meter_link::health::LinkProblem;
use meter_link::link::Address;
use meter_link::link::bridge::homewizard2::{Paired, pair, unpair};
use meter_link::reading::Trust;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::tungstenite::Message;

use super::server::{Answer, Told, answer, path};

const NAME: &str = "appliance/p1dongle/0a0b0c0d0e0f";
const TOKEN: &str = "00112233445566778899AABBCCDDEEFF";
const ABOUT: &str = r#"{"product_type":"HWE-P1","product_name":"P1 Meter","serial":"0a0b0c0d0e0f","firmware_version":"6.00","api_version":"2.0.0"}"#;

/// A device's certificate and key.
pub(crate) fn certificate(name: &str) -> TlsAcceptor {
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut parameters = rcgen::CertificateParams::new(Vec::new()).expect("no names");
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters.distinguished_name.push(rcgen::DnType::CommonName, name);
    let certificate = parameters.self_signed(&key).expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let configuration = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()));
    TlsAcceptor::from(Arc::new(configuration.expect("a configuration")))
}

/// A device on a port of its own; it ends with the test.
async fn device<F>(acceptor: &TlsAcceptor, speak: impl Fn(TlsStream<TcpStream>) -> F + Send + 'static) -> u16
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let acceptor = acceptor.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(stream) = acceptor.accept(stream).await {
                tokio::spawn(speak(stream));
            }
        }
    });
    port
}

/// A device that answers questions; its button is pressed at the third.
async fn with_button(acceptor: &TlsAcceptor, about: &'static str) -> u16 {
    let asked = Arc::new(AtomicU32::new(0));
    device(acceptor, move |stream| {
        let asked = Arc::clone(&asked);
        async move {
            answer(stream, |head| match (head.split(' ').next(), path(head)) {
                (Some("POST"), "/api/user") if asked.fetch_add(1, Ordering::Relaxed) < 2 => Answer::status(403),
                (Some("POST"), "/api/user") => Answer::ok(format!(r#"{{"token":"{TOKEN}","name":"local/wattle"}}"#)),
                _ if !head.to_lowercase().contains(&format!("bearer {TOKEN}").to_lowercase()) => Answer::status(401),
                (Some("DELETE"), "/api/user") => Answer::status(204),
                _ => Answer::ok(about),
            })
            .await;
        }
    })
    .await
}

/// A device that pushes one measurement to whoever has the token.
async fn pushing(acceptor: &TlsAcceptor) -> u16 {
    device(acceptor, |stream| async move {
        let mut socket = tokio_tungstenite::accept_async(stream).await.expect("a web socket");
        let request = r#"{"type":"authorization_requested","data":{"api_version":"2.0.0"}}"#;
        let _ = socket.send(Message::text(request)).await;
        let Some(Ok(Message::Text(heard))) = socket.next().await else { return };
        if !heard.contains(TOKEN) {
            let refusal = r#"{"type":"error","data":{"message":"user:unauthorized"}}"#;
            let _ = socket.send(Message::text(refusal)).await;
            return;
        }
        let _ = socket.send(Message::text(r#"{"type":"authorized"}"#)).await;
        let Some(Ok(Message::Text(heard))) = socket.next().await else { return };
        assert!(heard.contains("subscribe") && heard.contains("measurement"));
        // Of a summer long ago, so the first waits for the second.
        for second in [5, 6] {
            let measurement = format!(
                r#"{{"type":"measurement","data":{{"timestamp":"2026-07-01T12:00:0{second}","energy_import_kwh":4711.123,"power_w":-321}}}}"#
            );
            let _ = socket.send(Message::text(measurement)).await;
        }
        while socket.next().await.is_some() {}
    })
    .await
}

fn at(port: u16) -> Address {
    Address::Bridge { kind: Kind::HomeWizard2, host: "127.0.0.1".to_owned(), port }
}

async fn paired(acceptor: &TlsAcceptor) -> Paired {
    let port = with_button(acceptor, ABOUT).await;
    pair("127.0.0.1", port, "wattle", None, |_| ()).await.expect("the button was pressed")
}

#[tokio::test]
async fn pairing_waits_for_the_button_and_unpairing_ends_it() {
    let port = with_button(&certificate(NAME), ABOUT).await;
    let mut waited = Vec::new();
    let paired =
        pair("127.0.0.1", port, "wattle", None, |left| waited.push(left)).await.expect("the button was pressed");
    assert!(waited.len() == 2 && waited.iter().all(|left| (20..=30).contains(left)), "{waited:?}");
    assert_eq!((paired.pin.name.as_str(), Paired::read(&paired.secret())), (NAME, Some(paired.clone())));
    assert!(!format!("{paired:?}").contains("0a0b0c"));
    assert_eq!(unpair("127.0.0.1", port, "wattle", &paired.secret()).await, Ok(()));
}

#[tokio::test]
async fn k16_a_certificate_that_names_another_device_is_not_paired_with() {
    let about = r#"{"product_type":"HWE-P1","serial":"ffffffffffff","firmware_version":"6.00","api_version":"2.0.0"}"#;
    let port = with_button(&certificate(NAME), about).await;
    assert_eq!(pair("127.0.0.1", port, "wattle", None, |_| ()).await, Err(LinkProblem::Untrusted));
    let port = with_button(&certificate("p1dongle.lan"), ABOUT).await;
    assert_eq!(pair("127.0.0.1", port, "wattle", None, |_| ()).await, Err(LinkProblem::Untrusted));
}

#[tokio::test]
async fn measurements_are_pushed_by_the_paired_device() {
    let acceptor = certificate(NAME);
    let secret = paired(&acceptor).await.secret();
    let mut told = Told::start(at(pushing(&acceptor).await), Some(secret));
    let reading = told.reading().await.reading;
    assert_eq!((reading.protocol, reading.trust, reading.values.len()), ("homewizard", Trust::Checked, 2));
}

#[tokio::test]
async fn k16_another_certificate_of_the_same_name_is_refused_and_gets_no_token() {
    let secret = paired(&certificate(NAME)).await.secret();
    let impostor = certificate(NAME);
    let mut told = Told::start(at(pushing(&impostor).await), Some(secret.clone()));
    told.health(|health| health.problem == Some(LinkProblem::Untrusted)).await;
    let port = with_button(&impostor, ABOUT).await;
    assert_eq!(unpair("127.0.0.1", port, "wattle", &secret).await, Err(LinkProblem::Untrusted));
    // Neither is it paired with in the old one's place, unless the household has nothing to compare it with.
    assert_eq!(pair("127.0.0.1", port, "wattle", Some(&secret), |_| ()).await, Err(LinkProblem::Untrusted));
    assert!(pair("127.0.0.1", port, "wattle", None, |_| ()).await.is_ok());
}

#[tokio::test]
async fn the_device_that_was_paired_is_paired_again() {
    let acceptor = certificate(NAME);
    let secret = paired(&acceptor).await.secret();
    let port = with_button(&acceptor, ABOUT).await;
    let again = pair("127.0.0.1", port, "wattle", Some(&secret), |_| ()).await.expect("the button was pressed");
    assert_eq!(Paired::read(&secret).map(|paired| paired.pin), Some(again.pin));
}

#[tokio::test]
async fn a_token_that_is_refused_or_missing_needs_a_new_pairing() {
    let acceptor = certificate(NAME);
    let mut paired = paired(&acceptor).await;
    paired.token = Secret("FF".repeat(16));
    let port = pushing(&acceptor).await;
    for secret in [Some(paired.secret()), Some(Secret("nonsense".to_owned())), None] {
        let mut told = Told::start(at(port), secret);
        told.health(|health| health.problem == Some(LinkProblem::PairingNeeded)).await;
    }
}
