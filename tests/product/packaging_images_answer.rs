//! The OCI image, unpacked by `umoci` and run by `crun` as any engine would, answers a call as a user without rights.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use trunkline_tests::process::Process;
use trunkline_tests::{greeted, objects, packages, wait};

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?} ended with {}:\n{said}", output.status);
    said
}

/// The runtime's configuration as umoci made it from the image, in the network it is started in, with the objects of an
/// operator where the image's gateway looks for them.
fn bundle(scratch: &Path, image: &Path) -> std::path::PathBuf {
    let layout = scratch.join("layout");
    std::fs::create_dir_all(&layout).unwrap();
    output(Command::new("tar").arg("-xf").arg(image).arg("-C").arg(&layout));
    let bundle = scratch.join("bundle");
    let version = env!("CARGO_PKG_VERSION");
    output(
        Command::new("umoci").arg("unpack").arg("--image").arg(format!("{}:{version}", layout.display())).arg(&bundle),
    );
    let file = bundle.join("config.json");
    let mut config: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    config["process"]["terminal"] = json!(false);
    config["linux"]["namespaces"].as_array_mut().unwrap().retain(|namespace| namespace["type"] != "network");
    let objects = scratch.join("objects");
    std::fs::create_dir_all(&objects).unwrap();
    let agent = objects::offline_agent("Good morning, the operator speaks.");
    std::fs::write(objects.join("first.toml"), objects::answering(&agent).unwrap()).unwrap();
    config["mounts"].as_array_mut().unwrap().push(json!({
        "destination": "/etc/trunkline/conf.d/objects", "source": objects, "type": "bind", "options": ["bind", "ro"],
    }));
    std::fs::write(file, config.to_string()).unwrap();
    bundle
}

/// A network of its own, so that its ports are nobody else's; and the one hierarchy of control groups that crun knows,
/// which refuses a machine that has both.
const IN_NAMESPACES: &str = "ip link set lo up && { umount -R /sys/fs/cgroup || true; } && \
    mount -t cgroup2 none /sys/fs/cgroup && exec crun --cgroup-manager=disabled run --bundle \"$1\" \"$2\"";

#[test]
#[ignore = "slow: makes images and needs umoci and crun"]
fn the_gateways_image_answers_a_call() {
    let scratch = tempfile::tempdir().unwrap();
    let images = packages::files(&packages::made("oci", 1).unwrap(), ".oci.tar").unwrap();
    assert_eq!(images.len(), 2, "{images:?}");
    let image = images.iter().find(|image| !image.to_string_lossy().contains("control-plane")).unwrap();
    let bundle = bundle(scratch.path(), image);
    let config: Value = serde_json::from_slice(&std::fs::read(bundle.join("config.json")).unwrap()).unwrap();
    assert_eq!(config["process"]["user"]["uid"], 10_001);
    assert_eq!(config["process"]["args"], json!(["/usr/bin/trunkline", "run"]));

    let name = format!("trunkline-test-{}", std::process::id());
    let mut crun = Command::new("unshare");
    crun.args(["--mount", "--net", "--", "sh", "-c", IN_NAMESPACES, "sh"]);
    let mut container = Process::start("crun", scratch.path(), crun.arg(&bundle).arg(&name)).unwrap();
    container
        .await_sign("the gateway to run", Duration::from_secs(90), |log| log.contains("trunkline runs").then_some(()))
        .unwrap();
    let network = format!("/proc/{}/ns/net", container.id());
    let on_network = |program: &str| {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={network}")).arg("--").arg(program);
        command
    };
    let heard_ms = greeted::call(scratch.path(), &on_network, "1000", Duration::from_secs(4)).unwrap();
    assert!(heard_ms >= 500, "the greeting was audible for {heard_ms} ms; {}", container.log());
    output(Command::new("crun").args(["kill", &name, "TERM"]));
    let status = container.wait(Duration::from_secs(60)).unwrap();
    assert!(status.success(), "{status}: {}", container.log());
    wait::until_true("the container to be gone", Duration::from_secs(10), || {
        !Command::new("crun").args(["state", &name]).output().unwrap().status.success()
    })
    .unwrap();
}
