//! The binaries that ship: in release packages optimised, with their dependencies written into them, and without a
//! trace of the machine they were built on.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::Profile;
use crate::{deny, packages, products, shell};

/// What the packages carry.
pub(super) const SHIPPED: &[&str] = &["trunkline", "trunkline-control-plane"];

const AUDITABLE_VERSION: &str = "0.7.7";

/// The folder with the binaries of this profile, built unless a build left them behind.
pub(super) fn of(profile: Profile, built: bool) -> anyhow::Result<PathBuf> {
    let target = shell::target_dir();
    match profile {
        Profile::Dev => {
            if !built {
                products::build()?;
            }
            Ok(target.join("debug"))
        }
        Profile::Release => {
            // A target directory of its own: the flags below would have cargo build everybody else's again.
            let target = target.join("packages/build");
            if !built {
                packages::ensure(packages::PLUGINS)?;
                release(&target)?;
            }
            Ok(target.join("release"))
        }
    }
}

/// Builds with `cargo auditable`: scanners read the list of dependencies from an installed binary.
fn release(target: &Path) -> anyhow::Result<()> {
    let present =
        Command::new("cargo").args(["auditable", "--version"]).output().is_ok_and(|output| output.status.success());
    if !present {
        shell::run(deny::light_install().args(["cargo-auditable", "--version", AUDITABLE_VERSION]))?;
    }
    let mut cargo = shell::cargo();
    cargo.env("CARGO_TARGET_DIR", target).env("RUSTFLAGS", shell::remapped_paths(target).join(" "));
    cargo.args(["auditable", "build", "--release", "--locked"]);
    for name in SHIPPED {
        cargo.args(["-p", name]);
    }
    shell::run(&mut cargo)
}
