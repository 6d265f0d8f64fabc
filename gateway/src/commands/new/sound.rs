//! The section `sound` of agents and trunks, as both write it.

use super::file::File;

/// Every key with its default.
pub(super) fn write(file: &mut File, about: &str) {
    file.section(about, "object.body.sound");
    file.default(
        "What takes the noise out of what the caller says: `lanes` (RNNoise's network, eight calls at a time), `economy` \
         (a spectral suppressor, for slow machines), `reference` (the network one call at a time) or `off`.",
        "denoiser",
        "\"lanes\"",
    );
    file.default("Whether callers who are too quiet or too loud are brought to a level.", "agc", "false");
    file.default("Whether the agent's own echo is told from the caller and turned down.", "echo_gate", "true");
    file.default("Whether what lies between the caller's words is turned down.", "noise_gate", "false");
    file.default("Whether the caller hears a soft noise between the agent's words.", "comfort_noise", "false");
    file.default(
        "What the recogniser gets: `raw`, which is without the agent's echo only, or `cleaned`.",
        "feed",
        "\"raw\"",
    );
    let about = "Probability from which on sound is speech, for the recogniser and for the beginning of a turn, 1 to 99 percent.";
    file.default(about, "speech_percent", "50");
    let about = "Probability below which speech is over, for the end of a turn, 1 to 99 percent.";
    file.default(about, "speech_end_percent", "35");
    let about = "For how long the caller counts as speaking after the voice was lost, 0 to 1000 ms.";
    file.default(about, "hang_over_ms", "200");
    let about = "By how many decibels a voice lies below the caller's when it is somebody else's; 0 takes all for the caller's.";
    file.default(about, "behind_db", "0");
    let about =
        "Confidence of the quick detector from which on somebody may be interrupting the agent, 1 to 99 percent.";
    file.default(about, "suspicion_percent", "25");
    let about = "By how many decibels the agent is turned down then, until it is clear; 0 to 40.";
    file.default(about, "duck_db", "18");
    file.default(
        "Probability from which on sound is evidence that somebody is, 1 to 99 percent.",
        "interruption_percent",
        "50",
    );
    file.default(
        "Background sound under the agent: `room`, `office` or a WAV file in the folder `ambience` of the state folder.",
        "ambience",
        "{ source = \"room\", level_dbfs = -45, duck_db = 6 }",
    );
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use trunkline_api::object::Kind;
    use trunkline_api::sound::SoundPolicy;
    use trunkline_api::{Id, Prefix};

    use super::*;
    use crate::commands::new::mint;

    #[test]
    fn every_key_is_shown_and_can_be_switched_on_as_it_lies() {
        let id: Id = mint(Prefix::Agent).unwrap();
        let mut file = File::of(Kind::Agent, "", &id, &id);
        write(&mut file, "");
        let text = file.text();
        let section = text.split_once("[object.body.sound]").unwrap().1;
        let keys: Vec<_> =
            section.lines().filter_map(|line| line.strip_prefix("# ").filter(|l| l.contains(" = "))).collect();
        let policy: SoundPolicy = toml::from_str(&keys.join("\n")).unwrap();
        let shown = serde_json::to_value(&policy).unwrap();
        let schema = Value::from(schemars::schema_for!(SoundPolicy));
        for key in schema["properties"].as_object().unwrap().keys() {
            assert!(shown.get(key).is_some(), "{key}");
        }
        assert_eq!(policy.problems(), []);
    }
}
