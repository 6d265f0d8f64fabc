//! What everybody writes first: a turn is over after 700 ms without speech, and speech while the agent speaks stops it.
//! Recogniser, model, synthesiser, line and network are those of the product's own engine.

use anyhow::Result;
use trunkline_call::AsrEvent;
use trunkline_leg::{CallTime, LegFact};

use crate::ours::{LLM_MS, TTS_MS};
use crate::recogniser::Recogniser;
use crate::room::{Log, Room};
use crate::scene::Scene;
use crate::voices::{AGENT, Voices};

/// The time-out.
const SILENCE_MS: u64 = 700;

/// Which detector it listens to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detector {
    /// Silero's published model, on what comes from the line.
    Published,
    /// The product's chain, with its echo gate.
    Chain,
}

/// Runs a scene.
pub(crate) fn run<'a>(
    scene: &'a Scene,
    voices: &'a Voices,
    detector: Detector,
    mut recogniser: Recogniser<'a>,
) -> Result<Log> {
    let mut room = Room::new(scene, detector == Detector::Published)?;
    let (mut utterance, mut speaks) = (0, false);
    // What is to be said and when its sound is there.
    let mut says = Some((CallTime::from_ms(TTS_MS), scene.greeting.clone()));
    // Since when there has been no speech in a turn that is not over.
    let mut silent_since: Option<CallTime> = None;
    let (mut speech, mut waits_for_words) = (false, false);
    while !room.is_over() {
        let now = room.now();
        if let Some((_, text)) = says.take_if(|(at, _)| now >= *at) {
            utterance += 1;
            room.line.expect(utterance, 0);
            room.line.sound(utterance, 0, voices.say(&AGENT, &text)?.pcm);
            room.line.end(utterance);
            speaks = true;
        }
        let (facts, ears) = room.step();
        if facts.iter().any(|fact| matches!(fact, LegFact::PlaybackFinished { .. } | LegFact::PlaybackCut { .. })) {
            speaks = false;
        }
        let before = std::mem::replace(&mut speech, ears.speech);
        if speech {
            (silent_since, waits_for_words) = (None, false);
            if !before {
                if speaks {
                    room.line.clear();
                } else if room.log.heard.last().is_some() {
                    // An answer that is not to be heard yet is given up; the greeting is not.
                    says = None;
                }
            }
        } else if before {
            silent_since = Some(now);
        }
        if silent_since.take_if(|since| now.since_ms(*since) >= SILENCE_MS).is_some() {
            recogniser.finalize(now, &room.log)?;
            waits_for_words = true;
        }
        recogniser.hear(now, &ears.heard, ears.speech);
        let heard = recogniser.poll(now, &room.log)?;
        if let Some(AsrEvent::Final { text, .. }) = heard
            && !text.is_empty()
        {
            room.decided(&text);
            if waits_for_words {
                says = Some((now.plus_ms(LLM_MS + TTS_MS), scene.reply.clone()));
            }
        }
    }
    Ok(room.log)
}
