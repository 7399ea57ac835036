//! Decodes the same bytes here and with peers, and prints how long one frame takes.
//!
//!     cargo xtask bench decode
//!
//! One function for each protocol, called by `main`; each gives its sides to [`compare`], and peers written in Python to
//! [`compare_python`]. Ours is always the product's own path: `Decoder::handle_bytes` in chunks as a serial line gives them,
//! then `Decoder::poll` until nothing comes. Left out: libsml, whose Debian package is of 2018.

#![expect(clippy::print_stdout, reason = "printing is what this program is for")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use meter_link::obis::Obis;
use meter_link::p1;
use meter_link::p1::print::{Ending, print};
use meter_link::reading::{Flow, Phase, Quantity, Reading, Trust, Unit};
use meter_link::security::KeyPair;
use meter_link::security::cipher::{Cipher, nonce};
use meter_link::sml;
use meter_link::sml::message::{Entry, Item, List, Number, Time, Value};
use meter_link::sml::print::Checksums;

/// Passes; the fastest of each side counts, since all else on the machine only slows.
const PASSES: u32 = 15;
/// What a serial port hands out at once.
const CHUNK: usize = 4_096;

fn main() {
    p1();
    p1_owned();
    p1_unlike();
    p1_sealed();
    sml();
    sml_corpus();
}

/// One side of a comparison. The first one given is ours.
struct Side<'a> {
    name: &'static str,
    /// What it reads and what it verifies, in one line.
    does: &'static str,
    bytes: &'a [u8],
    pass: fn(&[u8]) -> Sum,
}

/// What a pass found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    frames: u64,
    /// Of the power now, so that no side may leave the values unread.
    watts: u64,
}

/// Ours, measured: what the peers of other languages are set beside.
struct Measured {
    sum: Sum,
    /// Tenths of a nanosecond for one frame.
    tenths: u64,
    /// In one pass.
    allocations: u64,
}

/// Runs all sides in turn, makes sure that they read the same, and prints the figures.
fn compare(what: &str, sides: &[Side<'_>]) -> Measured {
    let mut fastest = vec![Duration::MAX; sides.len()];
    let mut allocations = vec![0; sides.len()];
    let mut sums = vec![Sum::default(); sides.len()];
    for _ in 0..PASSES {
        for (at, side) in sides.iter().enumerate() {
            let (before, start) = (ALLOCATIONS.load(Ordering::Relaxed), Instant::now());
            sums[at] = black_box((side.pass)(black_box(side.bytes)));
            fastest[at] = fastest[at].min(start.elapsed());
            allocations[at] = ALLOCATIONS.load(Ordering::Relaxed) - before;
        }
        assert!(sums.iter().all(|sum| *sum == sums[0]), "all sides read the same: {sums:?}");
    }
    let frames = sums[0].frames;
    // Tenths, since a frame takes few nanoseconds.
    let tenths: Vec<_> = fastest.iter().map(|pass| pass.as_nanos() as u64 * 10 / frames).collect();
    for (peer, tenths_of_peer) in sides.iter().zip(&tenths).skip(1) {
        print_ratio(what, tenths[0], peer.name, *tenths_of_peer);
    }
    for (at, side) in sides.iter().enumerate() {
        println!(
            "  {:<8} {:>6}.{} ns per frame of {} bytes, {} frames/s, {} MB/s, {} allocations per frame: {}",
            side.name,
            tenths[at] / 10,
            tenths[at] % 10,
            side.bytes.len() as u64 / frames,
            10_000_000_000 / tenths[at].max(1),
            side.bytes.len() as u64 * 1_000 / (fastest[at].as_nanos() as u64).max(1),
            hundredths(allocations[at] * 100 / frames),
            side.does,
        );
    }
    Measured { sum: sums[0], tenths: tenths[0], allocations: allocations[0] }
}

/// The same bytes through a peer of `bench_decode_peers.py`, where `cargo xtask bench` could install it.
fn compare_python(what: &str, ours: &Measured, peer: &str, bytes: &[u8]) {
    let Some(python) = std::env::var_os("WATTLE_PEERS_PYTHON") else {
        return println!("bench decode {what} {peer}: not installed");
    };
    let path = std::env::temp_dir().join(format!("wattle-bench-{}-{what}", std::process::id()));
    std::fs::write(&path, bytes).expect("a temporary file");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/bench_decode_peers.py");
    let output = std::process::Command::new(python).args([script, peer]).arg(&path).output().expect("Python starts");
    std::fs::remove_file(&path).expect("it was written just now");
    let text = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<u64> = text.split_whitespace().flat_map(str::parse).collect();
    let [frames, watts, nanoseconds] = numbers[..] else {
        return println!("bench decode {what} {peer}: failed: {}", String::from_utf8_lossy(&output.stderr));
    };
    assert_eq!(Sum { frames, watts }, ours.sum, "{peer} reads the same");
    print_ratio(what, ours.tenths, peer, nanoseconds * 10 / frames);
}

fn print_ratio(what: &str, ours: u64, peer: &str, theirs: u64) {
    let ratio = hundredths(theirs * 100 / ours.max(1));
    println!("bench decode {what} ours={}ns {peer}={}ns ratio={ratio}", ours / 10, theirs / 10);
}

fn hundredths(count: u64) -> String {
    format!("{}.{:02}", count / 100, count % 100)
}

/// Telegrams in one pass: an hour and a quarter of a meter that sends each second.
const TELEGRAMS: u32 = 4_320;
/// Quantities in one telegram of [`telegram`].
const VALUES: usize = 26;

/// DSMR 5.0 with three phases and gas, about 900 bytes, each different. They leave out what `dsmr5` does not know, since one
/// such line makes it refuse the whole telegram.
fn p1() {
    let bytes: Vec<u8> = (0..TELEGRAMS).flat_map(telegram).collect();
    let ours = compare(
        "p1",
        &[
            Side {
                name: "ours",
                does: "framing, checksum, clock, all 26 values exact with unit and meaning, the line not understood kept",
                bytes: &bytes,
                pass: p1_here,
            },
            Side { name: "dsmr5", does: "framing, checksum, its State of all values", bytes: &bytes, pass: p1_dsmr5 },
        ],
    );
    assert!(ours.allocations < 20, "the framer's buffer and one template, not: {}", ours.allocations);
    compare_python("p1", &ours, "dsmr-parser", &bytes);
}

/// The same, but no telegram is like the one before it: a text in it changes each second, so each is parsed.
fn p1_unlike() {
    let text = |second| format!("0-0:96.13.0({:08X})", second * 0x0101);
    let bytes: Vec<u8> = (0..TELEGRAMS).flat_map(|second| telegram_saying(second, &text(second))).collect();
    compare(
        "p1-unlike",
        &[
            Side { name: "ours", does: "all of it parsed and learned anew", bytes: &bytes, pass: p1_here },
            Side { name: "dsmr5", does: "as above", bytes: &bytes, pass: p1_dsmr5 },
        ],
    );
}

/// The same, each reading given away as the household takes it: its lists and texts are allocated.
fn p1_owned() {
    let bytes: Vec<u8> = (0..TELEGRAMS).flat_map(telegram).collect();
    compare(
        "p1-owned",
        &[
            Side { name: "ours", does: "as above, and a reading to keep", bytes: &bytes, pass: p1_here_owned },
            Side { name: "dsmr5", does: "as above; borrows from its buffer", bytes: &bytes, pass: p1_dsmr5 },
        ],
    );
}

/// The same telegrams as Luxembourg's meters encrypt them, beside the peer reading them in clear.
fn p1_sealed() {
    let bytes: Vec<u8> = (0..TELEGRAMS).flat_map(telegram).collect();
    let cipher = Cipher::new(&KEY.into());
    let sealed: Vec<u8> = (0..TELEGRAMS).flat_map(|second| seal(&cipher, &telegram(second), second + 1)).collect();
    compare(
        "p1-sealed",
        &[
            Side {
                name: "ours",
                does: "framing, AES-128-GCM opened, tag and counter verified, then all as in clear",
                bytes: &sealed,
                pass: p1_here_sealed,
            },
            Side { name: "dsmr5", does: "the same telegrams in clear", bytes: &bytes, pass: p1_dsmr5 },
        ],
    );
}

const KEY: [u8; 16] = *b"made up for this";

/// Puts a telegram into a general-glo-ciphering frame, with the authentication key that operators publish.
fn seal(cipher: &Cipher, telegram: &[u8], counter: u32) -> Vec<u8> {
    const TITLE: [u8; 8] = *b"MADETEST";
    /// Encrypted and authenticated.
    const CONTROL: u8 = 0x30;
    let mut associated = vec![CONTROL];
    associated.extend((0..16).map(|index| index * 0x11));
    let mut content = telegram.to_vec();
    let tag = cipher.seal(nonce(TITLE, counter), &associated, &mut content);
    let length = (5 + content.len() + tag.len()) as u16;
    [&[0xDB, 8][..], &TITLE, &[0x82], &length.to_be_bytes(), &[CONTROL], &counter.to_be_bytes(), &content, &tag]
        .concat()
}

fn p1_here(bytes: &[u8]) -> Sum {
    let mut sum = Sum::default();
    let mut decoder = p1::Decoder::new(Vec::new());
    in_chunks(bytes, |chunk| {
        let taken = decoder.handle_bytes(chunk);
        while let Some(reading) = decoder.poll() {
            p1_take(reading.expect("a good frame"), Trust::Checked, &mut sum);
        }
        taken
    });
    sum
}

fn p1_here_owned(bytes: &[u8]) -> Sum {
    let mut sum = Sum::default();
    let mut decoder = p1::Decoder::new(Vec::new());
    in_chunks(bytes, |chunk| {
        let taken = decoder.handle_bytes(chunk);
        while let Some(reading) = decoder.poll_reading() {
            p1_take(&reading.expect("a good frame"), Trust::Checked, &mut sum);
        }
        taken
    });
    sum
}

fn p1_here_sealed(bytes: &[u8]) -> Sum {
    let mut sum = Sum::default();
    let mut decoder = p1::Decoder::new(vec![KeyPair { encryption: KEY.into(), authentication: None }]);
    in_chunks(bytes, |chunk| {
        let taken = decoder.handle_bytes(chunk);
        while let Some(reading) = decoder.poll() {
            p1_take(reading.expect("a good frame"), Trust::Authenticated, &mut sum);
        }
        taken
    });
    sum
}

/// Hands `bytes` out as a serial port does, and again what was not taken.
fn in_chunks(bytes: &[u8], mut take: impl FnMut(&[u8]) -> usize) {
    for mut chunk in bytes.chunks(CHUNK) {
        while !chunk.is_empty() {
            chunk = &chunk[take(chunk)..];
        }
    }
}

fn p1_take(reading: &Reading, trust: Trust, sum: &mut Sum) {
    let reading = black_box(reading);
    assert_eq!((reading.values.len(), reading.not_understood.len(), reading.trust), (VALUES, 1, trust));
    let is_power = |quantity| quantity == Quantity::ActivePower(Flow::Import, Phase::Total);
    let power = reading.values.iter().find(|value| is_power(value.quantity)).expect("the power");
    sum.frames += 1;
    sum.watts += power.value.thousandths().unwrap_or_default().unsigned_abs() / 1_000;
}

#[expect(clippy::float_arithmetic, reason = "the peer's values are floating point")]
fn p1_dsmr5(bytes: &[u8]) -> Sum {
    let mut sum = Sum::default();
    for readout in dsmr5::Reader::new(bytes.iter().copied().map(Ok::<u8, ()>)) {
        let Ok(readout) = readout else { panic!("the peer's framing") };
        let telegram = readout.to_telegram().expect("the peer's checksum");
        let state = dsmr5::Result::<dsmr5::state::State>::from(&telegram).expect("the peer's objects");
        sum.frames += 1;
        sum.watts += state.power_delivered.map_or(0, |kilowatts| (kilowatts * 1_000.0).round() as u64);
        black_box(state);
    }
    sum
}

/// One telegram; its numbers move as a home's do.
fn telegram(second: u32) -> Vec<u8> {
    telegram_saying(second, "0-0:96.13.0()")
}

/// The same with this line for a text.
fn telegram_saying(second: u32, text: &str) -> Vec<u8> {
    let (minute, rest) = (second / 60 % 60, second % 60);
    let hour = 10 + second / 3_600;
    let power = 200 + second * 7 % 3_000;
    let total = 1_234_567 + second;
    let lines = [
        "1-3:0.2.8(50)".to_owned(),
        format!("0-0:1.0.0(261023{hour:02}{minute:02}{rest:02}S)"),
        "0-0:96.1.1(4D414445303030303030303030303031)".to_owned(),
        format!("1-0:1.8.1({:06}.{:03}*kWh)", total / 1_000, total % 1_000),
        "1-0:1.8.2(002345.678*kWh)".to_owned(),
        "1-0:2.8.1(000345.006*kWh)".to_owned(),
        "1-0:2.8.2(000456.007*kWh)".to_owned(),
        "0-0:96.14.0(0002)".to_owned(),
        format!("1-0:1.7.0({:02}.{:03}*kW)", power / 1_000, power % 1_000),
        "1-0:2.7.0(00.000*kW)".to_owned(),
        "0-0:96.7.21(00006)".to_owned(),
        "0-0:96.7.9(00003)".to_owned(),
        "1-0:99.97.0(2)(0-0:96.7.19)(250529135630S)(0000002451*s)(250911064502S)(0000000361*s)".to_owned(),
        "1-0:32.32.0(00003)".to_owned(),
        "1-0:52.32.0(00002)".to_owned(),
        "1-0:72.32.0(00001)".to_owned(),
        "1-0:32.36.0(00001)".to_owned(),
        text.to_owned(),
        format!("1-0:32.7.0({}.{}*V)", 228 + second % 5, second % 10),
        "1-0:52.7.0(232.6*V)".to_owned(),
        "1-0:72.7.0(235.1*V)".to_owned(),
        format!("1-0:31.7.0({:03}*A)", power / 230),
        "1-0:51.7.0(000*A)".to_owned(),
        "1-0:71.7.0(003*A)".to_owned(),
        format!("1-0:21.7.0({:02}.{:03}*kW)", power / 1_000, power % 1_000),
        "1-0:41.7.0(00.033*kW)".to_owned(),
        "1-0:61.7.0(00.132*kW)".to_owned(),
        "1-0:22.7.0(00.000*kW)".to_owned(),
        "1-0:42.7.0(00.000*kW)".to_owned(),
        "1-0:62.7.0(00.000*kW)".to_owned(),
        "0-1:24.1.0(003)".to_owned(),
        "0-1:96.1.0(4D414445474153303030303030303031)".to_owned(),
        format!("0-1:24.2.1(261023{hour:02}{:02}10S)(01569.646*m3)", minute / 5 * 5),
    ];
    print(b"MAD5\\2M550T-1011", lines.iter().map(String::as_bytes), Ending::Checksum)
}

/// Files in one pass: an hour and a quarter of a meter that sends each second.
const FILES: u32 = 4_320;

/// A modern meter with its PIN entered, each file different.
fn sml() {
    let bytes: Vec<u8> = (0..FILES).flat_map(sml_file).collect();
    compare_sml("sml", &bytes);
}

/// What the public captures hold, where they are beside the project: all of them over and over, less what `sml-rs` cannot
/// read.
fn sml_corpus() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus/sml");
    let captures: Vec<Vec<u8>> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "bin"))
        .filter_map(|entry| std::fs::read(entry.path()).ok())
        .collect();
    if captures.is_empty() {
        println!("bench decode sml-corpus not run: the corpus is not beside the project");
        return;
    }
    compare_sml("sml-corpus", &captures.concat().repeat(10));
}

fn compare_sml(what: &str, bytes: &[u8]) {
    let side = |name, does, pass| Side { name, does, bytes, pass };
    compare(
        what,
        &[
            side("ours", "framing, checksums, all values exact with unit, direction and meaning", sml_here),
            side("sml-rs", "framing, checksums, its complete parser", sml_rs),
        ],
    );
    compare(
        &format!("{what}-walk"),
        &[
            side("ours", "framing, checksums, each entry as sent", sml_walk),
            side("sml-rs", "framing, checksums, its complete parser", sml_rs),
        ],
    );
}

fn sml_here(bytes: &[u8]) -> Sum {
    let mut sum = Sum::default();
    let mut decoder = sml::Decoder::new();
    for mut chunk in bytes.chunks(CHUNK) {
        while !chunk.is_empty() {
            let taken = decoder.handle_bytes(chunk);
            chunk = &chunk[taken..];
            while let Some(reading) = decoder.poll() {
                let Ok(reading) = black_box(reading) else { continue };
                assert_eq!(reading.trust, Trust::Checked);
                sum.frames += 1;
                for value in reading.values.iter().filter(|value| value.unit == Unit::Watt) {
                    sum.watts += value.value.mantissa.unsigned_abs();
                }
            }
        }
    }
    sum
}

fn sml_walk(bytes: &[u8]) -> Sum {
    let mut sum = Sum::default();
    let mut framer = sml::transport::Framer::default();
    for mut chunk in bytes.chunks(CHUNK) {
        while !chunk.is_empty() {
            let taken = framer.handle_bytes(chunk);
            chunk = &chunk[taken..];
            while let Some(frame) = framer.poll_frame() {
                let Ok(frame) = frame else { continue };
                sml::message::walk(&frame, |item| match black_box(item) {
                    Item::List(_) => sum.frames += 1,
                    Item::Entry(Entry { unit: Some(WATT), value, .. }, _) => match value {
                        Value::Signed(number) => sum.watts += number.value.unsigned_abs(),
                        Value::Unsigned(number) => sum.watts += number.value,
                        _ => (),
                    },
                    _ => (),
                });
            }
        }
    }
    sum
}

/// As the unit is numbered on the wire.
const WATT: u8 = 27;

fn sml_rs(bytes: &[u8]) -> Sum {
    use sml_rs::parser::common::Value;
    use sml_rs::parser::complete::{MessageBody, parse};
    let mut sum = Sum::default();
    let mut frames = sml_rs::transport::decode_streaming::<Vec<u8>>(bytes);
    while let Some(frame) = frames.next() {
        let Ok(frame) = frame else { continue };
        let file = black_box(parse(frame).expect("the peer's grammar"));
        for message in &file.messages {
            let MessageBody::GetListResponse(list) = &message.message_body else { continue };
            sum.frames += 1;
            for entry in list.val_list.iter().filter(|entry| entry.unit == Some(WATT)) {
                sum.watts += match entry.value {
                    Value::I8(value) => u64::from(value.unsigned_abs()),
                    Value::I16(value) => u64::from(value.unsigned_abs()),
                    Value::I32(value) => u64::from(value.unsigned_abs()),
                    Value::I64(value) => value.unsigned_abs(),
                    Value::U8(value) => u64::from(value),
                    Value::U16(value) => u64::from(value),
                    Value::U32(value) => u64::from(value),
                    Value::U64(value) => value,
                    Value::Bool(_) | Value::Bytes(_) | Value::List(_) => 0,
                };
            }
        }
    }
    sum
}

/// One file with each kind of value; its numbers move as a home's do.
fn sml_file(second: u32) -> Vec<u8> {
    const SERVER: &[u8] = b"\x0A\x01MAD\x00\x00\x00\x00\x01";
    let entry = |c, d, e, unit, scaler, value| Entry {
        obis: Obis::new(1, 0, c, d, e),
        status: None,
        time: None,
        unit,
        scaler,
        value,
    };
    let signed = |value, width| Value::Signed(Number { value, width });
    let unsigned = |value, width| Value::Unsigned(Number { value, width });
    let power = i64::from(second * 7 % 3_000) - 900;
    let register = entry(1, 8, 0, Some(30), Some(-1), unsigned(123_456_789 + u64::from(second), 8));
    let entries = [
        Entry {
            obis: Obis { f: 1, ..Obis::new(1, 0, 96, 50, 1) },
            ..entry(96, 50, 1, None, None, Value::Bytes(b"MAD"))
        },
        entry(96, 1, 0, None, None, Value::Bytes(SERVER)),
        Entry { status: Some(Number { value: 0x1C_0104, width: 4 }), ..register },
        entry(2, 8, 0, Some(30), Some(-1), signed(98_765_432, 5)),
        entry(16, 7, 0, Some(WATT), Some(0), signed(power, 4)),
        entry(36, 7, 0, Some(WATT), Some(0), signed(power / 3, 2)),
        entry(56, 7, 0, Some(WATT), Some(0), signed(power / 2, 3)),
        entry(76, 7, 0, Some(WATT), Some(0), signed(power / 100, 1)),
        entry(32, 7, 0, Some(35), Some(-1), unsigned(2_290 + u64::from(second % 20), 2)),
        entry(52, 7, 0, Some(35), Some(-1), unsigned(2_311, 3)),
        entry(72, 7, 0, Some(35), Some(-1), unsigned(2_305, 4)),
        entry(31, 7, 0, Some(33), Some(-2), unsigned(217, 1)),
        entry(14, 7, 0, Some(44), Some(-1), signed(499, 8)),
        Entry { obis: Obis::new(129, 129, 199, 130, 5), ..entry(0, 0, 0, None, None, Value::Bytes(&[0x5A; 48])) },
    ];
    let list = List { server: SERVER, time: Some(Time::Index(second)) };
    sml::print::print(&list, &entries, Checksums::X25)
}

/// Counts every allocation of this program.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

#[global_allocator]
static COUNTING: Counting = Counting;

#[expect(unsafe_code, reason = "an allocator that counts is how the claim of none is checked; it only forwards")]
// SAFETY: every call goes unchanged to the system's allocator, which keeps the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}
