//! Any messages mean something or nothing, but never panic; no value leaves the exact range; entries printed again as they
//! were understood, and read again, are the same; a decoder that has read other files before reads no differently.

#![no_main]

use libfuzzer_sys::fuzz_target;
use meter_link::name::name;
use meter_link::reading::{Reading, Trust};
use meter_link::sml::Decoder;
use meter_link::sml::message::{Item, List, walk};
use meter_link::sml::print::{Checksums, frame, message, print};
use meter_link::sml::transport::{Frame, Framer};

/// Tag of a message that holds a list.
const GET_LIST: u64 = 0x0701;

fuzz_target!(|bytes: &[u8]| {
    let bytes = &bytes[..bytes.len().min(2_000)];
    let mut decoder = Decoder::new();
    check(&mut decoder, bytes);
    // As the messages of a frame, and as the body of a message whose checksum holds.
    check(&mut decoder, &frame(bytes, Checksums::X25));
    let listed = message(GET_LIST, bytes, Checksums::X25);
    check(&mut decoder, &frame(&listed, Checksums::X25));

    let mut entries = Vec::new();
    walk(&Frame { body: &listed, is_kermit: false }, |item| {
        if let Item::Entry(entry, _) = item {
            entries.push(entry);
        }
    });
    let printed = print(&List { server: b"", time: None }, &entries, Checksums::X25);
    let mut framer = Framer::default();
    if framer.handle_bytes(&printed) == printed.len() {
        let frame = framer.poll_frame().expect("what is printed is a frame").expect("a good one");
        let mut again = Vec::new();
        walk(&frame, |item| match item {
            Item::Entry(entry, _) => again.push(entry),
            Item::Dropped(error) => panic!("{error}"),
            _ => (),
        });
        assert!(entries == again);
    }
});

fn check(decoder: &mut Decoder, bytes: &[u8]) {
    decoder.handle_break();
    let found = readings(decoder, bytes);
    assert!(found == readings(&mut Decoder::new(), bytes));
    for reading in &found {
        assert!(reading.trust == Trust::Checked && reading.not_understood.len() <= 64);
        for value in &reading.values {
            assert!(value.value.mantissa.unsigned_abs() < 10_u64.pow(18) && value.value.places <= 18);
            assert!(!name(value, None).is_empty());
        }
    }
}

fn readings(decoder: &mut Decoder, mut bytes: &[u8]) -> Vec<Reading> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let taken = decoder.handle_bytes(bytes);
        bytes = &bytes[taken..];
        found.extend(std::iter::from_fn(|| decoder.poll_reading()).flatten());
    }
    found
}
