//! What a run makes beside the binaries: manuals and completions from the programs themselves, licences and bills of
//! material from what cargo resolved.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use serde_json::Value;

use super::crates::{self, Crate};
use super::licences::{self, APACHE, GPL, Own, Part};
use super::manual::Page;
use super::{Run, sbom};
use crate::{shell, toolchain_wasm};

/// What is said of a package.
struct Said {
    package: &'static str,
    own: &'static Own,
    /// The workspace with the crates below, from the repository's root.
    workspace: &'static str,
    crates: &'static [&'static str],
}

const SAID: &[Said] = &[
    Said { package: "trunkline", own: &APACHE, workspace: "", crates: &["trunkline"] },
    Said { package: "trunkline-control-plane", own: &APACHE, workspace: "", crates: &["trunkline-control-plane"] },
    Said {
        package: "trunkline-plugins",
        own: &APACHE,
        workspace: "plugins",
        crates: &["trunkline-plugin-openai", "trunkline-plugin-pii", "trunkline-plugin-scripted"],
    },
    Said { package: "trunkline-plugin-espeak", own: &GPL, workspace: "plugins", crates: &["trunkline-plugin-espeak"] },
];

/// A program, its configuration file's page and schema.
const PROGRAMS: &[(&str, Page, &str)] = &[
    (
        "trunkline",
        Page {
            name: "trunkline.toml",
            about: "configuration of a Trunkline gateway",
            command: "trunkline",
            preamble: "/etc/trunkline/trunkline.toml holds what a gateway needs to start, in TOML. Files in conf.d beside \
                       it are read after it in the order of their names, then variables of the environment \
                       (TRUNKLINE_SIP__LISTEN is sip.listen), then what the option --set says. Later ones win. \
                       trunkline check names every fault with its file, line and key.",
        },
        "config/trunkline.schema.json",
    ),
    (
        "trunkline-control-plane",
        Page {
            name: "control-plane.toml",
            about: "configuration of a Trunkline control plane",
            command: "trunkline-control-plane",
            preamble: "/etc/trunkline-control-plane/control-plane.toml holds what a control plane needs to start, in \
                       TOML. Variables of the environment win over it (TRUNKLINE_CP_LISTEN__PUBLIC is listen.public).",
        },
        "config/control-plane.schema.json",
    ),
];

/// Writes `made/<package>/` for every package.
pub(super) fn all(run: &Run) -> anyhow::Result<()> {
    let root = shell::root();
    for (program, page, schema) in PROGRAMS {
        let made = run.work.join("made").join(program);
        shell::run(Command::new(run.work.join("bin").join(program)).arg("manual").arg(&made))?;
        let schema: Value = serde_json::from_slice(&fs::read(root.join(schema)).context(*schema)?).context(*schema)?;
        fs::write(made.join("man").join(format!("{}.5", page.name)), page.write(&schema, &run.version)?)?;
    }
    let parts = licences::parts(&root.join("packaging/parts.toml"))?;
    let host = host()?;
    for said in SAID {
        let platform = if said.workspace.is_empty() { host.as_str() } else { toolchain_wasm::TARGET };
        let crates = crates::closure(&root.join(said.workspace), said.crates, platform)?;
        let parts: Vec<&Part> = parts.iter().filter(|part| part.package == said.package).collect();
        let made = run.work.join("made").join(said.package);
        fs::create_dir_all(&made)?;
        said.write(run, &made, &crates, &parts)?;
    }
    Ok(())
}

impl Said {
    fn write(
        &self,
        run: &Run,
        made: &Path,
        crates: &std::collections::BTreeMap<String, Crate>,
        parts: &[&Part],
    ) -> anyhow::Result<()> {
        fs::write(made.join("copyright"), licences::copyright(self.own, crates, parts))?;
        let mut texts = licences::texts(crates, parts)?;
        if self.package == "trunkline" {
            // What is built into the program from a crate's data rather than its code.
            texts.push_str(&shell::output(Command::new(run.work.join("bin/trunkline")).arg("licences"))?);
        }
        fs::write(made.join("third-party-licences.txt"), texts)?;
        let bill = sbom::bill(self.package, &run.version, self.own.licence, run.epoch, crates, parts);
        Ok(fs::write(made.join("sbom.cdx.json"), format!("{bill:#}\n"))?)
    }
}

/// The platform of the binaries.
fn host() -> anyhow::Result<String> {
    let verbose = shell::output(Command::new("rustc").arg("-vV"))?;
    let host = verbose.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("`rustc -vV` names no host")?.to_owned())
}
