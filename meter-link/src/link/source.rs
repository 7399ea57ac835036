//! What a meter's address says in full: where it is, and what is known of it beforehand.
//!
//! `serial:/dev/ttyUSB0?protocol=sml&line=9600-8N1`: behind the question mark stands what is not to be found out. Nothing
//! there means that all is. It is part of the address as the home keeps it, so it lasts as long as the meter. The address
//! of a bridge or of a meter that is asked has none: its scheme says what it speaks. A question mark in a file's name stays in it unless both sides of `=`
//! make sense.

use std::fmt;
use std::str::FromStr;

use super::Address;
use super::line::LineSettings;
use crate::decoder::Protocol;

/// Where a meter is and what it is known to speak.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Where it is.
    pub address: Address,
    /// The only protocol to listen for; `None`: all.
    pub protocol: Option<Protocol>,
    /// The only settings of a serial line to listen with; `None`: all.
    pub line: Option<LineSettings>,
}

impl From<Address> for Source {
    fn from(address: Address) -> Self {
        Self { address, protocol: None, line: None }
    }
}

impl FromStr for Source {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let whole = || text.parse::<Address>().map(Self::from);
        let Some((before, known)) = text.rsplit_once('?').filter(|(_, known)| known.contains('=')) else {
            return whole();
        };
        let mut source = match before.parse()? {
            Address::Bridge { .. } | Address::Dlms(_) => return whole(),
            address => Self::from(address),
        };
        let is_file = matches!(source.address, Address::File(_));
        for word in known.split('&') {
            let understood = match word.split_once('=') {
                Some(("protocol", "auto")) => Ok(()),
                Some(("protocol", name)) => {
                    // A bridge is no line to listen to.
                    source.protocol = Protocol::by_name(name).filter(|protocol| *protocol != Protocol::Bridge);
                    source.protocol.map(|_| ()).ok_or("expected a protocol: auto, d0, p1, sml, tic, dlms-hdlc, …")
                }
                Some(("line", settings)) if matches!(source.address, Address::Serial(_)) => {
                    settings.parse().map(|settings| source.line = Some(settings))
                }
                _ => Err("expected protocol=… or, of a serial port, line=… after the question mark"),
            };
            match understood {
                Ok(()) => (),
                Err(_) if is_file => return whole(),
                Err(expected) => return Err(expected),
            }
        }
        Ok(source)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.address)?;
        let mut sign = '?';
        if let Some(protocol) = self.protocol {
            write!(formatter, "{sign}protocol={}", protocol.name())?;
            sign = '&';
        }
        match self.line {
            Some(LineSettings { baud, framing }) => write!(formatter, "{sign}line={baud}-{}", framing.name()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_beforehand_is_read_and_printed_again() {
        for text in [
            "serial:/dev/ttyUSB0",
            "serial:/dev/ttyUSB0?protocol=sml",
            "serial:/dev/ttyUSB0?line=9600-7E1",
            "serial:/dev/ttyUSB0?protocol=dlms-mbus&line=2400-8E1",
            "tcp://p1.lan:2001?protocol=p1",
            "dlms://meter.lan?security=gmac",
            "file:/tmp/why?.txt",
            "file:/tmp/a?b=c.txt?protocol=d0",
        ] {
            assert_eq!(text.parse::<Source>().map(|source| source.to_string()).as_deref(), Ok(text));
        }
        let source: Source = "serial:/dev/ttyUSB0?line=9600-8n1&protocol=auto".parse().expect("a source");
        assert_eq!(source.to_string(), "serial:/dev/ttyUSB0?line=9600-8N1");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for text in [
            "serial:/dev/ttyUSB0?protocol=morse",
            "serial:/dev/ttyUSB0?protocol=bridge",
            "serial:/dev/ttyUSB0?line=fast",
            "serial:/dev/ttyUSB0?speed=9600",
            "tcp://p1.lan:2001?line=9600-8N1",
            "homewizard://p1meter.lan?protocol=p1",
            "serial:?protocol=p1",
        ] {
            assert!(text.parse::<Source>().is_err(), "{text}");
        }
        let file: Source = "file:/tmp/a?b=c.txt".parse().expect("a name with everything in it");
        assert_eq!((file.to_string().as_str(), file.protocol), ("file:/tmp/a?b=c.txt", None));
    }
}
