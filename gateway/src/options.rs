//! The command line that the window and the headless host share.

use std::path::PathBuf;

use contract::calls::Port;
use contract::live::Capability;
use household::secrets::Secrets;
use meter_link::decoder::Protocol;
use meter_link::link::Address;
use meter_link::link::source::Source;

use crate::{meters, search};

/// What both programs are started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Folder of the database.
    pub folder: PathBuf,
    /// Where its key is.
    pub secrets: Secrets,
    /// A meter to pair if it is not paired yet.
    pub meter: Option<String>,
    /// Folder of the page; only the headless host needs it.
    pub page: Option<PathBuf>,
    /// Loopback address and port to serve at; only the headless host needs it.
    pub listen: std::net::SocketAddr,
}

/// What the command line asks for.
#[derive(Debug)]
pub enum Asked {
    /// To be told how to ask.
    Help,
    /// To run.
    Run(Box<Options>),
}

/// The help text's part that both programs share.
pub const HELP: &str = "\
  --meter ADDRESS   pair this meter: serial:/dev/ttyUSB0, tcp://host:port, homewizard://host, dlms://host?security=gmac,
                    file:capture.txt or simulated
  --protocol NAME   listen to that meter for this only: d0, dlms-hdlc, dlms-mbus, dlms-wrapper, p1, raven, sml or tic
                    (auto: whatever it speaks, at any speed; a serial port's speed may be fixed in its address:
                    serial:/dev/ttyUSB0?line=9600-7E1)
  --data FOLDER     keep the home here instead of the user's data folder
  --key-file FILE   keep the database's key in this file (mode 0600) instead of the operating system's secret store
  --page FOLDER     serve the page from here (headless only)
  --listen ADDRESS  serve at this loopback address and port (headless only; 127.0.0.1:8420, port 0 takes a free one)
  --help            say this";

/// Where the page is served unless told otherwise. Unassigned by IANA, and the same after a restart, so a kept link works.
const LISTEN: std::net::SocketAddr =
    std::net::SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8420);

/// Reads the command line. The error says what is wrong with it.
pub fn read(arguments: impl IntoIterator<Item = std::ffi::OsString>) -> Result<Asked, String> {
    use lexopt::prelude::*;
    let mut parser = lexopt::Parser::from_args(arguments);
    let (mut folder, mut key_file, mut page, mut listen) = (None, None, None, LISTEN);
    let (mut meter, mut protocol) = (None::<String>, None);
    let words = |error: lexopt::Error| error.to_string();
    while let Some(argument) = parser.next().map_err(words)? {
        match argument {
            Long("data") => folder = Some(PathBuf::from(parser.value().map_err(words)?)),
            Long("help") | Short('h') => return Ok(Asked::Help),
            Long("key-file") => key_file = Some(PathBuf::from(parser.value().map_err(words)?)),
            Long("listen") => listen = parser.value().and_then(|value| value.parse()).map_err(words)?,
            Long("meter") => meter = Some(parser.value().and_then(|value| value.parse()).map_err(words)?),
            Long("protocol") => protocol = named(&parser.value().and_then(|value| value.string()).map_err(words)?)?,
            Long("page") => page = Some(PathBuf::from(parser.value().map_err(words)?)),
            other => return Err(words(other.unexpected())),
        }
    }
    if !listen.ip().is_loopback() {
        return Err(format!("--listen takes a loopback address only, so that nobody else reaches the home: {listen}"));
    }
    let folder = match folder {
        Some(folder) => folder,
        None => dirs::data_dir().ok_or("there is no home folder to keep data in; use --data FOLDER")?.join("wattle"),
    };
    let meter = match (meter, protocol) {
        (Some(meter), Some(protocol)) => Some(restricted(&meter, protocol)?),
        (meter, None) => meter,
        (None, Some(_)) => return Err("--protocol says what the meter of --meter speaks".to_owned()),
    };
    let secrets = key_file.map_or(Secrets::OperatingSystem, Secrets::File);
    Ok(Asked::Run(Box::new(Options { folder, secrets, meter, page, listen })))
}

/// The protocol of a name; `None`: all of them.
fn named(name: &str) -> Result<Option<Protocol>, String> {
    // A bridge is no line to listen to.
    match Protocol::by_name(name).filter(|protocol| *protocol != Protocol::Bridge) {
        Some(protocol) => Ok(Some(protocol)),
        None if name == "auto" => Ok(None),
        None => Err(format!("unknown protocol: {name} (try --help)")),
    }
}

/// The address with a protocol in it, so that it is kept as long as the meter.
fn restricted(meter: &str, protocol: Protocol) -> Result<String, String> {
    let source = meter.parse::<Source>().map_err(|expected| format!("--meter {meter}: {expected}"))?;
    if matches!(source.address, Address::Bridge { .. } | Address::Dlms(_)) {
        return Err(format!("--meter {meter}: its address says what it speaks, --protocol does not"));
    }
    Ok(Source { protocol: Some(protocol), ..source }.to_string())
}

impl Options {
    /// How the home is opened on this host.
    pub fn home(&self) -> household::home::Options {
        let mut capabilities = vec![Capability::DeviceSearch, Capability::SerialPorts];
        if meters::simulator().is_some() {
            capabilities.push(Capability::SimulatedHome);
        }
        household::home::Options {
            folder: self.folder.clone(),
            secrets: self.secrets.clone(),
            capabilities,
            find_devices: search::devices,
            list_ports: ports,
        }
    }
}

/// Serial ports that could lead to a meter, by their stable names where there are some.
fn ports() -> Vec<Port> {
    let list = |folder: &str, wanted: fn(&str) -> bool| {
        let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.file_name().is_some_and(|name| wanted(&name.to_string_lossy())))
            .collect();
        paths.sort();
        paths
    };
    let named = list("/dev/serial/by-id", |_| true);
    let reached: Vec<PathBuf> = named.iter().filter_map(|path| path.canonicalize().ok()).collect();
    let plain = list("/dev", |name| {
        ["ttyUSB", "ttyACM", "ttyAMA", "cu.usbserial", "cu.usbmodem"].iter().any(|kind| name.starts_with(kind))
    });
    named
        .into_iter()
        .chain(plain.into_iter().filter(|path| !reached.contains(path)))
        .map(|path| Port {
            description: path
                .file_name()
                .map(|name| name.to_string_lossy().replace(['_', '-'], " "))
                .unwrap_or_default(),
            address: format!("serial:{}", path.display()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meter(arguments: &[&str]) -> Result<Option<String>, String> {
        let asked = read(["--data", "made"].iter().chain(arguments).map(std::ffi::OsString::from))?;
        match asked {
            Asked::Run(options) => Ok(options.meter),
            Asked::Help => Err("help".to_owned()),
        }
    }

    #[test]
    fn a_protocol_restricts_the_meter_s_address_and_auto_does_not() {
        let port = "serial:/dev/ttyUSB0";
        let restricted = Ok(Some("serial:/dev/ttyUSB0?protocol=sml".to_owned()));
        assert_eq!(meter(&["--meter", port, "--protocol", "sml"]), restricted);
        assert_eq!(meter(&["--protocol", "sml", "--meter", port]), restricted, "in either order");
        assert_eq!(meter(&["--meter", port, "--protocol", "auto"]), Ok(Some(port.to_owned())));
        assert_eq!(meter(&["--meter", port]), Ok(Some(port.to_owned())));
        for wrong in [
            &["--meter", port, "--protocol", "morse"][..],
            &["--protocol", "sml"],
            &["--meter", "homewizard://p1.lan", "--protocol", "p1"],
            &["--meter", "nowhere", "--protocol", "p1"],
        ] {
            assert!(meter(wrong).is_err(), "{wrong:?}");
        }
    }
}
