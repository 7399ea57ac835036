//! Any body gives a bounded reading or an error; what is recognised decodes; no body is believed more than it can be.

#![no_main]

use libfuzzer_sys::fuzz_target;
use meter_link::bridge::{Kind, decode, recognise};
use meter_link::name::name;
use meter_link::reading::Trust;

fuzz_target!(|body: &[u8]| {
    for kind in Kind::ALL {
        let Ok(reading) = decode(kind, body) else { continue };
        assert!(reading.trust != Trust::Authenticated && reading.not_understood.len() <= 64);
        for value in &reading.values {
            assert!(value.value.mantissa.unsigned_abs() < 10_u64.pow(18) && value.value.places <= 18);
            assert!(value.channel == 0 || reading.children.iter().any(|child| child.channel == value.channel));
            assert!(!name(value, None).is_empty());
        }
    }
    if let Some(kind) = recognise(body) {
        let _ = decode(kind, body);
    }
});
