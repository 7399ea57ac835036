//! JSON bodies without floating point: objects in the order sent, numbers as the text they were sent as.
//!
//! Refuses objects of more than [`MAX_FIELDS`] fields. Of a field that comes twice the first counts.
//!
//! Source: RFC 8259.

use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::decimal::Decimal;
use crate::error::DecodeError;
use crate::meaning::is_plausible;
use crate::obis::Obis;
use crate::reading::{Measured, MeterTime, NotUnderstood, Quantity, Reading, Unit};

/// Fields of one object that are read: five times the longest answer we know.
const MAX_FIELDS: usize = 512;
/// Things that are kept when they are not understood: more than any answer has.
const MAX_KEPT: usize = 64;
/// Characters that are kept of each.
const MAX_TEXT: usize = 256;

/// One object, its values not yet looked at.
#[derive(Debug)]
pub(crate) struct Object<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Object<'a> {
    /// Reads a body that is one object.
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, DecodeError> {
        if body.len() > super::MAX_BODY {
            return Err(DecodeError::TooLong { limit: super::MAX_BODY });
        }
        serde_json::from_slice(body).map_err(|error| DecodeError::Malformed { offset: offset(body, &error) })
    }

    /// Reads a value that is an object.
    pub(crate) fn of(value: &'a RawValue) -> Option<Self> {
        serde_json::from_str(value.get()).ok()
    }

    /// A field's value as sent. `None` if it is absent or null.
    pub(crate) fn get(&self, key: &str) -> Option<&'a RawValue> {
        let found = self.0.iter().find(|(name, _)| name == key)?;
        Some(found.1).filter(|value| value.get() != "null")
    }

    /// Whether a field is there, null or not.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.0.iter().any(|(name, _)| name == key)
    }

    /// A field that is an object.
    pub(crate) fn object(&self, key: &str) -> Option<Self> {
        self.get(key).and_then(Self::of)
    }

    /// A field that is a list.
    pub(crate) fn list(&self, key: &str) -> Option<Vec<&'a RawValue>> {
        self.get(key).and_then(list)
    }

    /// A field that is a text.
    pub(crate) fn text(&self, key: &str) -> Option<String> {
        self.get(key).and_then(|value| serde_json::from_str(value.get()).ok())
    }

    /// A field that is a number.
    pub(crate) fn number(&self, key: &str) -> Option<Decimal> {
        self.get(key).and_then(number)
    }

    /// All fields in the order sent.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0.iter().map(|(key, value)| (key.as_str(), *value))
    }
}

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = Object<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    if fields.len() == MAX_FIELDS {
                        return Err(A::Error::custom("too many fields"));
                    }
                    fields.push(field);
                }
                Ok(Object(fields))
            }
        }

        deserializer.deserialize_map(Fields)
    }
}

/// A value that is a list.
pub(crate) fn list(value: &RawValue) -> Option<Vec<&RawValue>> {
    serde_json::from_str(value.get()).ok()
}

/// A value that is a number, exactly. `None` for anything else and for more digits than any meter has.
pub(crate) fn number(value: &RawValue) -> Option<Decimal> {
    let text = value.get();
    let (digits, exponent) = match text.split_once(['e', 'E']) {
        Some((digits, exponent)) => (digits, exponent.trim_start_matches('+').parse().ok()?),
        None => (text, 0),
    };
    Decimal::parse(digits.as_bytes())?.scaled(exponent)
}

/// What a number under a key means.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meaning {
    pub(crate) obis: Obis,
    pub(crate) quantity: Quantity,
    pub(crate) unit: Unit,
    /// Power of ten of the unit's prefix.
    pub(crate) prefix: i8,
}

/// Takes a number into a reading. `false`: it makes no sense and was kept as not understood; null is no number, and fine.
pub(crate) fn take(
    reading: &mut Reading,
    channel: u8,
    meaning: Meaning,
    key: &str,
    value: &RawValue,
    meter_time: Option<MeterTime>,
) -> bool {
    if value.get() == "null" {
        return true;
    }
    let Meaning { obis, quantity, unit, prefix } = meaning;
    let measured = number(value)
        .filter(|number| is_plausible(quantity, *number, unit))
        .and_then(|number| number.scaled(prefix))
        .map(|value| Measured { obis, channel, quantity, value, unit, meter_time });
    match measured {
        Some(measured) => reading.values.push(measured),
        None => keep(reading, key, value),
    }
    measured.is_some()
}

/// Keeps what was not understood, as sent.
pub(crate) fn keep(reading: &mut Reading, key: &str, value: &RawValue) {
    if reading.not_understood.len() < MAX_KEPT {
        let text = format!("{key}: {}", value.get()).chars().take(MAX_TEXT).collect();
        reading.not_understood.push(NotUnderstood { obis: None, text });
    }
}

/// Where in a body an error was found.
fn offset(body: &[u8], error: &serde_json::Error) -> usize {
    let before: usize =
        body.split_inclusive(|byte| *byte == b'\n').take(error.line().saturating_sub(1)).map(<[u8]>::len).sum();
    (before + error.column()).min(body.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Option<&str>) {
        let value: &RawValue = serde_json::from_str(text).expect("JSON");
        assert_eq!(number(value).map(|number| number.to_string()).as_deref(), expect, "{text}");
    }

    #[test]
    fn a_number_is_what_was_printed_and_not_its_nearest_binary_fraction() {
        check("13779.338", Some("13779.338"));
        check("0.1", Some("0.1"));
        check("0.30000000000000004", Some("0.30000000000000004"));
        check("-543", Some("-543"));
        check("1.5e3", Some("1500"));
        check("2E-05", Some("0.00002"));
        for text in ["1e400", "1e-400", "\"1\"", "null", "[]", "12345678901234567890"] {
            check(text, None);
        }
    }

    #[test]
    fn an_error_tells_where_and_never_what() {
        let error = Object::parse(b"{\n \"a\": 1,\n \"b\": oops}").expect_err("no JSON");
        assert_eq!(error, DecodeError::Malformed { offset: 18 });
        assert!(Object::parse(b"[1]").is_err());
        assert!(Object::parse(b"\xFF").is_err());
    }

    #[test]
    fn an_object_without_end_is_refused() {
        let body = format!("{{{}\"a\":1}}", "\"a\":1,".repeat(MAX_FIELDS));
        assert!(Object::parse(body.as_bytes()).is_err());
        assert_eq!(
            Object::parse(&vec![b' '; super::super::MAX_BODY + 1]).err(),
            Some(DecodeError::TooLong { limit: super::super::MAX_BODY })
        );
    }
}
