//! The meaning of a notification: quantities, units, times, maker, country.
//!
//! Five kinds of body: pairs or triples of code, value and scaler in structures; the same flat; mixed; values by position
//! ([`super::layout`]); and values behind the list of their objects. One walk reads the first three. What is not understood
//! is listed and loses nothing else. Scalers that the wire leaves out come from the maker's table, a voltage's from what a
//! home can have: the same list means 23.4 V or 234 V by its operator's choice.

use super::axdr::Token;
use super::clock;
use super::layout::{Column, Layout};
use super::push::Notification;
use crate::country::Country;
use crate::decimal::Decimal;
use crate::error::DecodeError;
use crate::meaning::{cosem_unit, electricity, is_plausible};
use crate::obis::Obis;
use crate::reading::{Child, Equipment, Measured, Medium, NotUnderstood, Quantity, Reading, Trust, Unit};

/// Values that are kept when they are not understood: more than any list has.
const MAX_KEPT: usize = 64;
/// Class of the push setup object, whose own list stands before the values.
const PUSH_SETUP: i64 = 40;

/// The meter's clock.
const CLOCK: Obis = Obis::new(0, 0, 1, 0, 0);
/// The year of a clock that says nothing.
const UNSPECIFIED: [u8; 2] = [0xFF, 0xFF];

/// A reading, and what could not be read behind it.
#[derive(Debug)]
pub struct Interpreted {
    /// What was understood.
    pub reading: Reading,
    /// Where the body breaks off or goes on after its end.
    pub unread: Option<DecodeError>,
}

/// Who made the meter, as far as it decides what the wire leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Maker {
    Aidon,
    Embriq,
    Iskraemeco,
    Kaifa,
    Kamstrup,
    LandisGyr,
    Sagemcom,
}

/// Gives a notification its meaning. `ciphered`: it came encrypted.
pub fn interpret(notification: &Notification<'_>, trust: Trust, ciphered: bool) -> Result<Interpreted, DecodeError> {
    let (tokens, unread) = tokens(notification);
    if tokens.is_empty() {
        return Err(unread.unwrap_or(DecodeError::Malformed { offset: notification.offset }));
    }
    let maker = maker(&tokens);
    let list = ObjectList::of(&tokens);
    // Only Swiss operators push the list of objects along.
    let country = if list.is_some() { Some(Country::Ch) } else { country(maker, &tokens, ciphered) };
    let mut found = Found { reading: Reading::new("dlms", trust), maker, country, stamp: None, model: None };
    found.reading.values.reserve(24);
    if let Some(values) = list {
        values.read(&mut found);
    } else {
        found.walk(&tokens);
        if found.reading.values.is_empty() {
            found.by_position(&tokens, unread.is_some())?;
        }
    }
    let keeps_standard_time = maker == Some(Maker::Kamstrup);
    let at = |bytes| clock::parse(bytes, found.country, keeps_standard_time);
    // The clock object is the instant of the values; the notification's own time that of sending.
    found.reading.meter_time = found.stamp.and_then(at).or_else(|| notification.time.and_then(at));
    if let (None, Some(bytes)) = (found.reading.meter_time, found.stamp.or(notification.time))
        && !bytes.starts_with(&UNSPECIFIED)
    {
        found.keep(Some(CLOCK), Token::Octets(bytes));
    }
    found.reading.country = found.country;
    found.reading.identification =
        [found.maker.map(Maker::name), found.model.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(" ");
    Ok(Interpreted { reading: found.reading, unread })
}

/// The body's tokens as far as they can be read, and why they end early or late.
fn tokens<'a>(notification: &Notification<'a>) -> (Vec<Token<'a>>, Option<DecodeError>) {
    let mut reader = notification.reader();
    let mut tokens = Vec::with_capacity(128);
    let mut open = 1_usize;
    while open > 0 {
        match reader.token() {
            Ok(token) => {
                open -= 1;
                if let Token::Structure(count) | Token::Array(count) = token {
                    open += count;
                }
                tokens.push(token);
            }
            Err(error) => return (tokens, Some(error)),
        }
    }
    let whole = reader.is_at_end();
    let end = notification.offset + notification.body.len();
    (tokens, (!whole).then_some(DecodeError::Malformed { offset: end }))
}

impl Maker {
    const fn name(self) -> &'static str {
        match self {
            Self::Aidon => "Aidon",
            Self::Embriq | Self::LandisGyr => "Landis+Gyr",
            Self::Iskraemeco => "Iskraemeco",
            Self::Kaifa => "Kaifa",
            Self::Kamstrup => "Kamstrup",
            Self::Sagemcom => "Sagemcom",
        }
    }
}

/// The maker, by the name of the list or of the logical device.
fn maker(tokens: &[Token<'_>]) -> Option<Maker> {
    if is_swedish_list(tokens) {
        return Some(Maker::Aidon);
    }
    const NAMES: [(&[u8], Maker); 9] = [
        (b"AIDON_", Maker::Aidon),
        (b"EMBRIQ_", Maker::Embriq),
        (b"ISK", Maker::Iskraemeco),
        (b"KFM", Maker::Kaifa),
        (b"1KFM", Maker::Kaifa),
        (b"Kamstrup_", Maker::Kamstrup),
        (b"LGZ", Maker::LandisGyr),
        (b"SAG", Maker::Sagemcom),
        (b"1SAG", Maker::Sagemcom),
    ];
    tokens.iter().find_map(|token| match token {
        Token::Octets(text) | Token::Text(text) => {
            NAMES.iter().find(|(start, _)| text.starts_with(start)).map(|(_, maker)| *maker)
        }
        _ => None,
    })
}

/// The country whose profile a list is, where maker and list tell it.
fn country(maker: Option<Maker>, tokens: &[Token<'_>], ciphered: bool) -> Option<Country> {
    let has = |part: &[u8]| {
        let finder = memchr::memmem::Finder::new(part);
        tokens
            .iter()
            .any(|token| matches!(token, Token::Octets(text) | Token::Text(text) if finder.find(text).is_some()))
    };
    let is_coded = matches!(tokens, [_, Token::Octets([1, 0, 0, 2, 129, 255]), ..]);
    Some(match maker? {
        Maker::Embriq => Country::No,
        Maker::Aidon if ciphered => return None,
        Maker::Aidon if is_swedish_list(tokens) => Country::Se,
        Maker::Aidon => Country::No,
        Maker::Kamstrup if ciphered => Country::Dk,
        Maker::Kamstrup if has(b"BN245") => Country::Se,
        Maker::Kamstrup if has(b"BN24") => Country::No,
        Maker::Kaifa if ciphered => Country::At,
        Maker::Kaifa if is_coded || has(b"MA304H4") => Country::Se,
        Maker::Kaifa => Country::No,
        Maker::Sagemcom => Country::At,
        Maker::Iskraemeco | Maker::Kamstrup | Maker::LandisGyr => return None,
    })
}

/// The Swedish list of Aidon has no name: structures of code and value, the clock first.
fn is_swedish_list(tokens: &[Token<'_>]) -> bool {
    matches!(tokens, [Token::Array(_), Token::Structure(2), Token::Octets([0, 0, 1, 0, 0, 255]), ..])
}

/// What has been understood so far.
struct Found<'a> {
    reading: Reading,
    maker: Option<Maker>,
    country: Option<Country>,
    /// The clock object's bytes.
    stamp: Option<&'a [u8]>,
    model: Option<String>,
}

impl<'a> Found<'a> {
    /// Codes with their values, in structures or flat.
    fn walk(&mut self, tokens: &[Token<'a>]) {
        let mut rest = tokens;
        let mut code = None;
        while let [token, after @ ..] = rest {
            rest = after;
            match (*token, code.take()) {
                (Token::Octets(bytes), None) => match (bytes, after) {
                    // A code stands before a value.
                    ([_, _, _, _, _, _], [_, ..]) => code = obis(bytes),
                    // Netz Niederösterreich sends its clock without a code.
                    _ if bytes.len() == 12 => self.stamp = self.stamp.or(Some(bytes)),
                    _ => self.unlabelled(bytes),
                },
                (Token::Text(text), None) => self.unlabelled(text),
                (value, Some(obis)) => {
                    let scale = match after {
                        [Token::Structure(2), Token::Integer(exponent), Token::Enumeration(unit), ..] => {
                            rest = &after[3..];
                            i8::try_from(*exponent).ok().zip(Some(*unit))
                        }
                        _ => None,
                    };
                    self.take(obis, value, scale);
                }
                _ => (),
            }
        }
    }

    /// Values by their place.
    fn by_position(&mut self, tokens: &[Token<'a>], broken: bool) -> Result<(), DecodeError> {
        let count = match tokens {
            [Token::Structure(count) | Token::Array(count), ..] => *count,
            _ => 1,
        };
        let unclear = DecodeError::LayoutUnclear { count: u16::try_from(count).unwrap_or(u16::MAX) };
        let elements = elements(tokens.get(1..).unwrap_or_default());
        if elements.len() < count && !broken {
            return Err(unclear);
        }
        let layout = Layout::of(count, &elements).ok_or(unclear)?;
        self.reading.not_understood.clear();
        self.reading.equipment = None;
        self.model = None;
        self.country = Some(layout.country);
        self.maker = self.maker.or(match layout.maker {
            "Iskraemeco" => Some(Maker::Iskraemeco),
            "Kaifa" => Some(Maker::Kaifa),
            _ => Some(Maker::LandisGyr),
        });
        for (column, element) in layout.columns.iter().zip(&elements) {
            match (*column, *element) {
                (Column::Clock, Token::Octets(bytes)) => self.stamp = Some(bytes),
                (Column::Equipment, Token::Octets(text) | Token::Text(text)) => self.equipment(text),
                (Column::Model, Token::Octets(text) | Token::Text(text)) => self.model = Some(printed(text)),
                (Column::Number(obis, exponent), Token::Integer(value)) => {
                    self.number(obis, value, Some(exponent), None);
                }
                (Column::Skip, _) => (),
                (_, value) => self.keep(None, value),
            }
        }
        Ok(())
    }

    /// One value under its code. `scale`: exponent and unit, where the meter sends them.
    fn take(&mut self, obis: Obis, value: Token<'a>, scale: Option<(i8, u8)>) {
        match (value, (obis.a, obis.c, obis.d, obis.e)) {
            (Token::Octets(bytes), (0, 1, 0, 0)) if bytes.len() == 12 => self.stamp = Some(bytes),
            // Kamstrup keeps its type where others have their number.
            (Token::Octets(text) | Token::Text(text), (1, 96, 1, 1) | (0, 96, 1, 7)) => {
                self.model = Some(printed(text));
            }
            // The list's own name told the maker.
            (Token::Octets(_) | Token::Text(_), (1, 0, 2, 129) | (0, 25, 9, 0)) => (),
            (Token::Octets(text) | Token::Text(text), (0, 96, 1, _) | (0, 42, 0, 0) | (1, 0, 0, _)) => {
                if self.reading.equipment.is_none() || obis.c == 96 {
                    self.equipment(text);
                }
            }
            (Token::Integer(number), (1, 0, 0, _)) => self.equipment(number.to_string().as_bytes()),
            (Token::Integer(number), _) => {
                let (exponent, unit) = scale.unzip();
                self.number(obis, number, exponent, unit);
            }
            _ => self.keep(Some(obis), value),
        }
    }

    fn number(&mut self, obis: Obis, number: i64, exponent: Option<i8>, unit: Option<u8>) {
        let measured = self.measure(obis, number, exponent, unit);
        match measured {
            Some(measured) if !self.reading.values.iter().any(|other| other.obis == obis) => {
                if measured.channel > 0 {
                    let medium = if measured.quantity == Quantity::Heat { Medium::Heat } else { Medium::Gas };
                    self.reading.children.push(Child { channel: measured.channel, medium, equipment: None });
                }
                self.reading.values.push(measured);
            }
            _ => self.keep(Some(obis), Token::Integer(number)),
        }
    }

    fn measure(&self, obis: Obis, number: i64, exponent: Option<i8>, unit: Option<u8>) -> Option<Measured> {
        let channel = if obis.a == 0 && obis.c == 24 && obis.d == 2 { obis.b } else { 0 };
        let sent = match unit {
            Some(code) => Some(cosem_unit(code)?),
            None => None,
        };
        let quantity = match (channel, sent) {
            (0, _) => electricity(obis).filter(|_| obis.a == 1).or_else(|| abstract_quantity(obis))?,
            (_, Some((Unit::Joule, _))) => Quantity::Heat,
            _ => Quantity::Volume,
        };
        let (unit, prefix) = match sent {
            Some(unit) => unit,
            None => (own_unit(quantity, obis)?, 0),
        };
        let value = Decimal::parse(number.to_string().as_bytes())?;
        if !is_plausible(quantity, value, unit) {
            return None;
        }
        let exponent = match exponent.filter(|_| sent.is_some() || !matches!(quantity, Quantity::Voltage(_))) {
            Some(exponent) => exponent,
            None => self.exponent(obis, quantity, number)?,
        };
        let value = value.scaled(exponent.checked_add(prefix)?)?;
        Some(Measured { obis, channel, quantity, value, unit, meter_time: None })
    }

    /// The power of ten that the wire leaves out.
    fn exponent(&self, obis: Obis, quantity: Quantity, number: i64) -> Option<i8> {
        Some(match quantity {
            Quantity::Voltage(_) => return voltage_exponent(number),
            Quantity::Current(_) if self.maker == Some(Maker::Kaifa) => -3,
            Quantity::Current(_) => -2,
            Quantity::PowerFactor(_) if self.maker == Some(Maker::Kamstrup) => -2,
            Quantity::PowerFactor(_) => -3,
            // Kamstrup counts in tens of watt-hours.
            _ if obis.d == 8 && self.maker == Some(Maker::Kamstrup) => 1,
            Quantity::Frequency => -2,
            _ => 0,
        })
    }

    fn equipment(&mut self, text: &[u8]) {
        let text = printed(text);
        if !text.is_empty() {
            self.reading.equipment = Some(Equipment(text));
        }
    }

    /// A text without a code: the list's name, which told the maker, or a serial number.
    fn unlabelled(&mut self, text: &[u8]) {
        let is_number = text.len() >= 6 && text.iter().all(u8::is_ascii_digit);
        if is_number && self.reading.equipment.is_none() {
            self.equipment(text);
        }
    }

    fn keep(&mut self, obis: Option<Obis>, value: Token<'_>) {
        if self.reading.not_understood.len() == MAX_KEPT {
            return;
        }
        let text = match value {
            Token::Octets(bytes) | Token::Text(bytes) | Token::Bits(bytes) => bytes.escape_ascii().to_string(),
            Token::Integer(number) => number.to_string(),
            Token::Enumeration(number) => number.to_string(),
            Token::Boolean(value) => value.to_string(),
            Token::Float(bits) => format!("{bits:X}"),
            Token::Null => "null".to_owned(),
            Token::Array(_) | Token::Structure(_) => return,
        };
        let text = match obis {
            Some(obis) => format!("{obis}({text})"),
            None => text,
        };
        self.reading.not_understood.push(NotUnderstood { obis, text });
    }
}

/// Values behind the list of their objects.
struct ObjectList<'t, 'a> {
    codes: Vec<(i64, Obis, i64)>,
    values: &'t [Token<'a>],
}

impl<'t, 'a> ObjectList<'t, 'a> {
    /// The list, if the body is one.
    fn of(tokens: &'t [Token<'a>]) -> Option<Self> {
        let [Token::Structure(_), Token::Structure(count) | Token::Array(count), rest @ ..] = tokens else {
            return None;
        };
        let mut rest = rest;
        let mut codes = Vec::with_capacity((*count).min(64));
        for _ in 0..*count {
            let [
                Token::Structure(4),
                Token::Integer(class),
                Token::Octets(code),
                Token::Integer(attribute),
                Token::Integer(_),
                after @ ..,
            ] = rest
            else {
                return None;
            };
            codes.push((*class, obis(code)?, *attribute));
            rest = after;
        }
        (!codes.is_empty()).then_some(Self { codes, values: rest })
    }

    fn read(&self, found: &mut Found<'a>) {
        let values = elements(self.values);
        // The list itself is the value of its first entry.
        let own = matches!(self.codes.first(), Some((PUSH_SETUP, _, 2))) && values.len() < self.codes.len();
        for ((class, obis, attribute), value) in self.codes.iter().skip(usize::from(own)).zip(values) {
            if *class != PUSH_SETUP && *attribute == 2 {
                match value {
                    Token::Octets(text) if obis.a == 0 && (obis.c, obis.d) == (96, 1) => found.equipment(text),
                    value => found.take(*obis, value, None),
                }
            }
        }
    }
}

/// The elements at the top of a run of tokens; of those that hold others only the head.
fn elements<'a>(tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    let mut elements = Vec::with_capacity(32);
    let mut inside = 0_usize;
    for token in tokens {
        if inside == 0 {
            elements.push(*token);
        } else {
            inside -= 1;
        }
        if let Token::Structure(count) | Token::Array(count) = token {
            inside += count;
        }
    }
    elements
}

fn obis(bytes: &[u8]) -> Option<Obis> {
    let &[a, b, c, d, e, f] = bytes else { return None };
    Some(Obis { a, b, c, d, e, f })
}

/// What a code of the meter itself counts.
const fn abstract_quantity(obis: Obis) -> Option<Quantity> {
    match (obis.a, obis.c, obis.d, obis.e) {
        (0, 96, 14, 0) => Some(Quantity::Rate),
        (0, 96, 7, _) => Some(Quantity::Count),
        _ => None,
    }
}

/// The unit of a quantity that is sent without one.
const fn own_unit(quantity: Quantity, obis: Obis) -> Option<Unit> {
    Some(match quantity {
        Quantity::ActiveEnergy(..) => Unit::WattHour,
        Quantity::ActivePower(..) | Quantity::Demand(_) | Quantity::DemandPeak(_) => Unit::Watt,
        Quantity::ApparentPower(..) => Unit::VoltAmpere,
        Quantity::Count | Quantity::PowerFactor(_) | Quantity::Rate => Unit::One,
        Quantity::Current(_) => Unit::Ampere,
        Quantity::Frequency => Unit::Hertz,
        Quantity::ReactiveEnergy(..) => Unit::VarHour,
        Quantity::ReactivePower(..) => Unit::Var,
        Quantity::Voltage(_) => Unit::Volt,
        Quantity::ByCode => match (obis.c % 20, obis.d) {
            // By quadrant, and of one phase.
            (3..=8, 8) => Unit::VarHour,
            (3..=8, 7) => Unit::Var,
            (9 | 10, 8) => Unit::VoltAmpereHour,
            (1 | 2 | 15 | 16, 8) => Unit::WattHour,
            (1 | 2 | 15 | 16, 7) => Unit::Watt,
            _ => return None,
        },
        // Its code alone tells no scale.
        Quantity::Heat | Quantity::Volume => return None,
    })
}

/// The power of ten that makes a voltage one that a home can have. `None` if none does; a phase that is not connected has 0.
fn voltage_exponent(number: i64) -> Option<i8> {
    if number == 0 {
        return Some(0);
    }
    [(0, 1), (-1, 10), (-2, 100)]
        .into_iter()
        .find(|(_, unit)| {
            let volts = number / unit;
            (90..=150).contains(&volts) || (180..=280).contains(&volts)
        })
        .map(|(exponent, _)| exponent)
}

/// A text without the zeros and blanks around it.
fn printed(text: &[u8]) -> String {
    let end = text.iter().rposition(|byte| *byte != 0).map_or(0, |place| place + 1);
    text[..end].trim_ascii().escape_ascii().to_string()
}
