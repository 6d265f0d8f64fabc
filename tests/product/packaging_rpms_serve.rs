//! The RPM packages install with `rpm --root` into a fresh system, their scriptlets run, and the gateway that they
//! installed answers a call there; an erased package leaves its state.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use trunkline_tests::machine::Machine;
use trunkline_tests::{greeted, objects, packages};

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?} ended with {}:\n{said}", output.status);
    said
}

/// `rpm` of this machine working on that root. Debian's libraries are in no RPM database, so their names are not asked
/// for.
fn rpm(root: &Path, arguments: &[&str]) -> Command {
    let mut rpm = Command::new("rpm");
    rpm.arg("--root").arg(root).args(arguments);
    rpm
}

#[test]
#[ignore = "slow: makes rpms, boots a machine of its own and needs rpm and rpmlint"]
fn installed_with_scriptlets_they_answer_a_call_and_are_erased_with_their_state_kept() {
    let scratch = tempfile::tempdir().unwrap();
    let root = Machine::unpack(scratch.path()).unwrap();
    let rpms = packages::files(&packages::made("rpm", 1).unwrap(), ".rpm").unwrap();
    assert_eq!(rpms.len(), 4, "{rpms:?}");
    output(rpm(&root, &["--initdb"]).env("LC_ALL", "C"));
    let said = output(rpm(&root, &["-i", "--nodeps"]).args(&rpms));
    assert!(!said.contains("failed"), "{said}");
    let passwd = std::fs::read_to_string(root.join("etc/passwd")).unwrap();
    assert!(passwd.contains("trunkline:") && passwd.contains("trunkline-cp:"), "{passwd}");
    output(&mut rpm(&root, &["-V", "--nodeps", "trunkline", "trunkline-control-plane", "trunkline-plugins"]));

    let agent = objects::offline_agent("Good morning, the operator speaks.");
    let folder = root.join("etc/trunkline/conf.d/objects");
    std::fs::write(folder.join("first.toml"), objects::answering(&agent).unwrap()).unwrap();

    let machine = Machine::boot(&root).unwrap();
    let modes =
        machine.run("stat -c '%U:%G %a' /etc/trunkline /etc/trunkline/trunkline.toml /var/lib/trunkline").unwrap();
    assert_eq!(modes.text, "root:trunkline 750\nroot:trunkline 640\ntrunkline:trunkline 700\n");
    machine.run("chgrp trunkline /etc/trunkline/conf.d/objects/first.toml").unwrap();
    machine
        .run("systemctl start trunkline trunkline-control-plane")
        .unwrap_or_else(|error| panic!("{error}\n{}", machine.said("journalctl --no-pager --lines 40")));
    let on_network = |program: &str| machine.on_its_network(program);
    let heard_ms = greeted::call(scratch.path(), &on_network, "1000", Duration::from_secs(4)).unwrap();
    assert!(heard_ms >= 500, "the greeting was audible for {heard_ms} ms");

    machine.run("echo '# edited by the operator' >> /etc/trunkline/trunkline.toml").unwrap();
    let newer = packages::files(&packages::made("rpm", 2).unwrap(), ".rpm").unwrap();
    output(rpm(&root, &["-U", "--nodeps"]).args(&newer));
    machine.run("grep -q 'edited by the operator' /etc/trunkline/trunkline.toml").unwrap();
    output(&mut rpm(
        &root,
        &["-e", "trunkline", "trunkline-control-plane", "trunkline-plugins", "trunkline-plugin-espeak"],
    ));
    machine.run("test -s /var/lib/trunkline/admin.token && ! test -e /usr/bin/trunkline").unwrap();
    machine.run("test -s /etc/trunkline/trunkline.toml.rpmsave").unwrap();
}

#[test]
#[ignore = "slow: needs rpmlint"]
fn rpmlint_finds_nothing_that_is_not_explained() {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/rpm/rpmlint.toml");
    let rpms = packages::files(&packages::made("rpm", 1).unwrap(), ".rpm").unwrap();
    let said = output(Command::new("rpmlint").arg("--config").arg(config).args(&rpms));
    println!("{said}");
    assert!(said.contains("0 errors, 0 warnings"), "{said}");
}
