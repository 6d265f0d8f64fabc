//! Trunks as the SIP side needs them: which are looked after, and what their calls must prove.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use trunkline_api::Id;
use trunkline_api::cidr::Cidr;
use trunkline_api::trunk::{SipTransport, TrunkCredentials, TrunkServer};
use trunkline_route::{Table, Trunk};
use trunkline_sip::auth::Credentials;
use trunkline_sip::{Account, Admission, CallTerms, Kept, KeptRegistration, Origin, Transport, TrunkToken};

use crate::serving::Serving;

/// Passwords, by name.
pub(crate) type Secrets = BTreeMap<String, String>;

/// The realm that calls are asked for a password in, where the trunk says no other.
const REALM: &str = "trunkline";

/// The token of a trunk.
pub(crate) fn token(trunk: &Id) -> TrunkToken {
    TrunkToken(Arc::from(trunk.to_string()))
}

/// The trunks that are looked after: those that have a server.
pub(crate) fn kept(table: &Table, secrets: &Secrets) -> Vec<Kept> {
    let of = |trunk: &Trunk| {
        let server = trunk.server.as_ref()?;
        let registration = server.registration.as_ref().and_then(|registration| {
            let user = server.registered_user()?.to_owned();
            let credentials = credentials(trunk, server, secrets);
            Some(KeptRegistration { user, expires_s: registration.expires_s, credentials })
        });
        let registers = server.registration.is_some().then_some(SipTransport::Udp);
        Some(Kept {
            trunk: token(&trunk.id),
            hosts: server.places().map(|(host, port)| (host.to_owned(), port)).collect(),
            domain: bracketed(server.uri_host()),
            // Who is registered says over what calls are to come.
            transport: server.transport.or(registers).map(transport),
            advertised: trunk.advertise,
            ping_ms: (server.options_ping_s > 0).then(|| u64::from(server.options_ping_s) * 1000),
            registration,
        })
    };
    table.trunks().filter_map(of).collect()
}

/// Whom we say we are to a trunk's server.
pub(crate) fn credentials(trunk: &Trunk, server: &TrunkServer, secrets: &Secrets) -> Option<Credentials> {
    let TrunkCredentials { user, secret, realm } = server.credentials.as_ref()?;
    let Some(password) = secrets.get(secret) else {
        tracing::error!(trunk = %trunk.id, secret, "the password of a trunk is not among [secrets]; it is not proven");
        return None;
    };
    let realm = Some(realm.clone()).filter(|realm| !realm.is_empty());
    Some(Credentials { user: user.clone(), password: password.clone().into(), realm })
}

/// What a trunk's server is spoken to over.
const fn transport(transport: SipTransport) -> Transport {
    match transport {
        SipTransport::Udp => Transport::Udp,
        SipTransport::Tcp => Transport::Tcp,
        SipTransport::Tls => Transport::Tls,
        SipTransport::Ws => Transport::Ws,
        SipTransport::Wss => Transport::Wss,
    }
}

/// The host of a URI: IPv6 in brackets.
pub(crate) fn bracketed(host: &str) -> String {
    if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.to_owned() }
}

/// Who may speak to the endpoint, and what they must prove: as the objects in service say now.
pub(crate) struct Door {
    pub(crate) serving: Arc<ArcSwap<Serving>>,
    pub(crate) secrets: Arc<Secrets>,
}

impl Admission for Door {
    fn trunk(&self, source: IpAddr) -> Option<TrunkToken> {
        self.serving.load().table.trunk(source).map(|trunk| token(&trunk.id))
    }

    fn trunk_of(&self, origin: &Origin<'_>) -> Option<TrunkToken> {
        let over = match origin.transport {
            Transport::Udp => SipTransport::Udp,
            Transport::Tcp => SipTransport::Tcp,
            Transport::Tls => SipTransport::Tls,
            Transport::Ws => SipTransport::Ws,
            Transport::Wss => SipTransport::Wss,
        };
        let serving = self.serving.load();
        serving.table.trunk_of(origin.address, over, origin.names).map(|trunk| token(&trunk.id))
    }

    fn terms(&self, trunk: &TrunkToken, source: IpAddr) -> CallTerms {
        let serving = self.serving.load();
        // A call of ours goes to a server that may be none of the trunk's peers.
        let by_name = trunk.0.parse::<Id>().ok().and_then(|id| serving.table.trunk_by_id(&id));
        // A trunk that is gone already leaves a call that is refused.
        by_name.map_or_else(CallTerms::default, |trunk| CallTerms {
            nat: trunk.nat,
            peers: trunk.dialog_ranges(source),
            advertised: trunk.advertise,
        })
    }

    fn peers(&self) -> Vec<Cidr> {
        self.serving.load().table.trunks().flat_map(|trunk| trunk.peers.iter().copied()).collect()
    }

    fn account(&self, trunk: &TrunkToken) -> Option<Arc<Account>> {
        let id = trunk.0.parse::<Id>().ok()?;
        let serving = self.serving.load();
        let trunk = serving.table.trunk_by_id(&id)?;
        let TrunkCredentials { user, secret, realm } = trunk.auth.as_ref()?;
        let realm = if realm.is_empty() { REALM } else { realm };
        // Who is meant to prove something is not let in because it is unknown here.
        let account = match self.secrets.get(secret) {
            Some(password) => Account::new(user, realm, password),
            None => {
                tracing::error!(trunk = %id, secret, "the password of a trunk's calls is not among [secrets]");
                Account::closed(user, realm)
            }
        };
        Some(Arc::new(account))
    }
}
