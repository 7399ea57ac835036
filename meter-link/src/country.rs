//! Country profiles: what a meter's telegram leaves to the reader's knowledge of the country it hangs in.
//!
//! Rates are numbers on the wire; which one is cheap differs between neighbours (1.8.1 is the low rate in the Netherlands
//! and the day rate in Belgium). Never guessed: a meter without a profile keeps its numbers.

use serde::{Deserialize, Serialize};

/// Countries with a profile, by ISO 3166-1 code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the ISO codes are their own names")]
pub enum Country {
    At,
    Be,
    Ch,
    De,
    Dk,
    Fi,
    Fr,
    Gb,
    Hr,
    Hu,
    Lt,
    Lu,
    Nl,
    No,
    Pl,
    Se,
    Si,
}

/// What a rate's number means to the household.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RateName {
    /// The dearer hours of a Belgian meter.
    Day,
    /// The cheaper hours of a Dutch meter.
    Low,
    /// The cheaper hours of a Belgian meter.
    Night,
    /// The dearer hours of a Dutch meter.
    Normal,
}

impl Country {
    /// The IANA zone of the country's meters.
    pub const fn zone(self) -> &'static str {
        match self {
            Self::At => "Europe/Vienna",
            Self::Be => "Europe/Brussels",
            Self::Ch => "Europe/Zurich",
            Self::De => "Europe/Berlin",
            Self::Dk => "Europe/Copenhagen",
            Self::Fi => "Europe/Helsinki",
            Self::Fr => "Europe/Paris",
            Self::Gb => "Europe/London",
            Self::Hr => "Europe/Zagreb",
            Self::Hu => "Europe/Budapest",
            Self::Lt => "Europe/Vilnius",
            Self::Lu => "Europe/Luxembourg",
            Self::Nl => "Europe/Amsterdam",
            Self::No => "Europe/Oslo",
            Self::Pl => "Europe/Warsaw",
            Self::Se => "Europe/Stockholm",
            Self::Si => "Europe/Ljubljana",
        }
    }

    /// Standard time minus UTC, in seconds.
    pub const fn standard_offset_seconds(self) -> i32 {
        match self {
            Self::Fi | Self::Lt => 7_200,
            Self::Gb => 0,
            _ => 3_600,
        }
    }

    /// The name of a rate, where the country gives one.
    pub const fn rate_name(self, rate: u8) -> Option<RateName> {
        match (self, rate) {
            (Self::Nl, 1) => Some(RateName::Low),
            (Self::Nl, 2) => Some(RateName::Normal),
            (Self::Be, 1) => Some(RateName::Day),
            (Self::Be, 2) => Some(RateName::Night),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s6_rate_one_is_low_in_the_netherlands_and_day_in_belgium() {
        assert_eq!(Country::Nl.rate_name(1), Some(RateName::Low));
        assert_eq!(Country::Be.rate_name(1), Some(RateName::Day));
        assert_eq!(Country::Lt.rate_name(4), None);
    }
}
