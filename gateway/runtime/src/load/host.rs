//! A host in virtual time for tests: a side pool whose threads take turns of sessions in order, and callers who listen,
//! speak and wait for an answer. What they say must be recognised, which takes a stated time; how late the words are is what
//! they notice of the load.

use std::collections::VecDeque;

use super::{Load, LoadPolicy, Measured, SAMPLE_EVERY_US};

/// A step of virtual time, and the longest turn of a session.
const STEP_US: u64 = 2_000;
const SLICE_US: u64 = 10_000;
/// How long an agent speaks, at least and at most, and how long a caller does.
const AGENT_US: (u64, u64) = (1_500_000, 4_000_000);
const CALLER_US: (u64, u64) = (800_000, 5_000_000);
/// Time of a thread that an answer takes to be synthesised.
const VOICE_US: u64 = 15_000;

/// xorshift64*: the same callers in every run.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn next(&mut self) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32) as u32
    }

    fn between(&mut self, (least, most): (u64, u64)) -> u64 {
        least + u64::from(self.next()) % (most - least)
    }
}

enum Doing {
    /// The agent speaks until then.
    Listens(u64),
    /// The caller speaks until then.
    Speaks(u64),
    /// The caller has stopped, and waits for what was said to be recognised since then.
    Waits(u64),
}

struct Caller {
    doing: Doing,
    leaves_us: u64,
    /// Time of a thread that is owed to it, and since when it waits for a turn.
    owed_us: u64,
    waits_since_us: Option<u64>,
    on_a_thread: bool,
}

/// Who calls.
#[derive(Debug, Clone, Copy)]
pub(super) struct Crowd {
    /// Threads of the pool.
    pub(super) threads: u32,
    /// Time of a thread that a second of speech takes, in milliseconds.
    pub(super) speech_ms: u64,
    /// Callers a second.
    pub(super) a_second: f64,
    /// How long a call lasts, at least and at most, in seconds.
    pub(super) lasts_s: (u64, u64),
    /// How long there are callers, in seconds.
    pub(super) for_s: u64,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Calls that were taken and that were refused.
    pub(super) taken: u32,
    pub(super) refused: u32,
    /// The longest that anybody waited for words, microseconds.
    pub(super) worst_wait_us: u64,
    /// Answers.
    pub(super) answers: u32,
    /// Share of the threads' time that was worked, in the second half, in thousandths.
    pub(super) busy_permille: u64,
    /// How often refusals began.
    pub(super) stretches: u32,
    /// What the refused were told, in seconds.
    pub(super) retries: Vec<u32>,
}

/// Runs a crowd against a host whose calls are admitted by `policy`.
pub(super) fn run(crowd: Crowd, policy: LoadPolicy, seed: u64) -> Outcome {
    let mut random = Random::new(seed);
    let mut load = Load::new(policy, [1, crowd.threads]);
    let (mut callers, mut queue): (Vec<Option<Caller>>, VecDeque<usize>) = (Vec::new(), VecDeque::new());
    // Whom each thread serves, and until when.
    let mut threads: Vec<Option<(usize, u64)>> = (0..crowd.threads).map(|_| None).collect();
    let mut outcome = Outcome::default();
    let (mut busy_us, mut late_us, mut second_half_us) = (0, 0, 0);
    let mut refusing = false;
    let end_us = crowd.for_s * 1_000_000;
    for now_us in (0..end_us).step_by(STEP_US as usize) {
        if f64::from(random.next()) / f64::from(u32::MAX) < crowd.a_second * STEP_US as f64 / 1e6 {
            let admitted = load.admit(now_us, [1, 2], random.next());
            match admitted {
                Ok(()) => {
                    outcome.taken += 1;
                    callers.push(Some(Caller {
                        doing: Doing::Listens(now_us + random.between(AGENT_US)),
                        leaves_us: now_us + random.between((crowd.lasts_s.0 * 1_000_000, crowd.lasts_s.1 * 1_000_000)),
                        owed_us: VOICE_US,
                        waits_since_us: None,
                        on_a_thread: false,
                    }));
                }
                Err(overload) => {
                    outcome.refused += 1;
                    outcome.retries.push(overload.retry_after_s);
                    outcome.stretches += u32::from(!refusing);
                }
            }
            refusing = admitted.is_err();
        }
        for (number, place) in callers.iter_mut().enumerate() {
            let Some(caller) = place else { continue };
            match caller.doing {
                Doing::Listens(until_us) if now_us >= until_us => {
                    caller.doing = Doing::Speaks(now_us + random.between(CALLER_US));
                }
                Doing::Speaks(until_us) => {
                    caller.owed_us += STEP_US * crowd.speech_ms / 1000;
                    if now_us >= until_us {
                        caller.doing = Doing::Waits(now_us);
                    }
                }
                Doing::Waits(since_us) => {
                    outcome.worst_wait_us = outcome.worst_wait_us.max(now_us - since_us);
                    if caller.owed_us == 0 && !caller.on_a_thread {
                        outcome.answers += 1;
                        caller.owed_us = VOICE_US;
                        caller.doing = Doing::Listens(now_us + random.between(AGENT_US));
                    }
                }
                Doing::Listens(_) => {}
            }
            // A turn is asked for with every frame of sound, not with every sample of it.
            let worth_a_turn = caller.owed_us >= STEP_US / 2 || !matches!(caller.doing, Doing::Speaks(_));
            if caller.owed_us > 0 && worth_a_turn && caller.waits_since_us.is_none() && !caller.on_a_thread {
                caller.waits_since_us = Some(now_us);
                queue.push_back(number);
            }
            if now_us >= caller.leaves_us && !caller.on_a_thread && caller.waits_since_us.is_none() {
                *place = None;
            }
        }
        for thread in &mut threads {
            if let Some((number, until_us)) = *thread
                && now_us >= until_us
            {
                if let Some(caller) = &mut callers[number] {
                    caller.on_a_thread = false;
                }
                *thread = None;
            }
            if thread.is_none()
                && let Some(number) = queue.pop_front()
                && let Some(caller) = &mut callers[number]
            {
                let since_us = caller.waits_since_us.take().unwrap_or(now_us);
                late_us = late_us.max(now_us - since_us);
                let slice_us = caller.owed_us.min(SLICE_US);
                caller.owed_us -= slice_us;
                caller.on_a_thread = true;
                *thread = Some((number, now_us + slice_us));
                busy_us += slice_us;
                if now_us > end_us / 2 {
                    second_half_us += slice_us;
                }
            }
        }
        if now_us > 0 && now_us % SAMPLE_EVERY_US == 0 {
            let up = u32::try_from(callers.iter().flatten().count()).unwrap();
            let waiting = queue.front().and_then(|number| callers[*number].as_ref()?.waits_since_us);
            let pool = Measured {
                busy_us: std::mem::take(&mut busy_us) / u64::from(crowd.threads),
                late_us: std::mem::take(&mut late_us).max(waiting.map_or(0, |since_us| now_us - since_us)),
                units: 2 * up,
            };
            load.sample(now_us, [Measured { units: up, ..Measured::default() }, pool], up);
        }
    }
    outcome.busy_permille = second_half_us * 1000 / (end_us / 2 * u64::from(crowd.threads));
    outcome
}
