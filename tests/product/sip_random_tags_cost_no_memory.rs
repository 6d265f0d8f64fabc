//! Requests that claim to be within calls, 500 a second and each with another tag, leave nothing behind in the gateway, and
//! cost the call beside them nothing.

use std::net::Ipv4Addr;
use std::path::Path;

use trunkline_tests::attacker::Attacker;
use trunkline_tests::echo;
use trunkline_tests::gateway::Gateway;
use trunkline_tests::line::{Line, shout};

/// 500 a second.
const A_FRAME: usize = 10;
/// What a run may add to the memory that another one before it took: allocators keep some for later.
const MOST_KIB: u64 = 4096;

fn gateway(scratch: &Path) -> Gateway {
    let gateway = echo::gateway(scratch, echo::options(scratch, 4).unwrap()).unwrap();
    gateway.await_agents(1).unwrap();
    gateway
}

/// Memory of a process that is in use, in KiB.
fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn transactions(gateway: &Gateway) -> u64 {
    let page = gateway.metrics().unwrap();
    let value = page.lines().find_map(|line| line.strip_prefix("trunkline_sip_transactions "));
    value.unwrap_or_else(|| panic!("transactions are not told:\n{page}")).parse().unwrap()
}

/// Memory after each of two halves of an attack, `frames` of 20 ms each.
fn attacked(frames: usize) -> [u64; 2] {
    let scratch = tempfile::tempdir().unwrap();
    let mut gateway = gateway(scratch.path());
    let mut attacker = Attacker::at(Ipv4Addr::LOCALHOST, gateway.sip()).unwrap();
    let mut line = Line::open(gateway.sip(), "1000", 41).unwrap();
    let mut within = |_: &mut Line, frame: usize| -> anyhow::Result<()> {
        for n in 0..A_FRAME {
            let method = ["BYE", "INVITE", "UPDATE", "INFO", "OPTIONS"][(frame + n) % 5];
            let tag = attacker.tag();
            let request = attacker.request(method, &tag, "")?;
            attacker.send(request.as_bytes())?;
        }
        attacker.answers();
        Ok(())
    };
    let pid = gateway.process().id();
    let taken = [0, 1].map(|_| {
        line.talk(frames, |_| shout(), &mut within).unwrap();
        resident_kib(pid)
    });
    assert_eq!(line.missing, 0, "the caller hears everything");
    assert!(transactions(&gateway) <= 8, "{} transactions are kept", transactions(&gateway));
    line.hang_up().unwrap();
    taken
}

#[test]
fn a_few_seconds_of_them() {
    let [first, second] = attacked(150);
    assert!(second <= first + MOST_KIB, "{first} KiB, then {second} KiB");
}

#[test]
#[ignore = "slow: two minutes of them"]
fn a_minute_of_them_and_another() {
    let [first, second] = attacked(50 * 60);
    assert!(second <= first + MOST_KIB, "{first} KiB, then {second} KiB");
}
