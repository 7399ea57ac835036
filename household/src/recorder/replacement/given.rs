//! What a replacement begins with: the master key as it was given, and new keys.

use contract::error::{CallError, ErrorCode};
use contract::security::MasterKey;
use meter_link::dlms_client::curve::PrivateKey;
use meter_link::dlms_client::key_change::{Agreement, Master};
use meter_link::security::key::{Key, Suite};

/// Where the master key comes from.
pub(super) fn master(asked: &MasterKey, suite: Suite, kept: &[Key]) -> Result<Master, CallError> {
    match asked {
        MasterKey::Agreed { signing_key, meter_public_key } => {
            let octets = |text: &str, length| octets(text).filter(|octets| octets.len() == length).unwrap_or_default();
            // Of the curve's coordinates.
            let length = if suite == Suite::Two { 48 } else { 32 };
            let signing = PrivateKey::new(suite, &octets(&signing_key.0, length)).ok_or_else(|| {
                CallError::invalid("signing_key", "a key for signatures has 64 or 96 digits, and the meter's suite")
            })?;
            let meter_public = octets(meter_public_key, 2 * length);
            if meter_public.is_empty() {
                return Err(CallError::invalid("meter_public_key", "a public key has 128 or 192 digits"));
            }
            Ok(Master::Agreed(Agreement { signing, meter_public }))
        }
        MasterKey::Given(secret) => {
            let given = Key::parse(&secret.0)
                .ok_or_else(|| CallError::invalid("master_key", "a key has 32 or 64 hexadecimal digits"))?;
            let kept = kept.iter().filter(|kept| **kept != given).cloned();
            Ok(Master::Known(std::iter::once(given.clone()).chain(kept).collect()))
        }
        MasterKey::Kept if kept.is_empty() => Err(CallError::invalid("master_key", "no master key is kept")),
        MasterKey::Kept => Ok(Master::Known(kept.to_vec())),
    }
}

/// A key of the suite's length, from the operating system's randomness.
pub(super) fn random_key(suite: Suite) -> Result<Key, CallError> {
    let mut bytes = [0; 32];
    let random = getrandom::fill(&mut bytes).ok();
    random
        .and_then(|()| Key::new(&bytes[..suite.key_length()]))
        .ok_or_else(|| CallError::new(ErrorCode::SecretsUnavailable, "the operating system gives no randomness"))
}

/// Hexadecimal digits as bytes, spaces between them allowed.
fn octets(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let value = |digit: u8| char::from(digit).to_digit(16);
    let pair = |pair: &[u8]| Some((value(pair[0])? << 4 | value(pair[1])?) as u8);
    digits.len().is_multiple_of(2).then(|| digits.chunks_exact(2).map(pair).collect())?
}
