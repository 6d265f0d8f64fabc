//! What a trunk's calls out, its registration and its passwords need: where its server is, who we are to it, and how both
//! sides prove themselves. Passwords are names of secrets that the gateway is configured with, never the secrets.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::outbound::{is_host, is_user};

/// What SIP travels over.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum SipTransport {
    /// UDP; what is larger than 1300 bytes goes over TCP, where somebody listens (RFC 3261 18.1.1).
    #[default]
    Udp,
    /// TCP.
    Tcp,
    /// TLS over TCP.
    Tls,
    /// WebSocket (RFC 7118).
    Ws,
    /// WebSocket over TLS.
    Wss,
}

/// The server of a trunk: where calls are placed to, and where it is registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TrunkServer {
    /// Hosts in the order they are tried, each a name or an address: `sip.carrier.example`, `203.0.113.7:5080`,
    /// `[2001:db8::1]:5070`. A name without a port is looked up as a service (NAPTR and SRV records, RFC 3263); where there is
    /// none, and for an address, the port is 5060 (5061 with `tls`). 1 to 8.
    pub hosts: Vec<String>,
    /// What it is spoken to over: `udp`, `tcp` or `tls`. With `tls` its certificate must be for the name in `hosts`. What the
    /// DNS says of the name when it is left out, which is `udp` where that says nothing, and with a `registration`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transport: Option<SipTransport>,
    /// Host of the URIs we write, when it is not the first of `hosts`: the carrier's domain.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub domain: String,
    /// User of the address that calls are from, where nobody says another: a number of ours, as the trunk wants it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub caller: String,
    /// Whom we say we are when we are asked for a password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<TrunkCredentials>,
    /// Registers there, so that calls come in (RFC 3261 10).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration: Option<TrunkRegistration>,
    /// Seconds between two OPTIONS that ask whether it is there, 5 to 3600; 0 asks never.
    #[serde(default)]
    pub options_ping_s: u32,
}

/// A user and the name of a password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TrunkCredentials {
    /// User.
    pub user: String,
    /// Name of the password among the gateway's `[secrets]`.
    pub secret: String,
    /// The only realm that is answered, or that is asked for; any, or `trunkline`, when empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub realm: String,
}

/// A registration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TrunkRegistration {
    /// User of the address of record; that of `credentials` when empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// For how long a binding is asked for, in seconds, 60 to 86 400.
    #[serde(default = "an_hour")]
    pub expires_s: u32,
}

const fn an_hour() -> u32 {
    3600
}

/// A problem: its RFC 6901 pointer and what was expected.
type Problem = (&'static str, &'static str);

impl TrunkServer {
    /// Host of the URIs we write: `domain`, or the first of `hosts` without its port.
    #[must_use]
    pub fn uri_host(&self) -> &str {
        if self.domain.is_empty() { self.hosts.first().map_or("", |host| split(host).0) } else { &self.domain }
    }

    /// Its hosts and ports; 5060 is not written by those who mean it.
    pub fn places(&self) -> impl Iterator<Item = (&str, Option<u16>)> {
        self.hosts.iter().map(|host| split(host))
    }

    /// User of the address of record that is registered.
    #[must_use]
    pub fn registered_user(&self) -> Option<&str> {
        let registration = self.registration.as_ref()?;
        let named = Some(registration.user.as_str()).filter(|user| !user.is_empty());
        named.or_else(|| self.credentials.as_ref().map(|credentials| credentials.user.as_str()))
    }

    /// What is out of range.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let mut found = Vec::new();
        let mut expect = |holds: bool, pointer, message| {
            if !holds {
                found.push((pointer, message));
            }
        };
        let host_fits = |host: &String| {
            let (name, port) = split(host);
            let named = is_host(name) || name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
            named && port != Some(0) && (port.is_some() || !is_ported(host))
        };
        let hosts = (1..=8).contains(&self.hosts.len()) && self.hosts.iter().all(host_fits);
        expect(hosts, "/server/hosts", "expected 1 to 8 names or addresses, each with a port where it is not 5060");
        let spoken = !matches!(self.transport, Some(SipTransport::Ws | SipTransport::Wss));
        expect(spoken, "/server/transport", "expected udp, tcp or tls: a WebSocket is opened by the client");
        let domain = self.domain.is_empty() || is_host(&self.domain);
        expect(domain, "/server/domain", "expected the name of a host");
        expect(self.caller.is_empty() || is_user(&self.caller), "/server/caller", "expected a number or a user");
        if let Some(credentials) = &self.credentials {
            let fits = credentials.fit();
            expect(fits, "/server/credentials", "expected a user, the name of a secret, and a realm or none");
        }
        if let Some(registration) = &self.registration {
            let user = self.registered_user().is_some_and(is_user);
            expect(user, "/server/registration/user", "expected a user, here or in `credentials`");
            let expires = (60..=86_400).contains(&registration.expires_s);
            expect(expires, "/server/registration/expires_s", "expected 60 to 86400 seconds");
        }
        let ping = self.options_ping_s == 0 || (5..=3600).contains(&self.options_ping_s);
        expect(ping, "/server/options_ping_s", "expected 5 to 3600 seconds, or 0");
        found
    }
}

impl TrunkCredentials {
    /// What is out of range of those that a trunk's calls must prove.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let message = "expected a user, the name of a secret, and a realm or none";
        if self.fit() { Vec::new() } else { vec![("/auth", message)] }
    }

    fn fit(&self) -> bool {
        let plain = |text: &str| text.len() <= 128 && !text.chars().any(char::is_control);
        let named = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let secret = (1..=64).contains(&self.secret.len()) && self.secret.bytes().all(named);
        !self.user.is_empty() && plain(&self.user) && plain(&self.realm) && secret
    }
}

/// Whether something stands where a port does.
fn is_ported(host: &str) -> bool {
    match host.rsplit_once(']') {
        Some((_, rest)) => !rest.is_empty(),
        None => host.matches(':').count() == 1,
    }
}

/// Host and port.
fn split(host: &str) -> (&str, Option<u16>) {
    match host.rsplit_once(':') {
        Some((name, port)) if is_ported(host) => (name, port.parse().ok()),
        _ => (host, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(hosts: &[&str]) -> TrunkServer {
        TrunkServer {
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            transport: None,
            domain: String::new(),
            caller: String::new(),
            credentials: None,
            registration: None,
            options_ping_s: 0,
        }
    }

    #[test]
    fn hosts_are_names_or_addresses_with_ports() {
        let good = server(&["sip.carrier.example", "203.0.113.7:5080", "[2001:db8::1]:5070", "2001:db8::2", "[::1]"]);
        assert_eq!(good.problems(), []);
        let places: Vec<_> = good.places().collect();
        assert_eq!(
            places,
            [
                ("sip.carrier.example", None),
                ("203.0.113.7", Some(5080)),
                ("[2001:db8::1]", Some(5070)),
                ("2001:db8::2", None),
                ("[::1]", None),
            ]
        );
        assert_eq!(good.uri_host(), "sip.carrier.example");
        for bad in ["", "a b", "sip:a", "a:0", "a:70000", "a:b", "a@b", "a;x", "-"] {
            assert_eq!(server(&[bad]).problems().len(), 1, "{bad}");
        }
        assert_eq!(server(&[]).problems().len(), 1);
        assert_eq!(server(&["a"; 9]).problems().len(), 1);
    }

    #[test]
    fn who_registers_has_a_user() {
        let mut server = server(&["pbx"]);
        server.registration = Some(TrunkRegistration { user: String::new(), expires_s: 3600 });
        assert_eq!(server.problems()[0].0, "/server/registration/user");
        let secret = "pbx-password".to_owned();
        server.credentials = Some(TrunkCredentials { user: "1000".to_owned(), secret, realm: String::new() });
        assert_eq!((server.problems(), server.registered_user()), (Vec::new(), Some("1000")));
        server.registration = Some(TrunkRegistration { user: "2000".to_owned(), expires_s: 59 });
        assert_eq!(server.registered_user(), Some("2000"));
        assert_eq!(server.problems()[0].0, "/server/registration/expires_s");
        server.options_ping_s = 4;
        assert_eq!(server.problems().len(), 2);
    }
}
