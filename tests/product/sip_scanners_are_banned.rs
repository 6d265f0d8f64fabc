//! Scanners are banned at once and nothing of them is read; operators list bans, load them into a firewall and lift them; the
//! call beside goes on, and no forged source bans its end.

use std::net::Ipv4Addr;
use std::time::Duration;

use trunkline_tests::attacker::Attacker;
use trunkline_tests::gateway::{Gateway, Options};
use trunkline_tests::line::{Line, shout};
use trunkline_tests::{echo, wait};

const SCANNER: Ipv4Addr = Ipv4Addr::new(127, 0, 1, 1);

fn typed(gateway: &Gateway, arguments: &[&str]) -> String {
    let output = gateway.command(arguments).unwrap().output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn counted(gateway: &Gateway, series: &str) -> u64 {
    let page = gateway.metrics().unwrap();
    let value = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("{series} is not counted:\n{page}")).parse().unwrap()
}

#[test]
fn they_get_nothing_until_their_ban_is_lifted() {
    let scratch = tempfile::tempdir().unwrap();
    let options: Options = echo::options(scratch.path(), 4).unwrap();
    let mut gateway = echo::gateway(scratch.path(), options).unwrap();
    gateway.await_agents(1).unwrap();
    assert_eq!(typed(&gateway, &["bans"]), "nobody is banned\n");
    let mut scanner = Attacker::at(SCANNER, gateway.sip()).unwrap();
    let mut forger = Attacker::at(Ipv4Addr::LOCALHOST, gateway.sip()).unwrap();
    let mut line = Line::open(gateway.sip(), "1000", 21).unwrap();
    let scan = |_: &mut Line, _: usize| -> anyhow::Result<()> {
        for (n, attacker) in [&mut scanner, &mut forger].into_iter().enumerate() {
            let name = ["friendly-scanner", "sipvicious"][n];
            let options = attacker.request("OPTIONS", "", &format!("User-Agent: {name}"))?;
            attacker.send(options.as_bytes())?;
        }
        Ok(())
    };
    line.talk(100, |_| shout(), scan).unwrap();
    assert_eq!(line.missing, 0);
    let all_counted = || {
        let dropped = |reason: &str| counted(&gateway, &format!("trunkline_sip_dropped{{reason=\"{reason}\"}}"));
        (dropped("scanner"), dropped("banned")) == (1, 99)
    };
    wait::until_true("all of them to be counted", Duration::from_secs(10), all_counted).unwrap();
    assert_eq!(scanner.answers().len(), 0, "it gets nothing");
    assert!(forger.answers().contains_key("SIP/2.0 200 OK"), "a trunk is served whatever it calls itself");
    assert_eq!(counted(&gateway, "trunkline_sip_bans{reason=\"scanner\"}"), 1);

    let list = typed(&gateway, &["bans"]);
    assert!(list.lines().count() == 2 && list.contains("127.0.1.1/32") && list.contains("scanner"), "{list}");
    let json: serde_json::Value = serde_json::from_str(&typed(&gateway, &["bans", "--json"])).unwrap();
    assert_eq!((json[0]["source"].as_str(), json[0]["kept_out"].as_u64()), (Some("127.0.1.1"), Some(99)));
    let nft = typed(&gateway, &["bans", "--nft"]);
    assert!(nft.contains("add element inet trunkline banned4 { 127.0.1.1 timeout "), "{nft}");
    // The log tells of it once, and of nobody's whole address.
    let log = gateway.process().log();
    let told: Vec<&str> = log.lines().filter(|line| line.contains("a source is banned")).collect();
    assert!(told.len() == 1 && told[0].contains("127.0.1.0/24") && !told[0].contains("127.0.1.1"), "{told:?}");

    typed(&gateway, &["bans", "lift", "127.0.1.1"]);
    let options = scanner.request("OPTIONS", "", "User-Agent: Asterisk PBX").unwrap();
    scanner.send(options.as_bytes()).unwrap();
    let forbidden = || scanner.answers().contains_key("SIP/2.0 403 Forbidden");
    wait::until_true("an answer like any stranger's", Duration::from_secs(10), forbidden).unwrap();
    let again = gateway.command(&["bans", "lift", "127.0.1.1"]).unwrap().output().unwrap();
    assert!(!again.status.success() && String::from_utf8_lossy(&again.stderr).contains("not banned"));
    line.hang_up().unwrap();
    gateway.stop().unwrap();
}
