//! When speech and echo verdicts add up to an interruption, in two stages: a quick one that can be taken back, and a sure
//! one that cannot.

/// What makes an interruption.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BargeInConfig {
    /// Confidence of the quick detector from which a frame raises suspicion, 0..=1.
    pub suspicion: f32,
    /// Suspicious frames that make a suspicion, in ms; every suspicion that came to nothing lately asks for as much again,
    /// three times at most.
    pub suspicion_ms: u32,
    /// Probability of the sure detector from which a frame is evidence, 0..=1; a little more for every suspicion that
    /// came to nothing lately: where much is suspicious there is noise, and noise deceives the sure detector, too.
    pub certainty: f32,
    /// Evidence that makes an interruption. A frame's is the square of its log odds above those of `certainty`: with a
    /// certainty of 0.5, 6 is one frame of 0.921, two of 0.85 or nine of 0.7.
    pub evidence: f32,
    /// How long speech must have lasted, in ms, by whichever detector has noticed it first.
    pub needed_ms: u32,
    /// How long a suspicion without any evidence may last, in ms; with too little evidence three times as long.
    pub patience_ms: u32,
}

impl Default for BargeInConfig {
    fn default() -> Self {
        Self { suspicion: 0.25, suspicion_ms: 20, certainty: 0.5, evidence: 6.0, needed_ms: 80, patience_ms: 400 }
    }
}

/// What the detectors say of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Voice {
    /// [`crate::vad::Activity::confidence`] of the quick detector.
    pub quick: f32,
    /// Probability of the sure one; `None` while it is not asked.
    pub sure: Option<f32>,
    /// Share of the frame that repeats what came before it, 0..=1; see [`BargeIn::weighs`].
    pub steady: f32,
    /// [`super::Verdict::echo`].
    pub echo: bool,
}

/// What a frame came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interruption {
    /// The caller may be interrupting: turn the agent down, do not cut it.
    Suspected,
    /// The caller interrupts.
    Confirmed,
    /// It was none: the agent goes on as if nothing had been.
    Dismissed,
}

/// For how long a suspicion that came to nothing is remembered.
const GRUDGE_MS: u32 = 10_000;
/// Suspicions that are remembered.
const MOST_GRUDGES: u32 = 3;
/// What each of them adds to the log odds that are asked for.
const DOUBT: f32 = 0.1;
/// Time in which an interruption is forgotten to a third.
const MEMORY_MS: f32 = 15_000.0;
/// Interruptions within that time by which somebody takes turns, and what every further one adds to the evidence that is
/// asked for, as a share of it: who interrupts every two seconds is a room full of people.
const TURNS: f32 = 6.0;
const CROWDED: f32 = 0.25;
const MOST_CROWDED: f32 = 1.5;
/// For how long the sure detector, which judges longer stretches than a frame, still hears echo that is over.
const ECHO_LINGERS_MS: u32 = 100;
/// What a frame without evidence takes away, at most.
const FORGETS: f32 = 1.0;
/// Evidence that is kept beyond what is needed.
const KEEPS: f32 = 8.0;
/// A suspicion is over after as many times its patience, whatever evidence trickles in.
const MOST_PATIENCE: u32 = 3;
/// A frame that repeats what came before it by this share is no evidence, and by a tenth less is evidence like any other.
const A_TONE: f32 = 0.95;
const LIKE_A_TONE: f32 = 0.1;

/// Decides that the caller interrupts.
///
/// Policy: a frame that the quick detector takes for speech *now*, before hang-over, and that the echo gate does not call
/// echo earns its length, every other costs its length; enough of that is a suspicion. The sure detector's frames earn
/// evidence, the more the surer it is, and less where they are as steady as no voice is; enough of that, once speech has
/// lasted long enough, is an interruption, with or without a suspicion before it. After an interruption it is armed again
/// when both accounts are empty. Hang-over must not be counted: echo that ends would go on as speech without echo.
#[derive(Debug, Clone)]
pub struct BargeIn {
    config: BargeInConfig,
    quick_ms: u32,
    evidence: f32,
    /// Since what may be an interruption began.
    lasted_ms: u32,
    /// How long a suspicion has lasted.
    suspected_ms: Option<u32>,
    /// It had its suspicion and its answer; another needs an empty account.
    answered: bool,
    /// It had its suspicion in spite of evidence; another needs that to be gone.
    tired: bool,
    fired: bool,
    grudges: u32,
    grudge_ms: u32,
    /// Interruptions of late.
    often: f32,
    since_echo_ms: u32,
}

impl BargeIn {
    /// Armed, and without suspicion.
    #[must_use]
    pub const fn new(config: BargeInConfig) -> Self {
        Self {
            config,
            quick_ms: 0,
            evidence: 0.0,
            lasted_ms: 0,
            suspected_ms: None,
            answered: false,
            tired: false,
            fired: false,
            grudges: 0,
            grudge_ms: 0,
            often: 0.0,
            since_echo_ms: ECHO_LINGERS_MS,
        }
    }

    /// Other thresholds from now on; what was earned stays.
    pub const fn set_config(&mut self, config: BargeInConfig) {
        self.config = config;
    }

    /// Whether somebody may be interrupting.
    #[must_use]
    pub const fn is_suspected(&self) -> bool {
        self.suspected_ms.is_some()
    }

    /// Whether [`Voice::steady`] of a frame counts; otherwise it need not be found out.
    #[must_use]
    pub fn weighs(&self, sure: Option<f32>, echo: bool) -> bool {
        !self.fired && !echo && sure.is_some_and(|sure| sure > self.config.certainty)
    }

    /// Takes what the detectors say of a frame of `frame_ms`.
    pub fn handle(&mut self, voice: Voice, frame_ms: u32) -> Option<Interruption> {
        let config = self.config;
        self.often *= (-(frame_ms as f32) / MEMORY_MS).exp();
        let crowded = (CROWDED * (self.often - TURNS)).clamp(0.0, MOST_CROWDED);
        let enough = config.evidence * (1.0 + crowded);
        let most = config.needed_ms.max(config.suspicion_ms.saturating_mul(MOST_GRUDGES)).saturating_mul(2);
        self.quick_ms = if voice.quick >= config.suspicion && !voice.echo {
            self.quick_ms.saturating_add(frame_ms).min(most)
        } else {
            self.quick_ms.saturating_sub(frame_ms)
        };
        self.since_echo_ms = if voice.echo { 0 } else { self.since_echo_ms.saturating_add(frame_ms) };
        self.evidence = (self.evidence + self.evidence_of(voice)).clamp(0.0, enough + KEEPS);
        let empty = self.quick_ms == 0 && self.evidence == 0.0;
        self.tired &= self.evidence > 0.0;
        // What had its answer is background: what stands out of it begins with the evidence.
        let lasts = self.evidence > 0.0 || (self.quick_ms > 0 && !self.answered);
        self.lasted_ms = if lasts { self.lasted_ms.saturating_add(frame_ms) } else { 0 };
        self.grudge_ms = self.grudge_ms.saturating_add(frame_ms);
        if self.grudge_ms >= GRUDGE_MS {
            (self.grudges, self.grudge_ms) = (0, 0);
        }
        if empty {
            (self.fired, self.answered) = (false, false);
        }
        if self.fired {
            return None;
        }
        if self.evidence > 0.0 && self.evidence >= enough && self.lasted_ms >= config.needed_ms {
            (self.fired, self.suspected_ms) = (true, None);
            self.often += 1.0;
            return Some(Interruption::Confirmed);
        }
        match self.suspected_ms {
            Some(suspected_ms) => {
                let suspected_ms = suspected_ms.saturating_add(frame_ms);
                let tired = suspected_ms >= config.patience_ms.saturating_mul(MOST_PATIENCE);
                if empty || tired || (self.evidence == 0.0 && suspected_ms >= config.patience_ms) {
                    (self.suspected_ms, self.answered, self.tired) = (None, !empty, tired);
                    (self.grudges, self.grudge_ms) = ((self.grudges + 1).min(MOST_GRUDGES), 0);
                    return Some(Interruption::Dismissed);
                }
                self.suspected_ms = Some(suspected_ms);
                None
            }
            None => {
                let suspicious = self.quick_ms >= config.suspicion_ms.saturating_mul(1 + self.grudges).max(1);
                if (self.evidence > 0.0 && !self.tired) || (suspicious && !self.answered) {
                    self.suspected_ms = Some(0);
                    return Some(Interruption::Suspected);
                }
                None
            }
        }
    }

    /// What a frame adds to the evidence.
    fn evidence_of(&self, voice: Voice) -> f32 {
        let lingers = self.since_echo_ms < ECHO_LINGERS_MS && voice.quick < self.config.suspicion;
        let Some(sure) = voice.sure.filter(|sure| !voice.echo && !lingers && !sure.is_nan()) else { return -FORGETS };
        let above = log_odds(sure) - log_odds(self.config.certainty) - DOUBT * self.grudges as f32;
        if above > 0.0 {
            above * above * ((A_TONE - voice.steady) / LIKE_A_TONE).clamp(0.0, 1.0)
        } else {
            above.max(-FORGETS)
        }
    }

    /// Forgets what was earned and arms it again, for a new utterance of the agent.
    pub const fn reset(&mut self) {
        let (grudges, grudge_ms, often) = (self.grudges, self.grudge_ms, self.often);
        *self = Self::new(self.config);
        (self.grudges, self.grudge_ms, self.often) = (grudges, grudge_ms, often);
    }
}

fn log_odds(probability: f32) -> f32 {
    let probability = probability.clamp(0.001, 0.999);
    (probability / (1.0 - probability)).ln()
}

impl Default for BargeIn {
    fn default() -> Self {
        Self::new(BargeInConfig::default())
    }
}

#[cfg(test)]
mod tests {
    use super::Interruption::{Confirmed, Dismissed, Suspected};
    use super::*;

    fn run(barge: &mut BargeIn, frames: usize, quick: f32, sure: f32, echo: bool) -> Vec<(usize, Interruption)> {
        let voice = Voice { quick, sure: Some(sure), steady: 0.0, echo };
        (0..frames).filter_map(|n| Some((n, barge.handle(voice, 20)?))).collect()
    }

    #[test]
    fn speech_is_suspected_at_once_confirmed_once_and_echo_and_hang_over_are_nothing() {
        let mut barge = BargeIn::default();
        assert_eq!(run(&mut barge, 100, 0.9, 0.9, true), []);
        assert_eq!(run(&mut barge, 100, 0.2, 0.2, false), []);
        assert_eq!(run(&mut barge, 50, 0.9, 0.9, false), [(0, Suspected), (3, Confirmed)]);
        assert_eq!(run(&mut barge, 20, f32::NAN, f32::NAN, false), []);
        assert_eq!(run(&mut barge, 50, 0.9, 0.9, false), [(0, Suspected), (3, Confirmed)]);
        barge.reset();
        assert_eq!(run(&mut barge, 5, 0.9, 0.9, false).last(), Some(&(3, Confirmed)), "armed anew");
    }

    #[test]
    fn what_only_the_quick_detector_hears_is_dismissed_and_suspected_later_each_time() {
        let mut barge = BargeIn::default();
        let mut begins = Vec::new();
        for _ in 0..6 {
            let found = run(&mut barge, 60, 0.9, 0.1, false);
            let [(begin, Suspected), (end, Dismissed)] = found[..] else { panic!("{found:?}") };
            assert_eq!(end - begin, 20, "after 400 ms");
            begins.push(begin);
            run(&mut barge, 60, 0.0, 0.0, false);
        }
        assert_eq!(begins, [0, 1, 2, 3, 3, 3]);
        // Evidence is believed at once all the same, and after ten quiet seconds everything is forgiven.
        assert_eq!(run(&mut barge, 10, 0.9, 0.9, false), [(0, Suspected), (3, Confirmed)]);
        run(&mut barge, 20, 0.0, 0.0, false);
        assert_eq!(
            run(&mut barge, 10, 0.9, 0.7, false).last().unwrap().1,
            Suspected,
            "but a little less is not enough"
        );
        run(&mut barge, 600, 0.0, 0.0, false);
        assert_eq!(run(&mut barge, 3, 0.9, 0.0, false), [(0, Suspected)]);
    }

    #[test]
    fn a_voice_that_only_the_sure_detector_hears_interrupts_too_and_a_late_certainty_is_not_too_late() {
        let mut barge = BargeIn::default();
        assert_eq!(run(&mut barge, 10, 0.1, 0.9, false), [(0, Suspected), (3, Confirmed)]);
        run(&mut barge, 50, 0.0, 0.0, false);
        // Noise without a pause, in which somebody begins to speak.
        assert_eq!(run(&mut barge, 200, 0.9, 0.1, false).last().unwrap().1, Dismissed);
        assert_eq!(run(&mut barge, 10, 0.9, 0.85, false), [(0, Suspected), (3, Confirmed)]);
    }

    #[test]
    fn what_is_as_steady_as_no_voice_is_suspected_and_never_believed() {
        let mut barge = BargeIn::default();
        assert!(barge.weighs(Some(0.9), false) && !barge.weighs(Some(0.9), true) && !barge.weighs(Some(0.4), false));
        let horn = Voice { quick: 0.9, sure: Some(0.95), steady: 0.97, echo: false };
        let found: Vec<_> = (0..500).filter_map(|_| barge.handle(horn, 20)).collect();
        assert_eq!(found, [Suspected, Dismissed]);
        let voice = Voice { steady: 0.8, ..horn };
        let found: Vec<_> = (0..4).filter_map(|_| barge.handle(voice, 20)).collect();
        assert_eq!(found, [Suspected, Confirmed]);
        assert!(!barge.weighs(Some(0.9), false), "it has fired");
    }

    #[test]
    fn a_suspicion_that_stays_one_is_over_after_a_while_and_the_agent_is_left_alone() {
        let mut barge = BargeIn::default();
        let mut found = Vec::new();
        // Evidence that comes and goes, and never suffices.
        for n in 0..300 {
            let sure = if n % 2 == 0 { 0.7 } else { 0.33 };
            found.extend(
                barge.handle(Voice { quick: 0.9, sure: Some(sure), steady: 0.0, echo: false }, 20).map(|f| (n, f)),
            );
        }
        assert!(matches!(found[..], [(0, Suspected), (60, Dismissed), ..]), "{found:?}");
        assert!(found.iter().all(|(_, found)| *found != Confirmed), "{found:?}");
    }

    #[test]
    fn echo_that_is_over_is_still_none_while_only_the_sure_detector_hears_it() {
        let mut barge = BargeIn::default();
        run(&mut barge, 50, 0.9, 0.999, true);
        assert_eq!(run(&mut barge, 4, 0.0, 0.95, false), []);
        let mut barge = BargeIn::default();
        run(&mut barge, 50, 0.9, 0.999, true);
        assert_eq!(
            run(&mut barge, 10, 0.9, 0.95, false),
            [(0, Suspected), (3, Confirmed)],
            "a caller is heard at once"
        );
    }

    #[test]
    fn who_takes_turns_interrupts_as_easily_as_ever_and_a_room_full_of_people_does_not() {
        let interrupts = |barge: &mut BargeIn, every_ms: usize, minutes: usize| {
            let each = every_ms / 20;
            let count = |barge: &mut BargeIn| {
                let found = [run(barge, 20, 0.9, 0.85, false), run(barge, each - 20, 0.0, 0.0, false)].concat();
                found.iter().filter(|(_, found)| *found == Confirmed).count()
            };
            (0..minutes * 60_000 / every_ms).map(|_| count(barge)).sum::<usize>()
        };
        let mut barge = BargeIn::default();
        assert_eq!(interrupts(&mut barge, 3000, 2), 40);
        // Nobody is sure of a word for long.
        let mut barge = BargeIn::default();
        let mut confirmed = 0;
        for _ in 0..120 {
            confirmed += run(&mut barge, 2, 0.9, 0.85, false).iter().filter(|(_, found)| *found == Confirmed).count();
            confirmed += run(&mut barge, 3, 0.9, 0.6, false).iter().filter(|(_, found)| *found == Confirmed).count();
            run(&mut barge, 45, 0.0, 0.0, false);
        }
        assert!((6..90).contains(&confirmed), "{confirmed}");
    }

    #[test]
    fn in_noise_speech_must_have_lasted_as_long_as_anywhere() {
        let mut barge = BargeIn::new(BargeInConfig { needed_ms: 300, ..BargeInConfig::default() });
        run(&mut barge, 200, 0.9, 0.1, false);
        let found = run(&mut barge, 30, 0.9, 0.95, false);
        assert_eq!(found, [(0, Suspected), (14, Confirmed)]);
    }

    #[test]
    fn a_click_is_forgotten_as_soon_as_it_is_over() {
        let mut barge = BargeIn::default();
        run(&mut barge, 2, 0.9, 0.0, false);
        assert_eq!(run(&mut barge, 10, 0.0, 0.0, false), [(1, Dismissed)]);
    }
}
