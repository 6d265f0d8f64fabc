//! `trunkline calls | hangup | trace`: what operators do with calls.

use http::Method;
use serde_json::Value;

use super::client::{ClientError, ask};
use crate::{Configuration, exit};

/// `trunkline calls`.
pub(crate) fn list(configuration: &Configuration, ended: bool, json: bool) -> u8 {
    answered(configuration, Method::GET, &format!("/v1/calls?ended={ended}"), |data| {
        if json {
            println!("{data:#}");
            return;
        }
        println!("{:<31} {:<16} {:<16} {:>7}  {:<8}", "call", "from", "to", "version", "state");
        for call in data.as_array().into_iter().flatten() {
            println!(
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
    answered(configuration, Method::DELETE, &format!("/v1/calls/{call}"), |_| println!("hanging up {call}"))
}

/// `trunkline trace`.
pub(crate) fn trace(configuration: &Configuration, call: &str) -> u8 {
    answered(configuration, Method::GET, &format!("/v1/calls/{call}"), |data| {
        println!("{}", text(&data["ladder"]));
        for event in data["events"].as_array().into_iter().flatten() {
            let ms = event["at"]["call_us"].as_u64().unwrap_or(0) as f64 / 1000.0;
            println!("{ms:>12.3} ms  {:<20} {}", text(&event["type"]), event["data"]);
        }
    })
}

fn answered(configuration: &Configuration, method: Method, path: &str, show: impl FnOnce(Value)) -> u8 {
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

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
