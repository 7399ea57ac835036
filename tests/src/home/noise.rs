//! Chance as a pure function: the same seed and place give the same number, in any order, for ever.

/// A well-mixed number for `place` in the stream `stream` of `seed`.
///
/// SplitMix64's finaliser over a sum with odd constants: two multiplications, good enough for weather and kettles, and
/// cheap enough to be asked once a second for a year.
pub(crate) const fn hash(seed: u64, stream: u64, place: i64) -> u64 {
    finish(
        seed ^ stream
            .wrapping_mul(0xD6E8_FEB8_6659_FD93)
            .wrapping_add((place as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15))
            .rotate_left(23),
    )
}

const fn finish(mut bits: u64) -> u64 {
    bits = bits.wrapping_add(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

/// A row of numbers for one place: what a day, or one appliance on one day, draws its decisions from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dice {
    state: u64,
}

impl Dice {
    pub(crate) const fn new(seed: u64, stream: u64, place: i64) -> Self {
        Self { state: hash(seed, stream, place) }
    }

    pub(crate) const fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        finish(self.state)
    }

    /// A whole number in `[from, to)`; `from` when that is empty.
    pub(crate) const fn between(&mut self, from: i64, to: i64) -> i64 {
        let bits = self.bits();
        if to <= from { from } else { from + (bits % ((to - from) as u64)) as i64 }
    }

    /// True in `percent` of all cases.
    pub(crate) const fn chance(&mut self, percent: i64) -> bool {
        self.between(0, 100) < percent
    }
}

/// A number in `[0, 1)` that wanders: straight lines between hashed knots that lie `spacing` apart.
pub(crate) fn wander(seed: u64, stream: u64, at: i64, spacing: i64) -> f64 {
    let knot = at.div_euclid(spacing);
    let part = at.rem_euclid(spacing) as f64 / spacing as f64;
    let value = |knot| (hash(seed, stream, knot) >> 11) as f64 / (1_u64 << 53) as f64;
    value(knot) * (1.0 - part) + value(knot + 1) * part
}
