//! A plain TCP connection to a meter's bridge (ser2net and its kin).

use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

use crate::health::LinkProblem;

/// A bridge in the same home answers in milliseconds; one that does not within five seconds is off.
const CONNECT: Duration = Duration::from_secs(5);

/// A bridge that lost its power says nothing; asked after 15 silent seconds and every 5 after that, it is known to be gone
/// within half a minute.
const KEEPALIVE: TcpKeepalive =
    TcpKeepalive::new().with_time(Duration::from_secs(15)).with_interval(Duration::from_secs(5));

pub(super) async fn open(host: &str, port: u16) -> Result<TcpStream, LinkProblem> {
    match tokio::time::timeout(CONNECT, TcpStream::connect((host, port))).await {
        // A name that does not resolve carries no error number.
        Ok(Err(error)) if error.raw_os_error().is_none() => Err(LinkProblem::NotFound),
        Ok(connected) => {
            let stream = connected.map_err(|error| super::problem(&error))?;
            // Without it the link still works; a dead bridge is then only seen as silent.
            let _ = SockRef::from(&stream).set_tcp_keepalive(&KEEPALIVE);
            Ok(stream)
        }
        Err(_) => Err(LinkProblem::Refused),
    }
}
