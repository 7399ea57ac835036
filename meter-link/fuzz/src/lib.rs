//! What the targets share: bytes cut into portions, and what must hold of every reading.

use meter_link::name::name;
use meter_link::reading::{Reading, Trust};

/// Readings of one frame that a decoder keeps as sent, at most.
const MAX_KEPT: usize = 64;

/// Something that takes bytes in portions and gives results.
pub trait Taker {
    /// What it gives, owned.
    type Found: PartialEq;

    /// Takes bytes, as many as fit; gives how many.
    fn take(&mut self, bytes: &[u8]) -> usize;

    /// The next result, if there is one.
    fn poll(&mut self) -> Option<Self::Found>;

    /// No more bytes come.
    fn end(&mut self) {}
}

/// Feeds one whole, one byte by byte and one in portions that follow from `seed`: all three find the same, which is given.
pub fn however_cut<T: Taker>(fresh: impl Fn() -> T, bytes: &[u8], seed: u8) -> Vec<T::Found> {
    let whole = feed(fresh(), bytes, |_| usize::MAX);
    assert!(whole == feed(fresh(), bytes, |_| 1), "byte by byte");
    let portion = |place: usize| 1 + (place.wrapping_mul(31) ^ usize::from(seed)) % 97;
    assert!(whole == feed(fresh(), bytes, portion), "in portions");
    whole
}

fn feed<T: Taker>(mut taker: T, mut bytes: &[u8], portion: impl Fn(usize) -> usize) -> Vec<T::Found> {
    let (mut found, mut place) = (Vec::new(), 0);
    while !bytes.is_empty() {
        let part = &bytes[..portion(place).min(bytes.len())];
        let taken = taker.take(part);
        assert!((1..=part.len()).contains(&taken), "what was asked for all it has takes more bytes");
        (bytes, place) = (&bytes[taken..], place + taken);
        found.extend(std::iter::from_fn(|| taker.poll()));
    }
    taker.end();
    found.extend(std::iter::from_fn(|| taker.poll()));
    found
}

/// Every reading is bounded, and every value of it exact and named.
pub fn check(reading: &Reading) {
    assert!(reading.not_understood.len() <= MAX_KEPT);
    for value in &reading.values {
        assert!(value.value.mantissa.unsigned_abs() < 10_u64.pow(18) && value.value.places <= 18);
        assert!(value.channel == 0 || reading.children.iter().any(|child| child.channel == value.channel));
        let medium = reading.children.iter().find(|child| child.channel == value.channel).map(|child| child.medium);
        assert!(!name(value, medium).is_empty());
    }
    if reading.trust != Trust::Authenticated {
        assert!(reading.counter.is_none(), "a counter without a tag");
    }
}
