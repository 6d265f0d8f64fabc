//! A synthesiser that gives no sound: the next one says the same.

use serde_json::json;
use trunkline_api::usage::EndReason;
use trunkline_api::{EventType, Failure};
use trunkline_call::Command;

use crate::rig::{Rig, Tts, agent};

#[test]
fn a_synthesiser_without_sound_is_replaced() {
    for (behaviour, failure) in [
        (Tts::Mute, Failure::TtsZeroBytes),
        (Tts::Stalls, Failure::TtsZeroBytes),
        (Tts::Fails, Failure::TtsUnavailable),
    ] {
        let mut rig = Rig::new(agent(1, 1, 2, json!({})), &[]);
        rig.tts[0] = behaviour;
        rig.run_until(4000);
        assert_eq!(rig.failures(), [(failure, "next_provider")]);
        let spoken: Vec<_> = rig
            .commands
            .iter()
            .filter_map(|(_, command)| match command {
                Command::Speak { index, text, .. } => Some((*index, text.as_str())),
                _ => None,
            })
            .collect();
        assert_eq!(spoken, [(0, "Hello."), (1, "Hello.")]);
        assert_eq!(rig.only(EventType::PlaybackFinished)["text"], "Hello.");
        assert_eq!(rig.said(), ["Hello."], "said once, however often it was synthesised");
    }
}

#[test]
fn without_any_synthesiser_the_call_ends_by_name() {
    let mut rig = Rig::new(agent(1, 1, 2, json!({})), &[]);
    rig.tts = vec![Tts::Fails; 2];
    rig.run_to_end();
    let raised: Vec<_> = rig.failures().into_iter().map(|(failure, _)| failure).collect();
    assert_eq!(raised, [Failure::TtsUnavailable, Failure::TtsUnavailable, Failure::ProvidersExhausted]);
    let record = rig.call.record();
    assert_eq!((record.end, record.failure), (Some(EndReason::Failed), Some(Failure::ProvidersExhausted)));
}
