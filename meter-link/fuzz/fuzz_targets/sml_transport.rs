//! Any bytes, cut anyhow, give the same frames; the framer never takes more than it may keep. Any messages put into a frame
//! come out as they were.
//!
//! The first byte says how the rest is cut: each chunk's length follows from it and the place.

#![no_main]

use libfuzzer_sys::fuzz_target;
use meter_link::error::DecodeError;
use meter_link::sml::print::{Checksums, frame};
use meter_link::sml::transport::{Framer, MAX_FRAME};

fuzz_target!(|bytes: &[u8]| {
    let Some((&seed, bytes)) = bytes.split_first() else { return };
    let whole = frames(bytes, |_| usize::MAX);
    let single = frames(bytes, |_| 1);
    assert!(whole == single, "byte by byte");
    let cut = frames(bytes, |place| 1 + (place.wrapping_mul(31) ^ usize::from(seed)) % 97);
    assert!(whole == cut, "in chunks");

    // Messages end with a zero, so an escape never begins before the trailer's own.
    let body = [&bytes[..bytes.len().min(1_000)], &[0]].concat();
    let found = frames(&frame(&body, Checksums::X25), |_| usize::MAX);
    let [Ok((opened, false))] = &found[..] else { panic!("one frame") };
    assert!(opened.starts_with(&body) && opened[body.len()..].iter().all(|zero| *zero == 0));
});

/// What was found, owned.
type Found = Result<(Vec<u8>, bool), DecodeError>;

fn frames(mut bytes: &[u8], chunk: impl Fn(usize) -> usize) -> Vec<Found> {
    let mut framer = Framer::default();
    let mut found = Vec::new();
    let mut place = 0;
    while !bytes.is_empty() {
        let portion = &bytes[..chunk(place).min(bytes.len())];
        let taken = framer.handle_bytes(portion);
        assert!(taken <= portion.len() && taken <= MAX_FRAME);
        assert!(taken > 0, "a framer that was asked for all its frames takes more bytes");
        bytes = &bytes[taken..];
        place += taken;
        while let Some(frame) = framer.poll_frame() {
            found.push(frame.map(|frame| {
                assert!(frame.body.len() <= MAX_FRAME);
                (frame.body.to_vec(), frame.is_kermit)
            }));
        }
    }
    found
}
