//! Frames around a message: HDLC type 3 (IEC 62056-46), wired M-Bus (EN 13757), general block transfer.

use crate::meter::checksum;

const FLAG: u8 = 0x7E;
/// Logical link control, in front of a message's first byte only.
const LLC: [u8; 3] = [0xE6, 0xE7, 0x00];
const SEGMENTED: u16 = 0x0800;

/// Addresses and control byte of a maker's frames.
pub(super) struct Hdlc {
    pub(super) destination: &'static [u8],
    pub(super) source: &'static [u8],
    pub(super) control: u8,
}

impl Hdlc {
    /// One frame.
    pub(super) fn whole(&self, message: &[u8]) -> Vec<u8> {
        self.frame(&[&LLC, message].concat(), false)
    }

    /// As many frames as it needs, with the segment bit on all but the last.
    pub(super) fn segmented(&self, message: &[u8], size: usize) -> Vec<u8> {
        let information = [&LLC, message].concat();
        let count = information.chunks(size).count();
        let frames = information.chunks(size).enumerate();
        frames.flat_map(|(index, part)| self.frame(part, index + 1 < count)).collect()
    }

    /// General block transfer, streamed: one block in each frame.
    pub(super) fn blocks(&self, message: &[u8], size: usize) -> Vec<u8> {
        let count = message.chunks(size).count();
        let mut frames = Vec::new();
        for (part, number) in message.chunks(size).zip(1_u16..) {
            let mut block = if number == 1 { LLC.to_vec() } else { Vec::new() };
            let last = if usize::from(number) == count { 0x80 } else { 0 };
            block.extend([0xE0, 0x40 | last]);
            block.extend(number.to_be_bytes());
            // Nothing is acknowledged on a line that goes one way.
            block.extend([0, 0, part.len() as u8]);
            block.extend(part);
            frames.extend(self.frame(&block, false));
        }
        frames
    }

    fn frame(&self, information: &[u8], segmented: bool) -> Vec<u8> {
        let length = 2 + self.destination.len() + self.source.len() + 1 + 2 + information.len() + 2;
        let format = 0xA000 | if segmented { SEGMENTED } else { 0 } | length as u16;
        let mut frame = format.to_be_bytes().to_vec();
        frame.extend(self.destination);
        frame.extend(self.source);
        frame.push(self.control);
        frame.extend(checksum::x25(&frame).to_le_bytes());
        frame.extend(information);
        frame.extend(checksum::x25(&frame).to_le_bytes());
        frame.insert(0, FLAG);
        frame.push(FLAG);
        frame
    }
}

/// Long frames with at most `size` bytes of the message each. With more than 250, the length byte overflows, as Sagemcom's does.
pub(super) fn mbus(message: &[u8], size: usize) -> Vec<u8> {
    let count = message.chunks(size).count();
    let mut frames = Vec::new();
    for (index, part) in message.chunks(size).enumerate() {
        let last = if index + 1 == count { 0x10 } else { 0 };
        let mut content = vec![0x53, 0xFF, last | index as u8 & 0x0F, 0x01, 0x67];
        content.extend(part);
        let length = content.len() as u8;
        frames.extend([0x68, length, length, 0x68]);
        frames.extend(&content);
        frames.extend([checksum::sum(&content), 0x16]);
    }
    frames
}
