//! A plain TCP connection to a meter's bridge (ser2net and its kin).

use std::time::Duration;

use tokio::net::TcpStream;

use crate::health::LinkProblem;

/// A bridge in the same home answers in milliseconds; one that does not within five seconds is off.
const CONNECT: Duration = Duration::from_secs(5);

pub(super) async fn open(host: &str, port: u16) -> Result<TcpStream, LinkProblem> {
    match tokio::time::timeout(CONNECT, TcpStream::connect((host, port))).await {
        // A name that does not resolve carries no error number.
        Ok(Err(error)) if error.raw_os_error().is_none() => Err(LinkProblem::NotFound),
        Ok(connected) => connected.map_err(|error| super::problem(&error)),
        Err(_) => Err(LinkProblem::Refused),
    }
}
