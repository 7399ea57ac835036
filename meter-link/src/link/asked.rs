//! The way to a meter that is asked, both ways: TCP, or a serial port at the speed that its address names.
//!
//! Bytes only: frames and questions are `dlms_client`'s.

use tokio::io::{AsyncRead, AsyncWrite};

use super::dlms::DlmsAddress;
#[cfg(any(feature = "serial", feature = "tcp"))]
use super::dlms::Way;
use crate::health::LinkProblem;

/// What carries bytes both ways.
pub(crate) trait ReadWrite: AsyncRead + AsyncWrite + std::fmt::Debug + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + std::fmt::Debug + Send + Unpin> ReadWrite for T {}

/// An open way.
pub(crate) type Stream = Box<dyn ReadWrite>;

/// Opens the way to a meter. The error says whether and why a person is needed.
pub(crate) async fn open(address: &DlmsAddress) -> Result<Stream, LinkProblem> {
    match &address.way {
        #[cfg(feature = "tcp")]
        Way::Bridge { host, port } | Way::Wrapper { host, port } => {
            let stream = super::tcp::open(host, *port).await?;
            // Questions are short and each waits for its answer. Without it they only take longer.
            let _ = stream.set_nodelay(true);
            Ok(Box::new(stream))
        }
        #[cfg(feature = "serial")]
        Way::Line { path, speed } => Ok(Box::new(super::serial::open_at(path, *speed)?)),
        #[cfg(not(all(feature = "serial", feature = "tcp")))]
        _ => Err(LinkProblem::NotFound),
    }
}
