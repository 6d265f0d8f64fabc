//! Who calls: what a trusted peer asserts (RFC 3325), what anybody may say of themselves, and what is to be kept from
//! others (RFC 3323).

use super::{bounded, quoted, values};
use crate::address::{NameAddr, user};

/// Most words of a Privacy header.
const MOST_PRIVACY: usize = 8;

/// Who calls.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Caller {
    /// User of the URI, or the number; empty when there is none.
    pub user: String,
    /// Display name; empty when there is none.
    pub name: String,
    /// A trusted peer vouches for it; otherwise it is what the caller says.
    pub is_asserted: bool,
    /// It is to be kept from others, or was kept from us.
    pub is_anonymous: bool,
    /// Words of the Privacy header, in lower case.
    pub privacy: Vec<String>,
}

impl Caller {
    pub(crate) fn read(from: &str, headers: &[(String, String)], trusted: bool) -> Self {
        let words = values(headers, "Privacy").flat_map(|value| value.split(';')).map(|word| word.trim());
        let plain = |word: &&str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let privacy: Vec<String> = words.filter(plain).take(MOST_PRIVACY).map(str::to_ascii_lowercase).collect();
        let said = NameAddr::parse(from);
        let nameless = said.is_some_and(|said| is_nobody(said.uri));
        let asks = |word: &str| privacy.iter().any(|known| known == word);
        // Who is not trusted may say what they like: it is not even looked at.
        let asserted = if trusted { asserted(headers) } else { None };
        let hidden_by_peer = asserted.as_ref().is_some_and(|(_, hidden)| *hidden);
        let wants_privacy = ["id", "user", "header", "full"].into_iter().any(asks) && !asks("none");
        let is_anonymous = nameless || wants_privacy || hidden_by_peer;
        match (asserted, said) {
            (Some(((user, name), _)), _) => Self { user, name, is_asserted: true, is_anonymous, privacy },
            (None, Some(said)) => {
                let (user, name) = if nameless { Default::default() } else { who(&said) };
                Self { user, name, is_asserted: false, is_anonymous, privacy }
            }
            (None, None) => Self { is_anonymous, privacy, ..Self::default() },
        }
    }
}

/// User and name of an address.
fn who(address: &NameAddr<'_>) -> (String, String) {
    (bounded(&user(address.uri)), bounded(&address.display().unwrap_or_default()))
}

/// `sip:anonymous@anonymous.invalid` (RFC 3323 4.1.1.3) and its like.
fn is_nobody(uri: &str) -> bool {
    let host = uri.rsplit('@').next().unwrap_or_default();
    let host = host.split([';', '?', ':']).next().unwrap_or_default();
    host.eq_ignore_ascii_case("anonymous.invalid") || user(uri).eq_ignore_ascii_case("anonymous")
}

/// Who is asserted to call: at most a SIP and a `tel:` URI (RFC 3325 9.1).
pub(crate) fn identities(headers: &[(String, String)]) -> Vec<NameAddr<'_>> {
    values(headers, "P-Asserted-Identity").filter_map(NameAddr::parse).take(2).collect()
}

/// User, name, and whether the peer hides them from others.
fn asserted(headers: &[(String, String)]) -> Option<((String, String), bool)> {
    let mut identities = identities(headers);
    // Of a SIP and a `tel:` URI the number is the `tel:` one's, the name whichever has one (RFC 3325 9.1).
    let name = identities.iter().find_map(|identity| identity.display());
    identities.sort_by_key(|identity| !identity.uri.get(..4).is_some_and(|head| head.eq_ignore_ascii_case("tel:")));
    if let Some(identity) = identities.first() {
        return Some(((bounded(&user(identity.uri)), bounded(&name.unwrap_or_default())), false));
    }
    let party = values(headers, "Remote-Party-ID").filter_map(NameAddr::parse);
    let mut calling =
        party.filter(|party| party.parameter("party").is_none_or(|party| party.eq_ignore_ascii_case("calling")));
    let party = calling.next()?;
    let hidden = party.parameter("privacy").is_some_and(|privacy| !privacy.eq_ignore_ascii_case("off"));
    Some((who(&party), hidden))
}

/// Who a call of ours is from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutgoingCaller {
    /// The user of the URI: a number as the trunk wants it.
    pub user: String,
    /// Host of the URI: the trunk's domain.
    pub host: String,
    /// Display name; empty for none.
    pub name: String,
    /// It is not to be shown to whom is called.
    pub is_anonymous: bool,
}

impl OutgoingCaller {
    /// The value of From without its tag, and the headers that belong to it. Only a trusted peer is told who calls when
    /// that is to be kept from others (RFC 3325 5, RFC 3323 4.1); `None` when user or host cannot stand in a URI.
    #[must_use]
    pub fn headers(&self, trusted: bool) -> Option<(String, Vec<(&'static str, String)>)> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.!~*'()+".contains(&byte);
        let user = (1..=64).contains(&self.user.len()) && self.user.bytes().all(plain);
        if !user || !trunkline_api::outbound::is_host(&self.host) {
            return None;
        }
        let name = if self.name.trim().is_empty() { String::new() } else { format!("{} ", quoted(&self.name)) };
        let identity = format!("{name}<sip:{}@{}>", self.user, self.host);
        Some(match (self.is_anonymous, trusted) {
            (false, true) => (identity.clone(), vec![("P-Asserted-Identity", identity)]),
            (false, false) => (identity, Vec::new()),
            (true, true) => (nobody(), vec![("P-Asserted-Identity", identity), ("Privacy", "id".to_owned())]),
            (true, false) => (nobody(), vec![("Privacy", "id".to_owned())]),
        })
    }
}

fn nobody() -> String {
    "\"Anonymous\" <sip:anonymous@anonymous.invalid>".to_owned()
}
