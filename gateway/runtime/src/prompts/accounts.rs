//! What rendering took goes to the usage stream: a record for every time a synthesiser was asked, whatever came of it, as
//! whoever runs it counts it too. A line that is found on the disk was counted when it was made.

use std::collections::VecDeque;

use trunkline_api::usage::{ProviderUsage, RENDERING_RECORD_FORMAT, RenderingRecord, Units};
use trunkline_api::words::ProviderKind;
use trunkline_api::{Id, Prefix};
use trunkline_edge_store::{Completion, EdgeStore, StoreError, Write};

use super::Whose;
use crate::shared::random;

/// Most records that wait for the disk: as many as agents have lines, with the same again for what failed. Beyond them
/// the oldest is lost, and the log says so.
const MOST_OWED: usize = 8192;

/// Records on their way to the disk.
#[derive(Default)]
pub(super) struct Accounts {
    owed: VecDeque<Owed>,
}

/// A record, and what the disk will say of it once it was offered.
struct Owed {
    record: RenderingRecord,
    written: Option<Completion>,
}

impl Accounts {
    /// A synthesiser was asked for a line and used that.
    pub(super) fn used(&mut self, store: &dyn EdgeStore, whose: &Whose, units: Units, wall_us: u64) {
        if units != Units::default() {
            let random = random().unwrap_or_default();
            let (provider, kind) = (whose.provider.clone(), ProviderKind::Tts.name().to_owned());
            let record = RenderingRecord {
                format: RENDERING_RECORD_FORMAT,
                rendering: Id::mint(Prefix::Rendering, wall_us / 1000, random),
                tenant: whose.tenant.clone(),
                agent: whose.agent.clone(),
                agent_version: whose.version,
                rendered_us: wall_us,
                usage: vec![ProviderUsage { provider, kind, units }],
            };
            self.owed.push_back(Owed { record, written: None });
        }
        if self.owed.len() > MOST_OWED {
            tracing::error!("what rendering a line took is in no account: the disk has taken nothing for long");
            self.owed.pop_front();
        }
        self.settle(store);
    }

    /// Offers what the disk has not taken, without waiting for it.
    pub(super) fn settle(&mut self, store: &dyn EdgeStore) {
        for Owed { record, written } in self.owed.iter_mut().filter(|owed| owed.written.is_none()) {
            match store.submit(Write::Used(Box::new(record.clone()))) {
                Ok(completion) => *written = Some(completion),
                Err(error) => {
                    tracing::debug!(%error, "the disk takes no account now");
                    break;
                }
            }
        }
        self.owed.retain_mut(|owed| match owed.written.as_ref().and_then(Completion::poll) {
            Some(Ok(()) | Err(StoreError::TooLarge { .. })) => false,
            Some(Err(_)) => {
                owed.written = None;
                true
            }
            None => true,
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::rig::SlowStore;

    #[test]
    fn what_the_disk_refuses_is_offered_again_and_counted_once() {
        let store = SlowStore::default();
        let id = |prefix| Id::mint(prefix, 1, [1; 10]);
        let whose =
            Whose { tenant: id(Prefix::Tenant), agent: id(Prefix::Agent), version: 4, provider: "anna".to_owned() };
        let units = |tts_chars| Units { tts_chars, plugin_us: 9, ..Units::default() };
        let mut accounts = Accounts::default();
        store.busy.store(true, Ordering::Relaxed);
        accounts.used(&store, &whose, units(12), 1_000_000);
        accounts.used(&store, &whose, Units::default(), 2_000_000);
        assert!(store.used.lock().unwrap().is_empty());
        store.busy.store(false, Ordering::Relaxed);
        accounts.settle(&store);
        accounts.settle(&store);
        accounts.used(&store, &whose, units(30), 3_000_000);
        let used = store.used.lock().unwrap();
        let seen: Vec<_> = used.iter().map(|record| (record.rendered_us, record.usage[0].units)).collect();
        assert_eq!(seen, [(1_000_000, units(12)), (3_000_000, units(30))]);
        assert_eq!((used[0].usage[0].provider.as_str(), used[0].usage[0].kind.as_str()), ("anna", "tts"));
        assert_eq!((&used[0].tenant, &used[0].agent, used[0].agent_version), (&whose.tenant, &whose.agent, 4));
        assert_ne!(used[0].rendering, used[1].rendering);
    }
}
