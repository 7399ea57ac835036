//! What a home books of a line that somebody tampers with: over every carrier of sealed messages, before and after a kill.
//!
//! Each forged frame gives one security event and no booking; a recording gives one event a frame, also when the home was
//! opened again and its counters come from the database; what the meter itself sends goes on to be booked, to one watt-hour.
//! The meter's task is played by the decoder, started with what the home orders; it knows its protocol, since finding that out
//! is meter-link's own matter and may hold a first frame back.

use std::path::{Path, PathBuf};

use contract::calls::{About, AddMeter, Calls as _, Secret, SecurityEvents, SetMeterKey, SetZone};
use contract::live::{MeterId, Role, Snapshot};
use contract::notice::Notice;
use contract::security::SecurityEventKind;
use household::home::{Household, MeterOrder, Options};
use household::secrets::Secrets;
use meter_link::decoder::{Decoder, Protocol};
use meter_link::dlms::axdr::Token;
use meter_link::dlms::print::{Entry, blocks, hdlc, hdlc_frame, mbus, notification};
use meter_link::error::DecodeError;
use meter_link::health::Refusal;
use meter_link::meter::{Arrived, MeterEvent, Refused};
use meter_link::obis::Obis;
use meter_link::p1::print::{Ending, print};
use meter_link::security::KeyPair;
use meter_link::security::seal::seal;
use tokio::sync::mpsc::UnboundedReceiver;

/// 2026-03-02 00:00 in Amsterdam.
const MONDAY: i64 = 1_772_406_000_000;
/// Made up; a maker's three letters begin it, as the standard asks.
const TITLE: [u8; 8] = *b"TST\x10\x32\x54\x76\x98";
const KEY: &str = "3A7C0F5512D4E69B88A1C20D4F6E7B93";
const AUTHENTICATION: &str = "C4117E09AB35D82F60917C3E5A04BD68";

/// A way for sealed messages to travel.
struct Carrier {
    name: &'static str,
    protocol: Protocol,
    /// What the meter says in clear when its register stands so, in Wh.
    plain: fn(u32) -> Vec<u8>,
    frame: fn(&[u8]) -> Vec<u8>,
}

const CARRIERS: [Carrier; 7] = [
    Carrier { name: "bare", protocol: Protocol::P1, plain: push, frame: <[u8]>::to_vec },
    Carrier { name: "hdlc", protocol: Protocol::DlmsHdlc, plain: push, frame: |message| hdlc(message, 2_000) },
    Carrier { name: "hdlc-blocks", protocol: Protocol::DlmsHdlc, plain: push, frame: in_blocks },
    Carrier { name: "hdlc-segments", protocol: Protocol::DlmsHdlc, plain: push, frame: |message| hdlc(message, 50) },
    Carrier { name: "mbus", protocol: Protocol::DlmsMbus, plain: push, frame: |message| mbus(message, 250) },
    Carrier { name: "mbus-segments", protocol: Protocol::DlmsMbus, plain: push, frame: |message| mbus(message, 33) },
    Carrier { name: "p1", protocol: Protocol::P1, plain: telegram, frame: <[u8]>::to_vec },
];

fn push(watt_hours: u32) -> Vec<u8> {
    let entry =
        |d, value, unit| Entry { obis: Obis::new(1, 0, 1, d, 0), value: Token::Integer(value), scale: Some((0, unit)) };
    notification(b"AIDON_V0001", &[entry(7, 360, 27), entry(8, i64::from(watt_hours), 30)])
}

fn telegram(watt_hours: u32) -> Vec<u8> {
    let register = format!("1-0:1.8.0({:06}.{:03}*kWh)", watt_hours / 1_000, watt_hours % 1_000);
    print(b"TST5\\MADE", [register.as_bytes(), b"1-0:1.7.0(00.360*kW)"], Ending::Checksum)
}

fn in_blocks(message: &[u8]) -> Vec<u8> {
    let blocks = blocks(message, 40);
    let frames = blocks
        .iter()
        .enumerate()
        .map(|(at, block)| if at == 0 { hdlc(block, 2_000) } else { hdlc_frame(block, false) });
    frames.collect::<Vec<_>>().concat()
}

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A home with one meter, and the task that reads it.
struct House {
    folder: Folder,
    household: Household,
    orders: UnboundedReceiver<MeterOrder>,
    meter: MeterId,
    protocol: Protocol,
    decoder: Decoder,
    /// Frames heard so far, ten seconds apart.
    step: i64,
}

impl House {
    async fn new(name: &str, carrier: &Carrier) -> Self {
        let name = format!("wattle-trust-{}-{name}-{}", std::process::id(), carrier.name);
        let folder = Folder(std::env::temp_dir().join(name));
        let _ = std::fs::remove_dir_all(&folder.0);
        let (household, orders) = open(&folder.0);
        household.set_zone(SetZone { zone: "Europe/Amsterdam".to_owned() }).await.expect("a zone");
        let address = "tcp://made:1".to_owned();
        let request = AddMeter { address, name: String::new(), role: Role::Connection };
        let meter = household.add_meter(request).await.expect("the first meter is welcome");
        let key = SetMeterKey {
            meter,
            decryption_key: Secret(KEY.to_owned()),
            authentication_key: Some(Secret(AUTHENTICATION.to_owned())),
        };
        household.set_meter_key(key).await.expect("two keys");
        let protocol = carrier.protocol;
        let decoder = Decoder::of(&[protocol], &[], &[]);
        let mut house = Self { folder, household, orders, meter, protocol, decoder, step: 0 };
        house.take_orders();
        house
    }

    /// Kills the home (nothing is flushed on the way out) and opens it again.
    async fn reopen(self) -> Self {
        let Self { folder, household, orders, meter, protocol, step, .. } = self;
        drop((household, orders));
        let lock = std::fs::File::open(folder.0.join("lock")).expect("a home's folder has a lock");
        while lock.try_lock().is_err() {
            tokio::task::yield_now().await;
        }
        drop(lock);
        let (household, orders) = open(&folder.0);
        let decoder = Decoder::of(&[protocol], &[], &[]);
        let mut house = Self { folder, household, orders, meter, protocol, decoder, step };
        house.take_orders();
        house
    }

    fn take_orders(&mut self) {
        while let Ok(order) = self.orders.try_recv() {
            if let MeterOrder::Start { keys, counters, .. } = order {
                self.decoder = Decoder::of(&[self.protocol], &keys, &counters);
            }
        }
    }

    /// The meter's task: decodes bytes, and tells what became of them.
    async fn hear(&mut self, mut bytes: &[u8]) {
        self.step += 1;
        let arrived_utc_milliseconds = MONDAY + self.step * 10_000;
        while !bytes.is_empty() {
            let taken = self.decoder.handle_bytes(bytes);
            bytes = &bytes[taken..];
            while let Some(result) = self.decoder.poll_reading() {
                let event = match result {
                    Ok(reading) => {
                        MeterEvent::Reading(Box::new(Arrived { reading, arrived_utc_milliseconds, live: true }))
                    }
                    Err(error) => {
                        let is_kept = matches!(error, DecodeError::KeyNeeded | DecodeError::KeyWrong);
                        let frame = if is_kept { self.decoder.sealed().to_vec() } else { Vec::new() };
                        let refusal = Refusal::of(error);
                        if refusal.is_none() && frame.is_empty() {
                            continue;
                        }
                        MeterEvent::Refused(Box::new(Refused { refusal, frame, arrived_utc_milliseconds }))
                    }
                };
                self.household.hear(self.meter, event).await;
            }
        }
    }

    async fn snapshot(&self) -> Snapshot {
        // Commands are worked through in order: an answered one means that all before it are.
        self.household.set_zone(SetZone { zone: "Europe/Amsterdam".to_owned() }).await.expect("its own zone");
        match self.household.watch().next().await.map(|numbered| numbered.notice) {
            Some(Notice::Snapshot(snapshot)) => *snapshot,
            _ => panic!("a watch begins with a snapshot"),
        }
    }

    /// Readings kept, the register as last believed in Wh, and security events.
    async fn books(&self) -> (u64, i64, usize) {
        let snapshot = self.snapshot().await;
        let latest = snapshot.points[0].latest.as_ref().expect("readings were kept");
        let readings = self.household.about(About {}).await.expect("a readable database").readings;
        (readings, latest.registers[0].total_milliwatt_hours.count() / 1_000, self.events().await.len())
    }

    async fn events(&self) -> Vec<SecurityEventKind> {
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

fn keys() -> KeyPair {
    KeyPair::parse(KEY, Some(AUTHENTICATION)).expect("two keys")
}

/// The message of a counter: its register stands 1 Wh higher with each.
fn message(carrier: &Carrier, counter: u32, control: u8) -> Vec<u8> {
    seal(&keys(), TITLE, counter, control, &(carrier.plain)(50_000 + counter))
}

/// Chance that can be thrown again (SplitMix64).
fn chance(seed: &mut u64, end: usize) -> usize {
    *seed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut bits = *seed;
    bits = (bits ^ bits >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((bits ^ bits >> 31) % end as u64) as usize
}

#[tokio::test(flavor = "multi_thread")]
async fn n1_k1_a_tampered_line_books_nothing_and_tells_once_for_each_frame() {
    for carrier in &CARRIERS {
        let mut house = House::new("forged", carrier).await;
        let (mut seed, mut counter, mut events) = (7, 2, 0);
        for counter in 1..=2 {
            house.hear(&(carrier.frame)(&message(carrier, counter, 0x30))).await;
        }
        for round in 0..3 {
            for step in 0..100 {
                let mut forged = message(carrier, counter + 1, 0x30);
                match step % 5 {
                    0 => forged = message(carrier, counter + 1, 0x20),
                    1 => forged = message(carrier, 1 + chance(&mut seed, counter as usize) as u32, 0x30),
                    2 => {
                        let control = forged.iter().position(|byte| *byte == 0x30).expect("a control byte");
                        forged[control] = (0x30 + 1 + chance(&mut seed, 255)) as u8;
                    }
                    // In what is signed, so that no length tells the end of it wrongly before the next frame has come.
                    _ => {
                        let bit = chance(&mut seed, (forged.len() - 20) * 8) + 20 * 8;
                        forged[bit / 8] ^= 1 << (bit % 8);
                    }
                }
                house.hear(&(carrier.frame)(&forged)).await;
                events += 1;
                if step % 10 == 9 {
                    counter += 1;
                    house.hear(&(carrier.frame)(&message(carrier, counter, 0x30))).await;
                }
            }
            let expect = (u64::from(counter), 50_000 + i64::from(counter), events);
            assert_eq!(house.books().await, expect, "{}, round {round}", carrier.name);
            house = house.reopen().await;
            counter += 1;
            house.hear(&(carrier.frame)(&message(carrier, counter, 0x30))).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn n2_k2_a_recording_is_never_booked_and_told_once_a_frame_after_a_kill_too() {
    for carrier in &CARRIERS {
        let mut house = House::new("replayed", carrier).await;
        let recorded: Vec<Vec<u8>> =
            (1..=20).map(|counter| (carrier.frame)(&message(carrier, counter, 0x30))).collect();
        for frame in &recorded {
            house.hear(frame).await;
        }
        assert_eq!(house.books().await, (20, 50_020, 0), "{}", carrier.name);
        for round in 1..=3 {
            for frame in &recorded {
                house.hear(frame).await;
            }
            assert_eq!(house.books().await, (20, 50_020, 20 * round), "{}, round {round}", carrier.name);
            house = house.reopen().await;
        }
        assert!(house.events().await.iter().all(|kind| *kind == SecurityEventKind::Replayed), "{}", carrier.name);
        for counter in 21..=22 {
            house.hear(&(carrier.frame)(&message(carrier, counter, 0x30))).await;
        }
        assert_eq!(house.books().await, (22, 50_022, 60), "{}: what is new is booked", carrier.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn n3_fifteen_key_changes_in_a_row_lose_no_frame_over_any_carrier() {
    for carrier in &CARRIERS {
        let mut house = House::new("fifteen", carrier).await;
        let mut register = 0;
        for change in 0..=15_u8 {
            let (counter, key) = (10 * u32::from(change % 2), format!("{:02X}", 0x10 + change).repeat(16));
            let pair = KeyPair::parse(&key, Some(AUTHENTICATION)).expect("two keys");
            let mut frame = |at: u32| {
                register += 1;
                (carrier.frame)(&seal(&pair, TITLE, counter + at, 0x30, &(carrier.plain)(50_000 + register)))
            };
            for at in 1..=4 {
                house.hear(&frame(at)).await;
            }
            house.snapshot().await;
            if change % 4 == 3 {
                house = house.reopen().await;
            }
            let (decryption_key, authentication_key) = (Secret(key.clone()), Some(Secret(AUTHENTICATION.to_owned())));
            let request = SetMeterKey { meter: house.meter, decryption_key, authentication_key };
            house.household.set_meter_key(request).await.expect("two keys");
            house.snapshot().await;
            house.take_orders();
            for at in 5..=8 {
                house.hear(&frame(at)).await;
            }
        }
        let (readings, last, _) = house.books().await;
        assert_eq!((readings, last), (16 * 8, 50_000 + 16 * 8), "{}: every frame is booked", carrier.name);
        let kept = house.snapshot().await.meters[0].sealed_frames;
        assert_eq!(kept, 0, "{}: none waits for a key any more", carrier.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn n1_what_comes_without_a_tag_is_never_booked_even_if_its_task_has_forgotten_the_meter() {
    let carrier = &CARRIERS[1];
    let mut house = House::new("forgotten", carrier).await;
    for counter in 1..=2 {
        house.hear(&(carrier.frame)(&message(carrier, counter, 0x30))).await;
    }
    house.decoder = Decoder::of(&[carrier.protocol], &[keys()], &[]);
    for counter in 3..=5 {
        house.hear(&(carrier.frame)(&(carrier.plain)(50_000 + counter))).await;
        house.hear(&(carrier.frame)(&message(carrier, counter, 0x20))).await;
    }
    assert_eq!(house.books().await, (2, 50_002, 6));
    assert_eq!(house.events().await, [SecurityEventKind::TagMissing; 6]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_meter_that_always_counts_0_is_booked_and_its_task_says_that_no_replay_can_be_told() {
    for carrier in &CARRIERS {
        let mut house = House::new("nought", carrier).await;
        let frame =
            |register: u32| (carrier.frame)(&seal(&keys(), TITLE, 0, 0x30, &(carrier.plain)(50_000 + register)));
        for register in 1..=3 {
            house.hear(&frame(register)).await;
        }
        assert!(house.decoder.is_replay_undetectable(), "{}", carrier.name);
        house = house.reopen().await;
        for register in 4..=6 {
            house.hear(&frame(register)).await;
        }
        assert!(house.decoder.is_replay_undetectable(), "{}: after a restart", carrier.name);
        assert_eq!(house.books().await, (6, 50_006, 0), "{}", carrier.name);
    }
}
