//! What tenants have spent today, kept in a file of the state folder as it changes: a restart is no new day.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use trunkline_route::outbound::DaySpent;

use crate::shared::Shared;

/// The file.
const FILE: &str = "outbound.json";
/// How often it is looked whether anything has changed: what a crash forgets is as old at most.
const LOOK: Duration = Duration::from_secs(1);

/// Keeps the books of calls that leave.
pub(crate) struct Keeping {
    shared: Arc<Shared>,
    path: PathBuf,
    looked: Instant,
    /// As it is on the disk, or is on its way there.
    kept: Vec<DaySpent>,
    writing: Option<JoinHandle<io::Result<()>>>,
}

impl Keeping {
    /// Takes over what was kept, before any call leaves.
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let path = shared.config.state_dir.join(FILE);
        Self::of(shared, path)
    }

    fn of(shared: Arc<Shared>, path: PathBuf) -> Self {
        let kept = match read(&path) {
            Ok(kept) => kept,
            Err(error) => {
                let path = path.display();
                tracing::error!(%error, %path, "what tenants have spent today cannot be read; they begin anew");
                Vec::new()
            }
        };
        shared.outbound.restore(kept.clone());
        Self { shared, path, looked: Instant::now(), kept, writing: None }
    }

    /// Has the disk keep what has changed, now and then; nothing here waits for it.
    pub(crate) fn look(&mut self, now: Instant) {
        let writes = self.writing.as_ref().is_some_and(|writing| !writing.is_finished());
        if writes || now.saturating_duration_since(self.looked) < LOOK {
            return;
        }
        self.looked = now;
        self.written();
        let books = self.shared.outbound.kept();
        if books == self.kept {
            return;
        }
        let (path, written) = (self.path.clone(), books.clone());
        let writer = std::thread::Builder::new().name("books".to_owned());
        match writer.spawn(move || write(&path, &written)) {
            Ok(writing) => (self.writing, self.kept) = (Some(writing), books),
            Err(error) => tracing::warn!(%error, "what tenants have spent could not be written down"),
        }
    }

    /// What came of the last writing.
    fn written(&mut self) {
        match self.writing.take().map(JoinHandle::join) {
            None | Some(Ok(Ok(()))) => return,
            Some(Ok(Err(error))) => {
                tracing::warn!(%error, "what tenants have spent could not be written down; it is tried again");
            }
            Some(Err(_)) => {}
        }
        self.kept.clear();
    }
}

impl Drop for Keeping {
    fn drop(&mut self) {
        self.written();
        let books = self.shared.outbound.kept();
        if books != self.kept
            && let Err(error) = write(&self.path, &books)
        {
            tracing::warn!(%error, "what tenants have spent could not be written down");
        }
    }
}

/// Puts it in place of what was there, whole or not at all.
fn write(path: &Path, books: &[DaySpent]) -> io::Result<()> {
    let fresh = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(&serde_json::to_vec(books)?)?;
    file.sync_all()?;
    std::fs::rename(&fresh, path)
}

fn read(path: &Path) -> io::Result<Vec<DaySpent>> {
    match std::fs::read(path) {
        Ok(text) => Ok(serde_json::from_slice(&text)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use trunkline_api::{Id, Prefix};

    use super::*;
    use crate::capacity::Amounts;
    use crate::rig::{SlowStore, shared, silent_agent};

    fn spent(tenant: u8, spent_micro: u64) -> DaySpent {
        DaySpent { tenant: Id::mint(Prefix::Tenant, 1, [tenant; 10]), day: 20_000, begun: 1, spent_micro }
    }

    fn gateway() -> Arc<Shared> {
        shared(Arc::new(SlowStore::default()), Amounts::all(u32::MAX), silent_agent())
    }

    #[test]
    fn what_was_spent_today_is_known_after_a_restart_and_kept_on_as_it_grows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let first = gateway();
        let mut keeping = Keeping::of(Arc::clone(&first), path.clone());
        first.outbound.restore(vec![spent(1, 500)]);
        keeping.look(Instant::now() + LOOK);
        // A crash: what was written is there, and nobody says goodbye.
        keeping.writing.take().unwrap().join().unwrap().unwrap();
        let second = gateway();
        let keeping = Keeping::of(Arc::clone(&second), path.clone());
        assert_eq!(second.outbound.kept(), [spent(1, 500)]);
        second.outbound.restore(vec![spent(2, 70)]);
        drop(keeping);
        assert_eq!(read(&path).unwrap(), [spent(1, 500), spent(2, 70)]);
    }

    #[test]
    fn a_disk_that_refuses_is_tried_again_and_a_file_that_is_none_keeps_no_gateway_from_starting() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("later").join(FILE);
        let shared = gateway();
        let mut keeping = Keeping::of(Arc::clone(&shared), path.clone());
        shared.outbound.restore(vec![spent(1, 500)]);
        let now = Instant::now();
        keeping.look(now + LOOK);
        crate::rig::until("the disk to refuse", || keeping.writing.as_ref().unwrap().is_finished());
        std::fs::create_dir(folder.path().join("later")).unwrap();
        keeping.look(now + 2 * LOOK);
        keeping.writing.take().unwrap().join().unwrap().unwrap();
        assert_eq!(read(&path).unwrap(), [spent(1, 500)]);
        std::fs::write(&path, "nonsense").unwrap();
        let anew = gateway();
        let _keeping = Keeping::of(Arc::clone(&anew), path);
        assert_eq!(anew.outbound.kept(), []);
    }
}
