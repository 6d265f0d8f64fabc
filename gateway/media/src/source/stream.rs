//! The synchronisation source being played (RFC 3550 5.1, 8), and what it takes to play another.
//!
//! Another one may follow as soon as the one being played has fallen silent, as often as a token bucket allows: music
//! on hold, a transfer and an announcement each bring their own. While the one being played is heard, nobody else is,
//! and whoever was played before and goes on where it stopped is taken back: a forged packet in a pause does not
//! deafen the call.

/// Packets in sequence before another source is played (RFC 3550 A.1).
const MIN_SEQUENTIAL: u8 = 2;
/// Forward steps of the sequence number that still continue a stream (RFC 3550 A.1).
const MAX_DROPOUT: u16 = 3000;
/// Backward steps that are reordering.
const MAX_MISORDER: u16 = 100;
/// Changes in a burst, and time after which another may be spent, in microseconds.
pub(super) const TOKENS: u32 = 8;
pub(super) const REFILL_US: u64 = 2_000_000;
/// A source is silent after three of its packet intervals, within these bounds in microseconds.
const SILENT_PACKETS: u64 = 3;
const SILENT_MIN_US: u64 = 60_000;
const SILENT_MAX_US: u64 = 200_000;
/// Whoever was played for less than this leaves the one before it the right to come back, in microseconds.
const SETTLED_US: u64 = 2_000_000;

/// What a packet's source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    /// The one being played.
    Same,
    /// Another, played from this packet on.
    New,
    /// Another that is not played.
    Other,
}

#[derive(Debug, Clone, Copy)]
struct Source {
    ssrc: u32,
    highest: u16,
    since: u64,
    heard: u64,
    interval_us: u64,
    ended: bool,
}

#[derive(Debug, Clone, Copy)]
struct Probation {
    ssrc: u32,
    next: u16,
    count: u8,
}

#[derive(Debug)]
pub(super) struct StreamGate {
    playing: Option<Source>,
    before: Option<(u32, u16)>,
    probation: Option<Probation>,
    /// The next source is believed as the first one was.
    open: bool,
    /// Somebody else was heard before.
    follows: bool,
    tokens: u32,
    refilled: u64,
}

impl StreamGate {
    pub(super) const fn new(now: u64) -> Self {
        Self { playing: None, before: None, probation: None, open: true, follows: false, tokens: TOKENS, refilled: now }
    }

    /// The same behind somebody else: whatever comes first is another stream, though it should have the same number.
    pub(super) const fn behind(now: u64) -> Self {
        Self { follows: true, ..Self::new(now) }
    }

    pub(super) const fn playing(&self) -> Option<u32> {
        match self.playing {
            Some(source) => Some(source.ssrc),
            None => None,
        }
    }

    /// Whether a packet goes on with the source being played, after any pause.
    pub(super) fn continues(&self, ssrc: u32, seq: u16) -> bool {
        self.playing.is_some_and(|playing| playing.ssrc == ssrc && follows(playing.highest, seq))
    }

    /// What was played came from elsewhere: the next packet begins a stream if it is of another.
    pub(super) fn open(&mut self) {
        self.open = true;
        self.before = None;
        self.probation = None;
    }

    pub(super) fn end(&mut self, ssrc: u32) {
        if let Some(playing) = self.playing.as_mut().filter(|playing| playing.ssrc == ssrc) {
            playing.ended = true;
        }
    }

    pub(super) fn judge(&mut self, now: u64, ssrc: u32, seq: u16) -> Stream {
        self.refill(now);
        let Some(playing) = &mut self.playing else {
            self.play(now, ssrc, seq);
            return if std::mem::take(&mut self.follows) { Stream::New } else { Stream::Same };
        };
        if playing.ssrc == ssrc {
            playing.hear(now, seq);
            self.open = false;
            return Stream::Same;
        }
        if self.open {
            self.play(now, ssrc, seq);
            return Stream::New;
        }
        if self.before.is_some_and(|(known, highest)| known == ssrc && follows(highest, seq)) {
            // No token: it can happen only as often as tokens were spent against it.
            self.play(now, ssrc, seq);
            self.before = None;
            return Stream::New;
        }
        let silent = playing.ended || now.saturating_sub(playing.heard) >= playing.silent_us();
        if self.in_sequence(ssrc, seq) && silent && self.tokens > 0 {
            self.tokens -= 1;
            self.succeed(now, ssrc, seq);
            return Stream::New;
        }
        Stream::Other
    }

    fn play(&mut self, now: u64, ssrc: u32, seq: u16) {
        self.playing =
            Some(Source { ssrc, highest: seq, since: now, heard: now, interval_us: SILENT_MIN_US / 3, ended: false });
        self.probation = None;
        self.open = false;
    }

    /// Another takes over, and the last one that was more than an intruder may come back.
    fn succeed(&mut self, now: u64, ssrc: u32, seq: u16) {
        let settled = |playing: &Source| self.before.is_none() || now.saturating_sub(playing.since) >= SETTLED_US;
        if let Some(playing) = self.playing.filter(settled) {
            self.before = Some((playing.ssrc, playing.highest));
        }
        self.play(now, ssrc, seq);
    }

    fn in_sequence(&mut self, ssrc: u32, seq: u16) -> bool {
        let count = match self.probation {
            Some(known) if known.ssrc == ssrc && known.next == seq => known.count.saturating_add(1),
            _ => 1,
        };
        self.probation = Some(Probation { ssrc, next: seq.wrapping_add(1), count });
        count >= MIN_SEQUENTIAL
    }

    fn refill(&mut self, now: u64) {
        let earned = now.saturating_sub(self.refilled) / REFILL_US;
        if earned > 0 {
            self.refilled += earned * REFILL_US;
            self.tokens = u32::try_from(earned).unwrap_or(TOKENS).saturating_add(self.tokens).min(TOKENS);
        }
    }
}

impl Source {
    fn hear(&mut self, now: u64, seq: u16) {
        let gap = now.saturating_sub(self.heard);
        if gap < SILENT_MAX_US {
            self.interval_us = (self.interval_us * 7 + gap) / 8;
        }
        self.heard = self.heard.max(now);
        self.ended = false;
        let ahead = seq.wrapping_sub(self.highest);
        // Far behind is a restart, not reordering.
        if ahead < 0x8000 || ahead < 0_u16.wrapping_sub(MAX_MISORDER) {
            self.highest = seq;
        }
    }

    fn silent_us(&self) -> u64 {
        (SILENT_PACKETS * self.interval_us).clamp(SILENT_MIN_US, SILENT_MAX_US)
    }
}

fn follows(highest: u16, seq: u16) -> bool {
    let ahead = seq.wrapping_sub(highest);
    (1..=MAX_DROPOUT).contains(&ahead)
}
