//! The labels of TIC groups: how long each value is, and what it means. Data; sign and plausibility are [`super::reading`]'s.
//!
//! The codes are the ones that other meters send for the same quantity, so that one household's history goes on under the
//! same names when the mode changes. `BASE` is a contract's only index and therefore the total; contracts with several have
//! no total in historique mode, and none is made up.
//!
//! Source: Enedis-NOI-CPT_54E, section 6.2; Enedis-NOI-CPT_02E, annexes.

use crate::obis::Obis;
use crate::reading::Unit;

/// What a group says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The meter's own number.
    Equipment,
    /// Known and no value: thresholds, texts, past peaks, the number of the metering point.
    Known,
    /// One number under this code, in this unit.
    Number(Obis, Unit),
    /// The running rate by the number of its index.
    Rate,
    /// The running rate by its name.
    RateByName,
    /// The meter's clock.
    Time,
}

/// One rate of a contract in historique mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// The label of its register.
    pub label: &'static str,
    /// How `PTEC` calls it while it counts.
    pub running: &'static str,
    /// Its number, the one it has in standard mode.
    pub number: u8,
    /// The contract's own words for it.
    pub words: &'static str,
}

/// Every rate there is in historique mode.
pub const RATES: [Rate; 11] = [
    Rate { label: "BASE", running: "TH..", number: 1, words: "Toutes les heures" },
    Rate { label: "HCHC", running: "HC..", number: 1, words: "Heures creuses" },
    Rate { label: "HCHP", running: "HP..", number: 2, words: "Heures pleines" },
    Rate { label: "EJPHN", running: "HN..", number: 1, words: "Heures normales" },
    Rate { label: "EJPHPM", running: "PM..", number: 2, words: "Heures de pointe mobile" },
    Rate { label: "BBRHCJB", running: "HCJB", number: 1, words: "Heures creuses jours bleus" },
    Rate { label: "BBRHPJB", running: "HPJB", number: 2, words: "Heures pleines jours bleus" },
    Rate { label: "BBRHCJW", running: "HCJW", number: 3, words: "Heures creuses jours blancs" },
    Rate { label: "BBRHPJW", running: "HPJW", number: 4, words: "Heures pleines jours blancs" },
    Rate { label: "BBRHCJR", running: "HCJR", number: 5, words: "Heures creuses jours rouges" },
    Rate { label: "BBRHPJR", running: "HPJR", number: 6, words: "Heures pleines jours rouges" },
];

/// Labels with a value of known length. What is not listed is kept as it is.
const TABLE: [(&str, usize, Meaning); 85] = {
    use Meaning::{Equipment, Known, Number, RateByName, Time};
    const fn code(c: u8, d: u8, unit: Unit) -> Meaning {
        Number(Obis::new(1, 0, c, d, 0), unit)
    }
    use Unit::{Ampere, VarHour, Volt, VoltAmpere, WattHour};
    [
        // Historique.
        ("ADCO", 12, Equipment),
        ("OPTARIF", 4, Known),
        ("ISOUSC", 2, Known),
        ("BASE", 9, code(1, 8, WattHour)),
        ("PEJP", 2, Known),
        ("PTEC", 4, RateByName),
        ("DEMAIN", 4, Known),
        ("IINST", 3, code(31, 7, Ampere)),
        ("IINST1", 3, code(31, 7, Ampere)),
        ("IINST2", 3, code(51, 7, Ampere)),
        ("IINST3", 3, code(71, 7, Ampere)),
        ("ADPS", 3, Known),
        ("ADIR1", 3, Known),
        ("ADIR2", 3, Known),
        ("ADIR3", 3, Known),
        ("IMAX", 3, Known),
        ("IMAX1", 3, Known),
        ("IMAX2", 3, Known),
        ("IMAX3", 3, Known),
        ("PMAX", 5, Known),
        ("PAPP", 5, code(9, 7, VoltAmpere)),
        ("HHPHC", 1, Known),
        ("MOTDETAT", 6, Known),
        ("PPOT", 2, Known),
        // Standard.
        ("ADSC", 12, Equipment),
        ("VTIC", 2, Known),
        ("DATE", 0, Time),
        ("NGTF", 16, Known),
        ("LTARF", 16, Known),
        ("EAST", 9, code(1, 8, WattHour)),
        ("EASD01", 9, Known),
        ("EASD02", 9, Known),
        ("EASD03", 9, Known),
        ("EASD04", 9, Known),
        ("EAIT", 9, code(2, 8, WattHour)),
        ("ERQ1", 9, code(5, 8, VarHour)),
        ("ERQ2", 9, code(6, 8, VarHour)),
        ("ERQ3", 9, code(7, 8, VarHour)),
        ("ERQ4", 9, code(8, 8, VarHour)),
        ("IRMS1", 3, code(31, 7, Ampere)),
        ("IRMS2", 3, code(51, 7, Ampere)),
        ("IRMS3", 3, code(71, 7, Ampere)),
        ("URMS1", 3, code(32, 7, Volt)),
        ("URMS2", 3, code(52, 7, Volt)),
        ("URMS3", 3, code(72, 7, Volt)),
        ("PREF", 2, Known),
        ("PCOUP", 2, Known),
        ("SINSTS", 5, code(9, 7, VoltAmpere)),
        ("SINSTS1", 5, code(29, 7, VoltAmpere)),
        ("SINSTS2", 5, code(49, 7, VoltAmpere)),
        ("SINSTS3", 5, code(69, 7, VoltAmpere)),
        ("SINSTI", 5, code(10, 7, VoltAmpere)),
        ("SMAXSN", 5, Known),
        ("SMAXSN1", 5, Known),
        ("SMAXSN2", 5, Known),
        ("SMAXSN3", 5, Known),
        ("SMAXSN-1", 5, Known),
        ("SMAXSN1-1", 5, Known),
        ("SMAXSN2-1", 5, Known),
        ("SMAXSN3-1", 5, Known),
        ("SMAXIN", 5, Known),
        ("SMAXIN-1", 5, Known),
        ("CCASN", 5, Known),
        ("CCASN-1", 5, Known),
        ("CCAIN", 5, Known),
        ("CCAIN-1", 5, Known),
        ("UMOY1", 3, Known),
        ("UMOY2", 3, Known),
        ("UMOY3", 3, Known),
        ("STGE", 8, Known),
        ("DPM1", 2, Known),
        ("FPM1", 2, Known),
        ("DPM2", 2, Known),
        ("FPM2", 2, Known),
        ("DPM3", 2, Known),
        ("FPM3", 2, Known),
        ("MSG1", 32, Known),
        ("MSG2", 16, Known),
        ("PRM", 14, Known),
        ("RELAIS", 3, Known),
        ("NTARF", 2, Meaning::Rate),
        ("NJOURF", 2, Known),
        ("NJOURF+1", 2, Known),
        ("PJOURF+1", 98, Known),
        ("PPOINTE", 98, Known),
    ]
};

/// What a label means, and how many characters its value has. `None`: not known.
pub fn meaning(label: &[u8]) -> Option<(Meaning, usize)> {
    let register = |rate: u8| (Meaning::Number(Obis::new(1, 0, 1, 8, rate), Unit::WattHour), 9);
    if let Some((_, length, meaning)) = TABLE.iter().find(|(known, ..)| known.as_bytes() == label) {
        return Some((*meaning, *length));
    }
    if let Some(rate) = RATES.iter().find(|rate| rate.label.as_bytes() == label) {
        return Some(register(rate.number));
    }
    match label {
        [b'E', b'A', b'S', b'F', b'1', b'0'] => Some(register(10)),
        [b'E', b'A', b'S', b'F', b'0', digit @ b'1'..=b'9'] => Some(register(digit - b'0')),
        _ => None,
    }
}

/// The number of the rate that `PTEC` names.
pub fn running(name: &[u8]) -> Option<u8> {
    RATES.iter().find(|rate| rate.running.as_bytes() == name).map(|rate| rate.number)
}
