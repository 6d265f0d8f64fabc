//! What of an INVITE is compared with what is signed.

use std::time::UNIX_EPOCH;

use trunkline_api::e164::Numbering;

use super::number::canonical;
use crate::address::{NameAddr, user};
use crate::variables::{Caller, signatures};

/// A call whose caller is to be verified.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Question {
    /// Values of Identity.
    pub(super) identities: Vec<String>,
    /// There are others, which are none or too long.
    pub(super) has_others: bool,
    /// Who calls, as the call's agent is told.
    pub(super) calling: Option<String>,
    /// To.
    pub(super) to: Option<String>,
    /// The request-URI.
    pub(super) dialled: Option<String>,
    /// Date, in seconds since the Unix epoch.
    pub(super) date_s: Option<u64>,
}

impl Question {
    /// Of an INVITE: its From, the user of its request-URI, and its headers, To and Date among them. The caller that is
    /// compared is the one that the agent is told of: who is asserted by a peer that is `trusted`, or else From. Where that
    /// names nobody it is who is asserted, whoever does.
    #[must_use]
    pub fn of(from: &str, dialled: &str, headers: &[(String, String)], trusted: bool, numbering: &Numbering) -> Self {
        let named = |known: &str| {
            headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(known)).map(|(_, value)| value.trim())
        };
        let mut caller = Caller::read(from, headers, trusted);
        if caller.user.is_empty() {
            caller = Caller::read(from, headers, true);
        }
        let to = named("To").or_else(|| named("t")).and_then(NameAddr::parse).map(|to| user(to.uri));
        let date = named("Date").and_then(|date| httpdate::parse_http_date(date).ok());
        let date_s = date.and_then(|date| Some(date.duration_since(UNIX_EPOCH).ok()?.as_secs()));
        let identities: Vec<String> = signatures(headers).into_iter().map(str::to_owned).collect();
        let is_identity = |name: &str| name.eq_ignore_ascii_case("Identity") || name.eq_ignore_ascii_case("y");
        let written = headers.iter().filter(|(name, _)| is_identity(name)).count();
        Self {
            has_others: written > identities.len(),
            identities,
            calling: canonical(&caller.user, numbering),
            to: to.and_then(|to| canonical(&to, numbering)),
            dialled: canonical(dialled, numbering),
            date_s,
        }
    }
}
