//! One civil day of one home, second by second.
//!
//! A pure function of (seed, profile, zone, date). Lasts 23, 24 or 25 hours, as the zone has it. What began the evening
//! before and runs past midnight (a car, a dishwasher) is here too, clipped.

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::noise::hash;
use super::weather::Weather;
use super::{Profile, Rates, household};

const BASE: u64 = 1;
const FLICKER: u64 = 2;

/// Something that draws power for a while.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// 0, 1 or 2.
    pub(crate) phase: usize,
    /// First second, Unix time.
    pub(crate) from: i64,
    /// One past the last second. from <= to.
    pub(crate) to: i64,
    /// While it draws.
    pub(crate) milliwatts: i32,
    /// `(on, period)` in seconds where a thermostat or a power stage switches it; counted from `from`.
    pub(crate) pulse: Option<(i64, i64)>,
}

/// Gas or water running for a while.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flow {
    /// First second, Unix time.
    pub(crate) from: i64,
    /// One past the last second. from <= to.
    pub(crate) to: i64,
    /// While it runs.
    pub(crate) millilitres_per_second: i64,
}

impl Flow {
    /// What passes in `[from, to)`.
    pub(crate) fn within(&self, from: i64, to: i64) -> i64 {
        (self.to.min(to) - self.from.max(from)).max(0) * self.millilitres_per_second
    }
}

/// All seconds of a civil day.
#[derive(Debug)]
pub(crate) struct Day {
    pub(crate) date: Date,
    /// Unix time of local midnight.
    pub(crate) start: i64,
    /// What each phase takes from the grid, net, in mW; as long as the day.
    pub(crate) phases: [Vec<i32>; 3],
    /// What the home's own plant makes, in mW; as long as the day.
    pub(crate) generation: Vec<i32>,
    pub(crate) gas: Vec<Flow>,
    pub(crate) water: Vec<Flow>,
    /// The rate that counts in each hour since local midnight, 1 to 4.
    pub(crate) rates: Vec<u8>,
}

impl Day {
    pub(crate) fn new(seed: u64, profile: Profile, zone: &TimeZone, rates: Rates, date: Date) -> Self {
        let start = midnight(zone, date);
        let end = midnight(zone, date.saturating_add(jiff::Span::new().days(1)));
        let length = (end - start) as usize;
        let weather = weather_of(seed, date);

        let mut phases = [vec![0; length], vec![0; length], vec![0; length]];
        quiescent(seed, profile, start, &mut phases);
        let mut gas = Vec::new();
        let mut water = Vec::new();
        for back in [1, 0] {
            let day = date.saturating_sub(jiff::Span::new().days(back));
            let plan = household::plan(seed, profile, zone, day, &weather_of(seed, day));
            for load in &plan.loads {
                draw(load, start, &mut phases[load.phase]);
            }
            gas.extend(plan.gas.into_iter().filter(|flow| flow.to > start && flow.from < end));
            water.extend(plan.water.into_iter().filter(|flow| flow.to > start && flow.from < end));
        }
        for load in household::compressors(seed, profile, start, end) {
            draw(&load, start, &mut phases[load.phase]);
        }
        let generation = generate(profile, &weather, start, length);
        let panels = profile.panel_phases();
        for (phase, net) in phases.iter_mut().enumerate().filter(|(phase, _)| panels.contains(phase)) {
            // The remainder of the division goes to the first, so that the phases add up to the plant exactly.
            let share = panels.len() as i32;
            for (net, &made) in net.iter_mut().zip(&generation) {
                *net -= made / share + if phase == panels[0] { made % share } else { 0 };
            }
        }
        let rates = (0..length.div_ceil(3_600))
            .map(|hour| {
                let local = zone.to_datetime(timestamp(start + hour as i64 * 3_600));
                rates.rate(local.weekday(), local.hour())
            })
            .collect();
        Self { date, start, phases, generation, gas, water, rates }
    }

    /// Unix time of the next local midnight.
    pub(crate) fn end(&self) -> i64 {
        self.start + self.generation.len() as i64
    }

    /// The rate that counts at `second`, which lies in this day.
    pub(crate) fn rate(&self, second: i64) -> u8 {
        self.rates[((second - self.start) / 3_600) as usize]
    }
}

/// What never stops: standby, router, ventilation, and the flicker of everything.
///
/// One hash gives the flicker of three phases for four seconds: this runs for every second of a year.
fn quiescent(seed: u64, profile: Profile, start: i64, phases: &mut [Vec<i32>; 3]) {
    const FLICKER_STEP: u64 = 240;
    let base = profile.base_milliwatts();
    for (phase, net) in phases.iter_mut().enumerate().take(profile.phase_count()) {
        for (minute, net) in net.chunks_mut(60).enumerate() {
            let from = start + 60 * minute as i64;
            let drift = (hash(seed, BASE, from) >> (16 * phase) & 0xFFF) as i32;
            // Drift and flicker are counted on top of nine tenths, so the mean is about the base load.
            let level = base[phase] * 9 / 10 + drift;
            for (index, net) in net.chunks_mut(4).enumerate() {
                let mut bits = hash(seed, FLICKER, from + 4 * index as i64) >> (20 * phase);
                for net in net {
                    *net = level + ((bits & 0x1F) * FLICKER_STEP) as i32;
                    bits >>= 5;
                }
            }
        }
    }
}

fn draw(load: &Load, start: i64, net: &mut [i32]) {
    let from = (load.from - start).clamp(0, net.len() as i64) as usize;
    let to = (load.to - start).clamp(0, net.len() as i64) as usize;
    match load.pulse {
        None => net[from..to.max(from)].iter_mut().for_each(|net| *net += load.milliwatts),
        Some((on, period)) => {
            for (index, net) in net.iter_mut().enumerate().take(to).skip(from) {
                if (start + index as i64 - load.from) % period < on {
                    *net += load.milliwatts;
                }
            }
        }
    }
}

/// Straight lines between the minutes, with the inverter's quiver, cut off at its rating.
fn generate(profile: Profile, weather: &Weather, start: i64, length: usize) -> Vec<i32> {
    let peak = profile.peak_milliwatts();
    let mut made = Vec::with_capacity(length);
    if peak == 0 {
        made.resize(length, 0);
        return made;
    }
    let rating = peak / 10 * 9;
    let knot = |at| (weather.generation(at) * f64::from(peak)) as i32;
    let mut from = knot(start);
    for minute in (start..start + length as i64).step_by(60) {
        let to = knot(minute + 60);
        if from == 0 && to == 0 {
            made.resize(made.len() + 60, 0);
            continue;
        }
        let step = (to - from) / 60;
        for part in 0..60 {
            let smooth = from + step * part;
            let quiver = smooth / 1_000 * weather.quiver(minute + i64::from(part));
            made.push((smooth + quiver).clamp(0, rating));
        }
        from = to;
    }
    made
}

fn weather_of(seed: u64, date: Date) -> Weather {
    Weather::new(seed, days_since_1970(date), date.day_of_year())
}

pub(crate) fn days_since_1970(date: Date) -> i64 {
    date.to_datetime(jiff::civil::Time::midnight())
        .to_zoned(TimeZone::UTC)
        .map_or(0, |midnight| midnight.timestamp().as_second().div_euclid(86_400))
}

/// Unix time at which `date` begins in `zone`.
pub(crate) fn midnight(zone: &TimeZone, date: Date) -> i64 {
    clock(zone, date, 0)
}

/// Unix time at which the wall clock shows `seconds` after midnight on `date`; past 24 h it is the next day's clock.
pub(crate) fn clock(zone: &TimeZone, date: Date, seconds: i64) -> i64 {
    let civil =
        date.to_datetime(jiff::civil::Time::midnight()).saturating_add(jiff::SignedDuration::from_secs(seconds));
    zone.to_ambiguous_timestamp(civil).compatible().map_or(0, |instant| instant.as_second())
}

/// The instant `second`; the earliest or latest there is where it lies outside the calendar.
pub(crate) fn timestamp(second: i64) -> jiff::Timestamp {
    let bounds = (jiff::Timestamp::MIN.as_second(), jiff::Timestamp::MAX.as_second());
    jiff::Timestamp::from_second(second.clamp(bounds.0, bounds.1)).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}
