//! Any bytes, cut anyhow, give the same readings; no value leaves the exact range, and no key of the stick is kept.

#![no_main]

use libfuzzer_sys::fuzz_target;
use meter_link::error::DecodeError;
use meter_link::raven::{Decoder, framer::MAX_FRAME};
use meter_link::reading::{Reading, Trust};

fuzz_target!(|bytes: &[u8]| {
    let Some((&seed, bytes)) = bytes.split_first() else { return };
    let whole = decode(bytes, usize::MAX);
    assert!(whole == decode(bytes, 1 + usize::from(seed)), "in chunks");
    for reading in whole.into_iter().flatten() {
        assert!(reading.trust == Trust::Unverified);
        assert!(reading.not_understood.iter().all(|kept| !kept.text.contains("/LinkKey:")));
        for value in &reading.values {
            assert!(value.value.mantissa.unsigned_abs() < 10_u64.pow(18) && value.value.places <= 18);
        }
    }
});

fn decode(mut bytes: &[u8], chunk: usize) -> Vec<Result<Reading, DecodeError>> {
    let mut decoder = Decoder::new();
    let mut results = Vec::new();
    while !bytes.is_empty() {
        let taken = decoder.handle_bytes(&bytes[..chunk.min(bytes.len())]);
        assert!(taken > 0 && taken <= MAX_FRAME);
        bytes = &bytes[taken..];
        while let Some(result) = decoder.poll_reading() {
            results.push(result);
        }
    }
    results
}
