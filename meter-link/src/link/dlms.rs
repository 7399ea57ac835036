//! The address of a meter that is asked over DLMS/COSEM: how it is reached, as which client, and how both prove who they are.
//!
//! `dlms://host` (TCP wrapper), `dlms+hdlc://host:port` (HDLC through a serial bridge) or `dlms:/dev/ttyUSB0` (HDLC on a
//! serial line), then `?client=1&security=gmac` and what else differs from the defaults. Prints what it reads, defaults left
//! out. Passwords and keys are no part of it: they are kept with the meter's keys, and an address that names one is refused.
//!
//! Source: Green Book, section 7.3 (reserved addresses); IEC 62056-47 (port 4059).

use std::fmt;
use std::path::PathBuf;

use crate::security::key::Suite;

/// The registered port of the TCP wrapper.
pub const PORT: u16 = 4_059;
/// What meters speak on a line of their own unless told otherwise: the standard's speed for HDLC that begins at once.
const SPEED: u32 = 9_600;
/// The client that may ask without proof.
pub const PUBLIC_CLIENT: u16 = 16;
/// The management client, which most meters ask a proof of.
const MANAGEMENT_CLIENT: u16 = 1;
/// The management logical device.
const MANAGEMENT_DEVICE: u16 = 1;

/// Where and as whom a meter is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DlmsAddress {
    /// How it is reached.
    pub way: Way,
    /// Client address. At most 127 over HDLC.
    pub client: u16,
    /// Server address: the logical device. At most 16383 over HDLC.
    pub server: u16,
    /// Device on a line with several, HDLC only. At most 16383.
    pub physical: Option<u16>,
    /// How both sides prove who they are.
    pub security: Security,
    /// Suite of a protected association. Suite 2 is what keys of 32 bytes belong to.
    pub suite: Suite,
    /// Group E of the object 0-0:43.1.E in which the meter says how far our invocation counter has come.
    pub counter: u8,
}

/// How a meter is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// HDLC frames on a serial line.
    Line {
        /// Serial port or pseudo-terminal.
        path: PathBuf,
        /// Bits per second, with eight data bits and no parity.
        speed: u32,
    },
    /// HDLC frames over TCP, through a bridge that passes bytes on.
    Bridge {
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
    },
    /// The wrapper over TCP.
    Wrapper {
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
    },
}

/// How both sides prove who they are, in the order of the standard's mechanisms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// Not at all; everything is in clear.
    None,
    /// By a password; everything is in clear.
    Low,
    /// Mechanism 5: by the meter's keys.
    Gmac,
    /// Mechanism 6: by a common secret, under the meter's keys.
    Sha256,
    /// Mechanism 7: by signatures, under the meter's keys.
    Ecdsa,
}

impl Security {
    const ALL: [Self; 5] = [Self::None, Self::Low, Self::Gmac, Self::Sha256, Self::Ecdsa];

    /// Its word in an address.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Low => "low",
            Self::Sha256 => "sha256",
            Self::Gmac => "gmac",
            Self::Ecdsa => "ecdsa",
        }
    }

    /// Whether every message is sealed with the meter's keys.
    pub const fn is_protected(self) -> bool {
        !matches!(self, Self::None | Self::Low)
    }

    const fn client(self) -> u16 {
        if matches!(self, Self::None) { PUBLIC_CLIENT } else { MANAGEMENT_CLIENT }
    }

    const fn suite(self) -> Suite {
        if matches!(self, Self::Ecdsa) { Suite::One } else { Suite::Zero }
    }
}

impl DlmsAddress {
    /// Reads the whole address. `None`: it is not of this kind. The error says what is wrong with it.
    pub(super) fn parse(text: &str) -> Option<Result<Self, &'static str>> {
        let (scheme, rest) = text.split_once(':')?;
        let is_hdlc = match (scheme, rest.starts_with("//")) {
            ("dlms", is_network) => !is_network,
            ("dlms+hdlc", _) => true,
            _ => return None,
        };
        let (place, more) = rest.split_once('?').unwrap_or((rest, ""));
        let way = match place.strip_prefix("//") {
            Some(place) => network(place, is_hdlc),
            None if scheme == "dlms" && !place.is_empty() => Ok(Way::Line { path: place.into(), speed: SPEED }),
            None => Err("expected dlms://host, dlms+hdlc://host:port or dlms:/dev/…"),
        };
        Some(way.and_then(|way| Self::read(way, more)))
    }

    fn read(way: Way, text: &str) -> Result<Self, &'static str> {
        let mut address = Self {
            way,
            client: 0,
            server: MANAGEMENT_DEVICE,
            physical: None,
            security: Security::None,
            suite: Suite::Zero,
            counter: 0,
        };
        let (mut client, mut suite) = (None, None);
        let mut seen = Vec::new();
        for part in text.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').ok_or("expected name=value after the question mark")?;
            if seen.contains(&name) {
                return Err("a part of the address is there twice");
            }
            seen.push(name);
            let number = || value.parse::<u16>().ok().filter(|_| value.bytes().all(|byte| byte.is_ascii_digit()));
            let limit = |most: u16| if address.is_hdlc() { most } else { u16::MAX };
            match name {
                "client" => {
                    let number = number().filter(|number| (1..=limit(127)).contains(number));
                    client = Some(number.ok_or("client takes a number: 1 to 127 over HDLC, to 65535 else")?);
                }
                "server" => {
                    let number = number().filter(|number| (1..=limit(16_383)).contains(number));
                    address.server = number.ok_or("server takes a number: 1 to 16383 over HDLC, to 65535 else")?;
                }
                "physical" => {
                    let number = number().filter(|number| address.is_hdlc() && *number <= 16_383);
                    address.physical = Some(number.ok_or("physical takes a number to 16383, over HDLC only")?);
                }
                "security" => {
                    let found = Security::ALL.into_iter().find(|security| security.name() == value);
                    address.security = found.ok_or("security takes none, low, gmac, sha256 or ecdsa")?;
                }
                "suite" => {
                    suite = Some(match value {
                        "0" => Suite::Zero,
                        "1" => Suite::One,
                        "2" => Suite::Two,
                        _ => return Err("suite takes 0, 1 or 2"),
                    });
                }
                "counter" => {
                    address.counter = value.parse().map_err(|_| "counter takes a number from 0 to 255")?;
                }
                "speed" => match &mut address.way {
                    Way::Line { speed, .. } => {
                        let found = value.parse().ok().filter(|speed| (300..=921_600).contains(speed));
                        *speed = found.ok_or("speed takes bits per second: 300 to 921600")?;
                    }
                    _ => return Err("only a serial line has a speed"),
                },
                "password" | "key" | "secret" | "ek" | "ak" => {
                    return Err("passwords and keys are no part of an address; they are entered as the meter's key");
                }
                _ => return Err("expected client, server, physical, security, suite, counter or speed"),
            }
        }
        address.client = client.unwrap_or(address.security.client());
        address.suite = suite.unwrap_or(address.security.suite());
        if address.suite == Suite::Zero && address.security == Security::Ecdsa {
            return Err("security=ecdsa takes suite 1 or 2");
        }
        if address.suite != Suite::Zero && !address.security.is_protected() {
            return Err("a suite belongs to security=gmac, sha256 or ecdsa");
        }
        Ok(address)
    }

    /// Whether frames are HDLC's.
    pub const fn is_hdlc(&self) -> bool {
        !matches!(self.way, Way::Wrapper { .. })
    }
}

fn network(place: &str, is_hdlc: bool) -> Result<Way, &'static str> {
    let (host, port) =
        super::host_and_port(place.trim_end_matches('/')).ok_or("expected a host, and a port after a colon")?;
    match (is_hdlc, port) {
        (false, port) => Ok(Way::Wrapper { host, port: port.unwrap_or(PORT) }),
        (true, Some(port)) => Ok(Way::Bridge { host, port }),
        (true, None) => Err("dlms+hdlc takes a port: dlms+hdlc://host:port"),
    }
}

impl fmt::Display for DlmsAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bracketed = |host: &str| if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        match &self.way {
            Way::Line { path, .. } => write!(formatter, "dlms:{}", path.display())?,
            Way::Bridge { host, port } => write!(formatter, "dlms+hdlc://{}:{port}", bracketed(host))?,
            Way::Wrapper { host, port: PORT } => write!(formatter, "dlms://{}", bracketed(host))?,
            Way::Wrapper { host, port } => write!(formatter, "dlms://{}:{port}", bracketed(host))?,
        }
        let mut parts = Vec::new();
        if self.client != self.security.client() {
            parts.push(format!("client={}", self.client));
        }
        if self.server != MANAGEMENT_DEVICE {
            parts.push(format!("server={}", self.server));
        }
        if let Some(physical) = self.physical {
            parts.push(format!("physical={physical}"));
        }
        if self.security != Security::None {
            parts.push(format!("security={}", self.security.name()));
        }
        if self.suite != self.security.suite() {
            parts.push(format!("suite={}", self.suite.number()));
        }
        if self.counter != 0 {
            parts.push(format!("counter={}", self.counter));
        }
        if let Way::Line { speed, .. } = self.way
            && speed != SPEED
        {
            parts.push(format!("speed={speed}"));
        }
        if parts.is_empty() { Ok(()) } else { write!(formatter, "?{}", parts.join("&")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::Address;

    fn parse(text: &str) -> Result<DlmsAddress, &'static str> {
        match text.parse::<Address>()? {
            Address::Dlms(address) => Ok(address),
            _ => Err("another kind"),
        }
    }

    #[test]
    fn prints_what_it_read() {
        for text in [
            "dlms://meter.lan",
            "dlms://192.0.2.7:4060?security=gmac",
            "dlms://[fe80::1]?client=2&server=17&security=gmac&suite=1&counter=2",
            "dlms://meter.lan?security=sha256&suite=2",
            "dlms://meter.lan?security=ecdsa",
            "dlms+hdlc://[fe80::1]:2001?client=1",
            "dlms+hdlc://bridge.lan:2001?physical=16",
            "dlms:/dev/ttyUSB0",
            "dlms:/dev/ttyUSB0?client=3&physical=0&security=low&speed=115200",
        ] {
            assert_eq!(parse(text).map(|address| address.to_string()).as_deref(), Ok(text));
        }
        let long = parse("dlms://meter.lan:4059/?client=16&server=1&security=none&suite=0&counter=0");
        assert_eq!(long.map(|address| address.to_string()).as_deref(), Ok("dlms://meter.lan"));
        let proving = parse("dlms://meter.lan?security=gmac").expect("an address");
        assert_eq!((proving.client, proving.suite), (1, Suite::Zero));
    }

    #[test]
    fn a_bad_part_is_named() {
        for (text, word) in [
            ("dlms:", "dlms://host"),
            ("dlms+hdlc:/dev/ttyUSB0", "dlms://host"),
            ("dlms://", "host"),
            ("dlms+hdlc://host", "port"),
            ("dlms://host:99999", "port"),
            ("dlms://host?client=0", "client"),
            ("dlms+hdlc://host:1?client=128", "client"),
            ("dlms://host?client=+1", "client"),
            ("dlms://host?server=x", "server"),
            ("dlms://host?physical=1", "physical"),
            ("dlms://host?security=high", "security"),
            ("dlms://host?security=gmac&suite=3", "suite"),
            ("dlms://host?suite=1", "suite"),
            ("dlms://host?security=ecdsa&suite=0", "suite"),
            ("dlms://host?counter=256", "counter"),
            ("dlms://host?speed=9600", "speed"),
            ("dlms:/dev/ttyUSB0?speed=1", "speed"),
            ("dlms://host?client=1&client=2", "twice"),
            ("dlms://host?client", "name=value"),
            ("dlms://host?password=hunter2", "password"),
            ("dlms://host?colour=red", "expected client"),
        ] {
            assert!(parse(text).is_err_and(|error| error.contains(word)), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_printed_is_read_again(text in "dlms(\\+hdlc)?:(//)?[a-z]{1,8}(:[0-9]{1,5})?(\\?(client=[0-9]{1,3}&)?(security=(low|gmac|sha256|ecdsa)&)?(suite=[12]&)?(counter=[0-9]{1,3}&)?(server=[0-9]{1,5})?)?") {
            if let Ok(address) = parse(&text) {
                proptest::prop_assert_eq!(parse(&address.to_string()), Ok(address));
            }
        }
    }
}
