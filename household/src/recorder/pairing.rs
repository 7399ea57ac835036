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

use super::{Leaving, Recorder, keep_setting};
use crate::home::{MeterOrder, PairBy, PairingEvent};
use crate::secrets::SecretsError;

/// The setting that keeps the number of the home's certificate, which is no secret.
pub(super) const LFDI: &str = "lfdi";
/// More than any broker's or device's user or password has, and two keys of the longest signatures of a meter that is asked.
const MAX_LOGIN: usize = 320;

impl Recorder {
    /// The proof for a meter's device. `None`: it wants none, or none is known yet.
    pub(super) fn device_secret(&self, meter: &MeterState) -> Result<Option<Secret>, SecretsError> {
        match proof(meter) {
            Proof::Nothing => Ok(None),
            Proof::Button | Proof::Certificate | Proof::Label | Proof::Login | Proof::Password => {
                Ok(self.secrets.read(&self.device_name(meter.id))?.map(Secret))
            }
        }
    }

    /// Orders a meter to be read; one that our certificate is to be registered with first, to be asked until it is.
    pub(super) fn begin(&self, meter: &MeterState) {
        match self.device_secret(meter) {
            Ok(None) if proof(meter) == Proof::Certificate => self.register(meter),
            Ok(secret) => self.start(meter, secret),
            Err(error) => {
                tracing::warn!(meter = meter.id.0, "the proof for its device cannot be read: {error}");
                self.start(meter, None);
            }
        }
    }

    /// Orders a pairing. One that goes on already goes on.
    pub(super) fn pair_meter(&self, id: MeterId, trust_anew: bool) -> Result<(), CallError> {
        let meter = self.meter(id)?;
        if is_going_on(meter.pairing) {
            return Ok(());
        }
        let known = if trust_anew { None } else { self.device_secret(&meter).map_err(locked)? };
        match (proof(&meter), known) {
            (Proof::Button, known) => self.pair(&meter, PairBy::Button { name: self.user(), known }),
            // The certificate of ours stays; the device's is taken as it is now.
            (Proof::Certificate, None) => self.register(&meter),
            // It was paired; whether it knows us again it says itself.
            (Proof::Certificate, Some(_)) => self.start_anew(id),
            (Proof::Label | Proof::Login | Proof::Nothing | Proof::Password, _) => {
                return Err(CallError::new(ErrorCode::Unsupported, "this device is not paired with by itself"));
            }
        }
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
        let Ok(meter) = self.meter(id) else {
            // Removed meanwhile.
            if let PairingEvent::Paired { address, secret } = event {
                self.leave(address, secret);
            }
            return;
        };
        // Given up in the last moment: only what the device gave is still of interest.
        let shown = |pairing: PairingState| {
            if is_going_on(meter.pairing) {
                self.show_pairing(id, Some(pairing));
            }
        };
        match event {
            PairingEvent::Failed(problem) => shown(PairingState::Failed { problem }),
            PairingEvent::Identity { secret, lfdi } => self.hear_identity(id, &secret, &lfdi),
            PairingEvent::Paired { secret, .. } => match self.keep_secret(id, &secret) {
                Ok(()) => self.start_anew(id),
                Err(error) => {
                    tracing::warn!(meter = id.0, "what the device gave cannot be kept: {error}");
                    self.leave(meter.address, secret);
                    self.show_pairing(id, Some(PairingState::NotKept));
                }
            },
            PairingEvent::Unregistered { problem } => shown(PairingState::Registration { problem }),
            PairingEvent::Waiting { seconds_left } => shown(PairingState::Button { seconds_left }),
        }
    }

    /// Takes the user and password of a meter's device, or the numbers of its label.
    pub(super) fn set_meter_login(&self, request: &SetMeterLogin) -> Result<(), CallError> {
        let meter = self.meter(request.meter)?;
        let proof = proof(&meter);
        let has_user = match proof {
            Proof::Label | Proof::Login => true,
            Proof::Password => false,
            Proof::Button | Proof::Certificate | Proof::Nothing => {
                return Err(CallError::new(ErrorCode::Unsupported, "this device asks for no password"));
            }
        };
        let (user, password) = (request.user.0.as_str(), request.password.0.as_str());
        let fits = |text: &str| (1..=MAX_LOGIN).contains(&text.len()) && !text.chars().any(char::is_control);
        // A colon ends the user's name.
        if has_user && (!fits(user) || user.contains(':')) || !has_user && !user.is_empty() {
            return Err(CallError::invalid("user", "a user's name has 1 to 320 characters and no colon"));
        }
        if !fits(password) {
            return Err(CallError::invalid("password", "a password has 1 to 320 characters"));
        }
        if proof == Proof::Label {
            let (cloud_id, install_code) = (Secret(user.to_owned()), Secret(password.to_owned()));
            self.pair(&meter, PairBy::Label { cloud_id, install_code });
            return Ok(());
        }
        let secret = if has_user { format!("{user}:{password}") } else { password.to_owned() };
        self.keep_secret(meter.id, &Secret(secret)).map_err(locked)?;
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

    fn pair(&self, meter: &MeterState, by: PairBy) {
        let _ = self.orders.send(MeterOrder::Pair { meter: meter.id, address: meter.address.clone(), by });
        self.show_pairing(meter.id, Some(PairingState::Asking));
    }

    /// Has a device asked until the utility has registered our certificate. All devices of a home are shown the same one, and
    /// it stays whatever becomes of them: a new one would have to be registered anew (K5).
    fn register(&self, meter: &MeterState) {
        match self.secrets.read(&self.identity_name()) {
            Ok(identity) => self.pair(meter, PairBy::Certificate { identity: identity.map(Secret) }),
            Err(error) => {
                tracing::warn!(meter = meter.id.0, "the home's certificate cannot be read: {error}");
                self.show_pairing(meter.id, Some(PairingState::NotKept));
            }
        }
    }

    /// Keeps the certificate that a device is to be shown, and tells its number. What cannot be kept must not be registered.
    fn hear_identity(&self, id: MeterId, secret: &Secret, lfdi: &str) {
        let kept = match self.secrets.read(&self.identity_name()) {
            Ok(Some(kept)) if kept == secret.0 => Ok(()),
            Ok(_) => self.secrets.keep(&self.identity_name(), &secret.0),
            Err(error) => Err(error),
        };
        match kept {
            Ok(()) => {
                if let Err(error) = keep_setting(&self.writer, LFDI, lfdi) {
                    // It is told again with every pairing.
                    tracing::warn!(meter = id.0, "the number of the home's certificate cannot be kept: {error}");
                }
                self.live.change(|state| {
                    let shown = state.meters.get_mut(&id)?;
                    shown.lfdi = Some(lfdi.to_owned());
                    Some(Notice::Meter(Box::new(shown.clone())))
                });
            }
            Err(error) => {
                tracing::warn!(meter = id.0, "the home's certificate cannot be kept: {error}");
                let _ = self.orders.send(MeterOrder::StopPairing(id));
                self.show_pairing(id, Some(PairingState::NotKept));
            }
        }
    }

    fn leave(&self, address: String, secret: Secret) -> Leaving {
        let (told, left) = oneshot::channel();
        let _ = self.orders.send(MeterOrder::Leave { address, name: self.user(), secret, told });
        left
    }

    fn keep_secret(&self, id: MeterId, secret: &Secret) -> Result<(), SecretsError> {
        self.secrets.keep(&self.device_name(id), &secret.0)
    }

    fn start_anew(&self, id: MeterId) {
        let Ok(meter) = self.meter(id) else { return };
        self.live.change(|state| {
            let shown = state.meters.get_mut(&id)?;
            shown.health = Health::default();
            shown.finding = Finding::Listening;
            shown.pairing = None;
            Some(Notice::Meter(Box::new(shown.clone())))
        });
        self.begin(&meter);
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

    fn identity_name(&self) -> String {
        format!("certificate {}", self.identity)
    }

    fn device_name(&self, id: MeterId) -> String {
        format!("device {} {}", id.0, self.identity)
    }
}

/// Whether a meter's device is shown a certificate that the utility registers.
pub(super) fn is_registered(meter: &MeterState) -> bool {
    proof(meter) == Proof::Certificate
}

/// What a meter's device wants to see. A simulated home and an address of a later version want nothing.
fn proof(meter: &MeterState) -> Proof {
    meter.address.parse::<Address>().map_or(Proof::Nothing, |address| address.proof())
}

const fn is_going_on(pairing: Option<PairingState>) -> bool {
    matches!(pairing, Some(PairingState::Asking | PairingState::Button { .. } | PairingState::Registration { .. }))
}

fn locked(error: SecretsError) -> CallError {
    CallError::new(ErrorCode::SecretsUnavailable, error.to_string())
}
