//! Meters that speak IEEE 2030.5, as Xcel's Itron meters do: who we are to them, pairing, and what they are asked.
//!
//! A meter knows us by our certificate, which its owner registers with the utility by its number (LFDI); until that has
//! reached the meter, hours later, it refuses us. So an identity is made once, by [`identity()`], shown by [`lfdi`], kept
//! whatever happens, and never made anew by itself: a new one would have to be registered again. [`pair`] asks the meter
//! whether it knows us yet, and remembers its certificate; without that the link is not opened.
//!
//! Everything is asked over a connection of its own, as these meters want it, and once more if that broke. Nothing is ever
//! written.
//!
//! Source: IEEE 2030.5-2018 sections 6.3 (LFDI, SFDI), 6.7 and 6.11 (TLS, certificates), 8 (resources).

mod identity;

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT, CONNECTION};
use reqwest::{Client, StatusCode};
use rustls::client::danger::ServerCertVerifier;
use rustls::sign::SingleCertAndKey;
use rustls::version::TLS12;
use rustls::{ClientConfig, Error};
use tokio::time::{Instant, sleep_until};

use super::ccm8;
use super::pin::{Names, Pinned};
use super::web;
use crate::bridge::Secret;
use crate::health::LinkProblem;
use crate::sep2::{POINTS, Walk};
use identity::Identity;
pub use identity::{IdentityError, adopt, expires_utc_milliseconds, fingerprint, identity, lfdi, sfdi};

/// XML as the standard names it, of its first schema.
const MEDIA: &str = "application/sep+xml;level=-S1";
/// Such a meter measures every second or so, and a handshake is work for it.
const PACE: Duration = Duration::from_secs(5);

/// Asks a meter whether it knows us, and remembers its certificate, whichever it shows. Gives the secret for the link.
///
/// `identity`: from [`identity()`], or what an earlier pairing gave; its certificate stays, the meter's is taken anew.
/// `PairingNeeded`: the meter does not know us yet; ask again later with the same identity.
pub async fn pair(host: &str, port: u16, identity: &Secret) -> Result<Secret, LinkProblem> {
    let mut identity = Identity::read(identity).ok_or(LinkProblem::PairingNeeded)?;
    identity.pin = None;
    let meter = Meter::new(host, port, &identity)?;
    meter.ask(POINTS).await?.ok_or(LinkProblem::Unrecognised)?;
    identity.pin = Some(meter.pinned.pin().cloned().ok_or(LinkProblem::Untrusted)?);
    Ok(identity.secret())
}

/// A meter that is asked.
#[derive(Debug)]
struct Meter {
    client: Client,
    origin: String,
    pinned: Arc<Pinned>,
}

impl Meter {
    fn new(host: &str, port: u16, identity: &Identity) -> Result<Self, LinkProblem> {
        let pinned = Pinned::new(identity.pin.clone(), Names::Free, ccm8::provider());
        let configuration = configuration(&pinned, identity).map_err(|_| LinkProblem::PairingNeeded)?;
        let builder = Client::builder().https_only(true).http1_only().pool_max_idle_per_host(0);
        let client = web::build(builder.tls_backend_preconfigured(configuration))?;
        Ok(Self { client, origin: web::origin("https", host, port), pinned })
    }

    /// Walks to the end.
    async fn read(&self, mut walk: Walk) -> Result<Walk, LinkProblem> {
        while let Some(place) = walk.poll_place() {
            walk.handle_answer(self.ask(&place).await?.as_deref());
        }
        Ok(walk)
    }

    /// What is at a place. `None`: nothing.
    async fn ask(&self, place: &str) -> Result<Option<Vec<u8>>, LinkProblem> {
        let request = || {
            let request = self.client.get(format!("{}{place}", self.origin));
            request.header(ACCEPT, MEDIA).header(CONNECTION, "close")
        };
        let answer = match web::ask(request()).await {
            // Seen on real meters now and then: a handshake that fails, and the next does not.
            Err(LinkProblem::Closed) => web::ask(request()).await,
            answer => answer,
        };
        let (status, body) = answer?;
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(LinkProblem::PairingNeeded),
            StatusCode::NOT_FOUND | StatusCode::GONE => Ok(None),
            status => web::refusal(status).map_or(Ok(Some(body)), Err),
        }
    }
}

/// A meter whose readings were found.
#[derive(Debug)]
pub(super) struct Metered {
    meter: Meter,
    /// The last way through its resources.
    walk: Walk,
    /// Not asked again before.
    next: Instant,
    /// `walk` has not been handed on.
    is_new: bool,
}

impl Metered {
    pub(super) async fn open(host: &str, port: u16, secret: Option<&Secret>) -> Result<Self, LinkProblem> {
        let identity = secret.and_then(Identity::read).filter(|identity| identity.pin.is_some());
        let meter = Meter::new(host, port, &identity.ok_or(LinkProblem::PairingNeeded)?)?;
        let walk = meter.read(Walk::default()).await?;
        if !walk.has_values() {
            return Err(LinkProblem::Unrecognised);
        }
        Ok(Self { meter, walk, next: Instant::now() + PACE, is_new: true })
    }

    /// What the meter measured last.
    pub(super) async fn next(&mut self) -> Result<Vec<u8>, LinkProblem> {
        if !std::mem::take(&mut self.is_new) {
            sleep_until(self.next).await;
            self.next = Instant::now() + PACE;
            self.walk = self.meter.read(self.walk.again()).await?;
        }
        // Refuses now what it gave before: the places may be others since its firmware changed.
        if self.walk.has_values() { Ok(self.walk.body()) } else { Err(LinkProblem::Silent) }
    }
}

/// What connections to a meter are made with: TLS 1.2, our certificate, its certificate.
fn configuration(pinned: &Arc<Pinned>, identity: &Identity) -> Result<ClientConfig, Error> {
    let builder = ClientConfig::builder_with_provider(Arc::clone(pinned.provider()));
    let verifier = Arc::clone(pinned) as Arc<dyn ServerCertVerifier>;
    let builder = builder.with_protocol_versions(&[&TLS12])?.dangerous().with_custom_certificate_verifier(verifier);
    Ok(builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity.certified()?))))
}
