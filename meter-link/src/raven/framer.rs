//! Bytes to XML fragments.
//!
//! A fragment is one of the known elements from `<Name>` to `</Name>`; whatever stands between fragments is skipped, so a
//! stream may begin in the middle of one. Keeps at most [`MAX_FRAME`] bytes, and after an error continues at the next
//! known element.

use crate::error::DecodeError;

/// Most bytes of a fragment: four times the longest in the manual (a profile of twelve intervals).
pub const MAX_FRAME: usize = 4_096;

/// Every element that the sticks send by themselves or in answer, by the manual. None occurs inside another.
const ROOTS: [&[u8]; 21] = [
    b"<BlockPriceDetail>",
    b"<ConnectionStatus>",
    b"<CurrentPeriodUsage>",
    b"<CurrentSummation>",
    b"<CurrentSummationDelivered>",
    b"<DeviceInfo>",
    b"<Error>",
    b"<FastPollStatus>",
    b"<InstantaneousDemand>",
    b"<LastPeriodUsage>",
    b"<MessageCluster>",
    b"<MeterInfo>",
    b"<MeterList>",
    b"<NetworkInfo>",
    b"<PriceCluster>",
    b"<ProfileData>",
    b"<ScheduleInfo>",
    b"<TimeCluster>",
    b"<TimeStatus>",
    b"<UserPreferences>",
    b"<Warning>",
];

/// Collects bytes and gives fragments.
///
/// Invariant: `start <= scanned <= buffer.len() <= MAX_FRAME`; everything before `start` is done with.
#[derive(Debug, Default)]
pub struct Framer {
    buffer: Vec<u8>,
    /// First byte not given out or dropped.
    start: usize,
    /// First byte not looked at.
    scanned: usize,
    /// Which element is open at `start`.
    root: Option<&'static [u8]>,
}

/// What stands at a `<`.
enum Mark {
    /// The end of the open element, this long.
    End(usize),
    /// Not decided by the bytes there are.
    More,
    /// Something else.
    Nothing,
    /// A known element begins.
    Root(&'static [u8]),
}

impl Framer {
    /// Takes as many bytes as fit and gives how many.
    pub fn handle_bytes(&mut self, bytes: &[u8]) -> usize {
        self.buffer.drain(..self.start);
        self.scanned -= self.start;
        self.start = 0;
        let taken = bytes.len().min(MAX_FRAME - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..taken]);
        taken
    }

    /// The next fragment or error. `None`: more bytes are needed.
    pub fn poll_frame(&mut self) -> Option<Result<&[u8], DecodeError>> {
        loop {
            let skipped = memchr::memchr(b'<', &self.buffer[self.scanned..]);
            self.scanned = skipped.map_or(self.buffer.len(), |skipped| self.scanned + skipped);
            if self.root.is_none() {
                self.start = self.scanned;
            }
            let at = self.scanned;
            match self.mark(&self.buffer[at..]) {
                Mark::Nothing => self.scanned += 1,
                Mark::End(length) => {
                    let start = self.start;
                    self.root = None;
                    (self.start, self.scanned) = (at + length, at + length);
                    return Some(Ok(&self.buffer[start..at + length]));
                }
                Mark::Root(root) if self.root.is_none() => {
                    self.root = Some(root);
                    self.scanned += root.len();
                }
                Mark::Root(_) => {
                    let length = at - self.start;
                    (self.start, self.root) = (at, None);
                    return Some(Err(DecodeError::Interrupted { length }));
                }
                Mark::More if self.buffer.len() - self.start >= MAX_FRAME => {
                    // The element's own mark is looked at no more; what is known inside may begin anew.
                    (self.start, self.scanned, self.root) = (self.start + 1, self.start + 1, None);
                    return Some(Err(DecodeError::TooLong { limit: MAX_FRAME }));
                }
                Mark::More => return None,
            }
        }
    }

    fn mark(&self, text: &[u8]) -> Mark {
        if text.len() < 2 {
            return Mark::More;
        }
        if let (Some(root), Some(name)) = (self.root, text.strip_prefix(b"</")) {
            let expected = &root[1..];
            if name.starts_with(expected) {
                return Mark::End(2 + expected.len());
            }
            return if expected.starts_with(name) { Mark::More } else { Mark::Nothing };
        }
        if let Some(root) = ROOTS.into_iter().find(|root| text.starts_with(root)) {
            return Mark::Root(root);
        }
        if ROOTS.iter().any(|root| root.starts_with(text)) { Mark::More } else { Mark::Nothing }
    }
}
