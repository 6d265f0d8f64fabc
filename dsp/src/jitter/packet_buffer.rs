//! The packet buffer: packets in waiting, by sequence number; all memory is taken at the start.
//!
//! Payloads lie in chains of small chunks of one pool, so that the memory follows the bytes that a delay holds, not
//! the largest packet times the most packets.

/// Bytes of a chunk.
const CHUNK: usize = 64;
/// No chunk follows.
const NONE: u16 = u16::MAX;

/// One packet in waiting.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Entry {
    /// Extended sequence number.
    pub(super) seq: u64,
    /// Media time of its first sample.
    pub(super) time: u64,
    /// Arrival in microseconds.
    pub(super) arrival: u64,
    len: u16,
    first: u16,
    used: bool,
    /// The payload describes comfort noise.
    noise: bool,
}

impl Entry {
    /// Whether it holds no sound.
    pub(super) const fn is_soundless(&self) -> bool {
        self.len == 0 || self.noise
    }

    /// Whether it describes comfort noise.
    pub(super) const fn is_noise(&self) -> bool {
        self.noise
    }
}

#[derive(Debug)]
pub(super) struct PacketBuffer {
    entries: Box<[Entry]>,
    pool: Box<[u8]>,
    /// The chunk after each chunk, of a packet or of the free ones.
    next: Box<[u16]>,
    free: u16,
    free_count: usize,
    max_payload: usize,
    count: usize,
}

impl PacketBuffer {
    /// Room for `packets` (rounded up to a power of two) of at most `max_payload` bytes and `bytes` in all.
    pub(super) fn new(packets: usize, max_payload: usize, bytes: usize) -> Self {
        let packets = packets.clamp(2, 1 << 14).next_power_of_two();
        let max_payload = max_payload.clamp(1, usize::from(u16::MAX));
        let chunks = bytes.max(max_payload).div_ceil(CHUNK).min(usize::from(NONE));
        let mut buffer = Self {
            entries: vec![Entry::default(); packets].into_boxed_slice(),
            pool: vec![0; chunks * CHUNK].into_boxed_slice(),
            next: vec![NONE; chunks].into_boxed_slice(),
            free: NONE,
            free_count: 0,
            max_payload: max_payload.min(chunks * CHUNK),
            count: 0,
        };
        buffer.clear();
        buffer
    }

    pub(super) const fn capacity(&self) -> u64 {
        self.entries.len() as u64
    }

    pub(super) const fn max_payload(&self) -> usize {
        self.max_payload
    }

    fn slot(&self, seq: u64) -> usize {
        (seq % self.capacity()) as usize
    }

    /// The packet with this sequence number.
    pub(super) fn get(&self, seq: u64) -> Option<Entry> {
        let entry = self.entries[self.slot(seq)];
        (entry.used && entry.seq == seq).then_some(entry)
    }

    /// Copies the payload of a waiting packet to the front of `out` and returns it.
    pub(super) fn payload<'a>(&self, entry: &Entry, out: &'a mut [u8]) -> &'a [u8] {
        let len = usize::from(entry.len).min(out.len());
        let mut chunk = entry.first;
        for part in out[..len].chunks_mut(CHUNK) {
            let start = usize::from(chunk) * CHUNK;
            part.copy_from_slice(&self.pool[start..start + part.len()]);
            chunk = self.next[usize::from(chunk)];
        }
        &out[..len]
    }

    /// Whether a payload of this length fits beside what waits.
    pub(super) const fn has_room(&self, len: usize) -> bool {
        len.div_ceil(CHUNK) <= self.free_count
    }

    /// Stores a packet; the caller keeps the window of sequence numbers within the capacity and has made room.
    pub(super) fn put(&mut self, seq: u64, time: u64, arrival: u64, payload: &[u8], noise: bool) {
        self.remove_slot(self.slot(seq));
        let mut first = NONE;
        // From the last chunk to the first, so that each knows the one after it.
        for part in payload.chunks(CHUNK).rev() {
            let chunk = self.free;
            if chunk == NONE {
                break;
            }
            self.free = self.next[usize::from(chunk)];
            self.free_count -= 1;
            let start = usize::from(chunk) * CHUNK;
            self.pool[start..start + part.len()].copy_from_slice(part);
            self.next[usize::from(chunk)] = first;
            first = chunk;
        }
        let slot = self.slot(seq);
        self.entries[slot] = Entry { seq, time, arrival, len: payload.len() as u16, first, used: true, noise };
        self.count += 1;
    }

    /// Removes a packet and says whether it was here.
    pub(super) fn remove(&mut self, seq: u64) -> bool {
        let found = self.get(seq).is_some();
        if found {
            self.remove_slot(self.slot(seq));
        }
        found
    }

    fn remove_slot(&mut self, slot: usize) {
        let entry = &mut self.entries[slot];
        if !std::mem::take(&mut entry.used) {
            return;
        }
        self.count -= 1;
        let mut chunk = entry.first;
        for _ in 0..usize::from(entry.len).div_ceil(CHUNK) {
            let next = std::mem::replace(&mut self.next[usize::from(chunk)], self.free);
            self.free = chunk;
            self.free_count += 1;
            chunk = next;
        }
    }

    /// The first packet in waiting at or after `from` and not beyond `last`.
    pub(super) fn first(&self, from: u64, last: u64) -> Option<Entry> {
        if self.count == 0 {
            return None;
        }
        (from..=last.min(from + self.capacity() - 1)).find_map(|seq| self.get(seq))
    }

    pub(super) fn clear(&mut self) {
        for entry in &mut self.entries {
            entry.used = false;
        }
        self.count = 0;
        let chunks = self.next.len();
        for (n, next) in self.next.iter_mut().enumerate() {
            *next = if n + 1 < chunks { (n + 1) as u16 } else { NONE };
        }
        self.free = 0;
        self.free_count = chunks;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_of_any_length_come_back_whole_and_the_pool_never_leaks() {
        let mut buffer = PacketBuffer::new(8, 500, 1024);
        let mut out = [0; 500];
        for round in 0..200_u64 {
            let len = (round * 37 % 300) as usize;
            let payload: Vec<u8> = (0..len).map(|n| (n as u64 + round) as u8).collect();
            if round >= 2 {
                assert!(buffer.remove(round - 2));
            }
            assert!(buffer.has_room(len));
            buffer.put(round, round * 160, 5, &payload, false);
            let entry = buffer.get(round).unwrap();
            assert_eq!(buffer.payload(&entry, &mut out), payload);
        }
        assert!(!buffer.has_room(1024));
        assert!(buffer.remove(198) && buffer.remove(199) && !buffer.remove(199));
        assert!(buffer.first(190, 200).is_none() && buffer.has_room(1024));
    }

    #[test]
    fn a_packet_in_the_same_slot_takes_the_place_of_the_old_one() {
        let mut buffer = PacketBuffer::new(4, 100, 256);
        buffer.put(1, 0, 0, &[1; 100], false);
        buffer.put(5, 0, 0, &[2; 100], true);
        assert!(buffer.get(5).unwrap().is_soundless());
        assert!(buffer.get(1).is_none());
        assert_eq!(buffer.first(3, 9).unwrap().seq, 5);
        assert!(buffer.has_room(128));
    }
}
