//! Searches of knowledge bases, on a thread of their own, so that no call waits for another's.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::Sender;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, channel, sync_channel};
use std::time::{Duration, Instant};

use trunkline_call::Passage;

use crate::bell::Bell;

/// Most searches that wait; a call whose search finds no place goes on without.
const MOST_WAITING: usize = 256;

/// What a search found, or why it did not.
pub(crate) type Found = Result<Vec<Passage>, String>;

/// A search.
pub(crate) struct Search {
    /// Searches.
    pub(crate) find: Box<dyn FnOnce() -> Found + Send>,
    /// How long anybody waits for it.
    pub(crate) within: Duration,
}

struct Order {
    search: Search,
    until: Instant,
    answer: Sender<Found>,
    bell: Bell,
}

/// The thread that searches; it ends when nobody can ask it any more.
pub(crate) struct Librarian(SyncSender<Order>);

impl Librarian {
    /// Starts it.
    pub(crate) fn start() -> io::Result<Self> {
        let (sender, orders) = sync_channel(MOST_WAITING);
        std::thread::Builder::new().name("knowledge".to_owned()).spawn(move || serve(&orders))?;
        Ok(Self(sender))
    }
}

fn serve(orders: &Receiver<Order>) {
    while let Ok(Order { search, until, answer, bell }) = orders.recv() {
        // Whoever asked has gone on without.
        if Instant::now() > until {
            continue;
        }
        let found = catch_unwind(AssertUnwindSafe(search.find));
        let found = found.unwrap_or_else(|_| Err("the search failed; see the panic in the log".to_owned()));
        if answer.send(found).is_ok() {
            bell.ring();
        }
    }
}

/// Searches of one call.
#[derive(Default)]
pub(crate) struct Lookups {
    open: Vec<(u64, Instant, Receiver<Found>)>,
}

impl Lookups {
    /// Begins a search.
    pub(crate) fn begin(&mut self, librarian: &Librarian, bell: &Bell, ticket: u64, search: Search) {
        let until = Instant::now() + search.within;
        self.open.retain(|(_, until, _)| Instant::now() <= *until);
        let (answer, found) = channel();
        let order = Order { search, until, answer: answer.clone(), bell: bell.clone() };
        if librarian.0.try_send(order).is_err() {
            // Never waits: its receiver is here, and there is room for one answer.
            let _ = answer.send(Err("too many searches wait on this gateway".to_owned()));
            bell.ring();
        }
        self.open.push((ticket, until, found));
    }

    /// The next answer.
    pub(crate) fn poll(&mut self) -> Option<(u64, Found)> {
        let mut position = 0;
        while let Some((ticket, _, found)) = self.open.get(position) {
            let (ticket, found) = (*ticket, found.try_recv());
            match found {
                Ok(found) => {
                    self.open.remove(position);
                    return Some((ticket, found));
                }
                Err(TryRecvError::Empty) => position += 1,
                Err(TryRecvError::Disconnected) => drop(self.open.remove(position)),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rig;
    use crate::session::pool::SidePool;

    #[test]
    fn a_search_that_panics_is_told_as_a_failure_and_the_next_is_answered() {
        let (plane, pool) = (rig::plane(1), SidePool::start(1).unwrap());
        let (place, _leg) = rig::place(&plane, pool.queue());
        let (librarian, mut lookups) = (Librarian::start().unwrap(), Lookups::default());
        let search = |find: Box<dyn FnOnce() -> Found + Send>| Search { find, within: Duration::from_secs(60) };
        lookups.begin(&librarian, &place.bell, 1, search(Box::new(|| panic!("the test says so"))));
        lookups.begin(&librarian, &place.bell, 2, search(Box::new(|| Ok(Vec::new()))));
        let mut found = Vec::new();
        rig::until("both", || {
            found.extend(std::iter::from_fn(|| lookups.poll()));
            found.len() == 2
        });
        found.sort_by_key(|(ticket, _)| *ticket);
        assert!(matches!(&found[0], (1, Err(why)) if why.contains("panic")), "{found:?}");
        assert_eq!(found[1], (2, Ok(Vec::new())));
    }
}
