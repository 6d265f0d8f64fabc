//! Keeps the SIP stack's own log lines in: it prints whole messages at INFO and keys with Call-IDs at WARN, and a
//! number must never be logged above DEBUG. On the SIP threads its lines pass at DEBUG and TRACE only.

use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{Interest, Subscriber};
use tracing::{Dispatch, Event, Level, Metadata};

/// Forwards everything to another subscriber but the stack's loud lines.
struct Quiet(Dispatch);

/// Installs the filter on this thread for as long as it lives.
pub(crate) fn on_this_thread(outer: &Dispatch) {
    let guard = tracing::dispatcher::set_default(&Dispatch::new(Quiet(outer.clone())));
    // The thread belongs to the SIP runtime and ends with it.
    std::mem::forget(guard);
}

fn loud(metadata: &Metadata<'_>) -> bool {
    metadata.target().starts_with("rsipstack") && *metadata.level() <= Level::INFO
}

impl Subscriber for Quiet {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        // `sometimes` keeps the decision with `enabled`, which knows both sides.
        if loud(metadata) { Interest::never() } else { Interest::sometimes() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        !loud(metadata) && self.0.enabled(metadata)
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.0.new_span(span)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        self.0.record(span, values);
    }

    fn record_follows_from(&self, span: &Id, follows: &Id) {
        self.0.record_follows_from(span, follows);
    }

    fn event(&self, event: &Event<'_>) {
        if !loud(event.metadata()) {
            self.0.event(event);
        }
    }

    fn enter(&self, span: &Id) {
        self.0.enter(span);
    }

    fn exit(&self, span: &Id) {
        self.0.exit(span);
    }

    fn clone_span(&self, id: &Id) -> Id {
        self.0.clone_span(id)
    }

    fn try_close(&self, id: Id) -> bool {
        self.0.try_close(id)
    }
}
