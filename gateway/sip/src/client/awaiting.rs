//! Who waits for which response: by the branch of the request, which nobody else can know.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

use super::answer::Answer;

/// Requests of ours that wait for responses, and the calls that are being placed.
#[derive(Debug, Default)]
pub(crate) struct Awaiting(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    branches: HashMap<String, mpsc::Sender<Answer>>,
    /// By Call-ID, with whom is told to give up.
    calls: HashMap<String, mpsc::Sender<()>>,
}

impl Awaiting {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Responses with this branch go there from now on.
    pub(crate) fn expect(&self, branch: &str, to: &mpsc::Sender<Answer>) {
        self.waiting().branches.insert(branch.to_owned(), to.clone());
    }

    /// They go nowhere any more.
    pub(crate) fn forget(&self, branch: &str) {
        self.waiting().branches.remove(branch);
    }

    /// Who waits for a response with this branch.
    pub(crate) fn whose(&self, branch: &str) -> Option<mpsc::Sender<Answer>> {
        self.waiting().branches.get(branch).cloned()
    }

    /// A call is being placed, unless there are as many as there may be.
    pub(crate) fn begin(&self, call_id: &str, orders: &mpsc::Sender<()>, most: usize) -> bool {
        let mut waiting = self.waiting();
        let room = waiting.calls.len() < most;
        if room {
            waiting.calls.insert(call_id.to_owned(), orders.clone());
        }
        room
    }

    /// All that are being placed are to be given up.
    pub(crate) fn give_up(&self) {
        for orders in self.waiting().calls.values() {
            // One that is full has been told so already.
            let _ = orders.try_send(());
        }
    }

    /// It was answered, refused or given up, and nothing of it is on its way any more.
    pub(crate) fn end(&self, call_id: &str) {
        self.waiting().calls.remove(call_id);
    }

    /// Whether a call of that Call-ID is being placed by us: its INVITE has come back to where it began.
    pub(crate) fn is_ours(&self, call_id: &str) -> bool {
        self.waiting().calls.contains_key(call_id)
    }

    /// Calls that are being placed.
    pub(crate) fn calls(&self) -> usize {
        self.waiting().calls.len()
    }
}
