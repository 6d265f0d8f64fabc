//! A response to a request of ours, in the parts that the asking side looks at.

use crate::address::{NameAddr, list};
use crate::guard::{Message, Name, StartLine};
use crate::transport::Hop;

/// Most values of a header that are kept.
const MOST_VALUES: usize = 16;

/// A response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Status, 100 to 699.
    pub status: u16,
    /// Branch of the topmost Via: which request it answers.
    pub branch: String,
    /// Number of CSeq.
    pub cseq: u32,
    /// Method of CSeq.
    pub method: String,
    /// Call-ID.
    pub call_id: String,
    /// Tag of From: ours.
    pub from_tag: String,
    /// To as it was written, with its tag.
    pub to: String,
    /// Tag of To, which tells forks apart.
    pub to_tag: Option<String>,
    /// Values of Contact, at most 16.
    pub contacts: Vec<String>,
    /// Values of Record-Route in their order, at most 16.
    pub record_routes: Vec<String>,
    /// RSeq of a provisional response that is to be acknowledged (RFC 3262).
    pub rseq: Option<u32>,
    /// `WWW-Authenticate` and `Proxy-Authenticate`, at most 16.
    pub challenges: Vec<(String, String)>,
    /// Retry-After, in seconds.
    pub retry_after_s: Option<u32>,
    /// Expires, in seconds.
    pub expires_s: Option<u32>,
    /// Min-Expires, in seconds.
    pub min_expires_s: Option<u32>,
    /// Session-Expires as it was written (RFC 4028).
    pub session_expires: Option<String>,
    /// Min-SE, in seconds.
    pub min_se_s: Option<u32>,
    /// Whether Allow names UPDATE.
    pub takes_update: bool,
    /// Reason (RFC 3326).
    pub reason: Option<String>,
    /// The description it carries.
    pub sdp: Option<String>,
    /// Where it came from.
    pub source: Hop,
}

impl Answer {
    /// Reads a response that the guard let in; `None` for a request, and for what answers nothing.
    pub(crate) fn of(message: &Message<'_>, source: Hop) -> Option<Self> {
        let StartLine::Response { status, .. } = message.start else { return None };
        let (cseq, method) = message.value(Name::CSeq)?.trim().split_once([' ', '\t'])?;
        let to = message.value(Name::To)?;
        let named = |name: &str| {
            let name = name.to_owned();
            message.headers.iter().filter(move |header| header.written.eq_ignore_ascii_case(&name))
        };
        let all = |long: &str, short: &str| -> Vec<String> {
            let both = message.headers.iter().filter(|header| {
                header.written.eq_ignore_ascii_case(long) || header.written.eq_ignore_ascii_case(short)
            });
            both.flat_map(|header| list(&header.value)).take(MOST_VALUES).map(str::to_owned).collect()
        };
        let seconds = |name: &str| {
            // What follows is a comment or parameters (RFC 3261 20.33).
            let digits = |value: &str| -> String { value.chars().take_while(char::is_ascii_digit).take(10).collect() };
            named(name).next().and_then(|header| digits(header.value.trim()).parse().ok())
        };
        let reliable = named("Require")
            .flat_map(|header| header.value.split(','))
            .any(|tag| tag.trim().eq_ignore_ascii_case("100rel"));
        let challenge = |name: &'static str| {
            named(name).take(MOST_VALUES).map(move |header| (name.to_owned(), header.value.to_string()))
        };
        Some(Self {
            status: status.parse().ok()?,
            branch: message.top_via_branch()?,
            cseq: cseq.parse().ok()?,
            method: method.trim().to_owned(),
            call_id: message.value(Name::CallId)?.to_owned(),
            from_tag: NameAddr::parse(message.value(Name::From)?)?.parameter("tag")?.to_owned(),
            to: to.to_owned(),
            to_tag: NameAddr::parse(to)?.parameter("tag").map(str::to_owned),
            contacts: all("Contact", "m"),
            record_routes: all("Record-Route", "Record-Route"),
            rseq: seconds("RSeq").filter(|_| reliable),
            challenges: challenge("WWW-Authenticate").chain(challenge("Proxy-Authenticate")).collect(),
            retry_after_s: seconds("Retry-After"),
            expires_s: seconds("Expires"),
            min_expires_s: seconds("Min-Expires"),
            session_expires: all("Session-Expires", "x").into_iter().next(),
            min_se_s: seconds("Min-SE"),
            takes_update: named("Allow")
                .flat_map(|header| header.value.split(','))
                .any(|method| method.trim().eq_ignore_ascii_case("UPDATE")),
            reason: named("Reason").next().map(|header| header.value.chars().take(256).collect()),
            sdp: sdp(message),
            source,
        })
    }

    /// Whether it is not the last.
    #[must_use]
    pub const fn is_provisional(&self) -> bool {
        self.status < 200
    }

    /// URI of the first Contact that is a SIP URI.
    pub(crate) fn contact_uri(&self) -> Option<String> {
        let uris = self.contacts.iter().filter_map(|contact| NameAddr::parse(contact));
        let mut sip = uris.filter(|contact| {
            let scheme = contact.uri.split(':').next().unwrap_or("");
            scheme.eq_ignore_ascii_case("sip") || scheme.eq_ignore_ascii_case("sips")
        });
        sip.next().map(|contact| contact.uri.to_owned())
    }
}

fn sdp(message: &Message<'_>) -> Option<String> {
    let length = message.value(Name::ContentLength).and_then(|length| length.trim().parse::<usize>().ok());
    let body = message.body.get(..length.unwrap_or(message.body.len()).min(message.body.len()))?;
    let content_type = message.value(Name::ContentType)?;
    let is_sdp = content_type.split(';').next().unwrap_or("").trim().eq_ignore_ascii_case("application/sdp");
    let text = std::str::from_utf8(body).ok()?;
    (is_sdp && !text.is_empty()).then(|| text.to_owned())
}
