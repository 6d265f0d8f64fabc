//! Whether a trunk can be reached: OPTIONS now and then, and what its answers say (RFC 3261 11, 21.5.4). One lost answer
//! changes little, three say that it is down, and two answers in a row that it is back.

use std::collections::VecDeque;

use crate::draw::Draw;

/// Longest Retry-After that is believed, in seconds.
const MOST_RETRY_AFTER_S: u32 = 3600;

/// How a trunk is looked after. Times in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HealthConfig {
    /// Time between two OPTIONS, a tenth more or less; 1000 to 3 600 000.
    pub interval_ms: u64,
    /// How long an answer may take.
    pub answer_ms: u64,
    /// An answer that took longer counts as slow.
    pub slow_ms: u64,
    /// Failures in a row after which it is down.
    pub fall: u32,
    /// Good answers in a row after which it is up again.
    pub rise: u32,
}

impl Default for HealthConfig {
    fn default() -> Self {
        Self { interval_ms: 30_000, answer_ms: 4_000, slow_ms: 1_000, fall: 3, rise: 2 }
    }
}

/// How a trunk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HealthState {
    /// Nothing came back yet; calls may be tried.
    Unknown,
    /// It answers.
    Up,
    /// It answers late, or did not answer the last time; calls may be tried.
    Degraded,
    /// No calls go there.
    Down,
}

impl HealthState {
    /// Its name in metrics and events.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Degraded => "degraded",
            Self::Down => "down",
        }
    }
}

/// Why a state changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HealthReason {
    /// It answered in time.
    Answered,
    /// It answered late.
    Slow,
    /// It did not answer.
    Silent,
    /// It answered that it, or what is behind it, cannot serve.
    Status(u16),
    /// It asked to be left alone for so many seconds (503 with Retry-After).
    RetryAfter(u32),
}

/// A change of state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HealthEvent {
    /// What it was.
    pub from: HealthState,
    /// What it is.
    pub to: HealthState,
    /// Why.
    pub why: HealthReason,
}

/// An OPTIONS to send, named by its CSeq.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ping(pub u32);

/// The health of one target of a trunk.
#[derive(Debug)]
pub struct Health {
    config: HealthConfig,
    draw: Draw,
    state: HealthState,
    cseq: u32,
    asked: Option<Asked>,
    /// When the next OPTIONS is due.
    next_ms: u64,
    good: u32,
    bad: u32,
    /// It asked to be left alone until then.
    left_alone: bool,
    transmits: VecDeque<Ping>,
    events: VecDeque<HealthEvent>,
}

#[derive(Debug, Clone, Copy)]
struct Asked {
    at_ms: u64,
}

enum Answer {
    Good,
    Slow,
    Bad,
}

impl Health {
    /// Begins at a time within the first interval, so that not every trunk is asked at once.
    #[must_use]
    pub fn new(config: HealthConfig, now_ms: u64, mut draw: Draw) -> Self {
        let interval_ms = config.interval_ms.clamp(1000, 3_600_000);
        let config = HealthConfig { interval_ms, fall: config.fall.max(1), rise: config.rise.max(1), ..config };
        let next_ms = now_ms + draw.up_to(interval_ms.min(5000));
        Self {
            config,
            draw,
            state: HealthState::Unknown,
            cseq: 0,
            asked: None,
            next_ms,
            good: 0,
            bad: 0,
            left_alone: false,
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// How it is.
    #[must_use]
    pub const fn state(&self) -> HealthState {
        self.state
    }

    /// Whether calls may be placed.
    #[must_use]
    pub const fn takes_calls(&self) -> bool {
        !matches!(self.state, HealthState::Down)
    }

    /// The final answer to an OPTIONS. Anything final shows that somebody is there: 404 and 405 are answers too.
    pub fn handle_answer(&mut self, now_ms: u64, ping: Ping, status: u16, retry_after_s: Option<u32>) {
        let Some(asked) = self.asked.take_if(|_| ping.0 == self.cseq) else { return };
        let took_ms = now_ms.saturating_sub(asked.at_ms);
        match (status, retry_after_s) {
            (503, Some(seconds)) => self.leave_alone(now_ms, seconds.clamp(1, MOST_RETRY_AFTER_S)),
            (408 | 500..=599, _) => self.note(now_ms, &Answer::Bad, HealthReason::Status(status)),
            _ if took_ms > self.config.slow_ms => self.note(now_ms, &Answer::Slow, HealthReason::Slow),
            _ => self.note(now_ms, &Answer::Good, HealthReason::Answered),
        }
    }

    /// An OPTIONS could not be sent, or its transaction ended without an answer.
    pub fn handle_no_answer(&mut self, now_ms: u64, ping: Ping) {
        if self.asked.take_if(|_| ping.0 == self.cseq).is_some() {
            self.note(now_ms, &Answer::Bad, HealthReason::Silent);
        }
    }

    /// A call over the trunk was answered or refused by it, or died without a word: as good as an OPTIONS.
    pub fn handle_call(&mut self, answered: bool) {
        if self.left_alone {
            return;
        }
        let (answer, why) =
            if answered { (Answer::Good, HealthReason::Answered) } else { (Answer::Bad, HealthReason::Silent) };
        self.judge(&answer, why);
    }

    /// Carries out what is due.
    pub fn handle_timeout(&mut self, now_ms: u64) {
        if let Some(asked) = self.asked {
            if now_ms.saturating_sub(asked.at_ms) >= self.config.answer_ms {
                self.asked = None;
                self.note(now_ms, &Answer::Bad, HealthReason::Silent);
            }
        } else if self.next_ms <= now_ms {
            self.left_alone = false;
            self.cseq = self.cseq.wrapping_add(1);
            self.asked = Some(Asked { at_ms: now_ms });
            self.transmits.clear();
            self.transmits.push_back(Ping(self.cseq));
        }
    }

    /// When [`Health::handle_timeout`] is to be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> u64 {
        self.asked.map_or(self.next_ms, |asked| asked.at_ms + self.config.answer_ms)
    }

    /// What is to be sent.
    pub fn poll_transmit(&mut self) -> Option<Ping> {
        self.transmits.pop_front()
    }

    /// What changed.
    pub fn poll_event(&mut self) -> Option<HealthEvent> {
        self.events.pop_front()
    }

    fn leave_alone(&mut self, now_ms: u64, seconds: u32) {
        (self.good, self.bad, self.left_alone) = (0, self.config.fall, true);
        self.become_state(HealthState::Down, HealthReason::RetryAfter(seconds));
        self.next_ms = now_ms + u64::from(seconds) * 1000;
    }

    /// Judges an answer to an OPTIONS and says when the next one is due.
    fn note(&mut self, now_ms: u64, answer: &Answer, why: HealthReason) {
        self.judge(answer, why);
        let interval_ms = self.config.interval_ms;
        // While it is in doubt it is asked more often: whether it is down should be known soon.
        let in_doubt = matches!(self.state, HealthState::Degraded | HealthState::Unknown)
            || self.state == HealthState::Down && self.good > 0;
        let base_ms = if in_doubt { (interval_ms / 4).max(1000) } else { interval_ms };
        self.next_ms = now_ms + self.draw.between(base_ms / 10 * 9, base_ms / 10 * 11);
    }

    fn judge(&mut self, answer: &Answer, why: HealthReason) {
        let HealthConfig { fall, rise, .. } = self.config;
        match answer {
            Answer::Bad => (self.good, self.bad) = (0, self.bad.saturating_add(1)),
            Answer::Good => (self.good, self.bad) = (self.good.saturating_add(1), 0),
            // It is there, so it does not fall; it is late, so it does not rise.
            Answer::Slow => (self.good, self.bad) = (0, 0),
        }
        let next = match (self.state, answer) {
            (HealthState::Unknown | HealthState::Up | HealthState::Degraded, Answer::Bad) if self.bad >= fall => {
                HealthState::Down
            }
            (HealthState::Up, Answer::Bad) => HealthState::Degraded,
            (HealthState::Unknown, Answer::Good) => HealthState::Up,
            (HealthState::Degraded | HealthState::Down, Answer::Good) if self.good >= rise => HealthState::Up,
            (HealthState::Unknown | HealthState::Up | HealthState::Down, Answer::Slow) => HealthState::Degraded,
            (same, _) => same,
        };
        self.become_state(next, why);
    }

    fn become_state(&mut self, to: HealthState, why: HealthReason) {
        let from = std::mem::replace(&mut self.state, to);
        if from != to {
            self.events.push_back(HealthEvent { from, to, why });
        }
    }
}
