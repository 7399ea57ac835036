//! Devices in the home that have to be found, paired with and left again, as screens see it. Never a token or a password.

use meter_link::health::LinkProblem;
use serde::{Deserialize, Serialize};

/// How far a pairing is that somebody has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PairingState {
    /// The device is being asked for the first time.
    Asking,
    /// It answers, and waits for a press of its button.
    Button {
        /// So long it is still asked.
        seconds_left: u64,
    },
    /// It has ended without success; [`LinkProblem::PairingNeeded`]: nobody pressed the button in time.
    Failed {
        /// Why.
        problem: LinkProblem,
    },
    /// The device agreed, but the place for secrets does not keep what it gave, or what it is to be shown.
    NotKept,
    /// It does not know this home's certificate yet: the utility has to register it, and to tell it, which takes hours. It is
    /// asked again and again.
    Registration {
        /// Why it could not be asked the last time. `None`: it was asked.
        problem: Option<LinkProblem>,
    },
}

/// What became of our access at the device of a meter that was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceAccess {
    /// The device has forgotten us.
    Ended,
    /// It could not be asked: it still lists a user, whose token nobody has any more.
    Left,
    /// There was none.
    Nothing,
}

/// A device that answered a search of the network. A hint: whoever is on the network can answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundDevice {
    /// Address to add it with: `homewizard2://p1meter.local`.
    pub address: String,
    /// What it calls itself; may be empty.
    pub name: String,
}
