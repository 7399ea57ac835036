//! Rainforest's EAGLE-200 and EAGLE-3: pairing with what is printed on their label, and their meter asked over HTTP.
//!
//! Newer firmware listens on TLS with a certificate of its own, which is then pinned, see [`super::pin`], and never left
//! again for plain HTTP; older listens on plain HTTP alone, where everybody in the home can read along.
//!
//! Source: Rainforest Automation, EAGLE-200 Local API manual 1.0.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Client;
use reqwest::header::CONTENT_TYPE;
use tokio::time::{Instant, sleep_until};

use super::pin::{Names, Pin, Pinned};
use super::web;
use crate::bridge::eagle::{DEVICES, choose, query};
use crate::bridge::{Kind, Secret};
use crate::health::LinkProblem;

/// The one place that is asked.
const PATH: &str = "/cgi-bin/post_manager";
/// Where TLS is, on a device that has it.
const TLS_PORT: u16 = 443;
/// The meter speaks every four to fifteen seconds; asked more often than that, so that little time is lost.
const PACE: Duration = Duration::from_secs(4);

/// What a pairing gives.
#[derive(Clone)]
struct Paired {
    /// Six hexadecimal digits.
    cloud_id: String,
    /// Sixteen hexadecimal digits.
    install_code: String,
    /// The device's certificate, where it has one.
    pin: Option<Pin>,
}

impl Paired {
    fn new(cloud_id: &str, install_code: &str, pin: Option<Pin>) -> Option<Self> {
        let is_number = |text: &str, length: usize| {
            text.len() == length && text.bytes().all(|character| character.is_ascii_hexdigit())
        };
        let is_label = is_number(cloud_id, 6) && is_number(install_code, 16);
        is_label.then(|| Self { cloud_id: cloud_id.to_owned(), install_code: install_code.to_owned(), pin })
    }

    /// `cloud id:install code`, and the fingerprint of the device's certificate where it has one.
    fn secret(&self) -> Secret {
        let label = format!("{}:{}", self.cloud_id, self.install_code);
        Secret(match &self.pin {
            Some(pin) => format!("{label} {}", pin.digits()),
            None => label,
        })
    }

    /// Reads what [`Self::secret`] gave. `None` for anything else.
    fn read(secret: &Secret) -> Option<Self> {
        let (label, pin) = match secret.0.split_once(' ') {
            Some((label, digits)) => (label, Some(Pin::read(digits, "")?)),
            None => (secret.0.as_str(), None),
        };
        let (cloud_id, install_code) = label.split_once(':')?;
        Self::new(cloud_id, install_code, pin)
    }
}

/// Pairs with a device by its label, on which the two numbers stand. White space around and inside them is dropped.
///
/// `port`: the one of plain HTTP. TLS is tried first, on 443 where `port` is the usual one, else on `port` itself.
/// `PairingNeeded`: they are not this device's numbers, or no such numbers at all.
pub async fn pair(host: &str, port: u16, cloud_id: &str, install_code: &str) -> Result<Secret, LinkProblem> {
    let plain = |text: &str| -> String { text.split_whitespace().collect() };
    let paired = Paired::new(&plain(cloud_id), &plain(install_code), None).ok_or(LinkProblem::PairingNeeded)?;
    let device = Device::secured(host, port, &paired)?;
    match device.ask(DEVICES).await {
        Ok(_) => {
            let pin = device.pinned.as_ref().and_then(|pinned| pinned.pin()).cloned();
            Ok(Paired { pin, ..paired }.secret())
        }
        // No TLS there.
        Err(LinkProblem::Closed | LinkProblem::Refused) => {
            Device::plain(host, port, &paired)?.ask(DEVICES).await?;
            Ok(paired.secret())
        }
        Err(problem) => Err(problem),
    }
}

/// SHA-256 of the device's certificate as it was when paired, 64 hexadecimal digits. `None`: it has none.
pub fn fingerprint(secret: &Secret) -> Option<String> {
    Paired::read(secret)?.pin.map(|pin| pin.digits())
}

/// Where, with which numbers and which certificate.
struct Device {
    client: Client,
    url: String,
    paired: Paired,
    /// `None`: plain HTTP.
    pinned: Option<Arc<Pinned>>,
}

impl Device {
    fn plain(host: &str, port: u16, paired: &Paired) -> Result<Self, LinkProblem> {
        let url = web::origin("http", host, port) + PATH;
        Ok(Self { client: web::client()?, url, paired: paired.clone(), pinned: None })
    }

    fn secured(host: &str, port: u16, paired: &Paired) -> Result<Self, LinkProblem> {
        let port = if port == Kind::Eagle.port() { TLS_PORT } else { port };
        let pinned = Pinned::new(paired.pin.clone(), Names::Free, rustls::crypto::ring::default_provider());
        let configuration = pinned.configuration().ok_or(LinkProblem::Untrusted)?;
        let client = web::build(Client::builder().https_only(true).tls_backend_preconfigured(configuration))?;
        let url = web::origin("https", host, port) + PATH;
        Ok(Self { client, url, paired: paired.clone(), pinned: Some(pinned) })
    }

    async fn ask(&self, command: &str) -> Result<Vec<u8>, LinkProblem> {
        let request = self.client.post(&self.url).header(CONTENT_TYPE, "text/xml").body(command.to_owned());
        let request = request.basic_auth(&self.paired.cloud_id, Some(&self.paired.install_code));
        let (status, body) = web::ask(request).await?;
        web::refusal(status).map_or(Ok(body), Err)
    }
}

/// A device whose meter was found.
pub(super) struct Eagle {
    device: Device,
    /// The meter's address behind the device.
    meter: String,
    /// Not asked again before.
    next: Instant,
}

impl std::fmt::Debug for Eagle {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The install code is a password, the meter's address a serial number.
        formatter.write_str("Eagle(…)")
    }
}

impl Eagle {
    pub(super) async fn open(host: &str, port: u16, secret: Option<&Secret>) -> Result<Self, LinkProblem> {
        let paired = secret.and_then(Paired::read).ok_or(LinkProblem::PairingNeeded)?;
        let device = match paired.pin {
            Some(_) => Device::secured(host, port, &paired)?,
            None => Device::plain(host, port, &paired)?,
        };
        let meter = choose(&device.ask(DEVICES).await?)?;
        Ok(Self { device, meter, next: Instant::now() })
    }

    /// What the device knows of the meter.
    pub(super) async fn next(&mut self) -> Result<Vec<u8>, LinkProblem> {
        sleep_until(self.next).await;
        self.next = Instant::now() + PACE;
        self.device.ask(&query(&self.meter)).await
    }

    /// Whether the device proves who it is.
    pub(super) const fn is_pinned(&self) -> bool {
        self.device.pinned.is_some()
    }
}
