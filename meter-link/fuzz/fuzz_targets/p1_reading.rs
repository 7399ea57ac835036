//! Any telegram, printed as its grammar was understood and read again, means the same; no value leaves the exact range.

#![no_main]

use libfuzzer_sys::fuzz_target;
use meter_link::name::name;
use meter_link::p1::print::{Ending, reprint};
use meter_link::p1::reading::interpret;
use meter_link::p1::{Decoder, framer, telegram::Telegram};
use meter_link::reading::Trust;
use meter_link::security::KeyPair;

fuzz_target!(|bytes: &[u8]| {
    decode(bytes);

    let telegram = Telegram::parse(bytes);
    let reading = interpret(&telegram, Trust::Checked);
    for value in &reading.values {
        assert!(value.value.mantissa.unsigned_abs() < 10_u64.pow(18) && value.value.places <= 18);
        assert!(value.channel == 0 || reading.children.iter().any(|child| child.channel == value.channel));
        assert!(!name(value, None).is_empty());
    }
    // A mark or a stroke inside would end or begin another telegram.
    if !bytes.contains(&b'!') && !bytes.contains(&b'/') {
        let printed = reprint(&telegram, Ending::Checksum);
        let split = framer::split(&printed).expect("what is printed is a telegram");
        assert!(split.sent == Some(split.computed));
        assert!(interpret(&Telegram::parse(split.bytes), Trust::Checked) == reading);
    }
});

/// All of it through the decoder, with a key, so that what opens is reached too.
fn decode(mut bytes: &[u8]) {
    let mut decoder = Decoder::new(vec![KeyPair { encryption: [1; 16].into(), authentication: None }]);
    while !bytes.is_empty() {
        let taken = decoder.handle_bytes(bytes);
        bytes = &bytes[taken..];
        while let Some(result) = decoder.poll_reading() {
            if let Ok(reading) = result {
                assert!(reading.trust != Trust::Authenticated, "nobody guesses a tag");
            }
        }
    }
}
