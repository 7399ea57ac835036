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
        read_after(&printed, split.bytes);
    }
});

/// A decoder that has read a telegram reads the next one, in which digits have changed, as one that has read none.
fn read_after(printed: &[u8], telegram: &[u8]) {
    let mut next = telegram.to_vec();
    for (place, byte) in next.iter_mut().enumerate().filter(|(place, byte)| place % 3 == 0 && byte.is_ascii_digit()) {
        *byte = b'0' + (*byte - b'0' + (place % 10) as u8) % 10;
    }
    let checksum = framer::checksum(&next);
    next.extend_from_slice(format!("{checksum:04X}\r\n").as_bytes());
    let mut decoder = Decoder::new(Vec::new());
    decoder.handle_bytes(printed);
    if let Some(Ok(_)) = decoder.poll()
        && decoder.poll().is_none()
        && decoder.handle_bytes(&next) == next.len()
    {
        let mut fresh = Decoder::new(Vec::new());
        fresh.handle_bytes(&next);
        assert!(decoder.poll() == fresh.poll());
    }
}

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
