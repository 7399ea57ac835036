//! What needs the recorder's own clock or its log: children that freeze, bridges that repeat themselves, suites that end; how
//! much it writes to the log when things go wrong, and what never.

use std::cell::Cell;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use contract::live::{Home, MeterState};
use contract::security::SecurityEventKind;
use meter_link::decimal::Decimal;
use meter_link::health::LinkState;
use meter_link::obis::Obis;
use meter_link::reading::{Child, Flow, Measured, MeterTime, OffsetSource, Phase, Quantity, Trust, Unit};
use meter_link::security::{Counter, KeyPair};

use super::*;
use crate::key_policy::KeyRule;

mod replacement;

const HOUR: i64 = 3_600_000;
const START: i64 = 1_772_406_000_000;

thread_local! {
    static NOW: Cell<i64> = const { Cell::new(START) };
}

/// A home whose clock is the test's, and whose recorder is called directly.
struct House {
    folder: PathBuf,
    recorder: Recorder,
    meter: MeterId,
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl House {
    fn new(name: &str, address: &str) -> Self {
        NOW.set(START);
        let folder = std::env::temp_dir().join(format!("wattle-recorder-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        let secrets = Secrets::File(folder.join("database.key"));
        let (store, writer) = Store::open(&folder, &secrets).expect("a new folder opens");
        let home = Home {
            zone: String::new(),
            utc_offset_seconds: 0,
            now_utc_milliseconds: START,
            recording: Recording::Fine,
            capabilities: Vec::new(),
            first_date: None,
        };
        let orders = mpsc::unbounded_channel().0;
        let (mut recorder, _) =
            Recorder::open(writer, store, secrets, "made".to_owned(), home, orders, || NOW.get()).expect("a new home");
        let request = AddMeter { address: address.to_owned(), name: String::new(), role: Role::Connection };
        let meter = recorder.add_meter(&request).expect("the first meter");
        Self { folder, recorder, meter }
    }

    /// A reading at the clock's time, and the good health that comes with it.
    fn hear(&mut self, change: impl FnOnce(&mut Reading)) -> Finding {
        let mut reading = Reading::new("p1", Trust::Checked);
        reading.meter_time = time(NOW.get());
        let power = Quantity::ActivePower(Flow::Import, Phase::Total);
        reading.values = vec![measured(0, power, 400, Unit::Watt, None)];
        change(&mut reading);
        let arrived = Arrived { reading, arrived_utc_milliseconds: NOW.get(), live: true };
        self.recorder.hear(self.meter, Waiting::Reading(Box::new(arrived)));
        self.recorder.hear_health(self.meter, Health { state: LinkState::Live, ..Health::default() });
        self.state().finding
    }

    fn state(&self) -> MeterState {
        self.recorder.live.look(|state| state.meters[&self.meter].clone())
    }
}

fn time(at: i64) -> Option<MeterTime> {
    Some(MeterTime { unix_milliseconds: at, offset_seconds: 3_600, offset_source: OffsetSource::Meter })
}

fn measured(channel: u8, quantity: Quantity, count: i64, unit: Unit, meter_time: Option<MeterTime>) -> Measured {
    Measured {
        obis: Obis::new(0, channel, 24, 2, 1),
        channel,
        quantity,
        value: Decimal::whole(count),
        unit,
        meter_time,
    }
}

fn with_gas(reading: &mut Reading, channel: u8, stamp: i64) {
    reading.children.push(Child { channel, medium: Medium::Gas, equipment: None });
    reading.values.push(measured(channel, Quantity::Volume, 7, Unit::CubicMetre, time(stamp)));
}

#[test]
fn a_child_whose_stamp_stands_for_a_day_is_told_of() {
    let mut house = House::new("frozen", "tcp://made:1");
    let last = START;
    for hours in 0..40 {
        NOW.set(START + hours * HOUR);
        let finding = house.hear(|reading| with_gas(reading, 1, last));
        let expect = if hours < 26 { Finding::Fine } else { Finding::ChildFrozen };
        assert_eq!(finding, expect, "after {hours} hours");
    }
    let finding = house.hear(|reading| with_gas(reading, 1, NOW.get() - HOUR));
    assert_eq!(finding, Finding::Fine, "it moves again");
}

#[test]
fn a_replaced_child_that_stays_in_the_telegram_is_no_frozen_one() {
    let mut house = House::new("replaced", "tcp://made:1");
    let finding = house.hear(|reading| {
        with_gas(reading, 1, START - 700 * HOUR);
        with_gas(reading, 2, START - HOUR);
    });
    assert_eq!(finding, Finding::Fine);
}

#[test]
fn a_stamp_that_is_days_old_at_the_start_is_frozen_at_once() {
    let mut house = House::new("restarted", "tcp://made:1");
    assert_eq!(house.hear(|reading| with_gas(reading, 1, START - 30 * HOUR)), Finding::ChildFrozen);
}

#[test]
fn a_bridge_that_repeats_itself_for_a_quarter_of_an_hour_is_stale() {
    for (address, expect) in [("homewizard:made", Finding::BridgeStale), ("tcp://made:1", Finding::Fine)] {
        let mut house = House::new("stale", address);
        for minute in 0..20 {
            NOW.set(START + minute * 60_000);
            let finding = house.hear(|reading| reading.meter_time = None);
            assert_eq!(finding, if minute < 15 { Finding::Fine } else { expect }, "{address}, minute {minute}");
        }
        let finding = house.hear(|reading| {
            reading.meter_time = None;
            reading.values[0].value = Decimal::whole(401);
        });
        assert_eq!(finding, Finding::Fine, "something changed");
    }
}

#[test]
fn n16_a_second_that_is_said_for_a_quarter_of_an_hour_is_not_the_meters() {
    let mut house = House::new("stands", "tcp://made:1");
    let clock = time(START);
    for minute in 0..20 {
        NOW.set(START + minute * 60_000);
        house.hear(|reading| reading.meter_time = clock);
        let offset = Some(START - NOW.get());
        let health = Health { state: LinkState::Live, clock_offset_milliseconds: offset, ..Health::default() };
        house.recorder.hear_health(house.meter, health);
        let expect = match minute {
            ..=10 => Finding::Fine,
            11..=14 => Finding::ClockWrong,
            _ => Finding::BridgeStale,
        };
        assert_eq!(house.state().finding, expect, "minute {minute}");
    }
}

#[test]
fn a_bridge_of_registers_alone_or_of_a_plant_at_night_may_repeat_itself_for_a_day() {
    let register = Quantity::ActiveEnergy(Flow::Import, 0);
    let night = Quantity::ActivePower(Flow::Export, Phase::Total);
    for (quantity, unit, count) in [(register, Unit::WattHour, 4_000), (night, Unit::Watt, 0)] {
        let mut house = House::new("registers", "tasmota://made");
        for (hours, expect) in [(0, Finding::Fine), (1, Finding::Fine), (25, Finding::Fine), (26, Finding::BridgeStale)]
        {
            NOW.set(START + hours * HOUR);
            let finding = house.hear(|reading| {
                reading.meter_time = None;
                reading.values = vec![measured(0, quantity, count, unit, None)];
            });
            assert_eq!(finding, expect, "after {hours} hours");
        }
    }
}

#[test]
fn an_old_suite_is_announced_and_then_refused() {
    let mut house = House::new("suite", "tcp://made:1");
    let (warn, refuse) = (START + HOUR, START + 2 * HOUR);
    let rule = KeyRule { suite: 0, warn_from_utc_milliseconds: warn, refuse_from_utc_milliseconds: refuse };
    house.recorder.key_policy = KeyPolicy(vec![rule]);
    let pair = KeyPair::parse(&"01".repeat(16), None).expect("a key");
    house.recorder.set_meter_key(house.meter, &pair).expect("a new key");
    for (highest, hours, said, booked) in [(1, 0, None, 1), (2, 1, Some(refuse), 2), (3, 2, Some(refuse), 2)] {
        NOW.set(START + hours * HOUR);
        house.hear(|reading| {
            reading.trust = Trust::Authenticated;
            reading.counter = Some(Counter { title: *b"TSTmade1", key: pair.fingerprint(), highest });
        });
        house.recorder.refresh().expect("an open database");
        assert_eq!(house.state().keys[0].refused_from_utc_milliseconds, said);
        let count: i64 =
            house.recorder.writer.query_row("SELECT count(*) FROM reading", [], |row| row.get(0)).expect("a count");
        assert_eq!(count, booked, "after {hours} hours");
    }
    let event = house.state().last_security_event.expect("one was refused");
    assert_eq!((event.kind, house.state().security_events_today), (SecurityEventKind::SuiteEnded, 1));
}

#[test]
fn kept_frames_are_bounded_and_what_is_dropped_is_said() {
    let mut house = House::new("bounded", "tcp://made:1");
    // Frames as large as one may be, so that the bytes run out first.
    let frame = vec![0xDB; 8_192];
    let transaction = house.recorder.writer.transaction().expect("a transaction");
    let mut kept = refused::Kept::default();
    for at in 0..5_000 {
        kept.keep(&transaction, house.meter, at, true, &frame).expect("kept");
    }
    transaction.commit().expect("a commit");
    assert_eq!((kept.frames, kept.dropped), (4_096, 904));
    house.recorder.protect(house.meter).expect("an open database");
    assert_eq!((house.state().sealed_frames, house.state().sealed_frames_dropped), (4_096, 904));
    let oldest = refused::portion(&house.recorder.writer, house.meter, 0).expect("a portion");
    assert_eq!(oldest.first().map(|sealed| sealed.at), Some(904), "the oldest went first");
}

/// Takes every line of the log, whatever its level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    /// What was logged meanwhile.
    fn of(work: impl FnOnce()) -> Vec<String> {
        let log = Self::default();
        tracing::subscriber::with_default(log.clone(), work);
        std::mem::take(&mut *log.0.lock().expect("nobody panicked"))
    }
}

impl tracing::Subscriber for Log {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        struct Line(String);
        impl tracing::field::Visit for Line {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                write!(self.0, "{}={value:?} ", field.name()).expect("a text takes all");
            }
        }
        let mut line = Line(String::new());
        event.record(&mut line);
        self.0.lock().expect("nobody panicked").push(line.0);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

/// A frame that no key opens.
fn refused(count: u8) -> Waiting {
    let frame = [&b"\xDB\x08TSTmade1"[..], &[0x50, 0x30, 0, 0, 0, count], &[0x5C; 75]].concat();
    let refusal = Some(meter_link::health::Refusal::KeyWrong);
    Waiting::Refused(Box::new(Refused { refusal, frame, arrived_utc_milliseconds: NOW.get() }))
}

#[test]
fn w5_a_thousand_bad_frames_and_a_full_disk_are_one_line_of_the_log() {
    let mut house = House::new("log", "tcp://made:1");
    let lines = Log::of(|| {
        for count in 0..1_000 {
            house.recorder.hear(house.meter, refused(count as u8));
        }
        house.recorder.writer.pragma_update(None, "query_only", true).expect("a setting");
        for second in 1..=1_000 {
            NOW.set(START + second * 1_000);
            house.hear(|_| ());
        }
    });
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(house.recorder.live.look(|state| state.home.recording), Recording::Waiting);
    let lines = Log::of(|| {
        house.recorder.writer.pragma_update(None, "query_only", false).expect("a setting");
        house.hear(|_| ());
    });
    assert_eq!(lines, [""; 0]);
    let count = |house: &House| -> i64 {
        house.recorder.writer.query_row("SELECT count(*) FROM reading", [], |row| row.get(0)).expect("a count")
    };
    assert_eq!(count(&house), 1_000, "what waited is kept");
}

#[test]
fn k7_no_key_serial_number_or_frame_is_ever_logged() {
    let mut house = House::new("secret", "tcp://made:1");
    let (key, serial) = ("5C".repeat(16), "made-serial-number");
    let lines = Log::of(|| {
        let pair = KeyPair::parse(&key, Some(&key)).expect("two keys");
        house.recorder.set_meter_key(house.meter, &pair).expect("a new key");
        for count in 0..20 {
            house.recorder.hear(house.meter, refused(count));
        }
        house.hear(|reading| reading.equipment = Some(meter_link::reading::Equipment(serial.to_owned())));
        house.recorder.writer.pragma_update(None, "query_only", true).expect("a setting");
        NOW.set(START + 1_000);
        house.hear(|reading| reading.equipment = Some(meter_link::reading::Equipment(serial.to_owned())));
        // Secrets that cannot be read, with a key in what is there.
        let path = house.folder.join("database.key");
        std::fs::write(&path, format!("{{ \"meter\": {key} ")).expect("our own file");
        house.recorder.writer.pragma_update(None, "query_only", false).expect("a setting");
        house.recorder.protect(house.meter).expect("an open database");
    });
    assert!(lines.len() >= 2, "what can be logged was: {lines:?}");
    for line in &lines {
        let small = line.to_lowercase();
        for secret in [key.to_lowercase(), "92, 92, 92".to_owned(), "5c, 5c".to_owned(), serial.to_owned()] {
            assert!(!small.contains(&secret), "{line}");
        }
    }
}
