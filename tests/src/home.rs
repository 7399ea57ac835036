//! A household: what it uses, makes and burns in every second, and the exact registers of that. A long file, because the
//! registers, the swaps and the forced powers are one invariant, and every method keeps it.
//!
//! Power at any second is a pure function of the seed, so are the registers, and a home that is built again is the same
//! home. All bookkeeping is in integers: energy in mW·s (3 600 000 to the Wh), volume in ml. It keeps no clock; whoever
//! drives it says how far to go. It refuses to go back.
//!
//! What a person forces on it ([`Home::force`]) is remembered with its instants, so that [`Home::energy_between`] stays
//! the ground truth.

mod day;
mod household;
mod noise;
mod weather;

use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::str::FromStr;

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;

use day::Day;
pub(crate) use day::timestamp;
pub(crate) use noise::Dice;
use noise::{hash, wander};

/// mW·s in a Wh.
pub const MILLIWATT_SECONDS_PER_WATT_HOUR: u64 = 3_600_000;

/// Most rates a meter counts separately (Lithuania, Hungary).
pub const RATES: usize = 4;

const ODOMETER: u64 = 41;
const VOLTAGE: u64 = 42;
const POWER_FACTOR: u64 = 43;
const EQUIPMENT: u64 = 44;

/// A kind of household.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Three phases, 7.2 kWp, heat pump, electric car, no gas.
    Busy,
    /// One phase, one person, no panels, gas.
    Quiet,
    /// Three phases, 6.5 kWp on all of them, gas; makes more than it uses.
    Solar,
    /// Three phases, 3.6 kWp on the third, gas.
    Typical,
}

impl FromStr for Profile {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "busy" => Ok(Self::Busy),
            "quiet" => Ok(Self::Quiet),
            "solar" => Ok(Self::Solar),
            "typical" => Ok(Self::Typical),
            _ => Err("expected typical, quiet, busy or solar"),
        }
    }
}

impl Profile {
    /// Phases at the connection point: 1 or 3.
    pub const fn phase_count(self) -> usize {
        if matches!(self, Self::Quiet) { 1 } else { 3 }
    }

    /// True where gas is burnt.
    pub const fn gas(self) -> bool {
        !matches!(self, Self::Busy)
    }

    const fn heat_pump(self) -> bool {
        matches!(self, Self::Busy)
    }

    const fn people(self) -> i64 {
        match self {
            Self::Busy => 4,
            Self::Quiet => 1,
            Self::Solar => 2,
            Self::Typical => 3,
        }
    }

    const fn peak_milliwatts(self) -> i32 {
        match self {
            Self::Busy => 7_200_000,
            Self::Quiet => 0,
            Self::Solar => 6_500_000,
            Self::Typical => 3_600_000,
        }
    }

    const fn panel_phases(self) -> &'static [usize] {
        match self {
            Self::Busy | Self::Solar => &[0, 1, 2],
            Self::Quiet | Self::Typical => &[2],
        }
    }

    const fn base_milliwatts(self) -> [i32; 3] {
        match self {
            Self::Busy => [95_000, 45_000, 60_000],
            Self::Quiet => [62_000, 0, 0],
            Self::Solar => [60_000, 34_000, 48_000],
            Self::Typical => [82_000, 40_000, 62_000],
        }
    }

    const fn heat_loss_watts_per_degree(self) -> f64 {
        match self {
            Self::Busy => 190.0,
            Self::Quiet => 95.0,
            Self::Solar => 135.0,
            Self::Typical => 185.0,
        }
    }
}

/// When which register counts, by the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rates {
    /// Rate 1 by day on working days from 7 to 22, rate 2 otherwise.
    Belgian,
    /// Rate 1 (low) from 23 to 7 and at weekends, rate 2 otherwise.
    Dutch,
    /// Four rates: working day, evening, night, weekend.
    Four,
    /// Everything on rate 1.
    Single,
}

impl Rates {
    fn rate(self, weekday: Weekday, hour: i8) -> u8 {
        let weekend = matches!(weekday, Weekday::Saturday | Weekday::Sunday);
        match self {
            Self::Belgian => 1 + u8::from(weekend || !(7..22).contains(&hour)),
            Self::Dutch => 1 + u8::from(!weekend && (7..23).contains(&hour)),
            Self::Four => match hour {
                _ if weekend => 4,
                7..17 => 1,
                17..22 => 2,
                _ => 3,
            },
            Self::Single => 1,
        }
    }
}

/// Where a home is: its wall clock and its rates.
#[derive(Clone, Debug)]
pub struct Place {
    /// The home's zone.
    pub zone: TimeZone,
    /// Its schedule of rates.
    pub rates: Rates,
}

/// Everything that has been counted. Never goes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Registers {
    /// From the grid, mW·s; index 0 is rate 1.
    pub import: [u64; RATES],
    /// Into the grid, mW·s; index 0 is rate 1.
    pub export: [u64; RATES],
    /// Made by the home's own plant, mW·s.
    pub generation: u64,
    /// ml.
    pub gas: u64,
    /// ml.
    pub water: u64,
}

impl Registers {
    /// From the grid, all rates, mW·s.
    pub fn import_total(&self) -> u64 {
        self.import.iter().sum()
    }

    /// Into the grid, all rates, mW·s.
    pub fn export_total(&self) -> u64 {
        self.export.iter().sum()
    }

    fn add(&mut self, other: &Self) {
        for rate in 0..RATES {
            self.import[rate] += other.import[rate];
            self.export[rate] += other.export[rate];
        }
        self.generation += other.generation;
        self.gas += other.gas;
        self.water += other.water;
    }

    /// What was counted between `earlier` and here; zero where `earlier` is more.
    fn since(&self, earlier: &Self) -> Self {
        let each = |here: &[u64; RATES], there: &[u64; RATES]| {
            std::array::from_fn(|rate| here[rate].saturating_sub(there[rate]))
        };
        Self {
            import: each(&self.import, &earlier.import),
            export: each(&self.export, &earlier.export),
            generation: self.generation.saturating_sub(earlier.generation),
            gas: self.gas.saturating_sub(earlier.gas),
            water: self.water.saturating_sub(earlier.water),
        }
    }
}

/// Energy at the connection point over a span, mW·s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Energy {
    /// From the grid.
    pub import: u64,
    /// Into the grid.
    pub export: u64,
}

/// What flows in one second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// Net power of each phase, mW; import positive. Phases the home does not have are 0.
    pub phases: [i64; 3],
    /// Reactive power of each phase, mvar; taken from the grid positive.
    pub reactive: [i64; 3],
    /// mV.
    pub voltages: [i64; 3],
    /// mA, never negative.
    pub currents: [i64; 3],
    /// What the home's own plant makes, mW.
    pub generation: i64,
}

impl Moment {
    /// Net power at the connection point, mW; import positive.
    pub fn net(&self) -> i64 {
        self.phases.iter().sum()
    }
}

/// The highest mean import over a quarter-hour in one month.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peak {
    /// Year and month by the home's wall clock.
    pub month: (i16, i8),
    /// mW·s in that quarter-hour.
    pub import: u64,
    /// End of the quarter-hour, Unix time.
    pub at: i64,
}

/// The meter in the cupboard, as far as the registers go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Seventeen letters and digits; made up, and looks it.
    pub equipment: String,
    /// When it was put in, Unix time.
    pub since: i64,
    /// What the home had counted then.
    before: Registers,
    /// What it showed then.
    odometer: Registers,
}

/// A child meter for gas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GasMeter {
    /// Channel, from 1.
    pub channel: u8,
    /// Made up, and looks it.
    pub equipment: String,
    /// What the home had counted when it was put in, and what it showed then, ml.
    before: (u64, u64),
    /// Once replaced: the last value and its instant, ml and Unix time; of five-minute and of hourly transmission.
    frozen: Option<[(u64, i64); 2]>,
}

/// A household and its registers up to an instant.
pub struct Home {
    seed: u64,
    profile: Profile,
    place: Place,
    installed_at: i64,
    /// Up to which second everything is counted. installed_at <= second.
    second: i64,
    /// Counted since installation.
    counted: Registers,
    /// Import since the quarter-hour began that `second` lies in, mW·s.
    quarter: u64,
    /// One per month, oldest first; the last is the running month.
    peaks: Vec<Peak>,
    /// Gas and water counted at the last full five minutes and the last full hour: `(instant, gas, water)`.
    stamps: [(i64, u64, u64); 2],
    /// What `stamps` were when the child meters fell silent, while they are.
    silenced: Option<[(i64, u64, u64); 2]>,
    /// What the meter showed at the last full quarter-hour and the last full hour, or when it was put in.
    turns: [Registers; 2],
    /// Forced net power: `(from, to, mW)`, ascending, without overlap; the last may have `to` = `i64::MAX`.
    forced: Vec<(i64, i64, i64)>,
    devices: Vec<Device>,
    gas_meters: Vec<GasMeter>,
    /// The day that `second` lies in, or the one last asked for.
    today: Option<Rc<Day>>,
    /// Totals of whole days without anything forced; small, so all are kept.
    totals: BTreeMap<i64, DayTotal>,
}

#[derive(Clone, Copy)]
struct DayTotal {
    end: i64,
    counted: Registers,
    peak: Peak,
}

impl fmt::Debug for Home {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Home").field("seed", &self.seed).field("second", &self.second).finish_non_exhaustive()
    }
}

impl Home {
    /// A home whose meter was put in at `installed_at` (Unix time), with registers that the seed decides.
    pub fn new(profile: Profile, place: Place, seed: u64, installed_at: i64) -> Self {
        let mut dice = Dice::new(seed, ODOMETER, 0);
        let mut kilowatt_hours = |from, to| {
            dice.between(from, to) as u64 * 1_000 * MILLIWATT_SECONDS_PER_WATT_HOUR
                + dice.bits() % MILLIWATT_SECONDS_PER_WATT_HOUR
        };
        let mut odometer = Registers { generation: kilowatt_hours(4_000, 9_000), ..Registers::default() };
        let rates = match place.rates {
            Rates::Belgian | Rates::Dutch => 2,
            Rates::Four => 4,
            Rates::Single => 1,
        };
        for rate in 0..rates {
            odometer.import[rate] = kilowatt_hours(2_000, 7_000);
            odometer.export[rate] = if profile.peak_milliwatts() > 0 { kilowatt_hours(500, 4_000) } else { 0 };
        }
        odometer.gas = dice.between(900_000, 6_000_000) as u64;
        odometer.water = dice.between(90_000_000, 400_000_000) as u64 / 1_000;
        Self {
            seed,
            profile,
            place,
            installed_at,
            second: installed_at,
            counted: Registers::default(),
            quarter: 0,
            peaks: Vec::new(),
            stamps: [(installed_at, 0, 0); 2],
            silenced: None,
            turns: [odometer; 2],
            forced: Vec::new(),
            devices: vec![Device {
                equipment: equipment(seed, 0),
                since: installed_at,
                before: Registers::default(),
                odometer,
            }],
            gas_meters: vec![GasMeter {
                channel: 1,
                equipment: equipment(seed, 1),
                before: (0, odometer.gas),
                frozen: None,
            }],
            today: None,
            totals: BTreeMap::new(),
        }
    }

    /// What kind of household it is.
    pub const fn profile(&self) -> Profile {
        self.profile
    }

    /// Where it is.
    pub const fn place(&self) -> &Place {
        &self.place
    }

    /// Up to which second everything is counted.
    pub const fn second(&self) -> i64 {
        self.second
    }

    /// The meter that hangs there now.
    pub fn device(&self) -> &Device {
        &self.devices[self.devices.len() - 1]
    }

    /// Gas meters, the replaced ones first; empty in a home without gas.
    pub fn gas_meters(&self) -> &[GasMeter] {
        if self.profile.gas() { &self.gas_meters } else { &[] }
    }

    /// What the meter shows at [`Self::second`], exactly.
    pub fn registers(&self) -> Registers {
        self.shown(&self.counted)
    }

    /// What it showed at the last full quarter-hour; for a meter put in since, what it came with.
    pub const fn registers_of_quarter(&self) -> Registers {
        self.turns[0]
    }

    /// The same of the last full hour.
    pub const fn registers_of_hour(&self) -> Registers {
        self.turns[1]
    }

    /// Child meters send nothing more from now on, or again.
    pub fn silence_children(&mut self, silent: bool) {
        self.silenced = silent.then_some(self.silenced.unwrap_or(self.stamps));
    }

    /// Instant, gas and water of the children's last transmission.
    fn transmission(&self, hourly: bool) -> (i64, u64, u64) {
        self.silenced.unwrap_or(self.stamps)[usize::from(hourly)]
    }

    fn shown(&self, counted: &Registers) -> Registers {
        let device = self.device();
        let mut shown = device.odometer;
        shown.add(&counted.since(&device.before));
        shown
    }

    /// What a gas meter shows at its last transmission and when that was: every five minutes, or every hour.
    pub fn gas(&self, meter: &GasMeter, hourly: bool) -> (u64, i64) {
        let (at, gas, _) = self.transmission(hourly);
        match meter.frozen {
            Some(frozen) => frozen[usize::from(hourly)],
            None => (meter.before.1 + gas.saturating_sub(meter.before.0), at),
        }
    }

    /// What the water meter shows at its last transmission and when that was, in ml and Unix time.
    pub fn water(&self, hourly: bool) -> (u64, i64) {
        let (at, _, water) = self.transmission(hourly);
        (self.devices[0].odometer.water + water, at)
    }

    /// Mean import since the running quarter-hour began, as if it ended now: mW, and the month's peaks so far.
    pub fn demand(&self) -> (i64, &[Peak]) {
        ((self.quarter / 900) as i64, &self.peaks)
    }

    /// The rate that counts at [`Self::second`], from 1.
    pub fn rate(&mut self) -> u8 {
        let second = self.second;
        self.day(second).rate(second)
    }

    /// What flows in `second`: a pure function of the seed, except where something was forced.
    pub fn moment(&mut self, second: i64) -> Moment {
        let forced = self.forced_at(second);
        let day = self.day(second);
        let index = (second - day.start) as usize;
        let mut phases: [i64; 3] = std::array::from_fn(|phase| i64::from(day.phases[phase][index]));
        let generation = i64::from(day.generation[index]);
        let count = self.profile.phase_count();
        if let Some(net) = forced {
            phases = [0; 3];
            let share = net / count as i64;
            phases[..count].fill(share);
            phases[0] += net - share * count as i64;
        }
        let mut moment = Moment { phases, generation, ..Moment::default() };
        for (phase, net) in phases.into_iter().enumerate().take(count) {
            let stream = VOLTAGE + 10 * phase as u64;
            let slow = (wander(self.seed, stream, second, 1_100) * 9_000.0) as i64;
            let quick = (hash(self.seed, stream + 1, second) % 500) as i64;
            // A fifth of an ohm between the transformer and here: import pulls the voltage down, export lifts it.
            let drop = net / 230 * 18 / 100;
            let voltage = (227_000 + slow + quick - drop).clamp(200_000, 253_000);
            // Motors take, electronics give: reactive power wanders around a twentieth of the active.
            let lean = (wander(self.seed, POWER_FACTOR + 10 * phase as u64, second, 420) * 240_000.0) as i64 - 120_000;
            let reactive = lean + net.abs() / 20;
            let apparent = ((net.pow(2) + reactive.pow(2)) as u64).isqrt() as i64;
            moment.voltages[phase] = voltage;
            moment.reactive[phase] = reactive;
            moment.currents[phase] = apparent * 1_000 / voltage;
        }
        moment
    }

    /// Forces the net power at the connection point from `from` on, split evenly over the phases; `None` ends it.
    ///
    /// `from` must not lie before [`Self::second`]: what is counted stays counted; an earlier instant is taken as now.
    pub fn force(&mut self, from: i64, net_milliwatts: Option<i64>) {
        let from = from.max(self.second);
        if let Some(last) = self.forced.last_mut() {
            last.1 = last.1.min(from);
        }
        if let Some(net) = net_milliwatts {
            self.forced.push((from, i64::MAX, net));
        }
    }

    /// Replaces the electricity meter now. The new one starts at `used_watt_hours` on its first rate and 0 on all others;
    /// the same gas meter is found on another channel afterwards, and its old channel stays frozen beside it.
    pub fn swap_meter(&mut self, used_watt_hours: u64) {
        let mut odometer = Registers::default();
        odometer.import[0] = used_watt_hours * MILLIWATT_SECONDS_PER_WATT_HOUR;
        odometer.generation = self.registers().generation;
        let number = 10 * self.devices.len() as i64;
        self.devices.push(Device {
            equipment: equipment(self.seed, number),
            since: self.second,
            before: self.counted,
            odometer,
        });
        self.turns = [odometer; 2];
        self.quarter = 0;
        self.peaks.clear();
        self.move_gas(None);
    }

    /// Replaces the gas meter now; the new one starts at 0 on the next channel, the old one stays frozen beside it.
    pub fn swap_gas_meter(&mut self) {
        self.move_gas(Some(equipment(self.seed, 1 + 10 * self.gas_meters.len() as i64)));
    }

    fn move_gas(&mut self, new: Option<String>) {
        let mut next = self.gas_meters[self.gas_meters.len() - 1].clone();
        let frozen = [false, true].map(|hourly| self.gas(&next, hourly));
        if let Some(old) = self.gas_meters.last_mut() {
            old.frozen = Some(frozen);
        }
        // Channel 2 is the water meter's.
        next.channel = if next.channel == 1 { 3 } else { next.channel + 1 };
        if let Some(equipment) = new {
            next.equipment = equipment;
            next.before = (self.counted.gas, 0);
        }
        self.gas_meters.push(next);
        // M-Bus has four channels; the oldest one is forgotten.
        if self.gas_meters.len() > 2 {
            self.gas_meters.remove(0);
        }
    }

    /// Counts everything up to `second`. An instant that is already counted changes nothing.
    pub fn advance_to(&mut self, second: i64) {
        while self.second < second {
            let from = self.second;
            if let Some(total) = self.whole_day(from, second) {
                self.counted.add(&total.counted);
                self.merge_peak(total.peak);
                self.quarter = 0;
                self.second = total.end;
                // The last transmission of a whole day is the one at its end.
                self.stamps = [(total.end, self.counted.gas, self.counted.water); 2];
                self.turns = [self.registers(); 2];
                continue;
            }
            let to = second.min((from.div_euclid(300) + 1) * 300);
            self.count(from, to);
        }
    }

    /// Energy at the connection point over `[from, to)`, added up from scratch: the ground truth for any total.
    pub fn energy_between(&mut self, from: i64, to: i64) -> Energy {
        let mut energy = Energy::default();
        let mut at = from;
        while at < to {
            if let Some(total) = self.whole_day(at, to) {
                energy.import += total.counted.import_total();
                energy.export += total.counted.export_total();
                at = total.end;
                continue;
            }
            let net = self.net(at);
            energy.import += net.max(0).unsigned_abs();
            energy.export += net.min(0).unsigned_abs();
            at += 1;
        }
        energy
    }

    /// Net power in `second`, mW: [`Self::moment`] without the rest.
    pub fn net(&mut self, second: i64) -> i64 {
        if let Some(forced) = self.forced_at(second) {
            return forced;
        }
        let day = self.day(second);
        let index = (second - day.start) as usize;
        day.phases.iter().map(|phase| i64::from(phase[index])).sum()
    }

    /// Counts `[from, to)`, which lies within one five-minute span and one day.
    fn count(&mut self, from: i64, to: i64) {
        let day = self.day(from);
        let rate = usize::from(day.rate(from) - 1);
        for second in from..to {
            let net = self.net(second);
            self.counted.import[rate] += net.max(0).unsigned_abs();
            self.counted.export[rate] += net.min(0).unsigned_abs();
            self.quarter += net.max(0).unsigned_abs();
            self.counted.generation += day.generation[(second - day.start) as usize].unsigned_abs() as u64;
        }
        self.counted.gas += day.gas.iter().map(|flow| flow.within(from, to)).sum::<i64>().unsigned_abs();
        self.counted.water += day.water.iter().map(|flow| flow.within(from, to)).sum::<i64>().unsigned_abs();
        self.second = to;
        for (stamp, period) in self.stamps.iter_mut().zip([300, 3_600]) {
            if to.rem_euclid(period) == 0 {
                *stamp = (to, self.counted.gas, self.counted.water);
            }
        }
        for (index, period) in [900, 3_600].into_iter().enumerate() {
            if to.rem_euclid(period) == 0 {
                self.turns[index] = self.registers();
            }
        }
        if to.rem_euclid(900) == 0 {
            let month = (day.date.year(), day.date.month());
            self.merge_peak(Peak { month, import: self.quarter, at: to });
            self.quarter = 0;
        }
    }

    fn merge_peak(&mut self, peak: Peak) {
        match self.peaks.last_mut() {
            Some(last) if last.month == peak.month => {
                if peak.import > last.import {
                    *last = peak;
                }
            }
            _ => self.peaks.push(peak),
        }
        // The running month and the thirteen before it.
        if self.peaks.len() > 14 {
            self.peaks.remove(0);
        }
    }

    fn forced_at(&self, second: i64) -> Option<i64> {
        let (from, to, net) = self.forced.iter().rev().find(|(from, _, _)| *from <= second)?;
        (*from..*to).contains(&second).then_some(*net)
    }

    /// The totals of the day that starts at `from` and ends no later than `limit`, unless something is forced in it.
    fn whole_day(&mut self, from: i64, limit: i64) -> Option<DayTotal> {
        let total = match self.totals.get(&from) {
            Some(total) => *total,
            None => {
                // A day is at least 23 hours; spares asking for the day each time.
                if limit - from < 82_800 {
                    return None;
                }
                let day = self.day(from);
                if day.start != from {
                    return None;
                }
                let total = total(&day);
                self.totals.insert(from, total);
                total
            }
        };
        let forced = self.forced.iter().any(|(start, end, _)| *start < total.end && *end > from);
        (total.end <= limit && !forced).then_some(total)
    }

    fn day(&mut self, second: i64) -> Rc<Day> {
        if let Some(day) = &self.today
            && (day.start..day.end()).contains(&second)
        {
            return Rc::clone(day);
        }
        let date: Date = self.place.zone.to_datetime(timestamp(second)).date();
        let day = Rc::new(Day::new(self.seed, self.profile, &self.place.zone, self.place.rates, date));
        self.today = Some(Rc::clone(&day));
        day
    }

    /// When the first meter was put in, Unix time.
    pub const fn installed_at(&self) -> i64 {
        self.installed_at
    }
}

fn total(day: &Day) -> DayTotal {
    let mut counted = Registers::default();
    let mut peak = Peak { month: (day.date.year(), day.date.month()), import: 0, at: day.start + 900 };
    let [first, second, third] = &day.phases;
    for (quarter, ((first, second), third)) in
        first.chunks(900).zip(second.chunks(900)).zip(third.chunks(900)).enumerate()
    {
        let start = day.start + 900 * quarter as i64;
        let rate = usize::from(day.rate(start) - 1);
        let (mut import, mut export) = (0, 0);
        for ((first, second), third) in first.iter().zip(second).zip(third) {
            let net = first + second + third;
            import += i64::from(net.max(0));
            export -= i64::from(net.min(0));
        }
        counted.import[rate] += import.unsigned_abs();
        counted.export[rate] += export.unsigned_abs();
        if import.unsigned_abs() > peak.import {
            peak = Peak { import: import.unsigned_abs(), at: start + 900, ..peak };
        }
    }
    counted.generation = day.generation.iter().map(|made| u64::from(made.unsigned_abs())).sum();
    let flow =
        |flows: &[day::Flow]| flows.iter().map(|flow| flow.within(day.start, day.end())).sum::<i64>().unsigned_abs();
    counted.gas = flow(&day.gas);
    counted.water = flow(&day.water);
    DayTotal { end: day.end(), counted, peak }
}

/// A made-up serial number: begins with SIM, which no maker uses.
fn equipment(seed: u64, number: i64) -> String {
    format!("SIM{:014}", hash(seed, EQUIPMENT, number) % 100_000_000_000_000)
}

#[cfg(test)]
mod tests;
