//! Any blocks are joined into a bounded message or refused; blocks in order give the message they were cut from, whatever
//! came before them; with one left out, repeated or swapped they give nothing.

#![no_main]

use libfuzzer_sys::fuzz_target;
use meter_link::dlms::MAX_MESSAGE;
use meter_link::dlms::block::{Blocks, is_block};
use meter_link::dlms::print::blocks;

fuzz_target!(|bytes: &[u8]| {
    let [size, place, bytes @ ..] = bytes else { return };
    let mut joined = Blocks::default();
    for block in bytes.split(|byte| *byte == 0xA5) {
        let _ = is_block(block);
        if let Ok(Some(message)) = joined.join(block) {
            assert!(message.len() <= MAX_MESSAGE);
        }
    }
    let message = &bytes[..bytes.len().min(2_000)];
    let parts = blocks(message, usize::from(*size % 127) + 1);
    let Some(last) = parts.len().checked_sub(1) else { return };
    for (number, part) in parts.iter().enumerate() {
        assert!(is_block(part));
        match joined.join(part) {
            // What was open before is told once, by the first block.
            Err(_) => assert!(number == 0 && number < last),
            Ok(None) => assert!(number < last),
            Ok(Some(whole)) => assert!(number == last && whole == message),
        }
    }
    if parts.len() > 1 {
        let place = usize::from(*place) % parts.len();
        let (mut without, mut repeated, mut swapped) = (parts.clone(), parts.clone(), parts.clone());
        without.remove(place);
        repeated.insert(place, parts[place].clone());
        swapped.swap(place, (place + 1) % parts.len());
        assert!(gives(&without).is_none() && gives(&swapped).is_none());
        // A first block that is repeated begins its message anew; a last one comes after it.
        let is_harmless = place == 0 || place == last;
        assert!(gives(&repeated).is_none_or(|whole| is_harmless && whole == message));
    }
});

fn gives(parts: &[Vec<u8>]) -> Option<Vec<u8>> {
    let mut blocks = Blocks::default();
    parts.iter().find_map(|part| blocks.join(part).ok().flatten().map(<[u8]>::to_vec))
}
