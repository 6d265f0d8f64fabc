//! "Mhm": what people say while they listen. It asks for nothing and interrupts nobody, unless it answers a question.

use trunkline_api::agent::InterruptionPolicy;

/// Words by language; a text of nothing but these is a backchannel.
const WORDS: [(&str, &[&str]); 7] = [
    (
        "en",
        &[
            "mhm", "mm", "hmm", "hm", "uh", "huh", "uhhuh", "um", "ah", "oh", "yeah", "yes", "yep", "yup", "ok",
            "okay", "right", "sure", "i", "see", "got", "it", "alright", "true", "cool", "good", "great", "wow",
            "really", "exactly",
        ],
    ),
    (
        "de",
        &[
            "mhm", "hm", "hmm", "aha", "ah", "oh", "ja", "jaja", "genau", "ok", "okay", "gut", "klar", "achso", "ach",
            "so", "verstehe", "stimmt", "richtig", "schön", "äh", "ähm",
        ],
    ),
    (
        "fr",
        &[
            "mhm", "hm", "ah", "oh", "oui", "ouais", "ok", "okay", "bien", "daccord", "voilà", "exact", "euh", "je",
            "vois",
        ],
    ),
    (
        "es",
        &[
            "mhm", "ajá", "aja", "ah", "oh", "sí", "si", "ok", "okay", "vale", "claro", "bien", "ya", "bueno", "eh",
            "veo",
        ],
    ),
    (
        "it",
        &[
            "mhm", "ah", "oh", "sì", "si", "ok", "okay", "va", "bene", "certo", "capisco", "ho", "capito", "eh",
            "giusto",
        ],
    ),
    (
        "nl",
        &[
            "mhm", "hm", "ah", "oh", "ja", "jaja", "oké", "ok", "okay", "goed", "klopt", "precies", "juist", "eh",
            "snap",
        ],
    ),
    (
        "pt",
        &["mhm", "ah", "oh", "sim", "ok", "okay", "tá", "certo", "claro", "pois", "é", "bem", "entendi", "eh", "bom"],
    ),
];
/// More words than this are an utterance, whatever they are.
const MOST: usize = 3;

/// Whether a text is no more than a sign of listening.
pub(crate) fn is_backchannel(text: &str, language: &str, policy: &InterruptionPolicy) -> bool {
    let bare =
        |word: &str| word.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect::<String>();
    let words: Vec<String> = text.split_whitespace().map(bare).filter(|word| !word.is_empty()).collect();
    if words.len() > MOST {
        return false;
    }
    let whole = words.concat();
    if policy.backchannels.iter().any(|own| own.split_whitespace().map(bare).collect::<String>() == whole) {
        return true;
    }
    let language = language.split('-').next().unwrap_or_default().to_lowercase();
    let known = WORDS.iter().find(|(tag, _)| *tag == language).map_or(WORDS[0].1, |(_, words)| words);
    words.iter().all(|word| known.contains(&word.as_str()))
}

/// Every word that is known in some language.
pub(crate) fn words() -> impl Iterator<Item = &'static str> {
    WORDS.iter().flat_map(|(_, words)| words.iter().copied())
}

/// Number of words of a text.
pub(crate) fn count(text: &str) -> usize {
    text.split_whitespace().filter(|word| word.chars().any(char::is_alphanumeric)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(text: &str, language: &str) -> bool {
        is_backchannel(text, language, &InterruptionPolicy::default())
    }

    #[test]
    fn signs_of_listening_are_known_in_the_agents_language() {
        for text in ["", "Mhm.", "uh-huh", "Yeah, okay.", "I see.", "Oh, really?"] {
            assert!(is(text, "en-GB"), "{text}");
        }
        for text in ["Stop.", "No.", "Yes, and my number", "okay but wait", "I see it right now yes"] {
            assert!(!is(text, "en"), "{text}");
        }
        assert!(is("Ja, genau.", "de-AT") && is("d'accord", "fr") && is("ah, sí", "es"));
        assert!(!is("nein", "de") && !is("warte", "de"));
        assert!(is("mhm", "xx"), "a language without a list of its own has the first");
    }

    #[test]
    fn an_agent_may_add_words_of_its_own() {
        let policy = InterruptionPolicy { backchannels: vec!["go on".to_owned()], ..InterruptionPolicy::default() };
        assert!(is_backchannel("Go on!", "en", &policy) && !is("Go on!", "en"));
    }
}
