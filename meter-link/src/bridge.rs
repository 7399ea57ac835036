//! Network meters and bridges: devices in the home that are asked over the local network and answer with one body.
//!
//! A body is one whole answer, message or push; where it ends the link knows. Nothing is remembered between bodies, so any
//! two of them may come in any order. Numbers are read as the text they were sent as, never as floating point. One bad
//! field or entry loses only itself. No body carries a checksum: what is decoded here is [`Trust::Unverified`], and the
//! task raises it to [`Trust::Checked`] where the body came over TLS from the paired device (nobody changed it on the
//! way; whoever holds the device could have made it).
//!
//! [`Trust::Unverified`]: crate::reading::Trust::Unverified
//! [`Trust::Checked`]: crate::reading::Trust::Checked

pub mod eagle;
pub mod glow;
pub mod homewizard;
pub(crate) mod json;
pub mod shelly;
mod stamp;
pub mod tasmota;

use std::fmt;

use crate::error::DecodeError;
use crate::reading::Reading;
use crate::{sep2, sunspec, xml};

/// The longest body that is read: a P1 telegram or a status of every part of a device has a tenth of it.
pub const MAX_BODY: usize = 65_536;

/// A kind of network meter or bridge, and how it is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Rainforest EAGLE-200 and EAGLE-3: XML over HTTP.
    Eagle,
    /// Hildebrand Glow display: JSON over MQTT, at its own broker or the home's.
    Glow,
    /// HomeWizard, local API version 1: JSON over HTTP, switched on by the owner.
    HomeWizard,
    /// HomeWizard, local API version 2: JSON over TLS, paired with the device's button.
    HomeWizard2,
    /// IEEE 2030.5 (Smart Energy Profile 2): XML over TLS.
    Sep2,
    /// Shelly energy meters: JSON over HTTP.
    Shelly,
    /// SunSpec inverters and meters: Modbus over TCP.
    SunSpec,
    /// Tasmota: JSON over HTTP.
    Tasmota,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Eagle,
        Self::Glow,
        Self::HomeWizard,
        Self::HomeWizard2,
        Self::Sep2,
        Self::Shelly,
        Self::SunSpec,
        Self::Tasmota,
    ];

    /// The word before `://` in an address.
    pub const fn scheme(self) -> &'static str {
        match self {
            Self::Eagle => "eagle",
            Self::Glow => "glow",
            Self::HomeWizard => "homewizard",
            Self::HomeWizard2 => "homewizard2",
            Self::Sep2 => "sep2",
            Self::Shelly => "shelly",
            Self::SunSpec => "sunspec",
            Self::Tasmota => "tasmota",
        }
    }

    /// The port it listens on where the address names none.
    pub const fn port(self) -> u16 {
        match self {
            Self::Eagle | Self::HomeWizard | Self::Shelly | Self::Tasmota => 80,
            Self::Glow => 1_883,
            Self::HomeWizard2 => 443,
            // The port that Xcel's meters announce; others announce their own.
            Self::Sep2 => 8_081,
            Self::SunSpec => 502,
        }
    }

    /// What it wants to see before it answers.
    pub const fn proof(self) -> Proof {
        match self {
            Self::HomeWizard2 => Proof::Button,
            Self::Sep2 => Proof::Certificate,
            Self::Eagle => Proof::Label,
            Self::Glow => Proof::Login,
            Self::HomeWizard | Self::Shelly | Self::SunSpec | Self::Tasmota => Proof::Nothing,
        }
    }
}

/// What a meter or bridge wants to see before it answers, and so what a household has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// A token, which it gives out after its button was pressed.
    Button,
    /// A certificate of ours that the utility has registered.
    Certificate,
    /// The two numbers of its label.
    Label,
    /// A user and a password, where it has them.
    Login,
    /// It answers whoever asks, or to the meter's keys alone.
    Nothing,
    /// A password alone.
    Password,
}

/// A token, password or pin of a paired device, in the text form of its kind. Kept with the keys; `Debug` is redacted.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

/// Decodes a body of a known kind.
pub fn decode(kind: Kind, body: &[u8]) -> Result<Reading, DecodeError> {
    match kind {
        Kind::Eagle => eagle::decode(body),
        Kind::Glow => glow::decode(body),
        Kind::HomeWizard | Kind::HomeWizard2 => homewizard::decode(body),
        Kind::Sep2 => sep2::decode(body),
        Kind::Shelly => shelly::decode(body),
        Kind::SunSpec => sunspec::decode(body),
        Kind::Tasmota => tasmota::decode(body),
    }
}

/// The kind whose measurements look like this body. `None`: no kind we know, or not a measurement.
pub fn recognise(body: &[u8]) -> Option<Kind> {
    if sunspec::is_registers(body) {
        return Some(Kind::SunSpec);
    }
    if body.trim_ascii_start().starts_with(b"<") {
        let is_point = xml::Element::parse(body).is_some_and(|root| sep2::is_point(&root));
        return if is_point { Some(Kind::Sep2) } else { eagle::is_measurement(body).then_some(Kind::Eagle) };
    }
    let object = json::Object::parse(body).ok()?;
    match &object {
        object if glow::is_measurement(object) => Some(Kind::Glow),
        object if shelly::is_measurement(object) => Some(Kind::Shelly),
        object if tasmota::is_measurement(object) => Some(Kind::Tasmota),
        object => homewizard::recognise(object),
    }
}

#[cfg(test)]
mod tests;
