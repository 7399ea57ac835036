//! A HomeWizard P1 meter on the home's network, local API version 2: a certificate of its own, a button, users with their
//! tokens, and a web socket that pushes every measurement.
//!
//! Behaves as the documentation says real ones do, and is written without the client's code, so that the two can check each
//! other. A connection is a thread; whoever does not take what is pushed loses it.
//!
//! Source: api-documentation.homewizard.com, version 2.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::Role;
use tungstenite::{Message, WebSocket};

/// A new user is accepted for so long after the button was pressed.
const WINDOW: Duration = Duration::from_secs(30);
/// A connection on which nothing comes for so long is closed.
const IDLE: Duration = Duration::from_secs(30);
/// No request of a client is longer.
const MAX_REQUEST: usize = 8_192;
/// Measurements that may wait for a slow reader.
const WAITING: usize = 16;
/// Made up.
const SERIAL: &str = "5c2faf00c0de";

type Tls = StreamOwned<ServerConnection, TcpStream>;

/// The device.
#[derive(Debug)]
pub struct HomeWizard2 {
    listener: TcpListener,
    port: u16,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    identity: Arc<ServerConfig>,
    /// The button was pressed; until then a user is accepted.
    open_until: Option<Instant>,
    /// Names and tokens.
    users: BTreeMap<String, String>,
    /// The newest measurement.
    measurement: String,
    readers: Vec<SyncSender<String>>,
}

impl HomeWizard2 {
    /// A device that nobody has paired with yet.
    pub(super) fn open(port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let state = State {
            identity: certificate()?,
            open_until: None,
            users: BTreeMap::new(),
            measurement: "{}".to_owned(),
            readers: Vec::new(),
        };
        Ok(Self { listener, port, state: Arc::new(Mutex::new(state)) })
    }

    pub(super) const fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn poll(&mut self) -> usize {
        while let Ok((stream, _)) = self.listener.accept() {
            let state = Arc::clone(&self.state);
            std::thread::spawn(move || {
                // A connection that ends is no news.
                let _ = serve(stream, &state);
            });
        }
        self.state().readers.len()
    }

    /// Hands a measurement to whoever listens.
    pub fn send(&mut self, measurement: &str) {
        let mut state = self.state();
        measurement.clone_into(&mut state.measurement);
        state
            .readers
            .retain(|reader| !matches!(reader.try_send(measurement.to_owned()), Err(TrySendError::Disconnected(_))));
    }

    /// Presses the button.
    pub fn press(&self) {
        self.state().open_until = Some(Instant::now() + WINDOW);
    }

    /// Forgets all users, as a device does that was reset; whoever listens is cut off.
    pub fn forget(&self) {
        let mut state = self.state();
        state.users.clear();
        state.readers.clear();
    }

    /// Takes another certificate, as a device does that was replaced; whoever listens is cut off.
    ///
    /// # Errors
    /// If none can be made.
    pub fn replace(&self) -> io::Result<()> {
        let identity = certificate()?;
        let mut state = self.state();
        (state.identity, state.readers) = (identity, Vec::new());
        state.users.clear();
        Ok(())
    }

    /// Names of its users with their tokens.
    pub fn users(&self) -> BTreeMap<String, String> {
        self.state().users.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A certificate whose name says what the device is, signed by itself.
fn certificate() -> io::Result<Arc<ServerConfig>> {
    let make = || -> Result<ServerConfig, Box<dyn std::error::Error + Send + Sync>> {
        let key = rcgen::KeyPair::generate()?;
        let mut parameters = rcgen::CertificateParams::new(Vec::new())?;
        parameters.distinguished_name = rcgen::DistinguishedName::new();
        parameters.distinguished_name.push(rcgen::DnType::CommonName, format!("appliance/p1dongle/{SERIAL}"));
        let certificate = parameters.self_signed(&key)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        Ok(builder.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key)?)
    };
    make().map(Arc::new).map_err(io::Error::other)
}

/// One question of a client.
struct Request {
    method: String,
    path: String,
    /// Names in lower case.
    headers: BTreeMap<String, String>,
    body: Value,
}

/// Answers one connection until it ends or becomes a web socket.
fn serve(stream: TcpStream, state: &Mutex<State>) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(IDLE))?;
    stream.set_write_timeout(Some(IDLE))?;
    stream.set_nodelay(true)?;
    let identity = Arc::clone(&lock(state).identity);
    let connection = ServerConnection::new(identity).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(connection, stream);
    let mut heard = Vec::new();
    while let Some(request) = next(&mut stream, &mut heard)? {
        if request.path == "/api/ws"
            && let Some(key) = request.headers.get("sec-websocket-key")
        {
            let accept = derive_accept_key(key.as_bytes());
            write!(
                stream,
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Accept: {accept}\r\n\r\n"
            )?;
            stream.flush()?;
            return push(WebSocket::from_raw_socket(stream, Role::Server, None), state).map_err(io::Error::other);
        }
        let (status, body) = answer(&request, &mut lock(state));
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        stream.flush()?;
    }
    Ok(())
}

/// Reads a request. `None`: the client has ended.
fn next(stream: &mut Tls, heard: &mut Vec<u8>) -> io::Result<Option<Request>> {
    let garbled = || io::Error::from(io::ErrorKind::InvalidData);
    let mut more = |heard: &mut Vec<u8>| -> io::Result<bool> {
        let mut buffer = [0; 1_024];
        let count = stream.read(&mut buffer)?;
        heard.extend_from_slice(&buffer[..count]);
        if heard.len() > MAX_REQUEST { Err(garbled()) } else { Ok(count > 0) }
    };
    let end = loop {
        match heard.windows(4).position(|window| window == b"\r\n\r\n") {
            Some(end) => break end + 4,
            None if more(heard)? => {}
            None => return Ok(None),
        }
    };
    let head = String::from_utf8(heard.drain(..end).collect()).map_err(|_| garbled())?;
    let mut lines = head.lines();
    let mut first = lines.next().unwrap_or_default().split(' ');
    let (method, path) = (first.next().unwrap_or_default(), first.next().unwrap_or_default());
    let headers: BTreeMap<_, _> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
        .collect();
    let length: usize = headers.get("content-length").map_or(Ok(0), |text| text.parse()).map_err(|_| garbled())?;
    while heard.len() < length {
        if !more(heard)? {
            return Ok(None);
        }
    }
    let body: Vec<u8> = heard.drain(..length).collect();
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    Ok(Some(Request { method: method.to_owned(), path: path.to_owned(), headers, body }))
}

fn answer(request: &Request, state: &mut State) -> (&'static str, Option<Value>) {
    let error = |code: &str| Some(json!({ "error": { "code": code } }));
    if request.headers.get("x-api-version").map(String::as_str) != Some("2") {
        return ("400 Bad Request", error("request:api-version-not-supported"));
    }
    let name = request.body["name"].as_str();
    if (request.method.as_str(), request.path.as_str()) == ("POST", "/api/user") {
        return match name.filter(|name| name.starts_with("local/")) {
            None => ("400 Bad Request", error("request:invalid-body")),
            Some(_) if state.open_until.is_none_or(|until| until < Instant::now()) => {
                ("403 Forbidden", error("user:creation-not-enabled"))
            }
            Some(name) => {
                let token = token();
                // One press lets one in.
                state.open_until = None;
                state.users.insert(name.to_owned(), token.clone());
                ("200 OK", Some(json!({ "token": token, "name": name })))
            }
        };
    }
    let shown = request.headers.get("authorization").and_then(|shown| shown.strip_prefix("Bearer "));
    if !state.users.values().any(|token| Some(token.as_str()) == shown) {
        return ("401 Unauthorized", error("user:unauthorized"));
    }
    match (request.method.as_str(), request.path.as_str()) {
        ("DELETE", "/api/user") => match name.and_then(|name| state.users.remove(name)) {
            Some(_) => ("204 No Content", None),
            None => ("404 Not Found", error("user:not-found")),
        },
        ("GET", "/api") => (
            "200 OK",
            Some(json!({
                "product_type": "HWE-P1",
                "product_name": "P1 Meter",
                "serial": SERIAL,
                "firmware_version": "6.00",
                "api_version": "2.0.0",
            })),
        ),
        ("GET", "/api/measurement") => ("200 OK", serde_json::from_str(&state.measurement).ok()),
        _ => ("404 Not Found", error("request:not-found")),
    }
}

/// Talks on a web socket: asks for a token, then pushes what was asked for.
fn push(mut socket: WebSocket<Tls>, state: &Mutex<State>) -> Result<(), Box<tungstenite::Error>> {
    let say =
        |socket: &mut WebSocket<Tls>, value: Value| socket.send(Message::text(value.to_string())).map_err(Box::new);
    say(&mut socket, json!({ "type": "authorization_requested", "data": { "api_version": "2.0.0" } }))?;
    let mut is_known = false;
    loop {
        let Message::Text(text) = socket.read().map_err(Box::new)? else { continue };
        let said: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
        match (said["type"].as_str(), said["data"].as_str()) {
            (Some("authorization"), Some(shown)) => {
                is_known = lock(state).users.values().any(|token| token == shown);
                if !is_known {
                    return say(&mut socket, json!({ "type": "error", "data": { "message": "user:unauthorized" } }));
                }
                say(&mut socket, json!({ "type": "authorized" }))?;
            }
            (Some("subscribe"), Some("measurement" | "*")) if is_known => break,
            _ => say(&mut socket, json!({ "type": "error", "data": { "message": "request:invalid" } }))?,
        }
    }
    let measurements: Receiver<String> = {
        let (sender, measurements) = mpsc::sync_channel(WAITING);
        lock(state).readers.push(sender);
        measurements
    };
    for measurement in measurements {
        let data: Value = serde_json::from_str(&measurement).unwrap_or(Value::Null);
        say(&mut socket, json!({ "type": "measurement", "data": data }))?;
    }
    // The device lost its power, or its users.
    socket.close(None).map_err(Box::new)
}

/// 128 bits that nobody knows, in 32 digits.
fn token() -> String {
    let half = || RandomState::new().hash_one(Instant::now());
    format!("{:016X}{:016X}", half(), half())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, path: &str, body: Value, token: Option<&str>) -> Request {
        let mut headers = BTreeMap::from([("x-api-version".to_owned(), "2".to_owned())]);
        headers.extend(token.map(|token| ("authorization".to_owned(), format!("Bearer {token}"))));
        Request { method: method.to_owned(), path: path.to_owned(), headers, body }
    }

    #[test]
    fn a_user_is_made_only_after_the_button_and_can_leave_again() {
        let device = HomeWizard2::open(0).expect("a free port");
        let ask = |method: &str, path: &str, token: Option<&str>| {
            let request = request(method, path, json!({ "name": "local/test" }), token);
            answer(&request, &mut device.state())
        };
        assert_eq!(ask("POST", "/api/user", None).0, "403 Forbidden");
        assert_eq!(ask("GET", "/api", None).0, "401 Unauthorized");
        device.press();
        let (status, made) = ask("POST", "/api/user", None);
        let token = made.as_ref().and_then(|made| made["token"].as_str()).expect("a token").to_owned();
        assert_eq!((status, token.len()), ("200 OK", 32));
        assert_eq!(ask("POST", "/api/user", None).0, "403 Forbidden", "one press lets one in");
        assert_eq!(ask("GET", "/api", Some(&token)).0, "200 OK");
        assert_eq!(ask("DELETE", "/api/user", Some(&token)).0, "204 No Content");
        assert_eq!(ask("GET", "/api", Some(&token)).0, "401 Unauthorized");
        assert!(device.users().is_empty());
    }
}
