//! `trunkline dial | trunks`: a call that an operator places, and the trunks that calls leave over.

use clap::Args;
use http::Method;
use url::form_urlencoded::Serializer;

use super::calls::{answered, text};
use crate::Configuration;
use crate::output::say;

/// A call to place.
#[derive(Args)]
pub(crate) struct Dial {
    /// Number, extension or SIP URI; an outbound route must name it for `dial`.
    to: String,
    /// The agent that speaks: its id, or its name.
    #[arg(long, value_name = "AGENT")]
    agent: String,
    /// The only trunk it may leave over: its id, or its name.
    #[arg(long, value_name = "TRUNK")]
    trunk: Option<String>,
    /// Number to show instead of the trunk's own.
    #[arg(long, value_name = "NUMBER")]
    from: Option<String>,
    /// For how long it may ring, 1 to 300 seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    ring_s: u32,
}

/// `trunkline dial`.
pub(crate) fn dial(configuration: &Configuration, order: &Dial) -> u8 {
    let Dial { to, agent, trunk, from, ring_s } = order;
    let mut query = Serializer::new(String::new());
    query.append_pair("to", to).append_pair("agent", agent).append_pair("ring_s", &ring_s.to_string());
    for (name, value) in [("trunk", trunk), ("from", from)] {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    answered(configuration, Method::POST, &format!("/v1/calls?{}", query.finish()), |data| {
        let call = text(&data["call"]);
        say!("calling {to}: {call}; `trunkline trace {call}` says what came of it");
    })
}

/// `trunkline trunks`.
pub(crate) fn trunks(configuration: &Configuration, json: bool) -> u8 {
    answered(configuration, Method::GET, "/v1/trunks", |data| {
        if json {
            say!("{data:#}");
            return;
        }
        let trunks = data.as_array().map(Vec::as_slice).unwrap_or_default();
        if trunks.is_empty() {
            say!("no trunk has a server; calls leave over none (`server` of a trunk)");
            return;
        }
        say!("{:<20} {:<6} {:<12} {:<9} servers", "trunk", "calls", "registered", "health");
        for trunk in trunks {
            let registered = match trunk["registered"].as_bool() {
                Some(true) => "yes",
                Some(false) => "no",
                None => "-",
            };
            let takes = if trunk["takes_calls"] == true { "yes" } else { "no" };
            for (at, host) in trunk["hosts"].as_array().into_iter().flatten().enumerate() {
                let name = if at == 0 { text(&trunk["name"]) } else { "" };
                let addresses = host["addresses"].as_array().map_or(0, Vec::len);
                let health = host["health"].as_str().unwrap_or("-");
                let known = if addresses == 0 { " (its name is not known)" } else { "" };
                say!("{name:<20} {takes:<6} {registered:<12} {health:<9} {}{known}", text(&host["host"]));
            }
        }
    })
}
