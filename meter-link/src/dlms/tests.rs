//! Framing, ciphering and meaning of the push, on messages made here.

mod captures;

use super::*;
use crate::checksum::x25;
use crate::reading::Trust;
use crate::security::cipher::{Cipher, nonce};
use proptest::prelude::*;

const TITLE: [u8; 8] = *b"MAD\x01\x02\x03\x04\x05";

/// A list as Aidon sends it: its name, power, one register.
fn notification(watts: u32) -> Vec<u8> {
    let mut body = vec![0x0F, 0x40, 0, 0, 0, 0x00, 0x01, 0x03];
    body.extend([0x02, 0x02, 0x09, 0x06, 1, 1, 0, 2, 129, 255, 0x0A, 0x0B]);
    body.extend(b"AIDON_V0001");
    body.extend([0x02, 0x03, 0x09, 0x06, 1, 0, 1, 7, 0, 255, 0x06]);
    body.extend(watts.to_be_bytes());
    body.extend([0x02, 0x02, 0x0F, 0x00, 0x16, 0x1B]);
    body.extend([
        0x02, 0x03, 0x09, 0x06, 1, 0, 1, 8, 0, 255, 0x06, 0, 0, 0x30, 0x39, 0x02, 0x02, 0x0F, 0x01, 0x16, 0x1E,
    ]);
    body
}

fn seal(plain: &[u8], key: u8, counter: u32, control: u8) -> Vec<u8> {
    let mut text = plain.to_vec();
    let associated = [&[control][..], &[0xCD; 16]].concat();
    let tag = Cipher::new(&[key; 16].into()).seal(nonce(TITLE, counter), &associated, &mut text);
    if control & 0x10 != 0 {
        text.extend(tag);
    }
    let length = (text.len() + 5) as u16;
    [&[0xDB, 8][..], &TITLE, &[0x82], &length.to_be_bytes(), &[control], &counter.to_be_bytes(), &text].concat()
}

fn hdlc(information: &[u8], more: bool) -> Vec<u8> {
    let length = (information.len() + 10) as u16 | 0xA000 | if more { 0x0800 } else { 0 };
    let mut frame = [&length.to_be_bytes()[..], &[0xCF, 0x02, 0x23, 0x13]].concat();
    frame.extend(x25(&frame).to_le_bytes());
    frame.extend(information);
    frame.extend(x25(&frame).to_le_bytes());
    [&[0x7E][..], &frame, &[0x7E]].concat()
}

fn framed(message: &[u8]) -> Vec<u8> {
    hdlc(&[&[0xE6, 0xE7, 0x00][..], message].concat(), false)
}

fn mbus(message: &[u8], size: usize) -> Vec<u8> {
    let pieces: Vec<&[u8]> = message.chunks(size).collect();
    let mut bytes = Vec::new();
    for (number, piece) in pieces.iter().enumerate() {
        let last = if number + 1 == pieces.len() { 0x10 } else { 0 };
        let content = [&[0x53, 0xFF, number as u8 | last, 0x01, 0x67][..], piece].concat();
        let sum = content.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
        bytes.extend([0x68, content.len() as u8, content.len() as u8, 0x68]);
        bytes.extend(content);
        bytes.extend([sum, 0x16]);
    }
    bytes
}

fn keys(keys: &[u8]) -> Vec<KeyPair> {
    keys.iter().map(|key| KeyPair { encryption: [*key; 16].into(), authentication: Some([0xCD; 16].into()) }).collect()
}

fn decode_in(decoder: &mut Decoder, mut bytes: &[u8], size: usize) -> Vec<Result<Reading, DecodeError>> {
    let mut results = Vec::new();
    while !bytes.is_empty() {
        let taken = decoder.handle_bytes(&bytes[..bytes.len().min(size)]);
        bytes = &bytes[taken..];
        results.extend(std::iter::from_fn(|| decoder.poll_reading()));
    }
    results
}

fn decode(framing: Framing, bytes: &[u8], of: &[u8]) -> Vec<Result<Reading, DecodeError>> {
    decode_in(&mut Decoder::new(framing, &keys(of), Vec::new()), bytes, 64)
}

fn watts(result: &Result<Reading, DecodeError>) -> Option<String> {
    result.as_ref().ok().map(|reading| reading.values[0].value.to_string())
}

#[test]
fn a_list_gives_its_values_with_their_units() {
    let results = decode(Framing::Hdlc, &framed(&notification(5_852)), &[]);
    let [Ok(reading)] = &results[..] else { panic!("{results:?}") };
    assert_eq!((reading.identification.as_str(), reading.trust), ("Aidon", Trust::Checked));
    let values: Vec<_> =
        reading.values.iter().map(|value| format!("{} {}", value.value, value.unit.symbol())).collect();
    assert_eq!(values, ["5852 W", "123450 Wh"]);
}

#[test]
fn n1_only_what_its_tag_proves_is_authenticated() {
    let good = seal(&notification(100), 7, 10, 0x30);
    let results = decode(Framing::Hdlc, &framed(&good), &[7]);
    assert!(matches!(&results[..], [Ok(reading)] if reading.trust == Trust::Authenticated), "{results:?}");
    assert_eq!(decode(Framing::Hdlc, &framed(&good), &[]), [Err(DecodeError::KeyNeeded)]);
    assert_eq!(decode(Framing::Hdlc, &framed(&good), &[8]), [Err(DecodeError::KeyWrong)]);
    let half = vec![KeyPair { encryption: [7; 16].into(), authentication: Some([1; 16].into()) }];
    let results = decode_in(&mut Decoder::new(Framing::Hdlc, &half, Vec::new()), &framed(&good), 999);
    assert_eq!(results, [Err(DecodeError::AuthenticationKeyWrong)]);
    // Without a tag, and in clear, from a meter that sends tags.
    let stripped = seal(&notification(200), 7, 11, 0x20);
    let stream = [framed(&good), framed(&stripped), framed(&notification(300))].concat();
    let results = decode(Framing::Hdlc, &stream, &[7]);
    assert_eq!(results[1..], [Err(DecodeError::TagMissing), Err(DecodeError::TagMissing)]);
    // From one that never did, it is what it is.
    let results = decode(Framing::Hdlc, &framed(&stripped), &[7]);
    assert!(matches!(&results[..], [Ok(reading)] if reading.trust == Trust::Unverified), "{results:?}");
}

#[test]
fn n2_a_recording_is_refused_before_and_after_a_restart() {
    let stream: Vec<u8> =
        (1..=20).flat_map(|counter| framed(&seal(&notification(counter), 7, counter, 0x30))).collect();
    let mut decoder = Decoder::new(Framing::Hdlc, &keys(&[7]), Vec::new());
    assert!(decode_in(&mut decoder, &stream, 64).iter().all(Result::is_ok));
    let is_replay = |result: &Result<Reading, DecodeError>| matches!(result, Err(DecodeError::Replayed { .. }));
    let again = decode_in(&mut decoder, &stream, 64);
    assert!(again.len() == 20 && again.iter().all(is_replay));
    let kept = decoder.opener().counters().to_vec();
    let again = decode_in(&mut Decoder::new(Framing::Hdlc, &keys(&[7]), kept), &stream, 64);
    assert!(again.len() == 20 && again.iter().all(is_replay));
}

#[test]
fn n2_a_meter_that_always_counts_0_is_read_and_a_recording_of_it_is_not() {
    let frames: Vec<Vec<u8>> = (1..=5).map(|watts| framed(&seal(&notification(watts), 7, 0, 0x30))).collect();
    let mut decoder = Decoder::new(Framing::Hdlc, &keys(&[7]), Vec::new());
    assert_eq!(decode_in(&mut decoder, &frames.concat(), 64).iter().filter(|result| result.is_ok()).count(), 5);
    assert!(decoder.opener().is_replay_undetectable());
    assert!(decode_in(&mut decoder, &frames.concat(), 64).iter().all(Result::is_err));
}

#[test]
fn n3_a_change_of_keys_loses_no_frame_and_the_old_key_ends_with_it() {
    let mut decoder = Decoder::new(Framing::Hdlc, &keys(&[8, 7]), Vec::new());
    for (key, counter) in [(7, 50), (7, 51), (8, 1), (8, 2)] {
        let results = decode_in(&mut decoder, &framed(&seal(&notification(counter), key, counter, 0x30)), 64);
        assert!(matches!(&results[..], [Ok(_)]), "{key} {counter}: {results:?}");
    }
    let late = framed(&seal(&notification(9), 7, 52, 0x30));
    assert_eq!(decode_in(&mut decoder, &late, 64), [Err(DecodeError::KeyRetired)]);
    let kept = decoder.opener().counters().to_vec();
    let mut again = Decoder::new(Framing::Hdlc, &keys(&[8, 7]), kept);
    assert_eq!(decode_in(&mut again, &late, 64), [Err(DecodeError::KeyRetired)], "after a restart");
}

#[test]
fn another_meters_title_under_the_same_key_is_refused() {
    let mut decoder = Decoder::new(Framing::Hdlc, &keys(&[7]), Vec::new());
    let own = seal(&notification(1), 7, 5, 0x30);
    assert!(decode_in(&mut decoder, &framed(&own), 64)[0].is_ok());
    let mut text = notification(2);
    let title = *b"OTH\x01\x02\x03\x04\x05";
    let associated = [&[0x30][..], &[0xCD; 16]].concat();
    let tag = Cipher::new(&[7; 16].into()).seal(nonce(title, 6), &associated, &mut text);
    text.extend(tag);
    let length = (text.len() + 5) as u16;
    let other = [&[0xDB, 8][..], &title, &[0x82], &length.to_be_bytes(), &[0x30], &6_u32.to_be_bytes(), &text].concat();
    assert_eq!(decode_in(&mut decoder, &framed(&other), 64), [Err(DecodeError::TitleForeign)]);
}

#[test]
fn suites_one_and_two_open_with_keys_of_their_length() {
    let mut text = notification(7);
    let associated = [&[0x32][..], &[0xEE; 32]].concat();
    let tag = Cipher::new(&[9; 32].into()).seal(nonce(TITLE, 3), &associated, &mut text);
    text.extend(tag);
    let length = (text.len() + 5) as u16;
    let frame = [&[0xDB, 8][..], &TITLE, &[0x82], &length.to_be_bytes(), &[0x32], &3_u32.to_be_bytes(), &text].concat();
    let long = vec![KeyPair { encryption: [9; 32].into(), authentication: Some([0xEE; 32].into()) }];
    let results = decode_in(&mut Decoder::new(Framing::Hdlc, &long, Vec::new()), &framed(&frame), 64);
    assert!(matches!(&results[..], [Ok(reading)] if reading.trust == Trust::Authenticated), "{results:?}");
    let one = framed(&seal(&notification(7), 7, 3, 0x31));
    assert_eq!(watts(&decode(Framing::Hdlc, &one, &[7])[0]).as_deref(), Some("7"));
}

#[test]
fn w10_a_missing_repeated_or_swapped_block_drops_its_message_and_nothing_more() {
    let message = notification(77);
    let block = |number: u8, data: &[u8], last: bool| {
        let control = if last { 0xC0 } else { 0x40 };
        let head = [0xE0, control, 0, number, 0, 0, data.len() as u8];
        hdlc(&[if number == 1 { &[0xE6, 0xE7, 0x00][..] } else { &[] }, &head, data].concat(), false)
    };
    let pieces: Vec<&[u8]> = message.chunks(30).collect();
    let blocks: Vec<Vec<u8>> = pieces
        .iter()
        .enumerate()
        .map(|(place, piece)| block(place as u8 + 1, piece, place + 1 == pieces.len()))
        .collect();
    assert_eq!(pieces.len(), 3);
    let run = |order: &[usize]| {
        let stream: Vec<u8> = order.iter().flat_map(|place| blocks[*place].clone()).collect();
        decode(Framing::Hdlc, &stream, &[]).iter().filter(|result| result.is_ok()).count()
    };
    assert_eq!(run(&[0, 1, 2]), 1);
    for order in [&[0, 2][..], &[1, 2], &[0, 1, 1, 2], &[0, 2, 1], &[2, 1, 0]] {
        assert_eq!(run(order), 0, "{order:?}");
        assert_eq!(run(&[order, &[0, 1, 2]].concat()), 1, "{order:?}, then a whole one");
    }
}

#[test]
fn w10_segments_are_joined_and_a_lost_one_costs_its_message_only() {
    let message = [&[0xE6, 0xE7, 0x00][..], &notification(5)].concat();
    let (first, second) = message.split_at(40);
    let (first, second) = (hdlc(first, true), hdlc(second, false));
    let run = |frames: &[&Vec<u8>]| {
        let stream: Vec<u8> = frames.iter().flat_map(|frame| frame.iter().copied()).collect();
        decode(Framing::Hdlc, &stream, &[]).iter().filter(|result| result.is_ok()).count()
    };
    assert_eq!(run(&[&first, &second]), 1);
    assert_eq!(run(&[&second, &first, &first, &second]), 1);
    let parts = mbus(&notification(5), 40);
    assert_eq!(watts(&decode(Framing::Mbus, &parts, &[])[0]).as_deref(), Some("5"));
    let lost = [&parts[..46], &parts[..]].concat();
    assert_eq!(decode(Framing::Mbus, &lost, &[]).iter().filter(|result| result.is_ok()).count(), 1);
}

#[test]
fn a_length_of_sagemcoms_m_bus_that_wrapped_means_256_more() {
    let mut message = notification(5);
    message.extend([0; 200]);
    let content = [&[0x53, 0xFF, 0x00, 0x01, 0x67][..], &message[..252]].concat();
    let sum = content.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    let first = [&[0x68, 1, 1, 0x68][..], &content, &[sum, 0x16]].concat();
    let mut framer = mbus::Framer::default();
    framer.handle_bytes(&first);
    assert!(framer.poll_message().is_none(), "more segments follow");
    assert_eq!(framer.inside(), usize::MAX);
}

#[test]
fn a_list_that_nobody_knows_is_said_to_be_unclear() {
    let message = [0x0F, 0, 0, 0, 0, 0, 0x02, 0x03, 0x12, 0, 1, 0x12, 0, 2, 0x12, 0, 3];
    assert_eq!(decode(Framing::Hdlc, &framed(&message), &[]), [Err(DecodeError::LayoutUnclear { count: 3 })]);
}

#[test]
fn w4_with_five_percent_noise_most_messages_arrive_and_none_is_wrong() {
    let frames = [(Framing::Hdlc, framed(&notification(77))), (Framing::Mbus, mbus(&notification(77), 60))];
    for (framing, whole) in frames {
        let mut decoder = Decoder::new(framing, &[], Vec::new());
        let (mut right, mut wrong, mut noise) = (0, 0, 0x2545_F491_u32);
        for _ in 0..2_000 {
            let mut frame = whole.clone();
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if noise % 20 == 0 {
                let place = (noise >> 8) as usize % frame.len();
                frame[place] ^= 1 << ((noise >> 28) % 8);
            }
            for result in decode_in(&mut decoder, &frame, 61) {
                match watts(&result).as_deref() {
                    Some("77") => right += 1,
                    Some(_) => wrong += 1,
                    None => (),
                }
            }
        }
        assert!(right > 1_850 && wrong == 0, "{framing:?}: {right} of 2000, {wrong} wrong");
    }
}

#[test]
fn w8_lengths_may_be_written_in_more_bytes_than_they_need() {
    let sealed = seal(&notification(5), 7, 3, 0x30);
    let content = &sealed[13..];
    let [high, low] = (content.len() as u16).to_be_bytes();
    let lengths: [&[u8]; 5] =
        [&[0x81, low], &[0x82, high, low], &[0x83, 0, high, low], &[0x84, 0, 0, high, low], &[0x84, 0, 1, high, low]];
    assert_eq!(high, 0, "one byte is enough");
    for length in lengths {
        let message = [&[0xDB, 8][..], &TITLE, length, content].concat();
        let expect = if length.contains(&1) { None } else { Some("5") };
        for (framing, stream) in [(Framing::Hdlc, framed(&message)), (Framing::Mbus, mbus(&message, 60))] {
            let results = decode(framing, &stream, &[7]);
            assert_eq!(results.first().and_then(watts).as_deref(), expect, "{length:02X?}, {framing:?}");
        }
        let mut bare = crate::p1::Decoder::new(keys(&[7]));
        bare.handle_bytes(&message);
        let result = bare.poll_reading();
        assert_eq!(result.as_ref().and_then(watts).as_deref(), expect, "{length:02X?}, bare");
    }
    // In the body too: a text of eleven bytes whose length is written in two.
    let mut message = notification(6);
    let text = message.iter().position(|byte| *byte == 0x0A).expect("a text") + 1;
    message.splice(text..=text, [0x82, 0, 11]);
    assert_eq!(watts(&decode(Framing::Hdlc, &framed(&message), &[])[0]).as_deref(), Some("6"));
}

#[test]
fn w11_a_list_without_a_clock_gives_its_values_and_no_time() {
    let results = decode(Framing::Hdlc, &framed(&notification(5)), &[]);
    let [Ok(reading)] = &results[..] else { panic!("{results:?}") };
    assert_eq!((reading.meter_time, reading.values.len()), (None, 2));
    assert!(!reading.has_nonsense_clock(), "none is not a wrong one");
}

#[test]
fn w9_every_length_is_checked_against_the_bytes_that_are_there() {
    let message = notification(5);
    for place in 0..message.len() {
        for value in [0x00, 0x7F, 0x80, 0x81, 0x82, 0x84, 0xFF] {
            let mut damaged = message.clone();
            damaged[place] = value;
            // Nothing to compare: it must neither panic nor run on.
            let _ = decode(Framing::Hdlc, &framed(&damaged), &[]);
        }
    }
    // Of a sealed one, the length of its title too: nothing is copied beyond eight bytes, and nothing believed.
    let sealed = seal(&message, 7, 3, 0x30);
    for (place, value) in (1..14).flat_map(|place| (0..=255).map(move |value| (place, value))) {
        let mut damaged = sealed.clone();
        damaged[place] = value;
        let results = decode(Framing::Hdlc, &framed(&damaged), &[7]);
        assert!(damaged == sealed || results.iter().all(Result::is_err), "byte {place} is {value:02X}: {results:?}");
    }
}

proptest! {
    #[test]
    fn any_chunking_gives_the_same_readings(size in 1_usize..80, noise in prop::collection::vec(any::<u8>(), 0..60)) {
        let frames = [framed(&seal(&notification(1), 7, 1, 0x30)), framed(&seal(&notification(2), 7, 2, 0x30))].concat();
        let stream = [&noise[..], &frames, &noise, &frames].concat();
        let whole = decode(Framing::Hdlc, &stream, &[7]);
        let cut = decode_in(&mut Decoder::new(Framing::Hdlc, &keys(&[7]), Vec::new()), &stream, size);
        prop_assert_eq!(whole, cut);
        let stream = [&noise[..], &mbus(&notification(3), 33), &noise, &mbus(&notification(4), 50)].concat();
        let whole = decode(Framing::Mbus, &stream, &[]);
        let cut = decode_in(&mut Decoder::new(Framing::Mbus, &[], Vec::new()), &stream, size);
        prop_assert_eq!(whole, cut);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..3_000)) {
        for framing in [Framing::Hdlc, Framing::Mbus, Framing::Wrapper] {
            let _ = decode(framing, &bytes, &[7]);
        }
        let _ = decode(Framing::Hdlc, &framed(&bytes[..bytes.len().min(2_000)]), &[7]);
        let body = [&[0x0F, 0, 0, 0, 0, 0][..], &bytes].concat();
        let _ = decode(Framing::Hdlc, &framed(&body[..body.len().min(2_000)]), &[7]);
    }

    #[test]
    fn a_flipped_bit_anywhere_in_a_sealed_message_is_never_accepted(bit in 0_usize..1_200, counter in 1_u32..1_000) {
        let good = seal(&notification(counter), 7, counter, 0x30);
        let mut flipped = good.clone();
        let bit = bit % (flipped.len() * 8);
        flipped[bit / 8] ^= 1 << (bit % 8);
        // The checksums of the framing are made right again: only the tag can tell.
        let mut decoder = Decoder::new(Framing::Hdlc, &keys(&[7]), Vec::new());
        prop_assert!(decode_in(&mut decoder, &framed(&flipped), 64).iter().all(Result::is_err), "as its first frame");
        let before = seal(&notification(1), 7, 0, 0x30);
        let mut decoder = Decoder::new(Framing::Hdlc, &keys(&[7]), Vec::new());
        prop_assert!(decode_in(&mut decoder, &framed(&before), 64)[0].is_ok());
        let results = decode_in(&mut decoder, &framed(&flipped), 64);
        prop_assert!(!results.is_empty() && results.iter().all(Result::is_err), "{results:?}");
        prop_assert!(decode_in(&mut decoder, &framed(&good), 64)[0].is_ok(), "a forged frame moved the counter");
    }
}
