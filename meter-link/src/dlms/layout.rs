//! Lists without codes: which value stands where. Data, one row per list that a grid operator configures.
//!
//! A list is recognised by how many values it has, of which kinds, and how its first text begins. What no row fits is said
//! to be unclear, never guessed. A column that nobody has explained is passed over.
//!
//! Source: the operators' own descriptions (Norwegian HAN profile of Kaifa, Elektro Ljubljana, Elektro Celje, Netz
//! Burgenland, HEP) and captures checked against them.

use super::axdr::Token;
use crate::country::Country;
use crate::obis::Obis;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// The meter's clock.
    Clock,
    /// The meter's serial number.
    Equipment,
    /// The name of its type.
    Model,
    /// A number: its code, and the power of ten it is sent in.
    Number(Obis, i8),
    /// Nothing that is shown: the list's name, a switch, or what nobody has explained.
    Skip,
}

/// One list.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Who makes the meter.
    pub maker: &'static str,
    /// Where its operator is.
    pub country: Country,
    /// How many values it has.
    pub count: usize,
    /// How its first text begins.
    begins: &'static [u8],
    /// The kinds of its first values: s text or bytes, n number, b switch.
    kinds: &'static [u8],
    /// What they are; columns beyond the last are passed over.
    pub columns: &'static [Column],
}

impl Layout {
    /// The list that these values are. `count` is how many were announced, of which `elements` came.
    pub fn of(count: usize, elements: &[Token<'_>]) -> Option<&'static Self> {
        LAYOUTS.iter().find(|layout| {
            let text = elements.iter().find_map(|element| match element {
                Token::Octets(text) | Token::Text(text) => Some(*text),
                _ => None,
            });
            layout.count == count
                && (layout.begins.is_empty() || text.is_some_and(|text| text.starts_with(layout.begins)))
                && layout.kinds.iter().zip(elements).all(|(kind, element)| is_kind(*kind, element))
        })
    }
}

const fn is_kind(kind: u8, element: &Token<'_>) -> bool {
    match kind {
        b's' => matches!(element, Token::Octets(_) | Token::Text(_)),
        b'n' => matches!(element, Token::Integer(_)),
        b'b' => matches!(element, Token::Boolean(_) | Token::Enumeration(_) | Token::Integer(_)),
        _ => false,
    }
}

use Column::{Clock, Equipment, Model, Number, Skip};

/// An instantaneous value of electricity.
const fn now(c: u8, exponent: i8) -> Column {
    Number(Obis::new(1, 0, c, 7, 0), exponent)
}

/// A register of electricity.
const fn total(c: u8, rate: u8) -> Column {
    Number(Obis::new(1, 0, c, 8, rate), 0)
}

/// Import and export, then reactive import and export.
const P: Column = now(1, 0);
const M: Column = now(2, 0);
const Q: Column = now(3, 0);
const R: Column = now(4, 0);

const LAYOUTS: [Layout; 12] = [
    Layout { maker: "Kaifa", country: Country::No, count: 1, begins: b"", kinds: b"n", columns: &[P] },
    Layout {
        maker: "Kaifa",
        country: Country::No,
        count: 9,
        begins: b"KFM",
        kinds: b"sssnnnnnn",
        columns: &[Skip, Equipment, Model, P, M, Q, R, now(31, -3), now(32, -1)],
    },
    Layout {
        maker: "Kaifa",
        country: Country::No,
        count: 13,
        begins: b"KFM",
        kinds: b"sssnnnnnnnnnn",
        columns: &[
            Skip,
            Equipment,
            Model,
            P,
            M,
            Q,
            R,
            now(31, -3),
            now(51, -3),
            now(71, -3),
            now(32, -1),
            now(52, -1),
            now(72, -1),
        ],
    },
    Layout {
        maker: "Kaifa",
        country: Country::No,
        count: 14,
        begins: b"KFM",
        kinds: b"sssnnnnnnsnnnn",
        columns: &[
            Skip,
            Equipment,
            Model,
            P,
            M,
            Q,
            R,
            now(31, -3),
            now(32, -1),
            Clock,
            total(1, 0),
            total(2, 0),
            total(3, 0),
            total(4, 0),
        ],
    },
    Layout {
        maker: "Kaifa",
        country: Country::No,
        count: 18,
        begins: b"KFM",
        kinds: b"sssnnnnnnnnnnsnnnn",
        columns: &[
            Skip,
            Equipment,
            Model,
            P,
            M,
            Q,
            R,
            now(31, -3),
            now(51, -3),
            now(71, -3),
            now(32, -1),
            now(52, -1),
            now(72, -1),
            Clock,
            total(1, 0),
            total(2, 0),
            total(3, 0),
            total(4, 0),
        ],
    },
    // Elektro Ljubljana, three phases: powers each ten seconds.
    Layout {
        maker: "Iskraemeco",
        country: Country::Si,
        count: 18,
        begins: b"",
        kinds: b"ssnnnnnnnnnnnnnnnn",
        columns: &[
            Skip,
            Equipment,
            P,
            M,
            Q,
            R,
            now(32, -1),
            now(52, -1),
            now(72, -1),
            now(31, -2),
            now(51, -2),
            now(71, -2),
            now(21, 0),
            now(41, 0),
            now(61, 0),
            now(22, 0),
            now(42, 0),
            now(62, 0),
        ],
    },
    // Elektro Ljubljana, registers each quarter of an hour.
    Layout {
        maker: "Iskraemeco",
        country: Country::Si,
        count: 12,
        begins: b"",
        kinds: b"ssbsnnnnnnnn",
        columns: &[
            Skip,
            Equipment,
            Skip,
            Skip,
            total(1, 0),
            total(1, 1),
            total(1, 2),
            total(2, 0),
            total(2, 1),
            total(2, 2),
            total(3, 0),
            total(4, 0),
        ],
    },
    // Elektro Celje.
    Layout {
        maker: "Iskraemeco",
        country: Country::Si,
        count: 12,
        begins: b"",
        kinds: b"ssnnnnnnnnnn",
        columns: &[
            Equipment,
            Model,
            now(32, -1),
            now(52, -1),
            now(72, -1),
            now(31, -2),
            now(51, -2),
            now(71, -2),
            P,
            M,
            Q,
            R,
        ],
    },
    // One phase.
    Layout {
        maker: "Iskraemeco",
        country: Country::Si,
        count: 9,
        begins: b"",
        kinds: b"ssnnnnnn",
        columns: &[Skip, Equipment, P, M, Q, R, now(32, -1), now(31, -2)],
    },
    // IE.x: the push object's own name, then its serial number, time, date and registers.
    Layout {
        maker: "Iskraemeco",
        country: Country::Hr,
        count: 12,
        begins: &[0x00, 0x06, 0x19],
        kinds: b"ssssnnnn",
        columns: &[Skip, Equipment, Skip, Skip, total(1, 0), total(2, 0), total(3, 0), total(4, 0), P, M],
    },
    // HEP, IE.5: powers and registers in one list. Reactive registers and limits stand where nobody has explained them.
    Layout {
        maker: "Iskraemeco",
        country: Country::Hr,
        count: 33,
        begins: b"",
        kinds: b"sssnnnnnnnnnnnnnnnnnnnnnnnnn",
        columns: &[
            Equipment,
            Skip,
            Skip,
            total(1, 0),
            total(1, 1),
            total(1, 2),
            total(2, 0),
            total(2, 1),
            total(2, 2),
            Skip,
            Skip,
            Skip,
            Skip,
            P,
            M,
            Skip,
            now(21, 0),
            now(41, 0),
            now(61, 0),
            now(22, 0),
            now(42, 0),
            now(62, 0),
            now(32, -1),
            now(52, -1),
            now(72, -1),
            now(31, -2),
            now(51, -2),
            now(71, -2),
        ],
    },
    // Netz Burgenland.
    Layout {
        maker: "Landis+Gyr",
        country: Country::At,
        count: 14,
        begins: b"",
        kinds: b"nnnnnnnnnnnnns",
        columns: &[
            now(32, 0),
            now(52, 0),
            now(72, 0),
            now(31, -2),
            now(51, -2),
            now(71, -2),
            P,
            M,
            total(1, 0),
            total(2, 0),
            Skip,
            Skip,
            Skip,
            Equipment,
        ],
    },
];
