//! Certificates that were fetched, and places where none was to be had: each for a while, and never more than so many.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::certificate::Chain;

/// For how long a certificate that is believed is kept.
const KEPT: Duration = Duration::from_secs(3600);
/// For how long it is kept that there is none, or one that is not believed: until it is asked for again.
const IN_VAIN: Duration = Duration::from_secs(30);

/// Fetched certificates, by URL.
#[derive(Debug)]
pub(super) struct Cache {
    most: usize,
    entries: BTreeMap<String, Entry>,
}

#[derive(Debug)]
struct Entry {
    chain: Result<Arc<Chain>, String>,
    until: Instant,
}

impl Cache {
    pub(super) fn new(most: usize) -> Self {
        Self { most, entries: BTreeMap::new() }
    }

    /// What is known of a URL; `None` when it is to be fetched.
    pub(super) fn get(&self, now: Instant, url: &str) -> Option<Result<Arc<Chain>, String>> {
        self.entries.get(url).filter(|entry| now < entry.until).map(|entry| entry.chain.clone())
    }

    /// What came of a fetch.
    pub(super) fn put(&mut self, now: Instant, url: String, chain: Result<Arc<Chain>, String>, believed: bool) {
        if self.entries.len() >= self.most && !self.entries.contains_key(&url) {
            self.entries.retain(|_, entry| now < entry.until);
            // What is not believed goes before what is: strangers cannot push that out.
            let soonest = self.entries.iter().min_by_key(|(_, entry)| entry.until).map(|(url, _)| url.clone());
            if let Some(soonest) = soonest.filter(|_| self.entries.len() >= self.most) {
                self.entries.remove(&soonest);
            }
        }
        let until = now + if believed { KEPT } else { IN_VAIN };
        self.entries.insert(url, Entry { chain, until });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_bounded_and_forgets_in_time() {
        let (mut cache, now) = (Cache::new(2), Instant::now());
        let nothing = || Err("gone".to_owned());
        cache.put(now, "https://kept".to_owned(), nothing(), true);
        for url in ["https://a", "https://b", "https://c"] {
            cache.put(now, url.to_owned(), nothing(), false);
        }
        assert_eq!(cache.entries.len(), 2);
        assert!(cache.get(now, "https://kept").is_some(), "strangers do not push it out");
        assert!(cache.get(now, "https://c").is_some());
        assert!(cache.get(now + IN_VAIN, "https://c").is_none(), "it is asked for again");
        assert!(cache.get(now + IN_VAIN, "https://kept").is_some());
        assert!(cache.get(now + KEPT, "https://kept").is_none());
    }
}
