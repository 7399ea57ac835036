//! What the codes of electricity mean, and which values can belong to them. Shared by every protocol that sends OBIS codes.
//!
//! A sentinel (all bits set where a meter has no value) is no value; a register is never negative; a unit fits its quantity.
//!
//! Source: IEC 62056-6-1, value groups C, D, E of medium 1; Blue Book part 2, section 7 (units).

use crate::decimal::Decimal;
use crate::obis::Obis;
use crate::reading::{Flow, Phase, Quantity, Unit};

/// What meters send when they have no value: all bits of 24, 31, 32 or 48 set, and one less, which some use for "not yet".
/// As a mantissa, so wherever the point stands (16777.215).
const SENTINELS: [i64; 9] = [
    0x00FF_FFFE,
    0x00FF_FFFF,
    0x7FFF_FFFE,
    0x7FFF_FFFF,
    0xFFFF_FFFD,
    0xFFFF_FFFE,
    0xFFFF_FFFF,
    0xFFFF_FFFF_FFFE,
    0xFFFF_FFFF_FFFF,
];

/// Whether a meter can have measured this: its unit fits, a register is not negative, and it is no sentinel. `number` is as
/// sent, before the unit's prefix is applied.
#[inline]
pub fn is_plausible(quantity: Quantity, number: Decimal, unit: Unit) -> bool {
    let is_register = matches!(
        quantity,
        Quantity::ActiveEnergy(..) | Quantity::ReactiveEnergy(..) | Quantity::Volume | Quantity::Heat
    );
    fits(quantity, unit)
        && !(is_register && number.mantissa < 0)
        && !(unit != Unit::One && is_sentinel(number.mantissa))
}

/// A unit as DLMS/COSEM and SML number it, without its prefix, and the power of ten of that prefix.
pub const fn cosem_unit(code: u8) -> Option<(Unit, i8)> {
    Some(match code {
        9 => (Unit::DegreeCelsius, 0),
        13 | 14 => (Unit::CubicMetre, 0),
        19 => (Unit::CubicMetre, -3),
        25 => (Unit::Joule, 0),
        27 => (Unit::Watt, 0),
        28 => (Unit::VoltAmpere, 0),
        29 => (Unit::Var, 0),
        30 => (Unit::WattHour, 0),
        31 => (Unit::VoltAmpereHour, 0),
        32 => (Unit::VarHour, 0),
        33 => (Unit::Ampere, 0),
        35 => (Unit::Volt, 0),
        44 => (Unit::Hertz, 0),
        255 => (Unit::One, 0),
        _ => return None,
    })
}

/// Whether a bare number is what meters send instead of a value.
#[inline]
pub(crate) fn is_sentinel(mantissa: i64) -> bool {
    mantissa >= SENTINELS[0] && SENTINELS.contains(&mantissa)
}

/// Whether a unit can belong to a quantity.
const fn fits(quantity: Quantity, unit: Unit) -> bool {
    match quantity {
        Quantity::ActiveEnergy(..) => matches!(unit, Unit::WattHour),
        Quantity::ActivePower(..) | Quantity::Demand(_) | Quantity::DemandPeak(_) => matches!(unit, Unit::Watt),
        Quantity::ApparentPower(..) => matches!(unit, Unit::VoltAmpere),
        Quantity::ReactiveEnergy(..) => matches!(unit, Unit::VarHour),
        Quantity::ReactivePower(..) => matches!(unit, Unit::Var),
        Quantity::Current(_) => matches!(unit, Unit::Ampere),
        Quantity::Voltage(_) => matches!(unit, Unit::Volt),
        Quantity::Frequency => matches!(unit, Unit::Hertz),
        Quantity::Rate | Quantity::Count | Quantity::PowerFactor(_) => matches!(unit, Unit::One),
        Quantity::Volume => matches!(unit, Unit::CubicMetre),
        Quantity::ByCode | Quantity::Heat => true,
    }
}

/// What a code of group A = 1 counts or measures. `None`: it has no number, or is not known.
pub const fn electricity(obis: Obis) -> Option<Quantity> {
    use Flow::{Export, Import};
    use Quantity as Q;
    Some(match (obis.d, obis.e) {
        (7, 0) => return instantaneous(obis.c),
        (8, rate) => match obis.c {
            1 => Q::ActiveEnergy(Import, rate),
            2 => Q::ActiveEnergy(Export, rate),
            3 => Q::ReactiveEnergy(Import, rate),
            4 => Q::ReactiveEnergy(Export, rate),
            // Reactive energy by quadrant, sum and difference of flows; apparent energy; energy of one phase.
            5..=10 | 15 | 16 | 21..=30 | 41..=50 | 61..=70 => Q::ByCode,
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
