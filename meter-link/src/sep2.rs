//! IEEE 2030.5 (Smart Energy Profile 2): the way from what a meter lists to what it measures, without connections.
//!
//! [`Walk`] says which place to ask for next and takes what came: the device, its usage points, the first electricity one's
//! list of readings, the type of each, and of those that have a meaning here the reading itself. Every place but the first
//! two is where the meter links to; none is known beforehand. Lists are followed to their end, a few entries at a time where
//! the meter gives no more at once. What was walked through is handed on, and recorded, as one document.
//!
//! An answer that makes no sense loses only itself. Refuses links that lead off the meter. At most [`MAX_LISTED`] readings
//! are looked at and [`MAX_ASKED`] places asked for. Nothing is ever written.
//!
//! Source: IEEE 2030.5-2018 sections 8.4 (lists), 8.5 (links), 10.3 (metering); schema `sep`.

pub mod reading;

use crate::error::DecodeError;
use crate::reading::Reading;
use crate::xml::Element;

/// Most readings of a meter that are looked at: three times as many as Itron's list.
pub const MAX_LISTED: usize = 64;
/// Most places that are asked for on one way.
pub const MAX_ASKED: usize = 256;
/// Entries of a list that are asked for at once, where the first answer had too few.
const PAGE: usize = 16;
/// The longest answer that is no list: ten times the longest seen.
const MAX_ANSWER: usize = 4_096;
/// The longest link that is followed: four times the longest seen.
const MAX_PLACE: usize = 128;

/// Where a meter tells of itself. It need not.
const DEVICE: &str = "/sdev/sdi";
/// Where a meter lists its usage points.
pub const POINTS: &str = "/upt";

/// The way through a meter's resources.
#[derive(Clone, Debug)]
pub struct Walk {
    step: Step,
    /// Places asked for.
    asked: usize,
    /// What the meter tells of itself.
    device: Option<Element>,
    /// At most [`MAX_LISTED`].
    listed: Vec<Listed>,
}

/// One reading of a meter's list.
#[derive(Clone, Debug, Default)]
struct Listed {
    /// `Instantaneous Demand`.
    description: String,
    kind_at: Option<String>,
    /// Where its value is.
    value_at: Option<String>,
    /// Where sets of its values are, for a reading that has no place of its own.
    sets_at: Option<String>,
    kind: Option<Element>,
    value: Option<Element>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Device,
    Done,
    /// The type of a reading, by its place among them.
    Kind(usize),
    /// A part of the list of readings, from an entry on.
    List(String, usize),
    Points,
    /// The newest set of a reading that has no value of its own.
    Sets(usize),
    Value(usize),
}

impl Default for Walk {
    fn default() -> Self {
        Self { step: Step::Device, asked: 0, device: None, listed: Vec::new() }
    }
}

impl Walk {
    /// What to ask for next: a path, with a query where a list goes on. `None`: the way has ended.
    pub fn poll_place(&self) -> Option<String> {
        if self.asked >= MAX_ASKED {
            return None;
        }
        let listed = |at: &usize| self.listed.get(*at);
        match &self.step {
            Step::Device => Some(DEVICE.to_owned()),
            Step::Done => None,
            Step::Kind(at) => listed(at)?.kind_at.clone(),
            Step::List(place, 0) => Some(place.clone()),
            Step::List(place, start) => {
                let joint = if place.contains('?') { '&' } else { '?' };
                Some(format!("{place}{joint}s={start}&l={PAGE}"))
            }
            Step::Points => Some(POINTS.to_owned()),
            Step::Sets(at) => listed(at)?.sets_at.clone(),
            Step::Value(at) => listed(at)?.value_at.clone(),
        }
    }

    /// Takes what came; `None` where there was nothing.
    pub fn handle_answer(&mut self, answer: Option<&[u8]>) {
        self.asked += 1;
        let is_list = matches!(self.step, Step::List(..) | Step::Points | Step::Sets(_) | Step::Value(_));
        let answer = answer.filter(|answer| is_list || answer.len() <= MAX_ANSWER).and_then(Element::parse);
        self.step = match self.step.clone() {
            Step::Device => {
                self.device = answer.filter(|answer| answer.name == "DeviceInformation");
                Step::Points
            }
            Step::Done => Step::Done,
            Step::Points => answer.as_ref().and_then(list_of).map_or(Step::Done, |place| Step::List(place, 0)),
            Step::List(place, start) => self.list(place, start, answer.as_ref()),
            Step::Kind(at) => {
                let kind = answer.filter(|answer| answer.name == "ReadingType" && reading::is_wanted(answer));
                let next = match (&kind, self.listed.get(at)) {
                    (Some(_), Some(Listed { value_at: Some(_), .. })) => Step::Value(at),
                    (Some(_), Some(Listed { sets_at: Some(_), .. })) => Step::Sets(at),
                    _ => self.kind_after(at),
                };
                if let Some(listed) = self.listed.get_mut(at) {
                    listed.kind = kind;
                }
                next
            }
            Step::Sets(at) => {
                let place = answer.as_ref().and_then(|sets| {
                    // The newest comes first.
                    let set = sets.children.iter().find(|set| set.name == "ReadingSet")?;
                    link(set, "ReadingListLink")
                });
                match (place, self.listed.get_mut(at)) {
                    (Some(place), Some(listed)) => {
                        listed.value_at = Some(place);
                        Step::Value(at)
                    }
                    _ => self.kind_after(at),
                }
            }
            Step::Value(at) => {
                if let Some(listed) = self.listed.get_mut(at) {
                    listed.value = answer.and_then(value).filter(|value| value.print().len() <= MAX_ANSWER);
                }
                self.after_value(at)
            }
        };
        // A step whose place is not there is over.
        if self.step != Step::Done && self.poll_place().is_none() {
            self.step = Step::Done;
        }
    }

    /// The same way again, straight to what changes. From the start where nothing was found.
    pub fn again(&self) -> Self {
        if !self.has_values() {
            return Self::default();
        }
        let found = self.listed.iter().filter(|listed| listed.value.is_some());
        let listed: Vec<_> = found.map(|listed| Listed { value: None, kind_at: None, ..listed.clone() }).collect();
        Self { step: Step::Value(0), asked: 0, device: self.device.clone(), listed }
    }

    /// Whether the meter gave any value.
    pub fn has_values(&self) -> bool {
        self.listed.iter().any(|listed| listed.value.is_some())
    }

    /// What was read as one document, for [`decode`].
    pub fn body(&self) -> Vec<u8> {
        let readings = self.listed.iter().filter_map(|listed| {
            let description = Element::of("description", &listed.description);
            Some(Element::around("MeterReading", vec![description, listed.kind.clone()?, listed.value.clone()?]))
        });
        Element::around("UsagePoint", self.device.iter().cloned().chain(readings).collect()).print().into_bytes()
    }

    /// Takes a part of the list of readings.
    fn list(&mut self, place: String, start: usize, answer: Option<&Element>) -> Step {
        let entries = answer.filter(|answer| answer.name == "MeterReadingList");
        let entries = entries.map(|answer| answer.children.as_slice()).unwrap_or_default();
        let before = self.listed.len();
        for entry in entries.iter().filter(|entry| entry.name == "MeterReading") {
            if self.listed.len() < MAX_LISTED {
                self.listed.push(Listed {
                    description: entry.said("description").unwrap_or_default().to_owned(),
                    kind_at: link(entry, "ReadingTypeLink"),
                    value_at: link(entry, "ReadingLink"),
                    sets_at: link(entry, "ReadingSetListLink"),
                    ..Listed::default()
                });
            }
        }
        let next = start + self.listed.len() - before;
        let all = answer.and_then(|answer| answer.attribute("all")).and_then(|all| all.parse().ok()).unwrap_or(next);
        if next > start && next < all && self.listed.len() < MAX_LISTED {
            Step::List(place, next)
        } else {
            self.kind_from(0)
        }
    }

    /// The type of the first reading from one on that has one.
    fn kind_from(&self, at: usize) -> Step {
        let found = self.listed.iter().skip(at).position(|listed| listed.kind_at.is_some());
        found.map_or(Step::Done, |found| Step::Kind(at + found))
    }

    fn kind_after(&self, at: usize) -> Step {
        self.kind_from(at + 1)
    }

    /// On the first way the next type, on later ones the next value.
    fn after_value(&self, at: usize) -> Step {
        if self.listed.iter().any(|listed| listed.kind_at.is_some()) {
            self.kind_after(at)
        } else {
            Step::Value(at + 1)
        }
    }
}

/// Whether a document is one that [`Walk::body`] gives.
pub(crate) fn is_point(root: &Element) -> bool {
    root.name == "UsagePoint" && root.child("MeterReading").is_some()
}

/// Reads a document as [`Walk::body`] gives it.
pub fn decode(body: &[u8]) -> Result<Reading, DecodeError> {
    let root = Element::parse(body).ok_or(DecodeError::Malformed { offset: 0 })?;
    if is_point(&root) { reading::interpret(&root) } else { Err(DecodeError::NoReading) }
}

/// Where the readings of the home's own electricity are listed: of the first usage point that is neither of a vehicle, of a
/// plant nor of a sub-meter; of the first at all where each is.
fn list_of(points: &Element) -> Option<String> {
    /// Vehicle, plant, sub-meter.
    const PARTS: u32 = 0b100_1100;
    let points = points
        .children
        .iter()
        .filter(|point| point.name == "UsagePoint" && point.said("serviceCategoryKind").is_none_or(|kind| kind == "0"));
    let is_part = |point: &&Element| {
        let flags = point.said("roleFlags").and_then(|flags| u32::from_str_radix(flags, 16).ok());
        flags.is_some_and(|flags| flags & PARTS != 0)
    };
    let points: Vec<_> = points.collect();
    let point = points.iter().find(|point| !is_part(point)).or(points.first())?;
    link(point, "MeterReadingListLink")
}

/// A reading itself, or the first of a list.
fn value(answer: Element) -> Option<Element> {
    match answer.name.as_str() {
        "Reading" => Some(answer),
        "ReadingList" => answer.children.into_iter().find(|reading| reading.name == "Reading"),
        _ => None,
    }
}

/// Where a link leads, on the same meter.
fn link(element: &Element, name: &str) -> Option<String> {
    let place = element.child(name)?.attribute("href")?;
    let is_place = place.len() <= MAX_PLACE
        && place.starts_with('/')
        && !place.starts_with("//")
        && place.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'#'));
    is_place.then(|| place.to_owned())
}

#[cfg(test)]
mod tests;
