//! Outbound routes: which calls may leave, and over which trunks.

use clap::Args;
use trunkline_api::object::{Kind, Object};
use trunkline_api::{Id, Prefix};

use super::file::{File, list, quoted};
use super::{Made, Site, mint, name};

/// `trunkline new outbound-route`.
#[derive(Args)]
pub(crate) struct OutboundRoute {
    /// Its name.
    #[arg(long)]
    name: String,
    /// What may be called: `+49*`, `+*` for every number, `2*` for extensions, `sip:*@pbx.example`; may be repeated.
    #[arg(long, required = true, value_name = "DESTINATION")]
    to: Vec<String>,
    /// What may not, though a destination holds it; may be repeated.
    #[arg(long, value_name = "DESTINATION")]
    deny: Vec<String>,
    /// Name or id of a trunk that takes the calls; may be repeated: the next one when one is full or cannot be reached.
    #[arg(long, required = true)]
    pub(super) trunk: Vec<String>,
    /// Lower is tried first.
    #[arg(long, default_value_t = 100)]
    order: u32,
}

impl OutboundRoute {
    pub(super) fn make(&self, site: &Site<'_>, tenant: &Id) -> anyhow::Result<Made> {
        let trunks = self.trunk.iter().map(|trunk| site.find(Kind::Trunk, trunk));
        let trunks = trunks.collect::<anyhow::Result<Vec<&Object>>>()?;
        let named: Vec<(&str, &Id)> = trunks.into_iter().map(|trunk| (name(trunk), &trunk.id)).collect();
        Ok(self.with_id(&mint(Prefix::OutboundRoute)?, tenant, &named))
    }

    pub(super) fn with_id(&self, id: &Id, tenant: &Id, trunks: &[(&str, &Id)]) -> Made {
        let about =
            format!("Outbound route {}: calls that may leave. What no such route names does not.", quoted(&self.name));
        let mut file = File::of(Kind::OutboundRoute, &about, id, tenant);
        file.key("Shown to operators.", "name", &quoted(&self.name));
        file.key("Lower is tried first.", "order", &self.order.to_string());
        file.key(
            "What may be called: `+4930*`, `+*` for every number, `112` or `2*` for short numbers and extensions as written, \
             `sip:*@pbx.example` for users of a host, a whole SIP URI, or a `/regular expression/`.",
            "destinations",
            &list(&self.to),
        );
        let about = "What may not, though a destination holds it; written alike.";
        if self.deny.is_empty() {
            file.default(about, "denied", "[\"+49900*\"]");
        } else {
            file.key(about, "denied", &list(&self.deny));
        }
        let names: Vec<String> = trunks.iter().map(|(name, _)| format!("`{name}`")).collect();
        let ids: Vec<String> = trunks.iter().map(|(_, id)| id.to_string()).collect();
        let about = format!("Over {}, in this order. A trunk needs a `server`.", names.join(", "));
        file.key(&about, "trunks", &list(&ids));
        file.default(
            "Who may use it: `dial` (operators), `transfer` (agents that pass a caller on), `refer` (the far end).",
            "uses",
            "[\"dial\", \"transfer\"]",
        );
        file.default("Only calls of these agents; of all of them when absent.", "agents", "[\"agt_...\"]");
        file.default("Most calls at once over it; 0 means no limit of its own.", "max_calls", "0");
        file.default(
            "What a minute that has begun costs, in millionths of the tenant's currency, for the limit of its `outbound`.",
            "price_micro_per_minute",
            "0",
        );
        Made { kind: Kind::OutboundRoute, name: self.name.clone(), text: file.text() }
    }
}

#[cfg(test)]
impl OutboundRoute {
    pub(super) fn example() -> Self {
        Self {
            name: "home".to_owned(),
            to: vec!["+49*".to_owned()],
            deny: vec!["+49900*".to_owned()],
            trunk: vec!["carrier".to_owned()],
            order: 100,
        }
    }
}
