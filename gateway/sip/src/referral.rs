//! Blind and attended transfer by the far end: we ask it to dial (REFER, RFC 3515), and it tells us how far it has come
//! (NOTIFY with a `message/sipfrag`, RFC 3420). A call that it is to take over is named in Replaces (RFC 3891).

use std::sync::Arc;

use rsipstack::sip::{Header, Request};

use crate::call::Call;
use crate::dialog::Dialog;
use crate::event::SipEvent;
use crate::outgoing;
use crate::shared::Shared;

/// Longest URI that is referred to.
const MOST_URI: usize = 1024;

/// Asks the far end to dial. What comes of it is told by [`SipEvent::Referral`].
pub(crate) fn refer(shared: &Arc<Shared>, call: &Arc<Call>, to: &str) {
    let (shared, call) = (Arc::clone(shared), Arc::clone(call));
    let us = {
        let dialog = call.dialog();
        shared.contact_within(&dialog, dialog.destination())
    };
    let headers = format!("Refer-To: <{to}>\r\nReferred-By: {us}\r\n");
    let runtime = shared.runtime.clone();
    runtime.spawn(async move {
        let response = outgoing::request(&shared, &call, "REFER", &headers).await;
        let status = response.map_or(408, |response| response.status_code.code());
        // 202, or 200 of those who were there before it (RFC 6665 8.3.1): told further by NOTIFY.
        let status = if (200..300).contains(&status) { 100 } else { status };
        if status >= 300 {
            call.refers(false);
        }
        shared.tell(SipEvent::Referral { call: call.key, status }).await;
    });
}

/// Whether a URI can stand in Refer-To.
pub(crate) fn is_uri(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>' | b'"');
    let scheme = ["sip:", "sips:", "tel:"].iter().any(|scheme| text.starts_with(scheme));
    scheme && text.len() <= MOST_URI && text.bytes().all(plain)
}

/// The URI of a dialog's far end, with a Replaces that has whoever dials it take the dialog over. The tags are those of
/// the far end, which is asked by it.
pub(crate) fn replacing(dialog: &Dialog) -> String {
    let value = format!("{};to-tag={};from-tag={}", dialog.key.call_id, dialog.key.remote_tag, dialog.key.local_tag);
    let target = dialog.remote_target.split('?').next().unwrap_or("");
    format!("{target}?Replaces={}", escaped(&value))
}

/// Escapes a header's value for a URI (RFC 3261 19.1.1).
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// What became of a NOTIFY: the status and headers of its answer, and the status that the far end tells of.
pub(crate) fn notified(call: &Call, request: &Request) -> (u16, Vec<Header>, Option<u16>) {
    let header = |name: &str| {
        let found = request.headers.iter().find(|header| header.name().eq_ignore_ascii_case(name));
        found.map(|header| header.value().trim().to_owned())
    };
    let event = header("Event").or_else(|| header("o")).unwrap_or_default();
    let package = event.split(';').next().unwrap_or("").trim();
    if !package.eq_ignore_ascii_case("refer") {
        return (489, vec![Header::Other("Allow-Events".to_owned(), "refer".to_owned())], None);
    }
    if !call.is_referring() {
        // Nobody subscribed to it (RFC 6665 4.1.3).
        return (481, Vec::new(), None);
    }
    let content_type = header("Content-Type").or_else(|| header("c")).unwrap_or_default();
    let is_fragment = content_type.split(';').next().unwrap_or("").trim().eq_ignore_ascii_case("message/sipfrag");
    if !is_fragment {
        return (415, vec![Header::Accept("message/sipfrag".into())], None);
    }
    let Some(status) = fragment(&request.body) else { return (400, Vec::new(), None) };
    let ended = header("Subscription-State").is_some_and(|state| state.to_ascii_lowercase().starts_with("terminated"));
    if status >= 200 || ended {
        call.refers(false);
    }
    (200, Vec::new(), Some(status))
}

/// The status in the first line of a fragment.
fn fragment(body: &[u8]) -> Option<u16> {
    let text = std::str::from_utf8(body).ok()?;
    let rest = text.lines().next()?.strip_prefix("SIP/2.0 ")?;
    rest.get(..3)?.parse().ok().filter(|status| (100..700).contains(status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fragment_says_how_far_a_transfer_is() {
        assert_eq!(fragment(b"SIP/2.0 180 Ringing\r\n"), Some(180));
        assert_eq!(fragment(b"SIP/2.0 200 OK"), Some(200));
        for bad in [&b""[..], b"SIP/2.0", b"SIP/2.0 2", b"SIP/2.0 abc", b"SIP/2.0 099 x", b"BYE sip:a SIP/2.0", b"\xff"]
        {
            assert_eq!(fragment(bad), None);
        }
    }

    #[test]
    fn a_call_that_is_taken_over_is_named_by_the_far_ends_own_tags() {
        assert_eq!(escaped("a@b;to-tag=1;from-tag=2"), "a%40b%3Bto-tag%3D1%3Bfrom-tag%3D2");
        assert!(is_uri("sip:+49301@pbx?Replaces=a%40b") && is_uri("tel:+49301"));
        for bad in ["", "http://x", "sip:a>", "sip:a\r\nX: y", "sip:a b"] {
            assert!(!is_uri(bad), "{bad}");
        }
    }
}
