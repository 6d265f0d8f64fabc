//! `trunkline doctor`: what keeps this gateway from serving, a line a check, and what to do next.

use std::net::UdpSocket;

use http::Method;
use serde_json::Value;

use super::check;
use super::client::{ClientError, ask};
use trunkline_state_folder::Acting;

use crate::config::Loaded;
use crate::output::say;
use crate::{Configuration, exit};

/// Looks and reports; exit code 1 when something keeps the gateway from serving.
pub(crate) fn run(configuration: &Configuration) -> u8 {
    let loaded = match super::load(configuration) {
        Ok(loaded) => loaded,
        Err(code) => {
            say!("BAD  configuration    the faults are listed above; `trunkline check` lists them again");
            return code;
        }
    };
    let config = &loaded.config;
    let mut report = Report::default();
    let state = &config.gateway.state_dir;
    match crate::state::FOLDER.act_as_owner(state) {
        Ok(Acting::Done(code)) => return code,
        Ok(Acting::Myself | Acting::ForRoot) => {}
        Err(error) => {
            report.bad("state folder", &error.to_string());
            return exit::FAILED;
        }
    }
    report.good("configuration", &format!("in order, profile {}", config.profile.name()));
    for warning in &loaded.warnings {
        report.warn("configuration", &warning.to_string());
    }
    match probe(state) {
        Ok(()) => report.good("state folder", &state.display().to_string()),
        Err(error) => report.bad("state folder", &format!("{}: {error}", state.display())),
    }
    // The rules of the configuration hold here, so that there is room.
    let rtp = &config.rtp;
    let ports = u32::from(rtp.port_max.saturating_sub(rtp.port_min) + 1) / 2;
    report.good("media ports", &format!("{}-{}: room for {ports} calls", rtp.port_min, rtp.port_max));
    report.good("processor", if std::arch::is_x86_feature_detected!("avx2") { "avx2" } else { "scalar only" });
    match ask(state, Method::GET, "/v1/status") {
        Ok(status) => running(&mut report, &status),
        Err(ClientError::Unreachable(_)) => not_running(&mut report, &loaded),
        Err(ClientError::Refused(error)) => report.bad("gateway", &format!("{error:#}")),
    }
    if let Some(next) = check::next_step(&loaded) {
        say!("{next}");
    }
    if report.failed { exit::FAILED } else { exit::OK }
}

/// Nothing can be asked, so that what a start would meet is looked at here.
fn not_running(report: &mut Report, loaded: &Loaded) {
    let config = &loaded.config;
    report.warn("gateway", "not running; start it with `systemctl start trunkline` or `trunkline run`");
    match UdpSocket::bind(config.sip.listen) {
        Ok(_) => report.good("SIP port", &format!("{} is free", config.sip.listen)),
        Err(error) => report.bad("SIP port", &format!("{}: {error}", config.sip.listen)),
    }
    let found = check::look(loaded);
    for warning in found.warnings.iter().skip(loaded.warnings.len()) {
        report.warn("check", warning);
    }
    for fault in &found.faults {
        report.bad("check", fault);
    }
    if found.plugins == 0 {
        report.bad("plugins", &format!("none in {}; install some", config.plugins.dir.display()));
    }
    if found.faults.is_empty() {
        let detail = found.summary();
        if found.agents > 0 || !config.control_plane.url.is_empty() {
            report.good("objects", &detail);
        } else {
            report.bad("objects", &format!("{detail}: no call can be answered yet"));
        }
    }
}

fn running(report: &mut Report, status: &Value) {
    report.good("gateway", &format!("running, {} calls", status["calls"]));
    for (pool, of) in status["capacity"].as_object().into_iter().flatten() {
        let (most, used) = (of["most"].as_u64().unwrap_or(0), of["used"].as_u64().unwrap_or(0));
        if used * 10 >= most * 9 {
            report.warn("capacity", &format!("{pool}: {used} of {most} used; calls beyond are refused with 503"));
        }
    }
    for (part, load) in status["load"].as_object().into_iter().flatten().filter(|(_, load)| load["refuses"] == true) {
        let (expected, late_us) = (load["expected_permille"].as_u64().unwrap_or(0), &load["late_us"]);
        let detail = format!(
            "{part}: its calls need {} % of its time, and turns come {late_us} us late; calls beyond are refused with 503",
            expected / 10
        );
        report.warn("load", &detail);
    }
    let store = &status["store"];
    let detail = format!(
        "{} usage records and {} events wait or are kept, {} calls open",
        store["pending_usage"], store["pending_events"], store["open_calls"]
    );
    report.check("edge store", store["available"] == true, store["detail"].as_str().unwrap_or(&detail));
    for alarm in list(&store["alarms"]) {
        report.warn("edge store", &format!("alarm {alarm}; the log has the details"));
    }
    let plugins = status["plugins"].as_array().map_or(0, Vec::len);
    report.check("plugins", plugins > 0, &format!("{plugins} loaded"));
    for refused in list(&status["plugins_refused"]) {
        report.bad("plugin", refused);
    }
    for secret in list(&status["secrets_lacking"]) {
        report.bad("secret", secret);
    }
    let (agents, ready) = (status["agents"].as_u64().unwrap_or(0), status["agents_ready"].as_u64().unwrap_or(0));
    let detail = match agents {
        0 if status["control_plane"].is_null() => "none, so that no call can be answered yet".to_owned(),
        0 => "none, so that no call can be answered yet; create one in the control plane".to_owned(),
        _ => format!("{ready} of {agents} ready"),
    };
    report.check("agents", agents > 0 && ready == agents, &detail);
    for fault in list(&status["agent_faults"]) {
        report.bad("agent", fault);
    }
    for left_out in list(&status["not_in_service"]) {
        report.bad("not in service", left_out);
    }
    let control_plane = &status["control_plane"];
    if !control_plane.is_null() {
        joined(report, control_plane);
    }
}

/// Each way between gateway and control plane by itself: one may work while another does not.
fn joined(report: &mut Report, control_plane: &Value) {
    let gateway = control_plane["gateway"].as_str();
    match (control_plane["trouble"].as_str(), gateway) {
        (Some(trouble), _) => report.bad("control plane", trouble),
        (None, None) => report.bad("control plane", "this gateway has not joined; see `trunkline enrol`"),
        (None, Some(gateway)) => {
            let connected = control_plane["connected"] == true;
            let how = if connected { "connected" } else { "not connected yet" };
            report.check("control plane", connected, &format!("{how} as {gateway}"));
        }
    }
    match (control_plane["rejected"]["problem"].as_str(), &control_plane["applied_rev"]) {
        (Some(problem), applied) => {
            let refused = &control_plane["rejected"]["rev"];
            report.bad("desired state", &format!("revision {refused} was refused, {applied} still serves: {problem}"));
        }
        (None, applied) => report.good("desired state", &format!("revision {applied} serves")),
    }
    match control_plane["upload_trouble"].as_str() {
        Some(trouble) => report.bad("uploads", trouble),
        None => {
            let [usage, events] = [0, 1].map(|stream: usize| control_plane["uploaded"][stream].as_u64().unwrap_or(0));
            report.good("uploads", &format!("{usage} usage records and {events} events since the start"));
        }
    }
}

fn list(value: &Value) -> impl Iterator<Item = &str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str)
}

#[derive(Default)]
struct Report {
    failed: bool,
    said: Vec<String>,
}

impl Report {
    fn good(&mut self, what: &str, detail: &str) {
        self.check(what, true, detail);
    }

    fn bad(&mut self, what: &str, detail: &str) {
        self.check(what, false, detail);
    }

    fn warn(&mut self, what: &str, detail: &str) {
        self.say("warn", what, detail);
    }

    fn check(&mut self, what: &str, good: bool, detail: &str) {
        self.say(if good { "ok" } else { "BAD" }, what, detail);
        self.failed |= !good;
    }

    fn say(&mut self, how: &str, what: &str, detail: &str) {
        let line = format!("{how:<4} {what:<16} {detail}");
        say!("{line}");
        self.said.push(line);
    }
}

fn probe(folder: &std::path::Path) -> std::io::Result<()> {
    let probe = folder.join(".probe");
    std::fs::write(&probe, b"probe")?;
    std::fs::remove_file(probe)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn healthy() -> Value {
        json!({
            "calls": 0, "agents": 1, "agents_ready": 1, "plugins": ["espeak"],
            "store": { "available": true, "pending_usage": 0, "pending_events": 0, "open_calls": 0 },
            "not_in_service": [],
            "control_plane": {
                "connected": true, "gateway": "gw_00000000000000000000000001", "applied_rev": 7, "rejected": null,
                "trouble": null, "upload_trouble": null, "uploaded": [3, 40],
            },
        })
    }

    fn report(status: &Value) -> Report {
        let mut report = Report::default();
        running(&mut report, status);
        report
    }

    #[track_caller]
    fn is_bad(status: &Value, expected: &str) {
        let report = report(status);
        let bad: Vec<&String> = report.said.iter().filter(|line| line.starts_with("BAD")).collect();
        assert!(report.failed && bad.len() == 1 && bad[0].contains(expected), "{expected}: {:?}", report.said);
    }

    #[test]
    fn a_gateway_that_is_joined_and_uploads_is_in_order() {
        let report = report(&healthy());
        assert!(!report.failed, "{:?}", report.said);
        assert!(report.said.iter().any(|line| line.contains("3 usage records and 40 events")), "{:?}", report.said);
    }

    #[test]
    fn whatever_does_not_work_between_gateway_and_control_plane_is_bad_by_name() {
        let with = |pointer: &str, value: Value| {
            let mut status = healthy();
            *status.pointer_mut(pointer).unwrap() = value;
            status
        };
        let gap = "HTTP 409: usage: expected record 1 next, found 2; send from 1 on";
        is_bad(&with("/control_plane/upload_trouble", json!(gap)), gap);
        is_bad(&with("/control_plane/trouble", json!("it cannot be connected to")), "it cannot be connected to");
        is_bad(&with("/control_plane/connected", json!(false)), "not connected yet");
        is_bad(&with("/control_plane/gateway", Value::Null), "trunkline enrol");
        let rejected = json!({ "rev": 9, "problem": "trk_1: peers: invalid" });
        is_bad(&with("/control_plane/rejected", rejected), "revision 9 was refused, 7 still serves: trk_1");
        let left_out = json!(["trk_2: peers: 127.0.0.1/32 belongs to trk_1 already, which gets its calls"]);
        is_bad(&with("/not_in_service", left_out), "127.0.0.1/32 belongs to trk_1");
    }
}
