//! The meter's task against what stands in a home: servers on loopback that behave as the devices do, and misbehave.
//!
//! No test waits for time to pass: each waits for the event it is about, with a limit that only a failure reaches.

#![expect(clippy::print_stdout, reason = "what did not run is to be said")]

mod labelled;
mod metered;
mod paired;
mod peer;
mod published;
mod registers;
mod server;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use meter_link::bridge::Kind;
use meter_link::checksum;
use meter_link::diagnosis::{Finding, diagnose};
use meter_link::health::{LinkProblem, LinkState};
use meter_link::reading::Trust;
use server::{Answer, Server, Told};

/// No test needs so long.
pub(crate) const LIMIT: Duration = Duration::from_secs(40);

const DEVICE: &str = r#"{"product_type":"HWE-KWH1","product_name":"kWh Meter","serial":"made up","firmware_version":"4.19","api_version":"v1"}"#;
const DATA: &str = r#"{"total_power_import_kwh":1.5,"active_power_w":42,"external":[{"type":"gas_meter"},{"unique_id":"AA","type":"water_meter","timestamp":261123030500,"value":7.001,"unit":"m3"}]}"#;

/// A telegram without the words on where it is from, so many seconds after the first.
fn telegram(seconds: u32) -> Vec<u8> {
    let capture = include_str!("../../captures/p1/nl_dsmr50_three_phase.txt");
    let (_, telegram) = capture.split_once("\n/").expect("a telegram");
    let telegram = format!("/{telegram}").replace("261023201540S", &format!("2610232015{:02}S", 40 + seconds));
    let (content, _) = telegram.rsplit_once('!').expect("an end");
    let sum = checksum::arc(format!("{content}!").as_bytes());
    format!("{content}!{sum:04X}\r\n").into_bytes()
}

#[tokio::test]
async fn a_kwh_meter_is_read_and_one_invalid_child_loses_only_itself() {
    let server = Server::start(|path| match path {
        "/api" => Answer::ok(DEVICE),
        "/api/v1/data" => Answer::ok(DATA),
        _ => Answer::status(404),
    })
    .await;
    let mut told = Told::start(server.address(Kind::HomeWizard), None);
    let reading = told.reading().await.reading;
    assert_eq!((reading.protocol, reading.trust), ("homewizard", Trust::Unverified));
    assert_eq!((reading.values.len(), reading.children.len(), reading.not_understood.len()), (3, 1, 1));
}

#[tokio::test]
async fn a_p1_meter_gives_its_telegram_with_its_checksum() {
    let asked = AtomicU32::new(0);
    let server = Server::start(move |path| match path {
        "/api" => Answer::ok(DEVICE),
        "/api/v1/telegram" => Answer::ok(telegram(asked.fetch_add(1, Ordering::Relaxed))),
        _ => Answer::status(404),
    })
    .await;
    let mut told = Told::start(server.address(Kind::HomeWizard), None);
    let reading = told.reading().await.reading;
    assert_eq!((reading.protocol, reading.trust), ("p1", Trust::Checked));
}

#[tokio::test]
async fn u1_a_bridge_that_repeats_a_telegram_is_stale_and_not_live() {
    let asked = AtomicU32::new(0);
    // The first is of last month and waits for the second, which moves, and comes again for ever.
    let server = Server::start(move |path| match path {
        "/api" => Answer::ok(DEVICE),
        _ => Answer::ok(telegram(asked.fetch_add(1, Ordering::Relaxed).min(1))),
    })
    .await;
    let mut told = Told::start(server.address(Kind::HomeWizard), None);
    told.reading().await;
    let health = told.health(|health| health.problem == Some(LinkProblem::Stale)).await;
    assert_eq!((health.state, health.frames, diagnose(&health)), (LinkState::Listening, 1, Finding::BridgeStale));
}

#[tokio::test]
async fn a_switched_off_local_api_is_said() {
    let server = Server::start(|_| Answer::status(403)).await;
    let mut told = Told::start(server.address(Kind::HomeWizard), None);
    told.health(|health| health.problem == Some(LinkProblem::NotEnabled)).await;
}

#[tokio::test]
async fn a_body_too_large_is_refused() {
    let large = "x".repeat(meter_link::bridge::MAX_BODY + 1);
    let server = Server::start(move |_| Answer::ok(&large)).await;
    let mut told = Told::start(server.address(Kind::Shelly), None);
    told.health(|health| health.problem == Some(LinkProblem::Unrecognised)).await;
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let server = Server::start(|_| Answer::status(302)).await;
    let mut told = Told::start(server.address(Kind::Tasmota), None);
    told.health(|health| health.problem == Some(LinkProblem::Unrecognised)).await;
}

#[tokio::test]
async fn a_device_that_goes_away_is_a_problem_and_then_back() {
    let server = Server::start(|path| match path {
        "/status" => Answer::ok(r#"{"emeters":[{"power":1,"is_valid":true,"total":5}]}"#),
        _ => Answer::status(404),
    })
    .await;
    let mut told = Told::start(server.address(Kind::Shelly), None);
    told.reading().await;
    let back = server.stop().await;
    told.health(|health| health.state == LinkState::Waiting && health.problem.is_some()).await;
    let _server = back.start().await;
    let reading = told.reading().await.reading;
    assert_eq!(reading.protocol, "shelly");
    told.health(|health| health.state == LinkState::Live && health.problem.is_none()).await;
}
