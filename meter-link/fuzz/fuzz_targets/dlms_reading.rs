//! Any notification means something bounded or nothing; over any framing the same; never more than its framing proves, and
//! nothing at all from a meter that is known to authenticate.

#![no_main]

use libfuzzer_sys::fuzz_target;
use meter_link::dlms::print::{blocks, hdlc, hdlc_frame, mbus, wrapper};
use meter_link::dlms::{Decoder, Framing};
use meter_link::error::DecodeError;
use meter_link::reading::{Reading, Trust};
use meter_link::security::{Counter, KeyPair};
use meter_link_fuzz::{Taker, check, however_cut};

struct Voice(Decoder);

impl Taker for Voice {
    type Found = Result<Reading, DecodeError>;

    fn take(&mut self, bytes: &[u8]) -> usize {
        self.0.handle_bytes(bytes)
    }

    fn poll(&mut self) -> Option<Self::Found> {
        self.0.poll_reading()
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&seed, bytes)) = bytes.split_first() else { return };
    let message = &bytes[..bytes.len().min(1_900)];
    let in_blocks: Vec<u8> = blocks(message, 100)
        .iter()
        .zip(0..)
        .flat_map(|(block, number)| if number == 0 { hdlc(block, 2_000) } else { hdlc_frame(block, false) })
        .collect();
    let mut said = None;
    for (framing, stream) in [
        (Framing::Hdlc, hdlc(message, 2_000)),
        (Framing::Hdlc, in_blocks),
        (Framing::Mbus, mbus(message, 120)),
        (Framing::Wrapper, wrapper(message)),
    ] {
        let found = hear(framing, &stream, &[], seed);
        for reading in found.iter().flatten() {
            let most = if framing == Framing::Wrapper { Trust::Unverified } else { Trust::Checked };
            assert!(reading.trust <= most);
            check(reading);
            // What it means does not depend on how it came.
            let meaning = (reading.values.clone(), reading.meter_time, reading.not_understood.len());
            assert!(*said.get_or_insert_with(|| meaning.clone()) == meaning);
        }
        let key = key().fingerprint();
        let counters = [Counter { title: *b"TSTmade1", key, highest: 7 }];
        assert!(hear(framing, &stream, &counters, seed).iter().all(Result::is_err), "unsigned, and believed");
    }
});

fn key() -> KeyPair {
    KeyPair { encryption: [1; 16].into(), authentication: None }
}

fn hear(framing: Framing, stream: &[u8], counters: &[Counter], seed: u8) -> Vec<Result<Reading, DecodeError>> {
    however_cut(|| Voice(Decoder::new(framing, &[key()], counters.to_vec())), stream, seed)
}
