//! What a household has: meters, bridges and displays by the names that people know them under.
//!
//! Only words and addresses; how each is spoken to, and what it wants to see first, is `meter_link`'s.

use meter_link::bridge::{Kind, Proof};
use meter_link::link::Address;

/// Something that Wattle reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Device {
    /// A cable between the meter and this computer.
    Cable,
    /// A meter that is asked over DLMS.
    Dlms,
    /// Rainforest EAGLE.
    Eagle,
    /// Hildebrand Glow.
    Glow,
    /// HomeWizard, paired with its button.
    HomeWizard,
    /// HomeWizard of the time before that.
    HomeWizardOlder,
    /// Shelly energy meters.
    Shelly,
    /// Inverters, and meters behind them.
    Solar,
    /// Anything that hands a meter's bytes on over the network.
    Stream,
    /// Tasmota with a reading head.
    Tasmota,
    /// Meters that speak IEEE 2030.5, as Xcel Energy puts in.
    Xcel,
}

impl Device {
    /// All that are offered, the most usual first.
    pub(crate) const OFFERED: [Self; 10] = [
        Self::Cable,
        Self::HomeWizard,
        Self::Stream,
        Self::Shelly,
        Self::Solar,
        Self::Glow,
        Self::Tasmota,
        Self::Eagle,
        Self::Xcel,
        Self::Dlms,
    ];

    /// In the page's address and in names of texts.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Cable => "cable",
            Self::Dlms => "dlms",
            Self::Eagle => "eagle",
            Self::Glow => "glow",
            Self::HomeWizard => "homewizard",
            Self::HomeWizardOlder => "homewizard-older",
            Self::Shelly => "shelly",
            Self::Solar => "solar",
            Self::Stream => "stream",
            Self::Tasmota => "tasmota",
            Self::Xcel => "xcel",
        }
    }

    /// By [`Self::name`].
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::OFFERED.into_iter().chain([Self::HomeWizardOlder]).find(|device| device.name() == name)
    }

    /// What is at a meter's address. `None`: a recording, or a simulated home.
    pub(crate) fn at(address: &str) -> Option<Self> {
        match address.parse().ok()? {
            Address::Bridge { kind, .. } => Some(match kind {
                Kind::Eagle => Self::Eagle,
                Kind::Glow => Self::Glow,
                Kind::HomeWizard => Self::HomeWizardOlder,
                Kind::HomeWizard2 => Self::HomeWizard,
                Kind::Sep2 => Self::Xcel,
                Kind::Shelly => Self::Shelly,
                Kind::SunSpec => Self::Solar,
                Kind::Tasmota => Self::Tasmota,
            }),
            Address::Dlms(_) => Some(Self::Dlms),
            Address::File(_) => None,
            Address::Serial(_) => Some(Self::Cable),
            Address::Tcp { .. } => Some(Self::Stream),
        }
    }

    /// The address of one at a host, as somebody typed or pasted it.
    pub(crate) fn address(self, typed: &str) -> String {
        let typed = typed.trim();
        // Its address says more than where it is.
        if self == Self::Dlms && (typed.starts_with("dlms:") || typed.starts_with("dlms+hdlc:")) {
            return typed.to_owned();
        }
        // Copied from a browser; what comes behind the host is of no use here.
        let host = typed.split_once("://").map_or(typed, |(_, rest)| rest).split('/').next().unwrap_or_default();
        match self.kind() {
            Some(kind) => format!("{}://{host}", kind.scheme()),
            None if self == Self::Cable => format!("serial:{typed}"),
            None if self == Self::Dlms => format!("dlms://{host}"),
            None => format!("tcp://{host}"),
        }
    }

    /// Something to type like.
    pub(crate) const fn example(self) -> &'static str {
        match self {
            Self::Cable => "/dev/ttyUSB0",
            Self::Dlms => "192.168.1.50?security=gmac",
            Self::Eagle => "eagle-00a1b2.local",
            Self::Glow => "glow.local",
            Self::HomeWizard | Self::HomeWizardOlder => "192.168.1.20",
            Self::Shelly => "shellypro3em.local",
            Self::Solar => "192.168.1.30",
            Self::Stream => "p1-meter.local:23",
            Self::Tasmota => "tasmota.local",
            Self::Xcel => "192.168.1.40",
        }
    }

    /// Whether such a thing is put at the grid as often as at the home's own plant.
    pub(crate) const fn measures_either(self) -> bool {
        matches!(self, Self::Shelly | Self::Solar)
    }

    /// Whether a search of the network finds it.
    pub(crate) const fn announces_itself(self) -> bool {
        matches!(self, Self::HomeWizard | Self::HomeWizardOlder | Self::Shelly | Self::Xcel)
    }

    const fn kind(self) -> Option<Kind> {
        match self {
            Self::Cable | Self::Dlms | Self::Stream => None,
            Self::Eagle => Some(Kind::Eagle),
            Self::Glow => Some(Kind::Glow),
            Self::HomeWizard => Some(Kind::HomeWizard2),
            Self::HomeWizardOlder => Some(Kind::HomeWizard),
            Self::Shelly => Some(Kind::Shelly),
            Self::Solar => Some(Kind::SunSpec),
            Self::Tasmota => Some(Kind::Tasmota),
            Self::Xcel => Some(Kind::Sep2),
        }
    }
}

/// What the device at a meter's address wants to see.
pub(crate) fn proof(address: &str) -> Proof {
    address.parse::<Address>().map_or(Proof::Nothing, |address| address.proof())
}

/// An address for people: without what only programs need.
pub(crate) fn place(address: &str) -> &str {
    address.split_once("://").map_or_else(|| address.trim_start_matches("serial:"), |(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_becomes_an_address_that_is_read() {
        for (device, typed, expect) in [
            (Device::HomeWizard, " 192.168.1.20 ", "homewizard2://192.168.1.20"),
            (Device::Shelly, "http://192.168.1.21/#/settings", "shelly://192.168.1.21"),
            (Device::Stream, "p1.local:23", "tcp://p1.local:23"),
            (Device::Solar, "[fe80::1]:1502", "sunspec://[fe80::1]:1502"),
            (Device::Cable, "/dev/ttyUSB1", "serial:/dev/ttyUSB1"),
        ] {
            let address = device.address(typed);
            assert_eq!(address, expect);
            assert_eq!(Device::at(&address), Some(device));
        }
        assert_eq!((Device::at("simulated"), Device::at("file:a.txt")), (None, None));
    }

    #[test]
    fn every_device_is_found_by_its_name() {
        for device in Device::OFFERED {
            assert_eq!(Device::named(device.name()), Some(device));
            let address = device.address(device.example());
            assert_eq!(Device::at(&address), Some(device), "{address}");
        }
        assert_eq!(Device::named("elsewhere"), None);
    }
}
