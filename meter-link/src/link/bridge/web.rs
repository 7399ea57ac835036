//! Asking a device in the same home over HTTP: no proxy, no redirect, a bounded answer in a bounded time.

use std::error::Error as _;
use std::time::Duration;

use reqwest::{Client, ClientBuilder, RequestBuilder, Response, StatusCode};
use rustls::AlertDescription;

use crate::bridge::MAX_BODY;
use crate::health::LinkProblem;

/// A device in the same home answers a connection in milliseconds; one that does not within five seconds is off.
const CONNECT: Duration = Duration::from_secs(5);
/// Small devices answer one request after another and can be busy with another display's.
pub(super) const ANSWER: Duration = Duration::from_secs(8);

/// A client for plain HTTP.
pub(super) fn client() -> Result<Client, LinkProblem> {
    // Nothing here asks over TLS; without a configuration the client would look for the host's roots.
    let _ = rustls::crypto::ring::default_provider().install_default();
    build(Client::builder())
}

pub(super) fn build(builder: ClientBuilder) -> Result<Client, LinkProblem> {
    let builder = builder
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT)
        .timeout(ANSWER)
        .pool_max_idle_per_host(1);
    builder.build().map_err(|_| LinkProblem::NotFound)
}

/// A URL's beginning: `http://host:port`, with brackets around an IPv6 address.
pub(super) fn origin(scheme: &str, host: &str, port: u16) -> String {
    if host.contains(':') { format!("{scheme}://[{host}]:{port}") } else { format!("{scheme}://{host}:{port}") }
}

/// Asks, and gives the status and the whole body.
pub(super) async fn ask(request: RequestBuilder) -> Result<(StatusCode, Vec<u8>), LinkProblem> {
    let mut response = request.send().await.map_err(|error| problem(&error))?;
    let body = read(&mut response).await?;
    Ok((response.status(), body))
}

/// Asks for a body; any status but success is a problem.
pub(super) async fn get(client: &Client, url: &str) -> Result<Vec<u8>, LinkProblem> {
    let (status, body) = ask(client.get(url)).await?;
    refusal(status).map_or(Ok(body), Err)
}

/// What a status means to a person. `None`: success.
pub(super) fn refusal(status: StatusCode) -> Option<LinkProblem> {
    match status {
        status if status.is_success() => None,
        StatusCode::UNAUTHORIZED => Some(LinkProblem::PairingNeeded),
        StatusCode::FORBIDDEN => Some(LinkProblem::NotEnabled),
        StatusCode::TOO_MANY_REQUESTS => Some(LinkProblem::Busy),
        // The device is there and has nothing to say yet.
        StatusCode::SERVICE_UNAVAILABLE => Some(LinkProblem::Silent),
        _ => Some(LinkProblem::Unrecognised),
    }
}

async fn read(response: &mut Response) -> Result<Vec<u8>, LinkProblem> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| problem(&error))? {
        if body.len() + chunk.len() > MAX_BODY {
            return Err(LinkProblem::Unrecognised);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// What an error on the way means to a person.
pub(super) fn problem(error: &reqwest::Error) -> LinkProblem {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(tls) = inner.downcast_ref::<rustls::Error>() {
            return refused_by_tls(tls);
        }
        let system = inner.downcast_ref::<std::io::Error>();
        if let Some(system) = system.filter(|system| system.raw_os_error().is_some()) {
            return crate::link::problem(system);
        }
        // An error wrapped in the system's is its content, not its source.
        cause = match system.and_then(std::io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => inner.source(),
        };
    }
    match error {
        error if error.is_timeout() => LinkProblem::Refused,
        // A name that does not resolve carries no error number.
        error if error.is_connect() => LinkProblem::NotFound,
        error if error.is_builder() => LinkProblem::NotFound,
        _ => LinkProblem::Closed,
    }
}

pub(super) const fn refused_by_tls(error: &rustls::Error) -> LinkProblem {
    match error {
        rustls::Error::InvalidCertificate(_) => LinkProblem::Untrusted,
        // Ours: not known to the other side, not any more, or run out.
        rustls::Error::AlertReceived(
            AlertDescription::AccessDenied
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRequired
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::UnsupportedCertificate,
        ) => LinkProblem::PairingNeeded,
        _ => LinkProblem::Closed,
    }
}
