//! The OBIS codes of P1 telegrams: what each means. Data; sign, unit and plausibility are [`super::reading`]'s.
//!
//! Source: DSMR P1 Companion Standard 5.0.2, section 6.12; eMUCS-P1 1.7.1; the Swedish, Hungarian, Lithuanian and Austrian
//! operators' port descriptions; IEC 62056-6-1 for the groups.

use crate::meaning::electricity;
use crate::obis::Obis;
use crate::reading::Quantity;

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
