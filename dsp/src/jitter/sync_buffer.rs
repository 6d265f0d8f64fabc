//! The sync buffer: the newest sound played, and sound that is decoded or made up and waits to be played.

use super::FrameKind;

/// Stretches of different origin that may wait at once; more are counted with their neighbour.
const SPANS: usize = 32;

/// A run of waiting samples of one origin.
#[derive(Debug, Clone, Copy, Default)]
struct Span {
    samples: usize,
    kind: FrameKind,
    arrival: u64,
}

/// What the taken samples were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) decoded: usize,
    pub(super) concealed: usize,
    pub(super) silent: usize,
    /// Arrival of the newest packet among them.
    pub(super) arrival: Option<u64>,
}

#[derive(Debug)]
pub(super) struct SyncBuffer {
    samples: Box<[i16]>,
    history: usize,
    waiting: usize,
    spans: [Span; SPANS],
    span_count: usize,
}

impl SyncBuffer {
    pub(super) fn new(history: usize, capacity: usize) -> Self {
        Self {
            samples: vec![0; history + capacity].into_boxed_slice(),
            history,
            waiting: 0,
            spans: [Span::default(); SPANS],
            span_count: 0,
        }
    }

    /// Takes the newest of `sound` at `from` Hz for what was played last, at `to` Hz.
    pub(super) fn remember(&mut self, sound: &[i16], from: u32, to: u32) {
        let step = f64::from(from) / f64::from(to.max(1));
        for (age, slot) in self.samples[..self.history].iter_mut().rev().enumerate() {
            // Between the two samples that are nearest; before the oldest is silence.
            let back = age as f64 * step;
            let (whole, part) = (back as usize, (back % 1.0) as f32);
            let at = |age: usize| sound.len().checked_sub(age + 1).map_or(0.0, |index| f32::from(sound[index]));
            *slot = (at(whole) + (at(whole + 1) - at(whole)) * part) as i16;
        }
    }

    /// Samples that wait.
    pub(super) const fn waiting(&self) -> usize {
        self.waiting
    }

    /// Samples that still fit.
    pub(super) const fn room(&self) -> usize {
        self.samples.len() - self.history - self.waiting
    }

    /// Sound up to the last waiting sample: at least the history, newest last.
    pub(super) fn newest(&self) -> &[i16] {
        let end = self.history + self.waiting;
        &self.samples[end - self.history..end]
    }

    /// Sound around the next sample to be played: the samples before it and the waiting ones from it on.
    pub(super) fn around(&self) -> (&[i16], &[i16]) {
        self.samples[..self.history + self.waiting].split_at(self.history)
    }

    /// Appends what `write` puts into the next `samples` (fewer when there is no room), and says how many.
    pub(super) fn append(
        &mut self,
        samples: usize,
        kind: FrameKind,
        arrival: u64,
        write: impl FnOnce(&mut [i16]),
    ) -> usize {
        let samples = samples.min(self.room());
        let start = self.history + self.waiting;
        write(&mut self.samples[start..start + samples]);
        self.waiting += samples;
        self.note(Span { samples, kind, arrival });
        samples
    }

    fn note(&mut self, span: Span) {
        let last = self.span_count.checked_sub(1).map(|n| &mut self.spans[n]);
        match last {
            Some(last) if last.kind == span.kind && last.arrival == span.arrival => last.samples += span.samples,
            Some(last) if self.span_count == SPANS => {
                last.samples += span.samples;
                last.arrival = last.arrival.max(span.arrival);
            }
            _ => {
                self.spans[self.span_count] = span;
                self.span_count += 1;
            }
        }
    }

    /// Takes the next samples; the rest of `out` is silent when fewer wait.
    pub(super) fn take(&mut self, out: &mut [i16]) -> Taken {
        let count = out.len().min(self.waiting);
        out[..count].copy_from_slice(&self.samples[self.history..self.history + count]);
        out[count..].fill(0);
        let end = self.history + self.waiting;
        self.samples.copy_within(count..end, 0);
        self.waiting -= count;
        let taken = self.leave(count);
        Taken { silent: taken.silent + (out.len() - count), ..taken }
    }

    /// Takes the first `count` waiting samples out of the spans.
    fn leave(&mut self, mut count: usize) -> Taken {
        let mut taken = Taken::default();
        let mut gone = 0;
        for span in &mut self.spans[..self.span_count] {
            let part = span.samples.min(count);
            if part > 0 {
                match span.kind {
                    FrameKind::Decoded => {
                        taken.decoded += part;
                        taken.arrival = taken.arrival.max(Some(span.arrival));
                    }
                    FrameKind::Concealed => taken.concealed += part,
                    FrameKind::Silence | FrameKind::Waiting => taken.silent += part,
                }
            }
            span.samples -= part;
            count -= part;
            if span.samples > 0 {
                break;
            }
            gone += 1;
        }
        self.spans.copy_within(gone..self.span_count, 0);
        self.span_count -= gone;
        taken
    }

    /// Replaces the first `old` waiting samples by `new`, which may be fewer or more as far as there is room.
    pub(super) fn replace(&mut self, old: usize, new: &[i16]) {
        let old = old.min(self.waiting);
        let new = &new[..new.len().min(old + self.room())];
        let (start, end) = (self.history, self.history + self.waiting);
        self.samples.copy_within(start + old..end, start + new.len());
        self.samples[start..start + new.len()].copy_from_slice(new);
        self.waiting = self.waiting - old + new.len();
        if new.len() < old {
            self.leave(old - new.len());
        } else if let Some(first) = self.spans[..self.span_count].first_mut() {
            first.samples += new.len() - old;
        }
    }

    /// Forgets what waits; the history stays.
    pub(super) const fn clear_waiting(&mut self) {
        self.waiting = 0;
        self.span_count = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sound_passes_in_order_with_its_origin() {
        let mut sync = SyncBuffer::new(4, 16);
        assert_eq!(sync.append(6, FrameKind::Decoded, 7, |to| to.copy_from_slice(&[1, 2, 3, 4, 5, 6])), 6);
        assert_eq!(sync.append(3, FrameKind::Concealed, 0, |to| to.fill(9)), 3);
        assert_eq!(sync.append(10, FrameKind::Decoded, 8, |to| to.fill(8)), 7, "no more room");
        let mut out = [0; 8];
        assert_eq!(sync.take(&mut out), Taken { decoded: 6, concealed: 2, silent: 0, arrival: Some(7) });
        assert_eq!(out, [1, 2, 3, 4, 5, 6, 9, 9]);
        assert_eq!(sync.around().0, [5, 6, 9, 9]);
        assert_eq!(sync.waiting(), 8);
        sync.replace(3, &[1]);
        assert_eq!(sync.around().1, [1, 8, 8, 8, 8, 8]);
        sync.replace(1, &[3, 3, 3]);
        assert_eq!(sync.take(&mut out), Taken { decoded: 8, concealed: 0, silent: 0, arrival: Some(8) });
        assert_eq!(out, [3, 3, 3, 8, 8, 8, 8, 8]);
        assert_eq!(sync.take(&mut out).silent, 8);
    }
}
