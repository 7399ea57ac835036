//! Links: where a meter's bytes come from. They know ports, not protocols.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Where a meter is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
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

impl FromStr for Address {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "expected serial:/dev/…, tcp://host:port or file:path";
        if let Some(path) = text.strip_prefix("serial:").filter(|path| !path.is_empty()) {
            return Ok(Self::Serial(path.into()));
        }
        if let Some(path) = text.strip_prefix("file:").filter(|path| !path.is_empty()) {
            return Ok(Self::File(path.into()));
        }
        let (host, port) = text.strip_prefix("tcp://").and_then(|rest| rest.rsplit_once(':')).ok_or(EXPECTED)?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(EXPECTED);
        }
        Ok(Self::Tcp { host: host.to_owned(), port: port.trim_end_matches('/').parse().map_err(|_| EXPECTED)? })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
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
        for text in ["serial:/dev/ttyUSB0", "tcp://p1.lan:2001", "tcp://[fe80::1]:23", "file:/tmp/a b.txt"] {
            assert_eq!(text.parse::<Address>().map(|address| address.to_string()).as_deref(), Ok(text));
        }
    }

    #[test]
    fn says_what_it_expects() {
        for text in ["", "serial:", "tcp://host", "tcp://:1", "tcp://host:99999", "/dev/ttyUSB0"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
