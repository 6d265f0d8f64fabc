//! Fetching: which packet the next samples come from, and what stands in for one that is not there.

use super::FrameKind;
use super::buffer::{BRIDGE_MAX_US, JitterBuffer};
use super::packet_buffer::Entry;
use crate::codec::Decoder;

/// What lies before the next packet with sound.
enum Gap {
    /// Nothing: its first sample is the next.
    None(Entry),
    /// Nothing is waiting at all.
    Empty,
    /// This many samples: lost, or never sent.
    Of { samples: usize, lost: bool, next: Entry },
}

impl<D: Decoder> JitterBuffer<D> {
    /// Decodes packets that are here and follow on, until `upto` samples wait.
    pub(super) fn prepare(&mut self, upto: usize) {
        while self.sync.waiting() < upto {
            let waiting = self.packets.get(self.head);
            let Some(next) = waiting.filter(|entry| !entry.is_soundless() && entry.time == self.next_time) else {
                return;
            };
            self.decode(&next, 0);
        }
    }

    /// Sees to it that `upto` samples wait, and says whether any had to be made up.
    pub(super) fn fill(&mut self, now: u64, upto: usize) -> bool {
        let mut made_up = false;
        while self.sync.waiting() < upto && self.sync.room() > 0 {
            let wanted = upto - self.sync.waiting();
            match self.next_gap(now) {
                Gap::None(next) => self.decode(&next, 0),
                Gap::Empty => {
                    self.conceal_open(wanted);
                    made_up = true;
                }
                Gap::Of { samples, lost: false, .. } => {
                    let count = samples.min(wanted);
                    self.rest(count);
                    self.next_time += count as u64;
                    made_up = true;
                }
                Gap::Of { samples, next, .. } => {
                    self.conceal_closed(samples, wanted, &next);
                    made_up = true;
                }
            }
        }
        made_up
    }

    /// Finds the packet that holds the next sample, or what lies before it.
    fn next_gap(&mut self, now: u64) -> Gap {
        self.pass_soundless();
        let Some(next) = self.first_with_sound() else { return Gap::Empty };
        let missing = (self.head..next.seq).any(|seq| self.packets.get(seq).is_none());
        let between = next.time.saturating_sub(self.next_time);
        let lost = missing || self.damaged || between < self.packet as u64;
        if between > 0 {
            // What was made up while nothing was there stands for this gap first.
            let covered = between.min(self.ahead);
            self.next_time += covered;
            self.ahead -= covered;
            if !lost {
                if !self.quiet {
                    // It was counted before it was known to be a pause.
                    self.stats.concealed_samples = self.stats.concealed_samples.saturating_sub(covered);
                }
                self.settle(now, &next);
            }
            let samples = usize::try_from(next.time.saturating_sub(self.next_time)).unwrap_or(usize::MAX);
            if samples > 0 {
                return Gap::Of { samples, lost, next };
            }
        }
        self.pass_missing(now, &next);
        Gap::None(next)
    }

    /// The sequence numbers before the next packet with sound had their turn.
    fn pass_missing(&mut self, now: u64, next: &Entry) {
        let mut lost = 0;
        while self.head < next.seq {
            lost += u64::from(self.packets.get(self.head).is_none());
            self.take_turn();
        }
        self.stats.lost += lost;
        if lost > 0 {
            self.delay.loss(now);
        }
    }

    /// Makes the delay what it should be in the pause before `next`, once.
    fn settle(&mut self, now: u64, next: &Entry) {
        if self.settled_before == next.seq {
            return;
        }
        self.settled_before = next.seq;
        let change = self.change_due(now);
        let pause = next.time - self.next_time;
        if change < 0 {
            self.next_time += (change.unsigned_abs() as u64).min(pause);
        } else {
            self.next_time = self.next_time.saturating_sub(change.unsigned_abs() as u64);
        }
    }

    /// Decodes the packet at the head, less the samples whose time has passed, after `bridged` samples that lead to
    /// it.
    fn decode(&mut self, next: &Entry, bridged: usize) {
        let payload = self.packets.payload(next, &mut self.payload);
        let samples = self.decoder.decode(payload, &mut self.decoded).min(self.decoded.len());
        self.take_turn();
        self.damaged = samples == 0;
        let reached = self.next_time + bridged as u64;
        let skip = usize::try_from(reached.saturating_sub(next.time)).unwrap_or(usize::MAX);
        let Self { sync, expand, decoded, .. } = self;
        let sound = &mut decoded[skip.min(samples)..samples];
        if bridged > 0 {
            expand.begin(sync.newest());
            sync.append(bridged, FrameKind::Concealed, 0, |to| expand.bridge(to, sound));
            self.next_time += bridged as u64;
        }
        if sound.is_empty() {
            return;
        }
        if bridged > 0 {
            expand.end();
        } else {
            // 4 ms, and 4 more for every 10 ms of gap, up to 10.
            let ms = self.rate as usize / 1000;
            expand.merge(sound, (4 * ms + expand.made() * 4 / 10).min(10 * ms));
        }
        self.ahead = 0;
        self.quiet = false;
        self.noisy = false;
        self.next_time += sync
            .append(sound.len(), FrameKind::Decoded, next.arrival, |to| to.copy_from_slice(&sound[..to.len()]))
            as u64;
    }

    /// Makes up sound while nothing newer is here.
    fn conceal_open(&mut self, wanted: usize) {
        if self.quiet {
            self.rest(wanted);
            self.ahead += wanted as u64;
            return;
        }
        // A codec has nothing to say about a second without packets.
        let endless = self.ahead > u64::from(self.rate);
        let made = if endless { 0 } else { self.decode_lost(self.packet) };
        if made == 0 {
            self.extend(wanted, FrameKind::Concealed);
            self.ahead += wanted as u64;
        } else {
            self.ahead += made as u64;
        }
    }

    /// Makes up sound for a gap of `samples` before `next`, at least `wanted` of them.
    fn conceal_closed(&mut self, samples: usize, wanted: usize, next: &Entry) {
        let packet = self.packet.min(self.decoded.len());
        if samples <= packet {
            let payload = self.packets.payload(next, &mut self.payload);
            if let Some(made) = self.decoder.decode_fec(payload, &mut self.decoded[..packet]) {
                let made = made.min(packet);
                if made > 0 {
                    let Self { sync, expand, decoded, .. } = self;
                    // The beginning may have been made up already.
                    let sound = &mut decoded[made.saturating_sub(samples)..made];
                    expand.merge(sound, self.rate as usize / 200);
                    let kind = FrameKind::Decoded;
                    let count =
                        sync.append(sound.len(), kind, next.arrival, |to| to.copy_from_slice(&sound[..to.len()]));
                    self.next_time += count as u64;
                    self.ahead = 0;
                    self.stats.recovered += 1;
                    return;
                }
            }
        }
        let made = self.decode_lost(samples);
        if made > 0 {
            self.next_time += made as u64;
            return;
        }
        let bridge = self.rate as usize * BRIDGE_MAX_US / 1_000_000;
        if samples > bridge {
            let count = wanted.min(samples - bridge);
            self.extend(count, FrameKind::Concealed);
            self.next_time += count as u64;
            return;
        }
        self.bridge_to(next, samples);
    }

    /// Fills the gap from both of its ends.
    fn bridge_to(&mut self, next: &Entry, samples: usize) {
        // Counted here, because the packet after the gap is decoded with it.
        self.pass_missing(next.arrival, next);
        let room = self.sync.room();
        self.decode(next, samples.min(room));
    }

    /// Appends what the codec makes up itself for one packet, at most `most` samples, and says how many.
    fn decode_lost(&mut self, most: usize) -> usize {
        let Self { sync, decoder, decoded, .. } = self;
        let packet = self.packet.min(decoded.len());
        let Some(made) = decoder.decode_lost(&mut decoded[..packet]) else { return 0 };
        let made = made.min(packet).min(most);
        sync.append(made, FrameKind::Concealed, 0, |to| to.copy_from_slice(&decoded[..to.len()]))
    }

    /// Appends silence on purpose: the sound before it fades, and what the far end said of its silence takes its place.
    fn rest(&mut self, samples: usize) {
        let Self { sync, expand, noise, noisy, .. } = self;
        expand.begin(sync.newest());
        sync.append(samples, FrameKind::Silence, 0, |to| {
            expand.extend(to);
            if *noisy {
                noise.add(to);
            }
        });
    }

    /// Appends a continuation of the sound before the gap.
    fn extend(&mut self, samples: usize, kind: FrameKind) {
        let Self { sync, expand, .. } = self;
        expand.begin(sync.newest());
        sync.append(samples, kind, 0, |to| expand.extend(to));
    }
}
