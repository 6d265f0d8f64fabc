//! What the endpoint's tasks share: the stack, the calls, the counters.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rsipstack::sip::{Header, Request, Response, StatusCode};
use rsipstack::transaction::endpoint::EndpointInnerRef;
use rsipstack::transaction::key::TransactionKey;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::address::NameAddr;
use crate::admission::{Admission, TrunkToken};
use crate::bans::Bans;
use crate::call::Call;
use crate::client::Awaiting;
use crate::config::SipConfig;
use crate::dialog::{Dialog, DialogKey};
use crate::doorkeeper::Doorkeeper;
use crate::event::SipEvent;
use crate::extensions::SUPPORTED;
use crate::guard::{ALLOW, Guard, Message, Name};
use crate::keep::Keeping;
use crate::ladder::Ladder;
use crate::locals::Locals;
use crate::pressure::Pressure;
use crate::stats::Counters;
use crate::transport::{Hop, Origin};
use crate::wires::{Flow, Wires};

pub(crate) struct Shared {
    pub(crate) config: SipConfig,
    pub(crate) stack: EndpointInnerRef,
    /// What is sent over, and who we are there.
    pub(crate) wires: Wires,
    /// The first bound address.
    pub(crate) local: SocketAddr,
    /// Judges everything that comes, whatever it comes over, so that a trunk has one budget.
    guard: Mutex<Guard>,
    pub(crate) began: Instant,
    /// Requests of ours that the stack knows nothing of.
    pub(crate) awaiting: Awaiting,
    /// Asks calls of some trunks for a password.
    pub(crate) doorkeeper: Doorkeeper,
    /// Sources that are not listened to.
    pub(crate) bans: Bans,
    /// How busy the endpoint's threads are.
    pub(crate) pressure: Pressure,
    /// Trunks that are looked after.
    pub(crate) keeping: Keeping,
    pub(crate) policy: Arc<dyn Admission>,
    /// `None` once the endpoint stops, so that the driver sees the end though it may still hold calls.
    events: Mutex<Option<mpsc::Sender<SipEvent>>>,
    pub(crate) runtime: tokio::runtime::Handle,
    pub(crate) counters: Arc<Counters>,
    pub(crate) ladder: Arc<Ladder>,
    pub(crate) draining: AtomicBool,
    /// Ends everything.
    pub(crate) stop: CancellationToken,
    /// What the branches of our requests begin with.
    pub(crate) branch_prefix: String,
    pub(crate) next_key: AtomicU64,
    calls: Mutex<HashMap<DialogKey, Arc<Call>>>,
}

impl Shared {
    #[allow(clippy::too_many_arguments, reason = "called once, with the parts the endpoint was made of")]
    pub(crate) fn new(
        config: SipConfig,
        stack: EndpointInnerRef,
        wires: Wires,
        local: SocketAddr,
        guard: Guard,
        policy: Arc<dyn Admission>,
        events: mpsc::Sender<SipEvent>,
        runtime: tokio::runtime::Handle,
        stop: CancellationToken,
        branch_prefix: String,
        doorkeeper: Doorkeeper,
    ) -> Self {
        Self {
            bans: Bans::new(&config.bans, branch_prefix.clone()),
            pressure: Pressure::new(config.limits.busy_permille),
            config,
            stack,
            local,
            counters: Arc::clone(&wires.notes.counters),
            ladder: Arc::clone(&wires.notes.ladder),
            wires,
            guard: Mutex::new(guard),
            began: Instant::now(),
            awaiting: Awaiting::default(),
            doorkeeper,
            keeping: Keeping::default(),
            policy,
            events: Mutex::new(Some(events)),
            runtime,
            draining: AtomicBool::new(false),
            stop,
            branch_prefix,
            next_key: AtomicU64::new(1),
            calls: Mutex::default(),
        }
    }

    /// Who we are, by what we are reached over.
    pub(crate) const fn locals(&self) -> &Locals {
        &self.wires.locals
    }

    /// Microseconds since the start.
    pub(crate) fn now_us(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    pub(crate) fn guard(&self) -> MutexGuard<'_, Guard> {
        self.guard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a connection is one of a trunk's.
    pub(crate) fn is_known(&self, flow: &Flow) -> bool {
        let origin = Origin { address: flow.hop.address.ip(), transport: flow.hop.transport, names: &flow.names };
        self.policy.trunk_of(&origin).is_some_and(|trunk| !self.is_unproven(&origin, &trunk))
    }

    /// Whether an origin that belongs to a trunk is yet to prove it: the trunk asks for a password, may be anywhere for that, and
    /// none has come from there within a day.
    pub(crate) fn is_unproven(&self, origin: &Origin<'_>, trunk: &TrunkToken) -> bool {
        origin.names.is_empty() && self.policy.account(trunk).is_some() && !self.bans.is_proven(origin.address)
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    pub(crate) fn is_full(&self) -> bool {
        self.calls().len() + self.awaiting.calls() >= self.config.limits.max_calls
    }

    pub(crate) fn calls(&self) -> MutexGuard<'_, HashMap<DialogKey, Arc<Call>>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The call that an INVITE began whose transaction a message is of, or which says what this message says of itself without
    /// a tag of ours. In the name of a transaction Call-ID and tag stand side by side, so that those of others may make the same.
    pub(crate) fn begun_by(&self, message: &Message<'_>, key: &TransactionKey) -> Option<Arc<Call>> {
        let call_id = message.value(Name::CallId)?;
        let remote_tag = NameAddr::parse(message.value(Name::From)?)?.parameter("tag")?;
        let calls = self.calls();
        if let Some(call) = calls.values().find(|call| call.transaction.as_ref() == Some(key)) {
            return Some(Arc::clone(call));
        }
        let mut named = calls.iter().filter(|(key, _)| key.call_id == call_id && key.remote_tag == remote_tag);
        named.next().map(|(_, call)| Arc::clone(call))
    }

    /// A call begins, unless its INVITE came by another way already (RFC 3261 8.2.2.2).
    pub(crate) fn begin(&self, key: &DialogKey, call: &Arc<Call>) -> bool {
        let mut calls = self.calls();
        let merged = calls.iter().any(|(known, other)| {
            known.call_id == key.call_id && known.remote_tag == key.remote_tag && other.invite_cseq == call.invite_cseq
        });
        if !merged {
            calls.insert(key.clone(), Arc::clone(call));
        }
        !merged
    }

    /// The call stays known until its last transaction is over; then this.
    pub(crate) fn forget(&self, key: &DialogKey) {
        self.calls().remove(key);
    }

    /// Tells the driver. Waits when it is behind, which holds up one transaction's task and nothing else.
    pub(crate) async fn tell(&self, event: SipEvent) {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(events) = events
            && events.send(event).await.is_err()
        {
            tracing::debug!("an event came after the driver had gone");
        }
    }

    /// Tells the driver if it has room for more.
    pub(crate) fn offer(&self, event: SipEvent) -> bool {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.as_ref().is_some_and(|events| events.try_send(event).is_ok())
    }

    /// No more events.
    pub(crate) fn close(&self) {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Whether it tells nobody anything any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// Our address for a far end to send requests to.
    pub(crate) fn contact(&self, to: Hop) -> String {
        format!("<{}>", self.locals().uri(to))
    }

    /// Our address for the far end of a call to send requests to, where its trunk knows us by another one: that. A call
    /// that is to be encrypted on every hop is so with us as well (RFC 3261 12.1.1).
    pub(crate) fn contact_within(&self, dialog: &Dialog, to: Hop) -> String {
        let locals = self.locals().seen_at(dialog.advertised());
        if dialog.is_secure() { format!("<sips:{}>", locals.advertised(to)) } else { format!("<{}>", locals.uri(to)) }
    }

    /// A response with what every response of ours says.
    pub(crate) fn response(&self, request: &Request, status: u16, extra: Vec<Header>, sdp: Option<String>) -> Response {
        let has_body = sdp.is_some();
        let mut response = self.stack.make_response(request, StatusCode::from(status), sdp.map(String::into_bytes));
        if has_body {
            response.headers.push(Header::ContentType("application/sdp".into()));
        }
        response.headers.extend(extra);
        response
    }

    /// Contact, Allow, Supported and the request's Record-Route: what a response that makes or keeps a dialog carries
    /// (RFC 3261 12.1.1, 13.3.1).
    pub(crate) fn dialog_headers(&self, request: &Request, contact: &str) -> Vec<Header> {
        let mut headers: Vec<Header> =
            request.headers.iter().filter(|header| matches!(header, Header::RecordRoute(_))).cloned().collect();
        headers.push(Header::Contact(contact.to_owned().into()));
        headers.push(Header::Allow(ALLOW.into()));
        headers.push(Header::Supported(SUPPORTED.into()));
        headers
    }
}

/// Seconds for Retry-After: spread, so that refused callers do not come back together.
pub(crate) fn retry_after_s(jitter: u64) -> u64 {
    5 + jitter % 11
}
