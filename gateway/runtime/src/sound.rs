//! From what agents and trunks say of sound to what media does.

use trunkline_api::agent::InterruptionPolicy;
use trunkline_api::sound::{DenoiserChoice, FeedChoice, SoundPolicy};
use trunkline_dsp::chain::{Denoiser, Sound};
use trunkline_dsp::echo::BargeInConfig;
use trunkline_dsp::gain::AgcConfig;
use trunkline_dsp::gate::GateConfig;
use trunkline_media::{Feed, LegSound};

/// What is done to the sound of a call with this policy, whose caller interrupts as `interruption` says.
pub(crate) fn leg_sound(policy: &SoundPolicy, interruption: &InterruptionPolicy) -> LegSound {
    let usual = Sound::default();
    let share = |percent: u8| f32::from(percent) / 100.0;
    let mut vad = usual.vad;
    vad.on = policy.speech_percent.map_or(vad.on, share);
    vad.off = policy.speech_end_percent.map_or(vad.off, share).min(vad.on);
    let chain = Sound {
        denoiser: match policy.denoiser.unwrap_or(DenoiserChoice::Lanes) {
            DenoiserChoice::Lanes => Denoiser::Lanes,
            DenoiserChoice::Economy => Denoiser::Economy,
            DenoiserChoice::Reference => Denoiser::Reference,
            DenoiserChoice::Off => Denoiser::Off,
        },
        echo_gate: policy.echo_gate.unwrap_or(usual.echo_gate),
        barge_in: BargeInConfig {
            suspicion: policy.suspicion_percent.map_or(usual.barge_in.suspicion, share),
            certainty: policy.interruption_percent.map_or(usual.barge_in.certainty, share),
            needed_ms: interruption.min_speech_ms,
            ..usual.barge_in
        },
        agc: policy.agc.unwrap_or(false).then(AgcConfig::default),
        noise_gate: policy.noise_gate.unwrap_or(false).then(GateConfig::default),
        vad,
        ..usual
    };
    let feed = match policy.feed.unwrap_or(FeedChoice::Raw) {
        FeedChoice::Cleaned => Feed::Cleaned,
        FeedChoice::Raw => Feed::Raw,
    };
    let usual = LegSound::default();
    LegSound {
        chain,
        feed,
        hold_ms: policy.hang_over_ms.unwrap_or(usual.hold_ms),
        behind_db: policy.behind_db.unwrap_or(usual.behind_db),
        comfort_noise: policy.comfort_noise.unwrap_or(usual.comfort_noise),
        // Whoever may not interrupt is not yielded to either.
        duck_db: if interruption.barge_in { policy.duck_db.unwrap_or(usual.duck_db) } else { 0 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_policy_denoises_gates_echo_and_leaves_levels_alone() {
        let interruption = InterruptionPolicy { min_speech_ms: 160, ..InterruptionPolicy::default() };
        let sound = leg_sound(&SoundPolicy::default(), &interruption);
        let barge_in = BargeInConfig { needed_ms: 160, ..BargeInConfig::default() };
        assert_eq!(sound.chain, Sound { barge_in, ..Sound::default() });
        assert_eq!(sound.duck_db, 18);
        let deaf = InterruptionPolicy { barge_in: false, ..interruption };
        assert_eq!(leg_sound(&SoundPolicy::default(), &deaf).duck_db, 0);
        assert_eq!((sound.chain.denoiser, sound.chain.echo_gate, sound.chain.agc), (Denoiser::Lanes, true, None));
        assert_eq!((sound.feed, sound.comfort_noise, sound.hold_ms), (Feed::Raw, false, 200));
        assert_eq!(sound.behind_db, 0);
    }

    #[test]
    fn every_word_of_a_policy_counts() {
        let policy: SoundPolicy = serde_json::from_str(
            r#"{"denoiser":"economy","agc":true,"echo_gate":false,"noise_gate":true,"comfort_noise":true,"feed":"cleaned",
                "speech_percent":30,"speech_end_percent":20,"hang_over_ms":80,"suspicion_percent":45,
                "interruption_percent":60,"duck_db":9,"behind_db":12}"#,
        )
        .unwrap();
        let interruption = InterruptionPolicy { min_speech_ms: 100, ..InterruptionPolicy::default() };
        let LegSound { chain, feed, hold_ms, behind_db, comfort_noise, duck_db } = leg_sound(&policy, &interruption);
        assert_eq!(
            (chain.denoiser, chain.echo_gate, feed, comfort_noise),
            (Denoiser::Economy, false, Feed::Cleaned, true)
        );
        assert!(chain.agc.is_some() && chain.noise_gate.is_some());
        assert_eq!((chain.vad.on, chain.vad.off, hold_ms, duck_db, behind_db), (0.3, 0.2, 80, 9, 12));
        let BargeInConfig { suspicion, certainty, needed_ms, .. } = chain.barge_in;
        assert_eq!((suspicion, certainty, needed_ms), (0.45, 0.6, 100));
    }
}
