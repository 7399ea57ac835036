//! Any bytes, cut anyhow, give the same frames; the framer never takes more than it may keep.
//!
//! The first byte says how the rest is cut: each chunk's length follows from it and the place.

#![no_main]

use libfuzzer_sys::fuzz_target;
use meter_link::error::DecodeError;
use meter_link::p1::framer::{Frame, Framer, MAX_FRAME};

fuzz_target!(|bytes: &[u8]| {
    let Some((&seed, bytes)) = bytes.split_first() else { return };
    let whole = frames(bytes, |_| usize::MAX);
    let single = frames(bytes, |_| 1);
    assert!(whole == single, "byte by byte");
    let cut = frames(bytes, |place| 1 + (place.wrapping_mul(31) ^ usize::from(seed)) % 97);
    assert!(whole == cut, "in chunks");
});

/// What was found, owned.
#[derive(PartialEq)]
enum Found {
    Error(DecodeError),
    Sealed(Vec<u8>),
    SealedUntitled(Vec<u8>),
    Telegram(Vec<u8>, bool),
}

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
        poll(&mut framer, &mut found);
    }
    framer.handle_end();
    poll(&mut framer, &mut found);
    found
}

fn poll(framer: &mut Framer, found: &mut Vec<Found>) {
    while let Some(frame) = framer.poll_frame() {
        found.push(match frame {
            Err(error) => Found::Error(error),
            Ok(Frame::Sealed(bytes)) => Found::Sealed(bounded(bytes)),
            Ok(Frame::SealedUntitled(bytes)) => Found::SealedUntitled(bounded(bytes)),
            Ok(Frame::Telegram { bytes, checked }) => {
                assert!(bytes.starts_with(b"/"), "a telegram begins with its mark");
                Found::Telegram(bounded(bytes), checked)
            }
        });
    }
}

fn bounded(bytes: &[u8]) -> Vec<u8> {
    assert!(bytes.len() <= MAX_FRAME);
    bytes.to_vec()
}
