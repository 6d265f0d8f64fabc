//! Silence and end-of-speech timers on top of voice activity.
//!
//! A state machine that is told what was heard and when, and asked for events; it reads no clock. Times are `u64`
//! microseconds on any clock that does not run backwards.

use crate::vad::Activity;

/// When to speak of an end or of silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndpointConfig {
    /// Speech shorter than this is no speech (a click, a cough), in ms; 0 believes the detector at once.
    pub min_speech_ms: u32,
    /// Speech has ended after this long without any, in ms.
    pub end_of_speech_ms: u32,
    /// Silence is reported this long after the call began or speech ended, in ms, and again after as long; 0 never.
    pub silence_ms: u32,
}

impl Default for EndpointConfig {
    fn default() -> Self {
        Self { min_speech_ms: 40, end_of_speech_ms: 500, silence_ms: 8000 }
    }
}

/// What happened. Times are microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointEvent {
    /// Somebody speaks.
    SpeechStarted {
        /// End of the first frame with speech: before the event by `min_speech_ms`.
        at_us: u64,
    },
    /// Nobody has spoken for `end_of_speech_ms`.
    SpeechEnded {
        /// When the last speech was heard: before the event by `end_of_speech_ms`.
        at_us: u64,
    },
    /// Nobody has spoken for `silence_ms`, or for that long again.
    Silence {
        /// Since when: the end of the last speech, or the beginning.
        since_us: u64,
    },
}

/// Verdicts on frames that belong together come at least this often, in microseconds.
const MAX_FRAME_US: u64 = 60_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Quiet,
    /// Speech since, heard last at, not yet believed.
    Maybe {
        since_us: u64,
        last_us: u64,
    },
    /// Speech since, heard last at.
    Speech {
        since_us: u64,
        last_us: u64,
    },
}

/// One call's timers.
#[derive(Debug, Clone)]
pub struct Endpointer {
    config: EndpointConfig,
    state: State,
    now_us: u64,
    quiet_since_us: u64,
    silence_at_us: Option<u64>,
    events: [Option<EndpointEvent>; 4],
}

impl Endpointer {
    /// Begins in quiet at `now_us`.
    #[must_use]
    pub fn new(config: EndpointConfig, now_us: u64) -> Self {
        let mut this = Self {
            config,
            state: State::Quiet,
            now_us,
            quiet_since_us: now_us,
            silence_at_us: None,
            events: [None; 4],
        };
        this.arm_silence(now_us);
        this
    }

    /// Takes in the verdict on a frame that ended at `now_us`. A time before an earlier one counts as that one.
    pub fn handle_activity(&mut self, now_us: u64, activity: &Activity) {
        self.handle_timeout(now_us);
        let now_us = self.now_us;
        if activity.speech {
            match self.state {
                State::Quiet => self.hear(now_us, now_us),
                State::Maybe { since_us, .. } => self.hear(since_us, now_us),
                State::Speech { since_us, .. } => self.state = State::Speech { since_us, last_us: now_us },
            }
        } else if matches!(self.state, State::Maybe { .. }) {
            self.state = State::Quiet;
        }
    }

    /// Lets time pass without a verdict (packets are missing, a sender uses DTX).
    pub fn handle_timeout(&mut self, now_us: u64) {
        self.now_us = self.now_us.max(now_us);
        if let State::Maybe { last_us, .. } = self.state
            && self.now_us > last_us.saturating_add(MAX_FRAME_US)
        {
            // Two clicks with nothing known between them are no speech.
            self.state = State::Quiet;
        }
        if let State::Speech { last_us, .. } = self.state
            && self.now_us >= last_us.saturating_add(us(self.config.end_of_speech_ms))
        {
            self.state = State::Quiet;
            self.quiet_since_us = last_us;
            self.arm_silence(last_us);
            self.push(EndpointEvent::SpeechEnded { at_us: last_us });
        }
        if let Some(at_us) = self.silence_at_us
            && !matches!(self.state, State::Speech { .. })
            && self.now_us >= at_us
        {
            // Periods that passed unseen are told of once.
            let period = us(self.config.silence_ms);
            let passed = (self.now_us - at_us) / period.max(1);
            self.silence_at_us = Some(at_us.saturating_add(passed.saturating_add(1).saturating_mul(period)));
            self.push(EndpointEvent::Silence { since_us: self.quiet_since_us });
        }
    }

    /// The next event, in the order in which they happened. Ask after every `handle_`: only the last four are kept.
    pub fn poll_event(&mut self) -> Option<EndpointEvent> {
        let event = self.events[0].take();
        self.events.rotate_left(1);
        event
    }

    /// When [`Self::handle_timeout`] is due at the latest, in microseconds.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<u64> {
        match self.state {
            State::Speech { last_us, .. } => Some(last_us.saturating_add(us(self.config.end_of_speech_ms))),
            State::Quiet | State::Maybe { .. } => self.silence_at_us,
        }
    }

    /// Whether somebody speaks, between [`EndpointEvent::SpeechStarted`] and [`EndpointEvent::SpeechEnded`].
    #[must_use]
    pub const fn is_speech(&self) -> bool {
        matches!(self.state, State::Speech { .. })
    }

    /// For how long somebody has been speaking, in microseconds; 0 while nobody does.
    #[must_use]
    pub const fn speech_us(&self) -> u64 {
        match self.state {
            State::Speech { since_us, .. } => self.now_us - since_us,
            State::Quiet | State::Maybe { .. } => 0,
        }
    }

    /// Time since speech was heard last, or since the beginning, in microseconds. Sound that is not yet believed to be
    /// speech does not end it.
    #[must_use]
    pub const fn silence_us(&self) -> u64 {
        match self.state {
            State::Speech { last_us, .. } => self.now_us - last_us,
            State::Quiet | State::Maybe { .. } => self.now_us - self.quiet_since_us,
        }
    }

    /// Other times from now on. What they make overdue is told of by the next `handle_`.
    pub fn set_config(&mut self, config: EndpointConfig) {
        self.config = config;
        self.arm_silence(self.quiet_since_us);
    }

    fn hear(&mut self, since_us: u64, now_us: u64) {
        if now_us - since_us >= us(self.config.min_speech_ms) {
            self.state = State::Speech { since_us, last_us: now_us };
            self.push(EndpointEvent::SpeechStarted { at_us: since_us });
        } else {
            self.state = State::Maybe { since_us, last_us: now_us };
        }
    }

    fn arm_silence(&mut self, from_us: u64) {
        let period = us(self.config.silence_ms);
        self.silence_at_us = (period > 0).then(|| from_us.saturating_add(period));
    }

    fn push(&mut self, event: EndpointEvent) {
        let free = self.events.iter().position(Option::is_none).unwrap_or_else(|| {
            self.events.rotate_left(1);
            self.events.len() - 1
        });
        self.events[free] = Some(event);
    }
}

fn us(ms: u32) -> u64 {
    u64::from(ms) * 1000
}
