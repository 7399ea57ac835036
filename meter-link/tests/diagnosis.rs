//! "Why is there no data?": each cause is made to happen, and the finding on top names it.
//!
//! The same bytes go over a connection to the meter's task, as a home has it, and through the decode command, as a person
//! with a recording has it. What only time shows (a child that froze, a bridge that stands) the recorder's own tests live
//! through; here the recording tells it.

#[path = "../examples/decode.rs"]
#[expect(dead_code, reason = "the command's own main is not called here")]
mod decode;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use decode::{Asked, Line};
use meter_link::decoder::Protocol;
use meter_link::diagnosis::{Finding, diagnose};
use meter_link::dlms::axdr::Token;
use meter_link::dlms::print::{Entry, hdlc, mbus, notification};
use meter_link::link::Address;
use meter_link::meter::{Config, MeterEvent, run};
use meter_link::obis::Obis;
use meter_link::p1::print::{Ending, print};
use meter_link::security::KeyPair;
use meter_link::security::seal::seal;
use meter_link::sml::message::{Entry as SmlEntry, List, Number, Time, Value};
use meter_link::sml::print::Checksums;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// No test needs so long.
const LIMIT: Duration = Duration::from_secs(120);
const TITLE: [u8; 8] = *b"TST\x10\x32\x54\x76\x98";

/// The finding that the meter's task comes to.
async fn found_by_task(bytes: Vec<u8>, keys: Vec<KeyPair>, expect: Finding) -> Finding {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let address = Address::Tcp { host: "127.0.0.1".to_owned(), port };
    let (sender, mut events) = mpsc::channel(64);
    let config = Config { keys, ..Config::new(address.into()) };
    let task = tokio::spawn(run(config, sender));
    let meter = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        // In portions, so that health is told between them.
        for portion in bytes.chunks(2_000) {
            stream.write_all(portion).await.expect("somebody reads");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        std::future::pending::<()>().await;
    });
    let mut last = Finding::Listening;
    let settled = tokio::time::timeout(LIMIT, async {
        while let Some(event) = events.recv().await {
            if let MeterEvent::Health(health) = event {
                last = diagnose(&health);
                if last == expect {
                    break;
                }
            }
        }
    });
    let _ = settled.await;
    task.abort();
    meter.abort();
    last
}

/// The finding that the decode command prints, and that it prints it.
fn found_by_decode(bytes: &[u8], keys: &[KeyPair]) -> Finding {
    let asked = Asked { protocols: Protocol::ALL.to_vec(), keys: keys.to_vec(), file: String::new() };
    let mut printed = None;
    let (_, finding) = decode::decode(&asked, bytes, now() * 1_000, &mut |line| {
        if let Line::Error(line) = line {
            printed = line.get("finding").cloned().or(printed.take());
        }
    });
    let expect = (finding != Finding::Fine).then(|| serde_json::to_value(finding).expect("a word"));
    assert_eq!(printed, expect, "what was found is printed");
    finding
}

#[track_caller]
fn check(name: &str, found: Finding, expect: Finding) {
    assert_eq!(found, expect, "{name}");
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_secs()).expect("a near year")
}

/// An instant as a Dutch meter stamps it in winter.
fn stamp(seconds: i64) -> String {
    let civil = decode::print_civil(seconds + 3_600);
    let digits: String = civil.chars().filter(char::is_ascii_digit).skip(2).collect();
    format!("{digits}W")
}

/// A telegram with this clock, a register that moves, and the gas of this stamp.
fn telegram(clock: &str, step: i64, gas: Option<&str>) -> Vec<u8> {
    let mut lines = vec![
        "1-3:0.2.8(50)".to_owned(),
        format!("0-0:1.0.0({clock})"),
        format!("1-0:1.8.1(001234.{:03}*kWh)", step % 1_000),
        format!("1-0:1.7.0(00.{:03}*kW)", 300 + step % 600),
    ];
    if let Some(stamp) = gas {
        lines.extend(["0-1:24.1.0(003)".to_owned(), format!("0-1:24.2.1({stamp})(00012.345*m3)")]);
    }
    print(b"MAD5\\2M550T-1011", lines.iter().map(String::as_bytes), Ending::Checksum)
}

/// So many telegrams a second apart, the last of them now.
fn telegrams(count: i64) -> Vec<Vec<u8>> {
    (1..=count).map(|step| telegram(&stamp(now() - count + step), step, None)).collect()
}

fn push(register: i64) -> Vec<u8> {
    let entry =
        |d, value, unit| Entry { obis: Obis::new(1, 0, 1, d, 0), value: Token::Integer(value), scale: Some((0, unit)) };
    notification(b"AIDON_V0001", &[entry(7, 360, 27), entry(8, register, 30)])
}

fn keys(encryption: u8, authentication: u8) -> KeyPair {
    KeyPair { encryption: [encryption; 16].into(), authentication: Some([authentication; 16].into()) }
}

/// Sealed streams of all kinds: bare telegrams, push over HDLC and over M-Bus.
fn sealed(counters: std::ops::RangeInclusive<u32>) -> [(&'static str, Vec<u8>); 3] {
    let seal = |counter: u32, plain: &[u8]| seal(&keys(1, 2), TITLE, counter, 0x30, plain);
    let stream = |frame: &dyn Fn(u32) -> Vec<u8>| counters.clone().flat_map(frame).collect::<Vec<u8>>();
    let step = |counter: u32| i64::from(counter);
    [
        ("p1", stream(&|counter| seal(counter, &telegram(&stamp(now()), step(counter), None)))),
        ("hdlc", stream(&|counter| hdlc(&seal(counter, &push(step(counter))), 2_000))),
        ("mbus", stream(&|counter| mbus(&seal(counter, &push(step(counter))), 120))),
    ]
}

/// An SML file of whole kilowatt-hours and no power, as a meter sends it before its PIN is entered.
fn reduced(second: u32) -> Vec<u8> {
    const SERVER: &[u8] = b"\x0A\x01MAD\x00\x00\x00\x00\x01";
    let register = SmlEntry {
        obis: Obis::new(1, 0, 1, 8, 0),
        status: None,
        time: None,
        unit: Some(30),
        scaler: Some(3),
        value: Value::Unsigned(Number { value: 2_324, width: 2 }),
    };
    let list = List { server: SERVER, time: Some(Time::Index(second)) };
    meter_link::sml::print::print(&list, &[register], Checksums::X25)
}

/// What a receiver at one speed makes of bytes sent at another: bits in time, sampled in the middle of where it thinks they
/// are. `parity`: seven bits and an even one, as older meters send; read as eight bits like everything else.
fn at_wrong_speed(bytes: &[u8], sent: u64, heard: u64, parity: bool) -> Vec<u8> {
    let mut line = vec![true; 40];
    for byte in bytes {
        let byte = if parity { meter_link::parity::with_parity(byte & 0x7F) } else { *byte };
        line.push(false);
        line.extend((0..8).map(|bit| byte >> bit & 1 == 1));
        line.push(true);
    }
    line.resize(line.len() + 40, true);
    // Time in ticks: one of the sender's bits lasts `heard` of them, one of the receiver's `sent`.
    let level = |tick: u64| line.get((tick / heard) as usize).copied();
    let (mut tick, mut received) = (0, Vec::new());
    while let Some(is_idle) = level(tick) {
        if is_idle {
            tick += 1 + sent / 8;
            continue;
        }
        let bits = (1..=8).map(|bit| u8::from(level(tick + sent / 2 + bit * sent).unwrap_or(true)) << (bit - 1));
        received.push(bits.sum());
        tick += sent * 19 / 2;
        // A stop bit that is none: the receiver waits for the line to rest.
        while level(tick) == Some(false) {
            tick += 1 + sent / 8;
        }
    }
    received
}

#[tokio::test(start_paused = true)]
async fn n16_a_wrong_speed_is_named() {
    let p1 = telegrams(60).concat();
    let sml: Vec<u8> = (0..200).flat_map(reduced).collect();
    let push: Vec<u8> = (0..80).flat_map(|step| hdlc(&push(step), 2_000)).collect();
    let d0 = print(b"MAD5MADE", [&b"1-0:1.8.0*255(000123.4567*kWh)"[..]], Ending::Plain).repeat(40);
    let lines = [
        ("p1 at 9600", at_wrong_speed(&p1, 115_200, 9_600, false)),
        ("p1 at 2400", at_wrong_speed(&p1, 115_200, 2_400, false)),
        ("old p1 at 115200", at_wrong_speed(&p1[..4_000], 9_600, 115_200, true)),
        ("push at 9600", at_wrong_speed(&push, 2_400, 9_600, false)),
        ("push at 115200", at_wrong_speed(&push, 2_400, 115_200, false)),
        ("sml at 115200", at_wrong_speed(&sml, 9_600, 115_200, false)),
        ("sml at 2400", at_wrong_speed(&sml.repeat(4), 9_600, 2_400, false)),
        ("d0 at 300", at_wrong_speed(&d0.repeat(20), 9_600, 300, true)),
    ];
    for (name, bytes) in lines {
        check(name, found_by_decode(&bytes, &[]), Finding::Unrecognised);
        // A stream goes on; its task waits for some telegrams' worth before it says so.
        let stream = bytes.repeat(5_000 / bytes.len() + 1);
        check(name, found_by_task(stream, Vec::new(), Finding::Unrecognised).await, Finding::Unrecognised);
    }
}

#[test]
fn what_the_line_makes_of_bytes_is_what_was_sent_when_the_speed_is_right() {
    let bytes = telegrams(3).concat();
    assert_eq!(at_wrong_speed(&bytes, 115_200, 115_200, false), bytes);
    assert_ne!(at_wrong_speed(&bytes, 115_200, 57_600, false), bytes);
}

#[tokio::test(start_paused = true)]
async fn n16_a_port_that_was_not_activated_is_named() {
    check("nothing comes", found_by_decode(&[], &[]), Finding::Silent);
    check("nothing comes", found_by_task(Vec::new(), Vec::new(), Finding::Silent).await, Finding::Silent);
}

#[tokio::test(start_paused = true)]
async fn n16_a_key_that_is_missing_wrong_or_half_right_is_named() {
    for (name, bytes) in sealed(1..=12) {
        for (keys, expect) in [
            (vec![], Finding::KeyNeeded),
            (vec![keys(9, 2)], Finding::KeyWrong),
            (vec![keys(1, 9)], Finding::AuthenticationKeyWrong),
            (vec![keys(1, 2)], Finding::Fine),
        ] {
            check(name, found_by_decode(&bytes, &keys), expect);
            check(name, found_by_task(bytes.clone(), keys, expect).await, expect);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn n16_noise_on_the_line_is_named_and_a_little_of_it_is_none() {
    let frames: [(&str, Vec<Vec<u8>>); 4] = [
        ("p1", telegrams(40)),
        ("sml", (0..40).map(reduced).collect()),
        ("hdlc", (0..40).map(|step| hdlc(&push(step), 2_000)).collect()),
        ("mbus", (0..40).map(|step| mbus(&push(step), 120)).collect()),
    ];
    for (name, frames) in &frames {
        for (one_in, expect) in [(1, Finding::ChecksumFails), (2, Finding::ChecksumFails), (20, Finding::Fine)] {
            let mut bytes = Vec::new();
            for (place, frame) in frames.iter().enumerate() {
                let mut frame = frame.clone();
                if place % one_in == one_in - 1 {
                    // Behind the head, so that it is a frame all the same.
                    let bit = (frame.len() / 3 + place % 20) * 8 + place % 8;
                    frame[bit / 8] ^= 1 << (bit % 8);
                }
                bytes.extend(frame);
            }
            let expect = if *name == "sml" && expect == Finding::Fine { Finding::PinNeeded } else { expect };
            let name = format!("{name}, one in {one_in}");
            check(&name, found_by_decode(&bytes, &[]), expect);
            check(&name, found_by_task(bytes, Vec::new(), expect).await, expect);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn n16_t12_a_meters_clock_that_is_wrong_is_named() {
    let stream = |clock: &dyn Fn(i64) -> String| (1..=5).flat_map(|step| telegram(&clock(step), step, None)).collect();
    let months = 150 * 86_400;
    let streams: [(&str, Vec<u8>, bool); 4] = [
        ("never set", stream(&|step| format!("00010100000{step}W")), true),
        ("no month", stream(&|step| format!("26001212000{step}W")), true),
        ("ahead", stream(&|step| stamp(now() + months + step)), true),
        // A recording may be as old as its stamps say.
        ("behind", stream(&|step| stamp(now() - months + step)), false),
    ];
    for (name, bytes, told_by_recording) in streams {
        let expect = if told_by_recording { Finding::ClockWrong } else { Finding::Fine };
        check(name, found_by_decode(&bytes, &[]), expect);
        check(name, found_by_task(bytes, Vec::new(), Finding::ClockWrong).await, Finding::ClockWrong);
    }
    let mut entries = vec![Entry {
        obis: Obis::new(0, 0, 1, 0, 0),
        value: Token::Octets(&[0x07, 0xD0, 1, 1, 6, 0, 0, 9, 0xFF, 0x80, 0, 0]),
        scale: None,
    }];
    let register = Entry { obis: Obis::new(1, 0, 1, 8, 0), value: Token::Integer(7), scale: Some((0, 30)) };
    entries.push(register);
    let push = hdlc(&notification(b"AIDON_V0001", &entries), 2_000).repeat(3);
    check("push", found_by_decode(&push, &[]), Finding::ClockWrong);
    check("push", found_by_task(push, Vec::new(), Finding::ClockWrong).await, Finding::ClockWrong);
    entries[0].value = Token::Octets(&[0xFF; 12]);
    let push = hdlc(&notification(b"AIDON_V0001", &entries), 2_000).repeat(3);
    check("a clock that says nothing", found_by_decode(&push, &[]), Finding::Fine);
    let empty = telegram("", 1, None).repeat(3);
    check("an empty stamp", found_by_decode(&empty, &[]), Finding::Fine);
}

#[tokio::test(start_paused = true)]
async fn n16_w14_a_meter_that_waits_for_its_pin_is_named() {
    let bytes: Vec<u8> = (0..10).flat_map(reduced).collect();
    check("sml", found_by_decode(&bytes, &[]), Finding::PinNeeded);
    check("sml", found_by_task(bytes, Vec::new(), Finding::PinNeeded).await, Finding::PinNeeded);
}

#[test]
fn n16_w6_a_child_that_froze_is_named() {
    let stream = |hours: i64| -> Vec<u8> {
        let gas = stamp(now() - hours * 3_600);
        (1..=5).flat_map(|step| telegram(&stamp(now() - 5 + step), step, Some(&gas))).collect()
    };
    check("an hour old", found_by_decode(&stream(1), &[]), Finding::Fine);
    check("two days old", found_by_decode(&stream(48), &[]), Finding::ChildFrozen);
}

#[test]
fn n16_u1_a_bridge_that_stands_is_named() {
    let mut telegrams = telegrams(5);
    check("live", found_by_decode(&telegrams.concat(), &[]), Finding::Fine);
    let last = telegram(&format!("{}07W", &stamp(now() - 60)[..10]), 6, None);
    telegrams.extend(std::iter::repeat_n(last, 15));
    check("repeated", found_by_decode(&telegrams.concat(), &[]), Finding::BridgeStale);
}

#[tokio::test(start_paused = true)]
async fn n16_k2_frames_that_come_again_are_named() {
    for (name, bytes) in sealed(1..=12) {
        let twice = bytes.repeat(2);
        check(name, found_by_decode(&twice, &[keys(1, 2)]), Finding::Replayed);
        check(name, found_by_task(twice, vec![keys(1, 2)], Finding::Replayed).await, Finding::Replayed);
    }
}

#[tokio::test(start_paused = true)]
async fn k2_a_meter_that_always_counts_0_is_said_to_be_one_of_which_no_replay_can_be_told() {
    let bytes: Vec<u8> =
        (1..=5).flat_map(|step| hdlc(&seal(&keys(1, 2), TITLE, 0, 0x30, &push(step)), 2_000)).collect();
    let asked = Asked { protocols: Protocol::ALL.to_vec(), keys: vec![keys(1, 2)], file: String::new() };
    let mut notes = Vec::new();
    decode::decode(&asked, &bytes, now() * 1_000, &mut |line| {
        if let Line::Error(line) = line {
            notes.extend(line.get("note").cloned());
        }
    });
    assert_eq!(notes, ["replay_undetectable"]);
}
