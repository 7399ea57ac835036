//! SunSpec: what inverters and their meters say over Modbus, without ports.
//!
//! [`Walk`] says which registers to read next and takes what came, from the `SunS` marker through the chain of models;
//! [`request`] and [`response`] code the frames of Modbus TCP. Only function 3 (read holding registers) exists here:
//! nothing is ever written. At most [`MAX_MODELS`] models are walked. A point that is not implemented has no value.
//! What was walked through is handed on, and recorded, as one body: the registers that were wanted, as they stand in the
//! device, from the marker to the end of the chain.
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

/// The model that tells maker, type and serial number.
const COMMON: u16 = 1;

/// In place of a model's number: there are no more.
const END: u16 = 0xFFFF;

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
    /// Where the models stand that change.
    places: Vec<(u16, Span)>,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// The points of a model that was found before, by its place among them.
    Again(usize),
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
        Self { step: Step::Marker(0), passed: 0, models: Vec::new(), places: Vec::new() }
    }
}

impl Walk {
    /// What to read next. `None`: the chain has ended.
    pub fn poll_span(&self) -> Option<Span> {
        match self.step {
            Step::Again(place) => self.places.get(place).map(|(_, span)| *span),
            Step::Body { span, .. } => Some(span),
            Step::Done => None,
            Step::Header(address) => Some(Span { address, count: 2 }),
            Step::Marker(place) => BASES.get(place).map(|address| Span { address: *address, count: 2 }),
        }
    }

    /// Takes what was read; an empty slice where the device refused.
    pub fn handle_registers(&mut self, registers: &[u16]) {
        self.step = match self.step {
            Step::Again(place) => {
                let Some(&(id, span)) = self.places.get(place) else { return };
                self.take(id, span, registers);
                Step::Again(place + 1)
            }
            Step::Marker(place) if registers == MARKER => Step::Header(BASES[place] + 2),
            Step::Marker(place) if place + 1 < BASES.len() => Step::Marker(place + 1),
            Step::Marker(_) | Step::Done => Step::Done,
            Step::Header(address) => self.header(address, registers),
            Step::Body { id, span, next } => {
                // The device's own name and number do not change.
                if id != COMMON {
                    self.places.push((id, span));
                }
                self.take(id, span, registers);
                next.map_or(Step::Done, Step::Header)
            }
        };
    }

    /// The same way again, straight to what changes. From the start where nothing was found.
    pub fn again(&self) -> Self {
        if self.places.is_empty() {
            return Self::default();
        }
        let models = self.models.iter().filter(|model| model.id == COMMON).cloned().collect();
        Self { step: Step::Again(0), passed: self.passed, models, places: self.places.clone() }
    }

    /// Whether the device gave anything that changes.
    pub fn has_points(&self) -> bool {
        self.models.iter().any(|model| model.id != COMMON)
    }

    /// What was read as one body, for [`decode`].
    pub fn body(&self) -> Vec<u8> {
        let models = self.models.iter().flat_map(|model| {
            // No model is longer than `MAX_REGISTERS`.
            [model.id, model.registers.len() as u16].into_iter().chain(model.registers.iter().copied())
        });
        MARKER.into_iter().chain(models).chain([END, 0]).flat_map(u16::to_be_bytes).collect()
    }

    fn take(&mut self, id: u16, span: Span, registers: &[u16]) {
        if registers.len() == usize::from(span.count) {
            self.models.push(Model { id, registers: registers.to_vec() });
        }
    }

    fn header(&mut self, address: u16, registers: &[u16]) -> Step {
        self.passed += 1;
        let &[id, length] = registers else { return Step::Done };
        let Some(body) = address.checked_add(2) else { return Step::Done };
        if id == END || length == 0 || self.passed > MAX_MODELS {
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

/// Whether a body begins as a device's registers do.
pub(crate) fn is_registers(body: &[u8]) -> bool {
    body.starts_with(b"SunS")
}

/// Reads registers from the marker on, as [`Walk::body`] gives them or a device holds them.
pub fn decode(body: &[u8]) -> Result<Reading, DecodeError> {
    if !is_registers(body) {
        return Err(DecodeError::NoReading);
    }
    let registers: Vec<u16> = body.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
    let mut walk = Walk::default();
    while let Some(span) = walk.poll_span() {
        let start = usize::from(span.address - BASES[0]);
        walk.handle_registers(registers.get(start..start + usize::from(span.count)).unwrap_or_default());
    }
    walk.reading()
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
