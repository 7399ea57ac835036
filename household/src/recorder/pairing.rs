//! Devices that ask for a proof before they answer: pairing with them, their users and passwords, and leaving them again.
//!
//! A proof lives among the secrets, and in an order on its way to the host; never in the database, a notice or a log. The
//! waiting is the host's, because it knows the network: it tells how a pairing goes on, and brings what the device gave. A
//! meter that is paired again stays the same meter, so its history goes on.

use contract::calls::SetMeterLogin;
use contract::error::{CallError, ErrorCode};
use contract::live::{MeterId, MeterState};
use contract::notice::Notice;
use contract::pairing::PairingState;
use meter_link::bridge::{Proof, Secret};
use meter_link::diagnosis::Finding;
use meter_link::health::Health;
use meter_link::link::Address;
use tokio::sync::oneshot;

use super::{Leaving, Recorder};
use crate::home::{MeterOrder, PairingEvent};
use crate::secrets::SecretsError;

/// More than any broker's or device's user or password has.
const MAX_LOGIN: usize = 128;

impl Recorder {
    /// The proof for a meter's device. `None`: it wants none, or none is known yet.
    pub(super) fn device_secret(&self, meter: &MeterState) -> Result<Option<Secret>, SecretsError> {
        match proof(meter) {
            Proof::Nothing => Ok(None),
            Proof::Button | Proof::Certificate | Proof::Login | Proof::Password => {
                Ok(self.secrets.read(&self.device_name(meter.id))?.map(Secret))
            }
        }
    }

    /// Orders a pairing. One that goes on already goes on.
    pub(super) fn pair_meter(&self, id: MeterId, trust_anew: bool) -> Result<(), CallError> {
        let meter = self.meter(id)?;
        if proof(&meter) != Proof::Button {
            return Err(CallError::new(ErrorCode::Unsupported, "this device has no button to pair with"));
        }
        if is_going_on(meter.pairing) {
            return Ok(());
        }
        let known = if trust_anew { None } else { self.device_secret(&meter).map_err(locked)? };
        let _ = self.orders.send(MeterOrder::Pair { meter: id, address: meter.address, name: self.user(), known });
        self.show_pairing(id, Some(PairingState::Asking));
        Ok(())
    }

    /// Gives up a pairing that goes on, and forgets how the last one ended.
    pub(super) fn stop_pairing(&self, id: MeterId) -> Result<(), CallError> {
        if is_going_on(self.meter(id)?.pairing) {
            let _ = self.orders.send(MeterOrder::StopPairing(id));
        }
        self.show_pairing(id, None);
        Ok(())
    }

    /// Takes what the host tells of a pairing.
    pub(super) fn hear_pairing(&self, id: MeterId, event: PairingEvent) {
        let meter = self.meter(id);
        match (event, meter) {
            (PairingEvent::Waiting { seconds_left }, Ok(meter)) if is_going_on(meter.pairing) => {
                self.show_pairing(id, Some(PairingState::Button { seconds_left }));
            }
            (PairingEvent::Failed(problem), Ok(meter)) if is_going_on(meter.pairing) => {
                self.show_pairing(id, Some(PairingState::Failed { problem }));
            }
            // Given up in the last moment: what is told is of no interest any more.
            (PairingEvent::Waiting { .. } | PairingEvent::Failed(_), _) => (),
            (PairingEvent::Paired { secret, .. }, Ok(meter)) => match self.keep_secret(&meter, &secret) {
                Ok(()) => self.start_anew(id),
                Err(error) => {
                    tracing::warn!(meter = id.0, "what the device gave cannot be kept: {error}");
                    self.leave(meter.address, secret);
                    self.show_pairing(id, Some(PairingState::NotKept));
                }
            },
            // The meter was removed meanwhile.
            (PairingEvent::Paired { address, secret }, Err(_)) => drop(self.leave(address, secret)),
        }
    }

    /// Takes the user and password of a meter's device.
    pub(super) fn set_meter_login(&self, request: &SetMeterLogin) -> Result<(), CallError> {
        let meter = self.meter(request.meter)?;
        let has_user = match proof(&meter) {
            Proof::Login => true,
            Proof::Password => false,
            Proof::Button | Proof::Certificate | Proof::Nothing => {
                return Err(CallError::new(ErrorCode::Unsupported, "this device asks for no password"));
            }
        };
        let (user, password) = (request.user.0.as_str(), request.password.0.as_str());
        let fits = |text: &str| (1..=MAX_LOGIN).contains(&text.len()) && !text.chars().any(char::is_control);
        // A colon ends the user's name.
        if has_user && (!fits(user) || user.contains(':')) || !has_user && !user.is_empty() {
            return Err(CallError::invalid("user", "a user's name has 1 to 128 characters and no colon"));
        }
        if !fits(password) {
            return Err(CallError::invalid("password", "a password has 1 to 128 characters"));
        }
        let secret = if has_user { format!("{user}:{password}") } else { password.to_owned() };
        self.keep_secret(&meter, &Secret(secret)).map_err(locked)?;
        self.start_anew(meter.id);
        Ok(())
    }

    /// Starts a meter's task anew; screens see it listen.
    pub(super) fn read_again(&self, id: MeterId) -> Result<(), CallError> {
        self.meter(id)?;
        self.start_anew(id);
        Ok(())
    }

    /// Forgets the proof for a meter that is being removed, and has the device forget us. Comes true or false when the device
    /// was asked; `None`: there is nothing to ask.
    pub(super) fn forget_device(&self, meter: &MeterState) -> (Option<Leaving>, Result<(), SecretsError>) {
        if is_going_on(meter.pairing) {
            let _ = self.orders.send(MeterOrder::StopPairing(meter.id));
        }
        match self.device_secret(meter) {
            Ok(None) => (None, Ok(())),
            Ok(Some(secret)) => {
                let forgotten = self.secrets.forget(&self.device_name(meter.id));
                let leaving = (proof(meter) == Proof::Button).then(|| self.leave(meter.address.clone(), secret));
                (leaving, forgotten)
            }
            Err(error) => (None, Err(error)),
        }
    }

    fn leave(&self, address: String, secret: Secret) -> Leaving {
        let (told, left) = oneshot::channel();
        let _ = self.orders.send(MeterOrder::Leave { address, name: self.user(), secret, told });
        left
    }

    fn keep_secret(&self, meter: &MeterState, secret: &Secret) -> Result<(), SecretsError> {
        self.secrets.keep(&self.device_name(meter.id), &secret.0)
    }

    fn start_anew(&self, id: MeterId) {
        let Ok(meter) = self.meter(id) else { return };
        self.start(&meter);
        self.live.change(|state| {
            let shown = state.meters.get_mut(&id)?;
            shown.health = Health::default();
            shown.finding = Finding::Listening;
            shown.pairing = None;
            Some(Notice::Meter(Box::new(shown.clone())))
        });
    }

    fn show_pairing(&self, id: MeterId, pairing: Option<PairingState>) {
        self.live.change(|state| {
            let shown = state.meters.get_mut(&id)?;
            if shown.pairing == pairing {
                return None;
            }
            shown.pairing = pairing;
            Some(Notice::Meter(Box::new(shown.clone())))
        });
    }

    pub(super) fn meter(&self, id: MeterId) -> Result<MeterState, CallError> {
        let meter = self.live.look(|state| state.meters.get(&id).cloned());
        meter.ok_or_else(|| CallError::new(ErrorCode::NotFound, "there is no such meter"))
    }

    /// What devices list us as: always the same, so that pairing again leaves no second entry, and another home's Wattle keeps
    /// its own.
    fn user(&self) -> String {
        let own: String = self.identity.chars().filter(char::is_ascii_alphanumeric).take(6).collect();
        format!("wattle-{own}")
    }

    fn device_name(&self, id: MeterId) -> String {
        format!("device {} {}", id.0, self.identity)
    }
}

/// What a meter's device wants to see. A simulated home and an address of a later version want nothing.
fn proof(meter: &MeterState) -> Proof {
    meter.address.parse::<Address>().map_or(Proof::Nothing, |address| address.proof())
}

const fn is_going_on(pairing: Option<PairingState>) -> bool {
    matches!(pairing, Some(PairingState::Asking | PairingState::Button { .. }))
}

fn locked(error: SecretsError) -> CallError {
    CallError::new(ErrorCode::SecretsUnavailable, error.to_string())
}
