//! What no schema can say: keys that must fit each other, addresses that must be reachable or must not be.

use std::net::IpAddr;

use trunkline_api::trunk::SipTransport;
use trunkline_configuration::{Diagnostic, Origins, is_secret_reference};
use trunkline_egress::HostPattern;

use super::schema::Config;

/// Everything that is wrong with a configuration whose every value has its right type and range.
pub(crate) fn check(config: &Config, origins: &Origins) -> Vec<Diagnostic> {
    let mut faults = Vec::new();
    let mut fault = |key: &str, message: String, expected: &str| {
        let location = origins.get(key).cloned().unwrap_or_default();
        faults.push(Diagnostic { location, key: key.to_owned(), message, expected: expected.to_owned() });
    };

    let reachable = [
        ("sip.advertise", config.sip.advertise, config.sip.listen.ip(), "sip.listen"),
        ("rtp.advertise", config.rtp.advertise, config.rtp.bind, "rtp.bind"),
    ];
    for (key, advertised, bound, from) in reachable {
        match advertised {
            Some(address) if address.is_unspecified() => {
                fault(key, format!("peers cannot send to {address}"), "the address peers reach this host at");
            }
            None if bound.is_unspecified() => {
                fault(
                    from,
                    format!("{bound} is no address to tell peers"),
                    &format!("an address, or `{key}` beside it"),
                );
            }
            _ => {}
        }
    }

    for (name, listener) in &config.sip.listeners {
        let key = format!("sip.listeners.{name}");
        let bound = listener.listen.ip();
        if listener.advertise.is_none() && bound.is_unspecified() {
            let message = format!("{bound} is no address to tell peers");
            fault(&key, message, "an address in `listen`, or `advertise` beside it");
        }
        let secure = matches!(listener.transport, SipTransport::Tls | SipTransport::Wss);
        if secure && (config.sip.tls.cert.is_none() || config.sip.tls.key.is_none()) {
            let message = "TLS is listened for without a certificate".to_owned();
            fault(&key, message, "`sip.tls.cert` and `sip.tls.key`");
        }
    }
    if config.sip.tls.cert.is_some() != config.sip.tls.key.is_some() {
        let message = "one of certificate and key is missing".to_owned();
        fault("sip.tls", message, "both `cert` and `key`");
    }

    let stir = &config.sip.stir;
    if stir.roots.is_none() && stir.certificates.is_some() {
        let message = "certificates are laid down, and nobody who signed them is believed".to_owned();
        fault("sip.stir.certificates", message, "`sip.stir.roots` beside it");
    }
    for pattern in &stir.grant_hosts {
        if !pattern.starts_with("https://") || pattern.parse::<HostPattern>().is_err() {
            let message = format!("{pattern:?} is no place to fetch a certificate from");
            fault("sip.stir.grant_hosts", message, "`https://host` or `https://host:port`");
        }
    }

    let state = &config.gateway.state_dir;
    if state.file_name().is_none() {
        let message = format!("{:?} is no folder that could be the gateway's alone", state.display().to_string());
        fault("gateway.state_dir", message, "a path such as \"/var/lib/trunkline\"");
    }

    let rtp = &config.rtp;
    let sip = config.sip.listen;
    let shared = sip.ip() == rtp.bind || sip.ip().is_unspecified() || rtp.bind.is_unspecified();
    if shared && sip.port() != 0 && (rtp.port_min..=rtp.port_max).contains(&sip.port()) {
        let message = format!("{} is among the ports of calls, {} to {}", sip.port(), rtp.port_min, rtp.port_max);
        fault("sip.listen", message, "a port outside `rtp.port_min` to `rtp.port_max`");
    }
    if !rtp.port_min.is_multiple_of(2) {
        fault(
            "rtp.port_min",
            format!("{} is odd", rtp.port_min),
            "an even port: RTP is even, RTCP the next (RFC 3550 11)",
        );
    }
    if rtp.port_max <= rtp.port_min {
        let message = format!("{} leaves no pair of ports above rtp.port_min = {}", rtp.port_max, rtp.port_min);
        fault("rtp.port_max", message, "a port above `rtp.port_min`");
    }

    if let Some(text) = config.sip.ban_scanners.iter().find(|text| !trunkline_sip::is_pattern(text)) {
        let message = format!("{text:?} would be found in names of people, or in nothing");
        fault("sip.ban_scanners", message, "5 to 64 printable ASCII characters each");
    }

    let hep = &config.hep;
    if !hep.secret.is_empty() && !config.secrets.contains_key(&hep.secret) {
        let message = format!("{:?} is not among [secrets]", hep.secret);
        fault("hep.secret", message, "the name of a secret, or nothing");
    }
    if hep.collector.is_some_and(|address| address.ip().is_unspecified() || address.port() == 0) {
        fault("hep.collector", "nobody can be sent to there".to_owned(), "an address and a port of a capture server");
    }

    let admission = &config.admission;
    if (1..10).contains(&admission.busy_percent) {
        let message = format!("{} percent would refuse almost every call", admission.busy_percent);
        fault("admission.busy_percent", message, "10 to 100, or 0 for no limit");
    }
    if (1..20).contains(&admission.late_ms) {
        let message = format!("{} ms is shorter than a turn of a session may be", admission.late_ms);
        fault("admission.late_ms", message, "20 to 10000, or 0 for no limit");
    }

    if !config.admin.listen.ip().is_loopback() {
        fault("admin.listen", format!("{} is not loopback", config.admin.listen), "a loopback address");
    }
    if !config.control_plane.url.is_empty() {
        control_plane(&config.control_plane.url, &mut fault);
    }
    for (index, key) in config.plugins.trusted_keys.iter().enumerate() {
        let base64 = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='));
        if key.len() != 56 || !key.starts_with("RW") || !base64 {
            let message = format!("entry {index} is not a minisign public key");
            fault(
                "plugins.trusted_keys",
                message,
                "56 characters that begin with `RW`: the second line of the .pub file",
            );
        }
    }
    if let Err(error) = tracing_subscriber::EnvFilter::try_new(&config.log.level) {
        let expected = "a filter such as `info` or `info,trunkline_sip=debug`";
        fault("log.level", format!("{:?} is no filter: {error}", config.log.level), expected);
    }
    for (name, secret) in &config.secrets {
        if !is_secret_reference(&secret.from) {
            // The text may be the secret itself, so it is not repeated.
            fault(
                &format!("secrets.{name}.from"),
                "not a reference to a secret".to_owned(),
                "`env:NAME`, `file:/path` or `credential:name`; never the secret itself",
            );
        }
    }
    faults
}

fn control_plane(text: &str, fault: &mut impl FnMut(&str, String, &str)) {
    let key = "control_plane.url";
    let Ok(url) = url::Url::parse(text) else {
        fault(key, format!("{text:?} is not a URL"), "such as `https://control.example:7001`");
        return;
    };
    let loopback = match url.host() {
        Some(url::Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(url::Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    };
    match url.scheme() {
        "https" => {}
        "http" if loopback => {}
        "http" => fault(key, "plain HTTP beyond this host".to_owned(), "`https://`, or a loopback address"),
        scheme => fault(key, format!("unknown scheme `{scheme}`"), "`https://`"),
    }
    if !url.username().is_empty() || url.password().is_some() {
        fault(key, "credentials in a URL end up in logs".to_owned(), "a URL without user and password");
    }
}
