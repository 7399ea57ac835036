//! The one cipher suite that IEEE 2030.5 prescribes, ECDHE-ECDSA-AES128-CCM8, which TLS libraries leave out.
//!
//! A provider of `rustls` with this suite alone, on the curve P-256; keys, signatures and hashes are ring's. Used for meters
//! that speak IEEE 2030.5 and for nothing else: its tag of eight bytes is shorter than other suites'. A record whose tag does
//! not hold is refused, and the connection with it.
//!
//! A nonce is four bytes of the key block and the record's number, which never comes twice under a key.
//!
//! Source: RFC 6655 sections 3 and 4 (CCM in TLS 1.2), RFC 7251 (with ECDSA), RFC 5246 section 6.2.3.3; IEEE 2030.5-2018
//! section 6.7.

use aes_gcm::aes::Aes128;
use ccm::consts::{U8, U12};
use ccm::{AeadInOut as _, Ccm, KeyInit as _, Nonce, Tag};
use rustls::crypto::cipher::{
    AeadKey, InboundOpaqueMessage, InboundPlainMessage, KeyBlockShape, MessageDecrypter, MessageEncrypter,
    OutboundOpaqueMessage, OutboundPlainMessage, PrefixedPayload, Tls12AeadAlgorithm, UnsupportedOperationError,
    make_tls12_aad,
};
use rustls::crypto::ring::cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 as MODEL;
use rustls::crypto::ring::{default_provider, kx_group};
use rustls::crypto::{CipherSuiteCommon, CryptoProvider, KeyExchangeAlgorithm};
use rustls::{CipherSuite, ConnectionTrafficSecrets, Error, SignatureScheme, SupportedCipherSuite, Tls12CipherSuite};

/// AES-128 in counter mode with CBC-MAC, tag of 8 bytes, nonce of 12.
type Aes128Ccm8 = Ccm<Aes128, U8, U12>;

/// Bytes of the key block that begin each nonce.
const SALT: usize = 4;
/// Bytes of the nonce that stand at the start of each record.
const EXPLICIT: usize = 8;
/// Bytes of the tag at its end.
const TAG: usize = 8;
/// The longest content of a record.
const MAX_CONTENT: usize = 16_384;
/// Records under one key: 2^21.5 by RFC 9147 section 4.5.3, below which nobody learns from their number.
const MAX_RECORDS: u64 = 1 << 21;

static SUITE: Tls12CipherSuite = {
    let SupportedCipherSuite::Tls12(model) = MODEL else { panic!("a suite of TLS 1.2") };
    Tls12CipherSuite {
        common: CipherSuiteCommon {
            suite: CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8,
            hash_provider: model.common.hash_provider,
            confidentiality_limit: MAX_RECORDS,
        },
        prf_provider: model.prf_provider,
        kx: KeyExchangeAlgorithm::ECDHE,
        sign: &[SignatureScheme::ECDSA_NISTP256_SHA256],
        aead_alg: &Ccm8,
    }
};

/// A provider with this suite alone.
pub fn provider() -> CryptoProvider {
    CryptoProvider {
        cipher_suites: vec![SupportedCipherSuite::Tls12(&SUITE)],
        kx_groups: vec![kx_group::SECP256R1],
        ..default_provider()
    }
}

/// Makes both directions of a connection.
struct Ccm8;

/// One direction of a connection.
struct Direction {
    cipher: Aes128Ccm8,
    salt: [u8; SALT],
}

impl Direction {
    fn new(key: &AeadKey, salt: &[u8]) -> Self {
        // Both lengths are those of `key_block_shape`.
        let cipher = Aes128Ccm8::new_from_slice(key.as_ref()).expect("16 bytes");
        Self { cipher, salt: salt.try_into().expect("4 bytes") }
    }

    fn nonce(&self, explicit: [u8; EXPLICIT]) -> Nonce<U12> {
        let mut nonce = Nonce::default();
        nonce[..SALT].copy_from_slice(&self.salt);
        nonce[SALT..].copy_from_slice(&explicit);
        nonce
    }
}

impl Tls12AeadAlgorithm for Ccm8 {
    fn encrypter(&self, key: AeadKey, salt: &[u8], _: &[u8]) -> Box<dyn MessageEncrypter> {
        Box::new(Direction::new(&key, salt))
    }

    fn decrypter(&self, key: AeadKey, salt: &[u8]) -> Box<dyn MessageDecrypter> {
        Box::new(Direction::new(&key, salt))
    }

    fn key_block_shape(&self) -> KeyBlockShape {
        // Nothing is derived for the explicit part: it is the record's number.
        KeyBlockShape { enc_key_len: 16, fixed_iv_len: SALT, explicit_nonce_len: 0 }
    }

    fn extract_keys(
        &self,
        _: AeadKey,
        _: &[u8],
        _: &[u8],
    ) -> Result<ConnectionTrafficSecrets, UnsupportedOperationError> {
        Err(UnsupportedOperationError)
    }
}

impl MessageEncrypter for Direction {
    fn encrypt(&mut self, message: OutboundPlainMessage<'_>, number: u64) -> Result<OutboundOpaqueMessage, Error> {
        let length = message.payload.len();
        let explicit = number.to_be_bytes();
        let mut payload = PrefixedPayload::with_capacity(self.encrypted_payload_len(length));
        payload.extend_from_slice(&explicit);
        payload.extend_from_chunks(&message.payload);
        let associated = make_tls12_aad(number, message.typ, message.version, length);
        let content = &mut payload.as_mut()[EXPLICIT..];
        let tag = self.cipher.encrypt_inout_detached(&self.nonce(explicit), &associated, content.into());
        payload.extend_from_slice(&tag.map_err(|_| Error::EncryptError)?);
        Ok(OutboundOpaqueMessage::new(message.typ, message.version, payload))
    }

    fn encrypted_payload_len(&self, length: usize) -> usize {
        EXPLICIT + length + TAG
    }
}

impl MessageDecrypter for Direction {
    fn decrypt<'a>(
        &mut self,
        mut message: InboundOpaqueMessage<'a>,
        number: u64,
    ) -> Result<InboundPlainMessage<'a>, Error> {
        let payload = &mut message.payload;
        let length = payload.len().checked_sub(EXPLICIT + TAG).ok_or(Error::DecryptError)?;
        if length > MAX_CONTENT {
            return Err(Error::PeerSentOversizedRecord);
        }
        let (explicit, rest) = payload.split_at_mut(EXPLICIT);
        let (content, tag) = rest.split_at_mut(length);
        let explicit: [u8; EXPLICIT] = (&*explicit).try_into().expect("split there");
        let tag: Tag<U8> = (&*tag).try_into().expect("what is left");
        let associated = make_tls12_aad(number, message.typ, message.version, length);
        let opened = self.cipher.decrypt_inout_detached(&self.nonce(explicit), &associated, content.into(), &tag);
        opened.map_err(|_| Error::DecryptError)?;
        payload.copy_within(EXPLICIT..EXPLICIT + length, 0);
        payload.truncate(length);
        Ok(message.into_plain_message())
    }
}
