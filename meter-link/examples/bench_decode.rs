//! Decodes the same P1 telegrams here and with the crate `dsmr5`, and prints how long one takes.
//!
//!     cargo xtask bench decode
//!
//! Ours: framing in chunks as a serial line gives them, checksum, every value with its exact unit and meaning, unknown lines
//! kept. Theirs: framing, checksum, their `State`. The telegrams are DSMR 5.0 with three phases and gas, about 900 bytes,
//! each different; they leave out what `dsmr5` does not know, since one such line makes it refuse the whole telegram.

#![expect(clippy::print_stdout, reason = "printing is what this program is for")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use meter_link::p1::framer::{Frame, Framer};
use meter_link::p1::print::{Ending, print};
use meter_link::p1::reading::{Said, country, read_object};
use meter_link::p1::telegram::{Line, Telegram};
use meter_link::reading::{Flow, Phase, Quantity};

/// Telegrams in one pass: an hour and a quarter of a meter that sends each second.
const TELEGRAMS: u32 = 4_320;
/// Passes; the fastest of each side counts, since all else on the machine only slows.
const PASSES: u32 = 15;
/// What a serial port hands out at once.
const CHUNK: usize = 4_096;

fn main() {
    let bytes: Vec<u8> = (0..TELEGRAMS).flat_map(telegram).collect();
    let each = bytes.len() as u64 / u64::from(TELEGRAMS);

    let (mut ours, mut peer) = (Duration::MAX, Duration::MAX);
    let mut allocations = 0;
    for _ in 0..PASSES {
        let (before, start) = (ALLOCATIONS.load(Ordering::Relaxed), Instant::now());
        let sum = black_box(decode_here(black_box(&bytes)));
        ours = ours.min(start.elapsed());
        allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
        let start = Instant::now();
        let peer_sum = black_box(decode_there(black_box(&bytes)));
        peer = peer.min(start.elapsed());
        assert_eq!(sum.telegrams, peer_sum.telegrams, "both read every telegram");
        assert_eq!(sum.watts, peer_sum.watts, "both read the same power");
        assert_eq!(sum.kept, u64::from(TELEGRAMS), "the log is no quantity, and kept");
    }
    assert!(allocations < 8, "allocations in a whole pass, all of them the framer's buffer: {allocations}");

    let nanoseconds = |pass: Duration| pass.as_nanos() / u128::from(TELEGRAMS);
    let (ours, peer) = (nanoseconds(ours), nanoseconds(peer));
    let hundredths = peer * 100 / ours.max(1);
    println!("bench decode p1 ours={ours}ns dsmr5={peer}ns ratio={}.{:02}", hundredths / 100, hundredths % 100);
    println!("telegrams of {each} bytes, {} values each, {allocations} allocations in {TELEGRAMS} telegrams", VALUES);
}

/// What a pass found.
#[derive(Default)]
struct Sum {
    telegrams: u64,
    kept: u64,
    /// Of the power now, so that no side may leave the values unread.
    watts: u64,
}

/// Quantities in one telegram of [`telegram`].
const VALUES: u64 = 26;

fn decode_here(bytes: &[u8]) -> Sum {
    let mut sum = Sum::default();
    let mut framer = Framer::default();
    for mut chunk in bytes.chunks(CHUNK) {
        while !chunk.is_empty() {
            let taken = framer.handle_bytes(chunk);
            chunk = &chunk[taken..];
            while let Some(frame) = framer.poll_frame() {
                let Ok(Frame::Telegram { bytes, checked: true }) = frame else { panic!("{frame:?}") };
                take(&Telegram::parse(bytes), &mut sum);
            }
        }
    }
    sum
}

fn take(telegram: &Telegram<'_>, sum: &mut Sum) {
    sum.telegrams += 1;
    let country = country(telegram);
    let mut values = 0;
    for line in telegram.lines() {
        let said = match line {
            Line::Object(object) => read_object(&object, country, |value| {
                values += 1;
                if value.quantity == Quantity::ActivePower(Flow::Import, Phase::Total) {
                    sum.watts += value.value.thousandths().unwrap_or_default().unsigned_abs() / 1_000;
                }
                black_box(value);
            }),
            Line::Unclear(text) => {
                black_box(text);
                Said::NotUnderstood
            }
        };
        sum.kept += u64::from(black_box(said) == Said::NotUnderstood);
    }
    assert_eq!(values, VALUES);
}

#[expect(clippy::float_arithmetic, reason = "the peer's values are floating point")]
fn decode_there(bytes: &[u8]) -> Sum {
    let mut sum = Sum::default();
    for readout in dsmr5::Reader::new(bytes.iter().copied().map(Ok::<u8, ()>)) {
        let Ok(readout) = readout else { panic!("the peer's framing") };
        let telegram = readout.to_telegram().expect("the peer's checksum");
        let state = dsmr5::Result::<dsmr5::state::State>::from(&telegram).expect("the peer's objects");
        sum.telegrams += 1;
        sum.watts += state.power_delivered.map_or(0, |kilowatts| (kilowatts * 1_000.0).round() as u64);
        black_box(state);
    }
    sum
}

/// One telegram; its numbers move as a home's do.
fn telegram(second: u32) -> Vec<u8> {
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
        "0-0:96.13.0()".to_owned(),
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
