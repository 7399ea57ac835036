//! Any bytes are walked to their end or to an error, each token taking some; tokens printed again, and read again, are the
//! same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use meter_link::dlms::axdr::{Reader, Token};
use meter_link::dlms::print::token;
use meter_link::error::DecodeError;

fuzz_target!(|bytes: &[u8]| {
    let (tokens, error) = walk(bytes);
    if let Some(DecodeError::Malformed { offset }) = error {
        assert!(offset < bytes.len() || tokens.is_empty());
    }
    let mut printed = Vec::new();
    for of in &tokens {
        token(&mut printed, *of);
    }
    let (again, error) = walk(&printed);
    assert!(error.is_none() && again == tokens);
});

fn walk(bytes: &[u8]) -> (Vec<Token<'_>>, Option<DecodeError>) {
    let mut reader = Reader::new(bytes, 0);
    let mut tokens = Vec::new();
    while !reader.is_at_end() {
        match reader.token() {
            Ok(token) => tokens.push(token),
            Err(error) => return (tokens, Some(error)),
        }
        assert!(tokens.len() <= bytes.len(), "every token takes a byte");
    }
    (tokens, None)
}
