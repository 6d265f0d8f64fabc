//! What the calling side writes: the INVITE, and the ACK and CANCEL that share its branch (RFC 3261 9.1, 17.1.1.3).

use super::call::Ourselves;
use super::outgoing::Outgoing;
use crate::extensions::SUPPORTED;
use crate::transport::Hop;

/// What an INVITE of ours allows. UPDATE is served once the call is up, but not offered here: before the answer there is
/// nothing to update.
const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, NOTIFY, REFER";

/// What names one INVITE of a call: its branch, its number, and the header that it proves itself with.
#[derive(Debug, Clone)]
pub(super) struct Invite<'a> {
    /// Where it goes.
    pub(super) to: Hop,
    pub(super) branch: &'a str,
    pub(super) call_id: &'a str,
    pub(super) from_tag: &'a str,
    pub(super) cseq: u32,
    pub(super) authorization: Option<&'a (&'static str, String)>,
    /// What it asks of the session: whole lines.
    pub(super) session: &'a str,
}

/// The INVITE.
pub(super) fn invite(us: &Ourselves, call: &Outgoing, named: &Invite<'_>) -> String {
    let headers: String = call.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let rest = format!(
        "Contact: <{}>\r\nAllow: {ALLOW}\r\nSupported: {SUPPORTED}\r\n{}Accept: application/sdp\r\nUser-Agent: {}\r\n\
         {headers}Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{}",
        us.locals.uri(named.to),
        named.session,
        us.user_agent,
        call.offer.len(),
        call.offer
    );
    format!("{}{rest}", head(us, call, named, "INVITE", &format!("<{}>", call.target)))
}

/// The ACK of an answer other than 2xx; `to` is the answer's To.
pub(super) fn ack(us: &Ourselves, call: &Outgoing, named: &Invite<'_>, to: &str) -> String {
    format!("{}User-Agent: {}\r\nContent-Length: 0\r\n\r\n", head(us, call, named, "ACK", to), us.user_agent)
}

/// The CANCEL.
pub(super) fn cancel(us: &Ourselves, call: &Outgoing, named: &Invite<'_>) -> String {
    // Credentials of an INVITE say nothing of a CANCEL, which nobody may ask any for (RFC 3261 22.1).
    let bare = Invite { authorization: None, ..named.clone() };
    let head = head(us, call, &bare, "CANCEL", &format!("<{}>", call.target));
    format!("{head}User-Agent: {}\r\nContent-Length: 0\r\n\r\n", us.user_agent)
}

fn head(us: &Ourselves, call: &Outgoing, named: &Invite<'_>, method: &str, to: &str) -> String {
    let authorization = named.authorization.map(|(name, value)| format!("{name}: {value}\r\n")).unwrap_or_default();
    format!(
        "{method} {} SIP/2.0\r\nVia: {}\r\nMax-Forwards: {}\r\nFrom: {};tag={}\r\nTo: {to}\r\nCall-ID: {}\r\n\
         CSeq: {} {method}\r\n{authorization}",
        call.target,
        us.locals.via(named.to, named.branch),
        call.max_forwards,
        call.from,
        named.from_tag,
        named.call_id,
        named.cseq
    )
}
