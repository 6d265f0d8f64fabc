//! Tenants, trunks, numbers and routes: objects of a few keys.

use clap::Args;
use trunkline_api::object::Kind;
use trunkline_api::{Id, Prefix};

use super::file::{File, quoted};
use super::{Made, Site, mint, name, sound};

/// `trunkline new tenant`.
#[derive(Args)]
pub(crate) struct Tenant {
    /// Its name.
    #[arg(long)]
    name: String,
    /// Most calls at once; 0 means no limit of its own.
    #[arg(long, default_value_t = 0)]
    max_calls: u32,
    /// The public key that recordings are sealed to, as `trunkline recording keygen` prints it.
    #[arg(long, value_name = "KEY")]
    recording_key: Option<String>,
}

impl Default for Tenant {
    fn default() -> Self {
        Self { name: "default".to_owned(), max_calls: 0, recording_key: None }
    }
}

impl Tenant {
    pub(super) fn make(&self, _site: &Site<'_>) -> anyhow::Result<Made> {
        Ok(self.with_id(&mint(Prefix::Tenant)?))
    }

    pub(super) fn with_id(&self, id: &Id) -> Made {
        let about = format!("Tenant {}: whoever trunks, agents, routes and calls belong to.", quoted(&self.name));
        let mut file = File::of(Kind::Tenant, &about, id, id);
        file.key("Shown to operators.", "name", &quoted(&self.name));
        file.key("Most calls at once; 0 means no limit of its own.", "max_calls", &self.max_calls.to_string());
        let about = "Whom recordings are sealed to: the line that `trunkline recording keygen` prints; without it they are \
                     stored in clear, or not at all where an agent says so.";
        match &self.recording_key {
            Some(key) => file.key(about, "recording_key", &quoted(key)),
            None => file.default(about, "recording_key", "\"x25519-public:...\""),
        }
        Made { kind: Kind::Tenant, name: self.name.clone(), text: file.text() }
    }
}

/// `trunkline new trunk`.
#[derive(Args)]
pub(crate) struct Trunk {
    /// Its name.
    #[arg(long)]
    name: String,
    /// An address or range that calls come from, for example `203.0.113.7` or `203.0.113.0/24`; may be repeated.
    #[arg(long, required = true)]
    peer: Vec<String>,
    /// A codec: PCMU, PCMA, G722, opus, L16/8000 or L16/16000; may be repeated, in order of preference.
    #[arg(long, default_values_t = ["PCMU".to_owned(), "PCMA".to_owned()])]
    codec: Vec<String>,
    /// Encryption of the sound (SRTP with keys in the SDP): `off`, `optional` or `required`.
    #[arg(long, default_value = "optional", value_parser = ["off", "optional", "required"])]
    srtp: String,
    /// Whose RTP is believed: `strict` (what SDP names), `learn` (that, or where the sound comes from) or `acl` (`peers`).
    #[arg(long, value_parser = ["strict", "learn", "acl"], default_value = "learn")]
    source: String,
    /// Most calls at once; 0 means no limit of its own.
    #[arg(long, default_value_t = 0)]
    max_calls: u32,
    /// Name or id of the tenant, when there are several.
    #[arg(long)]
    pub(super) tenant: Option<String>,
}

impl Trunk {
    pub(super) fn make(&self, tenant: &Id) -> anyhow::Result<Made> {
        self.with_id(&mint(Prefix::Trunk)?, tenant)
    }

    pub(super) fn with_id(&self, id: &Id, tenant: &Id) -> anyhow::Result<Made> {
        let about = format!("Trunk {}: a carrier, SBC or PBX whose calls are taken.", quoted(&self.name));
        let mut file = File::of(Kind::Trunk, &about, id, tenant);
        file.key("Shown to operators.", "name", &quoted(&self.name));
        file.key(
            "Addresses its calls come from: `203.0.113.7`, `203.0.113.0/24`, `2001:db8::/32`. Calls from anywhere else \
             are refused.",
            "peers",
            &list(&self.peer),
        );
        file.key(
            "Codecs in order of preference, by RTP encoding name: `PCMU`, `PCMA`, `G722`, `opus`, `L16/8000`, `L16/16000`.",
            "codecs",
            &list(&self.codec),
        );
        file.key(
            "Encryption of the sound (SRTP with keys in the SDP): `off`, `optional` (where the offer has a key) or \
             `required`.",
            "srtp",
            &quoted(&self.srtp),
        );
        file.key(
            "Whose RTP is believed: `strict`, the address and port of SDP; `learn`, that or, for peers behind NAT, where \
             the sound comes from; `acl`, that or any address of `media_peers`.",
            "source",
            &quoted(&self.source),
        );
        file.default(
            "Where RTP may come from with `acl`; `peers` when absent.",
            "media_peers",
            "[\"203.0.113.128/25\"]",
        );
        file.key("Most calls at once; 0 means no limit of its own.", "max_calls", &self.max_calls.to_string());
        file.default(
            "How its calls ring before they are answered: for `ms` milliseconds, up to 20000, and with `early_media` so \
             that the caller hears a ring-back tone of ours (183) instead of being told of it (180).",
            "ringing",
            "{ ms = 0, early_media = false }",
        );
        file.default(
            "How it writes telephone numbers: with `country`, routes see `+49...` however a number was dialled. Also `area`, \
             `tech_prefix`, `bare` and `send`, see docs/routing.md.",
            "numbering",
            "{ country = \"49\", national = \"0\", international = \"00\" }",
        );
        file.default(
            "Whether what it asserts about a caller (P-Asserted-Identity, RFC 3325) is believed.",
            "trusted",
            "false",
        );
        file.default(
            "Whether it is verified who calls, by a call's Identity (STIR/SHAKEN): `off`, `note` or `require`, see docs/sip.md.",
            "stir",
            "\"off\"",
        );
        file.default(
            "Where BYE and other requests of ours go: `auto`, `contact` or `source`, see docs/sip.md.",
            "nat",
            "\"auto\"",
        );
        file.default(
            "What its messages may come over: `udp`, `tcp`, `tls`, `ws`, `wss`; anything when absent.",
            "transports",
            "[\"tls\"]",
        );
        file.default(
            "Names, one of which the certificate must be for that it shows over TLS; known by it alone, see docs/sip.md.",
            "certificates",
            "[\"sbc.example.com\"]",
        );
        file.default(
            "The address that it reaches this gateway at, when it is another than others do.",
            "advertise",
            "\"203.0.113.10\"",
        );
        file.default(
            "Whose requests within a call are believed: `network`, `trunk` or `address`, see docs/sip.md.",
            "dialog_peers",
            "\"network\"",
        );
        sound::write(&mut file, "The sound of its calls, where an agent does not say otherwise.");
        Ok(Made { kind: Kind::Trunk, name: self.name.clone(), text: file.text() })
    }
}

/// `trunkline new number`.
#[derive(Args)]
pub(crate) struct Number {
    /// The number as the trunk sends it, for example `+4930123456`.
    #[arg(long)]
    number: String,
    /// Name or id of the agent that answers it.
    #[arg(long, value_name = "AGENT")]
    pub(super) to: String,
}

impl Number {
    pub(super) fn make(&self, site: &Site<'_>, tenant: &Id) -> anyhow::Result<Made> {
        let agent = site.find(Kind::Agent, &self.to)?;
        let about = format!("Number {}: answered by agent `{}`. Numbers go before routes.", self.number, name(agent));
        let mut file = File::of(Kind::Number, &about, &mint(Prefix::Number)?, tenant);
        file.key("Exactly what is called; a leading `+` may be there or not.", "number", &quoted(&self.number));
        file.key(&format!("Agent `{}`.", name(agent)), "agent", &quoted(&agent.id.to_string()));
        Ok(Made { kind: Kind::Number, name: self.number.clone(), text: file.text() })
    }
}

/// `trunkline new route`.
#[derive(Args)]
pub(crate) struct Route {
    /// Name or id of the agent that answers.
    #[arg(long, value_name = "AGENT")]
    pub(super) to: String,
    /// Only calls of this trunk, by name or id.
    #[arg(long)]
    trunk: Option<String>,
    /// What is called: exact, `prefix*`, `/regular expression/`, or `*`.
    #[arg(long, default_value = "*")]
    called: String,
    /// Who calls: exact, `prefix*`, `/regular expression/`, or `*`.
    #[arg(long, default_value = "*")]
    calling: String,
    /// Lower is tried first.
    #[arg(long, default_value_t = 100)]
    order: u32,
    /// Its name; by default it says where calls come from and go to.
    #[arg(long)]
    name: Option<String>,
}

impl Route {
    pub(super) fn make(&self, site: &Site<'_>, tenant: &Id) -> anyhow::Result<Made> {
        let agent = site.find(Kind::Agent, &self.to)?;
        let trunk = self.trunk.as_deref().map(|trunk| site.find(Kind::Trunk, trunk)).transpose()?;
        let trunk = trunk.map(|trunk| (name(trunk), &trunk.id));
        self.with_id(&mint(Prefix::Route)?, tenant, (name(agent), &agent.id), trunk)
    }

    pub(super) fn with_id(
        &self,
        id: &Id,
        tenant: &Id,
        agent: (&str, &Id),
        trunk: Option<(&str, &Id)>,
    ) -> anyhow::Result<Made> {
        let called = if self.called == "*" { String::new() } else { format!("-{}", self.called) };
        let default = match trunk {
            Some((trunk, _)) => format!("{trunk}-to-{}{called}", agent.0),
            None => format!("to-{}{called}", agent.0),
        };
        let route = self.name.clone().unwrap_or(default);
        let about = format!("Route {}: which calls go to agent `{}`.", quoted(&route), agent.0);
        let mut file = File::of(Kind::Route, &about, id, tenant);
        file.key("Shown to operators.", "name", &quoted(&route));
        file.key("Lower is tried first; the first route that fits takes the call.", "order", &self.order.to_string());
        match trunk {
            Some((name, id)) => {
                file.key(&format!("Only calls of trunk `{name}`."), "trunk", &quoted(&id.to_string()));
            }
            None => file.default(
                "Only calls of this trunk; calls of every trunk of the tenant when absent.",
                "trunk",
                "\"trk_...\"",
            ),
        }
        let called =
            "Called number or URI user: exact, `prefix*`, `/regular expression/` over the whole of it, or `*`.";
        file.key(called, "called", &quoted(&self.called));
        file.key("Calling number, in the same way.", "calling", &quoted(&self.calling));
        file.default(
            "What headers of the INVITE must say, in the same way; at most 8.",
            "headers",
            "{ \"X-Campaign\" = \"summer*\" }",
        );
        file.default(
            "When it takes calls: always, but on `closed` days, when `open` is absent.",
            "hours",
            "{ time_zone = \"Europe/Berlin\", open = [\"Mon-Fri 09:00-17:30\"], closed = [\"2026-12-24..2026-12-26\"] }",
        );
        file.key(&format!("Agent `{}`.", agent.0), "agent", &quoted(&agent.1.to_string()));
        file.default(
            "Most calls of that agent at once, beyond which `overflow` takes them; 0 means no limit.",
            "max_calls",
            "0",
        );
        file.default(
            "Who answers when the agent cannot: the first that can; at most 8.",
            "overflow",
            "[{ agent = \"agt_...\", max_calls = 0 }]",
        );
        Ok(Made { kind: Kind::Route, name: route, text: file.text() })
    }
}

fn list(items: &[String]) -> String {
    format!("[{}]", items.iter().map(|item| quoted(item)).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
impl Trunk {
    pub(super) fn example() -> Self {
        Self {
            name: "carrier".to_owned(),
            peer: vec!["203.0.113.7".to_owned()],
            codec: vec!["PCMU".to_owned(), "PCMA".to_owned()],
            srtp: "optional".to_owned(),
            source: "learn".to_owned(),
            max_calls: 0,
            tenant: None,
        }
    }
}

#[cfg(test)]
impl Route {
    pub(super) fn example() -> Self {
        let any = || "*".to_owned();
        Self { to: "reception".to_owned(), trunk: None, called: any(), calling: any(), order: 100, name: None }
    }
}
