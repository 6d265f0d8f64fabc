//! Debian packages: the staged files, and everything else by Debian's own debhelper (ADR 9).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Profile, Run, stage};
use crate::shell;

/// debhelper's programs in the order in which `dh` calls them. The gateway is left alone by an upgrade, because calls
/// would end: `packaging/after-install` decides. The control plane restarts; gateways serve without it meanwhile.
const STEPS: &[(&str, &[&str])] = &[
    ("dh_installchangelogs", &[]),
    ("dh_installsysusers", &[]),
    ("dh_installtmpfiles", &[]),
    ("dh_installsystemd", &["-ptrunkline", "--no-stop-on-upgrade", "--no-restart-after-upgrade"]),
    ("dh_installsystemd", &["-ptrunkline-control-plane"]),
    ("dh_lintian", &[]),
    // Tools look for bills of material by their name.
    ("dh_compress", &["-Xsbom.cdx.json"]),
    ("dh_installdeb", &[]),
    ("dh_shlibdeps", &[]),
    ("dh_gencontrol", &[]),
    ("dh_md5sums", &[]),
];

/// Where Debian 12 keeps what others keep elsewhere: its debhelper knows units in `/lib` only.
const DEBIAN_PLACES: &[(&str, &str)] = &[
    ("usr/lib/systemd/system", "lib/systemd/system"),
    ("usr/share/zsh/site-functions", "usr/share/zsh/vendor-completions"),
];

/// Makes a .deb of every package; returns their paths.
pub(super) fn make(run: &Run) -> anyhow::Result<Vec<PathBuf>> {
    let source = run.work.join("deb");
    let debian = source.join("debian");
    fs::create_dir_all(&debian)?;
    for file in fs::read_dir(shell::root().join("packaging/deb"))? {
        let file = file?.path();
        fs::copy(&file, debian.join(file.file_name().unwrap_or_default()))?;
    }
    fs::write(debian.join("changelog"), changelog(run)?)?;
    for package in &run.packages {
        let root = debian.join(&package.name);
        shell::run(Command::new("cp").arg("-a").arg(&package.root).arg(&root))?;
        for (from, to) in DEBIAN_PLACES {
            let (from, to) = (root.join(from), root.join(to));
            if from.exists() {
                fs::create_dir_all(to.parent().unwrap_or(&root))?;
                fs::rename(from, to)?;
            }
        }
    }
    for (step, arguments) in STEPS {
        shell::run(debhelper(run, &source, step).args(*arguments))?;
    }
    // Tests unpack these once; only those for others are worth the time of a small file.
    let compression: &[&str] = if run.profile == Profile::Dev { &["-Zgzip", "-z1"] } else { &["-Zxz"] };
    let mut build = debhelper(run, &source, "dh_builddeb");
    shell::run(build.arg("--destdir").arg(&run.out).arg("--").args(compression))?;
    let architecture = shell::output(Command::new("dpkg").arg("--print-architecture"))?;
    let file = |package: &stage::Staged| {
        let architecture = if package.any_architecture { "all" } else { architecture.trim() };
        run.out.join(format!("{}_{}-{}_{architecture}.deb", package.name, run.version, run.revision))
    };
    Ok(run.packages.iter().map(file).collect())
}

fn debhelper(run: &Run, source: &Path, program: &str) -> Command {
    let mut command = run.command(program);
    command.current_dir(source).env("DH_QUIET", "1");
    command
}

/// Debian wants a changelog of the packaging; the product's is in the repository.
fn changelog(run: &Run) -> anyhow::Result<String> {
    let control = fs::read_to_string(shell::root().join("packaging/deb/control"))?;
    let maintainer = control.lines().find_map(|line| line.strip_prefix("Maintainer: ")).unwrap_or_default();
    let date = shell::output(run.command("date").args(["--rfc-email", "--date", &format!("@{}", run.epoch)]))?;
    let (version, revision) = (&run.version, run.revision);
    Ok(format!(
        "trunkline ({version}-{revision}) unstable; urgency=medium\n\n  * Version {version}; what changed is in the \
         project's CHANGELOG.md.\n\n -- {maintainer}  {}\n",
        date.trim()
    ))
}
