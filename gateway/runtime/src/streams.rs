//! Calls that come over streams: how whoever owns their sockets hands them in.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::Thread;

use trunkline_media::StreamLink;
use trunkline_sip::{ByeReason, CallKey, CommandError, Refusal};

use crate::line::{Invite, Line};
use crate::offer::Offer;

/// Calls that may wait for intake; it takes them within milliseconds.
const MOST_WAITING: usize = 256;
/// Keys of calls that have no dialog: SIP counts from 1.
const FIRST_KEY: u64 = 1 << 63;

/// A call that comes over a stream.
#[derive(Debug)]
pub struct StreamCall {
    /// Where it comes from; finds the trunk.
    pub source: IpAddr,
    /// What it is called by: what numbers and routes look at.
    pub called: String,
    /// Who calls; may be empty.
    pub calling: String,
    /// Its sound. The far end ends the call by dropping its side, and is told of its end in the same way.
    pub link: StreamLink,
}

/// Too many calls wait to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{MOST_WAITING} calls wait to be taken; the gateway is overloaded, look at `trunkline doctor`")]
pub struct StreamRefused;

/// Where they wait for intake.
#[derive(Debug, Default)]
pub(crate) struct Doorway {
    waiting: Mutex<VecDeque<StreamCall>>,
    intake: OnceLock<Thread>,
    keys: AtomicU64,
}

impl Doorway {
    /// Hands one in, and wakes intake.
    pub(crate) fn enter(&self, call: StreamCall) -> Result<(), StreamRefused> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= MOST_WAITING {
            return Err(StreamRefused);
        }
        waiting.push_back(call);
        drop(waiting);
        if let Some(intake) = self.intake.get() {
            intake.unpark();
        }
        Ok(())
    }

    /// Whether any waits.
    pub(crate) fn has_waiting(&self) -> bool {
        !self.waiting.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// The thread that calls it takes them from now on.
    pub(crate) fn serve(&self) {
        let _ = self.intake.set(std::thread::current());
    }

    /// The next one, as a call that wants to begin.
    pub(crate) fn next(&self) -> Option<Invite> {
        let StreamCall { source, called, calling, link } =
            self.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front()?;
        let key = CallKey(FIRST_KEY + self.keys.fetch_add(1, Ordering::Relaxed));
        let call_id = String::new();
        let offer = Offer::stream(link);
        Some(Invite {
            key,
            line: Arc::new(NoSignalling),
            source,
            trunk: None,
            call_id,
            from: String::new(),
            from_user: calling,
            to_user: called,
            hops: 70,
            headers: Vec::new(),
            findings: Vec::new(),
            offer,
        })
    }
}

/// A stream says nothing but that it is there: it is answered by being kept and refused by being dropped.
struct NoSignalling;

impl Line for NoSignalling {
    fn ring(&self, _: Option<String>) -> Result<(), CommandError> {
        Ok(())
    }

    fn accept(&self, _: String) -> Result<(), CommandError> {
        Ok(())
    }

    fn reject(&self, _: &Refusal) -> Result<(), CommandError> {
        Ok(())
    }

    fn bye(&self, _: &ByeReason) -> Result<(), CommandError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trunkline_leg::stream_ends;

    #[test]
    fn calls_are_taken_in_order_under_keys_of_their_own_and_no_more_than_fit() {
        let doorway = Doorway::default();
        let call = |n: usize| StreamCall {
            source: "192.0.2.1".parse().unwrap(),
            called: n.to_string(),
            calling: String::new(),
            link: StreamLink::new(stream_ends(8000).1).unwrap(),
        };
        assert!((0..MOST_WAITING).all(|n| doorway.enter(call(n)).is_ok()));
        assert_eq!(doorway.enter(call(0)), Err(StreamRefused));
        let (first, second) = (doorway.next().unwrap(), doorway.next().unwrap());
        assert_eq!((first.to_user.as_str(), second.to_user.as_str()), ("0", "1"));
        assert!(first.key != second.key && first.key.0 >= FIRST_KEY);
        assert!(doorway.enter(call(0)).is_ok());
    }
}
