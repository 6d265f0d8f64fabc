//! Sessions that tests speak for, and a side pool that is busy for as long as a test says.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use trunkline_api::usage::Units;
use trunkline_leg::{AgentEnd, Codec, MediaSpec};
use trunkline_media::{LegHandle, LegStart, MediaPlane};

use crate::bell::Bell;
use crate::session::pool::PoolQueue;
use crate::session::seat::{Body, Opener};
use crate::session::{Input, Output, Place, Session, Sound};

/// A leg on `plane`, and where sessions of its call run.
pub(crate) fn place(plane: &MediaPlane, pool: PoolQueue) -> (Place, (AgentEnd, LegHandle)) {
    let (media, began) = (MediaSpec::new(Codec::Pcmu, 0, "127.0.0.1:9".parse().unwrap()), Instant::now());
    let (leg, handle) = plane.attach(plane.allocate().unwrap(), LegStart::new(media, began)).unwrap();
    let bell = Bell::new(leg.slot.mark(), plane.signal(0));
    (Place { pool, bell, began }, (leg, handle))
}

/// A session that a test speaks for: it says what it is given whenever it runs, and what it used once it is cancelled.
pub(crate) struct Puppet {
    says: Arc<Mutex<Vec<Output>>>,
    saying: VecDeque<Output>,
    last: Units,
    breaks: bool,
    /// It panics when it runs once this is lit.
    fuse: Option<Arc<AtomicBool>>,
}

impl Puppet {
    /// One that will have used `last`, and what it is to say.
    pub(crate) fn new(last: Units) -> (Self, Arc<Mutex<Vec<Output>>>) {
        let says = Arc::default();
        (Self { says: Arc::clone(&says), saying: VecDeque::new(), last, breaks: false, fuse: None }, says)
    }

    /// One that panics when it is cancelled.
    pub(crate) fn broken() -> Self {
        Self { breaks: true, ..Self::new(Units::default()).0 }
    }

    /// One that panics the next time it runs once the fuse that comes with it is lit.
    pub(crate) fn fused() -> (Self, Arc<AtomicBool>) {
        let fuse = Arc::<AtomicBool>::default();
        (Self { fuse: Some(Arc::clone(&fuse)), ..Self::new(Units::default()).0 }, fuse)
    }

    /// Opens it.
    pub(crate) fn opener(self) -> Opener {
        Box::new(|_| Ok(Box::new(self) as Box<dyn Body>))
    }
}

impl Body for Puppet {
    fn handle(&mut self, now_us: u64, input: Input) {
        self.wake(now_us);
        if matches!(input, Input::Cancel) {
            assert!(!self.breaks, "the test says so");
            self.saying.push_back(Output::Usage(self.last));
        }
    }

    fn hear(&mut self, now_us: u64, _: Sound<'_>) {
        self.wake(now_us);
    }

    fn wake(&mut self, _: u64) {
        assert!(!self.fuse.as_ref().is_some_and(|fuse| fuse.load(Ordering::Relaxed)), "the test says so");
        self.saying.extend(self.says.lock().unwrap().drain(..));
    }

    fn wants_step(&self) -> bool {
        false
    }

    fn poll(&mut self) -> Option<Output> {
        self.saying.pop_front()
    }

    fn timeout_us(&self) -> Option<u64> {
        self.fuse.as_ref().map(|_| 1)
    }

    fn is_over(&self) -> bool {
        false
    }
}

/// Holds a thread of a side pool until it is dropped.
pub(crate) struct Hold {
    _let_go: Sender<()>,
    session: Session,
}

impl Hold {
    /// Takes the thread of the pool at `place`.
    pub(crate) fn of(place: &Place) -> Self {
        let (let_go, held) = channel::<()>();
        let (taken, is_taken) = channel();
        let session = Session::open(place, true, |_| {
            Box::new(move |_| {
                let _ = taken.send(());
                // Ends once the sender is gone.
                let _ = held.recv();
                Ok(Box::new(Puppet::new(Units::default()).0) as Box<dyn Body>)
            })
        });
        session.serve(place, 0);
        is_taken.recv().unwrap();
        Self { _let_go: let_go, session }
    }

    /// Gives it something to do, and has it run.
    pub(crate) fn wake(&self, place: &Place) {
        self.session.push(Input::Finalize);
        self.session.serve(place, 0);
    }
}
