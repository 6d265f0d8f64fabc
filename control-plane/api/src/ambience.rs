//! `sound.ambience`: background sound of a call, as an agent or its trunk wants it.

use serde::{Deserialize, Serialize};

/// Sounds that a gateway makes by itself.
pub const BUILT_IN: [&str; 3] = ["room", "office", "music"];

/// Background sound under the agent, for as long as the call lasts and is not on hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Ambience {
    /// `room`, `office`, `music`, or the name of a WAV file in the folder `ambience` of the gateway's state folder: 1 to 60 s, mono
    /// or stereo, 8 to 48 kHz. It is played in a loop.
    pub source: String,
    /// RMS level it is played at, -70..=-26 dBFS.
    #[serde(default = "quiet")]
    pub level_dbfs: i8,
    /// By how many decibels it is turned down while the agent speaks, 0..=40.
    #[serde(default = "a_little")]
    pub duck_db: u8,
}

const fn quiet() -> i8 {
    -45
}

const fn a_little() -> u8 {
    6
}

impl Ambience {
    /// Whether the gateway makes it by itself.
    #[must_use]
    pub fn is_built_in(&self) -> bool {
        BUILT_IN.contains(&self.source.as_str())
    }

    /// What is out of range: a pointer below `sound`, and what was expected.
    #[must_use]
    pub fn problems(&self) -> Vec<(&'static str, &'static str)> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let file = self.source.to_ascii_lowercase().ends_with(".wav")
            && (5..=64).contains(&self.source.len())
            && self.source.chars().all(plain)
            && !self.source.starts_with('.');
        let checks = [
            (
                self.is_built_in() || file,
                "/sound/ambience/source",
                "expected `room`, `office`, `music` or the name of a WAV file: letters, digits, `-`, `_` and `.`",
            ),
            ((-70..=-26).contains(&self.level_dbfs), "/sound/ambience/level_dbfs", "expected -70 to -26"),
            (self.duck_db <= 40, "/sound/ambience/duck_db", "expected 0 to 40"),
        ];
        checks.into_iter().filter(|(holds, ..)| !holds).map(|(_, pointer, message)| (pointer, message)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_built_in_or_a_file_of_the_folder_and_of_no_other() {
        let of = |text: &str| serde_json::from_str::<Ambience>(text).unwrap().problems();
        for fine in [
            r#"{"source":"room"}"#,
            r#"{"source":"office","level_dbfs":-60,"duck_db":0}"#,
            r#"{"source":"Cafe-2.wav"}"#,
        ] {
            assert_eq!(of(fine), [], "{fine}");
        }
        for wrong in ["../x.wav", "a/b.wav", ".wav", ".x.wav", "cafe.mp3", "", "kitchen", "C:x.wav"] {
            let ambience = Ambience { source: wrong.to_owned(), level_dbfs: -45, duck_db: 6 };
            assert_eq!(ambience.problems().len(), 1, "{wrong}");
        }
        assert_eq!(of(r#"{"source":"room","level_dbfs":-10,"duck_db":41}"#).len(), 2);
        assert!(serde_json::from_str::<Ambience>(r#"{"source":"room","loud":true}"#).is_err());
    }
}
