//! One metering point as the recorder keeps it: its books, its device, its newest reading.

mod fill;
mod restore;

use std::collections::BTreeMap;

use contract::live::{Clock, Latest, MeterId, PhaseState, PointId, PointKind, PointState, Register};
use meter_link::country::Country;
use meter_link::diagnosis::CLOCK_TOLERANCE_MILLISECONDS;
use meter_link::meter::Arrived;
use meter_link::obis::Obis;
use meter_link::reading::{Flow, Measured, Medium, Phase, Quantity, Reading, Trust};
use meter_link::units::{Milliamperes, Millilitres, Millivolts, MilliwattHours, Milliwatts};
use rusqlite::{Transaction, params};

pub(super) use restore::load;

use crate::books::{Book, Event, Limit, Suspect};
use crate::history::gap_after;
use crate::store::StoreError;

/// Telegrams in a row that must name a new device before it is believed: one may be garbled where no checksum guards it.
const CERTAIN_DEVICE: u32 = 3;
/// A child meter that is this much older than another of its kind is frozen: it was replaced.
const FROZEN_AFTER: i64 = 2 * 3_600_000;

/// A metering point.
#[derive(Clone, Debug)]
pub(super) struct Point {
    pub(super) id: PointId,
    pub(super) kind: PointKind,
    pub(super) meter: Option<MeterId>,
    /// The device's identifier, as last believed.
    equipment: Option<String>,
    country: Option<Country>,
    /// Books by direction and rate.
    books: BTreeMap<(Side, u8), Book>,
    /// Totals booked so far; only ever rise.
    booked: [Option<i64>; 2],
    /// The newest reading kept.
    last_at: Option<i64>,
    /// The meter's own stamp of the newest reading and when it came, to notice a clock that stands.
    last_stamp: Option<(i64, i64)>,
    /// Whether the newest reading had to carry the host's time although the meter sent one.
    clock_wrong: bool,
    /// A device that was named and is not believed yet, with the registers it began with.
    newcomer: Option<Newcomer>,
    latest: Option<Latest>,
}

/// A device that may have replaced the one believed.
#[derive(Clone, Debug)]
struct Newcomer {
    equipment: String,
    count: u32,
    began: BTreeMap<(Side, u8), i64>,
}

/// Direction of a register. Volumes and heat only come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    Import,
    Export,
}

impl Side {
    const fn name(self) -> &'static str {
        match self {
            Self::Import => "import",
            Self::Export => "export",
        }
    }
}

/// What happened to the data, before it is written.
struct Happened {
    kind: &'static str,
    start: i64,
    end: i64,
    import: Option<i64>,
    export: Option<i64>,
}

/// Whether a quantity is the electricity meter's own.
pub(super) fn is_electric(quantity: Quantity) -> bool {
    matches!(
        quantity,
        Quantity::ActiveEnergy(..) | Quantity::ActivePower(..) | Quantity::Voltage(_) | Quantity::Current(_)
    )
}

impl Point {
    /// Begins a point.
    pub(super) fn create(transaction: &Transaction<'_>, kind: PointKind, meter: MeterId) -> Result<Self, StoreError> {
        transaction.execute("INSERT INTO point (kind, meter) VALUES (?, ?)", params![kind_name(kind), meter.0])?;
        Ok(Self::blank(PointId(transaction.last_insert_rowid()), kind, Some(meter)))
    }

    fn blank(id: PointId, kind: PointKind, meter: Option<MeterId>) -> Self {
        Self {
            id,
            kind,
            meter,
            equipment: None,
            country: None,
            books: BTreeMap::new(),
            booked: [None; 2],
            last_at: None,
            last_stamp: None,
            clock_wrong: false,
            newcomer: None,
            latest: None,
        }
    }

    /// What screens see.
    pub(super) fn state(&self) -> PointState {
        PointState { id: self.id, kind: self.kind, meter: self.meter, latest: self.latest.clone() }
    }

    /// The newest reading kept.
    pub(super) const fn last_at(&self) -> Option<i64> {
        self.last_at
    }

    /// Books a reading and writes what it adds. False if it adds nothing (a repeated or late one).
    pub(super) fn hear(&mut self, transaction: &Transaction<'_>, arrived: &Arrived) -> Result<bool, StoreError> {
        let reading = &arrived.reading;
        let Some(values) = self.own_values(reading) else { return Ok(false) };
        let (at, clock) = self.instant(arrived, &values);
        if self.last_at.is_some_and(|last| at <= last) {
            // A child repeats its hourly value every second; a meter's clock may have been set back.
            return Ok(false);
        }
        let mut happened = Vec::new();
        if clock == Clock::Host
            && self.clock_wrong
            && self.latest.as_ref().is_none_or(|latest| latest.clock == Clock::Meter)
        {
            happened.push(Happened { kind: "clock_wrong", start: at, end: at, import: None, export: None });
        }
        let equipment = self.named_equipment(reading, &values);
        let registers = registers(self.kind, &values);
        let before = self.booked;
        self.book(&registers, equipment, at, &mut happened);
        if let Some(last) = self.last_at.filter(|last| at - last > gap_after(self.kind)) {
            let rise = |side: usize| Some(self.booked[side]? - before[side]?);
            happened.push(Happened { kind: "gap", start: last, end: at, import: rise(0), export: rise(1) });
        }
        self.country = reading.country.or(self.country);
        self.latest = Some(self.latest(reading, &values, at, clock));
        self.write(transaction, &registers, at, &happened)?;
        self.last_at = Some(at);
        Ok(true)
    }

    /// The values that belong to this point: the meter's own, or those of the child that lives.
    fn own_values(&self, reading: &Reading) -> Option<Vec<Measured>> {
        let channel = match self.medium() {
            None => 0,
            Some(medium) => self.living_child(reading, medium)?,
        };
        Some(reading.values.iter().copied().filter(|value| value.channel == channel).collect())
    }

    const fn medium(&self) -> Option<Medium> {
        match self.kind {
            PointKind::Connection | PointKind::Generation => None,
            PointKind::Gas => Some(Medium::Gas),
            PointKind::Heat => Some(Medium::Heat),
            PointKind::Water => Some(Medium::Water),
        }
    }

    /// The channel of the child to believe: the device known, unless another of its kind is far newer (it is frozen then).
    fn living_child(&self, reading: &Reading, medium: Medium) -> Option<u8> {
        let stamp = |channel: u8| {
            let value = reading.values.iter().find(|value| value.channel == channel)?;
            Some(value.meter_time.map_or(i64::MIN, |time| time.unix_milliseconds))
        };
        let mut living: Option<(u8, i64, bool)> = None;
        for child in reading.children.iter().filter(|child| child.medium == medium) {
            let Some(stamp) = stamp(child.channel) else { continue };
            let known = child.equipment.as_ref().is_some_and(|equipment| self.equipment.as_ref() == Some(&equipment.0));
            let better = match living {
                None => true,
                Some((_, best, best_known)) if best_known => stamp.saturating_sub(best) > FROZEN_AFTER,
                Some((_, best, _)) => (known && best.saturating_sub(stamp) <= FROZEN_AFTER) || stamp > best,
            };
            if better {
                living = Some((child.channel, stamp, known));
            }
        }
        living.map(|(channel, ..)| channel)
    }

    /// When the reading is: the meter's own time where it can be believed.
    fn instant(&mut self, arrived: &Arrived, values: &[Measured]) -> (i64, Clock) {
        let host = arrived.arrived_utc_milliseconds;
        let stamp = match self.medium() {
            None => arrived.reading.meter_time,
            Some(_) => values.iter().find_map(|value| value.meter_time),
        };
        let Some(stamp) = stamp.map(|time| time.unix_milliseconds) else {
            self.clock_wrong = false;
            return (host, Clock::Host);
        };
        if self.medium().is_some() {
            // A child's value is minutes or hours old by nature; only the future, or a month, is nonsense. Meters stamp it
            // some seconds after the hour that it closes, so it is brought back to the minute.
            let sane = !arrived.live || (-31 * 86_400_000..CLOCK_TOLERANCE_MILLISECONDS).contains(&(stamp - host));
            self.clock_wrong = !sane;
            return if sane { (stamp - stamp.rem_euclid(60_000), Clock::Meter) } else { (host, Clock::Host) };
        }
        let standing = self.last_stamp.is_some_and(|(last, came)| last == stamp && host - came > 1_500);
        if self.last_stamp.is_none_or(|(last, _)| last != stamp) {
            self.last_stamp = Some((stamp, host));
        }
        self.clock_wrong = arrived.live && ((stamp - host).abs() > CLOCK_TOLERANCE_MILLISECONDS || standing);
        if self.clock_wrong { (host, Clock::Host) } else { (stamp, Clock::Meter) }
    }

    /// The device this reading names for the point.
    fn named_equipment(&self, reading: &Reading, values: &[Measured]) -> Option<String> {
        let channel = values.first().map_or(0, |value| value.channel);
        let equipment = match channel {
            0 => reading.equipment.as_ref(),
            _ => reading
                .children
                .iter()
                .find(|child| child.channel == channel)
                .and_then(|child| child.equipment.as_ref()),
        };
        equipment.map(|equipment| equipment.0.clone()).filter(|equipment| !equipment.is_empty())
    }

    /// Enters the registers, or decides that another device hangs here.
    fn book(
        &mut self,
        registers: &[(Side, u8, Obis, i64)],
        equipment: Option<String>,
        at: i64,
        happened: &mut Vec<Happened>,
    ) {
        if let (Some(named), Some(believed)) = (&equipment, &self.equipment)
            && named != believed
        {
            self.meet(named.clone(), registers, at, happened);
            return;
        }
        self.newcomer = None;
        self.equipment = equipment.or(self.equipment.take());
        let limit = limit(self.kind);
        let mut rises: BTreeMap<(Side, bool), i64> = BTreeMap::new();
        for &(side, rate, _, value) in registers {
            let Some(book) = self.books.get_mut(&(side, rate)) else {
                self.books.insert((side, rate), Book::open(value, at));
                continue;
            };
            let entry = book.enter(value, at, limit);
            *rises.entry((side, rate == 0)).or_default() += entry.increment;
            if let Some(event) = entry.event {
                let (kind, since) = match event {
                    Event::Jump { since } => ("jump", since),
                    Event::Reset { since } => ("reset", since),
                    Event::Spike { since } => ("spike", since),
                };
                happened.push(Happened { kind, start: since, end: at, import: None, export: None });
            }
        }
        self.raise(&rises, registers);
    }

    /// Raises the totals: by the meter's own total register where it has one, else by the sum of its rates.
    fn raise(&mut self, rises: &BTreeMap<(Side, bool), i64>, registers: &[(Side, u8, Obis, i64)]) {
        for (side, total) in [(Side::Import, 0), (Side::Export, 1)] {
            if registers.iter().any(|(of, ..)| *of == side) {
                let rise = rises.get(&(side, true)).or_else(|| rises.get(&(side, false))).copied().unwrap_or(0);
                self.booked[total] = Some(self.booked[total].unwrap_or(0) + rise);
            }
        }
    }

    /// Another device is named. Nothing is booked until it is certain; then its books begin with its first registers.
    fn meet(&mut self, named: String, registers: &[(Side, u8, Obis, i64)], at: i64, happened: &mut Vec<Happened>) {
        let newcomer = match self.newcomer.take() {
            Some(mut newcomer) if newcomer.equipment == named => {
                newcomer.count += 1;
                newcomer
            }
            _ => {
                let began = registers.iter().map(|&(side, rate, _, value)| ((side, rate), value)).collect();
                Newcomer { equipment: named, count: 1, began }
            }
        };
        if newcomer.count < CERTAIN_DEVICE {
            self.newcomer = Some(newcomer);
            return;
        }
        happened.push(Happened {
            kind: "swap",
            start: self.last_at.unwrap_or(at),
            end: at,
            import: None,
            export: None,
        });
        let mut rises: BTreeMap<(Side, bool), i64> = BTreeMap::new();
        self.books.retain(|key, _| newcomer.began.contains_key(key));
        for &(side, rate, _, value) in registers {
            let began = newcomer.began.get(&(side, rate)).copied().unwrap_or(value);
            let book = self.books.entry((side, rate)).or_insert_with(|| Book::open(began, at));
            *rises.entry((side, rate == 0)).or_default() += book.replace(began, value, at);
        }
        self.raise(&rises, registers);
        self.equipment = Some(newcomer.equipment);
    }

    fn latest(&self, reading: &Reading, values: &[Measured], at: i64, clock: Clock) -> Latest {
        let amount = |quantity: Quantity| {
            values.iter().find(|value| value.quantity == quantity).and_then(|value| value.value.thousandths())
        };
        let net = |phase: Phase| {
            let (import, export) = (
                amount(Quantity::ActivePower(Flow::Import, phase)),
                amount(Quantity::ActivePower(Flow::Export, phase)),
            );
            let both = match (import, export) {
                (None, None) => amount(Quantity::ActivePower(Flow::Net, phase))?,
                _ => import.unwrap_or(0) - export.unwrap_or(0),
            };
            Milliwatts::new(both)
        };
        let phases = [Phase::L1, Phase::L2, Phase::L3].into_iter().map(|phase| PhaseState {
            phase,
            power_milliwatts: net(phase),
            voltage_millivolts: amount(Quantity::Voltage(phase)).and_then(Millivolts::new),
            current_milliamperes: amount(Quantity::Current(phase)).and_then(Milliamperes::new),
        });
        let registers = registers(self.kind, values);
        let electric = self.medium().is_none();
        let volume = || registers.first().and_then(|(.., value)| Millilitres::new(*value));
        Latest {
            at_utc_milliseconds: at,
            clock,
            trust: reading.trust,
            power_milliwatts: net(Phase::Total),
            phases: phases
                .filter(|phase| {
                    phase.power_milliwatts.is_some()
                        || phase.voltage_millivolts.is_some()
                        || phase.current_milliamperes.is_some()
                })
                .collect(),
            registers: match electric {
                true => registers.iter().filter_map(|register| self.shown(register)).collect(),
                false => Vec::new(),
            },
            rate: amount(Quantity::Rate).and_then(|rate| u8::try_from(rate / 1_000).ok()),
            volume_millilitres: matches!(self.kind, PointKind::Gas | PointKind::Water).then(volume).flatten(),
            heat_joules: (self.kind == PointKind::Heat).then(|| registers.first().map(|(.., value)| *value)).flatten(),
        }
    }

    fn shown(&self, &(side, rate, obis, value): &(Side, u8, Obis, i64)) -> Option<Register> {
        Some(Register {
            obis: obis.to_string(),
            flow: if side == Side::Import { Flow::Import } else { Flow::Export },
            rate,
            rate_name: self.country.and_then(|country| country.rate_name(rate)),
            total_milliwatt_hours: MilliwattHours::new(value)?,
        })
    }

    fn write(
        &self,
        transaction: &Transaction<'_>,
        registers: &[(Side, u8, Obis, i64)],
        at: i64,
        happened: &[Happened],
    ) -> Result<(), StoreError> {
        let Some(latest) = &self.latest else { return Ok(()) };
        let phase = |phase: Phase| latest.phases.iter().find(|state| state.phase == phase);
        let power = |of: Phase| phase(of).and_then(|state| state.power_milliwatts).map(Milliwatts::count);
        let voltage = |of: Phase| phase(of).and_then(|state| state.voltage_millivolts).map(Millivolts::count);
        let current = |of: Phase| phase(of).and_then(|state| state.current_milliamperes).map(Milliamperes::count);
        transaction
            .prepare_cached("INSERT INTO reading VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")?
            .execute(params![
                self.id.0,
                at,
                i64::from(latest.clock == Clock::Meter),
                trust_number(latest.trust),
                self.booked[0],
                self.booked[1],
                latest.power_milliwatts.map(Milliwatts::count),
                power(Phase::L1),
                power(Phase::L2),
                power(Phase::L3),
                voltage(Phase::L1),
                voltage(Phase::L2),
                voltage(Phase::L3),
                current(Phase::L1),
                current(Phase::L2),
                current(Phase::L3),
            ])?;
        for &(side, rate, _, value) in registers {
            // Only when it changed: a register stands still most seconds.
            transaction
                .prepare_cached(
                    "INSERT INTO register SELECT ?1, ?2, ?3, ?4, ?5 WHERE ?5 IS NOT (
                         SELECT value FROM register WHERE point = ?1 AND flow = ?2 AND rate = ?3
                         ORDER BY at_utc_milliseconds DESC LIMIT 1)",
                )?
                .execute(params![self.id.0, side.name(), rate, at, value])?;
        }
        transaction.prepare_cached("DELETE FROM book WHERE point = ?")?.execute([self.id.0])?;
        for ((side, rate), book) in &self.books {
            transaction.prepare_cached("INSERT INTO book VALUES (?, ?, ?, ?, ?, ?, ?)")?.execute(params![
                self.id.0,
                side.name(),
                rate,
                book.believed,
                book.believed_at,
                book.booked,
                book.suspect.map(print_suspect),
            ])?;
        }
        for fact in happened {
            transaction
                .prepare_cached(
                    "INSERT INTO fact (point, kind, start_utc_milliseconds, end_utc_milliseconds,
                         import_milliwatt_hours, export_milliwatt_hours) VALUES (?, ?, ?, ?, ?, ?)",
                )?
                .execute(params![self.id.0, fact.kind, fact.start, fact.end, fact.import, fact.export])?;
        }
        let country = self.country.and_then(|country| serde_json::to_string(&country).ok());
        transaction
            .prepare_cached(
                "UPDATE point SET equipment = ?2, country = ?3 WHERE id = ?1
                 AND (equipment IS NOT ?2 OR country IS NOT ?3)",
            )?
            .execute(params![self.id.0, self.equipment, country])?;
        Ok(())
    }
}

/// The registers that are booked, in the smallest unit: mWh, ml, J.
fn registers(kind: PointKind, values: &[Measured]) -> Vec<(Side, u8, Obis, i64)> {
    let mut registers: Vec<(Side, u8, Obis, i64)> = Vec::new();
    for value in values.iter().filter(|value| value.obis.f == 255) {
        let found = match (kind, value.quantity) {
            (PointKind::Connection | PointKind::Generation, Quantity::ActiveEnergy(Flow::Import, rate)) => {
                value.value.thousandths().map(|count| (Side::Import, rate, count))
            }
            (PointKind::Connection | PointKind::Generation, Quantity::ActiveEnergy(Flow::Export, rate)) => {
                value.value.thousandths().map(|count| (Side::Export, rate, count))
            }
            // m³ × 10^6 = ml.
            (PointKind::Gas | PointKind::Water, Quantity::Volume) => {
                value.value.scaled(3).and_then(|litres| litres.thousandths()).map(|count| (Side::Import, 0, count))
            }
            (PointKind::Heat, Quantity::Heat) => {
                value.value.thousandths().map(|count| (Side::Import, 0, count / 1_000))
            }
            _ => None,
        };
        // The first of a code counts; a repeated line is a merged telegram's.
        if let Some((side, rate, count)) = found
            && !registers.iter().any(|(other, of, ..)| (*other, *of) == (side, rate))
        {
            registers.push((side, rate, value.obis, count));
        }
    }
    registers
}

const fn limit(kind: PointKind) -> Limit {
    match kind {
        PointKind::Connection | PointKind::Generation => Limit::ELECTRICITY,
        PointKind::Gas | PointKind::Water => Limit::VOLUME,
        PointKind::Heat => Limit::HEAT,
    }
}

const fn trust_number(trust: Trust) -> i64 {
    match trust {
        Trust::Unverified => 0,
        Trust::Checked => 1,
        Trust::Authenticated => 2,
    }
}

const fn kind_name(kind: PointKind) -> &'static str {
    match kind {
        PointKind::Connection => "connection",
        PointKind::Generation => "generation",
        PointKind::Gas => "gas",
        PointKind::Water => "water",
        PointKind::Heat => "heat",
    }
}

fn print_suspect(suspect: Suspect) -> String {
    let Suspect { first, since, last, last_at, count } = suspect;
    format!("{first} {since} {last} {last_at} {count}")
}
