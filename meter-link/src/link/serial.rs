//! A serial port or pseudo-terminal. Knows how to listen and to write, not with what; holds the port for itself.

use std::path::Path;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_serial::{DataBits, FlowControl, Parity, SerialPort as _, SerialPortBuilderExt as _, SerialStream, StopBits};

use super::line::{Framing, LineSettings};
use crate::health::LinkProblem;

/// An open port.
#[derive(Debug)]
pub(crate) struct Port {
    stream: SerialStream,
}

impl Port {
    /// Opens a port for this program alone (the serial crate takes the advisory lock and the terminal's own).
    pub(super) fn open(path: &Path, settings: LineSettings) -> Result<Self, LinkProblem> {
        let (bits, parity) = characters(settings.framing);
        Ok(Self { stream: open_with(path, settings.baud, bits, parity)? })
    }

    pub(super) async fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.stream.read(buffer).await
    }

    /// Hands bytes to the port; they leave at its speed.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes).await
    }

    pub(super) fn set(&mut self, settings: LineSettings) {
        let (bits, parity) = characters(settings.framing);
        // A port that refuses a speed is listened to at the old one; the next try comes round again.
        let _ = self.stream.set_baud_rate(settings.baud);
        let _ = self.stream.set_data_bits(bits);
        let _ = self.stream.set_parity(parity);
    }
}

/// Opens a port that is asked, at its own speed.
#[cfg(feature = "client")]
pub(super) fn open_at(path: &Path, speed: u32) -> Result<SerialStream, LinkProblem> {
    open_with(path, speed, DataBits::Eight, Parity::None)
}

fn open_with(path: &Path, speed: u32, bits: DataBits, parity: Parity) -> Result<SerialStream, LinkProblem> {
    let mut stream = tokio_serial::new(path.to_string_lossy(), speed)
        .data_bits(bits)
        .parity(parity)
        .stop_bits(StopBits::One)
        .flow_control(FlowControl::None)
        .open_native_async()
        .map_err(|error| match error.kind() {
            tokio_serial::ErrorKind::Io(kind) => super::problem(&kind.into()),
            // How the serial crate says both "no such port" and "another program holds it".
            _ if path.exists() => LinkProblem::Busy,
            _ => LinkProblem::NotFound,
        })?;
    // Meters with a request line send only while it is high. Pseudo-terminals have none.
    let _ = stream.write_request_to_send(true);
    let _ = stream.write_data_terminal_ready(true);
    Ok(stream)
}

const fn characters(framing: Framing) -> (DataBits, Parity) {
    match framing {
        Framing::EightEven => (DataBits::Eight, Parity::Even),
        Framing::EightNone => (DataBits::Eight, Parity::None),
        Framing::SevenEven => (DataBits::Seven, Parity::Even),
    }
}
