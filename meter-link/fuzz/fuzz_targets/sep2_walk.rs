//! Whatever a meter answers, the way through it ends, stays on the meter, and gives a bounded document that reads the same
//! again; no value leaves the exact range.

#![no_main]

use libfuzzer_sys::fuzz_target;
use meter_link::reading::Trust;
use meter_link::sep2::{MAX_ASKED, MAX_LISTED, Walk, decode};

fuzz_target!(|bytes: &[u8]| {
    // Answers between bytes that no document has; an empty one stands for nothing there.
    let mut answers = bytes.split(|byte| *byte == 0xFF).cycle();
    let mut walk = Walk::default();
    for _ in 0..2 {
        let mut asked = 0;
        while let Some(place) = walk.poll_place() {
            assert!(place.starts_with('/') && !place.starts_with("//") && place.is_ascii());
            walk.handle_answer(answers.next().filter(|answer| !answer.is_empty()));
            asked += 1;
            assert!(asked <= MAX_ASKED);
        }
        let reading = decode(&walk.body());
        assert!(reading == decode(&walk.body()));
        if let Ok(reading) = reading {
            assert!(reading.trust == Trust::Unverified);
            assert!(reading.values.len() + reading.not_understood.len() <= MAX_LISTED);
            for value in &reading.values {
                assert!(value.value.mantissa.unsigned_abs() < 10_u64.pow(18) && value.value.places <= 18);
            }
        }
        walk = walk.again();
    }
});
