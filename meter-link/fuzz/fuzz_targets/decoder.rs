//! Any bytes, cut anyhow, give the same readings from the decoder that finds out the protocol; nobody guesses a tag; and
//! from a meter that is known to authenticate nothing else is believed, whatever it is spoken in.

#![no_main]

use libfuzzer_sys::fuzz_target;
use meter_link::decoder::Decoder;
use meter_link::error::DecodeError;
use meter_link::reading::{Reading, Trust};
use meter_link::security::{Counter, KeyPair};
use meter_link_fuzz::{Taker, check, however_cut};

struct Any(Decoder);

impl Taker for Any {
    type Found = Result<Reading, DecodeError>;

    fn take(&mut self, bytes: &[u8]) -> usize {
        self.0.handle_bytes(bytes)
    }

    fn poll(&mut self) -> Option<Self::Found> {
        self.0.poll_reading()
    }

    fn end(&mut self) {
        self.0.handle_end();
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&seed, bytes)) = bytes.split_first() else { return };
    let keys = [KeyPair { encryption: [1; 16].into(), authentication: None }];
    for reading in however_cut(|| Any(Decoder::new(&keys, &[])), bytes, seed).iter().flatten() {
        assert!(reading.trust != Trust::Authenticated);
        check(reading);
    }
    let counters = [Counter { title: *b"TSTmade1", key: keys[0].fingerprint(), highest: 7 }];
    let found = however_cut(|| Any(Decoder::new(&keys, &counters)), bytes, seed);
    assert!(found.iter().all(Result::is_err), "unsigned, and believed");
});
