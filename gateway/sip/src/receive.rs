//! The receive loop: socket, guard, then the stack. Nothing else reads the socket.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rsipstack::sip::{SipMessage, Transport};
use rsipstack::transaction::key::{TransactionKey, TransactionRole};
use rsipstack::transport::{SipAddr, SipConnection};
use tokio::net::UdpSocket;
use tokio_util::sync::CancellationToken;

use crate::address::NameAddr;
use crate::guard::{Admitted, Guard, Message, Name, Refused, Verdict};
use crate::ladder::{Crossing, TraceDirection};
use crate::shared::{Shared, retry_after_s};
use crate::stats::Dropped;
use crate::wire::{Wire, wall_us};

/// Larger than any UDP payload, so that a datagram beyond the limit is seen as such.
const BUFFER: usize = 65_536;

/// Runs until cancelled.
pub(crate) async fn run(
    shared: Arc<Shared>,
    wire: Arc<Wire>,
    socket: Arc<UdpSocket>,
    mut guard: Guard,
    stop: CancellationToken,
) {
    let mut buffer = vec![0; BUFFER];
    let began = Instant::now();
    loop {
        let received = tokio::select! {
            () = stop.cancelled() => return,
            received = socket.recv_from(&mut buffer) => received,
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
        let now_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        let trunk = shared.policy.trunk(source.ip());
        match guard.judge(now_us, &buffer[..len], source, trunk) {
            Verdict::Pass(admitted) => pass(&shared, &wire, &guard, admitted, source).await,
            Verdict::Answer { bytes, reason, status } => {
                shared.counters.dropped(reason);
                tracing::debug!(%source, status, reason = reason.name(), "refused a datagram");
                send(&wire, &bytes, source).await;
            }
            Verdict::Drop(reason) => {
                shared.counters.dropped(reason);
                tracing::trace!(%source, reason = reason.name(), "dropped a datagram");
            }
        }
    }
}

async fn pass(shared: &Arc<Shared>, wire: &Wire, guard: &Guard, admitted: Admitted<'_>, source: SocketAddr) {
    let message = &admitted.message;
    let refuse = |status, phrase, extra| guard.refuse(message, source, &Refused { status, phrase, extra });
    let Some((stack_message, key)) = parse(&admitted.bytes, source) else {
        shared.counters.dropped(Dropped::Stack);
        if let Some(bytes) = refuse(400, "Bad Request", "") {
            send(wire, &bytes, source).await;
        }
        return;
    };
    if let Some(reason) = unwelcome(shared, message, &key) {
        shared.counters.dropped(reason);
        let extra = format!("Retry-After: {}\r\n", retry_after_s(guard.jitter(message, 11)));
        if let Some(bytes) = refuse(503, "Service Unavailable", &extra) {
            send(wire, &bytes, source).await;
        }
        return;
    }
    let call_id = message.value(Name::CallId).unwrap_or("");
    if let Some(method) = message.method() {
        shared.counters.request(method);
        if method == "INVITE" {
            shared.ladder.begin(call_id);
        }
    }
    let cseq = message.value(Name::CSeq).unwrap_or("");
    let crossing = Crossing {
        at_us: wall_us(),
        direction: TraceDirection::Received,
        peer: source,
        local: wire.advertised,
        line: message.line,
        cseq,
        bytes: &admitted.bytes,
    };
    shared.ladder.add(call_id, &crossing);
    let from = SipAddr { r#type: Some(Transport::Udp), addr: source.into() };
    if let Err(error) = shared.stack.on_received_message(stack_message, shared.connection.clone(), &from).await {
        tracing::debug!(%source, %error, "the stack refused a message");
    }
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Parses for the stack and stamps the source into the topmost Via (RFC 3261 18.2.1, RFC 3581).
fn parse(bytes: &[u8], source: SocketAddr) -> Option<(SipMessage, TransactionKey)> {
    let message = SipMessage::try_from(bytes).ok()?;
    let message = SipConnection::update_msg_received(message, source, Transport::Udp).ok()?;
    let key = match &message {
        SipMessage::Request(request) => TransactionKey::from_request(request, TransactionRole::Server),
        SipMessage::Response(response) => TransactionKey::from_response(response, TransactionRole::Client),
    };
    Some((message, key.ok()?))
}

/// Whether a request gets 503 before it costs anything. What belongs to a call or a transaction is always let in.
fn unwelcome(shared: &Shared, message: &Message<'_>, key: &TransactionKey) -> Option<Dropped> {
    let method = message.method()?;
    let tagged = message.value(Name::To).and_then(NameAddr::parse)?.parameter("tag").is_some();
    if tagged || matches!(method, "ACK" | "CANCEL") {
        return None;
    }
    let known = || shared.stack.transactions.contains_key(key) || shared.stack.finished_transactions.contains_key(key);
    let reason = if method == "INVITE" && shared.is_draining() {
        Dropped::Draining
    } else if (method == "INVITE" && shared.is_full())
        || shared.stack.transactions.len() >= shared.config.limits.max_transactions
    {
        Dropped::Full
    } else {
        return None;
    };
    (!known()).then_some(reason)
}

async fn send(wire: &Wire, bytes: &[u8], peer: SocketAddr) {
    wire.note(bytes, peer);
    if let Err(error) = wire.socket.send_to(bytes, peer).await {
        tracing::debug!(%peer, %error, "a refusal was not sent");
    }
}
