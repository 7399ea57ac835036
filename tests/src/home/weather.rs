//! Sun, clouds and temperature at the home, from the seed and the calendar.
//!
//! Only +, −, × and ÷ are used (the sine is a rational approximation), so that every machine makes the same weather to the
//! last bit. Good to a few percent, which is more than a simulated garden needs.

use super::noise::{Dice, hash, wander};

const CLOUDS: u64 = 101;
const SKY: u64 = 102;
const WARMTH: u64 = 103;

/// The sky over one civil day.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weather {
    seed: u64,
    /// sin δ · sin φ and cos δ · cos φ of the sun's height.
    sun: (f64, f64),
    kind: Sky,
    /// Degrees Celsius, mean of the day.
    warmth: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sky {
    Broken,
    Clear,
    Overcast,
}

impl Weather {
    /// `day_of_year` 1 to 366; `day` any number that names the day.
    pub(crate) fn new(seed: u64, day: i64, day_of_year: i16) -> Self {
        // 0 on the shortest day, 1 half a year later.
        let season = (1.0 - cosine((f64::from(day_of_year) + 10.0) / 365.25)) / 2.0;
        let declination = sine(-0.065_11 + 0.130_22 * season);
        let declination_cosine = cosine(-0.065_11 + 0.130_22 * season);
        // Latitude 52° north: sin 0.788, cos 0.616.
        let sun = (declination * 0.788, declination_cosine * 0.616);
        let mut dice = Dice::new(seed, SKY, day);
        let clear = 10 + (12.0 * season) as i64;
        let overcast = 58 - (20.0 * season) as i64;
        let kind = match dice.between(0, 100) {
            roll if roll < clear => Sky::Clear,
            roll if roll < clear + overcast => Sky::Overcast,
            _ => Sky::Broken,
        };
        // Warmth lags the sun by about five weeks.
        let lagged = (1.0 - cosine((f64::from(day_of_year) - 25.0) / 365.25)) / 2.0;
        let warmth = 2.5 + 15.5 * lagged + 9.0 * (wander(seed, WARMTH, day * 10, 37) - 0.5);
        Self { seed, sun, kind, warmth }
    }

    /// Sine of the sun's height above the horizon at a longitude of 5° east; negative at night.
    pub(crate) fn sun_height(&self, second: i64) -> f64 {
        let turn = (second.rem_euclid(86_400) as f64 + 1_200.0) / 86_400.0 - 0.5;
        self.sun.0 + self.sun.1 * cosine(turn)
    }

    /// Share of a panel's peak power that comes out at `second`, in 0 to 1.
    pub(crate) fn generation(&self, second: i64) -> f64 {
        let height = self.sun_height(second);
        if height <= 0.01 {
            return 0.0;
        }
        // Panels tilted to the south gain in the low sun what the longer way through the air takes.
        let clear_sky = height * (1.44 - 0.50 * height);
        clear_sky.min(1.0) * self.transmission(second)
    }

    /// Share of the clear sky's light that passes, in 0 to 1.
    fn transmission(&self, second: i64) -> f64 {
        let slow = wander(self.seed, CLOUDS, second, 2_400);
        let quick = wander(self.seed, CLOUDS + 1, second, 150);
        match self.kind {
            Sky::Clear => 0.94 + 0.06 * slow,
            Sky::Overcast => 0.08 + 0.24 * slow + 0.05 * quick,
            // A cloud comes and goes within a minute or two: steep between the two levels.
            Sky::Broken => {
                let cover = ((quick - 0.25 - 0.5 * slow) * 5.0 + 0.5).clamp(0.0, 1.0);
                0.24 + 0.74 * cover
            }
        }
    }

    /// Outdoor temperature in degrees Celsius.
    pub(crate) fn temperature(&self, second: i64) -> f64 {
        // Warmest in the afternoon; clear days swing more.
        let swing = if self.kind == Sky::Overcast { 2.0 } else { 4.5 };
        self.warmth - swing * cosine((second.rem_euclid(86_400) as f64 - 10_000.0) / 86_400.0)
    }

    /// True while lamps are needed.
    pub(crate) fn dark(&self, second: i64) -> bool {
        self.sun_height(second) < if self.kind == Sky::Overcast { 0.12 } else { 0.03 }
    }

    /// A small quiver in 1/1000, for what the inverter adds; one hash serves sixteen seconds.
    pub(crate) const fn quiver(&self, second: i64) -> i32 {
        let bits = hash(self.seed, CLOUDS + 2, second >> 4);
        (bits >> (4 * (second & 15)) & 0xF) as i32 - 7
    }
}

/// Sine of a number of full turns, by Bhaskara's approximation (within 0.002).
fn sine(turns: f64) -> f64 {
    let turns = turns - turns.floor();
    let (half, sign) = if turns < 0.5 { (turns * 2.0, 1.0) } else { (turns * 2.0 - 1.0, -1.0) };
    let product = half * (1.0 - half);
    sign * 16.0 * product / (5.0 - 4.0 * product)
}

fn cosine(turns: f64) -> f64 {
    sine(turns + 0.25)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sun_is_higher_in_june_and_down_at_night() {
        let noon = 11 * 3_600 + 2_400;
        let june = Weather::new(1, 0, 172).sun_height(noon);
        let december = Weather::new(1, 0, 355).sun_height(noon);
        assert!((0.85..0.90).contains(&june), "{june}");
        assert!((0.22..0.27).contains(&december), "{december}");
        assert!(Weather::new(1, 0, 172).sun_height(0) < 0.0);
    }

    #[test]
    fn the_sine_is_a_sine() {
        for (turns, expect) in [(0.0, 0.0), (0.25, 1.0), (0.5, 0.0), (0.75, -1.0), (-0.25, -1.0), (1.0 / 12.0, 0.5)] {
            assert!((sine(turns) - expect).abs() < 0.002, "{turns}");
        }
    }
}
