//! Both units keep the services in a sandbox that systemd itself scores at 1.5 or better, and fit the defaults of what
//! they start.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Ten times the score that must not be exceeded.
const THRESHOLD: &str = "15";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn unit(name: &str) -> PathBuf {
    root().join("packaging/systemd").join(format!("{name}.service"))
}

fn setting<'a>(unit: &'a str, key: &str) -> Option<&'a str> {
    unit.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
}

#[test]
fn the_exposure_of_both_units_is_at_most_one_and_a_half() {
    for name in ["trunkline", "trunkline-control-plane"] {
        let output = Command::new("systemd-analyze")
            .args(["security", "--offline=yes", "--no-pager", "--threshold", THRESHOLD])
            .arg(unit(name))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        println!("{}", said.lines().last().unwrap_or_default());
        assert!(output.status.success(), "{said}");
    }
}

#[test]
fn real_time_priority_and_landlock_are_within_the_gateways_filter() {
    let text = std::fs::read_to_string(unit("trunkline")).unwrap();
    assert_eq!(setting(&text, "RestrictRealtime"), Some("no"));
    assert!(setting(&text, "LimitRTPRIO").is_some_and(|limit| limit.parse::<u32>().unwrap() >= 10));
    let allowed: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("SystemCallFilter="))
        .filter(|list| !list.starts_with('~'))
        .flat_map(str::split_whitespace)
        .collect();
    for call in ["sched_setscheduler", "landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"] {
        assert!(allowed.contains(&call), "{call}");
    }
}

#[test]
fn a_stop_waits_longer_than_draining_takes() {
    for (name, config, key) in [
        ("trunkline", "config/trunkline.toml", "drain_s = "),
        ("trunkline-control-plane", "config/control-plane.toml", "drain_s = "),
    ] {
        let text = std::fs::read_to_string(unit(name)).unwrap();
        let stop: u64 = setting(&text, "TimeoutStopSec").unwrap().parse().unwrap();
        let config = std::fs::read_to_string(root().join(config)).unwrap();
        let drain = config.lines().find_map(|line| line.strip_prefix(key)).unwrap().parse::<u64>().unwrap();
        assert!(stop > drain, "{name} is killed after {stop} s and drains for {drain} s");
    }
}
