//! The port a simulated meter talks on: a real pseudo-terminal, a TCP port with any number of listeners, or a bridge on the
//! network that reads the meter and passes on its measurements.
//!
//! Never blocks and never waits for a reader: like a wire, it loses what nobody takes. Survives readers that go and come.

mod homewizard2;
#[cfg(target_os = "linux")]
mod pty;
mod tcp;
pub mod uart;

use std::io;

#[cfg(target_os = "linux")]
use pty::Pty;
use tcp::Tcp;

pub use homewizard2::HomeWizard2;

/// Which kind of port to open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A HomeWizard P1 meter with a TLS port on the loopback address; 0 takes a free one.
    HomeWizard2(u16),
    /// A pseudo-terminal. With a speed, a reader that listens at another one hears noise, as on a real wire.
    Pty {
        /// The meter's speed; `None` lets every reader understand.
        baud: Option<u32>,
    },
    /// A TCP port on the loopback address; 0 takes a free one.
    Tcp(u16),
}

/// An open port.
#[derive(Debug)]
pub struct Line {
    kind: Kind,
    port: Option<Port>,
    address: String,
}

#[derive(Debug)]
enum Port {
    HomeWizard2(HomeWizard2),
    #[cfg(target_os = "linux")]
    Pty(Pty),
    Tcp(Tcp),
}

impl Line {
    /// Opens it.
    ///
    /// # Errors
    /// What the system says; on systems without Unix98 pseudo-terminals, that there are none.
    pub fn open(kind: Kind) -> io::Result<Self> {
        let (port, address) = open(kind)?;
        // A port that is opened again after a hang-up must be found where it was.
        let kind = match &port {
            Port::HomeWizard2(device) => Kind::HomeWizard2(device.port()),
            Port::Tcp(tcp) => Kind::Tcp(tcp.port()),
            #[cfg(target_os = "linux")]
            Port::Pty(_) => kind,
        };
        Ok(Self { kind, port: Some(port), address })
    }

    /// Where it is, as `--meter` takes it: `serial:/dev/pts/7` or `tcp://127.0.0.1:2001`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Notices readers that came or went. Returns how many there are.
    pub fn poll(&mut self) -> usize {
        match &mut self.port {
            Some(Port::HomeWizard2(device)) => device.poll(),
            #[cfg(target_os = "linux")]
            Some(Port::Pty(pty)) => pty.poll(),
            Some(Port::Tcp(tcp)) => tcp.poll(),
            None => 0,
        }
    }

    /// Hands bytes to whoever reads; what does not fit into a reader's buffer is lost.
    pub fn send(&mut self, bytes: &[u8]) {
        self.poll();
        match &mut self.port {
            #[cfg(target_os = "linux")]
            Some(Port::Pty(pty)) => pty.send(bytes),
            Some(Port::Tcp(tcp)) => tcp.send(bytes),
            // It has read the meter, and says so in its own words.
            Some(Port::HomeWizard2(_)) | None => {}
        }
    }

    /// The bridge that passes measurements on instead of bytes, if this is one.
    pub const fn bridge(&mut self) -> Option<&mut HomeWizard2> {
        match &mut self.port {
            Some(Port::HomeWizard2(device)) => Some(device),
            _ => None,
        }
    }

    /// Closes it on every reader, as when the plug is pulled.
    pub fn hang_up(&mut self) {
        self.port = None;
    }

    /// Opens it again after [`Self::hang_up`]; true if its address is another now.
    ///
    /// The system gives a pseudo-terminal its old number back once all readers have let go of it; with `same_address` set,
    /// any other number is refused.
    ///
    /// # Errors
    /// What the system says; it stays closed and may be tried again.
    pub fn reopen(&mut self, same_address: bool) -> io::Result<bool> {
        if self.port.is_some() {
            return Ok(false);
        }
        let (port, address) = open(self.kind)?;
        let moved = address != self.address;
        if moved && same_address {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        self.port = Some(port);
        self.address = address;
        Ok(moved)
    }
}

fn open(kind: Kind) -> io::Result<(Port, String)> {
    match kind {
        Kind::HomeWizard2(port) => {
            let device = HomeWizard2::open(port)?;
            let address = format!("homewizard2://127.0.0.1:{}", device.port());
            Ok((Port::HomeWizard2(device), address))
        }
        #[cfg(target_os = "linux")]
        Kind::Pty { baud } => {
            let pty = Pty::open(baud)?;
            let address = format!("serial:{}", pty.path());
            Ok((Port::Pty(pty), address))
        }
        #[cfg(not(target_os = "linux"))]
        Kind::Pty { .. } => {
            Err(io::Error::new(io::ErrorKind::Unsupported, "pseudo-terminals need Linux; use a TCP port"))
        }
        Kind::Tcp(port) => {
            let tcp = Tcp::open(port)?;
            let address = format!("tcp://127.0.0.1:{}", tcp.port());
            Ok((Port::Tcp(tcp), address))
        }
    }
}
