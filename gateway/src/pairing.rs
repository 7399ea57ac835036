//! The host's side of pairing: waits at a device until its button is pressed, and leaves it again.

use std::pin::pin;

use contract::live::MeterId;
use household::home::{Household, PairingEvent};
use meter_link::bridge::{Kind, Secret};
use meter_link::health::LinkProblem;
use meter_link::link::Address;
use meter_link::link::bridge::homewizard2;
use tokio::sync::mpsc;

/// Asks a device to pair until it agrees or its time is up, and tells the home how it goes on. Drop the future to give up.
pub(crate) async fn pair(household: Household, meter: MeterId, address: String, name: String, known: Option<Secret>) {
    let (tell, mut told) = mpsc::unbounded_channel();
    let ended = {
        let mut pairing = pin!(async {
            let (host, port) = button(&address).ok_or(LinkProblem::NotFound)?;
            // It cannot fail: the other end is there for as long as this is.
            homewizard2::pair(&host, port, &name, known.as_ref(), |left| {
                let _ = tell.send(left);
            })
            .await
        });
        loop {
            tokio::select! {
                ended = &mut pairing => break ended,
                Some(seconds_left) = told.recv() => {
                    household.hear_pairing(meter, PairingEvent::Waiting { seconds_left }).await;
                }
            }
        }
    };
    let event = match ended {
        Ok(paired) => PairingEvent::Paired { secret: paired.secret(), address },
        Err(problem) => PairingEvent::Failed(problem),
    };
    household.hear_pairing(meter, event).await;
}

/// Has a device forget us. Whether it has.
pub(crate) async fn leave(address: &str, name: &str, secret: &Secret) -> bool {
    let Some((host, port)) = button(address) else { return false };
    match homewizard2::unpair(&host, port, name, secret).await {
        Ok(()) => true,
        Err(problem) => {
            tracing::warn!("a device that was paired could not be left: {problem:?}");
            false
        }
    }
}

/// Host and port of a device with a button.
fn button(address: &str) -> Option<(String, u16)> {
    match address.parse() {
        Ok(Address::Bridge { kind: Kind::HomeWizard2, host, port }) => Some((host, port)),
        _ => None,
    }
}
