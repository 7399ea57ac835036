//! What the columns of a home's readings are: one channel for each code, meaning and number of digits that a meter sends.
//!
//! A channel's values are integers in its last digit: with three places, 230.100 V is 230 100. So every value is kept as
//! exactly as it was sent, and a meter that suddenly shows another digit begins another channel. Channels are numbered for
//! the whole home, from [`FIRST`]; a home keeps at most [`MAX_CHANNELS`], so that noise on an unguarded line fills no disk.

use contract::live::PointKind;
use meter_link::decimal::Decimal;
use meter_link::obis::Obis;
use meter_link::reading::{Flow, Measured, Phase, Quantity, Unit};

use super::block::ColumnId;

/// Numbers below are columns that are not sent: time and what was booked.
pub const FIRST: ColumnId = 16;
/// More than all meters of a home send in all their lives.
pub const MAX_CHANNELS: usize = 1_000;

/// What a column means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// The code it is sent under.
    pub obis: Obis,
    /// What it is.
    pub quantity: Quantity,
    /// Its unit, without a prefix.
    pub unit: Unit,
    /// Digits after the point.
    pub places: u8,
    /// The values are not the quantity's but the instants they belong to, UTC milliseconds (demand peaks).
    pub is_instant: bool,
}

/// The channels of a home, in the order of their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Channels(Vec<Meaning>);

/// Direction of a register. Volumes and heat only come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// Into the home.
    Import,
    /// Out of it.
    Export,
}

impl Side {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Import, Self::Export];

    /// 0 or 1.
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// A register of a point: direction and rate, 0 for the total.
pub type RegisterId = (Side, u8);

impl Meaning {
    /// The channel of a value that was sent.
    pub const fn of(measured: &Measured) -> Self {
        let Measured { obis, quantity, value, unit, .. } = *measured;
        Self { obis, quantity, unit, places: value.places, is_instant: false }
    }

    /// The channel of the instant that such a value belongs to.
    pub const fn instant(self) -> Self {
        Self { places: 0, is_instant: true, ..self }
    }

    /// The register that a point of a kind books from this channel, if it does.
    pub fn register(&self, kind: PointKind) -> Option<RegisterId> {
        if self.is_instant || self.obis.f != 255 {
            return None;
        }
        match (kind, self.quantity) {
            (PointKind::Connection | PointKind::Generation, Quantity::ActiveEnergy(Flow::Import, rate)) => {
                Some((Side::Import, rate))
            }
            (PointKind::Connection | PointKind::Generation, Quantity::ActiveEnergy(Flow::Export, rate)) => {
                Some((Side::Export, rate))
            }
            (PointKind::Gas | PointKind::Water, Quantity::Volume) | (PointKind::Heat, Quantity::Heat) => {
                Some((Side::Import, 0))
            }
            _ => None,
        }
    }

    /// A value in the smallest unit that is booked or shown: mWh, mW, mV, mA; ml of volumes; J of heat. Rounded toward
    /// zero. `None` if it leaves the range.
    pub fn smallest(&self, value: i64) -> Option<i64> {
        let value = Decimal { mantissa: value, places: self.places };
        match self.quantity {
            // m³ × 10^6 = ml.
            Quantity::Volume => value.scaled(3)?.thousandths(),
            Quantity::Heat => value.thousandths().map(|thousandths| thousandths / 1_000),
            _ => value.thousandths(),
        }
    }
}

impl Channels {
    /// The channels that are known, numbered from [`FIRST`] in this order.
    pub const fn new(known: Vec<Meaning>) -> Self {
        Self(known)
    }

    /// The meaning of a number.
    pub fn meaning(&self, id: ColumnId) -> Option<&Meaning> {
        self.0.get(id.checked_sub(FIRST)? as usize)
    }

    /// The number of a meaning.
    pub fn id(&self, meaning: &Meaning) -> Option<ColumnId> {
        self.0.iter().position(|known| known == meaning).map(number)
    }

    /// Numbers a new channel. `None` if there are too many already.
    pub fn add(&mut self, meaning: Meaning) -> Option<ColumnId> {
        if self.0.len() >= MAX_CHANNELS {
            return None;
        }
        self.0.push(meaning);
        Some(number(self.0.len() - 1))
    }

    /// All, with their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (ColumnId, &Meaning)> {
        self.0.iter().enumerate().map(|(place, meaning)| (number(place), meaning))
    }
}

const fn number(place: usize) -> ColumnId {
    FIRST + place as ColumnId
}

/// The quantity as the database keeps it: a name, and what it is of.
pub fn print_quantity(quantity: Quantity) -> String {
    let flow = |flow| match flow {
        Flow::Import => "import",
        Flow::Export => "export",
        Flow::Net => "net",
    };
    let of = |phase| match phase {
        Phase::Total => "total",
        Phase::L1 => "l1",
        Phase::L2 => "l2",
        Phase::L3 => "l3",
        Phase::Neutral => "neutral",
    };
    match quantity {
        Quantity::ActiveEnergy(way, rate) => format!("active_energy {} {rate}", flow(way)),
        Quantity::ActivePower(way, phase) => format!("active_power {} {}", flow(way), of(phase)),
        Quantity::ApparentPower(way, phase) => format!("apparent_power {} {}", flow(way), of(phase)),
        Quantity::ByCode => "by_code".to_owned(),
        Quantity::Demand(way) => format!("demand {}", flow(way)),
        Quantity::DemandPeak(way) => format!("demand_peak {}", flow(way)),
        Quantity::Current(phase) => format!("current {}", of(phase)),
        Quantity::Frequency => "frequency".to_owned(),
        Quantity::Heat => "heat".to_owned(),
        Quantity::PowerFactor(phase) => format!("power_factor {}", of(phase)),
        Quantity::Rate => "rate".to_owned(),
        Quantity::ReactiveEnergy(way, rate) => format!("reactive_energy {} {rate}", flow(way)),
        Quantity::ReactivePower(way, phase) => format!("reactive_power {} {}", flow(way), of(phase)),
        Quantity::Voltage(phase) => format!("voltage {}", of(phase)),
        Quantity::Volume => "volume".to_owned(),
        Quantity::Count => "count".to_owned(),
    }
}

/// Reads what [`print_quantity`] wrote.
pub fn parse_quantity(text: &str) -> Option<Quantity> {
    let mut words = text.split(' ');
    let name = words.next()?;
    let (second, third) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let flow = || match second {
        "import" => Some(Flow::Import),
        "export" => Some(Flow::Export),
        "net" => Some(Flow::Net),
        _ => None,
    };
    let phase = |word: &str| match word {
        "total" => Some(Phase::Total),
        "l1" => Some(Phase::L1),
        "l2" => Some(Phase::L2),
        "l3" => Some(Phase::L3),
        "neutral" => Some(Phase::Neutral),
        _ => None,
    };
    Some(match name {
        "active_energy" => Quantity::ActiveEnergy(flow()?, third.parse().ok()?),
        "active_power" => Quantity::ActivePower(flow()?, phase(third)?),
        "apparent_power" => Quantity::ApparentPower(flow()?, phase(third)?),
        "by_code" => Quantity::ByCode,
        "demand" => Quantity::Demand(flow()?),
        "demand_peak" => Quantity::DemandPeak(flow()?),
        "current" => Quantity::Current(phase(second)?),
        "frequency" => Quantity::Frequency,
        "heat" => Quantity::Heat,
        "power_factor" => Quantity::PowerFactor(phase(second)?),
        "rate" => Quantity::Rate,
        "reactive_energy" => Quantity::ReactiveEnergy(flow()?, third.parse().ok()?),
        "reactive_power" => Quantity::ReactivePower(flow()?, phase(third)?),
        "voltage" => Quantity::Voltage(phase(second)?),
        "volume" => Quantity::Volume,
        "count" => Quantity::Count,
        _ => return None,
    })
}

/// The unit by its symbol.
pub fn parse_unit(symbol: &str) -> Option<Unit> {
    let units = [
        Unit::Ampere,
        Unit::CubicMetre,
        Unit::DegreeCelsius,
        Unit::Hertz,
        Unit::Joule,
        Unit::One,
        Unit::Var,
        Unit::VarHour,
        Unit::Volt,
        Unit::VoltAmpere,
        Unit::VoltAmpereHour,
        Unit::Watt,
        Unit::WattHour,
    ];
    units.into_iter().find(|unit| unit.symbol() == symbol)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_quantity_is_read_as_it_was_printed() {
        let mut quantities = vec![
            Quantity::ByCode,
            Quantity::Count,
            Quantity::Frequency,
            Quantity::Heat,
            Quantity::Rate,
            Quantity::Volume,
        ];
        for phase in [Phase::Total, Phase::L1, Phase::L2, Phase::L3, Phase::Neutral] {
            quantities.extend([Quantity::Current(phase), Quantity::Voltage(phase), Quantity::PowerFactor(phase)]);
            for flow in [Flow::Import, Flow::Export, Flow::Net] {
                quantities.extend([
                    Quantity::ActivePower(flow, phase),
                    Quantity::ApparentPower(flow, phase),
                    Quantity::ReactivePower(flow, phase),
                    Quantity::ActiveEnergy(flow, 3),
                    Quantity::ReactiveEnergy(flow, 0),
                    Quantity::Demand(flow),
                    Quantity::DemandPeak(flow),
                ]);
            }
        }
        for quantity in quantities {
            assert_eq!(parse_quantity(&print_quantity(quantity)), Some(quantity));
        }
        assert_eq!((parse_quantity("active_power import"), parse_quantity("")), (None, None));
    }

    #[test]
    fn channels_are_bounded() {
        let meaning = Meaning {
            obis: Obis::new(1, 0, 1, 8, 0),
            quantity: Quantity::ByCode,
            unit: Unit::One,
            places: 0,
            is_instant: false,
        };
        let mut channels = Channels::default();
        for f in 0..2_000 {
            let obis = Obis { f: (f % 256) as u8, e: (f / 256) as u8, ..meaning.obis };
            channels.add(Meaning { obis, ..meaning });
        }
        assert_eq!(channels.iter().count(), MAX_CHANNELS);
        assert_eq!(channels.meaning(FIRST).map(|meaning| meaning.obis.f), Some(0));
        assert_eq!((channels.meaning(FIRST - 1), channels.meaning(0)), (None, None));
    }
}
