//! Questions about where calls go, as the CLI asks them and the admin API answers them: with the objects of a gateway
//! that runs, or with those of the files.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use trunkline_api::Id;
use trunkline_api::outbound::OutboundUse;
use trunkline_route::outbound::{OutboundDecision, OutboundRequest};
use trunkline_route::{Decision, Table, Trunk};
use trunkline_runtime::InboundQuestion;

/// A question, as it travels in a URL.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Question {
    /// What is dialled, for a call that comes in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) called: Option<String>,
    /// Who dials.
    pub(crate) calling: String,
    /// The address it comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) source: Option<IpAddr>,
    /// Name or id of the trunk it comes over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trunk: Option<String>,
    /// Headers, a JSON list of pairs.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) headers: String,
    /// Where to, for a call that leaves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) out: Option<String>,
    /// Who wants it to leave.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) r#use: Option<OutboundUse>,
    /// The agent of the call that wants it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) agent: Option<Id>,
    /// Whose call; the only tenant there is when it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tenant: Option<Id>,
    /// When, in microseconds since the Unix epoch; now when it is 0.
    pub(crate) at_us: u64,
}

/// Who can answer questions.
pub(crate) trait Answers {
    fn table(&self) -> &Table;
    fn inbound(&self, question: &InboundQuestion) -> Option<Decision>;
    fn outbound(&self, request: &OutboundRequest<'_>) -> OutboundDecision;
}

impl Question {
    /// The answer: every step as text, and what came of it.
    pub(crate) fn answer(&self, by: &dyn Answers) -> Result<Value, String> {
        match (&self.called, &self.out) {
            (Some(called), None) => self.inbound(called, by),
            (None, Some(to)) => self.outbound(to, by),
            _ => Err("either `called` or `out` is expected".to_owned()),
        }
    }

    fn inbound(&self, called: &str, by: &dyn Answers) -> Result<Value, String> {
        let headers = if self.headers.is_empty() { "[]" } else { &self.headers };
        let headers = serde_json::from_str(headers).map_err(|error| format!("headers: {error}"))?;
        let trunk = match (&self.trunk, self.source) {
            (Some(name), _) => {
                Some(one_trunk(by.table(), |trunk| trunk.name == *name || trunk.id.to_string() == *name)?)
            }
            (None, Some(_)) => None,
            (None, None) => Some(one_trunk(by.table(), |_| true)?),
        };
        let question = InboundQuestion {
            source: self.source,
            trunk,
            called: called.to_owned(),
            calling: self.calling.clone(),
            headers,
            wall_us: self.at_us,
        };
        let decision = by.inbound(&question).ok_or("a source or a trunk is expected")?;
        Ok(match &decision.outcome {
            Ok(target) => {
                json!({ "explanation": decision.to_string(), "agent": target.agent, "version": target.version })
            }
            Err(failure) => json!({ "explanation": decision.to_string(), "failure": failure.name() }),
        })
    }

    fn outbound(&self, to: &str, by: &dyn Answers) -> Result<Value, String> {
        let tenant = match &self.tenant {
            Some(tenant) => tenant.clone(),
            None => {
                let mut tenants = by.table().tenants();
                match (tenants.next(), tenants.next()) {
                    (Some((id, _)), None) => id.clone(),
                    (None, _) => return Err("there is no tenant".to_owned()),
                    (Some(_), Some(_)) => return Err("there are several tenants; name one by its id".to_owned()),
                }
            }
        };
        let request = OutboundRequest {
            tenant: &tenant,
            r#use: self.r#use.unwrap_or(OutboundUse::Dial),
            agent: self.agent.as_ref(),
            to,
            wall_us: self.at_us,
        };
        let decision = by.outbound(&request);
        Ok(match &decision.outcome {
            Ok(way) => json!({
                "explanation": decision.to_string(), "route": way.route, "trunk": way.trunk, "user": way.user,
            }),
            Err(reason) => json!({
                "explanation": decision.to_string(), "failure": reason.failure().name(), "reason": reason.name(),
            }),
        })
    }
}

/// The only trunk that fits.
fn one_trunk(table: &Table, fits: impl Fn(&Trunk) -> bool) -> Result<Id, String> {
    let names = || table.trunks().map(|trunk| format!("`{}`", trunk.name)).collect::<Vec<_>>().join(", ");
    let mut found = table.trunks().filter(|trunk| fits(trunk));
    match (found.next(), found.next()) {
        (Some(trunk), None) => Ok(trunk.id.clone()),
        (None, _) if table.trunks().next().is_none() => Err("there is no trunk".to_owned()),
        (None, _) => Err(format!("there is no such trunk; there are {}", names())),
        (Some(_), Some(_)) => Err(format!("there are several such trunks; name one, or an address: {}", names())),
    }
}

#[cfg(test)]
mod tests {
    use trunkline_api::Prefix;
    use trunkline_api::object::{Kind, Object};
    use trunkline_route::outbound::{NoTrunkLoad, way};
    use trunkline_route::{Load, decide};

    use super::*;

    struct Idle(Table);

    impl Answers for Idle {
        fn table(&self) -> &Table {
            &self.0
        }

        fn inbound(&self, question: &InboundQuestion) -> Option<Decision> {
            Some(decide(&self.0, &question.request()?, &Load::default()))
        }

        fn outbound(&self, request: &OutboundRequest<'_>) -> OutboundDecision {
            way(&self.0, request, &NoTrunkLoad)
        }
    }

    fn id(prefix: Prefix, number: u8) -> Id {
        Id::mint(prefix, 1, [number; 10])
    }

    fn object(kind: Kind, prefix: Prefix, number: u8, body: Value) -> Object {
        let tenant = id(Prefix::Tenant, 1);
        Object { kind, id: id(prefix, number), tenant, version: 1, sha256: String::new(), body }
    }

    fn idle() -> Idle {
        let pipeline = json!({ "cascade": { "tts": [{ "provider": "espeak" }] } });
        let headers = json!({ "X-Campaign": "summer*" });
        let (agent, trunk) = (id(Prefix::Agent, 1), id(Prefix::Trunk, 1));
        let objects = [
            object(Kind::Tenant, Prefix::Tenant, 1, json!({ "name": "acme" })),
            object(Kind::Agent, Prefix::Agent, 1, json!({ "name": "a", "pipeline": pipeline })),
            object(Kind::Trunk, Prefix::Trunk, 1, json!({ "name": "carrier", "peers": ["192.0.2.1"] })),
            object(Kind::Trunk, Prefix::Trunk, 2, json!({ "name": "pbx", "peers": ["192.0.2.2"] })),
            object(Kind::Route, Prefix::Route, 1, json!({ "name": "r", "headers": headers, "agent": agent })),
            object(
                Kind::OutboundRoute,
                Prefix::OutboundRoute,
                1,
                json!({ "name": "home", "destinations": ["+49*"], "trunks": [trunk] }),
            ),
        ];
        let (table, problems) = Table::build(&objects);
        assert_eq!(problems, []);
        Idle(table)
    }

    #[test]
    fn a_question_is_answered_with_every_step_or_with_what_it_lacks() {
        let ask = |question: Question| question.answer(&idle());
        let called = |trunk: Option<&str>, headers: &str| Question {
            called: Some("1000".to_owned()),
            trunk: trunk.map(str::to_owned),
            headers: headers.to_owned(),
            ..Question::default()
        };
        let answered = ask(called(Some("pbx"), r#"[["X-Campaign","summer 26"]]"#)).unwrap();
        assert_eq!(answered["agent"], json!(id(Prefix::Agent, 1)));
        let nobody = ask(called(Some("pbx"), "")).unwrap();
        assert_eq!(nobody["failure"], "no_route");
        assert!(nobody["explanation"].as_str().unwrap().contains("is for calls with a header X-Campaign"));
        assert!(ask(called(None, "")).unwrap_err().contains("`carrier`, `pbx`"));
        assert!(ask(called(Some("fax"), "")).unwrap_err().starts_with("there is no such trunk"));
        assert!(ask(called(Some("pbx"), "x")).unwrap_err().starts_with("headers: "));
        let source = Question { source: "192.0.2.9".parse().ok(), ..called(None, "") };
        assert_eq!(ask(source).unwrap()["failure"], "unknown_peer");
        let out = |to: &str| Question { out: Some(to.to_owned()), ..Question::default() };
        assert_eq!(ask(out("+4930123456")).unwrap()["trunk"], json!(id(Prefix::Trunk, 1)));
        assert_eq!(ask(out("+1900555")).unwrap()["reason"], "no_route");
        assert!(ask(Question::default()).is_err());
    }
}
