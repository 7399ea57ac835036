//! What the people of a home do on one day: when they rise, cook, wash, shower, watch and sleep.
//!
//! Draws from the seed and the date only. Every appliance rolls its own dice, so adding one changes no other.

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;

use super::Profile;
use super::day::{Flow, Load, clock, days_since_1970};
use super::noise::{Dice, hash};
use super::weather::Weather;

const HOUR: i64 = 3_600;
const MINUTE: i64 = 60;

const AWAY: u64 = 11;
const CLEANING: u64 = 12;
const DAY: u64 = 13;
const DISHES: u64 = 14;
const DRINKS: u64 = 15;
const EVENING: u64 = 16;
const HEATING: u64 = 17;
const MEALS: u64 = 18;
const TAPS: u64 = 19;
const WASHING: u64 = 20;
const CAR: u64 = 21;
const FREEZER: u64 = 22;
const FRIDGE: u64 = 23;

/// What a day brings.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) loads: Vec<Load>,
    pub(crate) gas: Vec<Flow>,
    pub(crate) water: Vec<Flow>,
}

/// The hours of one day, in seconds of the wall clock after midnight.
struct Hours {
    wake: i64,
    leave: i64,
    back: i64,
    bed: i64,
    /// Nobody leaves for work.
    at_home: bool,
}

struct Writer<'a> {
    zone: &'a TimeZone,
    date: Date,
    phases: usize,
    plan: Plan,
}

impl Writer<'_> {
    fn at(&self, clock_seconds: i64) -> i64 {
        clock(self.zone, self.date, clock_seconds)
    }

    fn load(&mut self, phase: usize, from: i64, seconds: i64, watts: i64) {
        self.pulsed(phase, from, seconds, watts, None);
    }

    fn pulsed(&mut self, phase: usize, from: i64, seconds: i64, watts: i64, pulse: Option<(i64, i64)>) {
        let from = self.at(from);
        self.plan.loads.push(Load {
            phase: phase % self.phases,
            from,
            to: from + seconds,
            milliwatts: (watts * 1_000) as i32,
            pulse,
        });
    }

    fn water(&mut self, from: i64, seconds: i64, millilitres_per_second: i64) {
        let from = self.at(from);
        self.plan.water.push(Flow { from, to: from + seconds, millilitres_per_second });
    }

    fn gas(&mut self, from: i64, seconds: i64, millilitres_per_second: i64) {
        let from = self.at(from);
        self.plan.gas.push(Flow { from, to: from + seconds, millilitres_per_second });
    }
}

/// Everything that begins on `date` by the wall clock of `zone`.
pub(crate) fn plan(seed: u64, profile: Profile, zone: &TimeZone, date: Date, weather: &Weather) -> Plan {
    let day = days_since_1970(date);
    let weekend = matches!(date.weekday(), Weekday::Saturday | Weekday::Sunday);
    let mut writer = Writer { zone, date, phases: profile.phase_count(), plan: Plan::default() };
    // One week in twenty everybody is away; the week turns on Saturday.
    let away = hash(seed, AWAY, (day + 5).div_euclid(7)).is_multiple_of(20);
    let hours = hours(seed, day, weekend);
    heating(seed, profile, day, &hours, away, weather, &mut writer);
    if !away {
        drinks(Dice::new(seed, DRINKS, day), profile, &hours, &mut writer);
        meals(Dice::new(seed, MEALS, day), profile, &hours, &mut writer);
        evening(Dice::new(seed, EVENING, day), profile, &hours, weather, &mut writer);
        washing(Dice::new(seed, WASHING, day), profile, &hours, &mut writer);
        dishes(Dice::new(seed, DISHES, day), profile, &hours, &mut writer);
        cleaning(Dice::new(seed, CLEANING, day), &hours, &mut writer);
        taps(Dice::new(seed, TAPS, day), profile, &hours, &mut writer);
        car(Dice::new(seed, CAR, day), profile, &hours, &mut writer);
    }
    writer.plan
}

/// Fridge and freezer, which know neither days nor people. Every cycle that touches `[start, end)`.
pub(crate) fn compressors(seed: u64, profile: Profile, start: i64, end: i64) -> Vec<Load> {
    let mut loads = Vec::new();
    let mut cycle = |stream: u64, phase: usize, period: i64, on: i64, watts: i32| {
        let shift = (hash(seed, stream, 0) % period as u64) as i64;
        for index in (start - shift).div_euclid(period) - 1..=(end - shift).div_euclid(period) {
            let mut dice = Dice::new(seed, stream, index);
            let from = shift + index * period + dice.between(0, period / 5);
            let to = from + on + dice.between(-on / 6, on / 6);
            let phase = phase % profile.phase_count();
            loads.push(Load { phase, from, to, milliwatts: watts * 1_000, pulse: None });
            // The motor's inrush lasts less than a second; the meter's mean over the second still shows it.
            loads.push(Load { phase, from, to: from + 1, milliwatts: watts * 4_000, pulse: None });
        }
    };
    cycle(FRIDGE, 0, 45 * MINUTE, 15 * MINUTE, 85);
    if profile != Profile::Quiet {
        cycle(FREEZER, 1, 62 * MINUTE, 17 * MINUTE, 105);
    }
    loads
}

fn hours(seed: u64, day: i64, weekend: bool) -> Hours {
    let mut dice = Dice::new(seed, DAY, day);
    let habit = Dice::new(seed, DAY, -1).between(-40, 40) * MINUTE;
    let late = if weekend { 75 * MINUTE } else { 0 };
    let wake = 6 * HOUR + 45 * MINUTE + habit + late + dice.between(-900, 900);
    let at_home = weekend || dice.chance(35);
    let leave = wake + 70 * MINUTE + dice.between(-600, 900);
    let back = 17 * HOUR + dice.between(-2_400, 4_500);
    let bed = 22 * HOUR + 50 * MINUTE + habit / 2 + late / 2 + dice.between(-1_500, 2_100);
    Hours { wake, leave, back, bed, at_home }
}

/// Gas boiler with its pump, or heat pump, with lower rooms at night and when nobody is there.
fn heating(
    seed: u64,
    profile: Profile,
    day: i64,
    hours: &Hours,
    away: bool,
    weather: &Weather,
    writer: &mut Writer<'_>,
) {
    let mut dice = Dice::new(seed, HEATING, day);
    let loss = profile.heat_loss_watts_per_degree();
    let mut at = dice.between(0, 900);
    while at < 24 * HOUR {
        let period = 20 * MINUTE + dice.between(0, 10 * MINUTE);
        let asleep = at < hours.wake - 30 * MINUTE || at > hours.bed;
        let empty = !hours.at_home && at > hours.leave && at < hours.back - HOUR;
        let room = if away {
            12.0
        } else if asleep || empty {
            16.0
        } else {
            19.5
        };
        // People and appliances warm the rooms by some three degrees.
        let demand = (room - 3.0 - weather.temperature(writer.at(at))).max(0.0) * loss;
        if profile.heat_pump() {
            // Modulates: one part of electricity gives three and a half of heat, less than 500 W it cannot.
            let watts = ((demand / 3.5) as i64).min(3_600);
            if watts > 150 {
                let (watts, seconds) = if watts < 500 { (500, period * watts / 500) } else { (watts, period) };
                for phase in 0..3 {
                    writer.load(phase, at, seconds, watts / 3);
                }
            }
        } else {
            // 9 kW burner, on for its share of the period; 9.77 kWh in a cubic metre.
            let seconds = ((demand / 9_000.0 * period as f64) as i64).min(period);
            if seconds > 90 {
                writer.gas(at, seconds, 256);
                writer.load(0, at, seconds + 4 * MINUTE, 38);
            }
        }
        at += period;
    }
}

fn drinks(mut dice: Dice, profile: Profile, hours: &Hours, writer: &mut Writer<'_>) {
    let people = profile.people();
    let mut times = vec![hours.wake + 10 * MINUTE, hours.back + 25 * MINUTE, hours.bed - 90 * MINUTE];
    if hours.at_home {
        times.extend([10 * HOUR + 20 * MINUTE, 15 * HOUR]);
    }
    for time in times {
        if dice.chance(80) {
            let seconds = 70 + 45 * dice.between(1, people + 1) + dice.between(0, 30);
            writer.load(1, time + dice.between(-600, 900), seconds, 1_960 + dice.between(0, 90));
        }
    }
    if dice.chance(70) {
        writer.load(2, hours.wake + 20 * MINUTE + dice.between(0, 600), 150 + dice.between(0, 60), 840);
    }
}

fn meals(mut dice: Dice, profile: Profile, hours: &Hours, writer: &mut Writer<'_>) {
    if dice.chance(55) {
        writer.load(2, hours.back + 40 * MINUTE + dice.between(0, HOUR), dice.between(90, 380), 1_240);
    }
    let dinner = hours.back + 50 * MINUTE + dice.between(0, 40 * MINUTE);
    if dice.chance(82) {
        let seconds = dice.between(18, 42) * MINUTE;
        match profile {
            // Cooks on gas where there is any.
            Profile::Quiet => writer.gas(dinner, seconds, 62),
            _ => {
                writer.load(0, dinner, 5 * MINUTE, 1_850);
                writer.pulsed(0, dinner + 5 * MINUTE, seconds, 1_400, Some((dice.between(3, 9), 14)));
                writer.pulsed(1, dinner + 7 * MINUTE, seconds / 2, 1_150, Some((dice.between(2, 8), 11)));
            }
        }
    }
    if dice.chance(28) {
        writer.load(1, dinner - 15 * MINUTE, 9 * MINUTE, 2_450);
        writer.pulsed(1, dinner - 6 * MINUTE, dice.between(15, 50) * MINUTE, 2_450, Some((38, 125)));
    }
}

fn evening(mut dice: Dice, profile: Profile, hours: &Hours, weather: &Weather, writer: &mut Writer<'_>) {
    // Lamps in half-hours while it is dark and somebody is up.
    let lamps = 30 + 22 * profile.people();
    let mut at = hours.wake;
    while at < hours.bed {
        let somebody = hours.at_home || at < hours.leave || at > hours.back;
        if somebody && weather.dark(writer.at(at)) {
            writer.load(2, at, (30 * MINUTE).min(hours.bed - at), lamps + dice.between(-25, 40));
        }
        at += 30 * MINUTE;
    }
    if dice.chance(85) {
        let from = 19 * HOUR + 30 * MINUTE + dice.between(0, HOUR);
        writer.load(2, from, (hours.bed - from - dice.between(0, 1_800)).max(0), 108);
    }
    if hours.at_home {
        for _ in 0..profile.people() - 1 {
            writer.load(0, hours.wake + 2 * HOUR + dice.between(0, HOUR), dice.between(2, 6) * HOUR, 72);
        }
    }
}

fn washing(mut dice: Dice, profile: Profile, hours: &Hours, writer: &mut Writer<'_>) {
    if !dice.chance(14 * profile.people()) {
        return;
    }
    let from =
        if hours.at_home { 9 * HOUR + 30 * MINUTE } else { hours.back + 20 * MINUTE } + dice.between(0, 3 * HOUR);
    writer.load(0, from + 3 * MINUTE, dice.between(14, 24) * MINUTE, 2_020);
    writer.pulsed(0, from + 3 * MINUTE, 85 * MINUTE, 165, Some((11, 19)));
    writer.load(0, from + 88 * MINUTE, 7 * MINUTE, 430);
    for rinse in [0, 45, 62, 76] {
        writer.water(from + rinse * MINUTE, 100, 120);
    }
    if dice.chance(55) {
        let dry = from + 105 * MINUTE;
        writer.load(2, dry, dice.between(60, 100) * MINUTE, 640);
        writer.load(2, dry, dice.between(60, 100) * MINUTE, 110);
    }
}

fn dishes(mut dice: Dice, profile: Profile, hours: &Hours, writer: &mut Writer<'_>) {
    if profile == Profile::Quiet || !dice.chance(68) {
        return;
    }
    let from = hours.bed - dice.between(20, 130) * MINUTE;
    writer.load(1, from, 125 * MINUTE, 62);
    writer.load(1, from + 6 * MINUTE, dice.between(13, 19) * MINUTE, 1_880);
    writer.load(1, from + 82 * MINUTE, dice.between(10, 15) * MINUTE, 1_880);
    for fill in [0, 55, 78] {
        writer.water(from + fill * MINUTE, 40, 95);
    }
}

fn cleaning(mut dice: Dice, hours: &Hours, writer: &mut Writer<'_>) {
    if dice.chance(30) {
        let from = if hours.at_home { 11 * HOUR } else { hours.back + 2 * HOUR };
        writer.load(1, from + dice.between(0, HOUR), dice.between(8, 28) * MINUTE, 690);
    }
}

/// Showers, toilets and kitchen taps; hot water takes gas, or in a home with a heat pump electricity.
fn taps(mut dice: Dice, profile: Profile, hours: &Hours, writer: &mut Writer<'_>) {
    for person in 0..profile.people() {
        if dice.chance(80) {
            let from = hours.wake + person * 14 * MINUTE + dice.between(0, 300);
            let seconds = dice.between(270, 620);
            writer.water(from, seconds, 125);
            if profile.heat_pump() {
                writer.load(0, from + 20 * MINUTE, seconds * 3, 1_500);
            } else {
                writer.gas(from + 4, seconds - 4, 640);
                writer.load(0, from, seconds, 52);
            }
        }
        for _ in 0..dice.between(3, 7) {
            let at = dice.between(hours.wake, hours.bed);
            if hours.at_home || at < hours.leave || at > hours.back {
                writer.water(at, 55, 108);
            }
        }
    }
    for _ in 0..dice.between(4, 11) {
        let at = dice.between(hours.back, hours.bed);
        let seconds = dice.between(10, 90);
        writer.water(at, seconds, 100);
        if dice.chance(45) && !profile.heat_pump() {
            writer.gas(at + 3, seconds, 410);
        }
    }
}

/// Charges at three times 11 A after midnight, some nights.
fn car(mut dice: Dice, profile: Profile, hours: &Hours, writer: &mut Writer<'_>) {
    if profile != Profile::Busy || !dice.chance(45) {
        return;
    }
    let from = if dice.chance(75) { 24 * HOUR + 5 * MINUTE } else { hours.back + 6 * MINUTE };
    let seconds = dice.between(50, 210) * MINUTE;
    for phase in 0..3 {
        writer.load(phase, from, seconds, 2_500 + dice.between(-20, 20));
    }
}
