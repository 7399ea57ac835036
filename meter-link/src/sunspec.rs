//! SunSpec: what inverters and their meters say over Modbus, without ports.
//!
//! [`Walk`] says which registers to read next and takes what came, from the `SunS` marker through the chain of models;
//! [`request`] and [`response`] code the frames of Modbus TCP. Only function 3 (read holding registers) exists here:
//! nothing is ever written. At most [`MAX_MODELS`] models are walked. A point that is not implemented has no value.
//!
//! Source: SunSpec Information Model Specification 1.9, models 1, 101 to 103, 111 to 113, 201 to 204; MODBUS Messaging on
//! TCP/IP 1.0b.

pub mod reading;

use crate::error::DecodeError;
use crate::reading::Reading;

/// Most models of a device that are looked at: three times the longest chain known.
pub const MAX_MODELS: usize = 64;

/// Most registers that Modbus gives at once.
pub const MAX_REGISTERS: u16 = 125;

/// Where the marker may stand, by the specification.
const BASES: [u16; 3] = [40_000, 50_000, 0];

/// `SunS`.
const MARKER: [u16; 2] = [0x5375, 0x6E53];

/// A model as read: its number and its points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// Its number: 103 is an inverter of three phases.
    pub id: u16,
    /// Its registers after the length, at most [`MAX_REGISTERS`].
    pub registers: Vec<u16>,
}

/// Registers to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first, from 0.
    pub address: u16,
    /// How many, 1 to [`MAX_REGISTERS`].
    pub count: u16,
}

/// The way through a device's models.
#[derive(Clone, Debug)]
pub struct Walk {
    step: Step,
    /// Models passed, wanted or not.
    passed: usize,
    models: Vec<Model>,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// The points of a model, then the header at `next`.
    Body {
        id: u16,
        span: Span,
        next: Option<u16>,
    },
    Done,
    Header(u16),
    /// The marker at this place of [`BASES`].
    Marker(usize),
}

impl Default for Walk {
    fn default() -> Self {
        Self { step: Step::Marker(0), passed: 0, models: Vec::new() }
    }
}

impl Walk {
    /// What to read next. `None`: the chain has ended.
    pub fn poll_span(&self) -> Option<Span> {
        match self.step {
            Step::Body { span, .. } => Some(span),
            Step::Done => None,
            Step::Header(address) => Some(Span { address, count: 2 }),
            Step::Marker(place) => BASES.get(place).map(|address| Span { address: *address, count: 2 }),
        }
    }

    /// Takes what was read; an empty slice where the device refused.
    pub fn handle_registers(&mut self, registers: &[u16]) {
        self.step = match self.step {
            Step::Marker(place) if registers == MARKER => Step::Header(BASES[place] + 2),
            Step::Marker(place) if place + 1 < BASES.len() => Step::Marker(place + 1),
            Step::Marker(_) | Step::Done => Step::Done,
            Step::Header(address) => self.header(address, registers),
            Step::Body { id, span, next } => {
                if registers.len() == usize::from(span.count) {
                    self.models.push(Model { id, registers: registers.to_vec() });
                }
                next.map_or(Step::Done, Step::Header)
            }
        };
    }

    fn header(&mut self, address: u16, registers: &[u16]) -> Step {
        self.passed += 1;
        let &[id, length] = registers else { return Step::Done };
        let Some(body) = address.checked_add(2) else { return Step::Done };
        if id == 0xFFFF || length == 0 || self.passed > MAX_MODELS {
            return Step::Done;
        }
        let next = body.checked_add(length);
        if reading::is_known(id) {
            return Step::Body { id, span: Span { address: body, count: length.min(MAX_REGISTERS) }, next };
        }
        next.map_or(Step::Done, Step::Header)
    }

    /// What the device said, once the chain has ended.
    pub fn reading(&self) -> Result<Reading, DecodeError> {
        if self.models.is_empty() { Err(DecodeError::NoReading) } else { Ok(reading::interpret(&self.models)) }
    }
}

/// A frame that asks for registers.
pub fn request(transaction: u16, unit: u8, span: Span) -> [u8; 12] {
    let ([t1, t0], [a1, a0], [c1, c0]) =
        (transaction.to_be_bytes(), span.address.to_be_bytes(), span.count.to_be_bytes());
    [t1, t0, 0, 0, 0, 6, unit, 3, a1, a0, c1, c0]
}

/// The registers of an answer; empty where the device refused the span. `None`: more bytes are needed. An answer to
/// another question, or of another length, is malformed, and the connection is of no more use.
pub fn response(transaction: u16, span: Span, bytes: &[u8]) -> Option<Result<Vec<u16>, DecodeError>> {
    let [t1, t0, p1, p0, l1, l0, _unit, rest @ ..] = bytes else { return None };
    let length = usize::from(u16::from_be_bytes([*l1, *l0]));
    let bad = |offset| Some(Err(DecodeError::Malformed { offset }));
    if [*t1, *t0] != transaction.to_be_bytes() {
        return bad(0);
    }
    if (*p1, *p0) != (0, 0) {
        return bad(2);
    }
    // Unit, function, count, and the most registers there can be.
    if !(3..=3 + 2 * usize::from(MAX_REGISTERS)).contains(&length) {
        return bad(4);
    }
    match rest.get(..length - 1)? {
        [0x83, _] => Some(Ok(Vec::new())),
        [3, count, data @ ..] if usize::from(*count) == data.len() && data.len() == 2 * usize::from(span.count) => {
            Some(Ok(data.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect()))
        }
        _ => bad(7),
    }
}

#[cfg(test)]
mod tests;
