//! Which crates end up in a package, as cargo resolved them: for licences and bills of material.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use serde::Deserialize;

use crate::shell;

/// A crate and what it stands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Crate {
    pub(super) name: String,
    pub(super) version: String,
    /// SPDX expression.
    pub(super) licence: String,
    pub(super) authors: Vec<String>,
    /// Where its source lies on this machine.
    pub(super) folder: PathBuf,
    /// False for our own.
    pub(super) foreign: bool,
    /// SHA-256 of the archive it comes in, as the lock says.
    pub(super) checksum: Option<String>,
    /// Identifiers of those it depends on.
    pub(super) dependencies: Vec<String>,
}

impl Crate {
    /// The package URL, which is also what names it here.
    pub(super) fn purl(&self) -> String {
        format!("pkg:cargo/{}@{}", self.name, self.version)
    }
}

/// The crates of `roots` and of all they depend on for `platform`, tests and build scripts aside; by package URL.
pub(super) fn closure(workspace: &Path, roots: &[&str], platform: &str) -> anyhow::Result<BTreeMap<String, Crate>> {
    let mut metadata = Command::new("cargo");
    metadata.current_dir(workspace).args(["metadata", "--locked", "--format-version=1", "--filter-platform", platform]);
    let metadata: Metadata = serde_json::from_str(&shell::output(&mut metadata)?).context("cargo's metadata")?;
    let lock: Lock = toml::from_str(&fs::read_to_string(workspace.join("Cargo.lock"))?).context("Cargo.lock")?;
    reach(&metadata, &lock, roots)
}

fn reach(metadata: &Metadata, lock: &Lock, roots: &[&str]) -> anyhow::Result<BTreeMap<String, Crate>> {
    let packages: BTreeMap<&str, &Package> = metadata.packages.iter().map(|package| (&*package.id, package)).collect();
    let nodes: BTreeMap<&str, &Node> = metadata.resolve.nodes.iter().map(|node| (&*node.id, node)).collect();
    let is_root = |package: &&Package| package.source.is_none() && roots.contains(&&*package.name);
    let mut open: Vec<&str> = metadata.packages.iter().filter(is_root).map(|package| &*package.id).collect();
    anyhow::ensure!(open.len() == roots.len(), "the workspace has not all of {}", roots.join(", "));
    let mut seen: BTreeSet<&str> = open.iter().copied().collect();
    let mut found = BTreeMap::new();
    while let Some(id) = open.pop() {
        let package = packages.get(id).with_context(|| format!("cargo resolved {id} but does not know it"))?;
        let needed: Vec<&str> = nodes
            .get(id)
            .into_iter()
            .flat_map(|node| &node.deps)
            .filter(|dependency| dependency.dep_kinds.iter().any(|kind| kind.kind.is_none()))
            .map(|dependency| &*dependency.pkg)
            .collect();
        let purl =
            |id: &&str| packages.get(id).map(|package| format!("pkg:cargo/{}@{}", package.name, package.version));
        let mut dependencies: Vec<String> = needed.iter().filter_map(purl).collect();
        dependencies.sort();
        let of_lock = |locked: &&Locked| locked.name == package.name && locked.version == package.version;
        let one = Crate {
            name: package.name.clone(),
            version: package.version.clone(),
            licence: spdx(package.license.as_deref().unwrap_or("NOASSERTION")),
            authors: package.authors.clone(),
            folder: package.manifest_path.parent().unwrap_or_else(|| Path::new("/")).to_owned(),
            foreign: package.source.is_some(),
            checksum: lock.package.iter().find(of_lock).and_then(|locked| locked.checksum.clone()),
            dependencies,
        };
        found.insert(one.purl(), one);
        open.extend(needed.into_iter().filter(|id| seen.insert(id)));
    }
    Ok(found)
}

/// Old crates separate a choice of licences by a slash.
fn spdx(licence: &str) -> String {
    licence.split('/').map(str::trim).collect::<Vec<_>>().join(" OR ")
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    authors: Vec<String>,
    manifest_path: PathBuf,
    source: Option<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<Kind>,
}

#[derive(Deserialize)]
struct Kind {
    kind: Option<String>,
}

#[derive(Deserialize)]
struct Lock {
    package: Vec<Locked>,
}

#[derive(Deserialize)]
struct Locked {
    name: String,
    version: String,
    checksum: Option<String>,
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]
mod tests {
    use super::*;

    #[test]
    fn what_only_tests_and_build_scripts_need_is_not_in_a_package() {
        let package = |name: &str, source: &str| {
            format!(
                r#"{{"id":"{name}","name":"{name}","version":"1.0.0","license":"MIT/Apache-2.0","authors":[],"manifest_path":"/{name}/Cargo.toml","source":{source}}}"#
            )
        };
        let dependency = |name: &str, kind: &str| format!(r#"{{"pkg":"{name}","dep_kinds":[{{"kind":{kind}}}]}}"#);
        let text = format!(
            r#"{{"packages":[{},{},{},{}],"resolve":{{"nodes":[{{"id":"ours","deps":[{},{},{}]}}]}}}}"#,
            package("ours", "null"),
            package("linked", "\"registry\""),
            package("tester", "\"registry\""),
            package("builder", "\"registry\""),
            dependency("linked", "null"),
            dependency("tester", "\"dev\""),
            dependency("builder", "\"build\""),
        );
        let metadata: Metadata = serde_json::from_str(&text).unwrap();
        let lock: Lock =
            toml::from_str("[[package]]\nname = \"linked\"\nversion = \"1.0.0\"\nchecksum = \"ab\"\n").unwrap();
        let found = reach(&metadata, &lock, &["ours"]).unwrap();
        assert_eq!(found.keys().collect::<Vec<_>>(), ["pkg:cargo/linked@1.0.0", "pkg:cargo/ours@1.0.0"]);
        let linked = &found["pkg:cargo/linked@1.0.0"];
        assert_eq!((linked.licence.as_str(), linked.checksum.as_deref()), ("MIT OR Apache-2.0", Some("ab")));
        assert!(linked.foreign && !found["pkg:cargo/ours@1.0.0"].foreign);
        assert!(reach(&metadata, &lock, &["theirs"]).is_err());
    }
}
