//! "Why is there no data?", answered from a meter's health: one finding, the most telling first.
//!
//! Shared by every screen and by the decode command. Pure: health in, finding out.

use serde::{Deserialize, Serialize};

use crate::health::{Health, KeyState, LinkProblem, LinkState};

/// A meter's clock further off than this is not believed: no time zone mistake is smaller, no honest drift larger.
pub const CLOCK_TOLERANCE_MILLISECONDS: i64 = 600_000;
/// More than one frame in so many must fail before a line that lives is said to be noisy, or tampered with.
const MANY: u64 = 3;
/// Frames in a row that the key which fitted before does not open: fewer may be noise under a good checksum.
const CHANGED_AFTER: u32 = 3;

/// What to look at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// The encryption key fits, the authentication key does not.
    AuthenticationKeyWrong,
    /// The bridge answers, but what it knows of the meter no longer changes.
    BridgeStale,
    /// Bytes arrive, but most frames fail their checksum: cable, noise or speed.
    ChecksumFails,
    /// A child meter's value and stamp no longer change.
    ChildFrozen,
    /// The meter's clock is far off; readings carry the host's time.
    ClockWrong,
    /// Readings arrive.
    Fine,
    /// A recorded file was read to its end.
    FileEnded,
    /// The key fitted before and does not any more: the operator has changed it. Frames are kept until it is known.
    KeyChanged,
    /// The meter encrypts and no key is known.
    KeyNeeded,
    /// The key does not open what the meter sends.
    KeyWrong,
    /// The meter speaks a language we know, in a list that we do not.
    LayoutUnclear,
    /// Just started.
    Listening,
    /// What is there takes the connection and answers no question.
    NoAnswer,
    /// The device's owner has not switched its local interface on.
    NotEnabled,
    /// No such port, host or file.
    NotFound,
    /// The connection is refused or closed by the other side.
    NotReachable,
    /// The operating system does not let us open the port.
    NotAllowed,
    /// The meter refuses who asks, or everything that is asked.
    NotPermitted,
    /// The device was never paired, or no longer accepts the pairing.
    PairingNeeded,
    /// The meter wants a password or secret, and has not got the right one.
    PasswordWrong,
    /// The meter holds back exact values until its PIN is entered.
    PinNeeded,
    /// Somebody else holds the port.
    PortBusy,
    /// Frames come that fail authentication: none enters the books.
    Rejected,
    /// Frames come again that were counted before: a recording of this meter, or a second reader that repeats it.
    Replayed,
    /// The link is open and no byte comes: port not activated, wrong cable, no request line. How often it was asked to speak
    /// stands in [`Health::asked`].
    Silent,
    /// Bytes come, but in no known language: wrong speed or another protocol. What was tried stands in [`Health::tried`].
    Unrecognised,
    /// Something answers in the paired device's place.
    Untrusted,
}

impl Finding {
    /// What to do next, for the decode command; screens say it in the reader's language.
    pub const fn next_step(self) -> &'static str {
        match self {
            Self::AuthenticationKeyWrong => {
                "the encryption key fits; compare the authentication key (AK, GAK) with what the grid operator sent"
            }
            Self::BridgeStale => "restart the bridge, and check that it is still joined to the meter",
            Self::ChecksumFails => "check cable, plug and speed; frames that are whole were read",
            Self::ChildFrozen => "ask whether the gas or water meter was replaced; electricity is not affected",
            Self::ClockWrong => "the grid operator can set the meter's clock; values are kept with the host's time",
            Self::Fine | Self::FileEnded => "nothing",
            Self::KeyChanged => "ask the grid operator for the new key; frames are kept until it is known",
            Self::KeyNeeded => "ask the grid operator for the key and give it with --key (and --auth-key)",
            Self::KeyWrong => "check all digits of the key and that it belongs to this meter",
            Self::LayoutUnclear => "the frame is whole, the order of its values is not known; please send a recording",
            Self::Listening => "wait: a meter speaks every second to every ten seconds",
            Self::NoAnswer => "compare client, server and physical address, and the speed, with the operator's letter",
            Self::NotAllowed => "let this user open the port",
            Self::NotEnabled => "switch the local interface on in the device's own app",
            Self::NotFound => "check the cable, the name or the address",
            Self::NotPermitted => "ask the grid operator which client and security the meter allows a household",
            Self::NotReachable => "check that the bridge is on and in the same network",
            Self::PairingNeeded => "pair the device again: press its button",
            Self::PasswordWrong => "enter the password that the grid operator gave for reading this meter",
            Self::PinNeeded => "ask the metering operator for the PIN, enter it with a torch, switch on InF",
            Self::PortBusy => "close the other program that holds the port",
            Self::Rejected => "nothing of it was counted; check who can reach the cable or the bridge",
            Self::Replayed => "recorded frames were sent again, none was counted; check who can reach the cable",
            Self::Silent => "ask the grid operator to open the port; check the plug and the request line",
            Self::Unrecognised => {
                "no known protocol was heard; record it again at another speed or with another framing"
            }
            Self::Untrusted => "something else answers in the device's place; pair again only if you replaced it",
        }
    }
}

/// The finding for a meter.
pub fn diagnose(health: &Health) -> Finding {
    let is_late = health.state != LinkState::Live;
    // A key that has fitted is wrong only if that lasts; once may be noise.
    let lasts = !health.has_fitted || health.sealed_in_a_row >= CHANGED_AFTER;
    match (health.state, health.problem) {
        (_, Some(LinkProblem::Busy)) => Finding::PortBusy,
        (_, Some(LinkProblem::Denied)) => Finding::NotAllowed,
        (_, Some(LinkProblem::NoAnswer)) => Finding::NoAnswer,
        (_, Some(LinkProblem::NotEnabled)) => Finding::NotEnabled,
        (_, Some(LinkProblem::NotFound)) => Finding::NotFound,
        (_, Some(LinkProblem::NotPermitted)) => Finding::NotPermitted,
        (_, Some(LinkProblem::PairingNeeded)) => Finding::PairingNeeded,
        (_, Some(LinkProblem::PasswordWrong)) => Finding::PasswordWrong,
        (_, Some(LinkProblem::Stale)) => Finding::BridgeStale,
        (_, Some(LinkProblem::Untrusted)) => Finding::Untrusted,
        (_, Some(LinkProblem::Closed | LinkProblem::Refused)) => Finding::NotReachable,
        (LinkState::Ended, _) => Finding::FileEnded,
        _ if health.key == KeyState::Needed => Finding::KeyNeeded,
        _ if health.key == KeyState::AuthenticationWrong && lasts => Finding::AuthenticationKeyWrong,
        _ if health.key == KeyState::Changed && lasts => Finding::KeyChanged,
        _ if health.key == KeyState::Wrong => Finding::KeyWrong,
        _ if health.replayed_lately => Finding::Replayed,
        (LinkState::Live, _) => match health.clock_offset_milliseconds {
            Some(offset) if offset.abs() > CLOCK_TOLERANCE_MILLISECONDS => Finding::ClockWrong,
            _ if health.checksum_failures * (MANY - 1) > health.frames => Finding::ChecksumFails,
            _ if health.rejected * (MANY - 1) > health.frames => Finding::Rejected,
            _ if health.clock_nonsense => Finding::ClockWrong,
            _ if health.reduced => Finding::PinNeeded,
            _ => Finding::Fine,
        },
        (_, Some(LinkProblem::Silent)) => Finding::Silent,
        _ if is_late && health.rejected > 0 && health.frames == 0 => Finding::Rejected,
        _ if health.checksum_failures > health.frames => Finding::ChecksumFails,
        _ if health.layouts_unclear > 0 && health.frames == 0 => Finding::LayoutUnclear,
        (_, Some(LinkProblem::Unrecognised)) => Finding::Unrecognised,
        _ => Finding::Listening,
    }
}
