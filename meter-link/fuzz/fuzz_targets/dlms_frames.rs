//! Any bytes, cut anyhow, give the same messages over HDLC, M-Bus and the wrapper, none longer than what may be kept; any
//! message, printed in frames of any size, comes out as it was.

#![no_main]

use libfuzzer_sys::fuzz_target;
use meter_link::dlms::print::{LLC, hdlc, mbus, wrapper};
use meter_link::dlms::{MAX_MESSAGE, hdlc as of_hdlc, mbus as of_mbus, wrapper as of_wrapper};
use meter_link::error::DecodeError;
use meter_link_fuzz::{Taker, however_cut};

macro_rules! taker {
    ($name:ident, $framer:ty, $map:expr) => {
        #[derive(Default)]
        struct $name($framer);

        impl Taker for $name {
            type Found = Result<Vec<u8>, DecodeError>;

            fn take(&mut self, bytes: &[u8]) -> usize {
                self.0.handle_bytes(bytes)
            }

            fn poll(&mut self) -> Option<Self::Found> {
                let found: Result<&[u8], DecodeError> = $map(self.0.poll_message()?);
                Some(found.map(|message| {
                    assert!(message.len() <= MAX_MESSAGE);
                    message.to_vec()
                }))
            }
        }
    };
}

taker!(Hdlc, of_hdlc::Framer, |found| found);
taker!(Mbus, of_mbus::Framer, |found| found);
taker!(Wrapper, of_wrapper::Framer, Ok);

fuzz_target!(|bytes: &[u8]| {
    let [seed, size, bytes @ ..] = bytes else { return };
    however_cut(Hdlc::default, bytes, *seed);
    however_cut(Mbus::default, bytes, *seed);
    however_cut(Wrapper::default, bytes, *seed);

    // A notification's tag, so that the framers look at what follows.
    let message = [&[0x0F][..], &bytes[..bytes.len().min(2_000)]].concat();
    let size = usize::from(*size).max(4);
    let whole = [&LLC[..], &message].concat();
    // A segment that begins as a message does is taken for one.
    let begins = |segment: &[u8]| matches!(segment, [0xE6, 0xE6 | 0xE7, 0x00, ..]);
    if whole.chunks(size).skip(1).all(|segment| !begins(segment)) {
        let found = however_cut(Hdlc::default, &hdlc(&message, size), *seed);
        assert!(found == [Ok(whole)]);
    }
    let size = size.min(250);
    if message.chunks(size).count() <= 16 {
        assert!(however_cut(Mbus::default, &mbus(&message, size), *seed) == [Ok(message.clone())]);
    }
    assert!(however_cut(Wrapper::default, &wrapper(&message), *seed) == [Ok(message)]);
});
