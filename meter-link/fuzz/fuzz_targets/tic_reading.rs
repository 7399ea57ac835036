//! Any bytes, cut anyhow, mean the same; any frame, printed as its groups were understood and read again, means the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use meter_link::error::DecodeError;
use meter_link::name::name;
use meter_link::reading::{Reading, Trust};
use meter_link::tic::Decoder;
use meter_link::tic::framer::MAX_FRAME;
use meter_link::tic::group::groups;
use meter_link::tic::print::print;
use meter_link::tic::reading::interpret;

fuzz_target!(|bytes: &[u8]| {
    let whole = decode(bytes, usize::MAX);
    assert!(whole == decode(bytes, 1), "byte by byte");
    assert!(whole == decode(bytes, 61), "in chunks");
    for reading in whole.iter().flatten() {
        assert!(reading.trust != Trust::Authenticated, "nothing is signed here");
        for value in &reading.values {
            assert!(value.value.mantissa >= 0 && value.value.places == 0 && !name(value, None).is_empty());
        }
    }
    let good: Vec<_> = groups(bytes).flatten().collect();
    let printed = print(good.iter().copied());
    let again: Vec<_> = groups(&printed[1..printed.len() - 1]).collect::<Result<_, _>>().expect("what is printed is whole");
    assert!(again == good);
    if let Some(mut reading) = interpret(bytes, |_| ()) {
        reading.trust = Trust::Checked;
        assert!(interpret(&printed[1..printed.len() - 1], |_| ()) == Some(reading));
    }
});

fn decode(mut bytes: &[u8], chunk: usize) -> Vec<Result<Reading, DecodeError>> {
    let mut decoder = Decoder::new();
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
