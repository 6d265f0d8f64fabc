//! Conferences: every leg in one hears all others and not itself (N-1), whichever workers serve them.
//!
//! Legs of different workers tick at different moments and wait for nobody, so each leaves its frames in a small ring of
//! its own, from which every other one takes one frame a tick, a frame behind the newest: who ticks a little late is
//! heard all the same. A ring has one writer and any number of readers; whoever reads while it is written over notices
//! and hears nothing of that frame.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};

use trunkline_dsp::mix::Mixer;
use trunkline_dsp::resample::Resampler;

use crate::error::MediaError;

/// The most legs of a conference.
pub const MAX_CONFERENCE: usize = 32;
/// Frames that a member's ring remembers.
const RING: u64 = 4;
/// Samples of a frame at most: 20 ms at 16 kHz.
const SAMPLES: usize = 320;
/// Samples that travel together.
const PACKED: usize = 4;
/// Rates of legs in Hz.
const RATES: [u32; 2] = [8000, 16_000];

/// A conference of at most [`MAX_CONFERENCE`] legs. Clones are the same conference; it lasts as long as anybody has one or
/// is in it.
#[derive(Debug, Clone)]
pub struct Conference(Arc<Room>);

#[derive(Debug)]
struct Room {
    members: Box<[Member]>,
}

/// A member's place: what it said last.
#[derive(Debug)]
struct Member {
    taken: AtomicBool,
    /// Its frames so far; the newest has this number.
    head: AtomicU64,
    ring: [Slot; RING as usize],
}

#[derive(Debug)]
struct Slot {
    /// Twice the number of the frame in it, and one less while it is written.
    version: AtomicU64,
    rate: AtomicU32,
    samples: [AtomicU64; SAMPLES / PACKED],
}

impl Conference {
    /// A conference for `legs` of them, 2..=[`MAX_CONFERENCE`]; other numbers are taken to the nearer end. Takes 3 kB a leg.
    #[must_use]
    pub fn new(legs: usize) -> Self {
        let slot = || Slot {
            version: AtomicU64::new(0),
            rate: AtomicU32::new(0),
            samples: std::array::from_fn(|_| AtomicU64::new(0)),
        };
        let member =
            || Member { taken: AtomicBool::new(false), head: AtomicU64::new(0), ring: std::array::from_fn(|_| slot()) };
        let members = (0..legs.clamp(2, MAX_CONFERENCE)).map(|_| member()).collect();
        Self(Arc::new(Room { members }))
    }

    /// Legs in it.
    #[must_use]
    pub fn legs(&self) -> usize {
        self.0.members.iter().filter(|member| member.taken.load(Ordering::Acquire)).count()
    }

    /// A place for a leg whose sound has `rate` Hz. Allocates.
    pub(crate) fn seat(&self, rate: u32) -> Result<ConferenceSeat, MediaError> {
        let free =
            |member: &Member| member.taken.compare_exchange(false, true, Ordering::AcqRel, Ordering::Acquire).is_ok();
        let own =
            self.0.members.iter().position(free).ok_or(MediaError::ConferenceFull { legs: self.0.members.len() })?;
        // From here on the place is given back by dropping the seat.
        let other = if rate == RATES[0] { RATES[1] } else { RATES[0] };
        let unknown = MediaError::Config { setting: "codec", problem: "has a rate that cannot be mixed" };
        let seat = ConferenceSeat {
            room: Arc::clone(&self.0),
            own,
            rate,
            other,
            resampler: Resampler::new(other, rate).map_err(|_| {
                self.0.members[own].taken.store(false, Ordering::Release);
                unknown
            })?,
            mixers: [Mixer::new(), Mixer::new()],
            heard: self.0.members.iter().map(|member| member.head.load(Ordering::Acquire)).collect(),
            frame: [0; SAMPLES],
            mixed: [0; SAMPLES],
        };
        Ok(seat)
    }
}

/// A leg's place in a conference, owned by the worker that serves the leg.
#[derive(Debug)]
pub(crate) struct ConferenceSeat {
    room: Arc<Room>,
    own: usize,
    rate: u32,
    other: u32,
    /// From the other rate.
    resampler: Resampler,
    /// Of the frames of the leg's own rate and of the other.
    mixers: [Mixer; 2],
    /// The number of each member's frame that was heard last.
    heard: Box<[u64]>,
    frame: [i16; SAMPLES],
    mixed: [i16; SAMPLES],
}

impl ConferenceSeat {
    /// Leaves 20 ms of the leg's sound for the others; allocates nothing.
    pub(crate) fn say(&mut self, pcm: &[i16]) {
        let Some(member) = self.room.members.get(self.own) else { return };
        let number = member.head.load(Ordering::Relaxed) + 1;
        member.ring[(number % RING) as usize].write(number, self.rate, pcm);
        member.head.store(number, Ordering::Release);
    }

    /// Adds 20 ms of all others to `out`, a frame at the leg's rate; allocates nothing. True when anybody was heard.
    pub(crate) fn hear(&mut self, out: &mut [i16]) -> bool {
        let others = (self.other / 50) as usize;
        let [same, different] = &mut self.mixers;
        same.begin(out.len());
        different.begin(others);
        let (mut any, mut any_different) = (false, false);
        for (index, (member, heard)) in self.room.members.iter().zip(&mut self.heard).enumerate() {
            if index == self.own {
                continue;
            }
            let head = member.head.load(Ordering::Acquire);
            if head > *heard + RING - 1 {
                // Another member, or one that ticks anew: a frame behind its newest.
                *heard = head - 2;
            }
            if head == *heard {
                continue;
            }
            *heard += 1;
            let Some((rate, samples)) = member.ring[(*heard % RING) as usize].read(*heard, &mut self.frame) else {
                continue;
            };
            let pcm = &self.frame[..samples];
            any = true;
            if rate == self.rate {
                same.add(pcm);
            } else {
                any_different = true;
                different.add(pcm);
            }
        }
        let room = &mut self.frame[..others.min(SAMPLES)];
        // Always, so that the filter's memory follows a member that falls silent.
        different.mix(0, None, room);
        let mut brought = [0; SAMPLES + PACKED];
        let made = self.resampler.process(room, &mut brought);
        if any_different {
            same.add(&brought[..made.min(out.len())]);
        }
        if any {
            same.add(out);
            let mixed = &mut self.mixed[..out.len().min(SAMPLES)];
            let length = same.mix(0, None, mixed);
            out[..length].copy_from_slice(&mixed[..length]);
        }
        any
    }
}

impl ConferenceSeat {
    /// Gives the place back, once.
    pub(crate) fn leave(&mut self) {
        if let Some(member) = self.room.members.get(std::mem::replace(&mut self.own, usize::MAX)) {
            member.taken.store(false, Ordering::Release);
        }
    }
}

impl Drop for ConferenceSeat {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Slot {
    fn write(&self, number: u64, rate: u32, pcm: &[i16]) {
        self.version.store(2 * number - 1, Ordering::Relaxed);
        fence(Ordering::Release);
        self.rate.store(rate, Ordering::Relaxed);
        let silence = std::iter::repeat(&0);
        let mut samples = pcm.iter().chain(silence);
        for packed in &self.samples {
            let four =
                std::array::from_fn::<u64, PACKED, _>(|_| u64::from(samples.next().map_or(0, |s| s.cast_unsigned())));
            packed.store(four[0] | four[1] << 16 | four[2] << 32 | four[3] << 48, Ordering::Relaxed);
        }
        self.version.store(2 * number, Ordering::Release);
    }

    /// The frame of that number; `None` when it is being written over.
    fn read(&self, number: u64, out: &mut [i16; SAMPLES]) -> Option<(u32, usize)> {
        if self.version.load(Ordering::Acquire) != 2 * number {
            return None;
        }
        let rate = self.rate.load(Ordering::Relaxed);
        for (four, packed) in out.chunks_exact_mut(PACKED).zip(&self.samples) {
            let packed = packed.load(Ordering::Relaxed);
            for (n, sample) in four.iter_mut().enumerate() {
                *sample = ((packed >> (16 * n)) as u16).cast_signed();
            }
        }
        fence(Ordering::Acquire);
        let whole = self.version.load(Ordering::Relaxed) == 2 * number;
        whole.then_some((rate, ((rate / 50) as usize).min(SAMPLES)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tick(seats: &mut [ConferenceSeat], levels: &[i16], heard: &mut [Vec<i16>]) {
        for (seat, heard) in seats.iter_mut().zip(heard) {
            let mut out = vec![0; seat.rate as usize / 50];
            seat.hear(&mut out);
            *heard = out;
        }
        for (seat, level) in seats.iter_mut().zip(levels) {
            seat.say(&vec![*level; seat.rate as usize / 50]);
        }
    }

    #[test]
    fn everybody_hears_all_others_and_not_itself_at_any_rate() {
        let conference = Conference::new(3);
        let mut seats: Vec<_> = [8000, 8000, 16_000].map(|rate| conference.seat(rate).unwrap()).into();
        assert_eq!(conference.legs(), 3);
        assert!(matches!(conference.seat(8000), Err(MediaError::ConferenceFull { legs: 3 })));
        let mut heard = vec![Vec::new(); 3];
        for _ in 0..10 {
            tick(&mut seats, &[100, 1000, 10_000], &mut heard);
        }
        for (heard, expected) in heard.iter().zip([11_000, 10_100, 1100]) {
            let middle = heard[heard.len() / 2];
            assert!((i32::from(middle) - expected).abs() < expected / 50, "{middle} instead of {expected}");
        }
        // Who leaves is not heard any more, and makes room.
        drop(seats.pop());
        for _ in 0..3 {
            tick(&mut seats, &[100, 1000], &mut heard);
        }
        assert_eq!((heard[0][80], heard[1][80]), (1000, 100));
        assert!(conference.seat(16_000).is_ok());
    }

    #[test]
    fn what_the_agent_says_stays_and_a_sum_too_loud_is_turned_down() {
        let conference = Conference::new(3);
        let mut seats: Vec<_> = (0..3).map(|_| conference.seat(8000).unwrap()).collect();
        let mut out = [500; 160];
        for _ in 0..5 {
            seats[1].say(&[25_000; 160]);
            seats[2].say(&[25_000; 160]);
            out = [500; 160];
            assert!(seats[0].hear(&mut out));
        }
        assert!(out[100] > 30_000, "{}", out[100]);
        let mut quiet = [500; 160];
        for _ in 0..3 {
            seats[0].hear(&mut quiet);
        }
        let mut alone = [500; 160];
        assert!(!seats[0].hear(&mut alone));
        assert_eq!(alone, [500; 160]);
    }

    #[test]
    fn ticks_that_wander_by_less_than_a_frame_lose_nothing() {
        let conference = Conference::new(2);
        let (mut speaker, mut listener) = (conference.seat(8000).unwrap(), conference.seat(8000).unwrap());
        let (mut heard, mut said) = (Vec::new(), 0_i16);
        // Each tick the one may come before the other or after it.
        for n in 0..200 {
            let speaker_first = n * 7919 % 13 < 6;
            let speak = |speaker: &mut ConferenceSeat, said: &mut i16| {
                *said += 1;
                speaker.say(&[*said; 160]);
            };
            if speaker_first {
                speak(&mut speaker, &mut said);
            }
            let mut out = [0; 160];
            if listener.hear(&mut out) {
                heard.push(out[0]);
            }
            if !speaker_first {
                speak(&mut speaker, &mut said);
            }
        }
        assert!(heard.windows(2).all(|pair| pair[1] == pair[0] + 1), "{heard:?}");
        assert!(heard.len() >= 197, "{}", heard.len());
    }

    #[test]
    fn frames_are_heard_whole_or_not_at_all_while_others_write() {
        let conference = Conference::new(2);
        let (mut speaker, mut listener) = (conference.seat(8000).unwrap(), conference.seat(8000).unwrap());
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut n = 0_i16;
            while !stopped.load(Ordering::Relaxed) {
                // Quiet enough that no mix is turned down.
                n = n % 10_000 + 1;
                speaker.say(&[n; 160]);
            }
        });
        let mut times = 0;
        while times < 20_000 {
            let mut out = [0; 160];
            if listener.hear(&mut out) {
                times += 1;
                assert!(out.iter().all(|sample| *sample == out[0]), "a frame of two moments");
            }
        }
        stop.store(true, Ordering::Relaxed);
        thread.join().unwrap();
    }
}
