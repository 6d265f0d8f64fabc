//! Every shell block of the README and of the guides, but the two commands of the front door, typed as it stands into
//! fresh Debian machines that have nothing but the packages.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use trunkline_tests::machine::Machine;
use trunkline_tests::{greeted, packages, wait};

use crate::documents::{self, Document};

/// How long a check that is typed until it is content may take: what it waits for happens within moments.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where the README is typed, in its order, and what is typed elsewhere.
const TYPED: [(&str, &[&str]); 5] = [
    ("README.md", &["install-it", "without-a-control-plane"]),
    ("docs/how-to/capture-and-replay.md", &["order-it", "live-it-again", "give-it-to-others"]),
    ("docs/how-to/jambonz-trunk.md", &["on-the-gateway"]),
    ("docs/how-to/pbx-trunk.md", &["on-the-gateway"]),
    ("docs/how-to/two-hosts.md", &["on-the-control-planes-host", "on-the-gateways-host"]),
];

/// The shell blocks of a document under a heading.
fn blocks(document: &str, under: &str) -> Vec<String> {
    let found = Document::read(document).blocks.into_iter();
    let blocks: Vec<String> =
        found.filter(|block| block.language == "sh" && block.under == under).map(|block| block.text).collect();
    assert!(!blocks.is_empty(), "{document} has no shell block under #{under}");
    blocks
}

/// Types blocks into one shell of `machine`, in its `/root`; returns what the last one printed. A block that only looks
/// is typed again until it is content, as people do.
fn typed(machine: &Machine, before: &str, blocks: &[String]) -> String {
    let mut session = format!("cd /root\n{before}\n");
    let mut said = String::new();
    for block in blocks {
        if block.trim() == "trunkline doctor" {
            wait::until_true("`trunkline doctor` to be content", PATIENCE, || {
                machine.sh(block).is_ok_and(|said| said.code == 0)
            })
            .unwrap_or_else(|error| panic!("{error}:\n{}", machine.said(block)));
            continue;
        }
        // Variables of earlier blocks are still there in a real shell: a file of them stands for that.
        let script = format!(
            "{session}[ ! -f /run/typed ] || . /run/typed\n{block}\ndeclare -p AUTH API AGENT TOKEN 2>/dev/null > /run/typed || true\n"
        );
        said = machine
            .run(&script)
            .unwrap_or_else(|error| panic!("{error:#}\n{}", machine.said("journalctl --no-pager --lines 40")))
            .text;
        session = "cd /root\n".to_owned();
    }
    said
}

fn debs() -> Vec<PathBuf> {
    packages::files(&packages::made("deb", 1).unwrap(), ".deb").unwrap()
}

/// Puts the packages where the reader of the README has them.
fn bring(machine: &Machine) {
    for package in debs() {
        std::fs::copy(&package, machine.root().join("root").join(package.file_name().unwrap())).unwrap();
    }
}

fn a_call_is_greeted(machine: &Machine, scratch: &Path) {
    let on_network = |program: &str| -> Command { machine.on_its_network(program) };
    let heard_ms = greeted::call(scratch, &on_network, "1000", Duration::from_secs(4)).unwrap();
    assert!(heard_ms >= 500, "the greeting was audible for {heard_ms} ms; {}", machine.said("journalctl -u trunkline"));
}

#[test]
fn the_readme_installs_joins_and_takes_a_first_call() {
    let scratch = tempfile::tempdir().unwrap();
    let machine = Machine::fresh(scratch.path()).unwrap();
    bring(&machine);
    typed(&machine, "", &blocks("README.md", "install-it"));
    a_call_is_greeted(&machine, scratch.path());
    let calls = machine.run("trunkline calls --ended --json").unwrap().text;
    let call = calls.split('"').find(|word| word.starts_with("call_")).unwrap_or_else(|| panic!("{calls}")).to_owned();
    assert!(machine.run(&format!("trunkline trace {call}")).unwrap().text.contains("INVITE"));
    wait::until_true("the call at the control plane", PATIENCE, || {
        machine
            .sh(&format!(
                "curl -sSf -H \"Authorization: Bearer $(cat /var/lib/trunkline-control-plane/admin.key)\" \
                 http://127.0.0.1:7000/v1/calls/{call}"
            ))
            .is_ok_and(|said| said.code == 0)
    })
    .unwrap();
}

#[test]
fn a_gateway_serves_without_a_control_plane_as_the_readme_says() {
    let scratch = tempfile::tempdir().unwrap();
    let machine = Machine::fresh(scratch.path()).unwrap();
    let gateway: Vec<PathBuf> =
        debs().into_iter().filter(|package| !package.to_string_lossy().contains("control-plane")).collect();
    machine.install(&gateway).unwrap();
    typed(&machine, "", &blocks("README.md", "without-a-control-plane"));
    a_call_is_greeted(&machine, scratch.path());
    let usage = machine.run("trunkline usage").unwrap().text;
    assert!(usage.contains("call_"), "{usage}");

    let guide = "docs/how-to/capture-and-replay.md";
    typed(&machine, "", &blocks(guide, "order-it"));
    a_call_is_greeted(&machine, scratch.path());
    let shown = typed(&machine, "", &blocks(guide, "live-it-again"));
    assert!(shown.contains("call.answered") && shown.contains("identical"), "{shown}");
    assert!(typed(&machine, "", &blocks(guide, "give-it-to-others")).contains("identical"));

    // The guides begin where the README ends: each finds a gateway that has no objects yet.
    for guide in ["docs/how-to/pbx-trunk.md", "docs/how-to/jambonz-trunk.md"] {
        machine.run("rm -f /etc/trunkline/conf.d/objects/*.toml /etc/trunkline/conf.d/*.toml").unwrap();
        typed(&machine, "", &blocks(guide, "on-the-gateway"));
        let listening = machine.run("cat /proc/net/udp").unwrap().text;
        assert!(listening.contains("00000000:13C4"), "{guide}: SIP is not on every address:\n{listening}");
    }
}

#[test]
fn two_hosts_join_as_the_guide_says() {
    let scratch = tempfile::tempdir().unwrap();
    let (first, second) = (scratch.path().join("1"), scratch.path().join("2"));
    std::fs::create_dir_all(&first).unwrap();
    std::fs::create_dir_all(&second).unwrap();
    let (control_plane, gateway) = (Machine::fresh(&first).unwrap(), Machine::fresh(&second).unwrap());
    control_plane.cable("192.0.2.1/24", &gateway, "192.0.2.10/24").unwrap();
    let (its, others): (Vec<PathBuf>, Vec<PathBuf>) =
        debs().into_iter().partition(|package| package.to_string_lossy().contains("control-plane"));
    control_plane.install(&its).unwrap();
    gateway.install(&others).unwrap();

    let guide = "docs/how-to/two-hosts.md";
    let here = blocks(guide, "on-the-control-planes-host");
    let token_block = here.iter().position(|block| block.contains("enrol-token")).unwrap();
    typed(&control_plane, "", &here[..token_block]);
    let token = typed(&control_plane, "", &here[token_block..=token_block]);
    let token = token.split_whitespace().find(|word| word.starts_with("tl_enrol_")).unwrap().to_owned();
    typed(&control_plane, "", &here[token_block + 1..]);

    let wrong = format!("{}{}", &token[..token.len() - 4], "0000");
    for (url, token, expected) in
        [("http://192.0.2.1:7001", token.as_str(), "plain HTTP"), ("https://192.0.2.1:7001", wrong.as_str(), "key")]
    {
        let said = gateway.sh(&format!("trunkline enrol {url} {token}")).unwrap();
        assert!(said.code != 0 && said.text.contains(expected), "{url} {}: {}", said.code, said.text);
    }
    typed(&gateway, &format!("TOKEN={token}"), &blocks(guide, "on-the-gateways-host"));
    wait::until_true("the gateway to be connected", PATIENCE, || {
        gateway.said("trunkline doctor").lines().any(|line| line.starts_with("ok") && line.contains("control plane"))
    })
    .unwrap_or_else(|error| {
        panic!("{error}: {}", gateway.said("trunkline doctor; journalctl -u trunkline --lines 20"))
    });
}

#[test]
fn no_shell_block_of_readme_or_guides_is_left_untyped() {
    let typed: BTreeSet<(String, String)> = TYPED
        .iter()
        .flat_map(|(document, headings)| headings.iter().map(|heading| ((*document).to_owned(), (*heading).to_owned())))
        .collect();
    let mut found = BTreeSet::new();
    for document in documents::all() {
        if document.name != "README.md" && !document.name.starts_with("docs/how-to/") {
            continue;
        }
        for block in document.blocks.iter().filter(|block| block.language == "sh") {
            found.insert((document.name.clone(), block.under.clone()));
        }
        let bare: Vec<&str> = document
            .blocks
            .iter()
            .filter(|block| block.language.is_empty() && block.under != "quickstart")
            .map(|block| block.text.as_str())
            .collect();
        assert!(bare.is_empty(), "{}: say of every block what it is: {bare:?}", document.name);
    }
    assert_eq!(found, typed);
}
