//! `transfer`: to whom an agent may pass a caller on, how, and what becomes of the call when nobody takes it.

use serde::{Deserialize, Serialize};

use crate::ambience::Ambience;

/// RMS level of music on hold, in dBFS: well below a voice.
const MUSIC_DBFS: i8 = -32;
/// Most targets of an agent.
const MOST_TARGETS: usize = 64;
/// Fewest and most digits of a number as E.164 has it.
const DIGITS: std::ops::RangeInclusive<usize> = 7..=15;

/// How a caller is passed on.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum TransferMode {
    /// The caller's own side is asked to dial (SIP REFER), and the gateway is out of it.
    Blind,
    /// The caller waits on hold while whoever is to take the call is dialled and told what it is about; both are
    /// connected once it was accepted.
    #[default]
    Attended,
    /// Whoever is to take the call is dialled, and connected at once when they answer.
    Bridge,
}

/// Somebody a caller may be passed on to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TransferTarget {
    /// What the model calls them, 1 to 64 letters, digits, `_` and `-`.
    pub name: String,
    /// Number (`+4930...`, an extension) or SIP URI.
    pub to: String,
    /// How; what `transfer.mode` says when it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<TransferMode>,
    /// When they are the right ones, for the model.
    #[serde(default)]
    pub description: String,
}

/// What a caller on hold hears.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum HoldSound {
    /// Music.
    #[default]
    Music,
    /// The ringback tone of the caller's country.
    Ringback,
    /// Nothing but the lines said meanwhile.
    Silence,
}

/// How the two are connected after a briefing.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum TransferJoin {
    /// By the gateway, which stays in the middle.
    #[default]
    Bridge,
    /// By the caller's side, which takes over the other call (SIP REFER with Replaces).
    Refer,
}

/// What becomes of the call when nobody takes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub enum TransferFallback {
    /// The caller is with the agent again, whose model is told what happened.
    Return {
        /// Said first, when it is not empty.
        #[serde(default)]
        say: String,
    },
    /// The agent says a line and hangs up.
    HangUp {
        /// The line.
        #[serde(default)]
        text: String,
    },
}

impl Default for TransferFallback {
    fn default() -> Self {
        Self::Return { say: String::new() }
    }
}

/// What becomes of the caller when whoever took the call hangs up.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum AfterTransfer {
    /// The call ends.
    #[default]
    HangUp,
    /// The caller is with the agent again.
    Return,
}

/// What the agent does while the caller speaks with whoever took the call.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum WhileJoined {
    /// It hears nothing.
    #[default]
    Leave,
    /// It hears both of them and says nothing: their words are in the transcript, and it knows them should the caller be
    /// with it again. Only with a recogniser.
    Listen,
}

/// To whom an agent may pass a caller on, and how. The tool `transfer` offers it to the model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TransferPolicy {
    /// Who may be dialled.
    pub targets: Vec<TransferTarget>,
    /// How those who say nothing else are.
    pub mode: TransferMode,
    /// Whether the model may also dial numbers that the caller gives, if they begin with one of `prefixes`.
    pub allow_any: bool,
    /// What such numbers begin with, `+49` or `+4930`; `+` is every number of every country.
    pub prefixes: Vec<String>,
    /// What none of them begins with, `+49900`.
    pub denied_prefixes: Vec<String>,
    /// How long it rings, 5000..=180000 ms.
    pub ring_ms: u32,
    /// Said to the caller before the hold.
    pub hold_say: String,
    /// What the caller hears on hold.
    pub hold_sound: HoldSound,
    /// Which music: that of the gateway when it is empty, else the name of a WAV file in the folder `ambience` of the gateway's
    /// state folder, 1 to 60 s, played in a loop.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hold_music: String,
    /// Said to the caller on hold now and then, one after the other.
    pub hold_lines: Vec<String>,
    /// How often, 5000..=300000 ms.
    pub hold_line_every_ms: u32,
    /// Said to whoever answered an attended transfer; `{briefing}` is what the model says the call is about, `{caller}` the
    /// caller's number, other names in braces are variables.
    pub briefing: String,
    /// The key that accepts the call, one of `0`-`9`, `*`, `#`, as does a plain "yes"; without one, whoever has heard the
    /// briefing takes the call.
    pub accept_key: String,
    /// Asked of them after the briefing when there is a key; `{key}` is the key.
    pub accept_say: String,
    /// How long they have to accept, 2000..=60000 ms; asked again once.
    pub accept_ms: u32,
    /// Longest briefing, with the questions, 5000..=180000 ms.
    pub briefing_ms: u32,
    /// Said to them when the caller has hung up meanwhile.
    pub caller_gone_say: String,
    /// How the two are connected after a briefing.
    pub join: TransferJoin,
    /// What the agent does while they speak with each other.
    pub while_joined: WhileJoined,
    /// What becomes of the call when nobody takes it.
    pub on_failure: TransferFallback,
    /// What becomes of the caller when whoever took the call hangs up.
    pub after: AfterTransfer,
    /// Longest time a leg that was dialled may last, in seconds, 10..=86400.
    pub leg_max_s: u32,
}

impl Default for TransferPolicy {
    fn default() -> Self {
        Self {
            targets: Vec::new(),
            mode: TransferMode::default(),
            allow_any: false,
            prefixes: Vec::new(),
            denied_prefixes: Vec::new(),
            ring_ms: 30_000,
            hold_say: "One moment, I will put you through.".to_owned(),
            hold_sound: HoldSound::default(),
            hold_music: String::new(),
            hold_lines: vec!["Thank you for waiting. I am still trying to reach somebody.".to_owned()],
            hold_line_every_ms: 20_000,
            briefing: "Hello, I have a caller for you. {briefing}".to_owned(),
            accept_key: "1".to_owned(),
            accept_say: "Press {key} or say yes to take the call.".to_owned(),
            accept_ms: 10_000,
            briefing_ms: 60_000,
            caller_gone_say: "The caller has just hung up. Thank you, goodbye.".to_owned(),
            join: TransferJoin::default(),
            while_joined: WhileJoined::default(),
            on_failure: TransferFallback::default(),
            after: AfterTransfer::default(),
            leg_max_s: 7200,
        }
    }
}

impl TransferPolicy {
    /// The music of a caller on hold.
    #[must_use]
    pub fn music(&self) -> Ambience {
        let source = if self.hold_music.is_empty() { "music" } else { &self.hold_music };
        Ambience { source: source.to_owned(), level_dbfs: MUSIC_DBFS, duck_db: 0 }
    }

    /// Whether nothing was chosen.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The target of a name.
    #[must_use]
    pub fn target(&self, name: &str) -> Option<&TransferTarget> {
        self.targets.iter().find(|target| target.name.eq_ignore_ascii_case(name.trim()))
    }

    /// A number that is on nobody's list, as it may be dialled; `None` when the policy does not let it through.
    #[must_use]
    pub fn admits(&self, number: &str) -> Option<String> {
        let number = normal_number(number)?;
        let begins = |prefixes: &[String]| prefixes.iter().any(|prefix| number.starts_with(prefix.as_str()));
        (self.allow_any && begins(&self.prefixes) && !begins(&self.denied_prefixes)).then_some(number)
    }

    /// What is out of range, each with its RFC 6901 pointer and what was expected.
    #[must_use]
    pub fn problems(&self) -> Vec<(String, &'static str)> {
        let mut found = Vec::new();
        let mut expect = |holds: bool, pointer: &str, message: &'static str| {
            if !holds {
                found.push((format!("/transfer/{pointer}"), message));
            }
        };
        expect(self.targets.len() <= MOST_TARGETS, "targets", "expected at most 64 targets");
        for (at, target) in self.targets.iter().enumerate() {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
            let named = (1..=64).contains(&target.name.len()) && target.name.chars().all(plain);
            expect(named, &format!("targets/{at}/name"), "expected 1 to 64 letters, digits, `_` and `-`");
            let first = self.target(&target.name).is_none_or(|first| std::ptr::eq(first, target));
            expect(first, &format!("targets/{at}/name"), "expected a name that no target before it has");
            expect(is_dialable(&target.to), &format!("targets/{at}/to"), "expected a number or a SIP URI");
            let described = target.description.len() <= 1000;
            expect(described, &format!("targets/{at}/description"), "expected at most 1000 bytes");
        }
        let prefixes = |list: &[String]| list.len() <= 100 && list.iter().all(|prefix| is_prefix(prefix));
        expect(prefixes(&self.prefixes), "prefixes", "expected at most 100 such as `+49`");
        expect(prefixes(&self.denied_prefixes), "denied_prefixes", "expected at most 100 such as `+49900`");
        let some = !self.allow_any || !self.prefixes.is_empty();
        expect(
            some,
            "prefixes",
            "expected at least one with `allow_any`; `+` lets every number of every country through",
        );
        expect((5000..=180_000).contains(&self.ring_ms), "ring_ms", "expected 5000 to 180000");
        let every = self.hold_line_every_ms;
        expect((5000..=300_000).contains(&every), "hold_line_every_ms", "expected 5000 to 300000");
        expect((2000..=60_000).contains(&self.accept_ms), "accept_ms", "expected 2000 to 60000");
        expect((5000..=180_000).contains(&self.briefing_ms), "briefing_ms", "expected 5000 to 180000");
        expect((10..=86_400).contains(&self.leg_max_s), "leg_max_s", "expected 10 to 86400");
        let key = self.accept_key.as_str();
        let is_key = key.len() <= 1 && key.chars().all(|key| key.is_ascii_digit() || matches!(key, '*' | '#'));
        expect(is_key, "accept_key", "expected one of the keys 0 to 9, * and #, or nothing");
        let plays = self.hold_music.is_empty() || self.music().problems().is_empty();
        expect(plays, "hold_music", "expected the name of a WAV file: letters, digits, `-`, `_` and `.`, or nothing");
        let lines = self.hold_lines.len() <= 20 && self.hold_lines.iter().all(|line| line.len() <= 1000);
        expect(lines, "hold_lines", "expected at most 20 of at most 1000 bytes");
        let fallback = match &self.on_failure {
            TransferFallback::Return { say } => say,
            TransferFallback::HangUp { text } => text,
        };
        for (line, pointer) in [
            (&self.hold_say, "hold_say"),
            (&self.briefing, "briefing"),
            (&self.accept_say, "accept_say"),
            (&self.caller_gone_say, "caller_gone_say"),
            (fallback, "on_failure"),
        ] {
            expect(line.len() <= 2000, pointer, "expected at most 2000 bytes");
        }
        found
    }
}

/// A number as E.164 writes it, however it was said: `+` and 7 to 15 digits. `00` in front stands for `+`, and spaces,
/// dots, dashes, slashes and brackets for nothing; `None` for anything else.
#[must_use]
pub fn normal_number(text: &str) -> Option<String> {
    // `+49 (0)30`: the bracketed zero is dialled inside the country only.
    let text = text.trim().replace("(0)", "");
    let mut number = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '0'..='9' => number.push(character),
            '+' if number.is_empty() => number.push('+'),
            ' ' | '.' | '-' | '/' | '(' | ')' | '\u{a0}' | '\u{2011}' => {}
            _ => return None,
        }
    }
    if let Some(rest) = number.strip_prefix("00") {
        number = format!("+{rest}");
    }
    let digits = number.strip_prefix('+')?;
    (DIGITS.contains(&digits.len()) && !digits.starts_with('0')).then_some(number)
}

/// Whether a gateway can dial it: a number, an extension of up to 15 digits, `*` and `#`, or a SIP URI.
#[must_use]
pub fn is_dialable(to: &str) -> bool {
    let user = to.strip_prefix('+').unwrap_or(to);
    let number = (1..=20).contains(&user.len()) && user.chars().all(|c| c.is_ascii_digit() || matches!(c, '*' | '#'));
    let uri = ["sip:", "sips:", "tel:"].iter().find_map(|scheme| to.strip_prefix(scheme));
    let plain = |uri: &str| (1..=255).contains(&uri.len()) && uri.chars().all(|c| c.is_ascii_graphic() && c != '<');
    number || uri.is_some_and(plain)
}

fn is_prefix(prefix: &str) -> bool {
    prefix.strip_prefix('+').is_some_and(|digits| digits.len() <= 14 && digits.chars().all(|c| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_brought_to_one_form() {
        for (said, number) in [
            ("+49 30 123-45 67", "+49301234567"),
            ("0049/30/1234567", "+49301234567"),
            ("+49 (0)30 1234567", "+49301234567"),
            ("+1 (212) 555.0100", "+12125550100"),
        ] {
            assert_eq!(normal_number(said).as_deref(), Some(number), "{said}");
        }
        for wrong in ["", "030 1234567", "+0301234567", "+49", "+49301234567890123", "+49 30 CALL-ME", "1+4930123456"] {
            assert_eq!(normal_number(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_caller_talks_nobody_into_dialling_abroad() {
        let listed = TransferPolicy::default();
        assert_eq!(listed.admits("+49301234567"), None, "nothing but the list");
        let home = TransferPolicy {
            allow_any: true,
            prefixes: vec!["+49".to_owned()],
            denied_prefixes: vec!["+49900".to_owned()],
            ..TransferPolicy::default()
        };
        assert_eq!(home.admits("0049 30 1234567").as_deref(), Some("+49301234567"));
        for abroad in ["+88213123456", "+4990012345", "+1 900 555 0100", "sip:x@evil.example", "0900 123456"] {
            assert_eq!(home.admits(abroad), None, "{abroad}");
        }
    }

    #[test]
    fn what_cannot_be_dialled_is_named() {
        let target = |name: &str, to: &str| TransferTarget {
            name: name.to_owned(),
            to: to.to_owned(),
            mode: None,
            description: String::new(),
        };
        let policy = TransferPolicy {
            targets: vec![target("sales", "+4930123"), target("Sales", "200"), target("a b", "sip:x@y <z>")],
            allow_any: true,
            ring_ms: 10,
            hold_music: "../x.wav".to_owned(),
            accept_key: "12".to_owned(),
            ..TransferPolicy::default()
        };
        let pointers: Vec<_> = policy.problems().into_iter().map(|(pointer, _)| pointer).collect();
        let expected =
            ["targets/1/name", "targets/2/name", "targets/2/to", "prefixes", "ring_ms", "accept_key", "hold_music"];
        assert_eq!(pointers, expected.map(|pointer| format!("/transfer/{pointer}")));
        assert!(TransferPolicy::default().problems().is_empty());
    }
}
