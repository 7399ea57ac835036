//! Registers that were read, as a reading: value times its scaler, meaning by its code.
//!
//! Source: Blue Book part 2, section 4.3.2 (register, class 3): scaler and unit are attribute 3.

use super::data::Data;
use super::profile::instant;
use crate::country::Country;
use crate::meaning::{cosem_unit, electricity, is_plausible};
use crate::obis::Obis;
use crate::reading::{Equipment, Measured, NotUnderstood, Reading, Trust};

/// Power of ten and unit of a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScalerUnit {
    /// The value counts 10^scaler units.
    pub scaler: i8,
    /// As the standard numbers units.
    pub unit: u8,
}

impl ScalerUnit {
    /// Reads attribute 3.
    pub fn read(data: &Data) -> Option<Self> {
        let [scaler, unit] = data.elements()? else { return None };
        Some(Self { scaler: scaler.integer()?.try_into().ok()?, unit: unit.integer()?.try_into().ok()? })
    }
}

/// One register as read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Register {
    /// Its code.
    pub obis: Obis,
    /// Attribute 2.
    pub value: Data,
    /// Attribute 3.
    pub scaler_unit: ScalerUnit,
}

/// What identifies a meter: attribute 2 of the logical device name and of the serial number. `Debug` is redacted by its parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identification {
    /// The maker's three letters.
    pub maker: String,
    /// The meter's own number, or the whole device name.
    pub equipment: Option<Equipment>,
}

impl Identification {
    /// Out of the logical device name (its first three letters are the maker) and the serial number, where there is one.
    pub fn new(name: Option<&Data>, serial: Option<&Data>) -> Self {
        let text = |data: Option<&Data>| {
            let bytes = data.and_then(Data::bytes).unwrap_or_default();
            let end = bytes.iter().rposition(|byte| *byte != 0 && *byte != b' ').map_or(0, |last| last + 1);
            let bytes = &bytes[..end];
            (!bytes.is_empty() && bytes.iter().all(u8::is_ascii_graphic)).then(|| String::from_utf8_lossy(bytes).into())
        };
        let name: Option<String> = text(name);
        let maker = name.as_deref().and_then(|name| name.get(..3)).filter(|maker| maker.is_ascii()).unwrap_or_default();
        Self { maker: maker.to_owned(), equipment: text(serial).or(name.clone()).map(Equipment) }
    }
}

/// A reading of registers. `clock` is attribute 2 of the meter's clock; `authenticated` whether tags held around all.
pub fn reading(
    identification: &Identification,
    clock: Option<&Data>,
    registers: &[Register],
    country: Option<Country>,
    authenticated: bool,
) -> Reading {
    let trust = if authenticated { Trust::Authenticated } else { Trust::Checked };
    let mut reading = Reading::new("dlms", trust);
    reading.identification.clone_from(&identification.maker);
    reading.equipment.clone_from(&identification.equipment);
    reading.country = country;
    reading.meter_time = clock.and_then(Data::bytes).and_then(|octets| instant(octets, country));
    for register in registers {
        match measured(register) {
            Some(value) => reading.values.push(value),
            None => {
                let text = register.value.number().map_or_else(String::new, |number| number.to_string());
                reading.not_understood.push(NotUnderstood { obis: Some(register.obis), text });
            }
        }
    }
    reading
}

pub(super) fn measured(register: &Register) -> Option<Measured> {
    let Register { obis, value, scaler_unit } = register;
    let quantity = electricity(*obis).filter(|_| obis.a == 1 && obis.f == 255)?;
    let number = value.number()?;
    let (unit, prefix) = cosem_unit(scaler_unit.unit)?;
    let value = number.scaled(scaler_unit.scaler.checked_add(prefix)?)?;
    is_plausible(quantity, number, unit).then_some(Measured {
        obis: *obis,
        channel: 0,
        quantity,
        value,
        unit,
        meter_time: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scaler_of_one_means_ten() {
        let register = |value, scaler, unit| Register {
            obis: Obis::new(1, 0, 1, 8, 0),
            value: Data::Integer(value),
            scaler_unit: ScalerUnit { scaler, unit },
        };
        let check = |register: Register, expect: Option<&str>| {
            let reading = reading(&Identification::default(), None, &[register], None, true);
            assert_eq!(reading.values.first().map(|value| value.value.to_string()).as_deref(), expect);
            assert_eq!(reading.values.len() + reading.not_understood.len(), 1);
        };
        check(register(123_456, 1, 30), Some("1234560"));
        check(register(123_456, -1, 30), Some("12345.6"));
        check(register(123_456, 0, 27), None);
        check(register(0xFFFF_FFFF, 0, 30), None);
        check(register(-1, 0, 30), None);
    }

    #[test]
    fn a_device_name_gives_the_maker_and_hides_the_rest() {
        let name = Data::Octets(b"XYZ0000000000001".to_vec());
        let identification = Identification::new(Some(&name), None);
        assert_eq!(identification.maker, "XYZ");
        assert!(!format!("{identification:?}").contains("0001"));
    }
}
