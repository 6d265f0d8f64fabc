//! What is written and what is spoken are two texts: the synthesiser gets the one, people and the agent's memory the other.

use serde_json::{Value, json};
use trunkline_api::EventType;
use trunkline_call::Command;

use crate::rig::{MS_PER_CHAR, Rig, Tts, agent};

/// What synthesisers were given, with the number of the session and its language; pauses as their length.
fn spoken(rig: &Rig) -> Vec<String> {
    let told = |command: &Command| match command {
        Command::Speak { index, language, text, provider, .. } => {
            Some(format!("{index} {} {language}: {text}", provider.provider))
        }
        Command::Silence { ms, .. } => Some(format!("{ms} ms")),
        _ => None,
    };
    rig.commands.iter().filter_map(|(_, command)| told(command)).collect()
}

fn speaks(speech: Value, replies: &[&str]) -> Rig {
    let mut rig = Rig::new(agent(1, 1, 2, json!({ "greeting": "", "speech": speech })), replies);
    rig.tts.resize(600, Tts::Speaks(60));
    rig.caller_says(1000, 400, "tell me please");
    rig
}

#[test]
fn codes_and_addresses_are_said_as_people_dictate_them_and_remembered_as_they_are_written() {
    let text = "**Your code** is 4711, see www.example.com.";
    let mut rig = speaks(json!({}), &[text, "Fine."]);
    rig.caller_says(12_000, 400, "thanks a lot");
    rig.run_until(20_000);
    assert_eq!(spoken(&rig)[0], "0 tts-0 en: Your code is four seven one one, see www dot example dot com.");
    assert_eq!(rig.said()[0], text);
    assert_eq!(rig.all(EventType::PlaybackFinished)[0]["text"], text);
    assert!(rig.conversation().contains(&format!("Assistant: {text}")), "{:?}", rig.conversation());
}

#[test]
fn what_was_heard_of_a_number_is_cut_by_how_long_it_takes_to_say() {
    let mut rig = speaks(json!({}), &["Your code is 1234567 dear friend of mine.", "Fine."]);
    rig.run_until(2500);
    let begins = rig.first_ms(EventType::PlaybackStarted);
    // Sixteen characters in: "Your code is one", in the middle of the number.
    let interrupts = begins + 16 * u64::from(MS_PER_CHAR);
    rig.caller_says(interrupts, 500, "wait a moment");
    rig.run_until(9000);
    assert_eq!(rig.only(EventType::PlaybackCut)["heard"], "Your code is");
    assert!(rig.conversation().contains(&"Assistant: Your code is".to_owned()), "{:?}", rig.conversation());

    let mut rig = speaks(json!({}), &["Your code is 1234567 dear friend of mine.", "Fine."]);
    rig.caller_says(begins + 48 * u64::from(MS_PER_CHAR), 500, "wait a moment");
    rig.run_until(9000);
    assert_eq!(rig.only(EventType::PlaybackCut)["heard"], "Your code is 1234567");
}

#[test]
fn a_break_is_silence_in_the_utterance_and_no_part_of_the_text() {
    let greeting = "<speak>Hello.<break time=\"700ms\"/>How are you?</speak>";
    let mut rig = Rig::new(agent(1, 1, 1, json!({ "greeting": greeting })), &[]);
    rig.run_until(4000);
    assert_eq!(spoken(&rig), ["0 tts-0 en: Hello.", "700 ms", "0 tts-0 en: How are you?"]);
    assert_eq!(rig.said(), ["Hello. How are you?"]);
    assert_eq!(rig.only(EventType::PlaybackFinished)["text"], "Hello. How are you?");
    let finished = rig.events.iter().find(|event| event.kind == "playback.finished").unwrap().at.call_us / 1000;
    let words_ms = 18 * u64::from(MS_PER_CHAR);
    assert_eq!(finished - rig.first_ms(EventType::PlaybackStarted), words_ms + 700);
}

#[test]
fn what_was_heard_counts_a_break_as_time() {
    let greeting = "Hello there.<break time=\"2s\"/>How are you?";
    let mut rig = Rig::new(agent(1, 1, 1, json!({ "greeting": greeting })), &["Fine."]);
    rig.caller_says(1800, 600, "well listen to me");
    rig.run_until(4000);
    assert_eq!(rig.only(EventType::PlaybackCut)["heard"], "Hello there.");
}

#[test]
fn a_synthesiser_that_fails_is_followed_by_one_that_says_the_pause_and_the_rest() {
    let greeting = "One two three. <break time=\"300ms\"/><lang xml:lang=\"de\">Vier.</lang> My code is 4711.";
    let mut rig = Rig::new(agent(1, 1, 2, json!({ "greeting": greeting })), &[]);
    rig.tts.resize(600, Tts::Speaks(60));
    rig.tts[0] = Tts::Stalls;
    rig.run_until(9000);
    let told = spoken(&rig);
    assert_eq!(
        told[..4],
        ["0 tts-0 en: One two three.", "300 ms", "32 tts-0 de: Vier.", "0 tts-0 en: My code is four seven one one."]
    );
    assert_eq!(
        told[4..],
        ["1 tts-1 en: One two three.", "300 ms", "32 tts-0 de: Vier.", "1 tts-1 en: My code is four seven one one."]
    );
    assert_eq!(rig.only(EventType::PlaybackFinished)["text"], "One two three. Vier. My code is 4711.");
}

#[test]
fn the_dictionary_is_for_the_synthesiser_alone() {
    let dictionary =
        json!([{ "written": "GmbH", "spoken": "gay em bay hah" }, { "written": "Nguyen", "ipa": "ŋwiən" }]);
    let mut rig = speaks(json!({ "dictionary": dictionary, "ssml": ["tts-1"] }), &["Ask Nguyen of the GmbH."]);
    rig.tts[0] = Tts::Fails;
    rig.run_until(8000);
    assert_eq!(
        spoken(&rig),
        [
            "0 tts-0 en: Ask Nguyen of the gay em bay hah.",
            "1 tts-1 en: <speak>Ask <phoneme alphabet=\"ipa\" ph=\"ŋwiən\">Nguyen</phoneme> of the gay em bay hah.</speak>",
        ]
    );
    assert_eq!(rig.said(), ["Ask Nguyen of the GmbH."]);
}

#[test]
fn numbers_are_words_where_an_agent_asks_for_it() {
    let mut rig = speaks(json!({ "normalize": "words" }), &["It costs $3.50 at 3:30 pm."]);
    rig.run_until(8000);
    assert_eq!(spoken(&rig)[0], "0 tts-0 en: It costs three dollars and fifty cents at three thirty p m.");
    let mut rig = speaks(json!({ "normalize": "off" }), &["**Code** 4711."]);
    rig.run_until(8000);
    assert_eq!(spoken(&rig)[0], "0 tts-0 en: **Code** 4711.");
}

#[test]
fn the_first_clause_is_spoken_while_the_rest_is_thought_of() {
    use trunkline_api::words::FinishReason;
    use trunkline_call::LlmEvent;
    let script = |first_clause: bool| {
        let script = vec![
            (200, LlmEvent::TextDelta("I have looked that up for you, and ".to_owned())),
            (900, LlmEvent::TextDelta("it is open until nine.".to_owned())),
            (10, LlmEvent::Finished(FinishReason::Stop)),
        ];
        let speech = json!({ "first_clause": first_clause });
        let mut rig = Rig::new(agent(1, 1, 1, json!({ "greeting": "", "speech": speech })), &[]).scripts(vec![script]);
        rig.caller_says(1000, 400, "are you open");
        rig.run_until(8000);
        (rig.first_ms(EventType::PlaybackStarted), rig.all(EventType::PlaybackFinished)[0]["text"].clone())
    };
    let (whole, sooner) = (script(false), script(true));
    // A full stop at the end waits for the end of the reply.
    assert_eq!(whole.0 - sooner.0, 900 + 10, "the caller waits that much less");
    assert_eq!(
        (whole.1.as_str(), whole.1.clone()),
        (Some("I have looked that up for you, and it is open until nine."), sooner.1)
    );
}

#[test]
fn every_agent_has_the_voice_of_its_settings() {
    let mut spec = agent(
        1,
        1,
        1,
        json!({ "speech": { "voices": { "de": { "provider": "v", "settings": { "voice": "anna" } } } } }),
    );
    if let trunkline_api::agent::Pipeline::Cascade { tts, .. } = &mut spec.pipeline {
        tts[0].settings.insert("voice".to_owned(), "amy".into());
    }
    spec.greeting = "Hello. <lang xml:lang=\"de-DE\">Guten Tag.</lang>".to_owned();
    let mut rig = Rig::new(spec, &[]);
    rig.tts.resize(600, Tts::Speaks(60));
    rig.run_until(3000);
    let voices: Vec<(&str, &str)> = rig
        .commands
        .iter()
        .filter_map(|(_, command)| match command {
            Command::Speak { provider, language, .. } => {
                Some((language.as_str(), provider.settings["voice"].as_str().unwrap()))
            }
            _ => None,
        })
        .collect();
    assert_eq!(voices, [("en", "amy"), ("de-DE", "anna")]);
}
