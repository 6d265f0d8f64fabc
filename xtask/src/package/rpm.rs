//! RPM packages: the staged files, packed by rpmbuild, which Debian ships.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use super::stage::{Staged, below, folders};
use super::{Profile, Run};
use crate::shell;

/// Makes an .rpm of every package; returns their paths.
pub(super) fn make(run: &Run) -> anyhow::Result<Vec<PathBuf>> {
    let top = run.work.join("rpm");
    let lists = top.join("lists");
    fs::create_dir_all(&lists)?;
    for package in &run.packages {
        fs::write(lists.join(&package.name), listed(package)?)?;
    }
    let date = shell::output(run.command("date").args(["+%a %b %d %Y", "--date", &format!("@{}", run.epoch)]))?;
    let heading = format!("{} The Trunkline authors - {}-{}", date.trim(), run.version, run.revision);
    let compression = if run.profile == Profile::Dev { "w1.zstdio" } else { "w19.zstdio" };
    let mut build = run.command("rpmbuild");
    build.args(["-bb", "--quiet"]);
    for (name, value) in [
        ("_topdir", top.display().to_string()),
        ("_rpmdir", run.out.display().to_string()),
        ("_build_name_fmt", "%%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm".to_owned()),
        ("_binary_payload", compression.to_owned()),
        // What would differ from machine to machine and run to run.
        ("_buildhost", "trunkline".to_owned()),
        ("use_source_date_epoch_as_buildtime", "1".to_owned()),
        ("clamp_mtime_to_source_date_epoch", "1".to_owned()),
        ("source_date_epoch_from_changelog", "0".to_owned()),
        ("stage", run.work.join("stage").display().to_string()),
        ("lists", lists.display().to_string()),
        ("product_version", run.version.clone()),
        ("product_revision", run.revision.to_string()),
        ("heading", heading),
    ] {
        build.arg("--define").arg(format!("{name} {value}"));
    }
    shell::run(build.arg(shell::root().join("packaging/rpm/trunkline.spec")))?;
    let architecture = shell::output(run.command("rpm").args(["--eval", "%{_arch}"]))?;
    let file = |package: &Staged| {
        let architecture = if package.any_architecture { "noarch" } else { architecture.trim() };
        run.out.join(format!("{}-{}-{}.{architecture}.rpm", package.name, run.version, run.revision))
    };
    Ok(run.packages.iter().map(file).collect())
}

/// The list of a package's files as `%files -f` reads it.
fn listed(package: &Staged) -> anyhow::Result<String> {
    let mut list = String::new();
    for folder in folders(&package.root)? {
        let path = format!("/{}", folder.strip_prefix(&package.root)?.display());
        let listed = package.entries.iter().any(|entry| below(&package.root, &entry.to) == folder);
        // What has our name is ours; the rest is the distribution's.
        if path.contains("/trunkline") && !listed {
            let _ = writeln!(list, "%dir %attr(0755,root,root) \"{path}\"");
        }
    }
    for entry in &package.entries {
        let kind = match (&entry.from, entry.config) {
            (None, _) => "%dir ",
            (Some(_), true) => "%config(noreplace) ",
            (Some(_), false) if entry.to.starts_with("/usr/share/doc/") || entry.to.starts_with("/usr/share/man/") => {
                "%doc "
            }
            (Some(_), false) => "",
        };
        let _ = writeln!(list, "{kind}%attr({:04o},root,{}) \"{}\"", entry.mode, entry.group, entry.to);
    }
    Ok(list)
}
