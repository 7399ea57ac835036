//! Keys and counters of an encrypting meter, lived through from outside: replays, restarts, and keys that change.
//!
//! The meter's task is played by the decoder itself, started with what the home orders, so that what the home keeps is
//! proved to be what the decoder needs.

use std::path::{Path, PathBuf};

use contract::calls::{About, AddMeter, Calls as _, RemoveMeter, Secret, SecurityEvents, SetMeterKey, SetZone};
use contract::live::{MeterId, MeterState, Role, Snapshot};
use contract::notice::Notice;
use contract::security::{KeySlot, SecurityEventKind};
use household::home::{Household, MeterOrder, Options};
use household::secrets::Secrets;
use meter_link::decoder::{Decoder, Protocol};
use meter_link::error::DecodeError;
use meter_link::health::Refusal;
use meter_link::meter::{Arrived, MeterEvent, Refused};
use meter_link::security::cipher::{Cipher, nonce};
use meter_link::security::key::Key;
use meter_link::security::{Counter, KeyPair};
use tokio::sync::mpsc::UnboundedReceiver;

/// 2026-03-02 00:00 in Amsterdam.
const MONDAY: i64 = 1_772_406_000_000;
/// Made up; a maker's three letters begin it, as the standard asks.
const TITLE: [u8; 8] = *b"TSTmade1";
/// The authentication key that Luxembourg publishes.
const PUBLIC: &str = "00112233445566778899AABBCCDDEEFF";

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A home with one meter on a wire, and the task that reads it.
struct House {
    folder: Folder,
    household: Household,
    orders: UnboundedReceiver<MeterOrder>,
    meter: MeterId,
    decoder: Decoder,
}

impl House {
    async fn new(name: &str) -> Self {
        let folder = Folder(std::env::temp_dir().join(format!("wattle-keys-{}-{name}", std::process::id())));
        let _ = std::fs::remove_dir_all(&folder.0);
        let (household, orders) = open(&folder.0);
        household.set_zone(SetZone { zone: "Europe/Amsterdam".to_owned() }).await.expect("a zone");
        let address = "tcp://made:1".to_owned();
        let request = AddMeter { address, name: String::new(), role: Role::Connection };
        let meter = household.add_meter(request).await.expect("the first meter is welcome");
        let mut house = Self { folder, household, orders, meter, decoder: decoder(&[], &[]) };
        house.take_orders();
        house
    }

    /// Kills the home (nothing is flushed on the way out) and opens it again.
    async fn reopen(self) -> Self {
        let Self { folder, household, orders, meter, .. } = self;
        drop((household, orders));
        let lock = std::fs::File::open(folder.0.join("lock")).expect("a home's folder has a lock");
        while lock.try_lock().is_err() {
            tokio::task::yield_now().await;
        }
        drop(lock);
        let (household, orders) = open(&folder.0);
        let mut house = Self { folder, household, orders, meter, decoder: decoder(&[], &[]) };
        house.take_orders();
        house
    }

    /// The host's part: starts the task anew when the home says so. Gives how many keys it was started with.
    fn take_orders(&mut self) -> Option<usize> {
        let mut started = None;
        while let Ok(order) = self.orders.try_recv() {
            if let MeterOrder::Start { keys, counters, .. } = order {
                self.decoder = decoder(&keys, &counters);
                started = Some(keys.len());
            }
        }
        started
    }

    /// The meter's task: decodes one frame that came at a step, and tells what became of it.
    async fn hear(&mut self, frame: &[u8], step: i64) {
        let arrived_utc_milliseconds = MONDAY + step * 10_000;
        let mut rest = frame;
        while !rest.is_empty() {
            let taken = self.decoder.handle_bytes(rest);
            rest = &rest[taken..];
            while let Some(result) = self.decoder.poll_reading() {
                let event = match result {
                    Ok(reading) => {
                        MeterEvent::Reading(Box::new(Arrived { reading, arrived_utc_milliseconds, live: true }))
                    }
                    Err(error) => {
                        let is_kept = matches!(error, DecodeError::KeyNeeded | DecodeError::KeyWrong);
                        let frame = if is_kept { self.decoder.sealed().to_vec() } else { Vec::new() };
                        let refusal = Refusal::of(error);
                        assert!(refusal.is_some() || is_kept, "{error}");
                        MeterEvent::Refused(Box::new(Refused { refusal, frame, arrived_utc_milliseconds }))
                    }
                };
                self.household.hear(self.meter, event).await;
            }
        }
    }

    async fn enter(&self, key: u8) {
        let decryption_key = Secret(text(key));
        let request = SetMeterKey { meter: self.meter, decryption_key, authentication_key: None };
        self.household.set_meter_key(request).await.expect("a key of 32 digits");
    }

    async fn snapshot(&self) -> Snapshot {
        // Commands are worked through in order: an answered one means that all before it are.
        self.household.set_zone(SetZone { zone: "Europe/Amsterdam".to_owned() }).await.expect("its own zone");
        match self.household.watch().next().await.map(|numbered| numbered.notice) {
            Some(Notice::Snapshot(snapshot)) => *snapshot,
            _ => panic!("a watch begins with a snapshot"),
        }
    }

    async fn state(&self) -> MeterState {
        self.snapshot().await.meters.remove(0)
    }

    async fn readings(&self) -> u64 {
        self.snapshot().await;
        self.household.about(About {}).await.expect("a readable database").readings
    }

    async fn events(&self) -> Vec<SecurityEventKind> {
        self.snapshot().await;
        let events = self.household.security_events(SecurityEvents { meter: self.meter }).await;
        events.expect("a readable database").iter().map(|event| event.kind).collect()
    }
}

fn open(folder: &Path) -> (Household, UnboundedReceiver<MeterOrder>) {
    let secrets = Secrets::File(folder.join("database.key"));
    let (find_devices, list_ports) = (Vec::new, Vec::new);
    let options = Options { folder: folder.to_owned(), secrets, capabilities: Vec::new(), find_devices, list_ports };
    Household::open(options).expect("the folder opens")
}

/// One that knows what the meter speaks: finding that out is meter-link's own matter, and may hold a first frame back.
fn decoder(keys: &[KeyPair], counters: &[Counter]) -> Decoder {
    Decoder::of(&[Protocol::P1], keys, counters)
}

fn text(key: u8) -> String {
    format!("{key:02X}").repeat(16)
}

/// A telegram of a step, 1 Wh above the one before, sealed as Luxembourg's meters do.
fn sealed(key: u8, counter: u32, step: i64) -> Vec<u8> {
    let (hour, minute, second) = (step / 360, step / 6 % 60, step % 6 * 10);
    let register = 1_000 + step;
    let mut plain = format!(
        "/TST5\\MADE\r\n\r\n0-0:1.0.0(260302{hour:02}{minute:02}{second:02}W)\r\n\
         1-0:1.8.0({:06}.{:03}*kWh)\r\n1-0:1.7.0(00.360*kW)\r\n!",
        register / 1_000,
        register % 1_000
    )
    .into_bytes();
    let checksum = meter_link::checksum::arc(&plain);
    plain.extend(format!("{checksum:04X}\r\n").bytes());
    let control = 0x30;
    let mut associated = vec![control];
    associated.extend(Key::parse(PUBLIC).expect("a key").bytes());
    let cipher = Cipher::new(&Key::parse(&text(key)).expect("a key"));
    let tag = cipher.seal(nonce(TITLE, counter), &associated, &mut plain);
    let length = u16::try_from(1 + 4 + plain.len() + tag.len()).expect("a short telegram");
    let mut frame = vec![0xDB, 8];
    frame.extend(TITLE);
    frame.push(0x82);
    frame.extend(length.to_be_bytes());
    frame.push(control);
    frame.extend(counter.to_be_bytes());
    frame.extend(plain);
    frame.extend(tag);
    frame
}

#[tokio::test(flavor = "multi_thread")]
async fn k2_n2_a_replay_is_never_booked_and_told_once_each_even_after_a_kill() {
    let mut house = House::new("replay").await;
    house.enter(1).await;
    house.take_orders();
    let frames: Vec<_> = (0..20).map(|step| sealed(1, 500 + step as u32, step)).collect();
    for (frame, step) in frames.iter().zip(0..) {
        house.hear(frame, step).await;
    }
    assert_eq!(house.readings().await, 20);
    assert_eq!(house.events().await, []);
    for round in 1..=3 {
        for (frame, step) in frames.iter().zip(100 * round..) {
            house.hear(frame, step).await;
        }
        assert_eq!(house.readings().await, 20, "round {round}");
        assert_eq!(house.events().await, vec![SecurityEventKind::Replayed; 20 * round as usize], "one event each");
        house = house.reopen().await;
    }
    // Even a task that had lost its counters could not get one past the books.
    house.decoder = decoder(&[KeyPair::parse(&text(1), None).expect("a key")], &[]);
    for (frame, step) in frames.iter().zip(900..) {
        house.hear(frame, step).await;
    }
    assert_eq!((house.readings().await, house.events().await.len()), (20, 80));
    house = house.reopen().await;
    house.hear(&sealed(1, 520, 1_000), 1_000).await;
    assert_eq!(house.readings().await, 21, "what is new is still read");
}

#[tokio::test(flavor = "multi_thread")]
async fn n3_fifteen_key_changes_in_a_row_lose_no_frame() {
    let mut house = House::new("fifteen").await;
    let (mut step, mut counter) = (0, 100);
    for key in 1..=15 {
        // A counter may begin anew with a key.
        counter = if key % 2 == 0 { 1 } else { counter + 1 };
        let mut frame = || {
            counter += 1;
            step += 1;
            (sealed(key, counter, step), step)
        };
        for _ in 0..6 {
            let (frame, step) = frame();
            house.hear(&frame, step).await;
        }
        assert_eq!(house.state().await.sealed_frames, 6, "key {key}: kept until it is known");
        if key % 5 == 0 {
            house = house.reopen().await;
        }
        house.enter(key).await;
        assert_eq!(house.state().await.sealed_frames, 0, "key {key}: read before the task starts anew");
        // The old task still tells what it could not open.
        let (late, at) = frame();
        house.hear(&late, at).await;
        let held = house.take_orders().expect("a new key starts the task anew");
        assert!(held <= 3, "{held} keys are held");
        for _ in 0..5 {
            let (frame, step) = frame();
            house.hear(&frame, step).await;
        }
        let state = house.state().await;
        assert_eq!(state.sealed_frames, 0, "key {key}");
        assert_eq!((state.keys[0].number, state.keys[0].state), (u32::from(key), KeySlot::Current));
        assert_eq!(state.keys.iter().filter(|key| key.state == KeySlot::Previous).count(), usize::from(key > 1));
    }
    assert_eq!(house.readings().await, 15 * 12, "every frame is a reading");
    let total = house.snapshot().await.points[0].latest.as_ref().expect("a reading").registers[0].total_milliwatt_hours;
    assert_eq!(total.count(), (1_000 + 15 * 12) * 1_000);
    // A key that a newer one has replaced is refused, and its old frames stay counted.
    let before = house.events().await.len();
    house.hear(&sealed(14, 9_000, step + 1), step + 1).await;
    house.hear(&sealed(15, counter, step + 2), step + 2).await;
    assert_eq!(house.events().await[..2], [SecurityEventKind::Replayed, SecurityEventKind::KeyRetired]);
    assert_eq!((house.readings().await, house.events().await.len()), (180, before + 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_again_changes_nothing_and_an_old_one_never_starts_anew() {
    let mut house = House::new("again").await;
    house.enter(1).await;
    assert_eq!(house.take_orders(), Some(1));
    house.hear(&sealed(1, 700, 1), 1).await;
    house.enter(1).await;
    assert_eq!(house.take_orders(), None, "the task goes on");
    assert_eq!(house.state().await.keys.len(), 1);
    for (key, counter, step) in [(2, 10, 2), (3, 10, 3)] {
        house.enter(key).await;
        house.take_orders();
        house.hear(&sealed(key, counter, step), step).await;
    }
    let secrets = std::fs::read_to_string(house.folder.0.join("database.key")).expect("a key file");
    house.readings().await;
    assert!(secrets.contains(&text(3)) && secrets.contains(&text(2)), "the current key and the one before it");
    let secrets = std::fs::read_to_string(house.folder.0.join("database.key")).expect("a key file");
    assert!(!secrets.contains(&text(1)), "an older one is forgotten");
    house.enter(1).await;
    house.take_orders();
    house.hear(&sealed(1, 700, 4), 4).await;
    house.hear(&sealed(3, 11, 5), 5).await;
    assert_eq!(house.readings().await, 4, "the current key goes on, and the old frame is not counted again");
    assert_eq!(house.state().await.keys[0].number, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_entered_early_waits_until_the_meter_uses_it() {
    let mut house = House::new("early").await;
    house.enter(1).await;
    house.take_orders();
    house.hear(&sealed(1, 1, 1), 1).await;
    house.readings().await;
    house.enter(2).await;
    assert_eq!(house.take_orders(), Some(2));
    let slots = |state: &MeterState| state.keys.iter().map(|key| key.state).collect::<Vec<_>>();
    assert_eq!(slots(&house.state().await), [KeySlot::Next, KeySlot::Current]);
    house.hear(&sealed(1, 2, 2), 2).await;
    house.hear(&sealed(2, 1, 3), 3).await;
    assert_eq!(house.readings().await, 3, "both are accepted over the change");
    assert_eq!(slots(&house.state().await), [KeySlot::Current, KeySlot::Previous]);
    house.hear(&sealed(1, 3, 4), 4).await;
    assert_eq!(house.readings().await, 3);
    assert_eq!(house.events().await, [SecurityEventKind::KeyRetired]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_key_entered_late_opens_its_frames_and_replaces_nothing() {
    let mut house = House::new("late").await;
    for step in 1..=3 {
        house.hear(&sealed(1, step as u32, step), step).await;
    }
    for step in 4..=6 {
        house.hear(&sealed(2, step as u32, step), step).await;
    }
    assert_eq!(house.state().await.sealed_frames, 6);
    house.enter(2).await;
    assert_eq!(house.state().await.sealed_frames, 3);
    house.enter(1).await;
    assert_eq!(house.state().await.sealed_frames, 0);
    house.take_orders();
    house.hear(&sealed(2, 7, 7), 7).await;
    assert_eq!(house.events().await, [], "the newer key is not retired by the older");
    let snapshot = house.snapshot().await;
    let latest = snapshot.points[0].latest.as_ref().expect("a reading");
    assert_eq!(latest.registers[0].total_milliwatt_hours.count(), 1_007_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn n2_kept_frames_are_not_counted_twice_and_a_meter_paired_again_keeps_its_counters() {
    let mut house = House::new("paired-again").await;
    for _ in 0..2 {
        for step in 1..=5 {
            house.hear(&sealed(1, step as u32, step), step).await;
        }
    }
    assert_eq!(house.events().await, [], "a frame that waits for its first key is no event");
    house.enter(1).await;
    assert_eq!((house.readings().await, house.state().await.sealed_frames), (5, 0));
    assert_eq!(house.events().await, [SecurityEventKind::Replayed; 5], "one for each that came twice");
    // The task without a key still tells a recording of what is counted by now.
    house.hear(&sealed(1, 3, 20), 20).await;
    assert_eq!((house.readings().await, house.state().await.sealed_frames), (5, 0));
    assert_eq!(house.events().await.len(), 6);

    house.household.remove_meter(RemoveMeter { meter: house.meter }).await.expect("it is there");
    let request = AddMeter { address: "tcp://made:1".to_owned(), name: String::new(), role: Role::Connection };
    house.meter = house.household.add_meter(request).await.expect("it is welcome again");
    house.enter(1).await;
    house.take_orders();
    house.hear(&sealed(1, 5, 30), 30).await;
    assert_eq!((house.readings().await, house.events().await), (5, vec![SecurityEventKind::Replayed]));
    house.hear(&sealed(1, 6, 31), 31).await;
    assert_eq!(house.readings().await, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrected_authentication_key_is_the_same_epoch() {
    let mut house = House::new("corrected").await;
    for (authentication, readings) in [("FF".repeat(16), 0), (PUBLIC.to_owned(), 1)] {
        let request = SetMeterKey {
            meter: house.meter,
            decryption_key: Secret(text(1)),
            authentication_key: Some(Secret(authentication)),
        };
        house.household.set_meter_key(request).await.expect("two keys");
        assert_eq!(house.take_orders(), Some(1));
        house.hear(&sealed(1, 9, 1), 1).await;
        assert_eq!((house.readings().await, house.state().await.keys.len()), (readings, 1));
    }
    assert_eq!(house.events().await, [SecurityEventKind::AuthenticationKeyWrong]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_meter_that_always_counts_nought_is_read() {
    let mut house = House::new("nought").await;
    house.enter(1).await;
    house.take_orders();
    for step in 1..=10 {
        house.hear(&sealed(1, 0, step), step).await;
    }
    house = house.reopen().await;
    for step in 11..=20 {
        house.hear(&sealed(1, 0, step), step).await;
    }
    assert_eq!((house.readings().await, house.events().await.len()), (20, 0));
}
