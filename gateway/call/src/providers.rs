//! Ordered lists of providers: who is in service, who is next, and when the first one is tried again.

use trunkline_api::agent::ProviderRef;
use trunkline_leg::CallTime;

/// Longest list.
pub(crate) const MOST: usize = 32;
/// How long a provider that failed is passed over; twice as long after every further failure, up to the last.
const REST_MS: u64 = 15_000;
const LONGEST_REST_MS: u64 = 240_000;

/// A list of an agent. Whoever asks gets the first provider that is up; one that failed is passed over for a while, and
/// one that every call together holds for dead until they all think otherwise.
#[derive(Debug)]
pub(crate) struct Providers {
    list: Vec<Entry>,
    current: usize,
    /// Entries of the agent's own list; those behind are asked when all of these have failed.
    own: usize,
    /// Those that failed since the last success: each is tried once before the list is exhausted.
    failed: u32,
}

#[derive(Debug)]
struct Entry {
    provider: ProviderRef,
    /// As all calls together see it.
    up: bool,
    /// As this call sees it.
    rests_until: CallTime,
    rest_ms: u64,
}

impl Providers {
    /// A list whose first provider is in service.
    pub(crate) fn new(list: &[ProviderRef]) -> Self {
        let entry = |provider: &ProviderRef| Entry {
            provider: provider.clone(),
            up: true,
            rests_until: CallTime::ZERO,
            rest_ms: REST_MS,
        };
        let list: Vec<Entry> = list.iter().take(MOST).map(entry).collect();
        Self { own: list.len(), list, current: 0, failed: 0 }
    }

    /// Adds providers that are asked when all of the list have failed.
    pub(crate) fn and_engines(&mut self, engines: &[ProviderRef]) {
        let room = MOST - self.list.len();
        self.list.extend(Self::new(engines.get(..room.min(engines.len())).unwrap_or_default()).list);
    }

    /// Whether the provider in service is one behind the agent's own list.
    pub(crate) const fn is_beyond(&self) -> bool {
        self.current >= self.own && self.current < self.list.len() && self.own > 0
    }

    /// Whether any is worth asking.
    pub(crate) fn any_up(&self, now: CallTime) -> bool {
        self.list.iter().any(|entry| entry.up && entry.rests_until <= now)
    }

    /// Whether the agent has none.
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The provider in service and its position.
    pub(crate) fn current(&self) -> Option<(usize, &ProviderRef)> {
        self.list.get(self.current).map(|entry| (self.current, &entry.provider))
    }

    /// The provider at a position.
    pub(crate) fn get(&self, index: usize) -> Option<&ProviderRef> {
        self.list.get(index).map(|entry| &entry.provider)
    }

    /// Name of the provider in service, for events.
    pub(crate) fn name(&self) -> &str {
        self.name_of(self.current)
    }

    /// Name of a provider, for events.
    pub(crate) fn name_of(&self, index: usize) -> &str {
        self.get(index).map_or("", |provider| provider.provider.as_str())
    }

    /// Who should be in service for something that begins now: the first that is up, or failing that the first that has
    /// not failed since the last success.
    pub(crate) fn choice(&self, now: CallTime) -> usize {
        let untried = |index: usize| self.failed & (1 << index) == 0;
        let fit = |index: usize| untried(index) && self.list[index].up && self.list[index].rests_until <= now;
        let all = 0..self.list.len();
        let choice = all.clone().find(|&index| fit(index)).or_else(|| all.clone().find(|&index| untried(index)));
        choice.unwrap_or(self.current)
    }

    /// Puts that provider in service.
    pub(crate) fn choose(&mut self, now: CallTime) -> Option<(usize, ProviderRef)> {
        self.current = self.choice(now);
        self.current().map(|(index, provider)| (index, provider.clone()))
    }

    /// Who would be next if the provider in service failed; `None` when there is nobody.
    pub(crate) fn next(&self, now: CallTime) -> Option<usize> {
        let untried = |index: &usize| *index != self.current && self.failed & (1 << index) == 0;
        let up = |index: &usize| self.list[*index].up && self.list[*index].rests_until <= now;
        let all = (0..self.list.len()).filter(untried);
        all.clone().find(up).or_else(|| all.clone().next())
    }

    /// A provider failed: when it was the one in service, the next takes over. False when every provider has failed.
    pub(crate) fn fail(&mut self, now: CallTime, index: usize) -> bool {
        let Some(entry) = self.list.get_mut(index) else { return false };
        entry.rests_until = now.plus_ms(entry.rest_ms);
        entry.rest_ms = (2 * entry.rest_ms).min(LONGEST_REST_MS);
        self.failed |= 1 << index;
        if index != self.current {
            return true;
        }
        let next = self.next(now);
        if let Some(next) = next {
            self.current = next;
        }
        next.is_some()
    }

    /// A provider did its work: the others may be tried again.
    pub(crate) fn succeeded(&mut self, index: usize) {
        self.failed = 0;
        if let Some(entry) = self.list.get_mut(index) {
            (entry.rests_until, entry.rest_ms) = (CallTime::ZERO, REST_MS);
        }
    }

    /// Whoever goes on although all have failed may try them all again.
    pub(crate) const fn try_again(&mut self) {
        self.failed = 0;
    }

    /// What all calls together think of a provider.
    pub(crate) fn heard_of(&mut self, provider: &str, up: bool) {
        for entry in self.list.iter_mut().filter(|entry| entry.provider.provider == provider) {
            entry.up = up;
            if up {
                entry.rests_until = CallTime::ZERO;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: CallTime = CallTime::ZERO;

    fn providers(names: &[&str]) -> Providers {
        let entry = |name: &&str| ProviderRef { provider: (*name).to_owned(), settings: Default::default() };
        Providers::new(&names.iter().map(entry).collect::<Vec<_>>())
    }

    #[test]
    fn each_is_tried_once_and_then_the_list_is_exhausted() {
        let mut list = providers(&["a", "b", "c"]);
        assert!(list.fail(NOW, 0) && list.name() == "b");
        assert!(list.fail(NOW, 1) && list.name() == "c");
        assert!(!list.fail(NOW, 2));
        assert!(!providers(&["only"]).fail(NOW, 0) && !providers(&[]).fail(NOW, 0));
    }

    #[test]
    fn the_first_is_tried_again_after_a_rest_that_grows() {
        let mut list = providers(&["a", "b"]);
        assert!(list.fail(NOW, 0));
        list.succeeded(1);
        assert_eq!(list.choose(CallTime::from_ms(14_999)).unwrap().0, 1);
        assert_eq!(list.choose(CallTime::from_ms(15_000)).unwrap().0, 0);
        assert!(list.fail(CallTime::from_ms(16_000), 0));
        list.succeeded(1);
        assert_eq!(list.choose(CallTime::from_ms(45_999)).unwrap().0, 1);
        assert_eq!(list.choose(CallTime::from_ms(46_000)).unwrap().0, 0);
    }

    #[test]
    fn a_provider_that_all_calls_hold_for_dead_is_asked_last() {
        let mut list = providers(&["a", "b"]);
        list.heard_of("a", false);
        assert_eq!(list.choose(NOW).unwrap().0, 1);
        assert!(list.fail(NOW, 1) && list.name() == "a", "there is nobody else");
        list.try_again();
        list.heard_of("a", true);
        assert_eq!(list.choose(NOW).unwrap().0, 0);
    }
}
