//! `trunkline doctor`: what keeps this gateway from serving, a line a check.

use std::net::UdpSocket;

use http::Method;
use serde_json::Value;

use super::client::{ClientError, ask};
use crate::{Configuration, exit};

/// Looks and reports; exit code 1 when something keeps the gateway from serving.
pub(crate) fn run(configuration: &Configuration) -> u8 {
    let loaded = match super::load(configuration) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let config = &loaded.config;
    let mut report = Report::default();
    report.check("configuration", true, "in order");
    let state = &config.gateway.state_dir;
    let writable = tempfile_in(state);
    report.check(
        "state folder",
        writable.is_ok(),
        &match writable {
            Ok(()) => state.display().to_string(),
            Err(error) => format!("{}: {error}", state.display()),
        },
    );
    report.check(
        "media ports",
        config.rtp.port_max > config.rtp.port_min,
        &format!("{}-{}: room for {} calls", config.rtp.port_min, config.rtp.port_max, ports(config)),
    );
    let simd = if std::arch::is_x86_feature_detected!("avx2") { "avx2" } else { "scalar only" };
    report.check("processor", true, simd);
    match ask(state, Method::GET, "/v1/status") {
        Ok(status) => running(&mut report, &status),
        Err(ClientError::Unreachable(_)) => {
            let free = UdpSocket::bind(config.sip.listen);
            report.check("gateway", true, "not running");
            report.check(
                "SIP port",
                free.is_ok(),
                &match free {
                    Ok(_) => format!("{} is free", config.sip.listen),
                    Err(error) => format!("{}: {error}", config.sip.listen),
                },
            );
        }
        Err(ClientError::Refused(error)) => report.check("gateway", false, &format!("{error:#}")),
    }
    if report.failed { exit::FAILED } else { exit::OK }
}

fn running(report: &mut Report, status: &Value) {
    report.check("gateway", true, &format!("running, {} calls", status["calls"]));
    report.check("edge store", status["store"]["available"] == true, &status["store"].to_string());
    let plugins = status["plugins"].as_array().map_or(0, Vec::len);
    report.check("plugins", plugins > 0, &format!("{plugins} loaded"));
    for refused in status["plugins_refused"].as_array().into_iter().flatten() {
        report.check("plugin", false, refused.as_str().unwrap_or_default());
    }
    report.check("agents", status["agents"].as_u64() > Some(0), &format!("{} in service", status["agents"]));
    if !status["control_plane"].is_null() {
        report.check(
            "control plane",
            status["control_plane"]["connected"] == true,
            &status["control_plane"].to_string(),
        );
    }
}

#[derive(Default)]
struct Report {
    failed: bool,
}

impl Report {
    fn check(&mut self, what: &str, good: bool, detail: &str) {
        println!("{:<4} {what:<16} {detail}", if good { "ok" } else { "BAD" });
        self.failed |= !good;
    }
}

fn ports(config: &crate::config::Config) -> u32 {
    u32::from(config.rtp.port_max.saturating_sub(config.rtp.port_min) + 1) / 2
}

fn tempfile_in(folder: &std::path::Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let probe = folder.join(".probe");
    std::fs::write(&probe, b"probe")?;
    std::fs::remove_file(probe)
}
