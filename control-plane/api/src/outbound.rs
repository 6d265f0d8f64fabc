//! Calls that leave: where they may go, over which trunks, and how much of it a tenant may do. Without an outbound route
//! nothing leaves.

use serde::{Deserialize, Serialize};

use crate::dialled::Pattern;
use crate::id::Id;

/// Most destinations of a route, and most of those it refuses.
const MOST_DESTINATIONS: usize = 200;
/// Most trunks of a route.
const MOST_TRUNKS: usize = 8;
/// Most agents of a route.
const MOST_AGENTS: usize = 1000;
/// Most calls a minute or a day that a limit can be set to.
const MOST_RATE: u32 = 100_000;

/// Who wants a call to leave.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum OutboundUse {
    /// An operator or the API places a call.
    Dial,
    /// An agent or a tool passes a caller on.
    Transfer,
    /// The far end asks for it (REFER).
    Refer,
}

/// An outbound route's body: calls to these destinations leave over these trunks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OutboundRouteBody {
    /// Name.
    pub name: String,
    /// Lower is tried first.
    #[serde(default)]
    pub order: u32,
    /// What may be called: `+4930*`, `+*` for every number, `112` or `2*` for short numbers and extensions as written,
    /// `sip:*@pbx.example` for users of a host, a whole SIP URI, or a `/regular expression/` over numbers and extensions.
    /// 1 to 200.
    pub destinations: Vec<String>,
    /// What may not, though a destination holds it; written alike. At most 200.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub denied: Vec<String>,
    /// The trunks, in order: the next one when one is full or cannot be reached. 1 to 8.
    #[schema(value_type = Vec<String>)]
    #[schemars(with = "Vec<String>")]
    pub trunks: Vec<Id>,
    /// Who may use it.
    #[serde(default = "all_uses")]
    pub uses: Vec<OutboundUse>,
    /// Only calls of these agents; of everybody when empty. At most 1000.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    #[schemars(with = "Vec<String>")]
    pub agents: Vec<Id>,
    /// Most calls at once over it; 0 means no limit of its own.
    #[serde(default)]
    pub max_calls: u32,
    /// What a minute that has begun costs, in millionths of the tenant's currency, for `spend_micro_per_day`.
    #[serde(default)]
    pub price_micro_per_minute: u64,
}

fn all_uses() -> Vec<OutboundUse> {
    vec![OutboundUse::Dial, OutboundUse::Transfer]
}

/// How much a tenant may call out on a gateway. Zero is nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OutboundLimits {
    /// Most calls at once, 0 to 100 000.
    pub max_calls: u32,
    /// Most calls begun in any 60 seconds, 0 to 100 000.
    pub calls_per_minute: u32,
    /// Most calls begun in a day of UTC, 0 to 100 000.
    pub calls_per_day: u32,
    /// Most that calls may cost in a day of UTC, in millionths of the tenant's currency, by the routes' prices. A call
    /// ends before a minute begins that would go beyond.
    pub spend_micro_per_day: u64,
}

impl Default for OutboundLimits {
    fn default() -> Self {
        Self { max_calls: 10, calls_per_minute: 30, calls_per_day: 1000, spend_micro_per_day: 50_000_000 }
    }
}

impl OutboundLimits {
    /// Whether nothing was chosen.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// What is out of range, each with its RFC 6901 pointer and what was expected.
    #[must_use]
    pub fn problems(&self) -> Vec<(&'static str, &'static str)> {
        [
            ("/outbound/max_calls", self.max_calls),
            ("/outbound/calls_per_minute", self.calls_per_minute),
            ("/outbound/calls_per_day", self.calls_per_day),
        ]
        .into_iter()
        .filter_map(|(pointer, value)| (value > MOST_RATE).then_some((pointer, "expected 0 to 100000")))
        .collect()
    }
}

impl OutboundRouteBody {
    /// What is out of range, each with its RFC 6901 pointer and what was expected.
    #[must_use]
    pub fn problems(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let mut expect = |holds: bool, pointer: &str, message: &str| {
            if !holds {
                found.push((format!("/{pointer}"), message.to_owned()));
            }
        };
        let some = (1..=MOST_DESTINATIONS).contains(&self.destinations.len());
        expect(some, "destinations", "expected 1 to 200");
        expect(self.denied.len() <= MOST_DESTINATIONS, "denied", "expected at most 200");
        for (name, list) in [("destinations", &self.destinations), ("denied", &self.denied)] {
            for (at, text) in list.iter().enumerate().take(MOST_DESTINATIONS) {
                if let Err(error) = text.parse::<Destinations>() {
                    expect(false, &format!("{name}/{at}"), &error.to_string());
                }
            }
        }
        expect((1..=MOST_TRUNKS).contains(&self.trunks.len()), "trunks", "expected 1 to 8");
        expect((1..=3).contains(&self.uses.len()), "uses", "expected some of `dial`, `transfer` and `refer`");
        expect(self.agents.len() <= MOST_AGENTS, "agents", "expected at most 1000");
        found
    }
}

/// A set of destinations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destinations {
    /// Numbers and extensions, matched as they are written: `+` counts.
    Numbers(Pattern),
    /// Every user of a host, in lower case.
    Host(String),
    /// One SIP URI: user and host.
    Uri {
        /// User.
        user: String,
        /// Host, in lower case.
        host: String,
    },
}

/// Text that names no destinations.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` names no destinations; expected `+4930*`, `+*` for every number, `2*` for extensions, `sip:*@pbx.example`, a SIP \
     URI or a `/regular expression/`"
)]
pub struct DestinationsError(String);

impl std::str::FromStr for Destinations {
    type Err = DestinationsError;

    fn from_str(text: &str) -> Result<Self, DestinationsError> {
        let wrong = || DestinationsError(text.chars().take(128).collect());
        if let Some(rest) = text.strip_prefix("sip:") {
            let (user, host) = rest.split_once('@').ok_or_else(wrong)?;
            if !is_host(host) || rest.len() > 255 {
                return Err(wrong());
            }
            let host = host.to_ascii_lowercase();
            return match user {
                "*" => Ok(Self::Host(host)),
                user if is_user(user) => Ok(Self::Uri { user: user.to_owned(), host }),
                _ => Err(wrong()),
            };
        }
        if text.len() > 2 && text.starts_with('/') && text.ends_with('/') {
            return text.parse().map(Self::Numbers).map_err(|_| wrong());
        }
        // `*21#` is a number; only the last `*` stands for whatever follows.
        match text.strip_suffix('*') {
            Some(prefix) if is_dialled(prefix) || prefix == "+" => {
                Ok(Self::Numbers(Pattern::Prefix(prefix.to_owned())))
            }
            None if is_dialled(text) => Ok(Self::Numbers(Pattern::Exact(text.to_owned()))),
            _ => Err(wrong()),
        }
    }
}

/// `+` and digits, or digits, `*` and `#`.
fn is_dialled(text: &str) -> bool {
    let digits = text.strip_prefix('+');
    let plain = |byte: u8| byte.is_ascii_digit() || digits.is_none() && matches!(byte, b'*' | b'#');
    let body = digits.unwrap_or(text);
    (1..=32).contains(&body.len()) && body.bytes().all(plain)
}

/// A user that needs no escape and can be read in no other way.
#[must_use]
pub fn is_user(user: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.!~*'()+".contains(&byte);
    (1..=64).contains(&user.len()) && user.bytes().all(plain)
}

/// A name or an address, without a port.
#[must_use]
pub fn is_host(host: &str) -> bool {
    let name = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'));
    let v6 = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let v6 = v6.is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok());
    (1..=253).contains(&host.len()) && (v6 || name && !host.starts_with(['-', '.']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_are_what_they_say_and_nothing_by_accident() {
        for text in ["+49*", "+*", "112", "2*", "*21#", "sip:*@PBX.example", "sip:sales@[2001:db8::1]", r"/\+49[0-9]+/"]
        {
            assert!(text.parse::<Destinations>().is_ok(), "{text}");
        }
        assert_eq!("sip:*@PBX.example".parse(), Ok(Destinations::Host("pbx.example".to_owned())));
        for text in
            ["*", "", "sip:*", "sip:@x", "sip:*@x:5060", "sip:a b@x", "sip:*@x;y", "tel:+49", "anna", "+49a*", "/(/"]
        {
            assert!(text.parse::<Destinations>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_an_outbound_route_cannot_be_is_named() {
        let trunk = format!("trk_{}", "0".repeat(26));
        let route: OutboundRouteBody = serde_json::from_value(serde_json::json!({
            "name": "home", "destinations": ["+49*"], "trunks": [trunk],
        }))
        .unwrap();
        assert_eq!(route.problems(), []);
        assert_eq!(route.uses, [OutboundUse::Dial, OutboundUse::Transfer], "REFER only where it was asked for");
        let wrong = OutboundRouteBody {
            destinations: vec!["*".to_owned()],
            denied: vec!["x y".to_owned()],
            trunks: Vec::new(),
            uses: Vec::new(),
            ..route
        };
        let pointers: Vec<String> = wrong.problems().into_iter().map(|(pointer, _)| pointer).collect();
        assert_eq!(pointers, ["/destinations/0", "/denied/0", "/trunks", "/uses"]);
        let limits = OutboundLimits { max_calls: 100_001, ..OutboundLimits::default() };
        assert_eq!(limits.problems().len(), 1);
        assert!(OutboundLimits::default().problems().is_empty());
    }
}
