//! Links: where a meter's bytes come from. They know ports, not protocols.
//!
//! The address is plain data and part of the core; opening one needs the feature of its kind.

#[cfg(all(feature = "client", feature = "task"))]
pub(crate) mod asked;
#[cfg(feature = "http")]
pub mod bridge;
pub mod dlms;
#[cfg(feature = "file")]
mod file;
pub mod heard;
pub mod line;
pub mod search;
#[cfg(feature = "serial")]
mod serial;
pub mod source;
#[cfg(feature = "tcp")]
mod tcp;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

#[cfg(feature = "http")]
pub use bridge::BridgeLink;
pub use dlms::DlmsAddress;

use crate::bridge::{Kind, Proof};
#[cfg(feature = "task")]
use crate::health::LinkProblem;
#[cfg(feature = "task")]
use line::LineSettings;
#[cfg(feature = "serial")]
use search::SETTINGS;

/// An open link.
#[cfg(feature = "task")]
#[derive(Debug)]
pub(crate) enum Link {
    /// A recorded file.
    #[cfg(feature = "file")]
    File(tokio::fs::File),
    /// A serial port.
    #[cfg(feature = "serial")]
    Serial(serial::Port),
    /// A connection.
    #[cfg(feature = "tcp")]
    Tcp(tokio::net::TcpStream),
}

#[cfg(feature = "task")]
impl Link {
    /// Opens an address, a serial line with these settings. The error says whether and why a person is needed.
    #[cfg_attr(not(feature = "serial"), expect(unused_variables, reason = "only serial lines have settings"))]
    pub(crate) async fn open(address: &Address, settings: Option<LineSettings>) -> Result<Self, LinkProblem> {
        match address {
            // Gives bodies, not bytes: see `BridgeLink`; or is asked: see `asked`.
            Address::Bridge { .. } | Address::Dlms(_) => Err(LinkProblem::NotFound),
            #[cfg(feature = "file")]
            Address::File(path) => file::open(path).await.map(Self::File),
            #[cfg(feature = "serial")]
            Address::Serial(path) => serial::Port::open(path, settings.unwrap_or(SETTINGS[0])).map(Self::Serial),
            #[cfg(feature = "tcp")]
            Address::Tcp { host, port } => tcp::open(host, *port).await.map(Self::Tcp),
            #[cfg(not(all(feature = "file", feature = "serial", feature = "tcp")))]
            _ => Err(LinkProblem::NotFound),
        }
    }

    /// Bytes as they come. `Ok(0)`: the other side has ended.
    pub(crate) async fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        #[cfg(any(feature = "file", feature = "tcp"))]
        use tokio::io::AsyncReadExt as _;
        match *self {
            #[cfg(feature = "file")]
            Self::File(ref mut file) => file.read(buffer).await,
            #[cfg(feature = "serial")]
            Self::Serial(ref mut port) => port.read(buffer).await,
            #[cfg(feature = "tcp")]
            Self::Tcp(ref mut stream) => stream.read(buffer).await,
        }
    }

    /// Uses other settings from now on; nothing where there are none.
    #[cfg_attr(not(feature = "serial"), expect(unused_variables, reason = "only serial lines have settings"))]
    pub(crate) fn set(&mut self, settings: LineSettings) {
        match self {
            #[cfg(feature = "serial")]
            Self::Serial(port) => port.set(settings),
            #[cfg(any(feature = "file", feature = "tcp", not(feature = "serial")))]
            _ => (),
        }
    }

    /// Says something to the meter. Only serial lines have an ear at the other end; elsewhere nothing is sent.
    #[cfg_attr(not(feature = "serial"), expect(unused_variables, reason = "only serial lines are written to"))]
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match self {
            #[cfg(feature = "serial")]
            Self::Serial(port) => port.write(bytes).await,
            #[cfg(any(feature = "file", feature = "tcp", not(feature = "serial")))]
            _ => Ok(()),
        }
    }
}

/// What an error of the operating system means to a person.
#[cfg(feature = "task")]
pub(crate) fn problem(error: &std::io::Error) -> LinkProblem {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::AddrNotAvailable => LinkProblem::NotFound,
        ErrorKind::PermissionDenied => LinkProblem::Denied,
        ErrorKind::ConnectionRefused
        | ErrorKind::HostUnreachable
        | ErrorKind::NetworkUnreachable
        | ErrorKind::TimedOut => LinkProblem::Refused,
        ErrorKind::ResourceBusy => LinkProblem::Busy,
        _ => LinkProblem::Closed,
    }
}

/// Where a meter is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A network meter or bridge: `homewizard://host`, `glow://host:port`.
    Bridge {
        /// How it is spoken to.
        kind: Kind,
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
    },
    /// A meter that is asked over DLMS/COSEM: `dlms://host?security=gmac`, `dlms:/dev/ttyUSB0`.
    Dlms(DlmsAddress),
    /// A recorded file: `file:capture.txt`.
    File(PathBuf),
    /// A serial port or pseudo-terminal: `serial:/dev/ttyUSB0`.
    Serial(PathBuf),
    /// A plain TCP connection: `tcp://host:port`.
    Tcp {
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
    },
}

impl Address {
    /// What the device there wants to see before it answers.
    pub const fn proof(&self) -> Proof {
        match self {
            Self::Bridge { kind, .. } => kind.proof(),
            Self::Dlms(meter) => match meter.security {
                dlms::Security::Low | dlms::Security::Sha256 | dlms::Security::Ecdsa => Proof::Password,
                _ => Proof::Nothing,
            },
            Self::File(_) | Self::Serial(_) | Self::Tcp { .. } => Proof::Nothing,
        }
    }
}

impl FromStr for Address {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "expected serial:/dev/…, tcp://host:port, dlms://host, homewizard://host or file:path";
        if let Some(address) = DlmsAddress::parse(text) {
            return address.map(Self::Dlms);
        }
        if let Some(path) = text.strip_prefix("serial:").filter(|path| !path.is_empty()) {
            return Ok(Self::Serial(path.into()));
        }
        if let Some(path) = text.strip_prefix("file:").filter(|path| !path.is_empty()) {
            return Ok(Self::File(path.into()));
        }
        for kind in Kind::ALL {
            let Some(rest) = text.strip_prefix(kind.scheme()).and_then(|rest| rest.strip_prefix("://")) else {
                continue;
            };
            let (host, port) = host_and_port(rest.trim_end_matches('/')).ok_or(EXPECTED)?;
            return Ok(Self::Bridge { kind, host, port: port.unwrap_or(kind.port()) });
        }
        let (host, port) = text.strip_prefix("tcp://").and_then(|rest| rest.rsplit_once(':')).ok_or(EXPECTED)?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(EXPECTED);
        }
        Ok(Self::Tcp { host: host.to_owned(), port: port.trim_end_matches('/').parse().map_err(|_| EXPECTED)? })
    }
}

/// `host`, `host:port`, `[address]` or `[address]:port`. Nothing that would end the host in a URL is one.
fn host_and_port(text: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) })
        }
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'%');
    let port = match port {
        Some(port) => Some(port.parse().ok()?),
        None => None,
    };
    (!host.is_empty() && host.bytes().all(is_host)).then(|| (host.to_owned(), port))
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bridge { kind, host, port } => {
                write!(formatter, "{}://", kind.scheme())?;
                if host.contains(':') { write!(formatter, "[{host}]") } else { formatter.write_str(host) }?;
                if *port == kind.port() { Ok(()) } else { write!(formatter, ":{port}") }
            }
            Self::Dlms(address) => address.fmt(formatter),
            Self::File(path) => write!(formatter, "file:{}", path.display()),
            Self::Serial(path) => write!(formatter, "serial:{}", path.display()),
            Self::Tcp { host, port } if host.contains(':') => write!(formatter, "tcp://[{host}]:{port}"),
            Self::Tcp { host, port } => write!(formatter, "tcp://{host}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_what_it_read() {
        for text in [
            "serial:/dev/ttyUSB0",
            "tcp://p1.lan:2001",
            "tcp://[fe80::1]:23",
            "file:/tmp/a b.txt",
            "homewizard://p1meter.lan",
            "homewizard2://[fe80::1]",
            "glow://broker.lan:1884",
            "sep2://192.0.2.7",
            "sunspec://[fe80::1]:1502",
        ] {
            assert_eq!(text.parse::<Address>().map(|address| address.to_string()).as_deref(), Ok(text));
        }
    }

    #[test]
    fn says_what_it_expects() {
        for text in [
            "",
            "serial:",
            "tcp://host",
            "tcp://:1",
            "tcp://host:99999",
            "/dev/ttyUSB0",
            "homewizard://",
            "homewizard:host",
            "shelly://host:http",
            "shelly://user@host",
            "tasmota://host/cm?cmnd=Power",
            "glow://[fe80::1",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
