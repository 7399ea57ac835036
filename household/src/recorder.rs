//! The single writer: what meters say becomes committed history, then news.
//!
//! One thread owns the writing connection and everything that decides what is booked. For each reading: find its points,
//! book its registers, commit, and only then change what screens see. A reading that cannot be committed is not announced;
//! it waits in memory, the newest hour of them.

pub(crate) mod refused;

mod keys;
mod line;
mod pairing;
mod point;
mod protection;
mod replacement;
mod roster;
mod sending;
mod stored;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use contract::calls::{AddMeter, ReplaceMeterKeys, SetMeterLogin};
use contract::error::{CallError, ErrorCode};
use contract::live::{Home, MeterId, MeterState, PointKind, Recording, Role, Today};
use contract::notice::Notice;
use contract::security::{KeyReplacementState, KeyReplacementTrouble};
use jiff::Timestamp;
use meter_link::diagnosis::{Finding, diagnose};
use meter_link::dlms_client::key_change::{Ended, KeyChange};
use meter_link::health::Health;
use meter_link::link::source::Source;
use meter_link::meter::{Arrived, MeterEvent, Refused};
use meter_link::reading::{LoadProfile, Medium, Reading};
use meter_link::security::key::Suite;
use meter_link::security::{Counter, KeyPair};
use meter_link::standing::Standing;
use rusqlite::{Connection, Transaction, params};
use tokio::sync::{mpsc, oneshot};

use crate::calendar::{Calendar, Interval};
use crate::history;
use crate::home::{MeterOrder, OpenChange, PairingEvent};
use crate::key_policy::KeyPolicy;
use crate::live::{LastHour, Live, State};
use crate::secrets::Secrets;
use crate::store::{Store, StoreError};
use pairing::LFDI;
use point::Point;
use protection::{Protection, Verdict};
use replacement::Replacement;

/// Readings that wait while the disk is full: an hour of one a second.
const WAITING_ROOM: usize = 3_600;

/// What the recorder is asked to do.
#[derive(Debug)]
pub(crate) enum Command {
    AddMeter(AddMeter, oneshot::Sender<Result<MeterId, CallError>>),
    EndKeyChange(MeterId, i64, Box<Ended>, oneshot::Sender<Result<(), CallError>>),
    /// What a meter's task told, and the host's clock.
    Event(MeterId, MeterEvent),
    HaltKeyChange(MeterId, i64, KeyReplacementTrouble),
    HearCounter(MeterId, Counter, oneshot::Sender<Result<(), CallError>>),
    KeepKeyChange(MeterId, Box<OpenChange>, oneshot::Sender<Result<(), CallError>>),
    OpenChange(MeterId, oneshot::Sender<Result<Option<OpenChange>, CallError>>),
    PairMeter(MeterId, bool, oneshot::Sender<Result<(), CallError>>),
    /// How a pairing goes on, as the host tells.
    Pairing(MeterId, PairingEvent),
    ProposeKeys(MeterId, Box<OpenChange>, Suite, oneshot::Sender<Result<Option<KeyChange>, CallError>>),
    ReadAgain(MeterId, oneshot::Sender<Result<(), CallError>>),
    RemoveMeter(MeterId, oneshot::Sender<Result<Option<Leaving>, CallError>>),
    ReplaceMeterKeys(ReplaceMeterKeys, oneshot::Sender<Result<KeyReplacementState, CallError>>),
    SetMeterKey(MeterId, KeyPair, oneshot::Sender<Result<(), CallError>>),
    SetMeterLogin(SetMeterLogin, oneshot::Sender<Result<(), CallError>>),
    SetZone(String, oneshot::Sender<Result<(), CallError>>),
    StopPairing(MeterId, oneshot::Sender<Result<(), CallError>>),
    StopKeyReplacement(MeterId, oneshot::Sender<Result<(), CallError>>),
    /// A second has passed.
    Tick,
}

/// Comes when the device of a removed meter was asked to forget us: whether it has.
pub(crate) type Leaving = oneshot::Receiver<bool>;

/// What waits until the disk takes it.
#[derive(Clone)]
enum Waiting {
    Profile(Box<LoadProfile>),
    Reading(Box<Arrived>),
    Refused(Box<Refused>),
}

/// The writer and all it needs to decide.
pub(crate) struct Recorder {
    writer: Connection,
    /// Keeps the folder locked until the writer is closed: declared after it, so dropped after it.
    _store: Store,
    secrets: Secrets,
    identity: String,
    calendar: Calendar,
    points: Vec<Point>,
    live: Live,
    orders: mpsc::UnboundedSender<MeterOrder>,
    waiting: VecDeque<(MeterId, Waiting)>,
    /// What protects each paired meter.
    protections: BTreeMap<MeterId, Protection>,
    /// The replacement of each paired meter's keys.
    replacements: BTreeMap<MeterId, Replacement>,
    standings: BTreeMap<MeterId, Standing>,
    key_policy: KeyPolicy,
    now: fn() -> i64,
}

impl Recorder {
    /// Reads the home's last state from the database.
    pub(crate) fn open(
        mut writer: Connection,
        store: Store,
        secrets: Secrets,
        identity: String,
        mut home: Home,
        orders: mpsc::UnboundedSender<MeterOrder>,
        now: fn() -> i64,
    ) -> Result<(Self, Live), StoreError> {
        let calendar = zone(&mut writer)?;
        home.zone = calendar.name().to_owned();
        let points = point::load(&writer)?;
        let mut meters = roster::meters(&writer)?;
        let lfdi = setting(&writer, LFDI)?;
        for meter in meters.iter_mut().filter(|meter| pairing::is_registered(meter)) {
            meter.lfdi.clone_from(&lfdi);
        }
        let state = State {
            meters: meters.into_iter().map(|meter| (meter.id, meter)).collect(),
            points: points.iter().map(|point| (point.id, point.state())).collect(),
            today: Today::default(),
            last_hour: LastHour::default(),
            home,
        };
        let live = Live::new(state);
        let key_policy = KeyPolicy::load(&writer)?;
        let mut recorder = Self {
            writer,
            _store: store,
            secrets,
            identity,
            calendar,
            points,
            live: live.clone(),
            orders,
            waiting: VecDeque::new(),
            protections: BTreeMap::new(),
            replacements: BTreeMap::new(),
            standings: BTreeMap::new(),
            key_policy,
            now,
        };
        recorder.refresh()?;
        for meter in recorder.live.look(|state| state.meters.values().cloned().collect::<Vec<_>>()) {
            recorder.protect(meter.id)?;
            recorder.begin(&meter);
        }
        Ok((recorder, live))
    }

    /// Works until nobody can ask any more.
    pub(crate) fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        while let Some(command) = commands.blocking_recv() {
            match command {
                Command::AddMeter(request, reply) => drop(reply.send(self.add_meter(&request))),
                Command::Event(meter, MeterEvent::CountersWanted(wanted)) => self.reserve(meter, *wanted),
                Command::Event(meter, MeterEvent::Health(health)) => self.hear_health(meter, *health),
                Command::Event(meter, MeterEvent::Profile(profile)) => self.hear(meter, Waiting::Profile(profile)),
                Command::Event(meter, MeterEvent::Reading(arrived)) => self.hear(meter, Waiting::Reading(arrived)),
                Command::Event(meter, MeterEvent::Refused(refused)) => self.hear(meter, Waiting::Refused(refused)),
                Command::OpenChange(meter, reply) => drop(reply.send(Ok(self.open_change(meter)))),
                Command::PairMeter(meter, trust_anew, reply) => drop(reply.send(self.pair_meter(meter, trust_anew))),
                Command::Pairing(meter, event) => self.hear_pairing(meter, event),
                Command::ReadAgain(meter, reply) => drop(reply.send(self.read_again(meter))),
                Command::EndKeyChange(meter, number, ended, reply) => {
                    drop(reply.send(self.end_key_change(meter, number, &ended)));
                }
                Command::HaltKeyChange(meter, number, trouble) => self.halt_key_change(meter, number, trouble),
                Command::HearCounter(meter, counter, reply) => drop(reply.send(self.hear_counter(meter, counter))),
                Command::KeepKeyChange(meter, open, reply) => drop(reply.send(self.keep_key_change(meter, &open))),
                Command::ProposeKeys(meter, open, suite, reply) => {
                    drop(reply.send(self.propose_keys(meter, &open, suite)));
                }
                Command::RemoveMeter(meter, reply) => drop(reply.send(self.remove_meter(meter))),
                Command::ReplaceMeterKeys(request, reply) => drop(reply.send(self.replace_meter_keys(&request))),
                Command::SetMeterKey(meter, keys, reply) => drop(reply.send(self.set_meter_key(meter, &keys))),
                Command::SetMeterLogin(request, reply) => drop(reply.send(self.set_meter_login(&request))),
                Command::SetZone(zone, reply) => drop(reply.send(self.set_zone(&zone))),
                Command::StopPairing(meter, reply) => drop(reply.send(self.stop_pairing(meter))),
                Command::StopKeyReplacement(meter, reply) => drop(reply.send(self.stop_key_replacement(meter))),
                Command::Tick => self.tick(),
            }
        }
    }

    fn set_zone(&mut self, name: &str) -> Result<(), CallError> {
        let calendar = Calendar::new(name)
            .ok_or_else(|| CallError::invalid("zone", "no such time zone; expected a name like Europe/Amsterdam"))?;
        let kept =
            keep_setting(&self.writer, "zone", name).and_then(|()| keep_setting(&self.writer, "zone_chosen", "yes"));
        kept.map_err(|error| refuse(&error))?;
        self.calendar = calendar;
        self.live.change(|state| {
            name.clone_into(&mut state.home.zone);
            None
        });
        self.refresh().map_err(|error| refuse(&error))?;
        self.live.change(|state| Some(Notice::Snapshot(Box::new(state.snapshot()))));
        Ok(())
    }

    fn hear_health(&mut self, id: MeterId, health: Health) {
        let standing = self.standings.get(&id);
        let now = (self.now)();
        self.keep_line_settings(id, &health);
        self.live.change(|state| {
            let meter = state.meters.get_mut(&id)?;
            let stands = || standing.and_then(|standing| standing.finding(is_bridge(&meter.address), now));
            meter.finding = match diagnose(&health) {
                Finding::Fine => stands().unwrap_or(Finding::Fine),
                // A clock that stands with all it stamps is not the meter's fault.
                Finding::ClockWrong => {
                    stands().filter(|finding| *finding == Finding::BridgeStale).unwrap_or(Finding::ClockWrong)
                }
                other => other,
            };
            meter.health = health;
            Some(Notice::Meter(Box::new(meter.clone())))
        });
    }

    /// Takes a reading, or a frame that gave none; what cannot be kept now waits.
    fn hear(&mut self, meter: MeterId, heard: Waiting) {
        if self.live.look(|state| state.home.recording == Recording::Damaged) {
            return;
        }
        if let Waiting::Reading(arrived) = &heard
            && arrived.live
            && self.protections.contains_key(&meter)
        {
            self.standings.entry(meter).or_default().hear(&arrived.reading, arrived.arrived_utc_milliseconds);
        }
        if self.waiting.len() == WAITING_ROOM {
            self.waiting.pop_front();
        }
        self.waiting.push_back((meter, heard));
        self.record_waiting();
    }

    /// Commits what waits, oldest first, until it is done or the store refuses.
    fn record_waiting(&mut self) {
        while let Some((meter, heard)) = self.waiting.front().cloned() {
            let kept = match &heard {
                Waiting::Profile(profile) => self.record_profile(meter, profile),
                Waiting::Reading(arrived) => self.record(meter, arrived),
                Waiting::Refused(refused) => self.record_refused(meter, refused),
            };
            let recording = match kept {
                Ok(()) => {
                    self.waiting.pop_front();
                    Recording::Fine
                }
                Err(StoreError::Corrupt(_)) => Recording::Damaged,
                Err(error) => {
                    // Once for each time the store refuses, not for each reading that waits.
                    if self.live.look(|state| state.home.recording) != Recording::Waiting {
                        tracing::warn!("readings wait in memory: {error}");
                    }
                    Recording::Waiting
                }
            };
            self.live.change(|state| {
                let changed = state.home.recording != recording;
                state.home.recording = recording;
                changed.then(|| state.lists())
            });
            if recording != Recording::Fine {
                return;
            }
        }
    }

    /// Books and commits one reading, then tells it.
    fn record(&mut self, meter: MeterId, arrived: &Arrived) -> Result<(), StoreError> {
        let Some(role) = self.live.look(|state| state.meters.get(&meter).map(|meter| meter.role)) else {
            return Ok(()); // Removed meanwhile.
        };
        let now = (self.now)();
        let reading = &arrived.reading;
        let Some(mut protection) = self.protections.get(&meter).cloned() else { return Ok(()) };
        if protection.is_fresh(reading.counter) {
            self.adopt_zone(reading)?;
        }
        let transaction = self.writer.transaction()?;
        let mut changed = Vec::new();
        let at = arrived.arrived_utc_milliseconds;
        let verdict = protection.judge(&transaction, meter, reading.counter, at, &self.key_policy)?;
        if verdict != Verdict::Refused {
            for kind in kinds(reading, role) {
                let place = attach(&transaction, &mut self.points, kind, meter)?;
                // A copy, so that a refused commit leaves the books as they were.
                let mut point = self.points[place].clone();
                if point.hear(&transaction, arrived)? {
                    changed.push((place, point));
                }
            }
        }
        transaction.commit()?;
        self.take_over(meter, protection, verdict);
        for (place, point) in changed {
            let told = point.state();
            let power = told.latest.as_ref().and_then(|latest| latest.power_milliwatts);
            let at = told.latest.as_ref().map_or(now, |latest| latest.at_utc_milliseconds);
            let leading = place == 0 || self.points[..place].iter().all(|other| other.kind != PointKind::Connection);
            self.points[place] = point;
            let today = self.today(now)?;
            self.live.change(|state| {
                let span = match power {
                    Some(power) if told.kind == PointKind::Connection && leading => state.last_hour.add(at, power),
                    _ => None,
                };
                state.today = today.clone();
                let new = state.points.insert(told.id, told.clone()).is_none();
                Some(match new {
                    true => Notice::Snapshot(Box::new(state.snapshot())),
                    false => Notice::Reading { point: Box::new(told), today: Box::new(today), span },
                })
            });
        }
        Ok(())
    }

    /// A host that stands nowhere learns from the meter in which country the home is, unless the household has said so.
    fn adopt_zone(&mut self, reading: &Reading) -> Result<(), StoreError> {
        let Some(country) = reading.country.filter(|_| self.calendar.is_universal()) else { return Ok(()) };
        if setting(&self.writer, "zone_chosen")?.is_some() {
            return Ok(());
        }
        if let Some(calendar) = Calendar::new(country.zone()) {
            keep_setting(&self.writer, "zone", country.zone())?;
            self.calendar = calendar;
            self.live.change(|state| {
                country.zone().clone_into(&mut state.home.zone);
                None
            });
            self.refresh()?;
        }
        Ok(())
    }

    /// The running day, asked of the database, so that it always agrees with history.
    fn today(&self, now: i64) -> Result<Today, StoreError> {
        let date = self.calendar.date(now);
        let start = self.calendar.day_start(date);
        let day = Interval { start, end: now + 1, offset_seconds: self.calendar.offset_seconds(start) };
        let points: Vec<_> = self.points.iter().map(|point| (point.id, point.kind)).collect();
        let (_, amounts) = history::amounts(&self.writer, &points, &[day], now)?;
        Ok(Today {
            date: date.to_string(),
            import_milliwatt_hours: amounts.import_milliwatt_hours,
            export_milliwatt_hours: amounts.export_milliwatt_hours,
            generation_milliwatt_hours: amounts.generation_milliwatt_hours,
            gas_millilitres: amounts.gas_millilitres,
            water_millilitres: amounts.water_millilitres,
            complete: amounts.complete,
        })
    }

    /// Reads anew what depends on the clock and the zone.
    fn refresh(&self) -> Result<(), StoreError> {
        let now = (self.now)();
        let today = self.today(now)?;
        let first = history::first_reading(&self.writer)?.map(|at| self.calendar.date(at).to_string());
        let connection = self.points.iter().find(|point| point.kind == PointKind::Connection);
        let spans = match connection {
            Some(point) => history::power(
                &self.writer,
                point.id,
                now - now.rem_euclid(crate::live::SPAN) - 3_600_000,
                now + 1,
                crate::live::SPAN,
            )?,
            None => Vec::new(),
        };
        self.live.change(|state| {
            state.today = today;
            state.last_hour.restore(&spans);
            state.home.first_date = first;
            state.home.now_utc_milliseconds = now;
            state.home.utc_offset_seconds = self.calendar.offset_seconds(now);
            None
        });
        for meter in self.protections.keys() {
            self.show_protection(*meter);
        }
        Ok(())
    }

    /// Once a second: the day may have ended or the clocks have changed, and what waits may be kept now.
    fn tick(&mut self) {
        let now = (self.now)();
        let (date, offset) = (self.calendar.date(now).to_string(), self.calendar.offset_seconds(now));
        let (first_date, turned) = self.live.look(|state| {
            (state.home.first_date.is_some(), state.today.date != date || state.home.utc_offset_seconds != offset)
        });
        if (turned || (!first_date && !self.points.is_empty())) && self.refresh().is_ok() {
            self.live.change(|state| Some(Notice::Snapshot(Box::new(state.snapshot()))));
        }
        self.live.change(|state| {
            state.home.now_utc_milliseconds = now;
            None
        });
        if !self.waiting.is_empty() {
            self.record_waiting();
        }
        self.look_for_journals();
    }
}

/// Which points a telegram speaks of.
fn kinds(reading: &Reading, role: Role) -> Vec<PointKind> {
    let mut kinds = Vec::new();
    if reading.values.iter().any(|value| value.channel == 0 && point::is_electric(value.quantity)) {
        kinds.push(match role {
            Role::Connection => PointKind::Connection,
            Role::Generation => PointKind::Generation,
        });
    }
    let children: BTreeMap<u8, Medium> = reading.children.iter().map(|child| (child.channel, child.medium)).collect();
    for (medium, kind) in
        [(Medium::Gas, PointKind::Gas), (Medium::Water, PointKind::Water), (Medium::Heat, PointKind::Heat)]
    {
        if reading.values.iter().any(|value| value.channel > 0 && children.get(&value.channel) == Some(&medium)) {
            kinds.push(kind);
        }
    }
    kinds
}

/// The point of a kind that a meter reads: its own, one left by a removed meter, or a new one.
fn attach(
    transaction: &Transaction<'_>,
    points: &mut Vec<Point>,
    kind: PointKind,
    meter: MeterId,
) -> Result<usize, StoreError> {
    let of = |holder: Option<MeterId>| points.iter().position(|point| point.kind == kind && point.meter == holder);
    if let Some(place) = of(Some(meter)) {
        return Ok(place);
    }
    if let Some(place) = of(None) {
        transaction.execute("UPDATE point SET meter = ? WHERE id = ?", params![meter.0, points[place].id.0])?;
        points[place].meter = Some(meter);
        return Ok(place);
    }
    points.push(Point::create(transaction, kind, meter)?);
    Ok(points.len() - 1)
}

fn refuse(error: &StoreError) -> CallError {
    CallError::new(ErrorCode::StoreUnavailable, error.to_string())
}

/// The home's zone: what the household chose, or the host's own at the first start, kept from then on.
fn zone(writer: &mut Connection) -> Result<Calendar, StoreError> {
    let kept: Option<String> = setting(writer, "zone")?;
    if let Some(calendar) = kept.as_deref().and_then(Calendar::new) {
        return Ok(calendar);
    }
    let calendar = Calendar::of_this_host();
    keep_setting(writer, "zone", calendar.name())?;
    Ok(calendar)
}

/// A setting of the home.
pub(crate) fn setting(connection: &Connection, name: &str) -> Result<Option<String>, StoreError> {
    use rusqlite::OptionalExtension as _;
    Ok(connection.query_row("SELECT value FROM setting WHERE name = ?", [name], |row| row.get(0)).optional()?)
}

/// Keeps a setting of the home.
pub(crate) fn keep_setting(writer: &Connection, name: &str, value: &str) -> Result<(), StoreError> {
    writer.execute("INSERT OR REPLACE INTO setting (name, value) VALUES (?, ?)", [name, value])?;
    Ok(())
}

/// The host's clock, milliseconds since 1970 UTC.
pub(crate) fn host_clock() -> i64 {
    Timestamp::now().as_millisecond()
}

/// Whether something between the meter and us answers for it.
fn is_bridge(address: &str) -> bool {
    !["serial:", "tcp:", "file:", "simulated"].iter().any(|own| address.starts_with(own))
}
