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
pub fn meaning(obis: Obis) -> Option<Meaning> {
    use Flow::{Export, Import, Net};
    use Phase::{L1, L2, L3, Total};
    use Quantity as Q;
    let quantity = |quantity| Some(Meaning::Quantity(quantity));
    match (obis.a, obis.b, obis.c, obis.d, obis.e) {
        (0, 0, 1, 0, 0) => Some(Meaning::Time),
        (0, _, 24, 1, 0) => Some(Meaning::ChildType),
        (0, 1.., 24, 2, 1 | 3) => Some(Meaning::ChildRegister),
        (0, 1.., 24, 3, 0) => Some(Meaning::ChildRegisterOld),
        (0, _, 96, 1, 0..=2) | (0, 0, 42, 0, 0) | (0 | 1, 0, 0, 0, 0) | (0, 0, 96, 1, 255) => Some(Meaning::Equipment),
        (0, 0, 96, 14, 0) => quantity(Q::Rate),
        (0, 0, 96, 7, _) => quantity(Q::Count),
        (0, 0, 17, 0, 0) => quantity(Q::ByCode),
        (0, 0, 98, 1, 0) => Some(Meaning::History),
        (0, _, 24, 4, 0) | (0, _, 96, 3, 10) | (0, 0, 96, 13, _) | (0, 0, 96, 1, 4) | (1, 3, 0, 2, 8) => {
            Some(Meaning::Known)
        }
        (1, _, 1, 8, rate) => quantity(Q::ActiveEnergy(Import, rate)),
        (1, _, 2, 8, rate) => quantity(Q::ActiveEnergy(Export, rate)),
        (1, _, 3, 8, rate) => quantity(Q::ReactiveEnergy(Import, rate)),
        (1, _, 4, 8, rate) => quantity(Q::ReactiveEnergy(Export, rate)),
        (1, _, 1, 4, 0) => quantity(Q::Demand(Import)),
        (1, _, 2, 4, 0) => quantity(Q::Demand(Export)),
        (1, _, 1 | 2, 6, 0) => Some(Meaning::DemandPeak),
        (1, _, c, 7, 0) => match c {
            1 => quantity(Q::ActivePower(Import, Total)),
            2 => quantity(Q::ActivePower(Export, Total)),
            16 => quantity(Q::ActivePower(Net, Total)),
            21 => quantity(Q::ActivePower(Import, L1)),
            22 => quantity(Q::ActivePower(Export, L1)),
            36 => quantity(Q::ActivePower(Net, L1)),
            41 => quantity(Q::ActivePower(Import, L2)),
            42 => quantity(Q::ActivePower(Export, L2)),
            56 => quantity(Q::ActivePower(Net, L2)),
            61 => quantity(Q::ActivePower(Import, L3)),
            62 => quantity(Q::ActivePower(Export, L3)),
            76 => quantity(Q::ActivePower(Net, L3)),
            3 => quantity(Q::ReactivePower(Import, Total)),
            4 => quantity(Q::ReactivePower(Export, Total)),
            23 => quantity(Q::ReactivePower(Import, L1)),
            24 => quantity(Q::ReactivePower(Export, L1)),
            43 => quantity(Q::ReactivePower(Import, L2)),
            44 => quantity(Q::ReactivePower(Export, L2)),
            63 => quantity(Q::ReactivePower(Import, L3)),
            64 => quantity(Q::ReactivePower(Export, L3)),
            9 => quantity(Q::ApparentPower(Import, Total)),
            10 => quantity(Q::ApparentPower(Export, Total)),
            29 => quantity(Q::ApparentPower(Import, L1)),
            49 => quantity(Q::ApparentPower(Import, L2)),
            69 => quantity(Q::ApparentPower(Import, L3)),
            11 => quantity(Q::Current(Total)),
            31 => quantity(Q::Current(L1)),
            51 => quantity(Q::Current(L2)),
            71 => quantity(Q::Current(L3)),
            91 => quantity(Q::Current(Phase::Neutral)),
            12 => quantity(Q::Voltage(Total)),
            32 => quantity(Q::Voltage(L1)),
            52 => quantity(Q::Voltage(L2)),
            72 => quantity(Q::Voltage(L3)),
            13 => quantity(Q::PowerFactor(Total)),
            33 => quantity(Q::PowerFactor(L1)),
            53 => quantity(Q::PowerFactor(L2)),
            73 => quantity(Q::PowerFactor(L3)),
            14 => quantity(Q::Frequency),
            // Reactive power by quadrant, sum and difference of flows.
            5..=8 | 15 => quantity(Q::ByCode),
            _ => None,
        },
        // Reactive energy by quadrant, sum and difference of flows; apparent energy.
        (1, _, 5..=10 | 15 | 16, 8, _) => quantity(Q::ByCode),
        // Net power under a Lithuanian code; thresholds of the breaker and fuse.
        (1, _, 16, 24, 0) | (1, _, 31 | 51 | 71, 4, 0) => quantity(Q::ByCode),
        // Sags and swells.
        (1, _, 32 | 52 | 72, 32 | 36, 0) => quantity(Q::Count),
        _ => None,
    }
}
