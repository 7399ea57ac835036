//! The host's side of pairing: waits at a device until its button is pressed or the utility has registered us, shows it the
//! numbers of its label, and leaves it again.

use std::pin::pin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use contract::live::MeterId;
use household::home::{Household, PairBy, PairingEvent};
use meter_link::bridge::Secret;
use meter_link::health::LinkProblem;
use meter_link::link::Address;
use meter_link::link::bridge::{eagle, homewizard2, sep2};
use tokio::sync::mpsc;
use tokio::time::sleep;

/// A utility takes hours to tell a meter of us; a minute more is no matter, and no meter is kept busy by it.
const UNREGISTERED: Duration = Duration::from_secs(60);

/// Asks a device to pair until it agrees or its time is up, and tells the home how it goes on. Drop the future to give up.
pub(crate) async fn pair(household: Household, meter: MeterId, address: String, by: PairBy) {
    let ended = match (address.parse(), &by) {
        (Ok(Address::Bridge { host, port, .. }), PairBy::Button { name, known }) => {
            press(&household, meter, (&host, port), name, known.as_ref()).await
        }
        (Ok(Address::Bridge { host, port, .. }), PairBy::Certificate { identity }) => {
            register(&household, meter, (&host, port), identity.clone()).await
        }
        (Ok(Address::Bridge { host, port, .. }), PairBy::Label { cloud_id, install_code }) => {
            eagle::pair(&host, port, &cloud_id.0, &install_code.0).await
        }
        _ => Err(LinkProblem::NotFound),
    };
    let event = match ended {
        Ok(secret) => PairingEvent::Paired { address, secret },
        Err(problem) => PairingEvent::Failed(problem),
    };
    household.hear_pairing(meter, event).await;
}

/// Waits for a press of the button.
async fn press(
    household: &Household,
    meter: MeterId,
    (host, port): (&str, u16),
    name: &str,
    known: Option<&Secret>,
) -> Result<Secret, LinkProblem> {
    let (tell, mut told) = mpsc::unbounded_channel();
    let mut pressed = pin!(homewizard2::pair(host, port, name, known, |left| {
        // It cannot fail: the other end is there for as long as this is.
        let _ = tell.send(left);
    }));
    loop {
        tokio::select! {
            paired = &mut pressed => return paired.map(|paired| paired.secret()),
            Some(seconds_left) = told.recv() => {
                household.hear_pairing(meter, PairingEvent::Waiting { seconds_left }).await;
            }
        }
    }
}

/// Waits until the meter knows our certificate, which the utility has to tell it.
async fn register(
    household: &Household,
    meter: MeterId,
    (host, port): (&str, u16),
    identity: Option<Secret>,
) -> Result<Secret, LinkProblem> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
    let secret = identity.or_else(|| sep2::identity(now)).ok_or(LinkProblem::PairingNeeded)?;
    let lfdi = sep2::lfdi(&secret).ok_or(LinkProblem::PairingNeeded)?;
    household.hear_pairing(meter, PairingEvent::Identity { secret: secret.clone(), lfdi }).await;
    loop {
        let problem = match sep2::pair(host, port, &secret).await {
            Ok(paired) => return Ok(paired),
            Err(problem) => Some(problem).filter(|problem| *problem != LinkProblem::PairingNeeded),
        };
        household.hear_pairing(meter, PairingEvent::Unregistered { problem }).await;
        sleep(UNREGISTERED).await;
    }
}

/// Has a device forget us. Whether it has.
pub(crate) async fn leave(address: &str, name: &str, secret: &Secret) -> bool {
    let Ok(Address::Bridge { host, port, .. }) = address.parse() else { return false };
    match homewizard2::unpair(&host, port, name, secret).await {
        Ok(()) => true,
        Err(problem) => {
            tracing::warn!("a device that was paired could not be left: {problem:?}");
            false
        }
    }
}
