//! Floods of requests and of rubbish, from strangers and with the forged source of a trunk, cost the call beside them no frame
//! either way, and its BYE is answered.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use trunkline_tests::attacker::Attacker;
use trunkline_tests::gateway::Gateway;
use trunkline_tests::line::{Line, shout};
use trunkline_tests::{echo, wait};

/// Datagrams in each 20 ms: 2000 a second.
const A_FRAME: usize = 40;
/// Three seconds of each.
const FRAMES: usize = 150;
/// Packets until sound comes back, and what the last ones have still to come.
const DELAY: u64 = 25;

fn gateway(scratch: &Path) -> Gateway {
    // As many calls as a small gateway is set up for, and the rates that one has where nothing else is said.
    let options = echo::options(scratch, 40).unwrap();
    let options = options.with("TRUNKLINE_SIP__SOURCE_RATE", "2000").with("TRUNKLINE_SIP__SOURCE_BURST", "4000");
    echo::gateway(scratch, options).unwrap()
}

/// Packets of callers that came.
fn packets_in(gateway: &Gateway) -> u64 {
    let page = gateway.metrics().unwrap();
    let value = page.lines().find_map(|line| line.strip_prefix("trunkline_media_packets_in_total "));
    value.unwrap_or_else(|| panic!("packets are not counted:\n{page}")).parse().unwrap()
}

/// A call beside which somebody sends what `attack` makes, `frames` times 20 ms long.
fn beside(frames: usize, ips: &[Ipv4Addr], attack: impl Fn(&mut Attacker) -> anyhow::Result<Vec<u8>>) {
    let scratch = tempfile::tempdir().unwrap();
    let mut gateway = gateway(scratch.path());
    gateway.await_agents(1).unwrap();
    let mut attackers: Vec<Attacker> = ips.iter().map(|ip| Attacker::at(*ip, gateway.sip()).unwrap()).collect();
    let mut line = Line::open(gateway.sip(), "1000", 11).unwrap();
    let flood = |_: &mut Line, frame: usize| -> anyhow::Result<()> {
        for n in 0..A_FRAME {
            let at = (frame * A_FRAME + n) % attackers.len();
            let message = attack(&mut attackers[at])?;
            attackers[at].send(&message)?;
            // Nobody reads the answers: those beyond what the socket holds are lost, as they would be anywhere.
        }
        Ok(())
    };
    line.talk(frames, |_| shout(), flood).unwrap();
    let (heard, missing) = (line.heard, line.missing);
    assert_eq!(missing, 0, "of {heard} packets that the caller heard");
    assert!(heard + DELAY >= frames as u64, "{heard} of {frames} packets came back");
    let all_came = || packets_in(&gateway) >= frames as u64;
    wait::until_true("the caller's last packet", Duration::from_secs(10), all_came).unwrap();
    line.hang_up().unwrap();
    assert!(gateway.process().is_running() && !gateway.process().log().contains("panicked"));
    // Whoever is a trunk is served again once it is over.
    let last = wait::until("another call", Duration::from_secs(90), || Line::open(gateway.sip(), "1000", 12).ok());
    last.unwrap().hang_up().unwrap();
}

fn strangers() -> Vec<Ipv4Addr> {
    (1..=100).map(|host| Ipv4Addr::new(127, 0, 1, host)).collect()
}

/// The caller's own address: from another port of it anybody may send what a trunk may.
const FORGED: [Ipv4Addr; 1] = [Ipv4Addr::LOCALHOST];

#[test]
fn a_flood_of_registrations() {
    beside(FRAMES, &strangers(), |attacker| Ok(attacker.request("REGISTER", "", "Expires: 3600")?.into_bytes()));
}

#[test]
fn a_flood_of_calls_of_strangers() {
    beside(FRAMES, &strangers(), |attacker| Ok(attacker.invite()?.into_bytes()));
}

#[test]
fn a_flood_of_calls_with_the_forged_source_of_a_trunk() {
    beside(FRAMES, &FORGED, |attacker| Ok(attacker.invite()?.into_bytes()));
}

#[test]
fn rubbish_with_the_forged_source_of_a_trunk() {
    beside(FRAMES, &FORGED, Attacker::junk);
}

#[test]
#[ignore = "slow: a minute of each flood"]
fn a_minute_of_each() {
    const MINUTE: usize = 50 * 60;
    beside(MINUTE, &strangers(), |attacker| Ok(attacker.request("REGISTER", "", "Expires: 3600")?.into_bytes()));
    beside(MINUTE, &strangers(), |attacker| Ok(attacker.invite()?.into_bytes()));
    beside(MINUTE, &FORGED, |attacker| Ok(attacker.invite()?.into_bytes()));
    beside(MINUTE, &FORGED, Attacker::junk);
}
