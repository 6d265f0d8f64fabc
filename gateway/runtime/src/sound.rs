//! From what agents and trunks say of sound to what media does.

use trunkline_api::sound::{DenoiserChoice, FeedChoice, SoundPolicy};
use trunkline_dsp::chain::{Denoiser, Sound};
use trunkline_dsp::gain::AgcConfig;
use trunkline_dsp::gate::GateConfig;
use trunkline_media::{Feed, LegSound};

/// What is done to the sound of a call with this policy, whose caller interrupts after `min_speech_ms` of speech.
pub(crate) fn leg_sound(policy: &SoundPolicy, min_speech_ms: u32) -> LegSound {
    let usual = Sound::default();
    let share = |percent: u8| f32::from(percent) / 100.0;
    let mut vad = usual.vad;
    if let Some(percent) = policy.speech_percent {
        vad.on = share(percent);
        vad.off = vad.off.min(vad.on);
    }
    let chain = Sound {
        denoiser: match policy.denoiser.unwrap_or(DenoiserChoice::Lanes) {
            DenoiserChoice::Lanes => Denoiser::Lanes,
            DenoiserChoice::Economy => Denoiser::Economy,
            DenoiserChoice::Reference => Denoiser::Reference,
            DenoiserChoice::Off => Denoiser::Off,
        },
        echo_gate: policy.echo_gate.unwrap_or(usual.echo_gate),
        barge_in_ms: min_speech_ms,
        barge_in_confidence: policy.interruption_percent.map_or(usual.barge_in_confidence, share),
        agc: policy.agc.unwrap_or(false).then(AgcConfig::default),
        noise_gate: policy.noise_gate.unwrap_or(false).then(GateConfig::default),
        vad,
        ..usual
    };
    let feed = match policy.feed.unwrap_or(FeedChoice::Cleaned) {
        FeedChoice::Cleaned => Feed::Cleaned,
        FeedChoice::Raw => Feed::Raw,
    };
    let usual = LegSound::default();
    LegSound {
        chain,
        feed,
        hold_ms: policy.hang_over_ms.unwrap_or(usual.hold_ms),
        comfort_noise: policy.comfort_noise.unwrap_or(usual.comfort_noise),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_policy_denoises_gates_echo_and_leaves_levels_alone() {
        let sound = leg_sound(&SoundPolicy::default(), 160);
        assert_eq!(sound.chain, Sound { barge_in_ms: 160, ..Sound::default() });
        assert_eq!((sound.chain.denoiser, sound.chain.echo_gate, sound.chain.agc), (Denoiser::Lanes, true, None));
        assert_eq!((sound.feed, sound.comfort_noise, sound.hold_ms), (Feed::Cleaned, false, 200));
    }

    #[test]
    fn every_word_of_a_policy_counts() {
        let policy: SoundPolicy = serde_json::from_str(
            r#"{"denoiser":"economy","agc":true,"echo_gate":false,"noise_gate":true,"comfort_noise":true,"feed":"raw",
                "speech_percent":30,"hang_over_ms":80,"interruption_percent":60}"#,
        )
        .unwrap();
        let LegSound { chain, feed, hold_ms, comfort_noise } = leg_sound(&policy, 100);
        assert_eq!((chain.denoiser, chain.echo_gate, feed, comfort_noise), (Denoiser::Economy, false, Feed::Raw, true));
        assert!(chain.agc.is_some() && chain.noise_gate.is_some());
        assert_eq!((chain.vad.on, chain.vad.off, hold_ms), (0.3, 0.3, 80));
        assert_eq!((chain.barge_in_confidence, chain.barge_in_ms), (0.6, 100));
    }
}
