//! A call's numbers and Call-ID are never logged above DEBUG, whatever the process's subscriber takes.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod support;

use std::fmt::Write as _;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};

use support::{Peer, answer_all, eventually, start};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Event, Level, Metadata, Subscriber};

/// Takes every line of every level.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<(Level, String)>>>);

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = write!(self.0, " {field}={value:?}");
    }
}

impl Subscriber for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut text = Text(event.metadata().target().to_owned());
        event.record(&mut text);
        self.0.lock().unwrap().push((*event.metadata().level(), text.0));
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[test]
fn numbers_and_call_ids_stay_at_debug() {
    let lines = Lines::default();
    let (endpoint, events) = tracing::dispatcher::with_default(&Dispatch::new(lines.clone()), || start(|_| ()));
    let seen = answer_all(events, false);
    let peer = Peer::new(&endpoint);
    let to = peer.call("secretcall");
    eventually("the call is up", || seen.acked.load(SeqCst) == 1);
    peer.send(&peer.request("BYE", "secretcall", 2, &to, ""));
    peer.expect("SIP/2.0 200");
    peer.send("INVITE sip:alice SIP/2.0\r\nCall-ID: secretcall\r\n\r\n");
    peer.silent();
    eventually("the call is over", || endpoint.calls() == 0);
    let lines = lines.0.lock().unwrap();
    assert!(
        lines.iter().any(|(level, text)| *level >= Level::DEBUG && text.contains("secretcall")),
        "the stack's lines are there for whoever debugs"
    );
    let loud: Vec<_> = lines.iter().filter(|(level, _)| *level < Level::DEBUG).collect();
    assert!(
        !loud
            .iter()
            .any(|(_, text)| text.contains("secretcall") || text.contains("alice") || text.contains("rsipstack")),
        "{loud:?}"
    );
}

#[test]
fn a_stopped_endpoint_ends_its_events_though_calls_are_held() {
    let (endpoint, mut events) = start(|_| ());
    let peer = Peer::new(&endpoint);
    peer.send(&peer.invite("held", 1, ""));
    let held = events.blocking_recv();
    assert!(held.is_some());
    endpoint.stop();
    assert!(events.blocking_recv().is_none());
}
