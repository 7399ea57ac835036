//! HomeWizard's local API version 2: pairing with the device's button, and measurements pushed over a web socket.
//!
//! Everything goes over TLS to the one certificate that was there at pairing, see [`super::pin`]. The token is never sent
//! to another. Refuses to go on when the device does not know the token any more.
//!
//! Source: api-documentation.homewizard.com, version 2: authorization, user, web socket.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::pin::{Names, Pin, Pinned};
use super::web;
use crate::bridge::json::Object;
use crate::bridge::{MAX_BODY, Secret, homewizard};
use crate::health::LinkProblem;

/// The device accepts a new user for so long after its button was pressed; nobody presses it later than that either.
const WINDOW: Duration = Duration::from_secs(30);
/// Asked so often whether the button was pressed.
const ASK: Duration = Duration::from_secs(1);
/// The device measures every second, a slow P1 meter every ten; a socket without a message for so long is dead.
const DEAD: Duration = Duration::from_secs(60);

/// What a pairing gives, to be kept with the keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paired {
    /// Proof towards the device.
    pub token: Secret,
    /// The device's proof towards us.
    pub pin: Pin,
}

impl Paired {
    /// As one secret: token, fingerprint and name.
    pub fn secret(&self) -> Secret {
        Secret(format!("{} {} {}", self.token.0, self.pin.digits(), self.pin.name))
    }

    /// Reads what [`Self::secret`] gave. `None` for anything else.
    pub fn read(secret: &Secret) -> Option<Self> {
        let mut parts = secret.0.splitn(3, ' ');
        let (token, digits, name) = (parts.next()?, parts.next()?, parts.next()?);
        let pin = Pin::read(digits, name)?;
        is_token(token).then(|| Self { token: Secret(token.to_owned()), pin })
    }
}

/// Pairs with a device whose button is about to be pressed. `name` is what its owner sees in its list of users; `known` is
/// what an earlier pairing gave, so that it is the same device again: any other is `Untrusted`. `waiting` is told the seconds
/// that are left. Drop the future to give up. `PairingNeeded`: nobody pressed the button in time.
pub async fn pair(
    host: &str,
    port: u16,
    name: &str,
    known: Option<&Secret>,
    mut waiting: impl FnMut(u64) + Send,
) -> Result<Paired, LinkProblem> {
    let device = Device::new(host, port, known.and_then(Paired::read).map(|paired| paired.pin))?;
    let until = Instant::now() + WINDOW;
    let body = user(name)?;
    loop {
        let (status, answer) = web::ask(device.request(Method::POST, "/api/user").body(body.clone())).await?;
        match status {
            // user:creation-not-enabled, until the button was pressed.
            StatusCode::FORBIDDEN => {
                let left = until.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Err(LinkProblem::PairingNeeded);
                }
                waiting(left.as_secs());
                sleep(ASK.min(left)).await;
            }
            status => {
                web::refusal(status).map_or(Ok(()), Err)?;
                return device.paired(&answer).await;
            }
        }
    }
}

/// Takes our user off the device.
pub async fn unpair(host: &str, port: u16, name: &str, secret: &Secret) -> Result<(), LinkProblem> {
    let paired = Paired::read(secret).ok_or(LinkProblem::PairingNeeded)?;
    let device = Device::new(host, port, Some(paired.pin))?;
    let request = device.request(Method::DELETE, "/api/user").bearer_auth(&paired.token.0).body(user(name)?);
    let (status, _) = web::ask(request).await?;
    web::refusal(status).map_or(Ok(()), Err)
}

/// Where and with which certificate.
struct Device {
    client: Client,
    origin: String,
    pinned: Arc<Pinned>,
}

impl Device {
    fn new(host: &str, port: u16, pin: Option<Pin>) -> Result<Self, LinkProblem> {
        let pinned = pinned(pin);
        let configuration = pinned.configuration().ok_or(LinkProblem::Untrusted)?;
        let client = web::build(Client::builder().https_only(true).tls_backend_preconfigured(configuration))?;
        Ok(Self { client, origin: web::origin("https", host, port), pinned })
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.origin));
        request.header("X-Api-Version", "2").header("Content-Type", "application/json")
    }

    /// Takes the token, and makes sure that it came from the device that the certificate names.
    async fn paired(&self, answer: &[u8]) -> Result<Paired, LinkProblem> {
        let token = Object::parse(answer).ok().and_then(|answer| answer.text("token"));
        let token = token.filter(|token| is_token(token)).ok_or(LinkProblem::Unrecognised)?;
        let (status, about) = web::ask(self.request(Method::GET, "/api").bearer_auth(&token)).await?;
        web::refusal(status).map_or(Ok(()), Err)?;
        let pin = self.pinned.pin().cloned().ok_or(LinkProblem::Untrusted)?;
        let serial = homewizard::device(&about).and_then(|device| device.serial).ok_or(LinkProblem::Unrecognised)?;
        if serial.0.eq_ignore_ascii_case(pin.serial()) {
            Ok(Paired { token: Secret(token), pin })
        } else {
            Err(LinkProblem::Untrusted)
        }
    }
}

/// Measurements as they are pushed.
#[derive(Debug)]
pub(super) struct Pushed {
    socket: WebSocketStream<TlsStream<TcpStream>>,
    heard: Instant,
}

impl Pushed {
    pub(super) async fn open(host: &str, port: u16, secret: Option<&Secret>) -> Result<Self, LinkProblem> {
        let paired = secret.and_then(Paired::read).ok_or(LinkProblem::PairingNeeded)?;
        let opened = timeout(web::ANSWER, Self::connect(host, port, paired)).await;
        opened.map_err(|_| LinkProblem::Refused)?
    }

    async fn connect(host: &str, port: u16, paired: Paired) -> Result<Self, LinkProblem> {
        let stream = TcpStream::connect((host, port)).await.map_err(|error| match error.raw_os_error() {
            // A name that does not resolve carries no error number.
            None => LinkProblem::NotFound,
            Some(_) => crate::link::problem(&error),
        })?;
        let configuration = pinned(Some(paired.pin)).configuration().ok_or(LinkProblem::Untrusted)?;
        let name = ServerName::try_from(host.to_owned()).map_err(|_| LinkProblem::NotFound)?;
        let stream = TlsConnector::from(Arc::new(configuration)).connect(name, stream).await;
        let stream = stream.map_err(|error| match error.get_ref().and_then(|inner| inner.downcast_ref()) {
            Some(tls) => web::refused_by_tls(tls),
            None => LinkProblem::Closed,
        })?;
        let limits = WebSocketConfig::default().max_message_size(Some(MAX_BODY)).max_frame_size(Some(MAX_BODY));
        let url = web::origin("wss", host, port) + "/api/ws";
        let opened = tokio_tungstenite::client_async_with_config(url, stream, Some(limits)).await;
        let (socket, _) = opened.map_err(|_| LinkProblem::Unrecognised)?;
        let mut pushed = Self { socket, heard: Instant::now() };
        pushed.authorize(&paired.token).await?;
        Ok(pushed)
    }

    async fn authorize(&mut self, token: &Secret) -> Result<(), LinkProblem> {
        loop {
            let message = self.message().await?;
            let Ok(object) = Object::parse(message.as_bytes()) else { return Err(LinkProblem::Unrecognised) };
            let answer = match object.text("type").as_deref() {
                Some("authorization_requested") => format!(r#"{{"type":"authorization","data":"{}"}}"#, token.0),
                Some("authorized") => r#"{"type":"subscribe","data":"measurement"}"#.to_owned(),
                Some("error") => return Err(refusal(&object)),
                _ => continue,
            };
            let is_last = answer.contains("subscribe");
            self.socket.send(Message::text(answer)).await.map_err(|_| LinkProblem::Closed)?;
            if is_last {
                return Ok(());
            }
        }
    }

    /// The next measurement.
    pub(super) async fn next(&mut self) -> Result<Vec<u8>, LinkProblem> {
        loop {
            let message = self.message().await?;
            let Ok(object) = Object::parse(message.as_bytes()) else { return Err(LinkProblem::Unrecognised) };
            match object.text("type").as_deref() {
                Some("measurement") => {
                    let data = object.get("data").ok_or(LinkProblem::Unrecognised)?;
                    return Ok(data.get().as_bytes().to_vec());
                }
                Some("error") => return Err(refusal(&object)),
                _ => (),
            }
        }
    }

    async fn message(&mut self) -> Result<String, LinkProblem> {
        loop {
            let next = timeout_at(self.heard + DEAD, self.socket.next()).await;
            let message = next.ok().flatten().ok_or(LinkProblem::Closed)?;
            self.heard = Instant::now();
            use tokio_tungstenite::tungstenite::Error;
            match message {
                Ok(Message::Text(text)) => return Ok(text.as_str().to_owned()),
                Ok(Message::Close(_)) => return Err(LinkProblem::Closed),
                Ok(_) => (),
                Err(Error::Capacity(_) | Error::Utf8(_)) => return Err(LinkProblem::Unrecognised),
                Err(_) => return Err(LinkProblem::Closed),
            }
        }
    }
}

/// Accepts an appliance's certificate alone.
fn pinned(pin: Option<Pin>) -> Arc<Pinned> {
    Pinned::new(pin, Names::Appliance, rustls::crypto::ring::default_provider())
}

/// What an error message means: a token that is not known, or something new.
fn refusal(message: &Object<'_>) -> LinkProblem {
    let about = message.object("data").and_then(|data| data.text("message").or_else(|| data.text("code")));
    match about.as_deref() {
        Some(about) if about.starts_with("user:") => LinkProblem::PairingNeeded,
        _ => LinkProblem::Unrecognised,
    }
}

/// A user's name as the device wants it.
fn user(name: &str) -> Result<String, LinkProblem> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b' ');
    if name.is_empty() || name.len() > 40 || !name.bytes().all(is_name) {
        return Err(LinkProblem::Unrecognised);
    }
    Ok(format!(r#"{{"name":"local/{name}"}}"#))
}

/// 32 hexadecimal digits.
fn is_token(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|digit| digit.is_ascii_hexdigit())
}
