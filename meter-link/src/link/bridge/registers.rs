//! SunSpec devices as a link: registers over Modbus TCP, read again and again, never written.
//!
//! A device stands behind one of a few unit numbers, 1 most often. One question is on its way at a time; an answer to
//! another one ends the connection. A unit that is not there is silent on some gateways: the next is then asked over a new
//! connection, so that no late answer is taken for another's.
//!
//! Source: MODBUS Messaging on TCP/IP 1.0b, sections 3.1 and 4; unit numbers from makers' SunSpec notes.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

use crate::health::LinkProblem;
use crate::sunspec::{Span, Walk, request, response};

/// Where devices stand: by the specification, SMA's inverters, a gateway's next devices, Fronius' meters.
const UNITS: [u8; 6] = [1, 126, 2, 3, 247, 240];
/// A device in the same home answers a connection in milliseconds; one that does not within five seconds is off.
const CONNECT: Duration = Duration::from_secs(5);
/// An answer comes in tenths of a second; a gateway gives up on its serial line within a second or two.
const ANSWER: Duration = Duration::from_secs(3);
/// Inverters measure every second or two and serve one client at a time, some of them slowly.
const PACE: Duration = Duration::from_secs(2);
/// The longest answer: seven bytes of head, function, count, 125 registers.
const MAX_ANSWER: usize = 259;

/// A device that was found.
#[derive(Debug)]
pub(super) struct Registers {
    connection: Connection,
    /// The last way through its models.
    walk: Walk,
    /// Not asked again before.
    next: Instant,
    /// `walk` has not been handed on.
    is_new: bool,
}

impl Registers {
    pub(super) async fn open(host: &str, port: u16) -> Result<Self, LinkProblem> {
        let mut problem = LinkProblem::Unrecognised;
        let mut connection = None;
        for unit in UNITS {
            let mut asked = match connection.take() {
                Some(open) => Connection { unit, ..open },
                None => Connection::open(host, port, unit).await?,
            };
            match asked.read(Walk::default()).await {
                Ok(walk) if walk.has_points() => {
                    return Ok(Self { connection: asked, walk, next: Instant::now() + PACE, is_new: true });
                }
                Ok(_) => connection = Some(asked),
                Err(refusal) => problem = refusal,
            }
        }
        Err(problem)
    }

    pub(super) async fn next(&mut self) -> Result<Vec<u8>, LinkProblem> {
        if !std::mem::take(&mut self.is_new) {
            sleep_until(self.next).await;
            self.next = Instant::now() + PACE;
            self.walk = self.connection.read(self.walk.again()).await?;
        }
        // Refuses now what it gave before: asleep, or another device in its place.
        if self.walk.has_points() { Ok(self.walk.body()) } else { Err(LinkProblem::Silent) }
    }
}

/// One connection, and the unit behind it.
#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    unit: u8,
    /// Number of the last question.
    transaction: u16,
}

impl Connection {
    async fn open(host: &str, port: u16, unit: u8) -> Result<Self, LinkProblem> {
        let stream = match timeout(CONNECT, TcpStream::connect((host, port))).await {
            // A name that does not resolve carries no error number.
            Ok(Err(error)) if error.raw_os_error().is_none() => return Err(LinkProblem::NotFound),
            Ok(stream) => stream.map_err(|error| crate::link::problem(&error))?,
            Err(_) => return Err(LinkProblem::Refused),
        };
        Ok(Self { stream, unit, transaction: 0 })
    }

    /// Walks to the end.
    async fn read(&mut self, mut walk: Walk) -> Result<Walk, LinkProblem> {
        while let Some(span) = walk.poll_span() {
            let registers = timeout(ANSWER, self.ask(span)).await.map_err(|_| LinkProblem::Silent)??;
            walk.handle_registers(&registers);
        }
        Ok(walk)
    }

    async fn ask(&mut self, span: Span) -> Result<Vec<u16>, LinkProblem> {
        self.transaction = self.transaction.wrapping_add(1);
        let question = request(self.transaction, self.unit, span);
        self.stream.write_all(&question).await.map_err(|_| LinkProblem::Closed)?;
        let mut heard = Vec::with_capacity(MAX_ANSWER);
        loop {
            if let Some(answer) = response(self.transaction, span, &heard) {
                return answer.map_err(|_| LinkProblem::Unrecognised);
            }
            match self.stream.read_buf(&mut heard).await {
                Ok(1..) if heard.len() <= MAX_ANSWER => (),
                Ok(1..) => return Err(LinkProblem::Unrecognised),
                Ok(0) | Err(_) => return Err(LinkProblem::Closed),
            }
        }
    }
}
