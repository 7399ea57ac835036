//! A serial port or pseudo-terminal. Finds speed and framing by listening; holds the port for itself.

use std::path::Path;

use tokio::io::AsyncReadExt as _;
use tokio_serial::{DataBits, FlowControl, Parity, SerialPort as _, SerialPortBuilderExt as _, SerialStream, StopBits};

use crate::health::LinkProblem;

/// What P1 meters use: since DSMR 4, and before.
const SETTINGS: [(&str, u32, DataBits, Parity); 2] =
    [("115200 8N1", 115_200, DataBits::Eight, Parity::None), ("9600 7E1", 9_600, DataBits::Seven, Parity::Even)];

/// An open port.
#[derive(Debug)]
pub(crate) struct Port {
    stream: SerialStream,
    /// Which of [`SETTINGS`] is in use. settings < SETTINGS.len()
    settings: usize,
}

impl Port {
    /// Opens a port for this program alone (the serial crate takes the advisory lock and the terminal's own).
    pub(super) fn open(path: &Path, settings: usize) -> Result<Self, LinkProblem> {
        let settings = settings % SETTINGS.len();
        let (_, speed, bits, parity) = SETTINGS[settings];
        Ok(Self { stream: open_with(path, speed, bits, parity)?, settings })
    }

    pub(super) async fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.stream.read(buffer).await
    }

    pub(super) const fn settings(&self) -> usize {
        self.settings
    }

    pub(super) const fn settings_name(&self) -> &'static str {
        SETTINGS[self.settings].0
    }

    pub(super) fn try_next_settings(&mut self) {
        self.settings = (self.settings + 1) % SETTINGS.len();
        let (_, speed, bits, parity) = SETTINGS[self.settings];
        // A port that refuses a speed is listened to at the old one; the next try comes round again.
        let _ = self.stream.set_baud_rate(speed);
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
