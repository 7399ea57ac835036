use std::io::Read;
use std::net::TcpStream;

use serde_json::Value;

use super::*;

/// 2026-01-03T12:00:00Z.
const START: i64 = INSTALLED_AT + 2 * 86_400 + 43_200;

fn simulator(version: Version) -> Simulator {
    let profile = Profile::Typical;
    Simulator::new(&Options { seed: 5, profile, version, keys: None, start: START })
}

fn state(simulator: &mut Simulator) -> Value {
    let line = simulator.command("state").expect("a command").expect("an answer");
    assert!(!line.contains('\n'));
    serde_json::from_str(&line).expect("JSON")
}

fn say(simulator: &mut Simulator, words: &str) {
    assert_eq!(simulator.command(words), Ok(None), "{words}");
}

fn whole_number(value: &Value) -> i64 {
    value.as_i64().expect("a whole number")
}

#[test]
fn forced_power_is_in_the_next_telegram_and_in_the_registers_exactly() {
    let mut simulator = simulator(Version::Dsmr5);
    simulator.tick(START + 1);
    let before = state(&mut simulator);
    say(&mut simulator, "power 1234");
    simulator.tick(START + 101);
    let after = state(&mut simulator);
    let grown = |name: &str| whole_number(&after[name]) - whole_number(&before[name]);
    assert_eq!(grown("import_milliwatt_seconds"), 100 * 1_234_000);
    assert_eq!(grown("export_milliwatt_seconds"), 0);
    assert_eq!(grown("unix_seconds"), 100);
    assert_eq!(grown("telegrams"), 100);
    assert_eq!(after["power_milliwatts"], 1_234_000);
    say(&mut simulator, "power -50");
    simulator.tick(START + 102);
    assert_eq!(state(&mut simulator)["power_milliwatts"], -50_000);
    say(&mut simulator, "power auto");
    simulator.tick(START + 103);
    assert_ne!(state(&mut simulator)["power_milliwatts"], -50_000);
}

#[test]
fn a_stalled_meter_says_nothing_and_its_home_goes_on() {
    let mut simulator = simulator(Version::Dsmr5);
    simulator.tick(START + 5);
    say(&mut simulator, "stall");
    simulator.tick(START + 60);
    let stalled = state(&mut simulator);
    assert_eq!(
        (&stalled["unix_seconds"], &stalled["now"]["unix_seconds"]),
        (&(START + 5).into(), &(START + 60).into())
    );
    say(&mut simulator, "resume");
    simulator.tick(START + 61);
    assert_eq!(state(&mut simulator)["unix_seconds"], START + 61);
    say(&mut simulator, "reboot 10");
    simulator.tick(START + 70);
    assert_eq!(state(&mut simulator)["unix_seconds"], START + 61);
    simulator.tick(START + 71);
    assert_eq!(state(&mut simulator)["unix_seconds"], START + 71);
}

#[test]
fn a_home_that_was_away_comes_back_with_the_registers_of_one_that_was_not() {
    let mut stayed = simulator(Version::Dsmr4);
    stayed.tick(START + 3_600);
    let profile = Profile::Typical;
    let mut back =
        Simulator::new(&Options { seed: 5, profile, version: Version::Dsmr4, keys: None, start: START + 3_590 });
    back.tick(START + 3_600);
    assert_eq!(stayed.home().registers(), back.home().registers());
    assert_eq!(stayed.home().device(), back.home().device());
    let (mut stayed, mut back) = (state(&mut stayed), state(&mut back));
    for state in [&mut stayed, &mut back] {
        state["telegrams"].take();
    }
    assert_eq!(stayed, back);
}

#[test]
fn a_wrong_clock_runs_on_from_where_it_was_set() {
    let mut simulator = simulator(Version::Dsmr5);
    say(&mut simulator, "clock 2000-01-01T00:00:00Z");
    simulator.next_telegram();
    let telegram = String::from_utf8(simulator.next_telegram()).expect("text");
    assert!(telegram.contains("0-0:1.0.0(000101010002W)"), "{telegram}");
    say(&mut simulator, "clock -3600");
    let telegram = String::from_utf8(simulator.next_telegram()).expect("text");
    assert!(telegram.contains("0-0:1.0.0(260103120003W)"), "{telegram}");
    say(&mut simulator, "clock ok");
    let telegram = String::from_utf8(simulator.next_telegram()).expect("text");
    assert!(telegram.contains("0-0:1.0.0(260103130004W)"), "{telegram}");
}

#[test]
fn a_zero_and_a_spike_last_one_telegram_and_are_not_in_the_books() {
    let mut simulator = simulator(Version::Dsmr5);
    let first_register = |simulator: &mut Simulator| {
        let telegram = String::from_utf8(simulator.next_telegram()).expect("text");
        let (_, rest) = telegram.split_once("1-0:1.8.1(").expect("the register");
        rest[..10].replace('.', "").parse::<i64>().expect("a number")
    };
    let before = first_register(&mut simulator);
    say(&mut simulator, "zero");
    assert_eq!(first_register(&mut simulator), 0);
    say(&mut simulator, "spike 500000");
    assert!((0..10).contains(&(first_register(&mut simulator) - before - 500_000)));
    assert!((0..10).contains(&(first_register(&mut simulator) - before)));
}

#[test]
fn nonsense_is_refused_and_changes_nothing() {
    let mut simulator = simulator(Version::Dsmr5);
    for words in
        ["fly", "garble", "garble 2", "garble x", "power", "power many", "clock noon", "clock", "stall soon", "swap -1"]
    {
        assert!(simulator.command(words).is_err(), "{words}");
    }
    assert_eq!(simulator.command("  "), Ok(None));
}

#[test]
fn everybody_on_the_tcp_port_hears_the_same_and_a_drop_ends_it_for_all() {
    let mut simulator = simulator(Version::Dsmr5);
    simulator.open(Kind::Tcp(0)).expect("a free port");
    let announced: Value = serde_json::from_str(&simulator.announcement()).expect("JSON");
    let address = announced["address"].as_str().and_then(|text| text.strip_prefix("tcp://")).expect("an address");
    let mut readers = [TcpStream::connect(address), TcpStream::connect(address)].map(|reader| reader.expect("open"));
    while state(&mut simulator)["readers"] != 2 {
        std::thread::yield_now();
    }
    simulator.tick(START + 3);
    say(&mut simulator, "drop 2");
    simulator.tick(START + 6);
    let heard = readers.each_mut().map(|reader| {
        let mut heard = Vec::new();
        reader.read_to_end(&mut heard).expect("until the drop");
        heard
    });
    assert_eq!(heard[0], heard[1]);
    assert_eq!(heard[0].iter().filter(|byte| **byte == b'!').count(), 3);
    assert!(TcpStream::connect(address).is_ok(), "the port is back at the same place");
}

#[cfg(target_os = "linux")]
#[test]
fn a_pseudo_terminal_keeps_nothing_for_readers_that_come_later_and_survives_their_leaving() {
    let mut simulator = simulator(Version::Dsmr5);
    simulator.open(Kind::Pty { baud: None }).expect("a pseudo-terminal");
    let announced: Value = serde_json::from_str(&simulator.announcement()).expect("JSON");
    let path = announced["address"].as_str().and_then(|text| text.strip_prefix("serial:")).expect("a path").to_owned();
    // More than any buffer holds: sending neither blocks nor fails.
    simulator.tick(START + 200);
    for round in 1..4 {
        let mut reader = std::fs::OpenOptions::new().read(true).write(true).open(&path).expect("opens");
        while state(&mut simulator)["readers"] != 1 {
            std::thread::yield_now();
        }
        simulator.tick(START + 200 + round);
        let mut heard = Vec::new();
        while !heard.ends_with(b"\r\n") || !heard.contains(&b'!') {
            let mut part = [0; 512];
            let count = reader.read(&mut part).expect("bytes");
            heard.extend(&part[..count]);
        }
        assert_eq!(heard.iter().filter(|byte| **byte == b'/').count(), 1, "one telegram, not an older one");
        assert!(heard.starts_with(b"/ISK5"));
        drop(reader);
        while state(&mut simulator)["readers"] != 0 {
            std::thread::yield_now();
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_reader_at_the_wrong_speed_hears_noise() {
    let hear = |baud| {
        let mut simulator = simulator(Version::Dsmr5);
        simulator.open(Kind::Pty { baud: Some(baud) }).expect("a pseudo-terminal");
        let announced: Value = serde_json::from_str(&simulator.announcement()).expect("JSON");
        let path = announced["address"].as_str().and_then(|text| text.strip_prefix("serial:")).expect("a path");
        // Its speed is the one it was opened with, 115200.
        let mut reader = std::fs::OpenOptions::new().read(true).write(true).open(path).expect("opens");
        while state(&mut simulator)["readers"] != 1 {
            std::thread::yield_now();
        }
        simulator.tick(START + 1);
        let mut heard = [0; 5];
        reader.read_exact(&mut heard).expect("bytes");
        heard
    };
    assert_eq!(&hear(115_200), b"/ISK5");
    assert!(hear(9_600).iter().all(|byte| !byte.is_ascii()));
}
