//! `trunkline bans`: sources that are not listened to, and the same as a set that a firewall loads.

use std::fmt::Write as _;

use clap::{Args, Subcommand};
use http::Method;
use serde_json::Value;

use super::calls::{answered, text};
use crate::Configuration;
use crate::output::say;

/// What to do with bans; without a command they are listed.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Bans {
    /// As JSON.
    #[arg(long, conflicts_with = "nft")]
    json: bool,
    /// As two sets of nftables, whose members go when their bans end: for `nft -f -`.
    #[arg(long)]
    nft: bool,
    #[command(subcommand)]
    order: Option<Order>,
}

#[derive(Subcommand)]
enum Order {
    /// Listen to a source again.
    Lift {
        /// Its address; of IPv6 any of its network.
        address: String,
    },
}

/// `trunkline bans`.
pub(crate) fn run(configuration: &Configuration, bans: &Bans) -> u8 {
    match &bans.order {
        Some(Order::Lift { address }) => {
            answered(configuration, Method::DELETE, &format!("/v1/bans/{}", escaped(address)), |_| {
                say!("{address} is listened to again");
            })
        }
        None => answered(configuration, Method::GET, "/v1/bans", |data| {
            if bans.json {
                say!("{data:#}");
            } else if bans.nft {
                say!("{}", nft(&data).trim_end());
            } else {
                table(&data);
            }
        }),
    }
}

/// An address as a part of a path: anything else is refused there.
fn escaped(address: &str) -> String {
    url::form_urlencoded::byte_serialize(address.as_bytes()).collect()
}

fn table(data: &Value) {
    let bans = data.as_array().map(Vec::as_slice).unwrap_or_default();
    if bans.is_empty() {
        say!("nobody is banned");
        return;
    }
    say!("{:<43} {:<12} {:>8} {:>6} {:>9}", "source", "reason", "left", "times", "kept out");
    for ban in bans {
        let source = format!("{}/{}", text(&ban["source"]), ban["bits"]);
        let left = format!("{} s", ban["left_s"]);
        say!("{source:<43} {:<12} {left:>8} {:>6} {:>9}", text(&ban["reason"]), ban["times"], ban["kept_out"]);
    }
}

/// Two sets in a table of our own, emptied and filled in one go: `nft -f` loads all of it or nothing. The table has no rule:
/// what to do with the sets is the operator's to say.
fn nft(data: &Value) -> String {
    let mut script = String::from(
        "add table inet trunkline\n\
         add set inet trunkline banned4 { type ipv4_addr; flags timeout; }\n\
         add set inet trunkline banned6 { type ipv6_addr; flags timeout; }\n\
         flush set inet trunkline banned4\n\
         flush set inet trunkline banned6\n",
    );
    for (set, bits) in [("banned4", 32), ("banned6", 64)] {
        let of_set = data.as_array().into_iter().flatten().filter(|ban| ban["bits"] == bits);
        let member = |ban: &Value| {
            let source: std::net::IpAddr = text(&ban["source"]).parse().ok()?;
            // Less than a second is no time.
            Some(format!("{source} timeout {}s", ban["left_s"].as_u64()?.max(1)))
        };
        let members: Vec<String> = of_set.filter_map(member).collect();
        if !members.is_empty() {
            let _ = writeln!(script, "add element inet trunkline {set} {{ {} }}", members.join(", "));
        }
    }
    script
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use serde_json::json;

    use super::*;

    fn bans() -> Value {
        json!([
            { "source": "192.0.2.7", "bits": 32, "reason": "scanner", "left_s": 599, "times": 1, "kept_out": 3 },
            { "source": "2001:db8:1:2::", "bits": 64, "reason": "persistence", "left_s": 0, "times": 2, "kept_out": 0 },
            { "source": "198.51.100.9", "bits": 32, "reason": "password", "left_s": 86400, "times": 8, "kept_out": 1 },
            { "source": "192.0.2.1 } ; flush ruleset", "bits": 32, "left_s": 1 },
        ])
    }

    #[test]
    fn bans_are_two_sets_of_a_firewall_that_forget_by_themselves() {
        let script = nft(&bans());
        let lines: Vec<&str> = script.lines().collect();
        assert_eq!(lines.len(), 7, "{script}");
        assert_eq!(
            lines[5],
            "add element inet trunkline banned4 { 192.0.2.7 timeout 599s, 198.51.100.9 timeout 86400s }"
        );
        assert_eq!(lines[6], "add element inet trunkline banned6 { 2001:db8:1:2:: timeout 1s }");
        assert_eq!(nft(&json!([])).lines().count(), 5, "an empty list empties the sets");
    }

    /// Where there is an `nft` that may look at the kernel, it finds nothing wrong with the script, nor with the example that
    /// packages carry.
    #[test]
    fn the_firewall_takes_what_is_written_for_it() {
        let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/examples/nftables/trunkline.nft");
        let rules = std::fs::read_to_string(example).unwrap();
        let both = format!("{rules}\n{}", nft(&bans()));
        for set in ["banned4", "banned6"] {
            assert!(rules.contains(&format!("set {set} {{")) && rules.contains(&format!("@{set}")), "{set}");
        }
        for script in [nft(&bans()), both] {
            let Some((passed, said)) = checked(&script) else { return };
            assert!(passed, "{said}\n{script}");
        }
    }

    /// What `nft -c` says; `None` where it is not, or may not ask the kernel.
    fn checked(script: &str) -> Option<(bool, String)> {
        let mut nft = Command::new("nft");
        nft.args(["-c", "-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = nft.spawn().ok()?;
        child.stdin.take()?.write_all(script.as_bytes()).ok()?;
        let output = child.wait_with_output().ok()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let denied = ["not permitted", "not supported", "cache initialization failed"];
        (!denied.iter().any(|why| said.contains(why))).then_some((output.status.success(), said))
    }
}
