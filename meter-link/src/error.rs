//! Why bytes did not become a reading. Data, never prose; never holds the bytes themselves.

/// One thing that could not be decoded. The stream goes on at the next frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The frame's checksum does not match its bytes.
    #[error("checksum does not match: expected {expected:04X}, found {found:04X}")]
    Checksum {
        /// Computed over the bytes.
        expected: u16,
        /// Sent by the meter.
        found: u16,
    },
    /// The checksum is unreadable, or missing from a meter that sends one.
    #[error("checksum is missing or unreadable")]
    ChecksumMissing,
    /// Inside an opened (and verified) frame the telegram's own checksum does not match. The reading is kept.
    #[error("inner checksum does not match: expected {expected:04X}, found {found:04X}")]
    InnerChecksum {
        /// Computed over the bytes.
        expected: u16,
        /// Sent by the meter.
        found: u16,
    },
    /// The encryption key opens the frame, the authentication key does not.
    #[error("authentication key does not fit; the encryption key does")]
    AuthenticationKeyWrong,
    /// The key was replaced by a newer one that the meter already uses.
    #[error("authenticated with a key that a newer one has replaced")]
    KeyRetired,
    /// Another meter's system title under this meter's key.
    #[error("authenticated by another system title than this meter's")]
    TitleForeign,
    /// A part of a message is missing, came twice or in the wrong order; the message is dropped.
    #[error("message incomplete: expected part {expected}, found {found}")]
    PartMissing {
        /// Number of the part that should have come.
        expected: u16,
        /// Number that came.
        found: u16,
    },
    /// The meter broke its own message off.
    #[error("message broken off by the meter")]
    BrokenOff,
    /// Values came without codes, in an order that no meter we know sends.
    #[error("message of {count} values in an unknown layout")]
    LayoutUnclear {
        /// How many values there were.
        count: u16,
    },
    /// One line's checksum does not match; the other lines are kept.
    #[error("checksum of a line does not match: expected {expected:02X}, found {found:02X}")]
    LineChecksum {
        /// Computed over the line.
        expected: u8,
        /// Sent by the meter.
        found: u8,
    },
    /// One message's checksum does not match, though its frame's does. The message is dropped, the others are kept.
    #[error("checksum of a message does not match: expected {expected:04X}, found {found:04X}")]
    MessageChecksum {
        /// Computed over the message.
        expected: u16,
        /// Sent by the meter.
        found: u16,
    },
    /// The bytes break the protocol's grammar.
    #[error("malformed message at byte {offset}")]
    Malformed {
        /// Where in the frame.
        offset: usize,
    },
    /// A new telegram began before this one ended.
    #[error("telegram interrupted after {length} bytes")]
    Interrupted {
        /// Bytes that are lost.
        length: usize,
    },
    /// The frame is encrypted and there is no key.
    #[error("telegram is encrypted: a key is needed")]
    KeyNeeded,
    /// No key opens the frame: its authentication tag does not match.
    #[error("authentication tag does not match: wrong key, or bytes changed on the way")]
    KeyWrong,
    /// A well-formed message that holds no measurement: settings, a device's description.
    #[error("message holds no measurement")]
    NoReading,
    /// The opened text is no telegram.
    #[error("opened text is no telegram: wrong key")]
    NoTelegram,
    /// The invocation counter is not above the highest seen under this key.
    #[error("invocation counter is not fresh: expected more than {highest}, found {found}")]
    Replayed {
        /// The highest accepted before.
        highest: u32,
        /// Sent in this frame.
        found: u32,
    },
    /// A meter that authenticates its frames sent one without a tag.
    #[error("authentication tag is missing from a meter that sends one")]
    TagMissing,
    /// The frame is encrypted and leaves out the system title, without which no key opens it.
    #[error("telegram is encrypted and leaves out its system title")]
    TitleMissing,
    /// More bytes than any telegram has, without an end.
    #[error("telegram is longer than {limit} bytes")]
    TooLong {
        /// The most that is kept.
        limit: usize,
    },
    /// A telegram without a check says something else than the one before it; the next may confirm it.
    #[error("telegram without a check differs from the one before")]
    Unconfirmed,
}

impl DecodeError {
    /// Whether the frame was refused because it could not be authenticated: a security event.
    pub const fn is_rejection(self) -> bool {
        matches!(
            self,
            Self::AuthenticationKeyWrong
                | Self::KeyRetired
                | Self::KeyWrong
                | Self::Replayed { .. }
                | Self::TagMissing
                | Self::TitleForeign
        )
    }

    /// Whether it can only be said of a whole frame of its protocol.
    pub const fn proves_frame(self) -> bool {
        self.is_rejection()
            || matches!(
                self,
                Self::InnerChecksum { .. }
                    | Self::KeyNeeded
                    | Self::LayoutUnclear { .. }
                    | Self::NoTelegram
                    | Self::TitleMissing
            )
    }

    /// Whether it is said of what looks like a frame of its protocol, noise or not.
    pub const fn hints_at_frame(self) -> bool {
        matches!(
            self,
            Self::Checksum { .. } | Self::ChecksumMissing | Self::LineChecksum { .. } | Self::PartMissing { .. }
        )
    }

    /// A short stable name for machines.
    pub const fn code(self) -> &'static str {
        match self {
            Self::AuthenticationKeyWrong => "authentication_key_wrong",
            Self::BrokenOff => "broken_off",
            Self::Checksum { .. } => "checksum",
            Self::ChecksumMissing => "checksum_missing",
            Self::InnerChecksum { .. } => "inner_checksum",
            Self::Interrupted { .. } => "interrupted",
            Self::KeyNeeded => "key_needed",
            Self::KeyRetired => "key_retired",
            Self::KeyWrong => "key_wrong",
            Self::LayoutUnclear { .. } => "layout_unclear",
            Self::LineChecksum { .. } => "line_checksum",
            Self::Malformed { .. } => "malformed",
            Self::MessageChecksum { .. } => "message_checksum",
            Self::NoReading => "no_reading",
            Self::NoTelegram => "no_telegram",
            Self::PartMissing { .. } => "part_missing",
            Self::Replayed { .. } => "replayed",
            Self::TagMissing => "tag_missing",
            Self::TitleForeign => "title_foreign",
            Self::TitleMissing => "title_missing",
            Self::TooLong { .. } => "too_long",
            Self::Unconfirmed => "unconfirmed",
        }
    }
}
