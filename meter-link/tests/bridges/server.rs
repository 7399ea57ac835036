//! A small web server that stands for a device, and a running meter's task with what it has told.

use std::net::SocketAddr;
use std::sync::Arc;

use meter_link::bridge::{Kind, Secret};
use meter_link::health::Health;
use meter_link::link::Address;
use meter_link::meter::{Arrived, Config, MeterEvent, run};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::LIMIT;

/// What a device says to one question.
pub(crate) struct Answer {
    status: u16,
    body: Vec<u8>,
}

impl Answer {
    pub(crate) fn ok(body: impl AsRef<[u8]>) -> Self {
        Self { status: 200, body: body.as_ref().to_vec() }
    }

    pub(crate) fn status(status: u16) -> Self {
        Self { status, body: Vec::new() }
    }
}

type Device = Arc<dyn Fn(&str) -> Answer + Send + Sync>;

/// A device that answers.
pub(crate) struct Server {
    at: SocketAddr,
    device: Device,
    task: JoinHandle<()>,
}

/// A device without power.
pub(crate) struct Stopped {
    at: SocketAddr,
    device: Device,
}

impl Server {
    pub(crate) async fn start(device: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        Self::asked(move |question| device(path(question))).await
    }

    /// A device that looks at the whole question: head and body.
    pub(crate) async fn asked(device: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        let at = "127.0.0.1:0".parse().expect("an address");
        Stopped { at, device: Arc::new(device) }.start().await
    }

    pub(crate) fn address(&self, kind: Kind) -> Address {
        Address::Bridge { kind, host: self.at.ip().to_string(), port: self.at.port() }
    }

    /// Pulls the plug: open connections break too.
    pub(crate) async fn stop(self) -> Stopped {
        self.task.abort();
        let _ = self.task.await;
        Stopped { at: self.at, device: self.device }
    }
}

impl Stopped {
    pub(crate) async fn start(self) -> Server {
        let listener = TcpListener::bind(self.at).await.expect("a free port");
        let at = listener.local_addr().expect("an address");
        let device = Arc::clone(&self.device);
        let task = tokio::spawn(async move {
            let mut open = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let device = Arc::clone(&device);
                open.spawn(async move { answer(stream, |question| device(question)).await });
            }
        });
        Server { at, device: self.device, task }
    }
}

/// Answers questions on one connection until it ends.
pub(crate) async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, device: impl Fn(&str) -> Answer) {
    let mut heard = Vec::new();
    loop {
        while !heard.windows(4).any(|end| end == b"\r\n\r\n") {
            // As a device does, gives up what does not begin as a question.
            if !matches!(stream.read_buf(&mut heard).await, Ok(1..)) || !heard[0].is_ascii_uppercase() {
                return;
            }
        }
        let head = String::from_utf8_lossy(&heard).into_owned();
        let end = head.find("\r\n\r\n").expect("the end was found") + 4;
        while heard.len() < end + length(&head[..end]) {
            if !matches!(stream.read_buf(&mut heard).await, Ok(1..)) {
                return;
            }
        }
        let Answer { status, body } = device(&String::from_utf8_lossy(&heard));
        heard.clear();
        let head = format!("HTTP/1.1 {status} Said\r\nContent-Length: {}\r\nLocation: /else\r\n\r\n", body.len());
        if stream.write_all(&[head.as_bytes(), &body].concat()).await.is_err() {
            return;
        }
    }
}

/// How long a question's body is.
fn length(head: &str) -> usize {
    let lines = head.lines().filter_map(|line| line.split_once(':'));
    let mut length = lines.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    length.next().and_then(|(_, value)| value.trim().parse().ok()).unwrap_or_default()
}

/// The path of a request.
pub(crate) fn path(head: &str) -> &str {
    head.split(' ').nth(1).unwrap_or_default()
}

/// A running meter's task, and what it has told.
pub(crate) struct Told {
    events: mpsc::Receiver<MeterEvent>,
    task: JoinHandle<()>,
}

impl Told {
    pub(crate) fn start(address: Address, secret: Option<Secret>) -> Self {
        let (sender, events) = mpsc::channel(64);
        let config = Config { secret, ..Config::new(address.into()) };
        Self { events, task: tokio::spawn(run(config, sender)) }
    }

    pub(crate) async fn reading(&mut self) -> Arrived {
        self.until(|event| match event {
            MeterEvent::Reading(arrived) => Some(*arrived),
            _ => None,
        })
        .await
    }

    pub(crate) async fn health(&mut self, wanted: impl Fn(&Health) -> bool) -> Health {
        self.until(|event| match event {
            MeterEvent::Health(health) => Some(*health).filter(|health| wanted(health)),
            _ => None,
        })
        .await
    }

    async fn until<T>(&mut self, wanted: impl Fn(MeterEvent) -> Option<T>) -> T {
        let found = async {
            loop {
                let event = self.events.recv().await.expect("the task still runs");
                if let Some(found) = wanted(event) {
                    return found;
                }
            }
        };
        tokio::time::timeout(LIMIT, found).await.expect("in time")
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.task.abort();
    }
}
