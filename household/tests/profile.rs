//! What a meter stored while nobody listened, from outside the crate: it gives a gap its shape and changes no total.

use std::path::PathBuf;

use contract::calls::{AddMeter, Calls as _, History, SetZone};
use contract::history::{FactKind, HistoryReply, Period, Resolution};
use contract::live::{MeterId, Role};
use household::home::{Household, MeterOrder, Options};
use household::secrets::Secrets;
use meter_link::decimal::Decimal;
use meter_link::meter::{Arrived, MeterEvent};
use meter_link::obis::Obis;
use meter_link::reading::{
    Equipment, Flow, LoadProfile, Measured, MeterTime, OffsetSource, Quantity, Reading, StoredRow, Trust, Unit,
};
use meter_link::security::{Counter, Fingerprint};
use meter_link::units::MilliwattHours;
use tokio::sync::mpsc::UnboundedReceiver;

/// 2026-03-02 00:00 in Amsterdam, a Monday without a clock change.
const MONDAY: i64 = 1_772_406_000_000;
const HOUR: i64 = 3_600_000;
const QUARTER: i64 = HOUR / 4;

/// A folder that is removed at the end.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A home with a meter that has been asked until 01:00, and again from 07:00 on.
struct House {
    household: Household,
    orders: UnboundedReceiver<MeterOrder>,
    meter: MeterId,
    folder: Folder,
}

fn open(folder: &std::path::Path) -> (Household, UnboundedReceiver<MeterOrder>) {
    let secrets = Secrets::File(folder.join("database.key"));
    let options = Options {
        folder: folder.to_owned(),
        secrets,
        capabilities: Vec::new(),
        find_devices: Vec::new,
        list_ports: Vec::new,
    };
    Household::open(options).expect("the folder opens")
}

impl House {
    async fn new(name: &str) -> Self {
        let folder = Folder(std::env::temp_dir().join(format!("wattle-profile-{}-{name}", std::process::id())));
        let _ = std::fs::remove_dir_all(&folder.0);
        let (household, orders) = open(&folder.0);
        household.set_zone(SetZone { zone: "Europe/Amsterdam".to_owned() }).await.expect("a zone");
        let address = "dlms://made?security=gmac".to_owned();
        let request = AddMeter { address, name: String::new(), role: Role::Connection };
        let meter = household.add_meter(request).await.expect("a new meter");
        Self { household, orders, meter, folder }
    }

    /// With a gap of six hours, in which 6 kWh were imported and nothing was exported.
    async fn with_gap(name: &str) -> Self {
        let house = Self::new(name).await;
        for minute in 0..=60 {
            house.hear(MONDAY + minute * 60_000, 1_000 + 6 * minute, 50).await;
        }
        for minute in 0..=60 {
            house.hear(MONDAY + 7 * HOUR + minute * 60_000, 7_360 + 6 * minute, 50).await;
        }
        house
    }

    /// A reading of registers in watt-hours.
    async fn hear(&self, at: i64, import: i64, export: i64) {
        let mut reading = Reading::new("dlms", Trust::Checked);
        reading.meter_time = Some(time(at));
        reading.equipment = Some(Equipment("MADE1".to_owned()));
        reading.values = vec![register(Flow::Import, import), register(Flow::Export, export)];
        let arrived = Arrived { reading, arrived_utc_milliseconds: at, live: false };
        self.household.hear(self.meter, MeterEvent::Reading(Box::new(arrived))).await;
    }

    async fn store(&self, profile: LoadProfile) {
        self.household.hear(self.meter, MeterEvent::Profile(Box::new(profile))).await;
    }

    async fn day(&self) -> HistoryReply {
        let request =
            History { period: Period::Day, date: Some("2026-03-02".to_owned()), resolution: Some(Resolution::Hour) };
        // Commands are worked through in order: an answered one means that all before it are.
        self.household.set_zone(SetZone { zone: "Europe/Amsterdam".to_owned() }).await.expect("its own zone");
        self.household.history(request).await.expect("a readable database")
    }

    /// From when on the meter's task would ask, after a restart.
    async fn known_until(self) -> Option<i64> {
        self.day().await;
        let Self { household, orders, folder, .. } = self;
        drop((household, orders));
        let lock = std::fs::File::open(folder.0.join("lock")).expect("a home's folder has a lock");
        while lock.try_lock().is_err() {
            tokio::task::yield_now().await;
        }
        drop(lock);
        let (_household, mut orders) = open(&folder.0);
        match orders.try_recv() {
            Ok(MeterOrder::Start { known_until_utc_milliseconds, .. }) => known_until_utc_milliseconds,
            other => panic!("{other:?}"),
        }
    }
}

fn time(unix_milliseconds: i64) -> MeterTime {
    MeterTime { unix_milliseconds, offset_seconds: 3_600, offset_source: OffsetSource::Meter }
}

fn register(flow: Flow, watt_hours: i64) -> Measured {
    let c = if flow == Flow::Import { 1 } else { 2 };
    Measured {
        obis: Obis::new(1, 0, c, 8, 0),
        channel: 0,
        quantity: Quantity::ActiveEnergy(flow, 0),
        value: Decimal::whole(watt_hours),
        unit: Unit::WattHour,
        meter_time: None,
    }
}

/// Rows of these instants and imported watt-hours.
fn profile(rows: impl IntoIterator<Item = (i64, i64)>) -> LoadProfile {
    let row = |(at, import)| StoredRow { meter_time: time(at), values: vec![register(Flow::Import, import)] };
    LoadProfile {
        equipment: Some(Equipment("MADE1".to_owned())),
        period_seconds: 900,
        trust: Trust::Checked,
        counter: None,
        rows: rows.into_iter().map(row).collect(),
    }
}

/// A kilowatt-hour an hour, but all of it in its last quarter.
fn six_hours() -> LoadProfile {
    profile((1..=24).map(|quarter| (MONDAY + HOUR + quarter * QUARTER, 1_360 + quarter / 4 * 1_000)).take(23))
}

fn wh(count: i64) -> Option<MilliwattHours> {
    MilliwattHours::new(count * 1_000)
}

fn imports(day: &HistoryReply) -> Vec<Option<MilliwattHours>> {
    day.buckets[..8].iter().map(|bucket| bucket.amounts.import_milliwatt_hours).collect()
}

fn facts(day: &HistoryReply) -> Vec<(FactKind, i64, i64, Option<MilliwattHours>)> {
    let fact = |fact: &contract::history::Fact| {
        let (start, end) = (fact.start_utc_milliseconds, fact.end_utc_milliseconds);
        (fact.kind, start, end, fact.import_milliwatt_hours)
    };
    day.facts.iter().map(fact).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn n11_a_gap_gets_its_shape_and_its_total_stays() {
    let house = House::with_gap("shape").await;
    let before = house.day().await;
    assert_eq!(imports(&before)[1..7], [None; 6]);
    house.store(six_hours()).await;
    let day = house.day().await;
    assert_eq!(imports(&day), [wh(360), wh(1_000), wh(1_000), wh(1_000), wh(1_000), wh(1_000), wh(1_000), wh(360)]);
    assert!(day.buckets[..8].iter().all(|bucket| bucket.amounts.complete), "no hour hides a hole");
    assert_eq!(day.buckets[3].amounts.export_milliwatt_hours, wh(0), "what stood still is known without a column");
    assert_eq!(day.total, before.total);
    let filled = (FactKind::Filled, MONDAY + HOUR, MONDAY + 7 * HOUR, wh(6_000));
    assert_eq!(facts(&day), [filled], "where its shape came from is told");
    house.store(six_hours()).await;
    assert_eq!(house.day().await, day, "twice changes nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_in_parts_is_one_stretch_and_what_is_missing_stays_a_gap() {
    let house = House::with_gap("parts").await;
    let LoadProfile { rows, .. } = six_hours();
    let part = |from: usize, to: usize| LoadProfile { rows: rows[from..to].to_vec(), ..six_hours() };
    house.store(part(0, 8)).await;
    let day = house.day().await;
    let until = MONDAY + 3 * HOUR;
    let filled = (FactKind::Filled, MONDAY + HOUR, until, wh(2_000));
    assert_eq!(facts(&day), [filled, (FactKind::Gap, until, MONDAY + 7 * HOUR, wh(4_000))]);
    assert_eq!(imports(&day)[1..7], [wh(1_000), wh(1_000), None, None, None, None]);
    // Its power failed at 04:00 for an hour.
    house.store(part(8, 12)).await;
    house.store(part(16, 23)).await;
    let day = house.day().await;
    let kinds: Vec<_> = facts(&day).into_iter().map(|(kind, start, end, _)| (kind, start, end)).collect();
    assert_eq!(
        kinds,
        [
            (FactKind::Filled, MONDAY + HOUR, MONDAY + 4 * HOUR),
            (FactKind::Gap, MONDAY + 4 * HOUR, MONDAY + 5 * HOUR + QUARTER),
            (FactKind::Filled, MONDAY + 5 * HOUR + QUARTER, MONDAY + 7 * HOUR),
        ]
    );
    assert_eq!(imports(&day)[4..7], [None, wh(1_000), wh(1_000)]);
    assert!(!day.buckets[5].amounts.complete && day.buckets[6].amounts.complete, "its first quarter is missing");
    house.store(six_hours()).await;
    assert_eq!(facts(&house.day().await).len(), 1, "what comes later closes it");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_cannot_be_are_left_out() {
    let house = House::with_gap("wrong").await;
    let before = house.day().await;
    let at = |hours: i64| MONDAY + hours * HOUR;
    for wrong in [
        profile([(at(2), 1_359), (at(3), 7_361)]),
        profile([(at(0) + 5_000, 1_000), (at(1), 1_360), (at(7), 7_360), (at(9), 9_000)]),
        LoadProfile { equipment: Some(Equipment("MADE2".to_owned())), ..six_hours() },
        profile([]),
    ] {
        house.store(wrong).await;
        assert_eq!(house.day().await, before);
    }
    // One that falls is left out, those around it are not.
    house.store(profile([(at(2), 3_000), (at(3), 2_999), (at(4), 4_000)])).await;
    assert_eq!(imports(&house.day().await)[1..4], [wh(1_640), None, None]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_side_that_moved_and_is_not_in_the_rows_keeps_the_gap() {
    let house = House::new("side").await;
    for tick in 0..=12 {
        house.hear(MONDAY + tick * 10_000, 1_000, 50).await;
    }
    for tick in 0..=12 {
        house.hear(MONDAY + 2 * HOUR + tick * 10_000, 2_000, 60).await;
    }
    let before = house.day().await;
    house.store(profile([(MONDAY + HOUR, 1_500)])).await;
    assert_eq!(house.day().await, before, "half of what is counted would hide the other half");
    let mut whole = profile([(MONDAY + HOUR, 1_500)]);
    whole.rows[0].values.push(register(Flow::Export, 57));
    house.store(whole).await;
    let day = house.day().await;
    assert_eq!(day.total, before.total);
    assert_eq!(day.buckets[0].amounts.export_milliwatt_hours, wh(7));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_filled_across_a_register_that_went_back() {
    let house = House::new("reset").await;
    for tick in 0..=12 {
        house.hear(MONDAY + tick * 10_000, 5_000 + tick, 50).await;
    }
    for tick in 0..=12 {
        house.hear(MONDAY + 2 * HOUR + tick * 10_000, tick, 50).await;
    }
    let before = house.day().await;
    house.store(profile([(MONDAY + HOUR, 5_012), (MONDAY + HOUR + QUARTER, 0)])).await;
    assert_eq!(house.day().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn n2_rows_that_come_again_under_a_seal_are_refused() {
    let house = House::with_gap("sealed").await;
    let counter = |highest| Some(Counter { title: *b"MADE0001", key: Fingerprint([7; 12]), highest });
    let before = house.day().await;
    let sealed = |highest| LoadProfile { counter: counter(highest), trust: Trust::Authenticated, ..six_hours() };
    house.store(LoadProfile { rows: Vec::new(), ..sealed(5) }).await;
    house.store(sealed(5)).await;
    house.store(six_hours()).await;
    assert_eq!(house.day().await, before, "neither what was counted before nor what lost its seal");
    house.store(sealed(6)).await;
    assert_eq!(imports(&house.day().await)[1], wh(1_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_the_meter_is_asked_from_its_last_reading_on() {
    let house = House::new("nothing").await;
    assert_eq!(house.known_until().await, None, "a meter that was never read has missed nothing");
    let house = House::with_gap("until").await;
    assert_eq!(house.known_until().await, Some(MONDAY + 8 * HOUR));
}
