//! The meter's task over what a home really has: a serial line (a pseudo-terminal), a bridge (loopback TCP), a recording.
//!
//! No test waits for time to pass: each waits for the event it is about, with a limit that only a failure reaches.

mod bench;
mod meters;
mod search;
#[path = "../../../tests/src/line/uart.rs"]
#[expect(unreachable_pub, reason = "it is a part of the simulated home's public face")]
mod uart;

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use meter_link::health::{Health, KeyState, LinkProblem, LinkState};
use meter_link::link::Address;
use meter_link::meter::{Arrived, Config, MeterEvent, run};
use meter_link::p1::print::{Ending, print};
use meter_link::reading::Trust;
use meter_link::security::KeyPair;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// No test needs so long.
const LIMIT: Duration = Duration::from_secs(60);

/// A running meter's task, and what it has told.
struct Told {
    events: mpsc::Receiver<MeterEvent>,
    task: tokio::task::JoinHandle<()>,
}

impl Told {
    fn start(address: Address, keys: Vec<KeyPair>) -> Self {
        let (sender, events) = mpsc::channel(64);
        let config = Config { keys, ..Config::new(address.into()) };
        Self { events, task: tokio::spawn(run(config, sender)) }
    }

    async fn next(&mut self) -> MeterEvent {
        let next = tokio::time::timeout(LIMIT, self.events.recv()).await;
        next.expect("an event in time").expect("the task still runs")
    }

    async fn reading(&mut self) -> Arrived {
        loop {
            if let MeterEvent::Reading(arrived) = self.next().await {
                return *arrived;
            }
        }
    }

    async fn health(&mut self, wanted: impl Fn(&Health) -> bool) -> Health {
        let wanted = async {
            loop {
                match self.next().await {
                    MeterEvent::Health(health) if wanted(&health) => return *health,
                    _ => (),
                }
            }
        };
        tokio::time::timeout(LIMIT, wanted).await.expect("that health in time")
    }
}

/// A meter's end of a serial line, and where the other end is.
fn serial_line() -> (File, Address) {
    let meter = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a pseudo-terminal");
    grantpt(&meter).expect("granted");
    unlockpt(&meter).expect("unlocked");
    let path = ptsname(&meter, Vec::new()).expect("a name").into_string().expect("an ASCII name");
    (meter.into(), Address::Serial(PathBuf::from(path)))
}

async fn bridge() -> (TcpListener, Address) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    (listener, Address::Tcp { host: "127.0.0.1".to_owned(), port })
}

async fn accept(listener: &TcpListener) -> TcpStream {
    listener.accept().await.expect("a connection").0
}

fn telegram(watt_hours: u32) -> Vec<u8> {
    let register = format!("1-0:1.8.1({:06}.{:03}*kWh)", watt_hours / 1_000, watt_hours % 1_000);
    print(b"MAD5\\2M550T-1011", [&b"1-3:0.2.8(50)"[..], register.as_bytes()], Ending::Checksum)
}

fn watt_hours(arrived: &Arrived) -> String {
    arrived.reading.values[0].value.to_string()
}

/// An encrypted frame that no key opens.
fn sealed() -> Vec<u8> {
    [&[0xDB, 8][..], b"MADETEST", &[0x82, 1, 0, 0x30, 0, 0, 0, 1], &[0x55; 251]].concat()
}

#[tokio::test]
async fn w4_a_serial_line_is_live_and_a_garbled_telegram_is_counted_and_nothing_more() {
    let (mut meter, address) = serial_line();
    let mut told = Told::start(address, Vec::new());
    let listening = told.health(|health| health.state == LinkState::Listening).await;
    assert_eq!(listening.line_settings.as_deref(), Some("115200 8N1"));
    meter.write_all(&telegram(1_234)).expect("written");
    let arrived = told.reading().await;
    assert_eq!((watt_hours(&arrived).as_str(), arrived.live, arrived.reading.trust), ("1234", true, Trust::Checked));
    let mut garbled = telegram(1_235);
    garbled[40] ^= 1;
    meter.write_all(&garbled).expect("written");
    meter.write_all(&telegram(1_236)).expect("written");
    assert_eq!(watt_hours(&told.reading().await), "1236");
    // Counts are told at most once a second, so the next telegrams bring them out.
    loop {
        meter.write_all(&telegram(1_237)).expect("written");
        if let MeterEvent::Health(health) = told.next().await {
            assert_eq!((health.state, health.problem), (LinkState::Live, None));
            if health.checksum_failures == 1 {
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_serial_line_is_held_by_one_program_only() {
    let (_meter, address) = serial_line();
    let mut first = Told::start(address.clone(), Vec::new());
    first.health(|health| health.state == LinkState::Listening).await;
    let mut second = Told::start(address, Vec::new());
    let health = second.health(|health| health.problem.is_some()).await;
    assert_eq!((health.state, health.problem), (LinkState::Waiting, Some(LinkProblem::Busy)));
}

#[tokio::test]
async fn w15_a_broken_connection_is_told_and_opened_again_after_a_pause() {
    let (listener, address) = bridge().await;
    let mut told = Told::start(address, Vec::new());
    let mut bridge = accept(&listener).await;
    bridge.write_all(&telegram(600)).await.expect("written");
    assert_eq!(watt_hours(&told.reading().await), "600");
    // Half a telegram before the break must not become one with what comes after it.
    let whole = telegram(601);
    bridge.write_all(&whole[..50]).await.expect("written");
    drop(bridge);
    let broken = told.health(|health| health.state == LinkState::Waiting).await;
    assert_eq!(broken.problem, Some(LinkProblem::Closed));
    let mut bridge = accept(&listener).await;
    bridge.write_all(&whole[50..]).await.expect("written");
    bridge.write_all(&telegram(602)).await.expect("written");
    assert_eq!(watt_hours(&told.reading().await), "602");
    let live = told.health(|health| health.state == LinkState::Live).await;
    assert_eq!((live.reconnects, live.problem), (1, None));
}

#[tokio::test]
async fn a_bridge_that_is_not_there_is_told_as_such() {
    let (listener, address) = bridge().await;
    drop(listener);
    let mut told = Told::start(address, Vec::new());
    let health = told.health(|health| health.state == LinkState::Waiting).await;
    assert_eq!(health.problem, Some(LinkProblem::Refused));
}

#[tokio::test(start_paused = true)]
async fn a_line_without_a_byte_is_silent_and_still_listened_to() {
    let (mut meter, address) = serial_line();
    let mut told = Told::start(address, Vec::new());
    let silent = told.health(|health| health.problem.is_some()).await;
    assert_eq!((silent.state, silent.problem), (LinkState::Listening, Some(LinkProblem::Silent)));
    meter.write_all(&telegram(7)).expect("written");
    assert_eq!(watt_hours(&told.reading().await), "7");
}

#[tokio::test]
async fn an_encrypting_meter_asks_for_its_key_and_refuses_a_wrong_one() {
    for (keys, key, rejected) in [
        (Vec::new(), KeyState::Needed, 0),
        (vec![KeyPair { encryption: [1; 16].into(), authentication: None }], KeyState::Wrong, 2),
    ] {
        let (mut meter, address) = serial_line();
        let mut told = Told::start(address, keys);
        told.health(|health| health.state == LinkState::Listening).await;
        // Nothing but its look tells a sealed frame whose key is not there: the second says that the first was one.
        meter.write_all(&[sealed(), sealed()].concat()).expect("written");
        let health = told.health(|health| health.key != KeyState::NotNeeded).await;
        assert_eq!((health.key, health.rejected, health.frames), (key, rejected, 0));
        assert_eq!((health.state, health.problem), (LinkState::Listening, None), "heard, and not live");
    }
}

#[tokio::test]
async fn a_recording_is_read_to_its_end_and_never_live() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("captures/p1/nl_dsmr50_three_phase.txt");
    let mut told = Told::start(Address::File(path), Vec::new());
    assert!(!told.reading().await.live);
    let ended = told.health(|health| health.state == LinkState::Ended).await;
    assert_eq!((ended.frames, ended.problem, ended.clock_offset_milliseconds), (1, None, None));
    told.task.await.expect("the task ends");
}

#[tokio::test]
async fn a_recording_that_is_not_there_needs_a_person() {
    let mut told = Told::start(Address::File("there/is/no/such.txt".into()), Vec::new());
    let stopped = told.health(|health| health.state == LinkState::Stopped).await;
    assert_eq!(stopped.problem, Some(LinkProblem::NotFound));
    told.task.await.expect("the task ends");
}

#[tokio::test]
async fn a_task_to_which_nobody_listens_ends() {
    let (_meter, address) = serial_line();
    let mut told = Told::start(address, Vec::new());
    told.health(|health| health.state == LinkState::Listening).await;
    drop(told.events);
    tokio::time::timeout(LIMIT, told.task).await.expect("in time").expect("without a panic");
}
