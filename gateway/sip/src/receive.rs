//! The way in, whatever a message came over: guard, then the stack. Nothing else reads the sockets.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use rsipstack::sip::{HeadersExt, Request as StackRequest, SipMessage, Transport as StackTransport};
use rsipstack::transaction::key::{TransactionKey, TransactionRole};
use rsipstack::transport::{SipAddr, SipConnection};

use crate::address::NameAddr;
use crate::admission::TrunkToken;
use crate::auth::NotAuthentic;
use crate::call::Call;
use crate::client::Answer;
use crate::dialog::DialogKey;
use crate::guard::{Admitted, Message, Name, Refused, Verdict};
use crate::ladder::{Crossing, TraceDirection};
use crate::shared::{Shared, retry_after_s};
use crate::stats::Dropped;
use crate::transport::{Hop, Origin};
use crate::wires::{Flow, Udp, canonical, wall_us};

/// Transactions that ended are kept for retransmissions: with them there may be so many times as many as live.
const ENDED: usize = 4;
/// The part of the limit that requests within calls have on top, so that whoever fills it cannot keep calls from ending.
const RESERVE: usize = 4;
/// Larger than any UDP payload, so that a datagram beyond the limit is seen as such.
const BUFFER: usize = 65_536;

/// What a message came by, and answers to it go.
pub(crate) struct Way {
    hop: Hop,
    back: Back,
}

enum Back {
    Udp(Arc<Udp>),
    Flow(Arc<Flow>),
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrived {
    /// It is of a trunk, or answers us.
    Served,
    /// It is of a trunk and breaks a rule, or is beyond its budget.
    Refused,
    /// It is of nobody whom we know.
    Stranger,
}

impl Way {
    /// A connection.
    pub(crate) fn flow(flow: &Arc<Flow>) -> Self {
        Self { hop: flow.hop, back: Back::Flow(Arc::clone(flow)) }
    }

    fn origin(&self) -> Origin<'_> {
        let names = match &self.back {
            Back::Udp(_) => &[][..],
            Back::Flow(flow) => &flow.names,
        };
        Origin { address: self.hop.address.ip(), transport: self.hop.transport, names }
    }

    /// Our address as the far end knows it.
    fn local(&self) -> SocketAddr {
        match &self.back {
            Back::Udp(udp) => udp.sending.advertised,
            Back::Flow(flow) => flow.local,
        }
    }

    fn stack(&self) -> SipConnection {
        match &self.back {
            Back::Udp(udp) => udp.stack(),
            Back::Flow(flow) => flow.stack.clone(),
        }
    }

    async fn send(&self, shared: &Shared, bytes: &[u8]) {
        let sent = match &self.back {
            Back::Udp(udp) => udp.send(bytes, self.hop.address).await,
            Back::Flow(flow) => {
                shared.wires.notes.note(bytes, self.hop, flow.local);
                flow.push(Bytes::copy_from_slice(bytes))
            }
        };
        if let Err(error) = sent {
            tracing::debug!(peer = %self.hop, %error, "a refusal was not sent");
        }
    }
}

/// Receives datagrams until the endpoint stops.
pub(crate) async fn datagrams(shared: Arc<Shared>, udp: Arc<Udp>) {
    let mut buffer = vec![0; BUFFER];
    loop {
        let received = tokio::select! {
            () = shared.stop.cancelled() => return,
            received = udp.sending.socket.recv_from(&mut buffer) => received,
        };
        let (len, source) = match received {
            // An IPv4 peer of a socket for both families is known by its IPv4 address, in Via as in the trunks.
            Ok((len, source)) => (len, canonical(source)),
            Err(error) => {
                // An ICMP report about something we sent, or memory that is short for a moment: neither ends serving.
                tracing::debug!(%error, "receiving failed");
                tokio::time::sleep(Duration::from_millis(5)).await;
                continue;
            }
        };
        let way = Way { hop: Hop::udp(source).from_socket(udp.sending.number), back: Back::Udp(Arc::clone(&udp)) };
        arrive(&shared, &way, buffer.get(..len).unwrap_or_default()).await;
    }
}

/// One message.
pub(crate) async fn arrive(shared: &Arc<Shared>, way: &Way, bytes: &[u8]) -> Arrived {
    let source = way.hop;
    let now_us = shared.now_us();
    let trunk = shared.policy.trunk_of(&way.origin());
    if shared.bans.keep_out(source.address.ip(), trunk.is_some(), bytes) {
        shared.counters.dropped(Dropped::Banned);
        return Arrived::Stranger;
    }
    let calls = |message: &Message<'_>| owner(shared, message, &way.origin(), trunk.as_ref());
    let verdict = shared.guard().judge_beside(now_us, bytes, source, trunk.clone(), calls);
    if !matches!(verdict, Verdict::Drop(Dropped::TooLarge | Dropped::Rate | Dropped::KeepAlive)) {
        shared.counters.parsed.fetch_add(1, Ordering::Relaxed);
    }
    if trunk.is_none() {
        shared.bans.heed(source.address, &verdict);
    }
    if !matches!(verdict, Verdict::Drop(_)) {
        shared.wires.notes.show(TraceDirection::Received, source, way.local(), bytes);
    }
    let unknown = |reason: Dropped| match reason {
        Dropped::UnknownPeer | Dropped::Scanner => Arrived::Stranger,
        _ => Arrived::Refused,
    };
    match verdict {
        Verdict::Pass(admitted) => {
            let doubtful = || is_doubtful(shared, way, trunk.as_ref(), &admitted.message);
            if matches!(way.back, Back::Udp(_))
                && !matches!(admitted.message.method(), Some("INVITE" | "ACK"))
                && doubtful()
                && !shared.guard().answers_stranger(now_us, source.address.ip())
            {
                shared.counters.dropped(Dropped::Rate);
                return Arrived::Refused;
            }
            pass(shared, way, &admitted, bytes.len()).await;
            if doubtful() { Arrived::Refused } else { Arrived::Served }
        }
        Verdict::Answer { bytes: answer, reason, status } => {
            shared.counters.dropped(reason);
            tracing::debug!(%source, status, reason = reason.name(), "refused a message");
            let fits = answer.len() <= bytes.len() || source.transport.is_reliable();
            let unproven = || trunk.as_ref().is_some_and(|trunk| shared.is_unproven(&way.origin(), trunk));
            if fits || !unproven() || shared.guard().answers_stranger(now_us, source.address.ip()) {
                way.send(shared, &answer).await;
            }
            unknown(reason)
        }
        Verdict::Drop(reason) => {
            shared.counters.dropped(reason);
            tracing::trace!(%source, reason = reason.name(), "dropped a message");
            unknown(reason)
        }
    }
}

/// What the guard let in; `length` is how long it was when it came.
async fn pass(shared: &Arc<Shared>, way: &Way, admitted: &Admitted<'_>, length: usize) {
    let (source, message) = (way.hop, &admitted.message);
    if message.method().is_none()
        && let Some(branch) = message.top_via_branch()
        && let Some(whose) = shared.awaiting.whose(&branch)
    {
        trace(shared, way, admitted);
        if let Some(answer) = Answer::of(message, source)
            && whose.try_send(answer).is_err()
        {
            tracing::debug!("a response came while many of its call were waiting; it will come again");
        }
        return;
    }
    let refuse =
        |status, phrase, extra| shared.guard().refuse(message, source.address, &Refused { status, phrase, extra });
    let Some((stack_message, key)) = parse(&admitted.bytes, source.address) else {
        shared.counters.dropped(Dropped::Stack);
        if let Some(bytes) = refuse(400, "Bad Request", "") {
            way.send(shared, &bytes).await;
        }
        return;
    };
    let unwelcome = unwelcome(shared, message, &key, way);
    let call_id = message.value(Name::CallId).unwrap_or("");
    if let Some(method) = message.method().filter(|_| unwelcome.is_none()) {
        shared.counters.request(method);
        if method == "INVITE" {
            shared.ladder.begin(call_id);
        }
    }
    // What others say of a call is no part of it.
    if unwelcome != Some(Dropped::OtherPeer) {
        trace(shared, way, admitted);
    }
    if let Some(reason) = unwelcome {
        shared.counters.dropped(reason);
        let retry_after = format!("Retry-After: {}\r\n", retry_after_s(shared.guard().jitter(message, 11)));
        let answer = match reason {
            Dropped::NoCall | Dropped::OtherPeer => refuse(481, "Call/Transaction Does Not Exist", ""),
            _ => refuse(503, "Service Unavailable", &retry_after),
        };
        if let Some(bytes) = answer {
            way.send(shared, &bytes).await;
        }
        return;
    }
    if let SipMessage::Request(request) = &stack_message
        && let Some(challenge) = challenge(shared, way, message, &key, request)
    {
        let now_us = shared.now_us();
        let length = if is_doubtful(shared, way, admitted.trunk.as_ref(), message) { length } else { usize::MAX };
        let answer = shared.guard().challenge(now_us, message, (length, source), &challenge);
        match answer {
            Some(bytes) => way.send(shared, &bytes).await,
            None => shared.counters.dropped(Dropped::Rate),
        }
        return;
    }
    if message.method() == Some("ACK")
        && let Some(call) = within(message).and_then(|call| shared.calls().get(&call).cloned())
        && let Some(cseq) = cseq(message)
    {
        call.ack_came(cseq);
    }
    let from = SipAddr { r#type: Some(StackTransport::Udp), addr: source.address.into() };
    if let Err(error) = shared.stack.on_received_message(stack_message, way.stack(), &from).await {
        tracing::debug!(%source, %error, "the stack refused a message");
    }
}

/// Whether nothing shows yet that a request comes from where it seems to: from an address of a trunk that may be anywhere, for
/// which it asks for a password, and not within a call.
fn is_doubtful(shared: &Shared, way: &Way, trunk: Option<&TrunkToken>, message: &Message<'_>) -> bool {
    let origin = way.origin();
    message.method().is_some()
        && trunk.is_some_and(|trunk| shared.is_unproven(&origin, trunk))
        && owner(shared, message, &origin, trunk).is_none()
}

/// Whole lines that ask for a password, where the request begins a call of a trunk whose calls must prove one and does not.
/// Whoever has not proven it may be anybody, so that nothing is kept of the asking (RFC 3261 26.3.2.4).
fn challenge(
    shared: &Shared,
    way: &Way,
    message: &Message<'_>,
    key: &TransactionKey,
    request: &StackRequest,
) -> Option<String> {
    if message.method() != Some("INVITE") || within(message).is_some() || is_known(shared, key) {
        return None;
    }
    let origin = way.origin();
    let trunk = shared.policy.trunk_of(&origin)?;
    let account = shared.policy.account(&trunk)?;
    let Err((why, challenge)) = shared.doorkeeper.judge(&trunk, &account, origin.address, request) else {
        shared.bans.right_password(origin.address);
        return None;
    };
    if !matches!(why, NotAuthentic::Missing | NotAuthentic::Stale) {
        shared.counters.dropped(Dropped::Unproven);
        tracing::debug!(trunk = %trunk.0, ?why, "a call without the right password is refused");
    }
    if why == NotAuthentic::Wrong {
        shared.bans.wrong_password(origin.address);
    }
    Some(challenge)
}

/// Whether the stack has a transaction of that name, or had one a moment ago.
fn is_known(shared: &Shared, key: &TransactionKey) -> bool {
    shared.stack.transactions.contains_key(key) || shared.stack.finished_transactions.contains_key(key)
}

/// Keeps a message for whoever asks what was said in a call.
fn trace(shared: &Shared, way: &Way, admitted: &Admitted<'_>) {
    let message = &admitted.message;
    let crossing = Crossing {
        at_us: wall_us(),
        direction: TraceDirection::Received,
        peer: way.hop.address,
        local: way.local(),
        line: message.line,
        cseq: message.value(Name::CSeq).unwrap_or(""),
        bytes: &admitted.bytes,
    };
    shared.ladder.add(message.value(Name::CallId).unwrap_or(""), &crossing);
}

/// Parses for the stack and stamps the source into the topmost Via (RFC 3261 18.2.1, RFC 3581). The stack reads some headers
/// only when it needs them, and a transaction that finds it cannot never ends: To is read here.
fn parse(bytes: &[u8], source: SocketAddr) -> Option<(SipMessage, TransactionKey)> {
    let message = SipMessage::try_from(bytes).ok()?;
    match &message {
        SipMessage::Request(request) => {
            let (from, to) = (request.from_header().ok()?, request.to_header().ok()?);
            let read = [(from.value(), from.tag().ok()?), (to.value(), to.tag().ok()?)];
            read.iter().all(|(value, tag)| is_tagged(value, tag.as_ref().map(|tag| tag.value()))).then_some(())?;
        }
        SipMessage::Response(response) => drop(response.to_header().ok()?.tag().ok()?),
    }
    // As of UDP, whatever it came over: the port that a connection was opened from is how it is found again.
    let message = SipConnection::update_msg_received(message, source, StackTransport::Udp).ok()?;
    let key = match &message {
        SipMessage::Request(request) => TransactionKey::from_request(request, TransactionRole::Server),
        SipMessage::Response(response) => TransactionKey::from_response(response, TransactionRole::Client),
    };
    Some((message, key.ok()?))
}

/// Whether a header has one tag, or none, and the stack reads the same: who differs in that could make a request another's.
fn is_tagged(value: &str, tag: Option<&str>) -> bool {
    NameAddr::parse(value).is_some_and(|address| address.parameters("tag").eq(tag))
}

/// Whether a request is refused before it costs anything. What belongs to a transaction is let in, and so are ACK and CANCEL,
/// which make none; but nothing of a call from anybody whom the call does not concern.
fn unwelcome(shared: &Shared, message: &Message<'_>, key: &TransactionKey, way: &Way) -> Option<Dropped> {
    let method = message.method()?;
    let origin = way.origin();
    let trunk = shared.policy.trunk_of(&origin);
    let call = within(message);
    let mut found = call.as_ref().and_then(|call| shared.calls().get(call).cloned());
    if found.is_none() && matches!(method, "INVITE" | "ACK" | "CANCEL") {
        // By its transaction each of these reaches a call whatever tag of ours it names, or without any.
        found = shared.begun_by(message, key);
    }
    if let Some(call) = &found
        && !call.dialog().admits(&origin, trunk.as_ref())
    {
        return Some(Dropped::OtherPeer);
    }
    if matches!(method, "ACK" | "CANCEL") {
        return None;
    }
    if answered_elsewhere(shared, key, way.hop.address.ip()) {
        return Some(Dropped::OtherPeer);
    }
    // Of these each call has one, so that they need no bound of their own.
    let ends = |call: &Arc<Call>| method == "BYE" && cseq(message).is_some_and(|cseq| call.dialog().is_next(cseq));
    let stack = &shared.stack;
    let crowded = |most: usize| {
        let live = stack.transactions.len();
        live >= most || live + stack.finished_transactions.len() >= most.saturating_mul(ENDED)
    };
    let most = shared.config.limits.max_transactions;
    let reason = match call {
        Some(call) if !shared.calls().contains_key(&call) => Dropped::NoCall,
        Some(_) if found.as_ref().is_some_and(ends) => return None,
        Some(_) if crowded(most + most / RESERVE) => Dropped::Full,
        Some(_) => return None,
        None if method == "INVITE" && shared.is_draining() => Dropped::Draining,
        None if (method == "INVITE" && shared.is_full()) || crowded(most) => Dropped::Full,
        None if method == "INVITE" && shared.pressure.refuses() => Dropped::Overloaded,
        None => return None,
    };
    (!is_known(shared, key)).then_some(reason)
}

/// Whether the same request was answered that came from another address: what was said to that is for nobody else.
fn answered_elsewhere(shared: &Shared, key: &TransactionKey, source: IpAddr) -> bool {
    let asked_from = shared.stack.finished_transactions.with(|finished| {
        let Some(Some(SipMessage::Response(response))) = finished.get(key) else { return None };
        let via = response.via_header().ok()?;
        SocketAddr::try_from(SipConnection::parse_target_from_via(via).ok()?.1).ok()
    });
    asked_from.is_some_and(|asked_from| asked_from.ip().to_canonical() != source)
}

/// The number of a request.
fn cseq(message: &Message<'_>) -> Option<u32> {
    message.value(Name::CSeq)?.split_ascii_whitespace().next()?.parse().ok()
}

/// Whose call a request is within, when that takes requests from this source.
fn owner(
    shared: &Shared,
    message: &Message<'_>,
    origin: &Origin<'_>,
    trunk: Option<&TrunkToken>,
) -> Option<TrunkToken> {
    let call = shared.calls().get(&within(message)?).cloned()?;
    let dialog = call.dialog();
    dialog.admits(origin, trunk).then(|| dialog.trunk.clone())
}

/// The call that a request says it is within: it has a tag of ours, or somebody's guess at one.
fn within(message: &Message<'_>) -> Option<DialogKey> {
    let to = NameAddr::parse(message.value(Name::To)?)?;
    let from = NameAddr::parse(message.value(Name::From)?)?;
    Some(DialogKey {
        call_id: message.value(Name::CallId)?.to_owned(),
        local_tag: to.parameter("tag")?.to_owned(),
        remote_tag: from.parameter("tag")?.to_owned(),
    })
}
