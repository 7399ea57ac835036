//! Any bytes, cut anyhow, give the same fragments, none longer than what may be kept, each from a known element's mark to its
//! end.

#![no_main]

use libfuzzer_sys::fuzz_target;
use meter_link::error::DecodeError;
use meter_link::raven::framer::{Framer, MAX_FRAME};
use meter_link_fuzz::{Taker, however_cut};

#[derive(Default)]
struct Fragments(Framer);

impl Taker for Fragments {
    type Found = Result<Vec<u8>, DecodeError>;

    fn take(&mut self, bytes: &[u8]) -> usize {
        self.0.handle_bytes(bytes)
    }

    fn poll(&mut self) -> Option<Self::Found> {
        Some(self.0.poll_frame()?.map(|frame| {
            assert!(frame.len() <= MAX_FRAME && frame.starts_with(b"<") && frame.ends_with(b">"));
            frame.to_vec()
        }))
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&seed, bytes)) = bytes.split_first() else { return };
    however_cut(Fragments::default, bytes, seed);
    let inside: Vec<u8> = bytes.iter().copied().filter(|byte| *byte != b'<').take(2_000).collect();
    let fragment = [b"<InstantaneousDemand>", &inside[..], b"</InstantaneousDemand>"].concat();
    assert!(however_cut(Fragments::default, &[&inside[..], &fragment].concat(), seed) == [Ok(fragment)]);
});
