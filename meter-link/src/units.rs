//! Exact physical quantities as integers of one unit each.
//!
//! Arithmetic exists between like units only and is checked: a sum that leaves the range is `None`, never a wrapped number.
//! The range is ±(2^53 − 1), so every value survives any JSON reader. No floating point.

use serde::{Deserialize, Serialize};

/// The largest magnitude a unit holds: 2^53 − 1, the largest integer that a JSON reader with doubles keeps exactly.
///
/// As milliwatt-hours this is 9 TWh, as milliwatts 9 TW: no home reaches it.
pub const MAX: i64 = (1 << 53) - 1;

macro_rules! units {
    ($($(#[$doc:meta])* $name:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(i64);

        impl $name {
            /// Nothing of it.
            pub const ZERO: Self = Self(0);

            /// `None` outside ±[`MAX`].
            pub const fn new(count: i64) -> Option<Self> {
                if count > MAX || count < -MAX { None } else { Some(Self(count)) }
            }

            /// The nearest value in range; for sums of which overflow is impossible in practice and must not panic.
            pub const fn saturating(count: i64) -> Self {
                if count > MAX { Self(MAX) } else if count < -MAX { Self(-MAX) } else { Self(count) }
            }

            /// The plain integer, for a border where the type ends.
            pub const fn count(self) -> i64 {
                self.0
            }

            /// `None` if the sum leaves the range.
            pub const fn checked_add(self, other: Self) -> Option<Self> {
                Self::new(self.0 + other.0)
            }

            /// `None` if the difference leaves the range.
            pub const fn checked_sub(self, other: Self) -> Option<Self> {
                Self::new(self.0 - other.0)
            }

            /// The same size, positive.
            pub const fn magnitude(self) -> Self {
                Self(self.0.abs())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let count = i64::deserialize(deserializer)?;
                Self::new(count).ok_or_else(|| serde::de::Error::custom("outside the exact range"))
            }
        }
    )+};
}

units! {
    /// Electric current in mA.
    Milliamperes;
    /// Temperature in mK above absolute zero.
    Millikelvin;
    /// Volume of gas or water in ml.
    Millilitres;
    /// Active power in mW; import positive, export negative.
    Milliwatts;
    /// Active energy in mWh.
    MilliwattHours;
    /// Voltage in mV.
    Millivolts;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_beyond_the_exact_range_of_json_exists() {
        assert_eq!(Milliwatts::new(MAX + 1), None);
        assert_eq!(Milliwatts::new(MAX).and_then(|max| max.checked_add(Milliwatts::saturating(1))), None);
        assert_eq!(Milliwatts::new(i64::MIN), None);
        assert!(serde_json_free_round_trip(-MAX));
    }

    fn serde_json_free_round_trip(count: i64) -> bool {
        MilliwattHours::new(count).is_some_and(|energy| energy.count() == count)
    }
}
