//! The far end asks us to dial (REFER, RFC 3515): whom, in whose place (Replaces, RFC 3891), and how far we have come, told by
//! NOTIFY with a `message/sipfrag` (RFC 3420) until it is decided.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rsipstack::sip::{Header, HeadersExt, Request, StatusCode};
use rsipstack::transaction::Transaction;
use tokio::sync::{oneshot, watch};

use crate::address::{NameAddr, parameter_of_uri};
use crate::call::{ByeReason, Call, CallHandle};
use crate::dialog::Dialog;
use crate::event::{CallKey, SipEvent};
use crate::shared::Shared;
use crate::turns::Turn;
use crate::{outgoing, uas};

/// Longest Refer-To that is read.
const MOST_TARGET: usize = 1024;
/// For how long the far end may expect news, in seconds; longer than anything rings.
const EXPIRES_S: u32 = 300;
/// How long whoever has passed us on is given to hang up by itself.
const FAREWELL: Duration = Duration::from_secs(2);

/// The far end of a call wants us to dial.
#[derive(Debug)]
pub struct Referred {
    /// Which call.
    pub call: CallKey,
    /// Whom: a `sip:`, `sips:` or `tel:` URI without headers.
    pub to: String,
    /// Whether it is at a host that one of the call's two ends is known by here: what is dialled there is the user, by
    /// whatever way is ours.
    pub is_near: bool,
    /// The call in whose place ours is to be put: the value of Replaces (RFC 3891 6.1).
    pub replaces: Option<String>,
    /// Who says so: Referred-By as it was written (RFC 3892).
    pub by: Option<String>,
    /// What to answer with.
    pub handle: ReferredHandle,
}

/// What the far end of a call has had us dial.
#[derive(Debug, Default)]
pub(crate) struct Referrals {
    open: AtomicBool,
    had_one: AtomicBool,
}

impl Referrals {
    /// Another one, unless one is under way.
    fn begin(&self) -> bool {
        !self.open.swap(true, Ordering::AcqRel)
    }

    /// It was refused, or is decided.
    fn end(&self) {
        self.open.store(false, Ordering::Release);
    }

    /// Whether one was accepted before.
    fn is_another(&self) -> bool {
        self.had_one.swap(true, Ordering::AcqRel)
    }
}

/// What a REFER asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wish {
    to: String,
    replaces: Option<String>,
    by: Option<String>,
}

/// Reads a REFER; the error is the status it is refused with.
pub(crate) fn wish(request: &Request) -> Result<Wish, u16> {
    let values = |long: &str, short: &str| -> Vec<String> {
        let named =
            |header: &&Header| header.name().eq_ignore_ascii_case(long) || header.name().eq_ignore_ascii_case(short);
        request.headers.iter().filter(named).map(|header| header.value().trim().to_owned()).collect()
    };
    // Exactly one (RFC 3515 2.4.2).
    let targets = values("Refer-To", "r");
    let [target] = targets.as_slice() else { return Err(400) };
    let (to, replaces) = target_of(target)?;
    let by = values("Referred-By", "b").into_iter().next().filter(|by| NameAddr::parse(by).is_some());
    Ok(Wish { to, replaces, by })
}

/// The URI of a Refer-To, and the Replaces in it.
fn target_of(value: &str) -> Result<(String, Option<String>), u16> {
    let parsed = NameAddr::parse(value).filter(|_| value.len() <= MOST_TARGET).ok_or(400u16)?;
    let (uri, headers) = parsed.uri.split_once('?').map_or((parsed.uri, ""), |(uri, headers)| (uri, headers));
    let scheme = uri.split(':').next().unwrap_or("");
    if !["sip", "sips", "tel"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return Err(416);
    }
    if host(uri).is_empty() && !scheme.eq_ignore_ascii_case("tel") {
        return Err(400);
    }
    // Another method than INVITE would be asked for on our account.
    if parameter_of_uri(uri, "method").is_some_and(|method| !method.eq_ignore_ascii_case("INVITE")) {
        return Err(501);
    }
    let mut replaces = None;
    for part in headers.split('&').filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').ok_or(400u16)?;
        // What else the far end would have us say is not said.
        if name.eq_ignore_ascii_case("Replaces") {
            let value = unescaped(value).filter(|value| is_dialog(value)).ok_or(400u16)?;
            if replaces.replace(value).is_some() {
                return Err(400);
            }
        }
    }
    Ok((uri.to_owned(), replaces))
}

/// Whether a URI is at a host that an end of the call is known by: in To, From or Contact, or where its messages come from.
fn is_near(uri: &str, dialog: &Dialog, contact: &str) -> bool {
    let host = host(uri);
    let known =
        [&dialog.local, &dialog.remote].into_iter().filter_map(|name| NameAddr::parse(name).map(|name| name.uri));
    let mut known = known.chain([dialog.remote_target.as_str(), contact]).map(self::host);
    let source = dialog.source.address.ip();
    !host.is_empty()
        && (known.any(|known| known.eq_ignore_ascii_case(host))
            || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical() == source.to_canonical()))
}

/// The host of a URI, without port and brackets; empty where there is none.
fn host(uri: &str) -> &str {
    let rest = uri.split_once(':').map_or("", |(_, rest)| rest);
    let host = rest.rsplit('@').next().unwrap_or(rest).split([';', '?']).next().unwrap_or("");
    match host.strip_prefix('[') {
        Some(bracketed) => bracketed.split(']').next().unwrap_or(""),
        None => host.split(':').next().unwrap_or(host),
    }
}

/// Resolves the escapes of a header in a URI (RFC 3261 19.1.2); `None` for what is none, or no text that can stand in a header.
fn unescaped(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        out.push(if byte == b'%' {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            let (high, low) = (digit(bytes.next()?)?, digit(bytes.next()?)?);
            u8::try_from(high * 16 + low).ok()?
        } else {
            byte
        });
    }
    out.iter().all(u8::is_ascii_graphic).then(|| String::from_utf8(out).ok())?
}

/// Whether a text names a dialog: its Call-ID, `to-tag` and `from-tag` (RFC 3891 6.1).
fn is_dialog(text: &str) -> bool {
    let mut parts = text.split(';');
    let call_id = parts.next().unwrap_or("");
    let (mut to, mut from) = (0, 0);
    for part in parts {
        match part.split_once('=') {
            Some(("to-tag", tag)) if !tag.is_empty() => to += 1,
            Some(("from-tag", tag)) if !tag.is_empty() => from += 1,
            None if part == "early-only" => {}
            _ => return false,
        }
    }
    !call_id.is_empty() && (to, from) == (1, 1) && !text.contains(['<', '>', '"', ','])
}

/// Answers a REFER. Dropped unanswered it answers 500.
#[derive(Debug)]
pub struct ReferredHandle {
    decided: oneshot::Sender<Decision>,
}

/// What was answered, and is told since.
#[derive(Debug)]
pub struct ReferAnswer {
    decision: oneshot::Receiver<Decision>,
    told: Option<watch::Receiver<u16>>,
}

#[derive(Debug)]
enum Decision {
    Refused(u16),
    Accepted(watch::Receiver<u16>),
}

impl ReferredHandle {
    /// Both ends of an answer.
    #[must_use]
    pub fn pair() -> (Self, ReferAnswer) {
        let (decided, decision) = oneshot::channel();
        (Self { decided }, ReferAnswer { decision, told: None })
    }

    /// Will not dial, with a status of 300 to 699; another is taken for 500.
    pub fn refuse(self, status: u16) {
        let status = if (300..700).contains(&status) { status } else { 500 };
        // Nobody waits once the endpoint has stopped.
        let _ = self.decided.send(Decision::Refused(status));
    }

    /// Will try: 202, and 100 as the first news.
    #[must_use = "dropping it tells the far end that nobody was reached"]
    pub fn accept(self) -> ReferProgress {
        let (news, told) = watch::channel(100);
        let _ = self.decided.send(Decision::Accepted(told));
        ReferProgress { news }
    }
}

impl ReferAnswer {
    /// The status of the answer, `None` while there is none; asked until there is one, and then no more.
    pub fn status(&mut self) -> Option<u16> {
        match self.decision.try_recv() {
            Ok(Decision::Refused(status)) => Some(status),
            Ok(Decision::Accepted(told)) => {
                self.told = Some(told);
                Some(202)
            }
            Err(oneshot::error::TryRecvError::Closed) => Some(500),
            Err(oneshot::error::TryRecvError::Empty) => None,
        }
    }

    /// The last news of one that was accepted.
    #[must_use]
    pub fn news(&self) -> Option<u16> {
        self.told.as_ref().map(|told| *told.borrow())
    }
}

/// Tells the far end how far we have come. Dropped before the end it tells that it came to nothing.
#[derive(Debug)]
pub struct ReferProgress {
    news: watch::Sender<u16>,
}

impl ReferProgress {
    /// What whom we dial says: 101 to 199 while it is not decided. Of several at once the last counts.
    pub fn rings(&self, status: u16) {
        if (101..200).contains(&status) {
            self.news.send_if_modified(|last| std::mem::replace(last, status) != status);
        }
    }

    /// It is decided: 200 to 699. With a 2xx the far end hangs up, or is hung up soon after it was told.
    pub fn ends(self, status: u16) {
        self.news.send_replace(if (200..700).contains(&status) { status } else { 500 });
    }
}

impl Drop for ReferProgress {
    fn drop(&mut self) {
        self.news.send_if_modified(|last| {
            let open = *last < 200;
            if open {
                *last = 487;
            }
            open
        });
    }
}

/// One NOTIFY after the other, until it is decided.
async fn tell(shared: &Arc<Shared>, call: &Arc<Call>, event: &str, mut told: watch::Receiver<u16>) {
    let mut is_wanted = true;
    let status = loop {
        let status = *told.borrow_and_update();
        let is_over = status >= 200;
        if is_over {
            // Who is told so may ask for the next.
            call.referrals.end();
        }
        if is_wanted {
            // Who does not want to know is not told again, and dialled for all the same.
            is_wanted = notify(shared, call, event, status).await;
        }
        if is_over || told.changed().await.is_err() {
            break status;
        }
    };
    if (200..300).contains(&status) {
        tokio::time::sleep(FAREWELL).await;
        // Usually the far end has done so by itself.
        let handle = CallHandle { shared: Arc::clone(shared), call: Arc::clone(call) };
        let _ = handle.bye(&ByeReason::normal());
    }
}

/// Whether the far end has taken news.
async fn notify(shared: &Shared, call: &Call, event: &str, status: u16) -> bool {
    let over = "terminated;reason=noresource".to_owned();
    let state = if status >= 200 { over } else { format!("active;expires={EXPIRES_S}") };
    let headers = format!(
        "Contact: <{}>\r\nEvent: {event}\r\nSubscription-State: {state}\r\n\
         Content-Type: message/sipfrag;version=2.0\r\n",
        call.contact
    );
    let body = format!("SIP/2.0 {}\r\n", StatusCode::from(status));
    let response = outgoing::request_with(shared, call, "NOTIFY", &headers, &body).await;
    response.is_some_and(|response| response.status_code.code() / 100 == 2)
}

/// Serves a REFER within a call that is up.
pub(crate) async fn serve(
    shared: &Arc<Shared>,
    call: &Arc<Call>,
    mut transaction: Transaction,
    request: &Request,
    turn: Turn,
) {
    let wish = match wish(request) {
        Ok(wish) => wish,
        Err(status) => return uas::reply(shared, &mut transaction, status, Vec::new()).await,
    };
    if !call.referrals.begin() {
        return uas::reply(shared, &mut transaction, 491, Vec::new()).await;
    }
    let Wish { to, replaces, by } = wish;
    let (handle, answer) = ReferredHandle::pair();
    let is_near = is_near(&to, &call.dialog(), &call.contact);
    shared.tell(SipEvent::Referred(Box::new(Referred { call: call.key, to, is_near, replaces, by, handle }))).await;
    let decision = answer.decision.await.unwrap_or(Decision::Refused(500));
    drop(turn);
    match decision {
        Decision::Refused(status) => {
            call.referrals.end();
            uas::reply(shared, &mut transaction, status, Vec::new()).await;
        }
        Decision::Accepted(told) => {
            let headers = shared.dialog_headers(request, &call.contact);
            uas::reply(shared, &mut transaction, 202, headers).await;
            // The first one in a call needs no name (RFC 3515 2.4.6), and some do not know what to do with it.
            let cseq = request.cseq_header().ok().and_then(|cseq| cseq.seq().ok());
            let event = match cseq.filter(|_| call.referrals.is_another()) {
                Some(id) => format!("refer;id={id}"),
                None => "refer".to_owned(),
            };
            tell(shared, call, &event, told).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whom_to_dial_and_in_whose_place_is_read_from_refer_to() {
        let is = |value: &str, to: &str, replaces: Option<&str>| {
            assert_eq!(target_of(value), Ok((to.to_owned(), replaces.map(str::to_owned))), "{value}");
        };
        is("<sip:+4930555@pbx.example>", "sip:+4930555@pbx.example", None);
        is("sip:20@pbx.example;transport=tcp", "sip:20@pbx.example", None);
        is("\"Bob\" <tel:+4930555;ext=2>", "tel:+4930555;ext=2", None);
        is("<sip:20@pbx;method=INVITE?Subject=x>", "sip:20@pbx;method=INVITE", None);
        let replaces = Some("a@b;to-tag=1;from-tag=2");
        is("<sip:20@pbx?Replaces=a%40b%3Bto-tag%3D1%3Bfrom-tag%3D2>", "sip:20@pbx", replaces);
        is("<sip:20@pbx?X-A=1&replaces=a%40b%3bto-tag%3d1%3bfrom-tag%3d2>", "sip:20@pbx", replaces);
        let early = Some("a;from-tag=2;to-tag=1;early-only");
        is("<sip:20@pbx?Replaces=a%3Bfrom-tag%3D2%3Bto-tag%3D1%3Bearly-only>", "sip:20@pbx", early);
    }

    #[test]
    fn what_nobody_can_dial_is_refused_with_why() {
        for (value, status) in [
            ("", 400),
            ("nobody", 400),
            ("<sip:20@>", 400),
            ("<mailto:bob@example.org>", 416),
            ("<https://example.org>", 416),
            ("<sip:20@pbx;method=BYE>", 501),
            ("<sip:20@pbx?Replaces=a>", 400),
            ("<sip:20@pbx?Replaces=a%3Bto-tag%3D1>", 400),
            ("<sip:20@pbx?Replaces=a%3Bto-tag%3D1%3Bfrom-tag%3D2%0d%0aX-Evil:%201>", 400),
            ("<sip:20@pbx?Replaces=a%3Bto-tag%3D1%3Bfrom-tag%3D2%3Bx%3D3>", 400),
            ("<sip:20@pbx?Replaces=%>", 400),
            ("<sip:20@pbx?Replaces=a%3Bto-tag%3D1%3Bfrom-tag%3D2&Replaces=a%3Bto-tag%3D1%3Bfrom-tag%3D2>", 400),
        ] {
            assert_eq!(target_of(value), Err(status), "{value}");
        }
        let long = format!("<sip:{}@pbx>", "1".repeat(MOST_TARGET));
        assert_eq!(target_of(&long), Err(400));
    }
}
