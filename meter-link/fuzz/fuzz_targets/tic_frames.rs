//! Any bytes, cut anyhow, give the same frames, none longer than what may be kept; any text between its marks comes out as it
//! was, with and without parity bits.

#![no_main]

use libfuzzer_sys::fuzz_target;
use meter_link::error::DecodeError;
use meter_link::parity::with_parity;
use meter_link::tic::framer::{Framer, MAX_FRAME};
use meter_link_fuzz::{Taker, however_cut};

#[derive(Default)]
struct Frames(Framer);

impl Taker for Frames {
    type Found = Result<Vec<u8>, DecodeError>;

    fn take(&mut self, bytes: &[u8]) -> usize {
        self.0.handle_bytes(bytes)
    }

    fn poll(&mut self) -> Option<Self::Found> {
        Some(self.0.poll_frame()?.map(|frame| {
            assert!(frame.len() <= MAX_FRAME);
            frame.to_vec()
        }))
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&seed, bytes)) = bytes.split_first() else { return };
    however_cut(Frames::default, bytes, seed);
    let text: Vec<u8> = bytes.iter().map(|byte| byte & 0x7F).filter(|byte| *byte > 4).take(2_000).collect();
    let plain = [&[2][..], &text, &[3]].concat();
    assert!(however_cut(Frames::default, &plain, seed) == [Ok(text.clone())]);
    let parity: Vec<u8> = plain.iter().copied().map(with_parity).collect();
    assert!(however_cut(Frames::default, &parity, seed) == [Ok(text)]);
});
