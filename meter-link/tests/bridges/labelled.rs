//! Rainforest's EAGLE by the numbers on its label: over plain HTTP, over TLS with a pinned certificate, and what is wrong.

use std::sync::atomic::{AtomicU32, Ordering};

use meter_link::bridge::{Kind, Secret};
use meter_link::diagnosis::{Finding, diagnose};
use meter_link::health::LinkProblem;
use meter_link::link::Address;
use meter_link::link::bridge::eagle::{fingerprint, pair};
use meter_link::reading::Trust;
use tokio::net::TcpListener;

use super::paired::certificate;
use super::server::{Answer, Server, Told, answer};

const CLOUD_ID: &str = "00abcd";
const INSTALL_CODE: &str = "0011223344556677";
/// Both numbers, as HTTP sends them.
const CREDENTIALS: &str = "Basic MDBhYmNkOjAwMTEyMjMzNDQ1NTY2Nzc=";

const DEVICES: &str = "<DeviceList>\
    <Device><HardwareAddress>0x00000000000000aa</HardwareAddress><ModelId>electric_meter</ModelId>\
    <LastContact>0x6a25b1a0</LastContact><ConnectionStatus>Not Joined</ConnectionStatus></Device>\
    <Device><HardwareAddress>0x00000000000000bb</HardwareAddress><ModelId>electric_meter</ModelId>\
    <LastContact>0x6a25b1f0</LastContact><ConnectionStatus>Connected</ConnectionStatus></Device>\
    <Device><HardwareAddress>0x00000000000000cc</HardwareAddress><ModelId>some_switch</ModelId>\
    <LastContact>0x6a25b1ff</LastContact><ConnectionStatus>Connected</ConnectionStatus></Device></DeviceList>";

/// What the device says, to whoever has its numbers.
fn device(question: &str) -> Answer {
    if !question.to_lowercase().contains(&format!("authorization: {CREDENTIALS}").to_lowercase()) {
        return Answer::status(401);
    }
    if !question.starts_with("POST /cgi-bin/post_manager ") {
        return Answer::status(404);
    }
    if question.contains("<Name>device_list</Name>") {
        return Answer::ok(DEVICES);
    }
    let is_query = question.contains("<Name>device_query</Name>") && question.contains("<All>Y</All>");
    if is_query && question.contains("0x00000000000000bb") {
        // The meter is heard between any two questions.
        static HEARD: AtomicU32 = AtomicU32::new(0x6a25_b1f0);
        let heard = format!("0x{:08x}", HEARD.fetch_add(1, Ordering::Relaxed));
        let body = include_str!("../../captures/bridge/eagle_all_variables.xml");
        return Answer::ok(body.replace("0x6a25b1f0", &heard));
    }
    Answer::status(400)
}

#[tokio::test]
async fn a_device_of_plain_http_is_paired_and_its_connected_meter_read() {
    let server = Server::asked(device).await;
    let Address::Bridge { host, port, .. } = server.address(Kind::Eagle) else { panic!("a bridge") };
    let secret = pair(&host, port, " 00abcd ", "0011 2233 4455 6677").await.expect("its numbers");
    assert_eq!((secret.0.as_str(), fingerprint(&secret)), ("00abcd:0011223344556677", None));
    let mut told = Told::start(server.address(Kind::Eagle), Some(secret));
    let reading = told.reading().await.reading;
    assert_eq!((reading.protocol, reading.trust, reading.values.len()), ("eagle", Trust::Unverified, 3));
}

#[tokio::test]
async fn other_numbers_are_not_paired_with() {
    let server = Server::asked(device).await;
    let Address::Bridge { host, port, .. } = server.address(Kind::Eagle) else { panic!("a bridge") };
    for (cloud_id, install_code) in [("00abce", INSTALL_CODE), ("00abcd", "short"), ("", "")] {
        assert_eq!(pair(&host, port, cloud_id, install_code).await, Err(LinkProblem::PairingNeeded), "{cloud_id}");
    }
    for secret in [Some(Secret("00abce:0011223344556677".to_owned())), Some(Secret("nonsense".to_owned())), None] {
        let mut told = Told::start(server.address(Kind::Eagle), secret);
        told.health(|health| health.problem == Some(LinkProblem::PairingNeeded)).await;
    }
}

/// The device on TLS, at a port of its own.
async fn secured(certificate: tokio_rustls::TlsAcceptor) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(stream) = certificate.accept(stream).await {
                tokio::spawn(async move { answer(stream, device).await });
            }
        }
    });
    port
}

fn at(port: u16) -> Address {
    Address::Bridge { kind: Kind::Eagle, host: "127.0.0.1".to_owned(), port }
}

#[tokio::test]
async fn a_device_of_tls_is_pinned_and_another_in_its_place_gets_no_numbers() {
    let port = secured(certificate("eagle")).await;
    let secret = pair("127.0.0.1", port, CLOUD_ID, INSTALL_CODE).await.expect("its numbers");
    assert_eq!(fingerprint(&secret).map(|digits| digits.len()), Some(64));
    let reading = Told::start(at(port), Some(secret.clone())).reading().await.reading;
    assert_eq!((reading.protocol, reading.trust), ("eagle", Trust::Checked));
    let mut told = Told::start(at(secured(certificate("eagle")).await), Some(secret.clone()));
    told.health(|health| health.problem == Some(LinkProblem::Untrusted)).await;
    // Nor does plain HTTP: what was paired with TLS is never asked without.
    let plain = Server::asked(|question| panic!("asked in clear: {}", question.len())).await;
    let mut told = Told::start(plain.address(Kind::Eagle), Some(secret));
    told.health(|health| health.problem == Some(LinkProblem::Closed)).await;
}

#[tokio::test]
async fn a_meter_that_left_the_network_is_silent() {
    let server = Server::asked(|_| {
        Answer::ok(
            "<DeviceList><Device><HardwareAddress>0xaa</HardwareAddress><ModelId>electric_meter</ModelId>\
            <ConnectionStatus>Not Joined</ConnectionStatus></Device></DeviceList>",
        )
    })
    .await;
    let mut told = Told::start(server.address(Kind::Eagle), Some(Secret("00abcd:0011223344556677".to_owned())));
    told.health(|health| health.problem == Some(LinkProblem::Silent)).await;
}

#[tokio::test]
async fn u1_a_meter_that_the_device_has_not_heard_since_is_stale() {
    let server = Server::asked(|question| match question {
        question if question.contains("device_list") => Answer::ok(DEVICES),
        _ => Answer::ok(include_bytes!("../../captures/bridge/eagle_all_variables.xml")),
    })
    .await;
    let mut told = Told::start(server.address(Kind::Eagle), Some(Secret("00abcd:0011223344556677".to_owned())));
    let health = told.health(|health| health.problem == Some(LinkProblem::Stale)).await;
    assert_eq!((health.frames, diagnose(&health)), (0, Finding::BridgeStale));
}
