//! The agent's voices: for each language that is spoken a list of synthesisers, the agent's own voice for it first.

use std::collections::BTreeMap;

use trunkline_api::agent::{ProviderRef, SpeechPolicy};
use trunkline_api::speech::MAX_VOICES;
use trunkline_leg::CallTime;

use crate::providers::{MOST, Providers};

/// Lists of synthesisers. A synthesiser is numbered through all of them: one that speaks two languages has two numbers,
/// and a session for each.
#[derive(Debug)]
pub(crate) struct Voices {
    usual: Vec<ProviderRef>,
    own: BTreeMap<String, ProviderRef>,
    /// Asked when all of a list have failed.
    engines: Vec<ProviderRef>,
    /// Names of those that take SSML.
    ssml: Vec<String>,
    lists: Vec<(String, Providers)>,
    /// What all calls together said of providers last.
    known: Vec<(String, bool)>,
}

impl Voices {
    /// Those of an agent, its language first.
    pub(crate) fn new(usual: &[ProviderRef], policy: &SpeechPolicy, language: &str) -> Self {
        let mut voices = Self {
            usual: usual.to_vec(),
            own: policy.voices.clone(),
            engines: Vec::new(),
            ssml: policy.ssml.clone(),
            lists: Vec::new(),
            known: Vec::new(),
        };
        voices.list(language);
        voices
    }

    /// With synthesisers that are asked when all of a list have failed.
    pub(crate) fn and_engines(&mut self, engines: &[ProviderRef]) {
        self.lists.iter_mut().for_each(|(_, list)| list.and_engines(engines));
        self.engines = engines.to_vec();
    }

    /// Whether any is worth asking.
    pub(crate) fn any_up(&self, now: CallTime) -> bool {
        self.lists.iter().any(|(_, list)| list.any_up(now))
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.lists.iter().all(|(_, list)| list.is_empty())
    }

    /// The list for a language. Of more languages than an agent may have voices for, the last share the first list.
    pub(crate) fn list(&mut self, language: &str) -> usize {
        if let Some(known) = self.lists.iter().position(|(tag, _)| tag.eq_ignore_ascii_case(language)) {
            return known;
        }
        if self.lists.len() > MAX_VOICES {
            return 0;
        }
        let same = |tag: &&String| tag.eq_ignore_ascii_case(language);
        let near = |tag: &&String| primary(tag).eq_ignore_ascii_case(primary(language));
        let tag = self.own.keys().find(same).or_else(|| self.own.keys().find(near));
        let own = tag.and_then(|tag| self.own.get(tag)).into_iter();
        let list: Vec<ProviderRef> = own.chain(&self.usual).cloned().collect();
        let mut list = Providers::new(&list);
        list.and_engines(&self.engines);
        self.known.iter().for_each(|(provider, up)| list.heard_of(provider, *up));
        self.lists.push((language.to_owned(), list));
        self.lists.len() - 1
    }

    /// Language of a list.
    pub(crate) fn language(&self, list: usize) -> &str {
        self.lists.get(list).map_or("", |(language, _)| language)
    }

    /// Who should speak now; its number.
    pub(crate) fn choose(&mut self, list: usize, now: CallTime) -> Option<usize> {
        let (at, _) = self.lists.get_mut(list)?.1.choose(now)?;
        Some(list * MOST + at)
    }

    /// The number of whoever of a list is in service.
    pub(crate) fn current(&self, list: usize) -> Option<usize> {
        let (at, _) = self.lists.get(list)?.1.current()?;
        Some(list * MOST + at)
    }

    /// Whether somebody else could speak.
    pub(crate) fn has_next(&self, list: usize, now: CallTime) -> bool {
        self.lists.get(list).is_some_and(|(_, list)| list.next(now).is_some())
    }

    /// The synthesiser of a number.
    pub(crate) fn get(&self, index: usize) -> Option<&ProviderRef> {
        self.lists.get(index / MOST)?.1.get(index % MOST)
    }

    /// Whether it takes SSML.
    pub(crate) fn takes_ssml(&self, index: usize) -> bool {
        self.get(index).is_some_and(|voice| self.ssml.contains(&voice.provider))
    }

    /// The list that a number is of, and its place there.
    pub(crate) fn list_of(&mut self, index: usize) -> Option<(&mut Providers, usize)> {
        self.lists.get_mut(index / MOST).map(|(_, list)| (list, index % MOST))
    }

    /// It did its work.
    pub(crate) fn succeeded(&mut self, index: usize) {
        if let Some((list, at)) = self.list_of(index) {
            list.succeeded(at);
        }
    }

    /// What all calls together think of a provider.
    pub(crate) fn heard_of(&mut self, provider: &str, up: bool) {
        self.lists.iter_mut().for_each(|(_, list)| list.heard_of(provider, up));
        self.known.retain(|(known, _)| known != provider);
        if self.known.len() < 2 * MOST {
            self.known.push((provider.to_owned(), up));
        }
    }
}

/// The language of a tag, without where it is spoken.
pub(crate) fn primary(tag: &str) -> &str {
    tag.split('-').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn voice(name: &str) -> ProviderRef {
        ProviderRef { provider: name.to_owned(), settings: serde_json::Map::new() }
    }

    #[test]
    fn a_language_has_its_own_voice_and_the_agents_behind_it() {
        let own = [("de".to_owned(), voice("anna")), ("pt-BR".to_owned(), voice("rui"))];
        let policy = SpeechPolicy { voices: own.into(), ..SpeechPolicy::default() };
        let mut voices = Voices::new(&[voice("a"), voice("b")], &policy, "en");
        let now = CallTime::ZERO;
        let mut speaks = |language: &str| {
            let list = voices.list(language);
            let index = voices.choose(list, now).unwrap();
            (index, voices.get(index).unwrap().provider.clone())
        };
        assert_eq!(speaks("en"), (0, "a".to_owned()));
        assert_eq!(speaks("de-AT"), (32, "anna".to_owned()));
        assert_eq!(speaks("fr"), (64, "a".to_owned()));
        assert_eq!(speaks("pt"), (96, "rui".to_owned()));
        assert_eq!(speaks("de-at"), (32, "anna".to_owned()), "a list is made once");
        for n in 0..40 {
            speaks(&format!("x{n:02}"));
        }
        assert_eq!(speaks("x39").0, 0, "of too many languages the last have the first list");
        assert_eq!(voices.language(1), "de-AT");
    }

    #[test]
    fn what_is_known_of_a_provider_counts_for_lists_that_come_later() {
        let mut voices = Voices::new(&[voice("a"), voice("b")], &SpeechPolicy::default(), "en");
        voices.heard_of("a", false);
        let list = voices.list("de");
        let index = voices.choose(list, CallTime::ZERO).unwrap();
        assert_eq!(voices.get(index).unwrap().provider, "b");
    }
}
