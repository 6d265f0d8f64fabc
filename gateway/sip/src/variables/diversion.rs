//! Diversion (RFC 5806): for whom a call was meant before it came here.

use super::{bounded, quoted, values};
use crate::address::{NameAddr, user};

/// Most diversions that are looked at.
const MOST: usize = 8;

/// A diversion.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diversion {
    /// User or number that was called.
    pub user: String,
    /// Why it was diverted: `no-answer`, `user-busy`, `unconditional` and so on; empty when it is not said.
    pub reason: String,
    /// How often, 1 to 100.
    pub counter: u8,
}

pub(super) fn read(headers: &[(String, String)]) -> Vec<Diversion> {
    let addresses = values(headers, "Diversion").filter_map(NameAddr::parse).take(MOST);
    let diversion = |address: NameAddr<'_>| Diversion {
        user: bounded(&user(address.uri)),
        reason: bounded(address.parameter("reason").unwrap_or_default().trim_matches('"')).to_ascii_lowercase(),
        counter: address.parameter("counter").and_then(|text| text.parse().ok()).unwrap_or(1).clamp(1, 100),
    };
    addresses.map(diversion).collect()
}

impl Diversion {
    /// As a header's value, with the host of the trunk; `None` when the user or host cannot stand in a URI.
    #[must_use]
    pub fn header(&self, host: &str) -> Option<String> {
        let fits = trunkline_api::outbound::is_user(&self.user) && trunkline_api::outbound::is_host(host);
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        let reason = match self.reason.as_str() {
            "" => "unknown".to_owned(),
            token if token.bytes().all(plain) => token.to_owned(),
            other => quoted(other),
        };
        fits.then(|| format!("<sip:{}@{host}>;reason={reason};counter={}", self.user, self.counter.clamp(1, 100)))
    }
}
