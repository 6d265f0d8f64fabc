//! What no schema can say: keys that must fit each other, and values that are unsafe outside development.

use std::os::unix::fs::PermissionsExt as _;

use rustls::pki_types::ServerName;
use trunkline_configuration::{Diagnostic, Origins, does_not_outlive_a_reboot, is_secret_reference};

use super::{Config, TlsMode};

/// Everything that is wrong with a configuration whose every value has its right type and range.
pub(super) fn check(config: &Config, origins: &Origins) -> Vec<Diagnostic> {
    let mut faults = Vec::new();
    let mut fault = |key: &str, message: String, expected: &str| {
        let location = origins.get(key).cloned().unwrap_or_default();
        faults.push(Diagnostic { location, key: key.to_owned(), message, expected: expected.to_owned() });
    };
    let (listen, tls) = (&config.listen, &config.tls);
    if config.state.file_name().is_none() {
        let message =
            format!("{:?} is no folder that could be the control plane's alone", config.state.display().to_string());
        fault("state", message, "a path such as \"/var/lib/trunkline-control-plane\"");
    }
    if !listen.metrics.ip().is_loopback() {
        let message = format!("{} is not loopback, and metrics need no key", listen.metrics);
        fault("listen.metrics", message, "a loopback address");
    }
    for (key, address) in [("listen.public", listen.public), ("listen.sync", listen.sync)] {
        if tls.mode == TlsMode::Off && !address.ip().is_loopback() {
            let message = format!("{address} would be plain HTTP beyond this host, because `tls.mode` is \"off\"");
            fault(key, message, "`tls.mode` \"auto\", or a loopback address");
        }
    }
    match (&tls.cert, &tls.key) {
        (Some(_), None) => fault("tls.cert", "there is no `tls.key` to it".to_owned(), "both or neither"),
        (None, Some(_)) => fault("tls.key", "there is no `tls.cert` to it".to_owned(), "both or neither"),
        (None, None) if tls.ca.is_some() => {
            fault("tls.ca", "without `tls.cert` it is not used".to_owned(), "`tls.cert` and `tls.key` beside it");
        }
        (Some(_), Some(_)) if !tls.names.is_empty() => {
            let message = "with `tls.cert` they are not used: that certificate has names of its own".to_owned();
            fault("tls.names", message, "none");
        }
        _ => {}
    }
    for name in &tls.names {
        if ServerName::try_from(name.as_str()).is_err() {
            fault("tls.names", format!("{name:?} is neither a DNS name nor an address"), "such as \"cp.example.com\"");
        }
    }
    let secrets = &config.secrets;
    for (key, reference) in [("secrets.pepper", &secrets.pepper), ("secrets.signing_key", &secrets.signing_key)] {
        if reference.as_deref().is_some_and(|reference| !is_secret_reference(reference)) {
            // The text may be the secret itself, so it is not repeated.
            let message = "not a reference to a secret".to_owned();
            fault(key, message, "`file:/path`, `credential:name` or `env:NAME`; never the secret itself");
        }
    }
    faults
}

/// What the `prod` profile refuses: state that does not last, addresses nobody can know, a key that others read.
pub(super) fn unsafe_values(config: &Config, origins: &Origins) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let mut fault = |key: &str, message: String, expected: &str| {
        let location = origins.get(key).cloned().unwrap_or_default();
        let message = format!("unsafe in service: {message}");
        found.push(Diagnostic { location, key: key.to_owned(), message, expected: expected.to_owned() });
    };
    let folders = [("state", Some(&config.state)), ("database.path", config.database.path.as_ref())];
    for (key, path) in folders.into_iter().filter_map(|(key, path)| path.map(|path| (key, path))) {
        if !path.is_absolute() || does_not_outlive_a_reboot(path) {
            let message = format!("{} is emptied at boot, open to every user, or relative", path.display());
            fault(key, message, "a folder such as /var/lib/trunkline-control-plane");
        }
    }
    let listen = &config.listen;
    for (key, address) in
        [("listen.public", listen.public), ("listen.sync", listen.sync), ("listen.metrics", listen.metrics)]
    {
        if address.port() == 0 {
            fault(key, "port 0 is another one at every start".to_owned(), "a fixed port");
        }
    }
    if let Some(key) = &config.tls.key
        && std::fs::metadata(key).is_ok_and(|key| key.permissions().mode() & 0o007 != 0)
    {
        fault("tls.key", format!("every user may read {}", key.display()), "`chmod o-rwx` on it");
    }
    found
}
