//! One home from outside its crate: what is recorded, what is answered, and what is refused.
//!
//! Readings come as from a recorded file, with their own times, so that clock changes and swaps can be lived through at once.

use std::path::PathBuf;

use contract::calls::{About, AddMeter, Calls as _, History, RemoveMeter, SetZone};
use contract::error::ErrorCode;
use contract::history::{FactKind, HistoryReply, Period, Resolution};
use contract::live::{Clock, MeterId, PointKind, Role};
use contract::notice::Notice;
use household::home::{Household, Options};
use household::secrets::{Secrets, SecretsError};
use household::store::StoreError;
use meter_link::decimal::Decimal;
use meter_link::meter::{Arrived, MeterEvent};
use meter_link::obis::Obis;
use meter_link::reading::{
    Child, Equipment, Flow, Measured, Medium, MeterTime, OffsetSource, Phase, Quantity, Reading, Trust, Unit,
};
use meter_link::units::{Millilitres, MilliwattHours, Milliwatts};

/// 2026-03-02 00:00 in Amsterdam, a Monday without a clock change.
const MONDAY: i64 = 1_772_406_000_000;
const SECOND: i64 = 1_000;
const HOUR: i64 = 3_600_000;

/// A folder that is removed at the end.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A home in a folder of its own.
struct House {
    folder: Folder,
    household: Household,
    meter: MeterId,
}

impl House {
    async fn new(name: &str) -> Self {
        let folder = Folder(std::env::temp_dir().join(format!("wattle-house-{}-{name}", std::process::id())));
        let _ = std::fs::remove_dir_all(&folder.0);
        let household = open(&folder.0).expect("a new folder opens");
        let zone = SetZone { zone: "Europe/Amsterdam".to_owned() };
        household.set_zone(zone).await.expect("Amsterdam is a zone");
        let request = AddMeter { address: "file:made".to_owned(), name: String::new(), role: Role::Connection };
        let meter = household.add_meter(request).await.expect("the first meter is welcome");
        Self { folder, household, meter }
    }

    /// Closes the home (nothing is flushed on the way out) and waits until its thread lets go of the folder.
    async fn close(self) -> Folder {
        let Self { folder, household, .. } = self;
        drop(household);
        let lock = std::fs::File::open(folder.0.join("lock")).expect("a home's folder has a lock");
        while lock.try_lock().is_err() {
            tokio::task::yield_now().await;
        }
        folder
    }

    async fn reopen(self) -> Self {
        let meter = self.meter;
        let folder = self.close().await;
        let household = open(&folder.0).expect("it opened before");
        Self { folder, household, meter }
    }

    async fn hear(&self, reading: Reading) {
        let arrived = Arrived { reading, arrived_utc_milliseconds: MONDAY + 400 * 24 * HOUR, live: false };
        self.household.hear(self.meter, MeterEvent::Reading(Box::new(arrived))).await;
    }

    async fn history(&self, period: Period, date: &str, resolution: Resolution) -> HistoryReply {
        // The recorder works through its commands in order, so an answered call means that all before it is kept.
        let zone = self.household.watch().next().await.map(|numbered| match numbered.notice {
            Notice::Snapshot(snapshot) => snapshot.home.zone,
            _ => panic!("a watch begins with a snapshot"),
        });
        self.household.set_zone(SetZone { zone: zone.expect("an open home") }).await.expect("its own zone");
        let request = History { period, date: Some(date.to_owned()), resolution: Some(resolution) };
        self.household.history(request).await.expect("a date within the calendar")
    }

    async fn day(&self, date: &str) -> HistoryReply {
        self.history(Period::Day, date, Resolution::Hour).await
    }
}

fn open(folder: &std::path::Path) -> Result<Household, StoreError> {
    open_with(folder, Secrets::File(folder.join("database.key")))
}

fn open_with(folder: &std::path::Path, secrets: Secrets) -> Result<Household, StoreError> {
    let (find_devices, list_ports) = (Vec::new, Vec::new);
    let options = Options { folder: folder.to_owned(), secrets, capabilities: Vec::new(), find_devices, list_ports };
    Household::open(options).map(|(household, _)| household)
}

fn time(at: i64) -> Option<MeterTime> {
    Some(MeterTime { unix_milliseconds: at, offset_seconds: 3_600, offset_source: OffsetSource::Meter })
}

fn value(obis: Obis, quantity: Quantity, value: Decimal, unit: Unit) -> Measured {
    Measured { obis, channel: 0, quantity, value, unit, meter_time: None }
}

/// A telegram with a total register each way, in Wh, and a net power in W.
fn telegram(at: i64, import: i64, export: i64, power: i64) -> Reading {
    let energy = |quantity, flow, count| {
        let obis = Obis::new(1, 0, quantity, 8, 0);
        value(obis, Quantity::ActiveEnergy(flow, 0), Decimal::whole(count), Unit::WattHour)
    };
    let watts = |quantity, flow, count: i64| {
        let obis = Obis::new(1, 0, quantity, 7, 0);
        value(obis, Quantity::ActivePower(flow, Phase::Total), Decimal::whole(count.max(0)), Unit::Watt)
    };
    let mut reading = Reading::new("p1", Trust::Checked);
    reading.identification = "TST5".to_owned();
    reading.equipment = Some(Equipment("made A".to_owned()));
    reading.meter_time = time(at);
    reading.values = vec![
        energy(1, Flow::Import, import),
        energy(2, Flow::Export, export),
        watts(1, Flow::Import, power),
        watts(2, Flow::Export, -power),
    ];
    reading
}

fn wh(count: i64) -> Option<MilliwattHours> {
    MilliwattHours::new(count * 1_000)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_is_the_difference_of_its_registers_to_one_watt_hour() {
    let house = House::new("day").await;
    // 360 W in, every ten seconds one Wh, from midnight to midnight.
    for step in 0..=8_640 {
        house.hear(telegram(MONDAY + step * 10 * SECOND, 1_000_000 + step, 500, 360)).await;
    }
    let day = house.day("2026-03-02").await;
    assert_eq!(day.buckets.len(), 24);
    assert_eq!(day.total.import_milliwatt_hours, wh(8_640));
    assert_eq!(day.total.export_milliwatt_hours, wh(0), "measured and nothing: zero, not missing");
    assert!(
        day.buckets.iter().all(|bucket| bucket.amounts.import_milliwatt_hours == wh(360) && bucket.amounts.complete)
    );
    assert_eq!(day.power.len(), 1_440);
    assert_eq!(day.power[7].mean_milliwatts, Milliwatts::saturating(360_000));
    // T15: the reading at midnight closes the day before; the next day has nothing yet.
    let next = house.day("2026-03-03").await;
    assert_eq!(next.total.import_milliwatt_hours, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn r12_a_restart_neither_loses_nor_doubles() {
    let mut house = House::new("restart").await;
    for quarter in 0..10 {
        for step in 0..9 {
            let step = quarter * 9 + step;
            house.hear(telegram(MONDAY + step * 10 * SECOND, 1_000 + step, 0, 360)).await;
        }
        house.day("2026-03-02").await;
        house = house.reopen().await;
    }
    assert_eq!(house.day("2026-03-02").await.total.import_milliwatt_hours, wh(89));
}

#[tokio::test(flavor = "multi_thread")]
async fn r1_r4_r8_registers_that_go_back_are_facts_and_never_energy() {
    let house = House::new("reset").await;
    let registers = [600, 601, 0, 602, 603, 5, 5, 6, 6, 7, 8];
    for (step, register) in (0..).zip(registers) {
        house.hear(telegram(MONDAY + step * 10 * SECOND, register, 0, 100)).await;
    }
    let day = house.day("2026-03-02").await;
    assert_eq!(day.total.import_milliwatt_hours, wh(3 + 3), "600 to 603, then 5 to 8");
    let kinds: Vec<_> = day.facts.iter().map(|fact| fact.kind).collect();
    assert_eq!(kinds, [FactKind::Spike, FactKind::Reset]);
}

#[tokio::test(flavor = "multi_thread")]
async fn n11_r8_a_gap_has_a_known_total_and_no_shape() {
    let house = House::new("gap").await;
    let step = |house: &House, at: i64, import: i64| {
        let reading = telegram(at, import, 0, 360);
        let meter = house.meter;
        let household = house.household.clone();
        async move {
            let arrived = Arrived { reading, arrived_utc_milliseconds: at, live: false };
            household.hear(meter, MeterEvent::Reading(Box::new(arrived))).await;
        }
    };
    for tick in 0..=360 {
        step(&house, MONDAY + tick * 10 * SECOND, tick).await;
    }
    // Six hours and a half without a reading, 3 kWh on the register.
    let back = MONDAY + 7 * HOUR + HOUR / 2;
    for tick in 0..=180 {
        step(&house, back + tick * 10 * SECOND, 3_360 + tick).await;
    }
    let day = house.day("2026-03-02").await;
    let hours: Vec<_> = day.buckets.iter().map(|bucket| bucket.amounts.import_milliwatt_hours).collect();
    assert_eq!(hours[0], wh(360));
    assert_eq!(hours[1..7], [None; 6], "no bar is invented");
    assert_eq!(hours[7], wh(180), "only what was seen");
    assert!(!day.buckets[7].amounts.complete && !day.buckets[1].amounts.complete && day.buckets[0].amounts.complete);
    assert_eq!(day.total.import_milliwatt_hours, wh(3_540), "the day's total is exact");
    let gap = day.facts.iter().find(|fact| fact.kind == FactKind::Gap).expect("a gap is a fact");
    assert_eq!((gap.start_utc_milliseconds, gap.end_utc_milliseconds), (MONDAY + HOUR, back));
    assert_eq!(gap.import_milliwatt_hours, wh(3_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn n4_r11_a_swapped_meter_bills_nothing_across_the_swap() {
    for (name, first) in [("swap-new", 0), ("swap-used", 9_102_300)] {
        let house = House::new(name).await;
        for step in 0..100 {
            house.hear(telegram(MONDAY + step * 10 * SECOND, 18_234_500 + step, 0, 360)).await;
        }
        for step in 0..50 {
            let mut reading = telegram(MONDAY + (100 + step) * 10 * SECOND, first + step, 0, 360);
            reading.equipment = Some(Equipment("made B".to_owned()));
            house.hear(reading).await;
        }
        let day = house.day("2026-03-02").await;
        assert_eq!(day.total.import_milliwatt_hours, wh(99 + 49), "{name}");
        assert_eq!(day.facts.iter().map(|fact| fact.kind).collect::<Vec<_>>(), [FactKind::Swap], "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_garbled_serial_number_is_no_swap() {
    let house = House::new("garbled").await;
    for step in 0..30 {
        let mut reading = telegram(MONDAY + step * 10 * SECOND, 1_000 + step, 0, 360);
        if step == 10 || step == 20 {
            reading.equipment = Some(Equipment(format!("garbled {step}")));
        }
        house.hear(reading).await;
    }
    let day = house.day("2026-03-02").await;
    assert_eq!(day.total.import_milliwatt_hours, wh(29));
    assert!(day.facts.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn t1_clock_change_days_have_23_and_25_hours_and_lose_nothing() {
    for (name, date, start, hours) in
        [("spring", "2026-03-29", 1_774_738_800_000, 23), ("autumn", "2026-10-25", 1_792_879_200_000, 25)]
    {
        let house = House::new(name).await;
        for minute in 0..=hours * 60 {
            house.hear(telegram(start + minute * 60 * SECOND, 5_000 + minute * 6, 0, 360)).await;
        }
        let day = house.day(date).await;
        assert_eq!(day.start_utc_milliseconds, start, "{name}");
        assert_eq!(day.buckets.len() as i64, hours, "{name}");
        let sum: i64 = day
            .buckets
            .iter()
            .filter_map(|bucket| bucket.amounts.import_milliwatt_hours)
            .map(MilliwattHours::count)
            .sum();
        assert_eq!(sum, hours * 360_000, "{name}");
        assert_eq!(day.total.import_milliwatt_hours, wh(hours * 360), "{name}");
        let quarters = house.history(Period::Day, date, Resolution::Quarter).await;
        assert_eq!(quarters.buckets.len() as i64, hours * 4, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rates_are_summed_where_the_meter_sends_no_total() {
    let house = House::new("rates").await;
    for step in 0..60 {
        let mut reading = telegram(MONDAY + step * 10 * SECOND, 0, 0, 360);
        let rate = |rate: u8, count| {
            let obis = Obis::new(1, 0, 1, 8, rate);
            value(obis, Quantity::ActiveEnergy(Flow::Import, rate), Decimal::whole(count), Unit::WattHour)
        };
        reading.values[0] = rate(1, 3_808_351 + step.min(30));
        reading.values.push(rate(2, 2_948_827 + (step - 30).max(0)));
        house.hear(reading).await;
    }
    assert_eq!(house.day("2026-03-02").await.total.import_milliwatt_hours, wh(59));
}

#[tokio::test(flavor = "multi_thread")]
async fn s4_a_peak_of_export_is_the_least_power() {
    let house = House::new("peak").await;
    for (step, power) in (0..).zip([-100, -4_000, -100, 250]) {
        house.hear(telegram(MONDAY + step * SECOND, 0, step, power)).await;
    }
    let span = house.day("2026-03-02").await.power[0];
    assert_eq!(span.min_milliwatts, Milliwatts::saturating(-4_000_000));
    assert_eq!(span.max_milliwatts, Milliwatts::saturating(250_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn t12_a_meter_without_a_believable_clock_keeps_its_energy_under_the_hosts_time() {
    let house = House::new("clock").await;
    let now = jiff::Timestamp::now().as_millisecond();
    for (step, stamp) in (0..).zip([946_684_800_000, 946_684_800_000, 4_102_444_800_000, now - 200 * 24 * HOUR]) {
        let arrived = Arrived {
            reading: telegram(stamp, 1_000 + step, 0, 100),
            arrived_utc_milliseconds: now + step * 10 * SECOND,
            live: true,
        };
        house.household.hear(house.meter, MeterEvent::Reading(Box::new(arrived))).await;
    }
    let today = jiff::Timestamp::from_millisecond(now)
        .expect("now")
        .to_zoned(jiff::tz::TimeZone::get("Europe/Amsterdam").expect("a zone"));
    let day = house.day(&today.date().to_string()).await;
    assert_eq!(day.total.import_milliwatt_hours, wh(3));
    assert_eq!(day.facts.iter().filter(|fact| fact.kind == FactKind::ClockWrong).count(), 1);
    let Some(Notice::Snapshot(snapshot)) = house.household.watch().next().await.map(|numbered| numbered.notice) else {
        panic!("a watch begins with a snapshot");
    };
    let latest = snapshot.points[0].latest.as_ref().expect("readings were kept");
    assert_eq!((latest.clock, latest.at_utc_milliseconds), (Clock::Host, now + 30 * SECOND));
}

fn with_gas(mut reading: Reading, channel: u8, serial: &str, stamp: i64, litres: i64) -> Reading {
    reading.children.push(Child { channel, medium: Medium::Gas, equipment: Some(Equipment(serial.to_owned())) });
    reading.values.push(Measured {
        obis: Obis::new(0, channel, 24, 2, 1),
        channel,
        quantity: Quantity::Volume,
        value: Decimal { mantissa: litres, places: 3 },
        unit: Unit::CubicMetre,
        meter_time: time(stamp),
    });
    reading
}

#[tokio::test(flavor = "multi_thread")]
async fn w6_t15_gas_is_booked_in_its_own_hour_and_a_frozen_old_meter_is_left_behind() {
    let house = House::new("gas").await;
    for hour in 0..10 {
        let at = MONDAY + hour * HOUR + 30 * SECOND;
        // Stamped ten seconds after the hour it closes, as some meters do.
        let reading =
            with_gas(telegram(at, hour, 0, 1), 1, "old", MONDAY + hour * HOUR + 10 * SECOND, 5_000 + hour * 100);
        house.hear(reading).await;
    }
    // Swapped: the old one stays frozen on channel 1, the new one begins at zero on channel 2.
    for hour in 10..=24 {
        let at = MONDAY + hour * HOUR + 30 * SECOND;
        let reading = with_gas(telegram(at, hour, 0, 1), 1, "old", MONDAY + 9 * HOUR + 10 * SECOND, 5_900);
        house.hear(with_gas(reading, 2, "new", MONDAY + hour * HOUR + 10 * SECOND, (hour - 10) * 100)).await;
    }
    let day = house.day("2026-03-02").await;
    assert_eq!(day.buckets[3].amounts.gas_millilitres, Millilitres::new(100_000), "03:00 to 04:00");
    let total = day.total.gas_millilitres.map(Millilitres::count);
    assert_eq!(total, Some(900_000 + 1_200_000), "nine hours of the old, twelve since the new was seen fresh");
}

#[tokio::test(flavor = "multi_thread")]
async fn t6_t17_the_homes_zone_cuts_the_days_and_can_change() {
    let house = House::new("zone").await;
    for step in 0..=48 * 6 {
        house.hear(telegram(MONDAY + step * 600 * SECOND, step, 0, 6)).await;
    }
    // Ten minutes apart is a gap for electricity, so only edges that a reading stands on are known: local midnights are.
    assert_eq!(house.day("2026-03-02").await.start_utc_milliseconds, MONDAY);
    house.household.set_zone(SetZone { zone: "Asia/Kathmandu".to_owned() }).await.expect("a zone");
    let day = house.day("2026-03-02").await;
    assert_eq!(day.start_utc_milliseconds, MONDAY - (4 * HOUR + 45 * 60 * SECOND));
    assert_eq!(day.buckets[0].utc_offset_seconds, 20_700);
    let refused = house.household.set_zone(SetZone { zone: "Europe/Atlantis".to_owned() }).await;
    assert_eq!(refused.map_err(|error| error.code), Err(ErrorCode::Invalid));
}

#[tokio::test(flavor = "multi_thread")]
async fn r11_u5_a_meter_removed_and_added_again_goes_on_with_its_history() {
    let mut house = House::new("renamed").await;
    for step in 0..10 {
        house.hear(telegram(MONDAY + step * 10 * SECOND, 100 + step, 0, 360)).await;
    }
    house.household.remove_meter(RemoveMeter { meter: house.meter }).await.expect("it is there");
    let request = AddMeter { address: "file:other".to_owned(), name: "Cellar".to_owned(), role: Role::Connection };
    house.meter = house.household.add_meter(request).await.expect("a second one");
    for step in 10..20 {
        house.hear(telegram(MONDAY + step * 10 * SECOND, 100 + step, 0, 360)).await;
    }
    assert_eq!(house.day("2026-03-02").await.total.import_milliwatt_hours, wh(19));
    let Some(Notice::Snapshot(snapshot)) = house.household.watch().next().await.map(|numbered| numbered.notice) else {
        panic!("a watch begins with a snapshot");
    };
    assert_eq!(snapshot.points.iter().filter(|point| point.kind == PointKind::Connection).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_telegrams_twice_change_nothing() {
    let house = House::new("twice").await;
    for _ in 0..2 {
        for step in 0..50 {
            house.hear(telegram(MONDAY + step * 10 * SECOND, 100 + step, 0, 360)).await;
        }
    }
    assert_eq!(house.day("2026-03-02").await.total.import_milliwatt_hours, wh(49));
    assert_eq!(house.household.about(About {}).await.map(|about| about.readings), Ok(50));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_announced_was_stored_before_and_is_numbered() {
    let house = House::new("announced").await;
    let mut watch = house.household.watch();
    let first = watch.next().await.expect("an open home");
    assert!(first.number == 1 && matches!(first.notice, Notice::Snapshot(_)));
    for step in 0..3 {
        house.hear(telegram(MONDAY + step * 10 * SECOND, 100 + step, 0, 360)).await;
        let numbered = watch.next().await.expect("an open home");
        assert_eq!(numbered.number, 2 + step as u64);
        let kept = house.household.about(About {}).await.expect("a readable database").readings;
        assert_eq!(kept as i64, step + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_readable_lies_on_the_disk() {
    let house = House::new("sealed").await;
    for step in 0..200 {
        house.hear(telegram(MONDAY + step * 10 * SECOND, 100 + step, 0, 360)).await;
    }
    house.day("2026-03-02").await;
    let key = std::fs::read_to_string(house.folder.0.join("database.key")).expect("a key file");
    for entry in std::fs::read_dir(&house.folder.0).expect("a folder").flatten() {
        let content = std::fs::read(entry.path()).expect("a file");
        for secret in [&b"SQLite format 3"[..], b"made A", b"connection", b"CREATE TABLE"] {
            assert!(!content.windows(secret.len()).any(|window| window == secret), "{:?}", entry.path());
        }
        let is_key_file = entry.file_name() == "database.key";
        let key = key.split('"').nth(3).expect("a named key").as_bytes();
        assert!(is_key_file || !content.windows(key.len()).any(|window| window == key), "{:?}", entry.path());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_its_key_is_left_untouched_and_says_what_to_do() {
    let house = House::new("keyless").await;
    house.hear(telegram(MONDAY, 100, 0, 360)).await;
    house.day("2026-03-02").await;
    assert!(matches!(open(&house.folder.0), Err(StoreError::InUse(_))), "one writer at a time");
    let folder = house.close().await;
    let (database, key) = (folder.0.join("wattle.db"), folder.0.join("database.key"));
    let (before, kept) = (std::fs::read(&database).expect("a database"), std::fs::read_to_string(&key).expect("a key"));

    std::fs::remove_file(&key).expect("our own file");
    let missing = open(&folder.0).map(|_| ()).expect_err("there is no key");
    assert!(matches!(missing, StoreError::KeyMissing { .. }), "{missing}");
    assert!(missing.to_string().contains("left untouched"), "{missing}");

    write_private(&key, &kept.replace(kept.split('"').nth(3).expect("a named key"), &"00".repeat(32)));
    let wrong = open(&folder.0).map(|_| ()).expect_err("the key is another");
    assert!(matches!(wrong, StoreError::KeyWrong { .. }), "{wrong}");
    assert!(std::fs::read(&database).expect("a database") == before, "not a byte of the database changed");

    write_private(&key, &kept);
    assert!(open(&folder.0).is_ok(), "with its key it opens");
}

#[cfg(unix)]
#[test]
fn a_key_file_that_others_may_read_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = std::env::temp_dir().join(format!("wattle-house-{}-exposed", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let path = folder.join("database.key");
    std::fs::write(&path, "{}").expect("a file");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("our own file");
    let error = open(&folder).map(|_| ()).expect_err("it is exposed");
    assert!(matches!(error, StoreError::Secrets(SecretsError::Exposed { mode: 0o644, .. })), "{error}");
    let _ = std::fs::remove_dir_all(&folder);
}

fn write_private(path: &std::path::Path, text: &str) {
    use std::io::Write as _;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).and_then(|mut file| file.write_all(text.as_bytes())).expect("a writable folder");
}

#[tokio::test(flavor = "multi_thread")]
async fn w11_what_comes_without_a_clock_is_booked_under_the_hosts_time_and_marked_so() {
    let house = House::new("clockless").await;
    for step in 0..60 {
        let mut reading = telegram(MONDAY, 1_000 + step, 0, 360);
        reading.meter_time = None;
        let arrived = Arrived { reading, arrived_utc_milliseconds: MONDAY + step * 10 * SECOND, live: true };
        house.household.hear(house.meter, MeterEvent::Reading(Box::new(arrived))).await;
    }
    let day = house.day("2026-03-02").await;
    assert_eq!(day.total.import_milliwatt_hours, wh(59));
    assert!(day.facts.is_empty(), "none is not a wrong one");
    let Some(Notice::Snapshot(snapshot)) = house.household.watch().next().await.map(|numbered| numbered.notice) else {
        panic!("a watch begins with a snapshot");
    };
    assert_eq!(snapshot.points[0].latest.as_ref().map(|latest| latest.clock), Some(Clock::Host));
}

#[tokio::test(flavor = "multi_thread")]
async fn w12_a_lost_list_of_the_hour_loses_no_energy_and_no_other_hour() {
    let house = House::new("hourly").await;
    for step in 0..=6 * 360 {
        let at = MONDAY + step * 10 * SECOND;
        let mut reading = telegram(at, 5_000 + step, 0, 360);
        // Registers come once an hour; the list of three o'clock is lost, what flows is told all the time.
        let hour = step % 360 == 0;
        if !hour || step == 3 * 360 {
            reading.values.retain(|value| !matches!(value.quantity, Quantity::ActiveEnergy(..)));
        }
        house.hear(reading).await;
    }
    let day = house.day("2026-03-02").await;
    assert_eq!(day.total.import_milliwatt_hours, wh(6 * 360), "the total is exact");
    let hours: Vec<_> = day.buckets[..6].iter().map(|bucket| bucket.amounts.import_milliwatt_hours).collect();
    assert_eq!([hours[0], hours[1], hours[4], hours[5]], [wh(360); 4], "the hours around are what they were");
    let sum: i64 = hours[2..4].iter().flatten().map(|energy| energy.count()).sum();
    assert!(sum == 0 || sum == 720_000, "two hours whose total alone is known, or nothing: {hours:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn t14_quarters_are_the_meters_whatever_the_hosts_clock_says() {
    for skew in [-90, 0, 90] {
        let house = House::new(&format!("skewed{skew}")).await;
        for step in 0..=180 {
            let at = MONDAY + step * 10 * SECOND;
            let reading = telegram(at, 1_000 + if step <= 90 { step } else { 90 + 3 * (step - 90) }, 0, 360);
            let arrived = Arrived { reading, arrived_utc_milliseconds: at + skew * SECOND, live: true };
            house.household.hear(house.meter, MeterEvent::Reading(Box::new(arrived))).await;
        }
        let quarters = house.history(Period::Day, "2026-03-02", Resolution::Quarter).await.buckets;
        let energy: Vec<_> = quarters[..2].iter().map(|bucket| bucket.amounts.import_milliwatt_hours).collect();
        assert_eq!(energy, [wh(90), wh(270)], "host clock {skew} s off");
    }
}
