//! Devices that ask for a proof, lived through from outside: what is ordered, what screens see, and where the proof is.
//!
//! The host is played here: what it would have heard of a device is told, and what it is ordered is looked at.

use std::path::{Path, PathBuf};

use contract::calls::{AddMeter, Calls as _, PairMeter, ReadAgain, RemoveMeter, Secret, SetMeterLogin, StopPairing};
use contract::error::ErrorCode;
use contract::live::{MeterId, MeterState, Role};
use contract::notice::Notice;
use contract::pairing::{DeviceAccess, PairingState};
use household::home::{Household, MeterOrder, Options, PairBy, PairingEvent};
use household::secrets::Secrets;
use meter_link::bridge;
use meter_link::diagnosis::Finding;
use meter_link::health::{Health, LinkProblem, LinkState};
use meter_link::meter::MeterEvent;
use tokio::sync::mpsc::UnboundedReceiver;

const DEVICE: &str = "homewizard2://p1meter.lan";
/// As a pairing gives it: token, fingerprint, name.
const TOKEN: &str = "00112233445566778899aabbccddeeff";

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A home with one meter.
struct House {
    folder: Folder,
    household: Household,
    orders: UnboundedReceiver<MeterOrder>,
    meter: MeterId,
}

impl House {
    async fn new(name: &str, address: &str) -> Self {
        let folder = Folder(std::env::temp_dir().join(format!("wattle-pairing-{}-{name}", std::process::id())));
        let _ = std::fs::remove_dir_all(&folder.0);
        let (household, orders) = open(&folder.0);
        let request = AddMeter { address: address.to_owned(), name: String::new(), role: Role::Connection };
        let meter = household.add_meter(request).await.expect("the first meter is welcome");
        let mut house = Self { folder, household, orders, meter };
        if !address.starts_with("sep2:") {
            assert!(matches!(house.order(), MeterOrder::Start { secret: None, .. }));
        }
        house
    }

    async fn reopen(self) -> Self {
        let Self { folder, household, orders, meter } = self;
        drop((household, orders));
        let lock = std::fs::File::open(folder.0.join("lock")).expect("a home's folder has a lock");
        while lock.try_lock().is_err() {
            tokio::task::yield_now().await;
        }
        drop(lock);
        let (household, orders) = open(&folder.0);
        Self { folder, household, orders, meter }
    }

    fn order(&mut self) -> MeterOrder {
        self.orders.try_recv().expect("an order")
    }

    fn is_idle(&mut self) -> bool {
        self.orders.try_recv().is_err()
    }

    async fn pair(&self, trust_anew: bool) {
        self.household.pair_meter(PairMeter { meter: self.meter, trust_anew }).await.expect("a device with a button");
    }

    async fn tell(&self, event: PairingEvent) {
        self.household.hear_pairing(self.meter, event).await;
    }

    /// Presses the button: the host has what the device gave.
    async fn paired(&mut self) -> bridge::Secret {
        self.pair(false).await;
        assert!(matches!(self.order(), MeterOrder::Pair { .. }));
        let secret = secret();
        self.tell(PairingEvent::Paired { address: DEVICE.to_owned(), secret: secret.clone() }).await;
        self.state().await;
        secret
    }

    /// Commands are worked through in order: an answered one means that all before it are.
    async fn state(&self) -> MeterState {
        let request = StopPairing { meter: MeterId(999) };
        let refused = self.household.stop_pairing(request).await.expect_err("there is none");
        assert_eq!(refused.code, ErrorCode::NotFound);
        match self.household.watch().next().await.map(|numbered| numbered.notice) {
            Some(Notice::Snapshot(snapshot)) => snapshot.meters.into_iter().next().expect("a meter"),
            _ => panic!("a watch begins with a snapshot"),
        }
    }

    /// Everything in the database, in clear.
    fn database(&self) -> String {
        let kept: serde_json::Value = serde_json::from_str(&self.kept()).expect("names and values");
        let kept = kept.as_object().expect("names and values");
        let (_, key) = kept.iter().find(|(name, _)| name.starts_with("database ")).expect("its key");
        let connection = rusqlite::Connection::open(self.folder.0.join("wattle.db")).expect("a database");
        connection.pragma_update(None, "key", format!("x'{}'", key.as_str().expect("text"))).expect("a key");
        let tables = texts(&connection, "SELECT name FROM sqlite_schema WHERE type = 'table'");
        assert!(tables.contains("meter"));
        tables.lines().map(|table| texts(&connection, &format!("SELECT * FROM {table}"))).collect()
    }

    fn kept(&self) -> String {
        std::fs::read_to_string(self.folder.0.join("database.key")).expect("a key file")
    }
}

/// All that a query gives, a line for each value.
fn texts(connection: &rusqlite::Connection, query: &str) -> String {
    let mut statement = connection.prepare(query).expect("a query");
    let columns = statement.column_count();
    let mut rows = statement.query([]).expect("rows");
    let mut all = String::new();
    while let Some(row) = rows.next().expect("a row") {
        for column in 0..columns {
            let value = row.get_ref(column).expect("a column");
            let text =
                value.as_bytes().map_or_else(|_| format!("{value:?}"), |bytes| String::from_utf8_lossy(bytes).into());
            all += &format!("{text}\n");
        }
    }
    all
}

fn open(folder: &Path) -> (Household, UnboundedReceiver<MeterOrder>) {
    let secrets = Secrets::File(folder.join("database.key"));
    let (find_devices, list_ports) = (Vec::new, Vec::new);
    let options = Options { folder: folder.to_owned(), secrets, capabilities: Vec::new(), find_devices, list_ports };
    Household::open(options).expect("the folder opens")
}

fn secret() -> bridge::Secret {
    bridge::Secret(format!("{TOKEN} {} appliance/p1dongle/0a0b0c0d0e0f", "5".repeat(64)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_button_is_waited_for_and_what_it_gave_is_kept_over_a_restart() {
    let mut house = House::new("button", DEVICE).await;
    house.pair(false).await;
    let MeterOrder::Pair { meter, address, by: PairBy::Button { name, known: None } } = house.order() else {
        panic!("a pairing")
    };
    assert_eq!((meter, address.as_str()), (house.meter, DEVICE));
    assert!(name.starts_with("wattle-") && name.len() <= 40, "{name}");
    assert_eq!(house.state().await.pairing, Some(PairingState::Asking));
    house.pair(false).await;
    assert!(house.is_idle(), "one at a time");

    house.tell(PairingEvent::Waiting { seconds_left: 21 }).await;
    assert_eq!(house.state().await.pairing, Some(PairingState::Button { seconds_left: 21 }));
    house.tell(PairingEvent::Paired { address, secret: secret() }).await;
    let state = house.state().await;
    assert_eq!((state.pairing, state.finding), (None, Finding::Listening));
    let MeterOrder::Start { secret: Some(started), .. } = house.order() else { panic!("a start with a proof") };
    assert_eq!(started, secret());
    assert!(house.kept().contains(TOKEN));

    let mut house = house.reopen().await;
    let MeterOrder::Start { secret: Some(started), .. } = house.order() else { panic!("a start with a proof") };
    assert_eq!(started, secret());
}

#[tokio::test(flavor = "multi_thread")]
async fn k7_a_proof_is_in_no_database_and_in_no_debug() {
    let mut house = House::new("nowhere", DEVICE).await;
    house.pair(false).await;
    let order = house.order();
    let event = PairingEvent::Paired { address: DEVICE.to_owned(), secret: secret() };
    assert!(!format!("{order:?} {event:?}").contains(TOKEN));
    house.tell(event).await;
    let state = house.state().await;
    let started = house.order();
    assert!(!format!("{started:?} {state:?} {:?}", house.household).contains(TOKEN));
    let database = house.database();
    assert!(database.contains(DEVICE), "the meter is in it");
    assert!(!database.contains(TOKEN));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pairing_that_failed_says_why_until_somebody_takes_note() {
    let mut house = House::new("failed", DEVICE).await;
    house.pair(false).await;
    house.order();
    house.tell(PairingEvent::Failed(LinkProblem::PairingNeeded)).await;
    let failed = Some(PairingState::Failed { problem: LinkProblem::PairingNeeded });
    assert_eq!(house.state().await.pairing, failed);
    assert!(!house.kept().contains("device "), "nothing is kept of it");

    house.household.stop_pairing(StopPairing { meter: house.meter }).await.expect("it is there");
    assert_eq!(house.state().await.pairing, None);
    assert!(house.is_idle(), "nothing goes on that could be given up");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pairing_is_given_up_and_what_comes_late_changes_nothing() {
    let mut house = House::new("given-up", DEVICE).await;
    house.pair(false).await;
    house.order();
    house.household.stop_pairing(StopPairing { meter: house.meter }).await.expect("it is there");
    assert!(matches!(house.order(), MeterOrder::StopPairing(meter) if meter == house.meter));
    house.tell(PairingEvent::Waiting { seconds_left: 3 }).await;
    house.tell(PairingEvent::Failed(LinkProblem::Closed)).await;
    assert_eq!(house.state().await.pairing, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn u5_paired_again_it_is_the_same_meter_and_only_the_same_device_unless_somebody_says_so() {
    let mut house = House::new("again", DEVICE).await;
    let secret = house.paired().await;
    assert!(matches!(house.order(), MeterOrder::Start { .. }));
    let health = Health { problem: Some(LinkProblem::PairingNeeded), state: LinkState::Waiting, ..Health::default() };
    house.household.hear(house.meter, MeterEvent::Health(Box::new(health))).await;
    assert_eq!(house.state().await.finding, Finding::PairingNeeded);

    house.pair(false).await;
    let MeterOrder::Pair { by: PairBy::Button { known: Some(known), .. }, .. } = house.order() else {
        panic!("a pairing with the same device")
    };
    assert_eq!(known, secret);
    house.tell(PairingEvent::Failed(LinkProblem::Untrusted)).await;
    let failed = Some(PairingState::Failed { problem: LinkProblem::Untrusted });
    assert_eq!(house.state().await.pairing, failed);
    assert!(house.kept().contains(TOKEN), "the old proof stays until there is a new one");

    house.pair(true).await;
    assert!(matches!(house.order(), MeterOrder::Pair { by: PairBy::Button { known: None, .. }, .. }));
    let new = bridge::Secret(secret.0.replace(TOKEN, &"7".repeat(32)));
    house.tell(PairingEvent::Paired { address: DEVICE.to_owned(), secret: new.clone() }).await;
    let state = house.state().await;
    assert_eq!((state.id, state.pairing), (house.meter, None));
    assert!(matches!(house.order(), MeterOrder::Start { secret: Some(started), .. } if started == new));
    assert!(!house.kept().contains(TOKEN));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_meter_is_forgotten_and_its_device_is_asked_to_forget_us() {
    for forgets in [true, false] {
        let mut house = House::new(&format!("removed-{forgets}"), DEVICE).await;
        let secret = house.paired().await;
        house.order();
        let household = house.household.clone();
        let request = RemoveMeter { meter: house.meter };
        let removing = tokio::spawn(async move { household.remove_meter(request).await });
        let Some(MeterOrder::Stop(stopped)) = house.orders.recv().await else { panic!("reading stops first") };
        let Some(MeterOrder::Leave { address, secret: shown, told, .. }) = house.orders.recv().await else {
            panic!("the device is asked")
        };
        assert_eq!((stopped, address.as_str(), shown), (house.meter, DEVICE, secret));
        assert!(!house.kept().contains(TOKEN), "forgotten whatever the device says");
        told.send(forgets).expect("somebody waits");
        let expect = if forgets { DeviceAccess::Ended } else { DeviceAccess::Left };
        assert_eq!(removing.await.expect("no panic"), Ok(expect));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_ends_meanwhile_leaves_the_device_as_it_is_and_says_so() {
    let mut house = House::new("ended", DEVICE).await;
    house.paired().await;
    drop(house.orders);
    let left = house.household.remove_meter(RemoveMeter { meter: house.meter }).await;
    assert_eq!(left, Ok(DeviceAccess::Left));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_device_gives_after_its_meter_was_removed_is_given_back() {
    let mut house = House::new("late", DEVICE).await;
    house.pair(false).await;
    house.order();
    let left = house.household.remove_meter(RemoveMeter { meter: house.meter }).await;
    assert_eq!(left, Ok(DeviceAccess::Nothing));
    assert!(matches!(house.order(), MeterOrder::Stop(_)));
    assert!(matches!(house.order(), MeterOrder::StopPairing(_)));
    house.tell(PairingEvent::Paired { address: DEVICE.to_owned(), secret: secret() }).await;
    let Some(MeterOrder::Leave { secret: shown, .. }) = house.orders.recv().await else { panic!("it is given back") };
    assert_eq!(shown, secret());
    assert!(!house.kept().contains(TOKEN));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_kept_is_given_back_and_said() {
    let mut house = House::new("not-kept", DEVICE).await;
    house.pair(false).await;
    house.order();
    let file = house.folder.0.join("database.key");
    let kept = house.kept();
    std::fs::write(&file, "no secrets of ours").expect("a writable folder");
    house.tell(PairingEvent::Paired { address: DEVICE.to_owned(), secret: secret() }).await;
    assert_eq!(house.state().await.pairing, Some(PairingState::NotKept));
    assert!(matches!(house.order(), MeterOrder::Leave { .. }));
    let refused = house.household.remove_meter(RemoveMeter { meter: house.meter }).await.expect_err("they are locked");
    assert_eq!(refused.code, ErrorCode::SecretsUnavailable);
    std::fs::write(&file, kept).expect("a writable folder");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_is_kept_and_used_and_a_wrong_one_is_refused() {
    let mut house = House::new("login", "glow://192.0.2.7").await;
    let meter = house.meter;
    let login = |user: &str, password: &str| SetMeterLogin {
        meter,
        user: Secret(user.to_owned()),
        password: Secret(password.to_owned()),
    };
    for (user, password, detail) in
        [("", "x", "user"), ("a:b", "x", "user"), ("a", "", "password"), ("a", "b\nc", "password")]
    {
        let refused = house.household.set_meter_login(login(user, password)).await.expect_err("no login");
        assert_eq!(
            (refused.code, refused.detail.as_deref()),
            (ErrorCode::Invalid, Some(detail)),
            "{user:?} {password:?}"
        );
    }
    assert!(house.is_idle());
    house.household.set_meter_login(login("home", "0123456789abcdef")).await.expect("a user and a password");
    let MeterOrder::Start { secret: Some(started), .. } = house.order() else { panic!("a start with a proof") };
    assert_eq!(started, bridge::Secret("home:0123456789abcdef".to_owned()));
    let left = house.household.remove_meter(RemoveMeter { meter }).await;
    assert_eq!(left, Ok(DeviceAccess::Nothing), "a password has nobody to be given back to");
    assert!(!house.kept().contains("0123456789abcdef"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_numbers_of_a_label_are_shown_to_the_device_and_what_it_agrees_to_is_kept() {
    let mut house = House::new("label", "eagle://192.0.2.7").await;
    let (user, password) = (Secret("00a1b2".to_owned()), Secret("0123456789abcdef".to_owned()));
    let request = SetMeterLogin { meter: house.meter, user, password };
    house.household.set_meter_login(request).await.expect("two numbers");
    let order = house.order();
    assert!(!format!("{order:?}").contains("0123456789abcdef"));
    let MeterOrder::Pair { address, by: PairBy::Label { cloud_id, install_code }, .. } = order else {
        panic!("a pairing by label")
    };
    assert_eq!((cloud_id.0.as_str(), install_code.0.as_str()), ("00a1b2", "0123456789abcdef"));
    assert_eq!(house.state().await.pairing, Some(PairingState::Asking));
    assert!(!house.kept().contains("0123456789abcdef"), "numbers that the device may not agree to are not kept");
    let secret = bridge::Secret("00a1b2:0123456789abcdef".to_owned());
    house.tell(PairingEvent::Paired { address, secret: secret.clone() }).await;
    assert_eq!(house.state().await.pairing, None);
    assert!(matches!(house.order(), MeterOrder::Start { secret: Some(started), .. } if started == secret));
}

const LFDI: &str = "0123456789ABCDEF0123456789ABCDEF01234567";

#[tokio::test(flavor = "multi_thread")]
async fn k5_a_certificate_waits_to_be_registered_and_stays_the_homes_own_whatever_comes() {
    let meter = "sep2://192.0.2.7";
    let mut house = House::new("registered", meter).await;
    let MeterOrder::Pair { by: PairBy::Certificate { identity: None }, .. } = house.order() else {
        panic!("it begins by itself, with a new certificate")
    };
    let identity = bridge::Secret("certificate and key".to_owned());
    house.tell(PairingEvent::Identity { secret: identity.clone(), lfdi: LFDI.to_owned() }).await;
    for problem in [None, Some(LinkProblem::Refused)] {
        house.tell(PairingEvent::Unregistered { problem }).await;
        let state = house.state().await;
        assert_eq!(state.pairing, Some(PairingState::Registration { problem }));
        assert_eq!((state.lfdi.as_deref(), state.finding), (Some(LFDI), Finding::Listening), "no fault is found");
    }
    assert!(house.database().contains(LFDI) && !house.database().contains(&identity.0));

    // Hours later, and after a restart, it is still asked with the same one.
    let mut house = house.reopen().await;
    let MeterOrder::Pair { address, by: PairBy::Certificate { identity: Some(shown) }, .. } = house.order() else {
        panic!("it goes on by itself")
    };
    assert_eq!((shown, house.state().await.lfdi.as_deref()), (identity.clone(), Some(LFDI)));
    let secret = bridge::Secret(format!("{} and the meter's", identity.0));
    house.tell(PairingEvent::Paired { address, secret: secret.clone() }).await;
    house.state().await;
    assert!(matches!(house.order(), MeterOrder::Start { secret: Some(started), .. } if started == secret));

    let mut house = house.reopen().await;
    assert!(matches!(house.order(), MeterOrder::Start { secret: Some(started), .. } if started == secret));
    assert_eq!(house.state().await.lfdi.as_deref(), Some(LFDI));
    // Refused for a while, it is only read again; another certificate in its place is taken when somebody says so.
    house.pair(false).await;
    assert!(matches!(house.order(), MeterOrder::Start { secret: Some(started), .. } if started == secret));
    house.pair(true).await;
    assert!(
        matches!(house.order(), MeterOrder::Pair { by: PairBy::Certificate { identity: Some(shown) }, .. } if shown == identity)
    );

    house.household.remove_meter(RemoveMeter { meter: house.meter }).await.expect("it is there");
    let request = AddMeter { address: meter.to_owned(), name: String::new(), role: Role::Connection };
    house.household.add_meter(request).await.expect("it is welcome again");
    let orders: Vec<_> = std::iter::from_fn(|| house.orders.try_recv().ok()).collect();
    let Some(MeterOrder::Pair { by: PairBy::Certificate { identity: Some(shown) }, .. }) = orders.last() else {
        panic!("a pairing")
    };
    assert_eq!(shown, &identity, "nothing has to be registered anew");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_cannot_be_kept_is_not_shown_for_registration() {
    let mut house = House::new("unkept", "sep2://192.0.2.7").await;
    house.order();
    std::fs::write(house.folder.0.join("database.key"), "no secrets of ours").expect("a writable folder");
    let secret = bridge::Secret("certificate and key".to_owned());
    house.tell(PairingEvent::Identity { secret, lfdi: LFDI.to_owned() }).await;
    let state = house.state().await;
    assert_eq!((state.pairing, state.lfdi), (Some(PairingState::NotKept), None));
    assert!(matches!(house.order(), MeterOrder::StopPairing(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_meter_that_is_asked_takes_a_password_alone() {
    let mut house = House::new("password", "dlms://192.0.2.7?security=low").await;
    let login = |user: &str| SetMeterLogin {
        meter: house.meter,
        user: Secret(user.to_owned()),
        password: Secret("00:00:0001".to_owned()),
    };
    let (refused, kept) = (login("somebody"), login(""));
    let refused = house.household.set_meter_login(refused).await.expect_err("it knows no users");
    assert_eq!(refused.detail.as_deref(), Some("user"));
    house.household.set_meter_login(kept).await.expect("a password");
    let MeterOrder::Start { secret: Some(started), .. } = house.order() else { panic!("a start with a proof") };
    assert_eq!(started, bridge::Secret("00:00:0001".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_device_does_not_want_is_refused() {
    let mut house = House::new("unwanted", "shelly://192.0.2.7").await;
    let meter = house.meter;
    let refused = house.household.pair_meter(PairMeter { meter, trust_anew: false }).await.expect_err("no button");
    assert_eq!(refused.code, ErrorCode::Unsupported);
    let (user, password) = (Secret("a".to_owned()), Secret("b".to_owned()));
    let refused = house.household.set_meter_login(SetMeterLogin { meter, user, password }).await;
    assert_eq!(refused.map_err(|error| error.code), Err(ErrorCode::Unsupported));
    assert!(house.is_idle());
    house.household.read_again(ReadAgain { meter }).await.expect("it is there");
    assert!(matches!(house.order(), MeterOrder::Start { secret: None, .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_place_is_read_once_however_its_address_is_written() {
    let house = House::new("spelling", DEVICE).await;
    for address in ["homewizard2://p1meter.lan:443", "homewizard2://p1meter.lan/"] {
        let request = AddMeter { address: address.to_owned(), name: String::new(), role: Role::Connection };
        let refused = house.household.add_meter(request).await.map_err(|error| error.code);
        assert_eq!(refused, Err(ErrorCode::AlreadyThere), "{address}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_of_a_line_that_worked_are_handed_to_the_next_start() {
    let mut house = House::new("settings", "file:made").await;
    let meter = house.meter;
    for (state, settings) in [(LinkState::Live, "1200 7E1"), (LinkState::Listening, "9600 8N1")] {
        let health = Health { state, line_settings: Some(settings.to_owned()), ..Health::default() };
        house.household.hear(meter, MeterEvent::Health(Box::new(health))).await;
    }
    house.household.read_again(ReadAgain { meter }).await.expect("it is there");
    let MeterOrder::Start { worked, .. } = house.order() else { panic!("a start") };
    assert_eq!(worked.map(|settings| settings.to_string()).as_deref(), Some("1200 7E1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_known_of_a_place_makes_no_other_place_of_it() {
    let house = House::new("known", "tcp://192.0.2.7:2001?protocol=p1").await;
    for address in ["tcp://192.0.2.7:2001", "tcp://192.0.2.7:2001?protocol=sml"] {
        let request = AddMeter { address: address.to_owned(), name: String::new(), role: Role::Connection };
        let refused = house.household.add_meter(request).await.map_err(|error| error.code);
        assert_eq!(refused, Err(ErrorCode::AlreadyThere), "{address}");
    }
}
