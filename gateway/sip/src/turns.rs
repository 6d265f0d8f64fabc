//! The requests of one dialog are served one after the other, in the order in which they came off the socket.
//!
//! The stack hands each transaction up by itself, and an ACK to the transaction that it ends: without this a re-INVITE may
//! overtake the ACK that was sent before it (RFC 3261 14.2), and the second of two INFOs the first (RFC 3261 12.2.2).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

/// Most requests of one dialog that wait or are being served; a sound peer has one or two under way.
const MOST: usize = 16;
/// Those that end it have so many places beside.
const LAST: usize = 4;

/// The turns of a dialog.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    last: Mutex<Option<Before>>,
    /// One reference for this and one for each turn.
    taken: Arc<()>,
}

/// A place in the order; dropped, the next has its turn.
#[derive(Debug)]
pub(crate) struct Turn {
    before: Option<Before>,
    over: Option<oneshot::Sender<Option<Box<Before>>>>,
    _taken: Arc<()>,
}

/// Says that the turn before is over, and, where that was dropped before it had begun, for whom it waited.
#[derive(Debug)]
struct Before(oneshot::Receiver<Option<Box<Self>>>);

impl Turns {
    /// The place behind all that were taken before; `None` when too many are taken. To be called in the order of arrival.
    pub(crate) fn take(&self) -> Option<Turn> {
        self.take_of(MOST)
    }

    /// The same for a request that ends the dialog, for which there is a place when there is none for others.
    pub(crate) fn take_last(&self) -> Option<Turn> {
        self.take_of(MOST + LAST)
    }

    fn take_of(&self, most: usize) -> Option<Turn> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if Arc::strong_count(&self.taken) > most {
            return None;
        }
        let (over, next) = oneshot::channel();
        Some(Turn { before: last.replace(Before(next)), over: Some(over), _taken: Arc::clone(&self.taken) })
    }
}

impl Turn {
    /// Waits until those before are served, or for so long: one that is stuck must not keep a BYE waiting.
    pub(crate) async fn begin(&mut self, patience: Duration) {
        let mut before = self.before.take();
        let served = async {
            while let Some(Before(over)) = before.take() {
                before = over.await.ok().flatten().map(|earlier| *earlier);
            }
        };
        // Neither that they are over nor that it takes too long is a failure.
        let _ = tokio::time::timeout(patience, served).await;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(over) = self.over.take() {
            // Only those are waited for that are not over: else each that was dropped would hold the one before for good.
            let mut before = self.before.take();
            while let Some(ended) = before.as_mut().and_then(|Before(over)| match over.try_recv() {
                Ok(earlier) => Some(earlier),
                Err(oneshot::error::TryRecvError::Closed) => Some(None),
                Err(oneshot::error::TryRecvError::Empty) => None,
            }) {
                before = ended.map(|earlier| *earlier);
            }
            // Nobody may have come behind.
            let _ = over.send(before.map(Box::new));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;

    use super::*;

    fn run(test: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(test);
    }

    const PATIENCE: Duration = Duration::from_secs(600);

    #[test]
    fn turns_come_in_the_order_in_which_they_were_taken() {
        run(async {
            let turns = Turns::default();
            let order = Arc::new(Mutex::new(Vec::new()));
            let taken: Vec<Turn> = (0..8).map(|_| turns.take().unwrap()).collect();
            let serving: Vec<_> = taken
                .into_iter()
                .enumerate()
                .rev()
                .map(|(number, mut turn)| {
                    let order = Arc::clone(&order);
                    tokio::spawn(async move {
                        turn.begin(PATIENCE).await;
                        tokio::task::yield_now().await;
                        order.lock().unwrap().push(number);
                    })
                })
                .collect();
            for served in serving {
                served.await.unwrap();
            }
            assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3, 4, 5, 6, 7]);
        });
    }

    #[test]
    fn who_gives_its_turn_up_lets_nobody_overtake_those_before() {
        run(async {
            let turns = Turns::default();
            let [first, second, mut third] = [(); 3].map(|()| turns.take().unwrap());
            drop(second);
            let mut waits = std::pin::pin!(third.begin(PATIENCE));
            let waker = std::task::Waker::noop();
            assert!(waits.as_mut().poll(&mut std::task::Context::from_waker(waker)).is_pending());
            drop(first);
            waits.await;
        });
    }

    #[test]
    fn one_that_is_stuck_holds_up_the_next_for_a_while_only() {
        run(async {
            let turns = Turns::default();
            let _stuck = turns.take().unwrap();
            let mut next = turns.take().unwrap();
            next.begin(Duration::from_millis(1)).await;
        });
    }

    #[test]
    fn turns_that_nobody_used_leave_nothing_behind() {
        let turns = Turns::default();
        let first = turns.take();
        // As of a far end whose every request is refused at once: what is dropped with the call must not be a chain of them.
        for _ in 0..1_000_000 {
            drop(turns.take());
        }
        drop(first);
        drop(turns);
    }

    #[test]
    fn there_is_room_for_so_many_and_again_when_they_are_served() {
        let turns = Turns::default();
        let mut taken: Vec<Turn> = std::iter::from_fn(|| turns.take()).take(2 * MOST).collect();
        assert_eq!(taken.len(), MOST);
        let last: Vec<Turn> = std::iter::from_fn(|| turns.take_last()).take(2 * MOST).collect();
        assert_eq!(last.len(), LAST);
        drop(last);
        taken.pop();
        assert!(turns.take().is_some());
    }
}
