//! `trunkline route explain`: why a call goes where it goes. Asks the gateway; while none runs, the object files answer.

use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use http::Method;
use serde_json::Value;
use trunkline_api::Id;
use trunkline_api::outbound::OutboundUse;
use trunkline_route::outbound::{NoTrunkLoad, OutboundDecision, OutboundRequest};
use trunkline_route::{Decision, Load, Table, decide};
use trunkline_runtime::InboundQuestion;

use super::calls::text;
use super::client::{ClientError, ask};
use crate::output::say;
use crate::routing::{Answers, Question};
use crate::{Configuration, exit};

/// What can be done.
#[derive(Subcommand)]
pub(crate) enum Route {
    /// Which agent a call would get, and every step that leads there; with `--out`, whether a call may leave, and how.
    Explain(Explain),
}

/// `trunkline route explain`.
#[derive(Args)]
pub(crate) struct Explain {
    /// What is dialled; with `--out`, where to.
    to: String,
    /// Who dials.
    #[arg(long, default_value = "")]
    from: String,
    /// Name or id of the trunk it comes over; the only one there is when it is left out.
    #[arg(long, conflicts_with = "source")]
    trunk: Option<String>,
    /// The address it comes from.
    #[arg(long, value_name = "ADDRESS")]
    source: Option<IpAddr>,
    /// A header of the INVITE, `Name: value`; may be given several times.
    #[arg(long, value_name = "HEADER")]
    header: Vec<String>,
    /// When, as RFC 3339 has it (`2026-12-24T18:00:00+01:00`); now when it is left out.
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// The call would leave: explain by which outbound route, or why not. Counts and costs are not looked at.
    #[arg(long, conflicts_with_all = ["from", "trunk", "source", "header"])]
    out: bool,
    /// Who wants it to leave.
    #[arg(long, value_enum, requires = "out", default_value = "dial")]
    r#use: Use,
    /// Id of the agent of the call that wants it.
    #[arg(long, requires = "out")]
    agent: Option<Id>,
    /// Id of the tenant whose call it is; the only one there is when it is left out.
    #[arg(long, requires = "out")]
    tenant: Option<Id>,
}

/// Who wants a call to leave.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Use {
    /// An operator or the API.
    Dial,
    /// An agent that passes a caller on.
    Transfer,
    /// The far end, by REFER.
    Refer,
}

/// Explains, and fails when nobody would answer or nothing leave.
pub(crate) fn run(configuration: &Configuration, route: &Route) -> u8 {
    let Route::Explain(explain) = route;
    let loaded = match super::load(configuration) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let question = match explain.question() {
        Ok(question) => question,
        Err(error) => {
            eprintln!("{error:#}");
            return exit::CONFIGURATION;
        }
    };
    let path = match path_of(&question) {
        Ok(path) => path,
        Err(error) => {
            eprintln!("{error:#}");
            return exit::CONFIGURATION;
        }
    };
    match ask(&loaded.config.gateway.state_dir, Method::GET, &path) {
        Ok(answer) => show(&answer),
        Err(ClientError::Refused(error)) => {
            eprintln!("{error:#}");
            exit::FAILED
        }
        Err(ClientError::Unreachable(error)) if !loaded.config.control_plane.url.is_empty() => {
            eprintln!("the gateway cannot be reached, and it serves what its control plane sends it: {error:#}");
            exit::UNREACHABLE
        }
        Err(ClientError::Unreachable(_)) => {
            eprintln!("no gateway runs; this is what the object files say");
            let (table, _) = Table::build(&loaded.objects);
            match question.answer(&Files(table)) {
                Ok(answer) => show(&answer),
                Err(error) => {
                    eprintln!("{error}");
                    exit::FAILED
                }
            }
        }
    }
}

fn show(answer: &Value) -> u8 {
    say!("{}", text(&answer["explanation"]));
    if answer["failure"].is_null() { exit::OK } else { exit::FAILED }
}

impl Explain {
    fn question(&self) -> anyhow::Result<Question> {
        let headers = self.header.iter().map(|header| {
            let (name, value) = header.split_once(':').context("a header is `Name: value`")?;
            Ok((name.trim(), value.trim()))
        });
        let headers = headers.collect::<anyhow::Result<Vec<_>>>()?;
        let at_us = match &self.at {
            Some(text) => {
                let time: jiff::Timestamp = text.parse().with_context(|| format!("`{text}` is no time"))?;
                u64::try_from(time.as_microsecond()).context("that is before 1970")?
            }
            None => u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros())?,
        };
        let r#use = match self.r#use {
            Use::Dial => OutboundUse::Dial,
            Use::Transfer => OutboundUse::Transfer,
            Use::Refer => OutboundUse::Refer,
        };
        let headers = if headers.is_empty() { String::new() } else { serde_json::to_string(&headers)? };
        let (called, out) = if self.out { (None, Some(self.to.clone())) } else { (Some(self.to.clone()), None) };
        Ok(Question {
            called,
            calling: self.from.clone(),
            source: self.source,
            trunk: self.trunk.clone(),
            headers,
            out,
            r#use: self.out.then_some(r#use),
            agent: self.agent.clone(),
            tenant: self.tenant.clone(),
            at_us,
        })
    }
}

fn path_of(question: &Question) -> anyhow::Result<String> {
    let mut url: url::Url = "http://gateway/v1/route".parse()?;
    if let Value::Object(fields) = serde_json::to_value(question)? {
        let mut query = url.query_pairs_mut();
        for (name, value) in &fields {
            query.append_pair(name, &value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        }
    }
    Ok(format!("{}?{}", url.path(), url.query().unwrap_or_default()))
}

/// The object files, as though nothing were up.
struct Files(Table);

impl Answers for Files {
    fn table(&self) -> &Table {
        &self.0
    }

    fn inbound(&self, question: &InboundQuestion) -> Option<Decision> {
        Some(decide(&self.0, &question.request()?, &Load::default()))
    }

    fn outbound(&self, request: &OutboundRequest<'_>) -> OutboundDecision {
        trunkline_route::outbound::way(&self.0, request, &NoTrunkLoad)
    }
}
