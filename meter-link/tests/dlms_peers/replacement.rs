//! Changes of keys against a meter of another make, killed wherever they can be: in every keep, and before and after every
//! message.
//!
//! A fault is a future that is dropped, as a process that dies drops it. What the next one begins with is the text that was
//! kept, and the meter as it then is.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use meter_link::dlms_client::ciphering::Keys;
use meter_link::dlms_client::curve::PrivateKey;
use meter_link::dlms_client::key_change::{Agreement, Ended, KeyChange, Master, Stage, SuiteKeys, Trouble};
use meter_link::link::DlmsAddress;
use meter_link::meter::asked::{Access, AskError, Asked};
use meter_link::meter::replacement::{Halted, Keeper, advance};
use meter_link::meter::reserve::{Reserve, Reserved};
use meter_link::security::key::{Key, Suite};
use meter_link::security::{Counter, Fingerprint};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use crate::asked::{Ledger, address};
use crate::peer::{Peer, python};

/// A power cut at one step of those that are counted.
#[derive(Debug, Default)]
struct Fault {
    /// Steps so far.
    step: AtomicUsize,
    /// The step that is the last.
    at: AtomicUsize,
    cut: Notify,
}

impl Fault {
    /// Counts anew, up to the cut.
    fn arm(&self, at: usize) {
        self.step.store(0, Ordering::SeqCst);
        self.at.store(at, Ordering::SeqCst);
    }

    /// False if the power is gone.
    fn pass(&self) -> bool {
        let (step, at) = (self.step.fetch_add(1, Ordering::SeqCst), self.at.load(Ordering::SeqCst));
        if step == at {
            self.cut.notify_one();
        }
        step < at
    }

    /// A step of the home itself: nothing of it happens once the power is gone.
    async fn live(&self) {
        if !self.pass() {
            std::future::pending::<()>().await;
        }
    }
}

/// Carries messages between home and meter, and loses one when the power goes.
async fn line(meter: u16, fault: Arc<Fault>) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let port = listener.local_addr().expect("it is bound").port();
    tokio::spawn(async move {
        while let Ok((home, _)) = listener.accept().await {
            let Ok(meter) = TcpStream::connect(("127.0.0.1", meter)).await else { return };
            tokio::spawn(carry(home, meter, Arc::clone(&fault)));
        }
    });
    port
}

async fn carry(mut home: TcpStream, mut meter: TcpStream, fault: Arc<Fault>) {
    let (mut sent, mut answered) = ([0; 4_096], [0; 4_096]);
    loop {
        tokio::select! {
            read = home.read(&mut sent) => {
                let Ok(count @ 1..) = read else { return };
                if !fault.pass() || meter.write_all(&sent[..count]).await.is_err() {
                    return;
                }
                if !fault.pass() {
                    // The meter works on, and nobody hears its answer.
                    let _ = meter.read(&mut answered).await;
                    return;
                }
            }
            read = meter.read(&mut answered) => {
                let Ok(count @ 1..) = read else { return };
                if !fault.pass() || home.write_all(&answered[..count]).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// What survives a power cut.
#[derive(Debug, Default)]
struct Disk {
    journal: String,
    counters: Vec<Counter>,
    /// Made so far.
    keys: u16,
}

/// A home that keeps everything, as long as it has power.
#[derive(Clone)]
struct Home {
    address: DlmsAddress,
    ledger: Counted,
    disk: Arc<Mutex<Disk>>,
    fault: Arc<Fault>,
    /// The keep that fails, counted down. `None`: none does.
    fails: Option<usize>,
    which: [bool; 2],
    ended: Option<Suite>,
}

#[derive(Clone)]
struct Counted(Ledger, Arc<Fault>);

impl Reserve for Counted {
    async fn reserve(&mut self, key: Fingerprint, from: u32, count: u32) -> Option<Reserved> {
        self.1.live().await;
        let reserved = self.0.take(key, from, count);
        self.1.live().await;
        Some(reserved)
    }
}

impl Keeper for Home {
    type Reserve = Counted;
    type Error = &'static str;

    async fn open(&mut self, keys: &SuiteKeys) -> Result<Asked<Counted>, AskError> {
        let counters = self.disk.lock().expect("no test panics in it").counters.clone();
        let access = Access { keys: Some(keys.pair()), counters, ..Access::default() };
        let address = DlmsAddress { suite: keys.suite, ..self.address.clone() };
        Asked::open(&address, &access, self.ledger.clone()).await
    }

    async fn heard(&mut self, counter: Counter) -> Result<(), &'static str> {
        let mut disk = self.disk.lock().expect("no test panics in it");
        disk.counters.retain(|known| known.key != counter.key);
        disk.counters.push(counter);
        Ok(())
    }

    async fn keep(&mut self, change: &KeyChange) -> Result<(), &'static str> {
        self.fault.live().await;
        match &mut self.fails {
            Some(0) => return Err("the place of the secrets is locked"),
            Some(left) => *left -= 1,
            None => (),
        }
        self.disk.lock().expect("no test panics in it").journal = serde_json::to_string(change).expect("a journal");
        self.fault.live().await;
        Ok(())
    }

    async fn propose(&mut self, change: &KeyChange, suite: Suite) -> Result<Option<KeyChange>, &'static str> {
        if self.ended == Some(suite) {
            return Ok(None);
        }
        let mut fresh = || {
            let mut disk = self.disk.lock().expect("no test panics in it");
            disk.keys += 1;
            Key::new(&disk.keys.to_be_bytes().repeat(suite.key_length() / 2)).expect("a length of AES")
        };
        let (old, longer) = (&change.old().keys, suite.key_length() != change.old().suite.key_length());
        let keys = Keys {
            encryption: if self.which[0] || longer { fresh() } else { old.encryption.clone() },
            authentication: if self.which[1] || longer { fresh() } else { old.authentication.clone() },
        };
        let master = change.replaces_master().then(&mut fresh);
        let new = SuiteKeys::new(suite, keys).expect("lengths fit");
        let change = change.clone().proposed(new, master);
        self.keep(&change).await?;
        Ok(Some(change))
    }
}

impl Home {
    async fn new(peer: &Peer, mode: &str) -> Self {
        let fault = Arc::new(Fault::default());
        fault.arm(usize::MAX);
        let port = line(peer.port, Arc::clone(&fault)).await;
        let suite = mode.strip_prefix("gmac").map_or("", |suite| suite);
        let query = if suite.is_empty() { String::new() } else { format!("&suite={suite}") };
        Self {
            address: address(&format!("dlms://127.0.0.1:{port}?security=gmac{query}")),
            ledger: Counted(Ledger::default(), Arc::clone(&fault)),
            disk: Arc::default(),
            fault,
            fails: None,
            which: [true, true],
            ended: None,
        }
    }

    fn begin(&self, change: &KeyChange) {
        self.disk.lock().expect("no test panics in it").journal = serde_json::to_string(change).expect("a journal");
    }

    fn journal(&self) -> KeyChange {
        serde_json::from_str(&self.disk.lock().expect("no test panics in it").journal).expect("a journal")
    }

    /// Goes on until it ends, or until the power goes: then `None`.
    async fn go_on(&mut self, cut: usize) -> Option<Result<Ended, Halted<&'static str>>> {
        self.fault.arm(cut);
        let (journal, fault) = (self.journal(), Arc::clone(&self.fault));
        let ended = tokio::select! {
            biased;
            () = fault.cut.notified() => None,
            ended = advance(self, journal) => Some(ended),
        };
        self.fault.arm(usize::MAX);
        // A cut after the last word is none.
        tokio::select! {
            biased;
            () = fault.cut.notified() => (),
            () = std::future::ready(()) => (),
        }
        ended
    }

    /// Which of some keys open the meter.
    async fn opening(&mut self, candidates: &[SuiteKeys]) -> Vec<SuiteKeys> {
        let mut opening = Vec::new();
        for keys in candidates {
            if let Ok(asked) = self.open(keys).await {
                asked.release().await;
                opening.push(keys.clone());
            }
        }
        opening
    }

    /// Ends a change without a fault. Gives what the meter has then.
    #[track_caller]
    fn replaced(ended: Option<Result<Ended, Halted<&'static str>>>) -> KeyChange {
        match ended {
            Some(Ok(Ended::Replaced(change))) => change,
            other => panic!("not replaced: {other:?}"),
        }
    }
}

fn first_keys(mode: &str) -> SuiteKeys {
    let suite = Suite::of_control(mode.strip_prefix("gmac").and_then(|text| text.parse().ok()).unwrap_or(0));
    let suite = suite.expect("a suite");
    let key = |byte: u8| Key::new(&vec![byte; suite.key_length()]).expect("a length of AES");
    SuiteKeys::new(suite, Keys { encryption: key(1), authentication: key(2) }).expect("lengths fit")
}

fn first_master(suite: Suite) -> Key {
    Key::new(&vec![0xAA; suite.key_length()]).expect("a length of AES")
}

/// As the peer has them.
fn agreement(suite: Suite) -> Agreement {
    let half = if suite == Suite::One { 32 } else { 48 };
    let private = |byte: u8| PrivateKey::new(suite, &vec![byte; half]).expect("a key of the curve");
    Agreement { signing: private(0x22), meter_public: private(0x21).public(suite).expect("a key of the curve") }
}

/// Cuts the power at every `stride`-th step of a change, each time of the change after the last, until one gets through.
/// Gives how many changes there were.
async fn cut_everywhere(
    python: &Path,
    options: &[&str],
    stride: usize,
    which: [bool; 2],
    begin: impl Fn(SuiteKeys, Vec<Key>) -> KeyChange,
) -> usize {
    let peer = Peer::start(python, options);
    let mut home = Home::new(&peer, options[0]).await;
    home.which = which;
    let mut keys = first_keys(options[0]);
    let mut masters = vec![first_master(keys.suite)];
    for (count, cut) in (1..).zip((0..).step_by(stride)) {
        home.begin(&begin(keys.clone(), masters.clone()));
        let ended = home.go_on(cut).await;
        let is_through = ended.is_some();
        if ended.is_none() {
            let journal = home.journal();
            let opening = home.opening(&journal.candidates()).await;
            assert_eq!(opening.len(), 1, "{options:?}: cut at {cut} in {:?}", journal.stage());
            // Twice at the same step: a power cut does not come alone.
            let _ = home.go_on(cut).await;
            let opening = home.opening(&home.journal().candidates()).await;
            assert_eq!(opening.len(), 1, "{options:?}: cut at {cut} again");
        }
        let change = match ended {
            Some(ended) => Home::replaced(Some(ended)),
            None => Home::replaced(home.go_on(usize::MAX).await),
        };
        let target = change.target().expect("they are made").clone();
        assert_eq!(home.opening(std::slice::from_ref(&target)).await.len(), 1, "{options:?}: {cut}");
        if which[0] {
            assert_eq!(home.opening(std::slice::from_ref(&keys)).await, [], "{options:?}: the old keys are gone");
        }
        assert_eq!(change.finished().stage(), Stage::Active);
        (keys, masters) = (target, home.journal().masters().to_vec());
        assert_eq!(masters.len(), 1, "{options:?}: the master key is certain");
        if is_through {
            return count;
        }
        assert!(count < 500, "{options:?}: it never gets through");
    }
    0
}

#[tokio::test]
async fn no_meter_is_lost_wherever_the_power_is_cut() {
    let Some(python) = python() else { return };
    let known = |keys, masters| KeyChange::new(keys, Master::Known(masters), false);
    let count = cut_everywhere(&python, &["gmac"], 1, [true, true], known).await;
    assert!(count > 40, "{count} steps: two keeps, and a message before and after the meter, each");
    println!("cut at {count} steps of a change");
}

#[tokio::test]
async fn one_key_alone_half_a_transfer_and_the_master_key_survive_power_cuts() {
    let Some(python) = python() else { return };
    let known = |keys, masters| KeyChange::new(keys, Master::Known(masters), false);
    let master = |keys, masters| KeyChange::new(keys, Master::Known(masters), true);
    cut_everywhere(&python, &["gmac"], 5, [true, false], known).await;
    cut_everywhere(&python, &["gmac"], 5, [false, true], known).await;
    cut_everywhere(&python, &["gmac", "--half"], 3, [true, true], known).await;
    cut_everywhere(&python, &["gmac"], 2, [true, true], master).await;
}

#[tokio::test]
async fn a_master_key_is_agreed_on_in_suites_one_and_two() {
    let Some(python) = python() else { return };
    for (mode, suite) in [("gmac1", Suite::One), ("gmac2", Suite::Two)] {
        let agreed = |keys, _| KeyChange::new(keys, Master::Agreed(agreement(suite)), false);
        let count = cut_everywhere(&python, &[mode], 7, [true, true], agreed).await;
        assert!(count > 5, "{mode}: {count}");
    }
    // A signature that the meter does not know, and a meter of suite 0.
    for (mode, suite) in [("gmac1", Suite::One), ("gmac", Suite::Zero)] {
        let peer = Peer::start(&python, &[mode]);
        let mut home = Home::new(&peer, mode).await;
        let foreign =
            Agreement { signing: PrivateKey::new(Suite::One, &[9; 32]).expect("a key"), ..agreement(Suite::One) };
        home.begin(&KeyChange::new(first_keys(mode), Master::Agreed(foreign), false));
        match home.go_on(usize::MAX).await {
            Some(Ok(Ended::RolledBack(change, Trouble::AgreementRefused))) => {
                assert_eq!(*change.old(), first_keys(mode), "{suite:?}");
            }
            other => panic!("{mode}: {other:?}"),
        }
        assert_eq!(home.opening(&[first_keys(mode)]).await.len(), 1);
    }
}

#[tokio::test]
async fn a_change_proposes_the_strongest_suite_that_the_meter_has() {
    let Some(python) = python() else { return };
    for (says, suite) in [("1", Suite::One), ("2", Suite::Two)] {
        let known = |keys, masters| KeyChange::new(keys, Master::Known(masters), false);
        cut_everywhere(&python, &["gmac", "--says", says], 6, [true, true], known).await;
        let peer = Peer::start(&python, &["gmac", "--says", says]);
        let mut home = Home::new(&peer, "gmac").await;
        home.begin(&known(first_keys("gmac"), vec![first_master(Suite::Zero)]));
        let change = Home::replaced(home.go_on(usize::MAX).await);
        assert_eq!(change.target().map(|target| target.suite), Some(suite));
        // And never a suite that has ended.
        home.ended = Some(suite);
        let target = change.target().expect("they are made").clone();
        home.begin(&known(target.clone(), change.masters().to_vec()));
        let ended = home.go_on(usize::MAX).await;
        assert!(matches!(ended, Some(Ok(Ended::RolledBack(_, Trouble::SuiteEnded)))), "{ended:?}");
        assert_eq!(home.opening(&[target]).await.len(), 1);
    }
}

#[tokio::test]
async fn a_keep_that_fails_stops_everything_and_loses_nothing() {
    let Some(python) = python() else { return };
    let peer = Peer::start(&python, &["gmac"]);
    let mut home = Home::new(&peer, "gmac").await;
    let (mut keys, mut masters) = (first_keys("gmac"), vec![first_master(Suite::Zero)]);
    for fails in 0..40 {
        home.begin(&KeyChange::new(keys.clone(), Master::Known(masters.clone()), true));
        home.fails = Some(fails);
        let ended = home.go_on(usize::MAX).await;
        home.fails = None;
        let is_through = matches!(ended, Some(Ok(_)));
        let change = match ended {
            Some(Err(Halted::Keeper(_))) => {
                assert_eq!(home.opening(&home.journal().candidates()).await.len(), 1, "keep {fails}");
                Home::replaced(home.go_on(usize::MAX).await)
            }
            ended => Home::replaced(ended),
        };
        (keys, masters) = (change.target().expect("they are made").clone(), change.masters().to_vec());
        if is_through {
            assert_eq!(fails, 6, "who answered, new keys, master key, sent, taken, proven");
            return;
        }
    }
    panic!("it never gets through");
}

#[tokio::test]
async fn a_meter_that_refuses_keeps_the_keys_it_had() {
    let Some(python) = python() else { return };
    let wrong = || Key::from([0x55; 16]);
    for (options, master, replaces_master, expect) in [
        (&["gmac"][..], wrong(), false, Trouble::MasterKeyWrong),
        (&["gmac"], wrong(), true, Trouble::MasterKeyWrong),
        (&["gmac", "--deaf"], first_master(Suite::Zero), false, Trouble::MeterRefuses),
        (&["gmac", "--deaf"], first_master(Suite::Zero), true, Trouble::MeterRefuses),
        (&["gmac", "--lies"], first_master(Suite::Zero), false, Trouble::MeterRefuses),
    ] {
        let peer = Peer::start(&python, options);
        let mut home = Home::new(&peer, "gmac").await;
        home.begin(&KeyChange::new(first_keys("gmac"), Master::Known(vec![master]), replaces_master));
        match home.go_on(usize::MAX).await {
            Some(Ok(Ended::RolledBack(change, trouble))) => {
                assert_eq!((change.old(), trouble), (&first_keys("gmac"), expect), "{options:?}");
                assert!(!change.is_master_sent());
            }
            other => panic!("{options:?}: {other:?}"),
        }
        assert_eq!(home.opening(&[first_keys("gmac")]).await.len(), 1, "{options:?}");
    }
    // Somebody else has changed them: nothing is given up until a person says which they are.
    let peer = Peer::start(&python, &["gmac"]);
    let mut home = Home::new(&peer, "gmac").await;
    let keys = |byte: u8| Keys { encryption: [byte; 16].into(), authentication: [byte; 16].into() };
    let lost = SuiteKeys::new(Suite::Zero, keys(7)).expect("lengths fit");
    let change = KeyChange::new(lost, Master::Known(vec![first_master(Suite::Zero)]), false);
    home.begin(&change);
    assert!(matches!(home.go_on(usize::MAX).await, Some(Err(Halted::Meter(Trouble::KeysRefused)))));
    home.begin(&change.entered(first_keys("gmac")));
    Home::replaced(home.go_on(usize::MAX).await);
    // And nobody is there.
    drop(peer);
    assert!(matches!(home.go_on(usize::MAX).await, Some(Err(Halted::Meter(Trouble::MeterSilent)))));
}

#[tokio::test]
async fn fifteen_changes_in_a_row_lose_no_answer() {
    let Some(python) = python() else { return };
    let peer = Peer::start(&python, &["gmac"]);
    let mut home = Home::new(&peer, "gmac").await;
    let (mut keys, mut masters) = (first_keys("gmac"), vec![first_master(Suite::Zero)]);
    let mut gone = Vec::new();
    for round in 0..15 {
        home.begin(&KeyChange::new(keys.clone(), Master::Known(masters), round % 4 == 3));
        let change = Home::replaced(home.go_on(usize::MAX).await);
        gone.push(std::mem::replace(&mut keys, change.target().expect("they are made").clone()));
        masters = change.masters().to_vec();
        assert_eq!(home.opening(std::slice::from_ref(&keys)).await.len(), 1, "round {round}");
    }
    assert_eq!(home.opening(&gone).await, [], "fifteen old keys open nothing");
}
