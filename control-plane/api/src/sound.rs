//! `sound`: what is done to the sound of a call, as an agent wants it and as a trunk needs it.

use serde::{Deserialize, Serialize};

use crate::ambience::Ambience;

/// What takes the noise out of what the caller says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DenoiserChoice {
    /// RNNoise's network, eight calls at a time.
    Lanes,
    /// A spectral suppressor at a fraction of the cost.
    Economy,
    /// RNNoise's network, one call at a time: six times the cost, to compare with.
    Reference,
    /// Nothing does.
    Off,
}

/// Which sound of the caller the recogniser gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum FeedChoice {
    /// With the noise taken out.
    Cleaned,
    /// As it was heard, but for the agent's own echo.
    Raw,
}

/// What is done to the sound of a call. Agents and trunks have one; what an agent leaves out its trunk says, and what
/// both leave out has the default given here. Two detectors find speech: a quick one that may be mistaken and whose
/// mistakes can be taken back, and a sure one that decides.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SoundPolicy {
    /// What takes the noise out of what the caller says; `lanes`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub denoiser: Option<DenoiserChoice>,
    /// Whether a caller who is too quiet or too loud is brought to a level; false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agc: Option<bool>,
    /// Whether the agent's own echo is told from the caller and turned down; true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub echo_gate: Option<bool>,
    /// Whether what lies between the caller's words is turned down; false, since recognisers prefer to hear it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub noise_gate: Option<bool>,
    /// Whether the caller hears a soft noise between the agent's words instead of nothing at all; false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comfort_noise: Option<bool>,
    /// Which sound the recogniser gets; `raw`, which recognisers that learnt from noisy speech understand better.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feed: Option<FeedChoice>,
    /// Probability from which on sound is speech, for the recogniser and for the beginning of a turn, 1..=99 percent; 50.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speech_percent: Option<u8>,
    /// Probability below which speech is over, for the end of a turn, 1..=99 percent; 35, and never more than
    /// `speech_percent`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speech_end_percent: Option<u8>,
    /// For how long the caller counts as speaking after the detector has lost the voice, 0..=1000 ms; 200.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hang_over_ms: Option<u32>,
    /// By how many decibels a voice must lie below the caller's to be somebody behind the caller (a television, others in the
    /// room), who neither speaks nor interrupts, 0..=40; 0, with which every voice is the caller's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub behind_db: Option<u8>,
    /// Confidence of the quick detector from which on somebody may be interrupting, 1..=99 percent; 25.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspicion_percent: Option<u8>,
    /// Probability from which on sound is evidence that somebody is, 1..=99 percent; 50, and more in noise. How long speech must have lasted is
    /// `interruption.min_speech_ms`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interruption_percent: Option<u8>,
    /// By how many decibels the agent is turned down while somebody may be interrupting it, 0..=40; 18.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duck_db: Option<u8>,
    /// Background sound that the caller hears all through the call, under the agent; none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ambience: Option<Ambience>,
}

impl SoundPolicy {
    /// This policy where it says something, `other` where it does not: an agent's over its trunk's.
    #[must_use]
    pub fn over(&self, other: &Self) -> Self {
        Self {
            denoiser: self.denoiser.or(other.denoiser),
            agc: self.agc.or(other.agc),
            echo_gate: self.echo_gate.or(other.echo_gate),
            noise_gate: self.noise_gate.or(other.noise_gate),
            comfort_noise: self.comfort_noise.or(other.comfort_noise),
            feed: self.feed.or(other.feed),
            speech_percent: self.speech_percent.or(other.speech_percent),
            speech_end_percent: self.speech_end_percent.or(other.speech_end_percent),
            hang_over_ms: self.hang_over_ms.or(other.hang_over_ms),
            behind_db: self.behind_db.or(other.behind_db),
            suspicion_percent: self.suspicion_percent.or(other.suspicion_percent),
            interruption_percent: self.interruption_percent.or(other.interruption_percent),
            duck_db: self.duck_db.or(other.duck_db),
            ambience: self.ambience.clone().or_else(|| other.ambience.clone()),
        }
    }

    /// Whether it says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What is out of range: a pointer below `sound`, and what was expected.
    #[must_use]
    pub fn problems(&self) -> Vec<(&'static str, &'static str)> {
        let percent = |value: Option<u8>| value.is_none_or(|value| (1..=99).contains(&value));
        let checks = [
            (percent(self.speech_percent), "/sound/speech_percent", "expected 1 to 99"),
            (percent(self.speech_end_percent), "/sound/speech_end_percent", "expected 1 to 99"),
            (
                self.speech_end_percent.is_none_or(|end| end <= self.speech_percent.unwrap_or(99)),
                "/sound/speech_end_percent",
                "expected at most speech_percent",
            ),
            (percent(self.suspicion_percent), "/sound/suspicion_percent", "expected 1 to 99"),
            (percent(self.interruption_percent), "/sound/interruption_percent", "expected 1 to 99"),
            (self.duck_db.is_none_or(|db| db <= 40), "/sound/duck_db", "expected 0 to 40"),
            (self.behind_db.is_none_or(|db| db <= 40), "/sound/behind_db", "expected 0 to 40"),
            (self.hang_over_ms.is_none_or(|ms| ms <= 1000), "/sound/hang_over_ms", "expected 0 to 1000"),
        ];
        let found = checks.into_iter().filter(|(holds, ..)| !holds).map(|(_, pointer, message)| (pointer, message));
        found.chain(self.ambience.iter().flat_map(Ambience::problems)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agents_word_counts_before_its_trunks() {
        let agent = SoundPolicy { agc: Some(false), feed: Some(FeedChoice::Raw), ..SoundPolicy::default() };
        let trunk = SoundPolicy { agc: Some(true), denoiser: Some(DenoiserChoice::Off), ..SoundPolicy::default() };
        let both = agent.over(&trunk);
        assert_eq!(
            (both.agc, both.feed, both.denoiser),
            (Some(false), Some(FeedChoice::Raw), Some(DenoiserChoice::Off))
        );
        assert!(SoundPolicy::default().over(&SoundPolicy::default()).is_empty());
    }

    #[test]
    fn what_is_out_of_range_is_named() {
        let policy: SoundPolicy =
            serde_json::from_str(r#"{"speech_percent":0,"hang_over_ms":1001,"interruption_percent":99,"suspicion_percent":100,"duck_db":41}"#).unwrap();
        let pointers: Vec<&str> = policy.problems().into_iter().map(|(pointer, _)| pointer).collect();
        let wrong = ["/sound/speech_percent", "/sound/suspicion_percent", "/sound/duck_db", "/sound/hang_over_ms"];
        assert_eq!(pointers, wrong);
        let policy: SoundPolicy = serde_json::from_str(r#"{"speech_percent":40,"speech_end_percent":45}"#).unwrap();
        assert_eq!(policy.problems(), [("/sound/speech_end_percent", "expected at most speech_percent")]);
        assert!(serde_json::from_str::<SoundPolicy>(r#"{"denoiser":"magic"}"#).is_err());
    }
}
