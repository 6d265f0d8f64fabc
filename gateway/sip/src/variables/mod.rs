//! What headers say, as variables of a call, and back: `X-` headers, who calls (RFC 3325, RFC 3323), for whom it was meant
//! before it was diverted (RFC 5806), what the far end's application hands over (RFC 7433), and who calls, signed
//! (RFC 8224).
//!
//! Both directions are pure. Nothing that comes from a variable can begin a line or another header: what cannot stand in
//! a header's value is left out, and what is not ours to say is not said.

mod diversion;
mod extension;
mod identity;
mod passport;
mod user_to_user;

use std::collections::BTreeMap;

pub use diversion::Diversion;
pub(crate) use identity::identities;
pub use identity::{Caller, OutgoingCaller};
pub(crate) use passport::signatures;
pub use user_to_user::UserToUser;

/// Most variables of one message.
const MOST_VARIABLES: usize = 64;
/// Longest value of a variable, in bytes.
const MOST_VALUE: usize = 1024;

/// What the headers of an INVITE say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inbound {
    /// Who calls.
    pub caller: Caller,
    /// For whom it was meant before, the last diversion first; at most 8.
    pub diversions: Vec<Diversion>,
    /// What the far end's application hands over; at most 4.
    pub user_to_user: Vec<UserToUser>,
    /// `X-` headers, by variable: `X-Campaign-Id` is `x_campaign_id`. Of two of a name the first.
    pub extensions: BTreeMap<String, String>,
    /// Identity headers as they came, at most 4 of 4096 bytes together, a comma and a space between them, whether they are
    /// genuine or not ([`crate::stir`]).
    pub identity: Option<String>,
}

impl Inbound {
    /// Reads headers. `from` is the value of From; `trusted` says whether what the peer asserts is believed.
    #[must_use]
    pub fn read(from: &str, headers: &[(String, String)], trusted: bool) -> Self {
        Self {
            caller: Caller::read(from, headers, trusted),
            diversions: diversion::read(headers),
            user_to_user: user_to_user::read(headers),
            extensions: extension::read(headers),
            identity: passport::read(headers),
        }
    }

    /// All of it as variables.
    #[must_use]
    pub fn variables(&self) -> BTreeMap<String, String> {
        let mut variables = self.extensions.clone();
        let mut set = |name: &str, value: &str| {
            if !value.is_empty() {
                variables.insert(name.to_owned(), bounded(value));
            }
        };
        set("sip_caller", &self.caller.user);
        set("sip_caller_name", &self.caller.name);
        set("sip_caller_asserted", if self.caller.is_asserted { "true" } else { "" });
        set("sip_caller_anonymous", if self.caller.is_anonymous { "true" } else { "" });
        set("sip_privacy", &self.caller.privacy.join(";"));
        if let Some(diversion) = self.diversions.first() {
            set("sip_diverted_from", &diversion.user);
            set("sip_diversion_reason", &diversion.reason);
            set("sip_diversions", &self.diversions.len().to_string());
        }
        if let Some(text) = self.user_to_user.first().and_then(UserToUser::text) {
            set("sip_user_to_user", &text);
        }
        variables.extend(self.identity.clone().map(|identity| ("sip_identity".to_owned(), identity)));
        variables
    }
}

/// Headers for what an INVITE of ours says with these variables: `x_` variables, `sip_user_to_user` and `sip_identity`. At most 64; a
/// variable whose name or value cannot stand in a header is left out.
#[must_use]
pub fn outbound(variables: &BTreeMap<String, String>) -> Vec<(String, String)> {
    let mut headers = extension::write(variables);
    let handed_over = variables.get("sip_user_to_user").map(|text| UserToUser::of_text(text));
    headers.extend(handed_over.and_then(|data| data.header()).map(|value| ("User-to-User".to_owned(), value)));
    let identity = variables.get("sip_identity").map(|text| passport::write(text)).unwrap_or_default();
    headers.truncate(MOST_VARIABLES - identity.len());
    headers.extend(identity.into_iter().map(|value| ("Identity".to_owned(), value)));
    headers
}

/// A text that can stand in a header: on one line, and not too long.
fn bounded(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(MOST_VALUE));
    for character in text.trim().chars() {
        if out.len() + character.len_utf8() > MOST_VALUE {
            break;
        }
        out.push(if is_line_break(character) || character.is_control() { ' ' } else { character });
    }
    out.truncate(out.trim_end().len());
    out
}

/// What some reader or other takes for the end of a line, though it is no control character.
const fn is_line_break(character: char) -> bool {
    matches!(character, '\u{2028}' | '\u{2029}' | '\u{85}')
}

/// A text as a quoted string, without what could end it.
fn quoted(text: &str) -> String {
    let escaped: String = bounded(text).replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{escaped}\"")
}

/// Values of a header that may come several times or as a list.
fn values<'a>(headers: &'a [(String, String)], name: &'a str) -> impl Iterator<Item = &'a str> {
    let named = headers.iter().filter(move |(known, _)| known.eq_ignore_ascii_case(name));
    named.flat_map(|(_, value)| crate::address::list(value))
}
