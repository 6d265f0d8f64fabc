//! What a package must say of others: the copyright file in Debian's machine-readable form, and the licence texts that
//! travel with what is linked in.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Deserialize;

use super::crates::Crate;
use crate::shell;

/// Something of others that no lock names; `packaging/parts.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Part {
    pub(super) package: String,
    pub(super) name: String,
    pub(super) version: Option<String>,
    /// SPDX expression.
    pub(super) licence: String,
    holder: String,
    text: String,
    pub(super) purl: Option<String>,
}

#[derive(Deserialize)]
struct Parts {
    part: Vec<Part>,
}

/// Reads the list of parts.
pub(super) fn parts(file: &Path) -> anyhow::Result<Vec<Part>> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    Ok(toml::from_str::<Parts>(&text).with_context(|| file.display().to_string())?.part)
}

/// `copyright` (DEP 5): our licence, and whose work is linked in under which.
pub(super) fn copyright(own: &Own, crates: &BTreeMap<String, Crate>, parts: &[&Part]) -> String {
    let mut text = format!(
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: Trunkline\n\
         Comment:\n SPDX-License-Identifier: {}\n .\n Linked in, with their licences (SPDX); the texts are in \
         third-party-licences.txt:\n .\n",
        own.licence
    );
    for one in crates.values().filter(|one| one.foreign) {
        let _ = writeln!(text, "  {} {}: {}", one.name, one.version, one.licence);
    }
    for part in parts {
        let version = part.version.as_deref().map(|version| format!(" {version}")).unwrap_or_default();
        let _ = writeln!(text, "  {}{version}: {}", part.name, part.licence);
    }
    text.push_str("  the Rust standard library: MIT OR Apache-2.0\n");
    let _ = write!(text, "\nFiles: *\nCopyright: 2026 {}\nLicense: {}\n", own.holder, own.debian_licence);
    let _ = write!(text, "\nLicense: {}\n{}\n", own.debian_licence, own.reference);
    text
}

/// What a package is itself under.
pub(super) struct Own {
    pub(super) holder: &'static str,
    /// SPDX expression.
    pub(super) licence: &'static str,
    /// Debian's short name, and where Debian keeps the text.
    debian_licence: &'static str,
    reference: &'static str,
}

/// Everything but what says otherwise.
pub(super) const APACHE: Own = Own {
    holder: "The Trunkline authors",
    licence: "Apache-2.0",
    debian_licence: "Apache-2.0",
    reference: " Licensed under the Apache License, Version 2.0. On Debian systems its text is in\n \
                /usr/share/common-licenses/Apache-2.0.",
};

/// The plugin with eSpeak NG in it.
pub(super) const GPL: Own = Own {
    holder: "The Trunkline authors, and the authors of eSpeak NG",
    licence: "GPL-3.0-or-later",
    debian_licence: "GPL-3+",
    reference: " This program is free software: you can redistribute it and/or modify it under\n the terms of the GNU \
                General Public License as published by the Free Software\n Foundation, either version 3 of the \
                License, or (at your option) any later\n version.\n .\n The component's source is \
                plugins/providers/espeak, plugins/kit/guest and\n plugins/wit of the sources of this version of Trunkline, and the crates \
                espeak-ng,\n espeak-ng-data-phonemes and espeak-ng-data-dict-en of the versions named here.\n .\n On \
                Debian systems the text is in /usr/share/common-licenses/GPL-3.",
};

/// Every licence text that comes with what is linked in, each once, with those that carry it.
pub(super) fn texts(crates: &BTreeMap<String, Crate>, parts: &[&Part]) -> anyhow::Result<String> {
    let mut carried: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut bare = String::new();
    for one in crates.values().filter(|one| one.foreign) {
        let found = licence_files(&one.folder)?;
        if found.is_empty() {
            let authors = if one.authors.is_empty() { "its authors".to_owned() } else { one.authors.join(", ") };
            let _ = writeln!(bare, "{} {} ({}), by {authors}", one.name, one.version, one.licence);
        }
        for file in found {
            let text = String::from_utf8_lossy(&fs::read(&file)?).replace("\r\n", "\n").trim().to_owned();
            carried.entry(text).or_default().push(format!("{} {} ({})", one.name, one.version, one.licence));
        }
    }
    for part in parts {
        let file = match part.text.strip_prefix("~/") {
            Some(path) => shell::home().join(path),
            None => PathBuf::from(&part.text),
        };
        let text = fs::read_to_string(&file).with_context(|| {
            format!("the licence of {}, which the build should have left at {}", part.name, file.display())
        })?;
        let named = format!("{} ({}), copyright {}", part.name, part.licence, part.holder);
        carried.entry(text.trim().to_owned()).or_default().push(named);
    }
    let mut texts: Vec<(String, Vec<String>)> = carried.into_iter().collect();
    texts.sort_by(|a, b| a.1.cmp(&b.1));
    let mut all = String::from("What this package carries of others, and the licences that travel with it.\n");
    for (text, by) in texts {
        let _ = write!(all, "\n{}\n{}\n\n{text}\n", "=".repeat(80), by.join("\n"));
    }
    if !bare.is_empty() {
        let _ = write!(all, "\n{}\nWithout a text of their own:\n{bare}", "=".repeat(80));
    }
    Ok(all)
}

fn licence_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    const BEGINNINGS: &[&str] = &["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE"];
    let named = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
        path.is_file() && BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
    };
    let mut found: Vec<PathBuf> = fs::read_dir(folder)?.flatten().map(|entry| entry.path()).filter(named).collect();
    found.sort();
    Ok(found)
}
