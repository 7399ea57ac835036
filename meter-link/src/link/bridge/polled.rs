//! Devices that answer a plain HTTP request with their state: HomeWizard version 1, Shelly, Tasmota.

use std::time::Duration;

use reqwest::Client;
use tokio::time::{Instant, sleep_until};

use super::web;
use crate::bridge::Kind;
use crate::health::LinkProblem;

/// A device that is asked again and again for the same thing.
#[derive(Debug)]
pub(super) struct Polled {
    client: Client,
    url: String,
    /// Time from one question to the next.
    pace: Duration,
    /// Not asked again before.
    next: Instant,
    /// The body that showed which question the device answers.
    first: Option<Vec<u8>>,
}

impl Polled {
    pub(super) async fn open(kind: Kind, host: &str, port: u16) -> Result<Self, LinkProblem> {
        let client = web::client()?;
        let origin = web::origin("http", host, port);
        let mut problem = LinkProblem::Unrecognised;
        if kind == Kind::HomeWizard {
            // Forbidden while the owner has not switched the local API on.
            web::get(&client, &format!("{origin}/api")).await?;
        }
        for path in paths(kind) {
            let url = format!("{origin}{path}");
            match web::get(&client, &url).await {
                Ok(body) if !body.is_empty() => {
                    let pace = pace(kind);
                    return Ok(Self { client, url, pace, next: Instant::now() + pace, first: Some(body) });
                }
                Ok(_) => (),
                // Answers, but not to this: perhaps to the next.
                Err(refusal @ (LinkProblem::Unrecognised | LinkProblem::Silent)) => problem = refusal,
                Err(problem) => return Err(problem),
            }
        }
        Err(problem)
    }

    pub(super) async fn next(&mut self) -> Result<Vec<u8>, LinkProblem> {
        if let Some(body) = self.first.take() {
            return Ok(body);
        }
        sleep_until(self.next).await;
        self.next = Instant::now() + self.pace;
        web::get(&self.client, &self.url).await
    }
}

/// What is asked for, the most telling first.
const fn paths(kind: Kind) -> &'static [&'static str] {
    match kind {
        // The telegram has everything the meter said, and its checksum; only the P1 meter has one.
        Kind::HomeWizard => &["/api/v1/telegram", "/api/v1/data"],
        // All components in one answer; the older generation answers the second.
        Kind::Shelly => &["/rpc/Shelly.GetStatus", "/status"],
        Kind::Tasmota => &["/cm?cmnd=Status%208"],
        _ => &[],
    }
}

/// How often: as often as the device measures, and no small device is kept busy by it.
const fn pace(kind: Kind) -> Duration {
    match kind {
        Kind::Tasmota => Duration::from_secs(2),
        _ => Duration::from_secs(1),
    }
}
