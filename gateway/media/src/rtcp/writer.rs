//! A cursor over the fixed buffer of a report; what does not fit is left out, never written beyond.

use super::BUFFER;

pub(super) struct Writer<'a> {
    buffer: &'a mut [u8; BUFFER],
    len: usize,
}

impl<'a> Writer<'a> {
    pub(super) const fn new(buffer: &'a mut [u8; BUFFER]) -> Self {
        Self { buffer, len: 0 }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// The first word of a packet: version 2, `count`, type, and its length in words less one.
    pub(super) fn header(&mut self, count: u8, kind: u8, words: u16) {
        let [high, low] = words.to_be_bytes();
        self.bytes(&[0x80 | count, kind, high, low]);
    }

    pub(super) fn word(&mut self, word: u32) {
        self.bytes(&word.to_be_bytes());
    }

    pub(super) fn half(&mut self, half: u16) {
        self.bytes(&half.to_be_bytes());
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        if let Some(room) = self.buffer.get_mut(self.len..self.len + bytes.len()) {
            room.copy_from_slice(bytes);
            self.len += bytes.len();
        }
    }
}
