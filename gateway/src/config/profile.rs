//! How strict a gateway is about values that are fine on a desk and unsafe in service.
//!
//! | Value | dev | staging | prod |
//! |---|---|---|---|
//! | `plugins.allow_unsigned = true` | allowed | warned about | refused |
//! | a plain `http://` host beyond this one in `plugins.grant_hosts` | allowed | warned about | refused |
//! | `log.level` with debug or trace, which shows numbers and words of callers | allowed | warned about | refused |
//! | state, recordings or compiled plugins in a folder that everybody may write and a reboot empties | allowed | warned about | refused |
//! | `testing.echo = true`, which lets no agent speak | allowed | warned about | refused |
//! | a secret's file that others may read | warned about | warned about | refused |
//! | running as root | allowed | warned about | refused |
//!
//! Plain HTTP to a control plane beyond this host and an admin API off loopback are refused whatever the profile.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use trunkline_configuration::{Diagnostic, Origins, does_not_outlive_a_reboot};

use super::schema::Config;

/// Unsafe values, whatever the profile.
pub(crate) fn unsafe_values(config: &Config, origins: &Origins) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let mut report = |key: &str, message: &str, expected: &str| {
        let location = origins.get(key).cloned().unwrap_or_default();
        let message = format!("unsafe in service: {message}");
        found.push(Diagnostic { location, key: key.to_owned(), message, expected: expected.to_owned() });
    };
    if config.plugins.allow_unsigned {
        let expected = "`false`, and the key of whoever signs your plugins among the trusted ones";
        report("plugins.allow_unsigned", "anybody's code may run as a plugin", expected);
    }
    if let Some(host) = config.plugins.grant_hosts.iter().find(|host| is_plain_beyond_this_host(host)) {
        let message = format!("{host} is plain HTTP beyond this host: what callers say goes over the network as it is");
        report("plugins.grant_hosts", &message, "`https://` hosts");
    }
    if EnvFilter::try_new(&config.log.level).is_ok_and(|filter| filter.max_level_hint() > Some(LevelFilter::INFO)) {
        report("log.level", "debug and trace show numbers and words of callers", "`info`, `warn` or `error`");
    }
    if config.testing.echo {
        report("testing.echo", "callers hear themselves and no agent", "`false`");
    }
    let folders = [
        ("gateway.state_dir", Some(&config.gateway.state_dir)),
        ("plugins.cache_dir", config.plugins.cache_dir.as_ref()),
        ("recording.dir", config.recording.dir.as_ref()),
    ];
    for (key, folder) in folders {
        if folder.is_some_and(|folder| does_not_outlive_a_reboot(folder)) {
            report(
                key,
                "everybody may write around it, or a reboot empties it",
                "a folder such as `/var/lib/trunkline`",
            );
        }
    }
    found
}

/// `scheme://host:port` with `*` in places is a pattern, not always a URL.
fn is_plain_beyond_this_host(pattern: &str) -> bool {
    let Some(rest) = pattern.strip_prefix("http://") else { return false };
    let host = match rest.strip_prefix('[') {
        Some(six) => six.split(']').next().unwrap_or_default(),
        None => rest.split([':', '/']).next().unwrap_or_default(),
    };
    host != "localhost" && !host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_safe_and_every_unsafe_value_is_named() {
        let mut config = Config::default();
        assert!(unsafe_values(&config, &Origins::new()).is_empty());
        config.plugins.allow_unsigned = true;
        config.plugins.grant_hosts = vec!["http://127.0.0.1:11434".to_owned(), "http://10.0.0.7:8000".to_owned()];
        config.log.level = "info,trunkline_sip=debug".to_owned();
        config.gateway.state_dir = "/tmp/x".into();
        config.recording.dir = Some("/dev/shm/r".into());
        config.testing.echo = true;
        let keys: Vec<_> = unsafe_values(&config, &Origins::new()).into_iter().map(|fault| fault.key).collect();
        let expected = [
            "plugins.allow_unsigned",
            "plugins.grant_hosts",
            "log.level",
            "testing.echo",
            "gateway.state_dir",
            "recording.dir",
        ];
        assert_eq!(keys, expected);
    }

    #[test]
    fn a_plain_host_is_safe_on_loopback_only() {
        for (pattern, plain) in [
            ("http://127.0.0.1:11434", false),
            ("http://[::1]:80", false),
            ("http://localhost:80", false),
            ("https://models.example", false),
            ("http://models.example:80", true),
            ("http://*.example", true),
        ] {
            assert_eq!(is_plain_beyond_this_host(pattern), plain, "{pattern}");
        }
    }
}
