//! Hildebrand Glow: subscribes to what the display publishes, at its own broker or the home's.
//!
//! The secret is `user:password` of the broker, where it asks for one. Passes on the meters' messages and nothing else.
//!
//! Source: MQTT 3.1.1.

use std::time::Duration;

use rumqttc::{AsyncClient, ConnectReturnCode, ConnectionError, Event, EventLoop, MqttOptions, Packet, QoS};
use tokio::time::timeout;

use super::web;
use crate::bridge::{MAX_BODY, Secret};
use crate::health::LinkProblem;

/// The display's id lies between.
const TOPICS: &str = "glow/+/SENSOR/+";
/// A broker that lost its power is known to be gone after twice this.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// A subscription.
pub(super) struct Published {
    client: AsyncClient,
    events: EventLoop,
}

impl std::fmt::Debug for Published {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The options hold a password.
        formatter.write_str("Published(…)")
    }
}

impl Published {
    pub(super) async fn open(host: &str, port: u16, secret: Option<&Secret>) -> Result<Self, LinkProblem> {
        let id = format!("wattle-{:08x}", getrandom::u32().unwrap_or_default());
        let mut options = MqttOptions::new(id, host, port);
        options.set_keep_alive(KEEPALIVE).set_max_packet_size(MAX_BODY, MAX_BODY);
        if let Some((user, password)) = secret.and_then(|secret| secret.0.split_once(':')) {
            options.set_credentials(user, password);
        }
        let (client, events) = AsyncClient::new(options, 4);
        let mut published = Self { client, events };
        timeout(web::ANSWER, published.subscribe()).await.map_err(|_| LinkProblem::Refused)??;
        Ok(published)
    }

    /// Until the broker has confirmed the subscription.
    async fn subscribe(&mut self) -> Result<(), LinkProblem> {
        loop {
            match self.events.poll().await.map_err(|error| problem(&error))? {
                Event::Incoming(Packet::ConnAck(_)) => {
                    let asked = self.client.subscribe(TOPICS, QoS::AtMostOnce).await;
                    asked.map_err(|_| LinkProblem::Closed)?;
                }
                Event::Incoming(Packet::SubAck(answer)) => {
                    let is_granted =
                        answer.return_codes.iter().all(|code| matches!(code, rumqttc::SubscribeReasonCode::Success(_)));
                    return if is_granted { Ok(()) } else { Err(LinkProblem::PairingNeeded) };
                }
                _ => (),
            }
        }
    }

    /// The next message about a meter.
    pub(super) async fn next(&mut self) -> Result<Vec<u8>, LinkProblem> {
        loop {
            if let Event::Incoming(Packet::Publish(message)) =
                self.events.poll().await.map_err(|error| problem(&error))?
                && matches!(message.topic.rsplit('/').next(), Some("electricitymeter" | "gasmeter"))
            {
                return Ok(message.payload.to_vec());
            }
        }
    }
}

fn problem(error: &ConnectionError) -> LinkProblem {
    use ConnectReturnCode::{BadUserNamePassword, NotAuthorized};
    match error {
        ConnectionError::ConnectionRefused(BadUserNamePassword | NotAuthorized) => LinkProblem::PairingNeeded,
        ConnectionError::ConnectionRefused(_) => LinkProblem::Refused,
        ConnectionError::NetworkTimeout => LinkProblem::Refused,
        ConnectionError::Io(error) if error.raw_os_error().is_some() => crate::link::problem(error),
        ConnectionError::Io(error) if error.kind() == std::io::ErrorKind::Other => LinkProblem::NotFound,
        _ => LinkProblem::Closed,
    }
}
