//! Two builds of one commit, in two target directories, are the same packages to the last byte, and every one is signed
//! with the key that was given.

use std::path::Path;
use std::process::Command;

use trunkline_tests::packages;
use trunkline_tests::process::from_environment;

fn succeed(command: &mut Command) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} ended with {}:\n{said}", output.status);
}

fn packaged(target: &Path, out: &Path, key: &Path) {
    let mut xtask = Command::new(from_environment("TRUNKLINE_XTASK").unwrap());
    xtask.args(["package", "--profile", "release", "--key"]).arg(key).arg("--out").arg(out);
    succeed(xtask.env("CARGO_TARGET_DIR", target));
}

#[test]
#[ignore = "slow: builds the product twice with its release profile, a quarter of an hour each on two cores"]
fn two_builds_of_one_commit_have_the_same_hashes() {
    let plugins = from_environment("TRUNKLINE_PLUGINS").unwrap();
    let target = plugins.parent().unwrap();
    let folder = target.join("packages/reproduced");
    std::fs::create_dir_all(&folder).unwrap();
    let key = folder.join("release.key");
    let public = folder.join("release.pub");
    succeed(Command::new("minisign").args(["-G", "-W", "-f", "-s"]).arg(&key).arg("-p").arg(&public));
    let (first, second) = (folder.join("first"), folder.join("second"));
    for out in [&first, &second] {
        let _ = std::fs::remove_dir_all(out);
    }
    packaged(target, &first, &key);
    packaged(&target.join("again"), &second, &key);
    let mut names = Vec::new();
    for ending in [".deb", ".rpm", ".oci.tar"] {
        names.extend(packages::files(&first, ending).unwrap());
    }
    assert_eq!(names.len(), 10, "{names:?}");
    for file in names {
        let name = file.file_name().unwrap();
        let (one, other) = (std::fs::read(&file).unwrap(), std::fs::read(second.join(name)).unwrap());
        assert!(one == other, "{} differs from build to build", name.to_string_lossy());
        succeed(Command::new("minisign").arg("-Vm").arg(&file).arg("-p").arg(&public));
    }
}
