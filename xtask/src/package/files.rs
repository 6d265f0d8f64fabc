//! `packaging/files.toml`: which file goes where, read once and used for every kind of package.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use serde::Deserialize;

/// Where the files of the list come from.
pub(super) struct Roots {
    pub(super) repository: PathBuf,
    /// The folder of this run, for what the run itself makes.
    pub(super) run: PathBuf,
}

/// Folders that a run makes; everything else is the repository's.
const MADE: &[&str] = &["bin/", "plugins/", "keys/", "made/"];

/// A package of the list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Package {
    pub(super) name: String,
    /// True when nothing in it depends on the processor.
    #[serde(default)]
    pub(super) any_architecture: bool,
    file: Vec<Listed>,
    #[serde(default)]
    folder: Vec<Folder>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    from: String,
    to: String,
    #[serde(default = "plain")]
    mode: String,
    #[serde(default = "root")]
    group: String,
    #[serde(default)]
    config: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Folder {
    path: String,
    mode: String,
    #[serde(default = "root")]
    group: String,
}

fn plain() -> String {
    "0644".to_owned()
}

fn root() -> String {
    "root".to_owned()
}

/// A file or folder as it is installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Absolute path on the machine it is installed on.
    pub(super) to: String,
    /// None for a folder.
    pub(super) from: Option<PathBuf>,
    pub(super) mode: u32,
    pub(super) group: String,
    /// Edited by operators; kept by upgrades.
    pub(super) config: bool,
}

#[derive(Deserialize)]
struct List {
    package: Vec<Package>,
}

/// Reads the list.
pub(super) fn read(file: &Path) -> anyhow::Result<Vec<Package>> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    Ok(toml::from_str::<List>(&text).with_context(|| file.display().to_string())?.package)
}

impl Package {
    /// Every file and folder, by path.
    pub(super) fn entries(&self, roots: &Roots) -> anyhow::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for listed in &self.file {
            let root =
                if MADE.iter().any(|made| listed.from.starts_with(made)) { &roots.run } else { &roots.repository };
            let found = matching(root, &listed.from)?;
            ensure!(!found.is_empty(), "{}: nothing is at {}", self.name, root.join(&listed.from).display());
            for from in found {
                let name = from.file_name().unwrap_or_default().to_string_lossy();
                let to = if listed.to.ends_with('/') { format!("{}{name}", listed.to) } else { listed.to.clone() };
                entries.push(Entry {
                    to,
                    mode: octal(&listed.mode)?,
                    group: listed.group.clone(),
                    config: listed.config,
                    from: Some(from),
                });
            }
        }
        for folder in &self.folder {
            entries.push(Entry {
                to: folder.path.clone(),
                from: None,
                mode: octal(&folder.mode)?,
                group: folder.group.clone(),
                config: false,
            });
        }
        entries.sort_by(|a, b| a.to.cmp(&b.to));
        if let Some(twice) = entries.windows(2).find(|pair| pair[0].to == pair[1].to) {
            anyhow::bail!("{}: {} is listed twice", self.name, twice[0].to);
        }
        Ok(entries)
    }
}

fn octal(mode: &str) -> anyhow::Result<u32> {
    u32::from_str_radix(mode, 8).with_context(|| format!("`{mode}` is no file mode"))
}

/// The files that a path with at most one `*` in its last part stands for.
fn matching(root: &Path, pattern: &str) -> anyhow::Result<Vec<PathBuf>> {
    let path = root.join(pattern);
    let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        anyhow::bail!("`{pattern}` names no file");
    };
    let Some((before, after)) = name.split_once('*') else {
        return Ok(if path.is_file() { vec![path] } else { Vec::new() });
    };
    let fits = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        path.is_file() && name.len() >= before.len() + after.len() && name.starts_with(before) && name.ends_with(after)
    };
    let Ok(listing) = fs::read_dir(folder) else { return Ok(Vec::new()) };
    let mut found: Vec<PathBuf> = listing.flatten().map(|entry| entry.path()).filter(fits).collect();
    found.sort();
    Ok(found)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]
mod tests {
    use super::*;

    fn package(text: &str) -> Package {
        toml::from_str::<List>(text).unwrap().package.remove(0)
    }

    #[test]
    fn stars_names_and_modes_are_taken_literally_otherwise_refused() {
        let root = std::env::temp_dir().join(format!("trunkline-files-{}", std::process::id()));
        fs::create_dir_all(root.join("made")).unwrap();
        for name in ["made/b.1", "made/a.1", "made/a.5"] {
            fs::write(root.join(name), "").unwrap();
        }
        let roots = Roots { repository: root.join("nowhere"), run: root.clone() };
        let list = package(
            "[[package]]\nname = \"x\"\nfile = [{ from = \"made/*.1\", to = \"/man/\", mode = \"0640\" }]\n\
             folder = [{ path = \"/etc/x\", mode = \"0750\", group = \"x\" }]",
        );
        let entries = list.entries(&roots).unwrap();
        let paths: Vec<_> = entries.iter().map(|entry| (entry.to.as_str(), entry.mode)).collect();
        assert_eq!(paths, [("/etc/x", 0o750), ("/man/a.1", 0o640), ("/man/b.1", 0o640)]);
        let missing = package("[[package]]\nname = \"x\"\nfile = [{ from = \"made/z\", to = \"/\" }]");
        assert!(missing.entries(&roots).unwrap_err().to_string().contains("made/z"));
        let twice = package(
            "[[package]]\nname = \"x\"\nfile = [{ from = \"made/a.1\", to = \"/a\" }, { from = \"made/b.1\", to = \"/a\" }]",
        );
        assert!(twice.entries(&roots).unwrap_err().to_string().contains("twice"));
        fs::remove_dir_all(&root).unwrap();
    }
}
