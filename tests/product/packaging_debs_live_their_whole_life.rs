//! On a fresh Debian machine the packages install, both services run under their units as their own users, a call is
//! answered and greeted; an upgrade spares live calls, state and edited configuration; removing keeps state, purging
//! leaves nothing.

use std::path::PathBuf;
use std::time::Duration;

use trunkline_tests::machine::Machine;
use trunkline_tests::{greeted, objects, packages, wait};

/// Everything on the machine that an installation could leave behind, with owner and mode.
const EVERYTHING: &str = "cd / && find . -xdev \\( -path ./proc -o -path ./sys -o -path ./dev -o -path ./run -o -path ./tmp \
    -o -path ./var/tmp -o -path ./root -o -path ./var/lib/dpkg -o -path ./var/lib/apt -o -path ./var/cache \
    -o -path ./var/log -o -name .updated -o -name '*-' \\) -prune -o -printf '%p %u:%g %m\\n' | sort; \
    cat /etc/passwd /etc/group";

fn debs(revision: u32) -> Vec<PathBuf> {
    packages::files(&packages::made("deb", revision).unwrap(), ".deb").unwrap()
}

fn gateway_pid(machine: &Machine) -> String {
    machine.run("systemctl show --property MainPID --value trunkline").unwrap().text.trim().to_owned()
}

#[test]
fn installed_called_upgraded_removed_and_purged() {
    let scratch = tempfile::tempdir().unwrap();
    let machine = Machine::fresh(scratch.path()).unwrap();
    let before = machine.run(EVERYTHING).unwrap().text;
    let (first, second) = (debs(1), debs(2));

    machine.install(&first).unwrap();
    services_run_as_their_own_users(&machine);

    let folder = machine.root().join("etc/trunkline/conf.d/objects");
    let agent = objects::offline_agent("Good morning, the operator speaks.");
    std::fs::write(folder.join("first.toml"), objects::answering(&agent).unwrap()).unwrap();
    machine.run("chgrp trunkline /etc/trunkline/conf.d/objects/first.toml && chmod 640 /etc/trunkline/conf.d/objects/first.toml").unwrap();
    machine.run("runuser -u trunkline -- trunkline check && systemctl restart trunkline").unwrap();
    let on_network = |program: &str| machine.on_its_network(program);
    let heard_ms = greeted::call(scratch.path(), &on_network, "1000", Duration::from_secs(4)).unwrap();
    assert!(heard_ms >= 500, "the greeting was audible for {heard_ms} ms; {}", machine.said("journalctl -u trunkline"));

    upgrade_spares_calls_state_and_configuration(&machine, scratch.path(), &second);

    joins_the_control_plane_beside_it(&machine);

    machine
        .run("apt-get remove --yes trunkline trunkline-control-plane trunkline-plugins trunkline-plugin-espeak")
        .unwrap();
    assert_ne!(machine.sh("systemctl is-active trunkline").unwrap().code, 0);
    machine
        .run("test -s /var/lib/trunkline/admin.token && test -s /var/lib/trunkline-control-plane/control-plane.db && grep -q edited /etc/trunkline/trunkline.toml")
        .unwrap();
    machine.run("! command -v trunkline && ! test -e /usr/lib/trunkline").unwrap();

    machine
        .run("apt-get purge --yes trunkline trunkline-control-plane trunkline-plugins trunkline-plugin-espeak")
        .unwrap();
    let after = machine.run(EVERYTHING).unwrap().text;
    let left: Vec<&str> = after.lines().filter(|line| !before.lines().any(|known| known == *line)).collect();
    assert!(left.is_empty(), "purging left:\n{}", left.join("\n"));
    let taken: Vec<&str> = before.lines().filter(|line| !after.lines().any(|known| known == *line)).collect();
    assert!(taken.is_empty(), "purging took:\n{}", taken.join("\n"));
}

fn services_run_as_their_own_users(machine: &Machine) {
    for (unit, user, config, state) in [
        ("trunkline", "trunkline", "/etc/trunkline", "/var/lib/trunkline"),
        ("trunkline-control-plane", "trunkline-cp", "/etc/trunkline-control-plane", "/var/lib/trunkline-control-plane"),
    ] {
        machine.run(&format!("systemctl is-active {unit} && systemctl is-enabled {unit}")).unwrap_or_else(|error| {
            panic!("{error}\n{}", machine.said(&format!("systemctl status --no-pager --lines 30 {unit}")))
        });
        let owner =
            machine.run(&format!("stat -c %U /proc/$(systemctl show --property MainPID --value {unit})")).unwrap();
        assert_eq!(owner.text.trim(), user);
        let file = if unit == "trunkline" { "trunkline.toml" } else { "control-plane.toml" };
        let modes = machine.run(&format!("stat -c '%U:%G %a' {config} {config}/{file} {state}")).unwrap().text;
        assert_eq!(modes, format!("root:{user} 750\nroot:{user} 640\n{user}:{user} 700\n"));
        let open = machine.run(&format!("find {state} ! -user {user} -o -perm /077 ! -type l")).unwrap().text;
        assert_eq!(open, "", "readable by others, or another's");
        machine
            .run(&format!("test -s /usr/share/man/man1/{unit}.1.gz && test -s /usr/share/doc/{unit}/sbom.cdx.json"))
            .unwrap();
        let of_help = machine.run("find /usr/share/man/man1 -name 'trunkline*-help*'").unwrap().text;
        assert_eq!(of_help, "", "pages that say what the page of the command itself says");
        machine.run(&format!("test -s /usr/share/bash-completion/completions/{unit} && {unit} --version")).unwrap();
    }
    // State of a socket, local address: nothing is reachable from outside before it is configured.
    let listening = machine.run("cat /proc/net/tcp /proc/net/udp").unwrap().text;
    let addresses: Vec<&str> = listening
        .lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            (matches!(*fields.get(3)?, "0A" | "07")).then(|| fields.get(1).copied())?
        })
        .collect();
    for port in [":13C4", ":1B58", ":1B59", ":1BA9"] {
        assert!(addresses.iter().any(|address| address.ends_with(port)), "{port} in {addresses:?}");
    }
    assert!(addresses.iter().all(|address| address.starts_with("0100007F")), "{addresses:?}");
}

fn upgrade_spares_calls_state_and_configuration(machine: &Machine, scratch: &std::path::Path, second: &[PathBuf]) {
    machine.run("echo '# edited by the operator' >> /etc/trunkline/trunkline.toml").unwrap();
    let token = machine.run("sha256sum /var/lib/trunkline/admin.token").unwrap().text;
    let keys = machine.run("cd /var/lib/trunkline-control-plane && sha256sum *.key").unwrap().text;
    let (before, hold) = (gateway_pid(machine), Duration::from_secs(25));
    let on_network = |program: &str| machine.on_its_network(program);
    let mut caller = greeted::begin(scratch, &on_network, "1000", hold).unwrap();
    wait::until_true("the call to be up", Duration::from_secs(10), || {
        machine.said("trunkline calls --json").contains("call_")
    })
    .unwrap();
    let said = machine.install(second).unwrap().text;
    assert!(caller.is_running(), "the upgrade took longer than the call");
    assert!(said.contains("calls are up"), "{said}");
    assert_eq!(gateway_pid(machine), before, "an upgrade ended a gateway with a live call");
    assert!(caller.wait(hold).unwrap().success(), "{}", caller.log());

    machine.run("grep -q 'edited by the operator' /etc/trunkline/trunkline.toml").unwrap();
    assert_eq!(machine.run("stat -c '%U:%G %a' /etc/trunkline/trunkline.toml").unwrap().text, "root:trunkline 640\n");
    assert_eq!(machine.run("sha256sum /var/lib/trunkline/admin.token").unwrap().text, token);
    assert_eq!(machine.run("cd /var/lib/trunkline-control-plane && sha256sum *.key").unwrap().text, keys);
    assert!(machine.run("dpkg-query -W trunkline").unwrap().text.trim_end().ends_with("-2"));

    wait::until_true("the call to be over", Duration::from_secs(10), || {
        machine.said("trunkline calls --json").trim() == "[]"
    })
    .unwrap();
    machine.install(second).unwrap();
    assert_ne!(gateway_pid(machine), before, "a gateway without calls goes on with the old program");
    machine.run("systemctl is-active trunkline trunkline-control-plane").unwrap();
}

fn joins_the_control_plane_beside_it(machine: &Machine) {
    machine
        .run("token=$(trunkline-control-plane enrol-token) && trunkline enrol http://127.0.0.1:7001 \"$token\"")
        .unwrap();
    let written = machine.run("stat -c '%G %a' /etc/trunkline/conf.d/50-control-plane.toml").unwrap().text;
    assert_eq!(written, "trunkline 640\n");
    machine.run("find /var/lib/trunkline ! -user trunkline | (! grep .)").unwrap();
    machine.run("systemctl restart trunkline").unwrap();
    wait::until_true("the gateway to be connected", Duration::from_secs(20), || {
        machine.said("trunkline doctor").lines().any(|line| line.starts_with("ok") && line.contains("control plane"))
    })
    .unwrap_or_else(|error| {
        panic!("{error}: {}", machine.said("trunkline doctor; journalctl -u trunkline --lines 20"))
    });
}
