//! `trunkline calls | hangup | trace`: what operators do with calls.

use std::path::Path;

use http::Method;
use serde_json::Value;
use trunkline_api::{Id, Prefix};

use super::client::{ClientError, ask, fetch};
use super::offline;
use crate::output::say;
use crate::{Configuration, exit, history};

/// `trunkline calls`.
pub(crate) fn list(configuration: &Configuration, ended: bool, json: bool) -> u8 {
    answered(configuration, Method::GET, &format!("/v1/calls?ended={ended}"), |data| {
        if json {
            say!("{data:#}");
            return;
        }
        say!("{:<31} {:<16} {:<16} {:>7}  {:<8}", "call", "from", "to", "version", "state");
        for call in data.as_array().into_iter().flatten() {
            say!(
                "{:<31} {:<16} {:<16} {:>7}  {:<8}",
                text(&call["id"]),
                text(&call["from"]),
                text(&call["to"]),
                call["agent_version"],
                if call["ended"] == true { "ended" } else { "up" },
            );
        }
    })
}

/// `trunkline hangup`.
pub(crate) fn hang_up(configuration: &Configuration, call: &str) -> u8 {
    answered(configuration, Method::DELETE, &format!("/v1/calls/{call}"), |_| say!("hanging up {call}"))
}

/// `trunkline trace`: asks the gateway; while none runs, the store itself is read.
pub(crate) fn trace(configuration: &Configuration, call: &str) -> u8 {
    let loaded = match super::load(configuration) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let state = &loaded.config.gateway.state_dir;
    match ask(state, Method::GET, &format!("/v1/calls/{call}")) {
        Ok(data) => {
            show(&data);
            exit::OK
        }
        Err(ClientError::Refused(error)) => {
            eprintln!("{error:#}");
            exit::FAILED
        }
        Err(ClientError::Unreachable(error)) => from_store(state, &loaded.config.control_plane.url, call, &error),
    }
}

/// `trunkline trace CALL --pcap FILE`.
pub(crate) fn pcap(configuration: &Configuration, call: &str, file: &Path) -> u8 {
    let loaded = match super::load(configuration) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    match fetch(&loaded.config.gateway.state_dir, &format!("/v1/calls/{call}/pcap")) {
        Ok(bytes) => match super::new_file(file, &bytes) {
            Ok(()) => {
                say!("{}: {} bytes", file.display(), bytes.len());
                exit::OK
            }
            Err(error) => {
                eprintln!("{error:#}");
                exit::FAILED
            }
        },
        Err(ClientError::Refused(error)) => {
            eprintln!("{error:#}");
            exit::FAILED
        }
        Err(ClientError::Unreachable(error)) => {
            eprintln!("the gateway cannot be reached: {error:#}");
            exit::UNREACHABLE
        }
    }
}

fn from_store(state: &Path, control_plane: &str, call: &str, unreachable: &anyhow::Error) -> u8 {
    let Ok(id) = Id::parse_as(Prefix::Call, call) else {
        eprintln!("`{call}` is not a call's id; `trunkline calls --ended` and `trunkline usage` list them");
        return exit::FAILED;
    };
    offline::read(state, unreachable, |store| match history::call(store, &id)? {
        Some(found) => {
            show(&found);
            Ok(exit::OK)
        }
        None => {
            eprintln!("{}", history::nothing_of(store, control_plane));
            Ok(exit::FAILED)
        }
    })
}

fn show(data: &Value) {
    let call = &data["call"];
    if !call.is_null() {
        let answered = call["answered_us"].as_u64().map(history::utc).unwrap_or_default();
        say!("{} -> {}, answered {answered}", text(&call["from"]), text(&call["to"]));
    }
    match data["ladder"].as_str() {
        Some(ladder) => say!("{ladder}"),
        None => say!("(the SIP messages of older calls are not kept)"),
    }
    let events = data["events"].as_array().map(Vec::as_slice).unwrap_or_default();
    for event in events {
        let ms = event["at"]["call_us"].as_u64().unwrap_or(0) as f64 / 1000.0;
        say!("{ms:>12.3} ms  {:<20} {}", text(&event["type"]), event["data"]);
    }
    if events.is_empty() {
        say!("(its timeline made room for newer ones, see history.events_mib; only its usage record is left)");
    }
}

/// Asks the gateway and shows its answer.
pub(super) fn answered(configuration: &Configuration, method: Method, path: &str, show: impl FnOnce(Value)) -> u8 {
    let loaded = match super::load(configuration) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    match ask(&loaded.config.gateway.state_dir, method, path) {
        Ok(data) => {
            show(data);
            exit::OK
        }
        Err(ClientError::Refused(error)) => {
            eprintln!("{error:#}");
            exit::FAILED
        }
        Err(ClientError::Unreachable(error)) => {
            eprintln!("the gateway cannot be reached: {error:#}");
            exit::UNREACHABLE
        }
    }
}

pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
