//! Any bytes, cut anyhow, mean the same; no data set loses a byte; no value of a past period becomes a register.

#![no_main]

use libfuzzer_sys::fuzz_target;
use meter_link::d0::framer::MAX_FRAME;
use meter_link::d0::telegram::{Line, lines};
use meter_link::d0::{Decoder, is_d0};
use meter_link::error::DecodeError;
use meter_link::name::name;
use meter_link::reading::{Quantity, Reading, Trust};

fuzz_target!(|bytes: &[u8]| {
    let _ = is_d0(bytes);
    let whole = decode(bytes, usize::MAX);
    assert!(whole == decode(bytes, 1), "byte by byte");
    assert!(whole == decode(bytes, 61), "in chunks");
    for reading in whole.iter().flatten() {
        assert!(reading.trust != Trust::Authenticated, "nothing is signed here");
        for value in &reading.values {
            assert!(value.value.mantissa.unsigned_abs() < 10_u64.pow(18) && value.value.places <= 18);
            assert!(value.obis.f == 255 || value.quantity == Quantity::ByCode);
            assert!(!name(value, None).is_empty());
        }
    }
    if !bytes.contains(&b'!') {
        let parts: usize = lines(bytes)
            .map(|line| match line {
                Line::Object(object) => object.text.len(),
                Line::Unclear(text) => text.len(),
            })
            .sum();
        assert!(parts == bytes.iter().filter(|byte| !matches!(byte, b'\r' | b'\n')).count());
    }
});

fn decode(mut bytes: &[u8], chunk: usize) -> Vec<Result<Reading, DecodeError>> {
    let mut decoder = Decoder::new().showing_single();
    let mut results = Vec::new();
    while !bytes.is_empty() {
        let portion = &bytes[..chunk.min(bytes.len())];
        let taken = decoder.handle_bytes(portion);
        assert!(taken > 0 && taken <= MAX_FRAME, "a decoder that was asked for all its readings takes more bytes");
        bytes = &bytes[taken..];
        results.extend(std::iter::from_fn(|| decoder.poll_reading()));
    }
    decoder.handle_end();
    results.extend(std::iter::from_fn(|| decoder.poll_reading()));
    results
}
