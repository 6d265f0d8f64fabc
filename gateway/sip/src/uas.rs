//! Serves the requests that the stack hands up: the rules of RFC 3261 8.2 and 12.2.2 in one place.

use std::sync::Arc;
use std::time::Duration;

use rsipstack::sip::{Header, HeadersExt, Method, Request, Scheme};
use rsipstack::transaction::Transaction;
use rsipstack::transaction::transaction::TransactionEvent;
use rsipstack::transport::SipConnection;

use crate::address::{NameAddr, list, user};
use crate::admission::{CallTerms, TrunkToken};
use crate::auth::NotAuthentic;
use crate::call::{Asked, Call, CallHandle, InviteLeg, ReofferHandle};
use crate::dialog::{Acked, Dialog, DialogKey, Invite, Phase, Unable};
use crate::digits::{self, NotADigit};
use crate::event::{CallKey, IncomingInvite, Reoffer, SipEvent};
use crate::extensions::{RELIABLE, SUPPORTED, names, unsupported, value};
use crate::guard::ALLOW;
use crate::provisional::{self, Pracked, Reliably};
use crate::session_timer::SessionTimer;
use crate::shared::{Shared, retry_after_s};
use crate::stats::Dropped;
use crate::transport::{Hop, Transport};
use crate::turns::Turn;
use crate::{outgoing, referral, refresh};

/// How long a request waits for those of its call that came before it.
const TURN: Duration = Duration::from_secs(2);
/// Most headers handed to the driver.
const MAX_HEADERS_UP: usize = 32;

/// A request within a call, with its place among the others.
pub(crate) struct Within {
    call: Arc<Call>,
    /// `None` when too many wait already.
    turn: Option<Turn>,
}

/// Which call a request is within; to be asked in the order of arrival.
pub(crate) fn within(shared: &Shared, request: &Request) -> Option<Within> {
    let call = shared.calls().get(&Ids::of(request)?.dialog()?).cloned()?;
    let turn = call.turns.take();
    Some(Within { call, turn })
}

/// Serves one server transaction to its end.
pub(crate) async fn serve(shared: Arc<Shared>, mut transaction: Transaction, within: Option<Within>) {
    let request = transaction.original.clone();
    let Some(ids) = Ids::of(&request) else {
        return reply(&shared, &mut transaction, 400, Vec::new()).await;
    };
    let is_secure = source(&request).is_some_and(|source| source.transport.is_secure());
    if request.uri.scheme == Some(Scheme::Sips) && !is_secure {
        // Every hop would have to be encrypted (RFC 5630 5.3), and this one is not.
        return reply(&shared, &mut transaction, 416, Vec::new()).await;
    }
    if let Some(unsupported) = unsupported(&request.headers)
        && !matches!(request.method, Method::Ack | Method::Cancel)
    {
        let header = Header::Other("Unsupported".to_owned(), unsupported);
        return reply(&shared, &mut transaction, 420, vec![header]).await;
    }
    match within {
        Some(Within { call, turn: Some(mut turn) }) => {
            turn.begin(TURN).await;
            in_dialog(&shared, call, transaction, &request, ids.cseq, turn).await;
        }
        Some(Within { turn: None, .. }) => reply(&shared, &mut transaction, 500, vec![soon()]).await,
        None if ids.local_tag.is_some() => reply(&shared, &mut transaction, 481, Vec::new()).await,
        None => out_of_dialog(&shared, transaction, request, ids).await,
    }
}

async fn out_of_dialog(shared: &Arc<Shared>, mut transaction: Transaction, request: Request, ids: Ids) {
    match request.method {
        Method::Invite => invite(shared, transaction, request, ids).await,
        Method::Options if shared.is_draining() => {
            let header = retry_after();
            reply(shared, &mut transaction, 503, vec![header]).await;
        }
        Method::Options => {
            let able = capabilities(shared, came_by(shared, &transaction));
            reply(shared, &mut transaction, 200, able).await;
        }
        Method::Bye | Method::Update | Method::Info | Method::PRack | Method::Notify => {
            reply(shared, &mut transaction, 481, Vec::new()).await;
        }
        Method::Ack | Method::Cancel => {}
        Method::Message | Method::Publish | Method::Refer | Method::Register | Method::Subscribe => {
            reply(shared, &mut transaction, 405, vec![Header::Allow(ALLOW.into())]).await;
        }
    }
}

/// A new call.
async fn invite(shared: &Arc<Shared>, mut transaction: Transaction, request: Request, ids: Ids) {
    if transaction.send_trying().await.is_err() {
        return;
    }
    let source = came_by(shared, &transaction);
    let trunk = source.and_then(|source| shared.wires.with_origin(source, |origin| shared.policy.trunk_of(origin)));
    let (Some(source), Some(trunk)) = (source, trunk) else {
        // The trunk was removed between the socket and here.
        return reply(shared, &mut transaction, 403, Vec::new()).await;
    };
    if let Some(account) = shared.policy.account(&trunk) {
        if let Err((why, headers)) = shared.doorkeeper.judge(&trunk, &account, source.address.ip(), &request) {
            if !matches!(why, NotAuthentic::Missing | NotAuthentic::Stale) {
                shared.counters.dropped(Dropped::Unproven);
                tracing::info!(trunk = %trunk.0, ?why, "a call without the right password is refused");
            }
            if why == NotAuthentic::Wrong {
                shared.bans.wrong_password(source.address.ip());
            }
            return reply(shared, &mut transaction, 401, headers).await;
        }
        shared.bans.right_password(source.address.ip());
    }
    if shared.awaiting.is_ours(&ids.call_id) {
        return reply(shared, &mut transaction, 482, Vec::new()).await;
    }
    let offer = match body(&request) {
        Ok(offer) => offer,
        Err(header) => return reply(shared, &mut transaction, 415, vec![header]).await,
    };
    if !takes_sdp(&request) {
        return reply(shared, &mut transaction, 406, vec![Header::Accept("application/sdp".into())]).await;
    }
    let local_tag = format!("{:08x}{:08x}", outgoing::random_u32(), outgoing::random_u32());
    let terms = shared.policy.terms(&trunk, source.address.ip());
    let (tagged, parts) = match dialog_parts(&request, ids, local_tag, Admitted { source, trunk: trunk.clone(), terms })
    {
        Ok(parts) => parts,
        Err(status) => return reply(shared, &mut transaction, status, Vec::new()).await,
    };
    let has_offer = offer.is_some();
    let timer = SessionTimer::new(shared.config.timers.wanted());
    let granted = match refresh::consider_by(&timer, &request.headers) {
        Ok(granted) => granted,
        Err(min_se) => return reply(shared, &mut transaction, 422, vec![min_se]).await,
    };
    let reliably = names(&request.headers, "Require", RELIABLE)
        .then(|| Reliably::new(parts.cseq, outgoing::random_u32(), shared.config.timers.t1));
    let asked = Asked { has_offer, timer, granted, reliably };
    let event = IncomingParts::of(&request, source, trunk, offer);
    let key = CallKey(shared.next_key.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
    let leg = InviteLeg {
        request: tagged,
        transaction: transaction.tu_sender.clone(),
        transaction_key: transaction.key.clone(),
    };
    let dialog_key = parts.key.clone();
    let dialog = Dialog::new(parts);
    let contact = shared.contact_within(&dialog, source);
    let call = Arc::new(Call::new(key, dialog, contact, leg, asked));
    if !shared.begin(&dialog_key, &call) {
        // The same INVITE by another way (RFC 3261 8.2.2.2).
        return reply(shared, &mut transaction, 482, Vec::new()).await;
    }
    let handle = CallHandle { shared: Arc::clone(shared), call: Arc::clone(&call) };
    let told = shared.offer(SipEvent::Invite(Box::new(event.with(handle, dialog_key.call_id.clone()))));
    if !told {
        tracing::warn!(call = key.0, "the driver is too far behind; the call is refused with 503");
        call.dialog().end();
        call.respond(shared, 503, vec![retry_after()], None);
        shared.forget(&dialog_key);
    }
    drive_invite(shared, &call, &mut transaction).await;
    call.invite_over();
    if call.dialog().phase == Phase::Answered {
        no_ack(shared, &call).await;
    }
}

/// Passes what the INVITE transaction receives to the call until it is over.
async fn drive_invite(shared: &Arc<Shared>, call: &Arc<Call>, transaction: &mut Transaction) {
    while let Some(message) = transaction.receive().await {
        let rsipstack::sip::SipMessage::Request(request) = message else { continue };
        match request.method {
            Method::Cancel => {
                let cancelled = {
                    let mut dialog = call.dialog();
                    // An answer that waits for a PRACK is not known to the caller.
                    dialog.cancel() || (provisional::is_waiting(call) && dialog.end())
                };
                if cancelled {
                    call.respond(shared, 487, Vec::new(), None);
                    let key = call.dialog().key.clone();
                    shared.forget(&key);
                    shared.tell(SipEvent::Cancelled { call: call.key }).await;
                }
            }
            Method::Ack => acked(shared, call, &request).await,
            _ => {}
        }
    }
}

/// An ACK of a 2xx of ours; one of a refusal finds the call over.
async fn acked(shared: &Arc<Shared>, call: &Arc<Call>, request: &Request) {
    let outcome = call.dialog().acked();
    match outcome {
        Acked::Confirmed => {
            let answer = body(request).ok().flatten();
            shared.tell(SipEvent::Acked { call: call.key, answer }).await;
            let refer = call.dialog().take_refer();
            if let Some(to) = refer {
                crate::referral::refer(shared, call, &to);
            }
        }
        Acked::HangUp(reason) => outgoing::bye(shared, call, reason),
        Acked::Ignored => {}
    }
    call.ack_told();
}

/// 64 T1 without an ACK: the session is ended by BYE (RFC 3261 13.3.1.4).
pub(crate) async fn no_ack(shared: &Arc<Shared>, call: &Arc<Call>) {
    let (first, hanging_up) = {
        let mut dialog = call.dialog();
        (dialog.end(), dialog.is_hanging_up())
    };
    if !first {
        return;
    }
    tracing::info!(call = call.key.0, "the answer was never acknowledged; the call is ended");
    outgoing::bye(shared, call, "SIP;cause=408;text=\"ACK timeout\"".to_owned());
    if !hanging_up {
        shared.tell(SipEvent::NoAck { call: call.key }).await;
    }
}

async fn in_dialog(
    shared: &Arc<Shared>,
    call: Arc<Call>,
    mut transaction: Transaction,
    request: &Request,
    cseq: u32,
    turn: Turn,
) {
    let (in_order, phase) = {
        let mut dialog = call.dialog();
        (dialog.in_order(cseq), dialog.phase)
    };
    if !in_order {
        return reply(shared, &mut transaction, 500, Vec::new()).await;
    }
    match request.method {
        Method::Bye => {
            // A BYE that crosses ours still gets its 200.
            let first = call.dialog().end();
            let unanswered = phase == Phase::Ringing || provisional::is_waiting(&call);
            reply(shared, &mut transaction, 200, Vec::new()).await;
            if first {
                if unanswered {
                    call.respond(shared, 487, Vec::new(), None);
                } else {
                    call.end_invite();
                }
                let key = call.dialog().key.clone();
                shared.forget(&key);
                if !call.dialog().is_hanging_up() {
                    let reason = request.reason_header().map(|reason| reason.value().to_owned());
                    shared.tell(SipEvent::Bye { call: call.key, reason }).await;
                }
            }
        }
        _ if phase == Phase::Ended => reply(shared, &mut transaction, 481, Vec::new()).await,
        Method::Options => {
            let able = capabilities(shared, came_by(shared, &transaction));
            reply(shared, &mut transaction, 200, able).await;
        }
        Method::PRack => {
            let rack = value(&request.headers, "RAck").unwrap_or("");
            let status = match provisional::prack(shared, &call, rack) {
                Pracked::Nothing => 481,
                // It is acknowledged; a further offer in it is not taken before the call is answered.
                Pracked::Taken if !request.body.is_empty() => 488,
                Pracked::Taken => 200,
            };
            reply(shared, &mut transaction, status, Vec::new()).await;
        }
        Method::Info => info(shared, &call, transaction, request).await,
        Method::Notify => {
            let (status, headers, told) = referral::notified(&call, request);
            reply(shared, &mut transaction, status, headers).await;
            if let Some(status) = told {
                shared.tell(SipEvent::Referral { call: call.key, status }).await;
            }
        }
        Method::Invite | Method::Update => reoffer(shared, call, transaction, request, cseq, turn).await,
        _ => reply(shared, &mut transaction, 405, vec![Header::Allow(ALLOW.into())]).await,
    }
}

/// A key that was pressed, by the INFO of RFC 2976 that peers use without a package of RFC 6086.
async fn info(shared: &Arc<Shared>, call: &Arc<Call>, mut transaction: Transaction, request: &Request) {
    let content_type = request.headers.iter().find(|header| header.name().eq_ignore_ascii_case("Content-Type"));
    match digits::pressed(content_type.map_or("", Header::value), &request.body) {
        Ok(digit) => {
            reply(shared, &mut transaction, 200, Vec::new()).await;
            if let Some(digit) = digit {
                shared.tell(SipEvent::Digit { call: call.key, digit }).await;
            }
        }
        Err(NotADigit::Type) => {
            reply(shared, &mut transaction, 415, vec![Header::Accept(digits::TYPES.into())]).await;
        }
        Err(NotADigit::Body) => reply(shared, &mut transaction, 400, Vec::new()).await,
    }
}

/// A re-INVITE, or an UPDATE (RFC 3311).
async fn reoffer(
    shared: &Arc<Shared>,
    call: Arc<Call>,
    mut transaction: Transaction,
    request: &Request,
    cseq: u32,
    turn: Turn,
) {
    let is_invite = request.method == Method::Invite;
    let offer = match body(request) {
        Ok(offer) => offer,
        Err(header) => return reply(shared, &mut transaction, 415, vec![header]).await,
    };
    let target = match contact(request) {
        Ok(target) => target,
        Err(status) => return reply(shared, &mut transaction, status, Vec::new()).await,
    };
    let Some(source) = came_by(shared, &transaction) else {
        return reply(shared, &mut transaction, 400, Vec::new()).await;
    };
    let granted = match refresh::consider(&call, &request.headers) {
        Ok(granted) => granted,
        Err(min_se) => return reply(shared, &mut transaction, 422, vec![min_se]).await,
    };
    if !is_invite && offer.is_none() {
        call.dialog().refresh(target, source);
        let mut headers = shared.dialog_headers(request, &call.contact);
        headers.extend(refresh::grant(&call, &granted));
        return reply(shared, &mut transaction, 200, headers).await;
    }
    let taken = call.dialog().reoffer(cseq);
    match taken {
        Ok(()) => {}
        Err(Unable::Unanswered) => return reply(shared, &mut transaction, 500, vec![soon()]).await,
        Err(Unable::Offering) => return reply(shared, &mut transaction, 491, Vec::new()).await,
    }
    if is_invite && transaction.send_trying().await.is_err() {
        call.dialog().reoffer_done(cseq);
        return;
    }
    let handle = ReofferHandle {
        shared: Arc::clone(shared),
        call: Arc::clone(&call),
        request: request.clone(),
        transaction: transaction.tu_sender.clone(),
        target,
        source,
        has_offer: offer.is_some(),
        granted,
        cseq,
    };
    let expiry = expire_reoffer(shared, &call, request, cseq, &transaction);
    shared.tell(SipEvent::ReInvite(Box::new(Reoffer { call: call.key, handle, offer }))).await;
    drop(turn);
    let mut acknowledged = false;
    let mut accepted = false;
    while let Some(message) = transaction.receive().await {
        let rsipstack::sip::SipMessage::Request(received) = message else { continue };
        accepted = transaction.last_response.as_ref().is_some_and(|response| response.status_code.code() / 100 == 2);
        match received.method {
            Method::Ack if accepted => {
                acknowledged = true;
                acked(shared, &call, &received).await;
            }
            Method::Cancel if call.dialog().reoffer_done(cseq) => {
                let response = shared.response(request, 487, Vec::new(), None);
                let _ = transaction.tu_sender.send(TransactionEvent::Respond(response));
            }
            _ => {}
        }
    }
    expiry.abort();
    accepted |= transaction.last_response.as_ref().is_some_and(|response| response.status_code.code() / 100 == 2);
    if is_invite && accepted && !acknowledged {
        no_ack(shared, &call).await;
    }
}

/// Answers 500 for a driver that does not answer a re-INVITE in time.
fn expire_reoffer(
    shared: &Arc<Shared>,
    call: &Arc<Call>,
    request: &Request,
    cseq: u32,
    transaction: &Transaction,
) -> tokio::task::JoinHandle<()> {
    let (shared, call, request) = (Arc::clone(shared), Arc::clone(call), request.clone());
    let sender = transaction.tu_sender.clone();
    tokio::spawn(async move {
        tokio::time::sleep(shared.config.timers.reoffer_answer).await;
        if call.dialog().reoffer_done(cseq) {
            let response = shared.response(&request, 500, Vec::new(), None);
            let _ = sender.send(TransactionEvent::Respond(response));
        }
    })
}

/// What identifies a request.
struct Ids {
    call_id: String,
    remote_tag: String,
    local_tag: Option<String>,
    cseq: u32,
}

impl Ids {
    /// The dialog that the request says it is within.
    fn dialog(&self) -> Option<DialogKey> {
        let (call_id, remote_tag) = (self.call_id.clone(), self.remote_tag.clone());
        Some(DialogKey { call_id, local_tag: self.local_tag.clone()?, remote_tag })
    }

    fn of(request: &Request) -> Option<Self> {
        let from = NameAddr::parse(request.from_header().ok()?.value())?;
        let to = NameAddr::parse(request.to_header().ok()?.value())?;
        Some(Self {
            call_id: request.call_id_header().ok()?.value().to_owned(),
            remote_tag: from.parameter("tag")?.to_owned(),
            local_tag: to.parameter("tag").map(str::to_owned),
            cseq: request.cseq_header().ok()?.seq().ok()?,
        })
    }
}

/// Where a call comes from, and on which terms it was let in.
struct Admitted {
    source: Hop,
    trunk: TrunkToken,
    terms: CallTerms,
}

/// The URI that the far end wants to be reached by; the error is the status for one that cannot be used.
fn contact(request: &Request) -> Result<Option<String>, u16> {
    let Ok(header) = request.contact_header() else { return Ok(None) };
    let contact = NameAddr::parse(header.value()).ok_or(400u16)?;
    match contact.uri.split(':').next() {
        Some(scheme) if scheme.eq_ignore_ascii_case("sip") => Ok(Some(contact.uri.to_owned())),
        // It has every request of ours encrypted on every hop (RFC 5630 5.3).
        Some(scheme) if scheme.eq_ignore_ascii_case("sips") => {
            let is_secure = source(request).is_some_and(|source| source.transport.is_secure());
            if is_secure { Ok(Some(contact.uri.to_owned())) } else { Err(416) }
        }
        _ => Err(400),
    }
}

/// The dialog an INVITE makes, and the INVITE with our tag in To; the error is the status for one without a usable Contact.
fn dialog_parts(request: &Request, ids: Ids, local_tag: String, admitted: Admitted) -> Result<(Request, Invite), u16> {
    let remote_target = contact(request)?.ok_or(400u16)?;
    let (Ok(from), Ok(to)) = (request.from_header(), request.to_header()) else { return Err(400) };
    let (remote, local) = (from.value().to_owned(), format!("{};tag={local_tag}", to.value()));
    let routes = request
        .record_route_headers()
        .iter()
        .flat_map(|header| list(header.value()).into_iter().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let mut tagged = request.clone();
    for header in tagged.headers.iter_mut() {
        if let Header::To(to) = header {
            *to = local.clone().into();
        }
    }
    tagged.body = Vec::new();
    let key = DialogKey { call_id: ids.call_id, local_tag, remote_tag: ids.remote_tag };
    let Admitted { source, trunk, terms } = admitted;
    Ok((tagged, Invite { key, local, remote, remote_target, routes, source, trunk, terms, cseq: ids.cseq }))
}

/// An [`IncomingInvite`] that waits for its handle.
struct IncomingParts {
    source: Hop,
    trunk: TrunkToken,
    from: String,
    from_user: String,
    from_display: Option<String>,
    to_user: String,
    headers: Vec<(String, String)>,
    max_forwards: u8,
    offer: Option<String>,
}

impl IncomingParts {
    fn of(request: &Request, source: Hop, trunk: TrunkToken, offer: Option<String>) -> Self {
        let written = request.from_header().ok().map(|from| from.value().to_owned()).unwrap_or_default();
        let from = NameAddr::parse(&written);
        let interesting = |name: &str| {
            const NAMES: &[&str] = &[
                "p-asserted-identity",
                "remote-party-id",
                "privacy",
                "diversion",
                "user-to-user",
                "user-agent",
                "identity",
                "y",
                "to",
                "t",
                "date",
            ];
            let name = name.to_ascii_lowercase();
            name.starts_with("x-") || NAMES.contains(&name.as_str())
        };
        let from_user = from.as_ref().map(|from| user(from.uri)).unwrap_or_default();
        let from_display = from.as_ref().and_then(NameAddr::display);
        Self {
            source,
            trunk,
            from: written,
            from_user,
            from_display,
            to_user: user(&request.uri.to_string()),
            headers: request
                .headers
                .iter()
                .filter(|header| interesting(header.name()))
                .take(MAX_HEADERS_UP)
                .map(|header| (header.name().to_owned(), header.value().to_owned()))
                .collect(),
            max_forwards: max_forwards(request),
            offer,
        }
    }

    fn with(self, handle: CallHandle, call_id: String) -> IncomingInvite {
        IncomingInvite {
            handle,
            source: self.source.address,
            transport: self.source.transport,
            trunk: self.trunk,
            call_id,
            from: self.from,
            from_user: self.from_user,
            from_display: self.from_display,
            to_user: self.to_user,
            headers: self.headers,
            max_forwards: self.max_forwards,
            offer: self.offer,
        }
    }
}

/// How often a request may still be passed on (RFC 3261 20.22).
fn max_forwards(request: &Request) -> u8 {
    let header = request.headers.iter().find(|header| header.name().eq_ignore_ascii_case("Max-Forwards"));
    header.and_then(|header| header.value().trim().parse().ok()).unwrap_or(70)
}

/// The SDP of a request, `None` when it has no body; the error is the Accept header of a 415.
fn body(request: &Request) -> Result<Option<String>, Header> {
    if request.body.is_empty() {
        return Ok(None);
    }
    let header = |name: &str| request.headers.iter().find(|header| header.name().eq_ignore_ascii_case(name));
    let sdp = header("Content-Type").is_some_and(|header| {
        header.value().split(';').next().unwrap_or("").trim().eq_ignore_ascii_case("application/sdp")
    });
    let plain = header("Content-Encoding").is_none_or(|header| {
        header.value().trim().is_empty() || header.value().trim().eq_ignore_ascii_case("identity")
    });
    match std::str::from_utf8(&request.body) {
        Ok(text) if sdp && plain => Ok(Some(text.to_owned())),
        _ => Err(Header::Accept("application/sdp".into())),
    }
}

/// Whether the caller reads what an answer would be written in; without Accept it does (RFC 3261 20.1).
fn takes_sdp(request: &Request) -> bool {
    let mut ranges = request
        .headers
        .iter()
        .filter(|header| header.name().eq_ignore_ascii_case("Accept"))
        .flat_map(|header| header.value().split(','))
        .map(|range| range.split(';').next().unwrap_or("").trim())
        .peekable();
    ranges.peek().is_none()
        || ranges.any(|range| {
            ["application/sdp", "application/*", "*/*"].iter().any(|ours| range.eq_ignore_ascii_case(ours))
        })
}

/// What OPTIONS tells (RFC 3261 11.2).
fn capabilities(shared: &Shared, from: Option<Hop>) -> Vec<Header> {
    let contact = shared.contact(from.unwrap_or(Hop::udp(shared.local)));
    vec![
        Header::Contact(contact.into()),
        Header::Allow(ALLOW.into()),
        Header::Accept("application/sdp".into()),
        Header::Other("Accept-Encoding".to_owned(), "identity".to_owned()),
        Header::Other("Accept-Language".to_owned(), "en".to_owned()),
        Header::Supported(SUPPORTED.into()),
    ]
}

/// When to try again what cannot be done just now: 0 to 10 s (RFC 3261 14.2).
fn soon() -> Header {
    Header::Other("Retry-After".to_owned(), (outgoing::random_u32() % 11).to_string())
}

fn retry_after() -> Header {
    Header::Other("Retry-After".to_owned(), retry_after_s(u64::from(outgoing::random_u32())).to_string())
}

/// Where a request came from, as the receive loop stamped it into the topmost Via.
fn source(request: &Request) -> Option<Hop> {
    let via = request.via_header().ok()?;
    // What it came over stands at its beginning: the guard has seen to that.
    let transport = via.value().split(' ').next()?.rsplit('/').next().and_then(Transport::named)?;
    let address = SipConnection::parse_target_from_via(via).ok()?.1.try_into().ok()?;
    Some(Hop::new(transport, address))
}

/// The same with the socket of ours that it came to.
fn came_by(shared: &Shared, transaction: &Transaction) -> Option<Hop> {
    let socket = shared.wires.socket_of(transaction.connection.as_ref());
    source(&transaction.original).map(|source| source.from_socket(socket))
}

/// Responds and lets the transaction go: the response is kept for retransmissions of the request, and not
/// retransmitted by us.
async fn reply(shared: &Shared, transaction: &mut Transaction, status: u16, headers: Vec<Header>) {
    let mut request = transaction.original.clone();
    let tagged = request.to_header().ok().and_then(|to| NameAddr::parse(to.value())?.parameter("tag").map(|_| ()));
    if tagged.is_none() {
        let tag = format!("{:08x}{:08x}", outgoing::random_u32(), outgoing::random_u32());
        for header in request.headers.iter_mut() {
            if let Header::To(to) = header {
                *to = format!("{};tag={tag}", to.value()).into();
            }
        }
    }
    let response = shared.response(&request, status, headers, None);
    if let Err(error) = transaction.respond(response.clone()).await {
        tracing::debug!(status, %error, "a response was not sent");
    }
    // The stack keeps what it sent for retransmissions, but one that came before it did so waits where nobody looks.
    let mut again = false;
    while let Ok(event) = transaction.tu_receiver.try_recv() {
        again |= matches!(event, TransactionEvent::Received(..));
    }
    if again && transaction.is_terminated() {
        let sent = match &transaction.connection {
            Some(connection) => connection.send(response.into(), transaction.destination.as_ref()).await,
            None => Ok(()),
        };
        if let Err(error) = sent {
            tracing::debug!(status, %error, "a response was not sent again");
        }
    }
}
