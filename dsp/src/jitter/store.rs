//! Packets in waiting: a ring of slots indexed by sequence number, all memory taken at the start.

/// One packet in waiting.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Entry {
    /// Extended sequence number.
    pub(super) seq: u64,
    /// Extended timestamp in samples.
    pub(super) timestamp: u64,
    /// Arrival in microseconds.
    pub(super) arrival: u64,
    len: usize,
    used: bool,
}

#[derive(Debug)]
pub(super) struct Store {
    entries: Box<[Entry]>,
    payloads: Box<[u8]>,
    max_payload: usize,
    count: usize,
}

impl Store {
    pub(super) fn new(packets: usize, max_payload: usize) -> Self {
        let packets = packets.max(2).next_power_of_two();
        Self {
            entries: vec![Entry::default(); packets].into_boxed_slice(),
            payloads: vec![0; packets * max_payload].into_boxed_slice(),
            max_payload,
            count: 0,
        }
    }

    pub(super) const fn capacity(&self) -> u64 {
        self.entries.len() as u64
    }

    pub(super) const fn max_payload(&self) -> usize {
        self.max_payload
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn slot(&self, seq: u64) -> usize {
        (seq % self.capacity()) as usize
    }

    /// The packet with this sequence number and its payload.
    pub(super) fn get(&self, seq: u64) -> Option<(Entry, &[u8])> {
        let slot = self.slot(seq);
        let entry = self.entries[slot];
        (entry.used && entry.seq == seq).then(|| {
            let start = slot * self.max_payload;
            (entry, &self.payloads[start..start + entry.len])
        })
    }

    /// Stores a packet; the caller keeps the window of sequence numbers within the capacity.
    pub(super) fn put(&mut self, seq: u64, timestamp: u64, arrival: u64, payload: &[u8]) {
        let slot = self.slot(seq);
        let entry = &mut self.entries[slot];
        self.count += usize::from(!entry.used);
        *entry = Entry { seq, timestamp, arrival, len: payload.len(), used: true };
        let start = slot * self.max_payload;
        self.payloads[start..start + payload.len()].copy_from_slice(payload);
    }

    pub(super) fn remove(&mut self, seq: u64) -> bool {
        let slot = self.slot(seq);
        let entry = &mut self.entries[slot];
        let found = entry.used && entry.seq == seq;
        if found {
            entry.used = false;
            self.count -= 1;
        }
        found
    }

    /// The first packet in waiting at or after `from` and not beyond `last`.
    pub(super) fn first(&self, from: u64, last: u64) -> Option<Entry> {
        if self.count == 0 {
            return None;
        }
        (from..=last.min(from + self.capacity() - 1)).find_map(|seq| self.get(seq).map(|(entry, _)| entry))
    }

    pub(super) fn clear(&mut self) {
        for entry in &mut self.entries {
            entry.used = false;
        }
        self.count = 0;
    }
}
