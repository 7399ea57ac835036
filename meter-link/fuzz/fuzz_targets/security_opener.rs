//! Any frame is refused or opened without more trust than it has; anything sealed opens to what it was, once; with any bit
//! changed, never.

#![no_main]

use libfuzzer_sys::fuzz_target;
use meter_link::reading::Trust;
use meter_link::sealed::open_sealed;
use meter_link::security::seal::seal;
use meter_link::security::{KeyPair, Opener};

const TITLE: [u8; 8] = *b"TSTmade1";

fuzz_target!(|bytes: &[u8]| {
    let [suite, c3, c2, c1, c0, flip1, flip0, plain @ ..] = bytes else { return };
    let keys = [
        KeyPair { encryption: [1; 16].into(), authentication: Some([2; 16].into()) },
        KeyPair { encryption: [3; 32].into(), authentication: None },
    ];
    let mut opener = Opener::new(&keys, Vec::new());
    if let Ok(opened) = opener.open(bytes) {
        assert!(opened.trust == Trust::Unverified && opened.counter.is_none() && opened.plain.len() < bytes.len());
    }
    let _ = open_sealed(bytes, &mut opener);

    let plain = &plain[..plain.len().min(2_000)];
    let (keys, suite) = if suite % 3 == 2 { (&keys[1], 2) } else { (&keys[0], suite % 3) };
    let counter = u32::from_be_bytes([*c3, *c2, *c1, *c0]);
    let control = [0x30, 0x10][usize::from(suite >> 7)] | suite;
    let frame = seal(keys, TITLE, counter, control, plain);
    let bit = usize::from(u16::from_be_bytes([*flip1, *flip0])) % (frame.len() * 8);
    let mut forged = frame.clone();
    forged[bit / 8] ^= 1 << (bit % 8);

    let mut opener = Opener::new(std::slice::from_ref(keys), Vec::new());
    // A flip that takes the tag away leaves something unsigned, which is not believed more than that.
    assert!(opener.open(&forged).is_err_or(|opened| opened.trust == Trust::Unverified));
    let opened = opener.open(&frame).expect("what was sealed opens");
    assert!(opened.plain == plain && opened.trust == Trust::Authenticated);
    assert!(opener.open(&forged).is_err() && opener.open(&frame).is_err(), "forged or repeated");
    let kept = opener.counters().to_vec();
    let mut opener = Opener::new(std::slice::from_ref(keys), kept);
    assert!(opener.open(&forged).is_err(), "after a restart");
    assert!(opener.open(&frame).is_err() || counter == 0, "only who always counts 0 may repeat it");
});

/// What the standard library has only of a later version.
trait IsErrOr<T> {
    fn is_err_or(self, holds: impl FnOnce(T) -> bool) -> bool;
}

impl<T, E> IsErrOr<T> for Result<T, E> {
    fn is_err_or(self, holds: impl FnOnce(T) -> bool) -> bool {
        match self {
            Ok(value) => holds(value),
            Err(_) => true,
        }
    }
}
