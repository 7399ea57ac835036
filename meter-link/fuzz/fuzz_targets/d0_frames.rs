//! Any bytes, cut anyhow, give the same telegrams, none longer than what may be kept; any lines, printed as a readout, come
//! out checked and as they were; a sign-on never asks for anything but the readout, and ends.

#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use meter_link::d0::framer::{Framer, MAX_FRAME};
use meter_link::d0::print::{Form, print};
use meter_link::d0::sign_on::{Progress, SignOn};
use meter_link::error::DecodeError;
use meter_link_fuzz::{Taker, however_cut};

#[derive(Default)]
struct Telegrams(Framer);

impl Taker for Telegrams {
    type Found = Result<(Vec<u8>, Vec<u8>, bool), DecodeError>;

    fn take(&mut self, bytes: &[u8]) -> usize {
        self.0.handle_bytes(bytes)
    }

    fn poll(&mut self) -> Option<Self::Found> {
        Some(self.0.poll_frame()?.map(|frame| {
            assert!(frame.identification.len() + frame.body.len() <= MAX_FRAME);
            (frame.identification.to_vec(), frame.body.to_vec(), frame.checked)
        }))
    }

    fn end(&mut self) {
        self.0.handle_end();
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&seed, bytes)) = bytes.split_first() else { return };
    however_cut(Telegrams::default, bytes, seed);

    let line: Vec<u8> = bytes.iter().map(|byte| byte & 0x7F).filter(|byte| *byte >= b' ').take(2_000).collect();
    if !line.contains(&b'/') {
        let printed = print(b"MAD5MADE", [&line[..]], Form::ReadOut);
        let found = however_cut(Telegrams::default, &printed, seed);
        let [Ok((identification, body, true))] = &found[..] else { panic!("one telegram") };
        assert!(identification == b"MAD5MADE" && body.starts_with(&line));
    }

    let mut asking = SignOn::new(Duration::ZERO);
    let mut now = Duration::ZERO;
    for part in bytes.chunks(1 + usize::from(seed)) {
        while let Some(transmit) = asking.poll_transmit(now) {
            // Some meters change their speed by themselves.
            let is_known = match transmit.bytes[..] {
                [] | [6, b'0', _, b'0', b'\r', b'\n'] => true,
                _ => transmit.bytes == b"/?!\r\n",
            };
            assert!(is_known, "never another question");
        }
        asking.handle_bytes(now, part);
        now = asking.deadline().unwrap_or(now).max(now);
        asking.handle_timeout(now);
    }
    for _ in 0..12 {
        while asking.poll_transmit(now).is_some() {}
        now = asking.deadline().unwrap_or(now).max(now);
        asking.handle_timeout(now);
    }
    assert!(matches!(asking.progress(), Progress::Ended | Progress::Silent) && asking.deadline().is_none());
});
