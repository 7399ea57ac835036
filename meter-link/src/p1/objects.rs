//! The OBIS codes of P1 telegrams: what each means. Data; sign, unit and plausibility are [`super::reading`]'s.
//!
//! Source: DSMR P1 Companion Standard 5.0.2, section 6.12; eMUCS-P1 1.7.1; the Swedish, Hungarian, Lithuanian and Austrian
//! operators' port descriptions; IEC 62056-6-1 for the groups.

use crate::obis::Obis;
use crate::reading::{Flow, Phase, Quantity};

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// A child meter's register in the old form: stamp, four numbers, code, unit, and the value on the next line.
    ChildRegisterOld,
    /// A child meter's register: its stamp, then its value.
    ChildRegister,
    /// A child meter's M-Bus device type.
    ChildType,
    /// The demand peak of the month: its stamp, then its value.
    DemandPeak,
    /// The serial number of the meter or of a child.
    Equipment,
    /// Past months: stamps, each before the numbers it belongs to.
    History,
    /// Known and no value: texts, versions, switches.
    Known,
    /// One number.
    Quantity(Quantity),
    /// The telegram's stamp.
    Time,
}

/// What a code means. `None`: not known; the object is kept as it is.
pub const fn meaning(obis: Obis) -> Option<Meaning> {
    match obis.a {
        0 => abstract_meaning(obis),
        1 => match electricity(obis) {
            Some(quantity) => Some(Meaning::Quantity(quantity)),
            None => match (obis.b, obis.c, obis.d, obis.e) {
                (_, 1 | 2, 6, 0) => Some(Meaning::DemandPeak),
                (0, 0, 0, 0) => Some(Meaning::Equipment),
                (3, 0, 2, 8) => Some(Meaning::Known),
                _ => None,
            },
        },
        _ => None,
    }
}

/// Group A = 0: the meter itself and its children.
const fn abstract_meaning(obis: Obis) -> Option<Meaning> {
    Some(match (obis.b, obis.c, obis.d, obis.e) {
        (0, 1, 0, 0) => Meaning::Time,
        (_, 24, 1, 0) => Meaning::ChildType,
        (1.., 24, 2, 1 | 3) => Meaning::ChildRegister,
        (1.., 24, 3, 0) => Meaning::ChildRegisterOld,
        (_, 96, 1, 0..=2) | (0, 96, 1, 255) | (0, 42, 0, 0) | (0, 0, 0, 0) => Meaning::Equipment,
        (0, 96, 14, 0) => Meaning::Quantity(Quantity::Rate),
        (0, 96, 7, _) => Meaning::Quantity(Quantity::Count),
        (0, 17, 0, 0) => Meaning::Quantity(Quantity::ByCode),
        (0, 98, 1, 0) => Meaning::History,
        (_, 24, 4, 0) | (_, 96, 3, 10) | (0, 96, 13, _) | (0, 96, 1, 4) => Meaning::Known,
        _ => return None,
    })
}

/// Group A = 1: what has a number of its own.
const fn electricity(obis: Obis) -> Option<Quantity> {
    use Flow::{Export, Import};
    use Quantity as Q;
    Some(match (obis.d, obis.e) {
        (7, 0) => return instantaneous(obis.c),
        (8, rate) => match obis.c {
            1 => Q::ActiveEnergy(Import, rate),
            2 => Q::ActiveEnergy(Export, rate),
            3 => Q::ReactiveEnergy(Import, rate),
            4 => Q::ReactiveEnergy(Export, rate),
            // Reactive energy by quadrant, sum and difference of flows; apparent energy.
            5..=10 | 15 | 16 => Q::ByCode,
            _ => return None,
        },
        (4, 0) => match obis.c {
            1 => Q::Demand(Import),
            2 => Q::Demand(Export),
            // Thresholds of the fuse.
            31 | 51 | 71 => Q::ByCode,
            _ => return None,
        },
        // Sags and swells.
        (32 | 36, 0) if matches!(obis.c, 32 | 52 | 72) => Q::Count,
        // Net demand of a Lithuanian meter.
        (24, 0) if obis.c == 16 => Q::ByCode,
        _ => return None,
    })
}

/// Group D = 7, by group C.
const fn instantaneous(c: u8) -> Option<Quantity> {
    use Flow::{Export, Import, Net};
    use Phase::{L1, L2, L3, Neutral, Total};
    use Quantity as Q;
    Some(match c {
        1 => Q::ActivePower(Import, Total),
        2 => Q::ActivePower(Export, Total),
        16 => Q::ActivePower(Net, Total),
        21 => Q::ActivePower(Import, L1),
        22 => Q::ActivePower(Export, L1),
        36 => Q::ActivePower(Net, L1),
        41 => Q::ActivePower(Import, L2),
        42 => Q::ActivePower(Export, L2),
        56 => Q::ActivePower(Net, L2),
        61 => Q::ActivePower(Import, L3),
        62 => Q::ActivePower(Export, L3),
        76 => Q::ActivePower(Net, L3),
        3 => Q::ReactivePower(Import, Total),
        4 => Q::ReactivePower(Export, Total),
        23 => Q::ReactivePower(Import, L1),
        24 => Q::ReactivePower(Export, L1),
        43 => Q::ReactivePower(Import, L2),
        44 => Q::ReactivePower(Export, L2),
        63 => Q::ReactivePower(Import, L3),
        64 => Q::ReactivePower(Export, L3),
        9 => Q::ApparentPower(Import, Total),
        10 => Q::ApparentPower(Export, Total),
        29 => Q::ApparentPower(Import, L1),
        30 => Q::ApparentPower(Export, L1),
        49 => Q::ApparentPower(Import, L2),
        50 => Q::ApparentPower(Export, L2),
        69 => Q::ApparentPower(Import, L3),
        70 => Q::ApparentPower(Export, L3),
        11 => Q::Current(Total),
        31 => Q::Current(L1),
        51 => Q::Current(L2),
        71 => Q::Current(L3),
        91 => Q::Current(Neutral),
        12 => Q::Voltage(Total),
        32 => Q::Voltage(L1),
        52 => Q::Voltage(L2),
        72 => Q::Voltage(L3),
        13 => Q::PowerFactor(Total),
        33 => Q::PowerFactor(L1),
        53 => Q::PowerFactor(L2),
        73 => Q::PowerFactor(L3),
        14 => Q::Frequency,
        // Reactive power by quadrant, sum of flows.
        5..=8 | 15 => Q::ByCode,
        _ => return None,
    })
}
