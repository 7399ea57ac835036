//! The meter's task, from its address to its events: readings, what was missed, and what it says where it gets none.

use std::path::Path;
use std::time::{Duration, SystemTime};

use meter_link::bridge::Secret;
use meter_link::decimal::Decimal;
use meter_link::diagnosis::{Finding, diagnose};
use meter_link::health::{Health, KeyState, LinkState, ProfileProgress, Refusal};
use meter_link::meter::{Arrived, Config, MeterEvent, run};
use meter_link::reading::{LoadProfile, Trust};
use meter_link::security::KeyPair;
use tokio::sync::mpsc;

use crate::asked::{Ledger, pair};
use crate::peer::{Peer, Wire, python};

/// No test needs so long.
const LIMIT: Duration = Duration::from_secs(60);
const QUARTER: i64 = 900_000;
const DAY: i64 = 86_400_000;

/// A running task, and who keeps its counters.
struct Told {
    events: mpsc::Receiver<MeterEvent>,
    ledger: Ledger,
    /// Rows of all profiles so far: instant and watt-hours.
    rows: Vec<(i64, Decimal)>,
    health: Option<Health>,
}

impl Told {
    fn start(address: &str, keys: Vec<KeyPair>, secret: Option<&str>, known_until: Option<i64>) -> Self {
        // One event at a time, so that the task is where the test is.
        let (sender, events) = mpsc::channel(1);
        let config = Config {
            keys,
            secret: secret.map(|secret| Secret(secret.to_owned())),
            known_until_utc_milliseconds: known_until,
            ..Config::new(address.parse().expect("an address"))
        };
        tokio::spawn(run(config, sender));
        Self { events, ledger: Ledger::default(), rows: Vec::new(), health: None }
    }

    /// The next event that is neither health nor a wish for counters.
    async fn next(&mut self) -> MeterEvent {
        loop {
            match tokio::time::timeout(LIMIT, self.events.recv()).await.expect("in time").expect("the task runs") {
                MeterEvent::CountersWanted(wanted) => {
                    let kept = self.ledger.take(wanted.key, wanted.from, wanted.count);
                    wanted.reserved.send(kept).expect("the task waits for them");
                }
                MeterEvent::Health(health) => self.health = Some(*health),
                event => return event,
            }
        }
    }

    async fn reading(&mut self) -> Arrived {
        loop {
            match self.next().await {
                MeterEvent::Reading(arrived) => return *arrived,
                MeterEvent::Profile(profile) => self.take(*profile),
                event => panic!("{event:?}"),
            }
        }
    }

    async fn profile(&mut self) {
        loop {
            if let MeterEvent::Profile(profile) = self.next().await {
                return self.take(*profile);
            }
        }
    }

    fn take(&mut self, profile: LoadProfile) {
        assert_eq!(profile.period_seconds, 900);
        assert!(profile.equipment.is_some());
        assert_eq!(profile.counter.is_some(), profile.trust == Trust::Authenticated);
        self.rows.extend(profile.rows.iter().map(|row| (row.meter_time.unix_milliseconds, row.values[0].value)));
    }

    /// Takes parts until so many rows have come.
    async fn rows(&mut self, count: usize) {
        while self.rows.len() < count {
            self.profile().await;
        }
    }

    async fn health(&mut self, wanted: impl Fn(&Health) -> bool) -> Health {
        loop {
            match tokio::time::timeout(LIMIT, self.events.recv()).await.expect("in time").expect("the task runs") {
                MeterEvent::CountersWanted(wanted) => {
                    let kept = self.ledger.take(wanted.key, wanted.from, wanted.count);
                    wanted.reserved.send(kept).expect("the task waits for them");
                }
                MeterEvent::Health(health) if wanted(&health) => return *health,
                MeterEvent::Profile(profile) => self.take(*profile),
                _ => (),
            }
        }
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_millis()).expect("before the end of days")
}

/// What a meter that runs shows at an instant.
fn watt_hours(at: i64) -> Decimal {
    // 2026-03-01.
    Decimal::whole((100_000 + (at - 1_772_323_200_000) / QUARTER * 7) * 10)
}

/// Every quarter of an hour from one instant to another, each with what the meter showed then.
#[track_caller]
fn check(rows: &[(i64, Decimal)], from: i64, to: i64) {
    let first = from - from.rem_euclid(QUARTER) + QUARTER;
    let expected: Vec<i64> = (0..).map(|place| first + place * QUARTER).take_while(|at| *at < to).collect();
    let mut found: Vec<i64> = rows.iter().map(|(at, _)| *at).collect();
    found.dedup();
    assert_eq!((found.len(), found.first(), found.last()), (expected.len(), expected.first(), expected.last()));
    assert_eq!(found, expected);
    assert!(rows.iter().all(|(at, value)| *value == watt_hours(*at)));
}

#[tokio::test]
async fn a_month_that_was_missed_is_fetched_and_a_meter_that_died_is_read_again() {
    let Some(python) = python() else { return };
    let state = std::env::temp_dir().join(format!("wattle-dlms-task-{}", std::process::id()));
    let state = state.to_str().expect("an ASCII name");
    let _ = std::fs::remove_file(state);
    let options = ["gmac", "--live", "--state", state];
    let peer = Peer::start(&python, &options);
    let from = now() - 29 * DAY + DAY / 2;
    let address = format!("dlms://127.0.0.1:{}?security=gmac", peer.port);
    let mut told = Told::start(&address, vec![pair(9, 9), pair(1, 2)], None, Some(from));

    let first = told.reading().await;
    assert_eq!(first.reading.trust, Trust::Authenticated);
    assert_eq!((first.reading.values.len(), first.reading.protocol), (1, "dlms"));
    assert!(first.reading.equipment.is_some() && first.reading.counter.is_some());
    let at = first.reading.meter_time.expect("it has a clock").unix_milliseconds;
    assert!((now() - at).abs() < 60_000);
    assert_eq!(first.reading.values[0].value, watt_hours(at));
    let progress = told.health(|health| health.profile_progress.is_some()).await;
    assert_eq!((progress.state, diagnose(&progress)), (LinkState::Live, Finding::Fine));
    assert_eq!(progress.profile_progress, Some(ProfileProgress { done: 0, of: 29 }));
    told.rows(10 * 96).await;

    // In the middle of it.
    let port = peer.port.to_string();
    drop(peer);
    let broken = told.health(|health| health.state == LinkState::Waiting).await;
    assert!(matches!(diagnose(&broken), Finding::NotReachable), "{broken:?}");
    let _peer = Peer::start(&python, &[&options[..], &["--port", &port]].concat());
    let again = told.reading().await;
    let newest = |arrived: &Arrived| arrived.reading.counter.map(|counter| counter.highest);
    assert!(newest(&again) > newest(&first));
    let last = told.health(|health| health.state == LinkState::Live && health.profile_progress.is_none()).await;
    assert!((1..=3).contains(&last.reconnects), "{last:?}");
    told.rows.sort_by_key(|(at, _)| *at);
    check(&told.rows, from, at);
    let _ = std::fs::remove_file(state);
    println!("29 days of quarters of an hour fetched over two lives of a meter");
}

/// What is fetched must be the same however the meter lets itself be asked.
async fn fetch(python: &Path, options: &[&str], address: impl Fn(u16) -> String, keys: Vec<KeyPair>) {
    let peer = Peer::start(python, &[options, &["--live"]].concat());
    let from = now() - 3 * DAY;
    let mut told = Told::start(&address(peer.port), keys, None, Some(from));
    let first = told.reading().await.reading;
    let trust = if options[0] == "none" { Trust::Checked } else { Trust::Authenticated };
    assert_eq!(first.trust, trust, "{options:?}");
    told.health(|health| health.state == LinkState::Live && health.profile_progress.is_none()).await;
    check(&told.rows, from, first.meter_time.expect("it has a clock").unix_milliseconds);
}

#[tokio::test]
async fn what_was_missed_is_fetched_however_the_meter_lets_itself_be_asked() {
    let Some(python) = python() else { return };
    let wrapper = |query: &str| {
        let query = query.to_owned();
        move |port: u16| format!("dlms://127.0.0.1:{port}{query}")
    };
    fetch(&python, &["none"], wrapper(""), Vec::new()).await;
    fetch(&python, &["gmac", "--no-list"], wrapper("?security=gmac"), vec![pair(1, 2)]).await;
    fetch(&python, &["gmac1", "--selects", "place"], wrapper("?security=gmac&suite=1"), vec![pair(1, 2)]).await;
    fetch(&python, &["none", "--selects", "nothing"], wrapper(""), Vec::new()).await;
    let hdlc = |port: u16| format!("dlms+hdlc://127.0.0.1:{port}?security=gmac");
    fetch(&python, &["gmac", "--hdlc"], hdlc, vec![pair(1, 2)]).await;
    println!("fetched in 5 ways");
}

#[tokio::test]
async fn a_meter_on_a_serial_line_is_read_by_the_task() {
    let Some(python) = python() else { return };
    let peer = Peer::start(&python, &["gmac", "--hdlc"]);
    let wire = Wire::new(peer.port);
    let mut told = Told::start(&format!("dlms:{}?security=gmac", wire.path), vec![pair(1, 2)], None, None);
    let reading = told.reading().await.reading;
    assert_eq!((reading.trust, reading.values[0].value), (Trust::Authenticated, Decimal::whole(1_234_560)));
    let live = told.health(|health| health.state == LinkState::Live).await;
    // Its clock stands in March: the reading is there, and nothing is fetched by such a clock.
    assert_eq!((live.line_settings.as_deref(), diagnose(&live)), (Some("9600 8N1"), Finding::ClockWrong));
}

#[tokio::test]
async fn what_gives_no_reading_says_what_to_look_at() {
    let Some(python) = python() else { return };
    let protected = Peer::start(&python, &["gmac"]);
    let low = Peer::start(&python, &["low"]);
    let (gmac, low) = (
        format!("dlms://127.0.0.1:{}?security=gmac", protected.port),
        format!("dlms://127.0.0.1:{}?security=low", low.port),
    );
    for (address, keys, secret, finding) in [
        (gmac.clone(), vec![pair(3, 2)], None, Finding::KeyWrong),
        (gmac.clone(), vec![pair(1, 3)], None, Finding::KeyWrong),
        (gmac.clone(), Vec::new(), None, Finding::KeyNeeded),
        (gmac.replace("?", "?client=9&"), vec![pair(1, 2)], None, Finding::NotPermitted),
        (low.clone(), Vec::new(), None, Finding::PairingNeeded),
        (low.clone(), Vec::new(), Some("made down"), Finding::PasswordWrong),
        (low.replace("low", "none"), Vec::new(), None, Finding::NotPermitted),
    ] {
        let mut told = Told::start(&address, keys, secret, None);
        let health = told.health(|health| health.state == LinkState::Waiting).await;
        assert_eq!((diagnose(&health), health.frames), (finding, 0), "{address}");
    }
    let mut told = Told::start(&low, Vec::new(), Some("made up"), None);
    assert_eq!(told.reading().await.reading.trust, Trust::Checked);
    drop(protected);
    let mut told = Told::start(&gmac, vec![pair(1, 2)], None, None);
    let health = told.health(|health| health.state == LinkState::Waiting).await;
    assert_eq!(diagnose(&health), Finding::NotReachable);
}

#[tokio::test]
async fn an_answer_that_is_sent_again_gives_no_reading_and_is_told() {
    let Some(python) = python() else { return };
    let peer = Peer::start(&python, &["gmac_replaying"]);
    let address = format!("dlms://127.0.0.1:{}?security=gmac", peer.port);
    let mut told = Told::start(&address, vec![pair(1, 2)], None, None);
    match told.next().await {
        MeterEvent::Refused(refused) => assert_eq!(refused.refusal, Some(Refusal::Replayed)),
        event => panic!("{event:?}"),
    }
    let health = told.health(|health| health.state == LinkState::Waiting).await;
    assert_eq!((diagnose(&health), health.rejected, health.frames), (Finding::Replayed, 1, 0));
    assert_ne!(health.key, KeyState::Wrong);
}

#[tokio::test(start_paused = true)]
async fn what_takes_the_connection_and_says_nothing_is_told() {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let address = format!("dlms://{}", listener.local_addr().expect("it is bound"));
    let mut told = Told::start(&address, Vec::new(), None, None);
    let _silent = listener.accept().await.expect("a connection");
    let health = told.health(|health| health.state == LinkState::Waiting).await;
    assert_eq!(diagnose(&health), Finding::NoAnswer);
}
