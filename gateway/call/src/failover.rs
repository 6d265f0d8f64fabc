//! Ordered lists of providers: who is in service, and who is next.

use trunkline_api::agent::ProviderRef;

/// A list of an agent, at most 32 long. The provider in service stays so until it fails; then the next one that has
/// not failed since the last success takes over, beginning again at the head of the list.
#[derive(Debug)]
pub(crate) struct Providers {
    list: Vec<ProviderRef>,
    current: usize,
    failed: u32,
}

impl Providers {
    /// A list whose first provider is in service.
    pub(crate) fn new(mut list: Vec<ProviderRef>) -> Self {
        list.truncate(32);
        Self { list, current: 0, failed: 0 }
    }

    /// Whether the agent has none.
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The provider in service and its position.
    pub(crate) fn current(&self) -> Option<(usize, &ProviderRef)> {
        self.list.get(self.current).map(|provider| (self.current, provider))
    }

    /// Name of the provider in service, for events.
    pub(crate) fn name(&self) -> String {
        self.list.get(self.current).map(|provider| provider.provider.clone()).unwrap_or_default()
    }

    /// The provider in service failed: puts the next in service. False when every provider has failed.
    pub(crate) fn fail(&mut self) -> bool {
        self.failed |= 1 << self.current;
        let count = self.list.len();
        let next = (1..count).map(|step| (self.current + step) % count).find(|next| self.failed & (1 << next) == 0);
        if let Some(next) = next {
            self.current = next;
        }
        next.is_some()
    }

    /// The provider in service did its work, so the others may be tried again.
    pub(crate) fn succeeded(&mut self) {
        self.failed = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn providers(names: &[&str]) -> Providers {
        let entry = |name: &&str| ProviderRef { provider: (*name).to_owned(), settings: Default::default() };
        Providers::new(names.iter().map(entry).collect())
    }

    #[test]
    fn each_is_tried_once_and_then_the_list_is_exhausted() {
        let mut list = providers(&["a", "b", "c"]);
        assert!(list.fail() && list.name() == "b");
        assert!(list.fail() && list.name() == "c");
        assert!(!list.fail());
    }

    #[test]
    fn after_a_success_the_first_may_take_over_again() {
        let mut list = providers(&["a", "b"]);
        assert!(list.fail());
        list.succeeded();
        assert!(list.fail() && list.name() == "a");
        assert!(!providers(&["only"]).fail() && !providers(&[]).fail());
    }
}
