//! What of a meter is read: of the objects it has, those of a fixed list of registers, and its load profiles.
//!
//! A meter that lists its objects is asked for nothing else; one that does not is asked for all of the list once, and what it
//! refuses is left out. Nothing outside the list is ever asked for, whatever a meter offers.
//!
//! Source: Blue Book part 2, section 4.4.3 (association LN, class 15: object list); IEC 62056-6-1, value groups C and D.

use super::apdu::Attribute;
use super::data::Data;
use crate::obis::Obis;

/// Groups C, D, E of the registers that are read: energy and its rates, power, voltages, currents; all of the meter and of
/// each phase.
const REGISTERS: [(u8, u8, u8); 25] = [
    (1, 8, 0),
    (1, 8, 1),
    (1, 8, 2),
    (1, 8, 3),
    (1, 8, 4),
    (2, 8, 0),
    (2, 8, 1),
    (2, 8, 2),
    (2, 8, 3),
    (2, 8, 4),
    (1, 7, 0),
    (2, 7, 0),
    (16, 7, 0),
    (21, 7, 0),
    (22, 7, 0),
    (41, 7, 0),
    (42, 7, 0),
    (61, 7, 0),
    (62, 7, 0),
    (32, 7, 0),
    (52, 7, 0),
    (72, 7, 0),
    (31, 7, 0),
    (51, 7, 0),
    (71, 7, 0),
];
/// Load profiles of the first and the second recording period: mostly a quarter of an hour or an hour, and a day.
const PROFILES: [(u8, u8); 2] = [(99, 1), (99, 2)];
/// Class of a register, and of one with a capture time; value and unit are the same attributes.
const REGISTER_CLASSES: [u16; 2] = [3, 4];

/// What a meter has of what is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalogue {
    /// Class and code of each register, in the order of the list.
    pub registers: Vec<(u16, Obis)>,
    /// Load profiles, the finer ones first.
    pub profiles: Vec<Obis>,
}

impl Catalogue {
    /// The whole list, for a meter that does not say what it has.
    pub fn whole() -> Self {
        Self {
            registers: REGISTERS.iter().map(|&(c, d, e)| (REGISTER_CLASSES[0], Obis::new(1, 0, c, d, e))).collect(),
            profiles: PROFILES.iter().map(|&(c, d)| Obis::new(1, 0, c, d, 0)).collect(),
        }
    }

    /// Out of the association's list of objects. `None` if it is no such list.
    pub fn of(list: &Data) -> Option<Self> {
        let objects: Vec<(u16, Obis)> = list.elements()?.iter().map(object).collect::<Option<_>>()?;
        // Of the same register on several channels (group B), the lowest is the meter's own.
        let find = |wanted: &dyn Fn(u16, Obis) -> bool| {
            let mut found: Vec<_> = objects.iter().copied().filter(|&(class, obis)| wanted(class, obis)).collect();
            found.sort_by_key(|(class, obis)| (obis.b, *class));
            found.first().copied()
        };
        let is_own = |obis: Obis| obis.a == 1 && obis.f == 255;
        let registers = REGISTERS.iter().filter_map(|&code| {
            find(&|class, obis| REGISTER_CLASSES.contains(&class) && is_own(obis) && (obis.c, obis.d, obis.e) == code)
        });
        let profiles = PROFILES.iter().filter_map(|&code| {
            find(&|class, obis| class == 7 && is_own(obis) && (obis.c, obis.d) == code).map(|(_, obis)| obis)
        });
        Some(Self { registers: registers.collect(), profiles: profiles.collect() })
    }

    /// The list of objects of the association that asks. `None`: never, the class is readable.
    pub fn list() -> Option<Attribute> {
        Attribute::new(15, Obis::new(0, 0, 40, 0, 0), 2)
    }

    /// The same attribute of all registers: 2 for their values, 3 for their units.
    pub fn attributes(&self, number: u8) -> Vec<Attribute> {
        self.registers.iter().filter_map(|&(class, obis)| Attribute::new(class, obis, number)).collect()
    }
}

/// Class and code of a listed object: class, version, code, access rights.
fn object(data: &Data) -> Option<(u16, Obis)> {
    let [class, _, obis, ..] = data.elements()? else { return None };
    let [a, b, c, d, e, f] = *obis.bytes()? else { return None };
    Some((class.integer()?.try_into().ok()?, Obis { a, b, c, d, e, f }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(class: i128, code: [u8; 6]) -> Data {
        let rights = Data::Structure(vec![Data::Array(Vec::new()), Data::Array(Vec::new())]);
        Data::Structure(vec![Data::Integer(class), Data::Integer(0), Data::Octets(code.to_vec()), rights])
    }

    #[test]
    fn only_what_is_on_the_list_is_read() {
        let list = Data::Array(vec![
            listed(70, [0, 0, 96, 3, 10, 255]),
            listed(3, [1, 1, 1, 8, 0, 255]),
            listed(3, [1, 0, 1, 8, 0, 255]),
            listed(3, [1, 0, 1, 8, 0, 101]),
            listed(4, [1, 0, 32, 7, 0, 255]),
            listed(5, [1, 0, 2, 7, 0, 255]),
            listed(3, [0, 0, 1, 8, 0, 255]),
            listed(7, [1, 0, 99, 2, 0, 255]),
            listed(7, [1, 0, 99, 1, 0, 255]),
            listed(7, [0, 0, 99, 98, 0, 255]),
        ]);
        let catalogue = Catalogue::of(&list).expect("a list");
        assert_eq!(catalogue.registers, [(3, Obis::new(1, 0, 1, 8, 0)), (4, Obis::new(1, 0, 32, 7, 0))]);
        assert_eq!(catalogue.profiles, [Obis::new(1, 0, 99, 1, 0), Obis::new(1, 0, 99, 2, 0)]);
        assert_eq!(Catalogue::of(&Data::Array(vec![Data::Null])), None);
    }

    #[test]
    fn every_register_of_the_list_means_something() {
        let whole = Catalogue::whole();
        assert!(whole.registers.iter().all(|(_, obis)| crate::meaning::electricity(*obis).is_some()));
        assert_eq!(whole.attributes(2).len(), whole.registers.len());
        assert!(Catalogue::list().is_some());
    }
}
