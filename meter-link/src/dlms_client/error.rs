//! Why a meter's answer was refused or did not come. Data, never prose; never the bytes themselves.

use crate::error::DecodeError;

/// One failed question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// The meter refuses one attribute or method (data-access-result or action-result).
    #[error("meter refuses access: {result}")]
    AccessRefused {
        /// As on the wire: 3 read-write denied, 4 undefined, 13 scope violated.
        result: u8,
    },
    /// The meter refuses the association.
    #[error("meter refuses the association: result {result}, diagnostic {diagnostic}")]
    AssociationRefused {
        /// 1 permanent, 2 transient.
        result: u8,
        /// 1 no reason, 2 context, 11 mechanism name, 13 authentication failure.
        diagnostic: u8,
    },
    /// The meter does not prove that it knows the key.
    #[error("meter's proof of its key does not match")]
    AuthenticationWrong,
    /// The meter answers our challenge with itself.
    #[error("meter's challenge equals ours")]
    ChallengeReflected,
    /// Another question is being answered, or there is no association.
    #[error("not ready for a question")]
    NotReady,
    /// The meter expects a higher invocation counter than may be used; it must be reserved first.
    #[error("invocation counter is behind: expected {expected}")]
    CounterBehind {
        /// What it expects, as it says without proof.
        expected: u32,
    },
    /// All reserved invocation counters have been used.
    #[error("reserved invocation counters are used up")]
    CountersSpent,
    /// The bytes break the protocol, or fail authentication.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The meter cannot answer (exception response).
    #[error("meter answers with an exception: state {state}, service {service}")]
    Exception {
        /// 1 service not allowed, 2 service unknown.
        state: u8,
        /// 1 not possible, 2 not supported, 3 other, 4 too long, 5 deciphering, 6 invocation counter.
        service: u8,
    },
    /// A key that the chosen protection needs was not given, or has the wrong length.
    #[error("a key is missing or has the wrong length")]
    KeyMissing,
    /// The meter ended the connection or cannot make one.
    #[error("meter ended the connection")]
    LinkRefused,
    /// A ciphered association got an answer in clear.
    #[error("answer is not protected")]
    ProtectionMissing,
    /// The meter refuses the question as such (confirmed service error).
    #[error("meter refuses the service: {service} {error}")]
    ServiceRefused {
        /// Which service.
        service: u8,
        /// Which error.
        error: u8,
    },
    /// The other side was silent for too long.
    #[error("meter does not answer")]
    TimedOut,
    /// The question or answer is longer than may be.
    #[error("message is longer than {limit} bytes")]
    TooLong {
        /// The most that is sent or kept.
        limit: usize,
    },
    /// An answer to another question.
    #[error("unexpected answer: {tag:02X}")]
    Unexpected {
        /// Its first byte.
        tag: u8,
    },
}

impl ClientError {
    /// Whether the association goes on: only this question was refused.
    pub const fn is_refusal(self) -> bool {
        matches!(
            self,
            Self::AccessRefused { .. } | Self::Exception { .. } | Self::NotReady | Self::ServiceRefused { .. }
        )
    }
}
