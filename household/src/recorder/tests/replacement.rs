//! The replacement of keys as the home keeps it, with the host and the meter played by the test: what is kept before what,
//! what a crash between two writes leaves, and what an ended suite is told.

use contract::calls::{ReplaceMeterKeys, Secret};
use contract::security::{KeyReplacementStage as Shown, KeySlot, MasterKey, ReplacedKeys};
use meter_link::dlms_client::key_change::{SuiteKeys, Trouble};

use super::*;

mod leaks;

const ADDRESS: &str = "dlms://made?security=gmac";
const TITLE: [u8; 8] = *b"TSTmade1";

/// A folder that is removed at the end, with the home in it; opened as often as it likes.
struct Place(PathBuf);

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Place {
    fn new(name: &str) -> Self {
        NOW.set(START);
        let folder = std::env::temp_dir().join(format!("wattle-replacement-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        Self(folder)
    }

    fn open(&self) -> Recorder {
        let secrets = Secrets::File(self.key_file());
        let (store, writer) = Store::open(&self.0, &secrets).expect("the folder opens");
        let home = Home {
            zone: String::new(),
            utc_offset_seconds: 0,
            now_utc_milliseconds: START,
            recording: Recording::Fine,
            capabilities: Vec::new(),
            first_date: None,
        };
        let orders = mpsc::unbounded_channel().0;
        Recorder::open(writer, store, secrets, "made".to_owned(), home, orders, || NOW.get()).expect("a home").0
    }

    fn key_file(&self) -> PathBuf {
        self.0.join("database.key")
    }

    /// One of the secrets.
    fn secret(&self, name: &str) -> Option<String> {
        Secrets::File(self.key_file()).read(&format!("{name} made")).expect("a key file")
    }
}

/// A meter that is asked, under made-up keys.
fn paired(recorder: &mut Recorder, address: &str) -> MeterId {
    let request = AddMeter { address: address.to_owned(), name: String::new(), role: Role::Connection };
    let meter = recorder.add_meter(&request).expect("a new meter");
    let pair = KeyPair::parse(&"01".repeat(16), Some(&"02".repeat(16))).expect("a key");
    recorder.set_meter_key(meter, &pair).expect("a new key");
    recorder.hear_counter(meter, counter(&pair, 7)).expect("kept");
    meter
}

fn counter(pair: &KeyPair, highest: u32) -> Counter {
    Counter { title: TITLE, key: pair.fingerprint(), highest }
}

fn begin(recorder: &mut Recorder, meter: MeterId, keys: ReplacedKeys) -> Result<KeyReplacementState, CallError> {
    let kept = recorder.administration(&recorder.meter(meter)?).is_some_and(|of| of.master_key_kept);
    let master_key = if kept { MasterKey::Kept } else { MasterKey::Given(Secret("AA".repeat(16))) };
    recorder.replace_meter_keys(&ReplaceMeterKeys { meter, keys, master_key })
}

fn open(recorder: &Recorder, meter: MeterId) -> OpenChange {
    recorder.open_change(meter).expect("one is open")
}

/// What the host does up to a stage, with a meter that does as it is told. Gives the change as it is then.
fn carry(recorder: &mut Recorder, meter: MeterId, suite: Suite, until: Shown) -> KeyChange {
    let keep = |recorder: &mut Recorder, change: KeyChange| {
        let step = OpenChange { change: change.clone(), ..open(recorder, meter) };
        recorder.keep_key_change(meter, &step).expect("the secrets are there");
        change
    };
    let change = open(recorder, meter).change;
    let old = change.old().clone();
    keep(recorder, change.answered_under(&old));
    let step = open(recorder, meter);
    let mut change = recorder.propose_keys(meter, &step, suite).expect("kept").expect("the suite goes on");
    if until == Shown::Pending {
        return change;
    }
    if change.next_master().is_some() {
        change = keep(recorder, change.master_sent());
    }
    change = keep(recorder, change.sent());
    if until == Shown::Sent {
        return change;
    }
    let master = change.masters().first().expect("one").clone();
    change = keep(recorder, change.master_proven(&master));
    let target = change.target().expect("they are made").clone();
    recorder.hear_counter(meter, counter(&target.pair(), 3)).expect("kept");
    keep(recorder, change.answered_under(&target))
}

fn end(recorder: &mut Recorder, meter: MeterId, change: &KeyChange) {
    let number = open(recorder, meter).number;
    recorder.end_key_change(meter, number, &Ended::Replaced(change.clone())).expect("it is proven");
}

fn stage(recorder: &Recorder, meter: MeterId) -> Option<Shown> {
    let administration = recorder.live.look(|state| state.meters[&meter].administration)?;
    Some(administration.replacement?.stage)
}

fn held(recorder: &Recorder, meter: MeterId) -> Vec<KeyPair> {
    recorder.protections[&meter].in_order_of_use()
}

#[test]
fn the_meters_keys_their_suite_and_its_address_follow_a_replacement() {
    let place = Place::new("follow");
    let mut recorder = place.open();
    let meter = paired(&mut recorder, ADDRESS);
    assert_eq!(begin(&mut recorder, meter, ReplacedKeys::Both).map(|state| state.stage), Ok(Shown::Pending));
    let again = begin(&mut recorder, meter, ReplacedKeys::Both).map_err(|error| error.code);
    assert_eq!(again, Err(ErrorCode::Busy));
    NOW.set(START + HOUR);
    let change = carry(&mut recorder, meter, Suite::Two, Shown::Verified);
    let new = change.target().expect("they are made").clone();
    assert_eq!((stage(&recorder, meter), new.keys.encryption.bytes().len()), (Some(Shown::Verified), 32));
    assert_ne!(held(&recorder, meter)[0], new.pair(), "not before it has ended");
    end(&mut recorder, meter, &change);
    for round in 0..2 {
        let state = recorder.meter(meter).expect("it is paired");
        let keys: Vec<_> = state.keys.iter().map(|key| (key.number, key.suite, key.state)).collect();
        assert_eq!(keys, [(2, 2, KeySlot::Current), (1, 0, KeySlot::Previous)], "round {round}");
        assert_eq!(state.keys[0].since_utc_milliseconds, START + HOUR);
        assert_eq!(state.address, "dlms://made?security=gmac&suite=2");
        assert_eq!((stage(&recorder, meter), held(&recorder, meter)[0].clone()), (Some(Shown::Active), new.pair()));
        assert!(recorder.open_change(meter).is_none() && place.secret("meter 1 change").is_none());
        assert!(state.administration.is_some_and(|administration| administration.master_key_kept));
        // And so they do when the home is opened again.
        drop(recorder);
        recorder = place.open();
    }
    // Once more, with the master key that is kept, and that one too.
    begin(&mut recorder, meter, ReplacedKeys::Master).expect("the last one has ended");
    let change = carry(&mut recorder, meter, Suite::Two, Shown::Verified);
    end(&mut recorder, meter, &change);
    assert_eq!(place.secret("meter 1 master"), change.masters().first().map(|master| master.to_hexadecimal()));
    assert_eq!(recorder.meter(meter).expect("it is paired").keys[0].number, 3);
}

#[test]
fn only_what_was_asked_for_is_replaced() {
    for (keys, differs) in [
        (ReplacedKeys::Both, [true, true, false]),
        (ReplacedKeys::Unicast, [true, false, false]),
        (ReplacedKeys::Authentication, [false, true, false]),
        (ReplacedKeys::Master, [true, true, true]),
    ] {
        let place = Place::new("which");
        let mut recorder = place.open();
        let meter = paired(&mut recorder, ADDRESS);
        begin(&mut recorder, meter, keys).expect("the first");
        let change = carry(&mut recorder, meter, Suite::One, Shown::Pending);
        let (old, new) = (&change.old().keys, &change.target().expect("they are made").keys);
        let master = change.next_master().is_some();
        assert_eq!([new.encryption != old.encryption, new.authentication != old.authentication, master], differs);
    }
}

#[test]
fn a_crash_after_any_write_ends_with_the_same_keys() {
    for until in [Shown::Pending, Shown::Sent, Shown::Verified] {
        let place = Place::new("crash");
        let mut recorder = place.open();
        let meter = paired(&mut recorder, ADDRESS);
        begin(&mut recorder, meter, ReplacedKeys::Both).expect("the first");
        let change = carry(&mut recorder, meter, Suite::Zero, until);
        drop(recorder);
        let recorder = place.open();
        assert_eq!((open(&recorder, meter).change, stage(&recorder, meter)), (change, Some(until)), "by itself");
    }
    // Between the journal and the database, both ways.
    let place = Place::new("crash");
    let mut recorder = place.open();
    let meter = paired(&mut recorder, ADDRESS);
    begin(&mut recorder, meter, ReplacedKeys::Both).expect("the first");
    recorder.writer.execute("DELETE FROM key_replacement", []).expect("as if it had not been committed");
    drop(recorder);
    let mut recorder = place.open();
    assert_eq!(stage(&recorder, meter), Some(Shown::Pending));
    let change = carry(&mut recorder, meter, Suite::Zero, Shown::Verified);
    let journal = place.secret("meter 1 change").expect("it is open");
    end(&mut recorder, meter, &change);
    let keys = held(&recorder, meter);
    drop(recorder);
    Secrets::File(place.key_file()).keep("meter 1 change made", &journal).expect("as if it had not been forgotten");
    let mut recorder = place.open();
    // The host finds the new keys in use, and ends it again.
    end(&mut recorder, meter, &change);
    assert_eq!((stage(&recorder, meter), held(&recorder, meter)), (Some(Shown::Active), keys));
    assert_eq!(recorder.meter(meter).expect("it is paired").keys.len(), 2, "no epoch twice");
}

#[test]
#[cfg(unix)]
fn a_place_of_secrets_that_is_locked_stops_every_step() {
    let place = Place::new("locked");
    // Others may read the secrets, so they are none and nothing is read from there or kept there.
    let lock = |locked: bool| {
        let mode = if locked { 0o644 } else { 0o600 };
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
        std::fs::set_permissions(place.key_file(), permissions).expect("it is ours");
    };
    let mut recorder = place.open();
    let meter = paired(&mut recorder, ADDRESS);
    let code = |result: Result<(), CallError>| result.map_err(|error| error.code);
    lock(true);
    let refused = begin(&mut recorder, meter, ReplacedKeys::Both).map(|_| ());
    assert_eq!(code(refused), Err(ErrorCode::SecretsUnavailable));
    assert_eq!((stage(&recorder, meter), recorder.open_change(meter)), (None, None), "nothing has begun");
    lock(false);
    begin(&mut recorder, meter, ReplacedKeys::Both).expect("unlocked");
    let change = carry(&mut recorder, meter, Suite::Zero, Shown::Pending);
    let before = open(&recorder, meter);
    lock(true);
    let sent = OpenChange { change: change.sent(), ..before.clone() };
    assert_eq!(code(recorder.keep_key_change(meter, &sent)), Err(ErrorCode::SecretsUnavailable));
    assert_eq!(open(&recorder, meter), before, "the host must not send, and the journal says so");
    lock(false);
    recorder.keep_key_change(meter, &sent).expect("unlocked");

    // Locked when the meter is protected anew: told, and gone on with by itself once it is not.
    lock(true);
    recorder.protect(meter).expect("the database is there");
    assert_eq!((stage(&recorder, meter), recorder.open_change(meter)), (Some(Shown::Sent), None));
    let told = recorder.meter(meter).expect("it is paired").administration.and_then(|of| of.replacement?.trouble);
    assert_eq!(told, Some(KeyReplacementTrouble::SecretsUnavailable));
    let again = begin(&mut recorder, meter, ReplacedKeys::Both).map(|_| ());
    assert_eq!(code(again), Err(ErrorCode::Busy), "one is open, though nobody can read it");
    for (minutes, is_read) in [(0, false), (1, true)] {
        lock(minutes == 0);
        NOW.set(NOW.get() + minutes * 60_000);
        recorder.tick();
        assert_eq!(recorder.open_change(meter).is_some(), is_read);
    }
    assert_eq!(open(&recorder, meter), sent);
}

#[test]
fn a_stopped_or_ended_replacement_takes_no_more_steps() {
    let place = Place::new("stopped");
    let mut recorder = place.open();
    let meter = paired(&mut recorder, ADDRESS);
    let keys = held(&recorder, meter);
    begin(&mut recorder, meter, ReplacedKeys::Both).expect("the first");
    let change = carry(&mut recorder, meter, Suite::Zero, Shown::Pending);
    let stopped = open(&recorder, meter);
    recorder.stop_key_replacement(meter).expect("nothing was sent");
    assert_eq!((stage(&recorder, meter), place.secret("meter 1 change")), (Some(Shown::RolledBack), None));
    let late = recorder.keep_key_change(meter, &OpenChange { change: change.sent(), ..stopped.clone() });
    assert_eq!(late.map_err(|error| error.code), Err(ErrorCode::NotFound), "so the host sends nothing");
    begin(&mut recorder, meter, ReplacedKeys::Both).expect("another");
    let late = recorder.keep_key_change(meter, &stopped);
    assert_eq!(late.map_err(|error| error.code), Err(ErrorCode::NotFound), "not even now that another is open");
    carry(&mut recorder, meter, Suite::Zero, Shown::Sent);
    for refused in [recorder.stop_key_replacement(meter), recorder.remove_meter(meter).map(|_| ())] {
        assert_eq!(refused.map_err(|error| error.code), Err(ErrorCode::Busy), "the meter may have the new keys");
    }
    let last = open(&recorder, meter);
    let change = last.change.clone().answered_under(last.change.old());
    let ended = Ended::RolledBack(change, Trouble::MasterKeyWrong);
    recorder.end_key_change(meter, last.number, &ended).expect("the old keys are proven");
    assert_eq!((stage(&recorder, meter), held(&recorder, meter)), (Some(Shown::RolledBack), keys));
    assert_eq!(place.secret("meter 1 master"), None, "a master key that opened nothing is not kept");
    recorder.remove_meter(meter).expect("it has ended");
}

#[test]
fn keys_that_nobody_else_knows_outlive_the_pairing() {
    let place = Place::new("paired-again");
    let mut recorder = place.open();
    let meter = paired(&mut recorder, "dlms://made?security=gmac&suite=1");
    let made_here = |recorder: &Recorder, meter| {
        recorder.meter(meter).expect("it is paired").administration.is_some_and(|of| of.keys_made_here)
    };
    assert!(!made_here(&recorder, meter), "they were entered");
    begin(&mut recorder, meter, ReplacedKeys::Both).expect("the first");
    let change = carry(&mut recorder, meter, Suite::One, Shown::Verified);
    NOW.set(START + HOUR);
    end(&mut recorder, meter, &change);
    let (keys, masters) = (held(&recorder, meter), place.secret("meter 1 master"));
    assert!(made_here(&recorder, meter) && masters.is_some());
    recorder.remove_meter(meter).expect("nothing is open");
    drop(recorder);
    let mut recorder = place.open();
    let add = |recorder: &mut Recorder, address: &str| {
        let request = AddMeter { address: address.to_owned(), name: String::new(), role: Role::Connection };
        recorder.add_meter(&request).expect("it is welcome")
    };
    let other = add(&mut recorder, "dlms://other?security=gmac&suite=1");
    assert!(held(&recorder, other).is_empty(), "another place");
    let meter = add(&mut recorder, "dlms://made?security=gmac");
    assert_eq!(held(&recorder, meter), keys);
    let state = recorder.meter(meter).expect("it is paired");
    assert_eq!((state.address.as_str(), state.keys[0].suite), ("dlms://made?security=gmac&suite=1", 1));
    assert_eq!(place.secret(&format!("meter {} master", meter.0)), masters);
    // Keys that a person entered are known to somebody.
    let pair = KeyPair::parse(&"0C".repeat(16), Some(&"0D".repeat(16))).expect("a key");
    recorder.set_meter_key(other, &pair).expect("a new key");
    recorder.remove_meter(other).expect("nothing is open");
    assert_eq!(place.secret(&format!("meter {}", other.0)), None);
}

#[test]
fn a_key_entered_meanwhile_is_tried_too() {
    let place = Place::new("entered");
    let mut recorder = place.open();
    let meter = paired(&mut recorder, ADDRESS);
    begin(&mut recorder, meter, ReplacedKeys::Both).expect("the first");
    let right = KeyPair::parse(&"0E".repeat(16), Some(&"0F".repeat(16))).expect("a key");
    recorder.set_meter_key(meter, &right).expect("a new key");
    let candidates = open(&recorder, meter).change.candidates();
    let pairs: Vec<_> = candidates.iter().map(SuiteKeys::pair).collect();
    assert!(pairs.contains(&right) && pairs.len() == 2, "and the one before it");
}

#[test]
fn an_ended_suite_is_not_proposed_and_an_ending_one_is_told() {
    let place = Place::new("policy");
    let mut recorder = place.open();
    let meter = paired(&mut recorder, "dlms://made?security=gmac&suite=1");
    let rule = |suite: u8, warn: i64, refuse: i64| KeyRule {
        suite,
        warn_from_utc_milliseconds: START + warn * HOUR,
        refuse_from_utc_milliseconds: START + refuse * HOUR,
    };
    recorder.key_policy = KeyPolicy(vec![rule(0, -2, -1), rule(1, 1, 2)]);
    assert_eq!(recorder.meter(meter).expect("it is paired").keys[0].suite, 1, "as its address says");
    for (hours, is_told, is_refused) in [(0, false, false), (1, true, false), (2, true, true)] {
        NOW.set(START + hours * HOUR);
        begin(&mut recorder, meter, ReplacedKeys::Both).expect("the last one has ended");
        let step = open(&recorder, meter);
        assert_eq!(recorder.propose_keys(meter, &step, Suite::Zero), Ok(None), "that one has ended");
        let proposed = recorder.propose_keys(meter, &step, Suite::One).expect("the secrets are there");
        assert_eq!(proposed.is_none(), is_refused, "after {hours} hours");
        if is_refused {
            let ended = Ended::RolledBack(step.change.clone(), Trouble::SuiteEnded);
            recorder.end_key_change(meter, step.number, &ended).expect("nothing was sent");
        }
        let state = recorder.meter(meter).expect("it is paired");
        let shown = state.administration.and_then(|of| of.replacement).expect("one was begun");
        assert_eq!(shown.suite, Some(1));
        assert_eq!(shown.refused_from_utc_milliseconds.is_some(), is_told, "after {hours} hours: {shown:?}");
        assert_eq!(state.keys[0].refused_from_utc_milliseconds.is_some(), is_told);
        if is_refused {
            assert_eq!(shown.trouble, Some(KeyReplacementTrouble::SuiteEnded));
            let stronger = begin(&mut recorder, meter, ReplacedKeys::Both).expect("the meter may have a stronger one");
            assert_eq!(stronger.stage, Shown::Pending);
            assert!(recorder.propose_keys(meter, &open(&recorder, meter), Suite::Two).expect("kept").is_some());
        } else {
            recorder.stop_key_replacement(meter).expect("nothing was sent");
        }
    }
}

#[test]
fn only_a_meter_that_is_asked_under_keys_can_be_changed() {
    for (address, expect) in [
        (ADDRESS, true),
        ("dlms://made?security=gmac&suite=1", true),
        ("dlms://made?security=low", false),
        ("dlms://made", false),
        ("tcp://made:1", false),
    ] {
        let place = Place::new("which-meter");
        let mut recorder = place.open();
        let meter = paired(&mut recorder, address);
        let is_shown = recorder.meter(meter).expect("it is paired").administration.is_some();
        let begun = begin(&mut recorder, meter, ReplacedKeys::Both).map_err(|error| error.code);
        assert_eq!((is_shown, begun.is_ok()), (expect, expect), "{address}: {begun:?}");
    }
}

#[test]
fn a_master_key_that_is_none_is_refused_by_its_name() {
    let place = Place::new("given");
    let mut recorder = place.open();
    let meter = paired(&mut recorder, ADDRESS);
    let one = paired(&mut recorder, "dlms://made?security=gmac&suite=1");
    let agreed = |signing: &str, public: &str| MasterKey::Agreed {
        signing_key: Secret(signing.to_owned()),
        meter_public_key: public.to_owned(),
    };
    for (meter, master_key, expect) in [
        (meter, MasterKey::Kept, Some("master_key")),
        (meter, MasterKey::Given(Secret("AA".repeat(15))), Some("master_key")),
        (meter, agreed(&"21".repeat(32), &"22".repeat(64)), Some("signing_key")),
        (one, agreed(&"21".repeat(31), &"22".repeat(64)), Some("signing_key")),
        (one, agreed(&"21".repeat(32), &"22".repeat(63)), Some("meter_public_key")),
        (one, agreed(&"21 ".repeat(32), &"22".repeat(64)), None),
    ] {
        let request = ReplaceMeterKeys { meter, keys: ReplacedKeys::Both, master_key };
        let refused = recorder.replace_meter_keys(&request).err().map(|error| error.detail);
        assert_eq!(refused, expect.map(|field| Some(field.to_owned())), "{request:?}");
    }
}
