//! Any registers are walked in few steps and mean something bounded or nothing; what was walked, printed as a body and
//! decoded, means the same; any answer to a question is the registers asked for, an exception, or wrong.

#![no_main]

use libfuzzer_sys::fuzz_target;
use meter_link::reading::Trust;
use meter_link::sunspec::{MAX_MODELS, MAX_REGISTERS, Span, Walk, decode, request, response};
use meter_link_fuzz::check;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(reading) = decode(bytes) {
        assert!(reading.trust == Trust::Unverified);
        check(&reading);
    }
    let registers: Vec<u16> = bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
    // A device whose address space is these registers, over and over.
    let answer = |span: Span| -> Vec<u16> {
        (0..usize::from(span.count))
            .filter_map(|place| registers.get((usize::from(span.address) + place) % registers.len().max(1)).copied())
            .collect()
    };
    let mut walk = Walk::default();
    let mut steps = 0;
    while let Some(span) = walk.poll_span() {
        assert!((1..=MAX_REGISTERS).contains(&span.count));
        walk.handle_registers(&answer(span));
        steps += 1;
        assert!(steps <= 3 + 2 * (MAX_MODELS + 1), "a walk ends");
    }
    if let Ok(reading) = walk.reading() {
        check(&reading);
        let body = walk.body();
        if body.len() < 2 * usize::from(u16::MAX) {
            assert!(decode(&body).map(|again| again.values) == Ok(reading.values));
        }
    }
    let mut again = walk.again();
    let mut steps = 0;
    while let Some(span) = again.poll_span() {
        again.handle_registers(&answer(span));
        steps += 1;
        assert!(steps <= 3 + 2 * (MAX_MODELS + 1), "so does the next one");
    }

    let [t1, t0, count, bytes @ ..] = bytes else { return };
    let span = Span { address: 40_000, count: 1 + u16::from(*count) % MAX_REGISTERS };
    let transaction = u16::from_be_bytes([*t1, *t0]);
    assert!(request(transaction, 1, span)[..2] == [*t1, *t0]);
    if let Some(Ok(found)) = response(transaction, span, bytes) {
        assert!(found.is_empty() || found.len() == usize::from(span.count));
    }
});
