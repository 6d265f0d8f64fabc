//! `cargo xtask package`: deb, rpm and OCI image from one list of files, signed, the same bytes from the same commit.

mod binaries;
mod crates;
mod deb;
mod files;
mod glibc;
mod licences;
mod made;
mod manual;
mod oci;
mod rpm;
mod sbom;
mod stage;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use sha2::{Digest as _, Sha256};

use crate::plugins::{self, BuiltPlugin, SigningKey};
use crate::{packages, products, shell};

/// What to package, and how.
#[derive(Debug, Args)]
pub(crate) struct Order {
    /// What to make; everything when nothing is named.
    #[arg(value_enum)]
    kinds: Vec<Kind>,
    /// How the binaries are built: `release` is for others, `dev` for tests.
    #[arg(long, value_enum, default_value_t = Profile::Release)]
    profile: Profile,
    /// Minisign secret key that signs plugins and packages; TRUNKLINE_SIGNING_PASSWORD is its password if it has one.
    /// `minisign -G -W -s FILE` makes one. Without it this machine's development key signs.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Where the packages go; by default `packages/PROFILE` in the target directory.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Package what a build of that profile left behind and build nothing.
    #[arg(long)]
    built: bool,
    /// How often this version was packaged before, and once more.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    revision: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Debian packages.
    Deb,
    /// RPM packages.
    Rpm,
    /// OCI images, as archives that every container engine loads.
    Oci,
}

/// How the binaries are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Profile {
    Dev,
    Release,
}

impl Profile {
    const fn name(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Release => "release",
        }
    }
}

/// What every kind of package is made from.
struct Run {
    profile: Profile,
    /// `0.1.0`.
    version: String,
    revision: u32,
    /// Seconds since 1970 that stand in every package instead of the time it was made.
    epoch: u64,
    /// Where this run works; removed at its end.
    work: PathBuf,
    /// Where the packages go.
    out: PathBuf,
    packages: Vec<stage::Staged>,
}

impl Run {
    /// A program that is told the time that counts, and speaks the language of its documentation.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("SOURCE_DATE_EPOCH", self.epoch.to_string()).env("LC_ALL", "C.UTF-8").env("TZ", "UTC");
        command
    }

    fn package(&self, name: &str) -> anyhow::Result<&stage::Staged> {
        self.packages.iter().find(|package| package.name == name).with_context(|| format!("no package {name}"))
    }
}

/// Makes the packages and prints what they are called.
pub(crate) fn make(order: &Order) -> anyhow::Result<()> {
    let kinds = if order.kinds.is_empty() { Kind::value_variants() } else { &order.kinds };
    packages::ensure(packages::DEB)?;
    if kinds.contains(&Kind::Rpm) {
        packages::ensure(packages::RPM)?;
    }
    let key = key(order)?;
    let target = shell::target_dir();
    let out = match &order.out {
        Some(out) => std::path::absolute(out)?,
        None => target.join("packages").join(order.profile.name()),
    };
    let bin = binaries::of(order.profile, order.built)?;
    let plugins = if order.built { left_behind(&target.join("plugins"))? } else { products::plugins()? };
    fs::create_dir_all(&out)?;
    let work = out.join(format!("work-{}", std::process::id()));
    fs::create_dir_all(&work)?;
    let mut run = Run {
        profile: order.profile,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        revision: order.revision,
        epoch: epoch()?,
        work,
        out,
        packages: Vec::new(),
    };
    let outcome = make_in(&mut run, kinds, &bin, &plugins, &key);
    fs::remove_dir_all(&run.work)?;
    outcome
}

fn make_in(run: &mut Run, kinds: &[Kind], bin: &Path, built: &[BuiltPlugin], key: &SigningKey) -> anyhow::Result<()> {
    let roots = files::Roots { repository: shell::root(), run: run.work.clone() };
    take_binaries(run, bin)?;
    plugins::export(built, &run.work.join("plugins"), key)?;
    fs::create_dir_all(run.work.join("keys"))?;
    fs::write(run.work.join("keys/trunkline.pub"), key.public_file()?)?;
    made::all(run)?;
    let list = files::read(&roots.repository.join("packaging/files.toml"))?;
    for package in list {
        run.packages.push(stage::lay(&package, &roots, &run.work.join("stage").join(&package.name))?);
    }
    let mut made = Vec::new();
    for kind in kinds {
        made.extend(match kind {
            Kind::Deb => deb::make(run)?,
            Kind::Rpm => rpm::make(run)?,
            Kind::Oci => oci::make(run)?,
        });
    }
    for file in &made {
        let bytes = fs::read(file)?;
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let signature = key.signature(&bytes, &format!("file {name}"))?;
        fs::write(file.with_file_name(format!("{name}.minisig")), signature)?;
        println!("{}  {:>6} KiB  {}", hex(&bytes), bytes.len() / 1024, file.display());
    }
    Ok(())
}

/// The binaries, without what only a debugger reads.
fn take_binaries(run: &Run, bin: &Path) -> anyhow::Result<()> {
    let folder = run.work.join("bin");
    fs::create_dir_all(&folder)?;
    for name in binaries::SHIPPED {
        let to = folder.join(name);
        shell::run(Command::new("strip").arg("--strip-unneeded").arg("-o").arg(&to).arg(bin.join(name)))
            .with_context(|| format!("{name}: build it first, or leave out --built"))?;
        let newest = glibc::newest_symbol(&to)?;
        println!("{name} needs glibc {newest}");
        if run.profile == Profile::Release {
            glibc::check(&newest)?;
        }
    }
    Ok(())
}

/// The plugins that a build left behind.
fn left_behind(folder: &Path) -> anyhow::Result<Vec<BuiltPlugin>> {
    let entries = fs::read_dir(folder).with_context(|| format!("{}: run `cargo xtask plugins`", folder.display()))?;
    let mut built = Vec::new();
    for entry in entries {
        let folder = entry?.path();
        if folder.join("plugin.toml").is_file() {
            let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            built.push(BuiltPlugin { name, folder });
        }
    }
    Ok(built)
}

fn key(order: &Order) -> anyhow::Result<SigningKey> {
    if let Some(file) = &order.key {
        return SigningKey::read(file, std::env::var("TRUNKLINE_SIGNING_PASSWORD").ok());
    }
    if order.profile == Profile::Release {
        println!(
            "signing with the development key of this machine; for others give `--key FILE`, made by \
             `minisign -G -W -s FILE -p FILE.pub`"
        );
    }
    SigningKey::development(&shell::target_dir())
}

/// The time of the commit, unless the environment names one.
fn epoch() -> anyhow::Result<u64> {
    let text = match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) => text,
        Err(_) => shell::output(Command::new("git").current_dir(shell::root()).args(["log", "-1", "--format=%ct"]))
            .context("without a repository, set SOURCE_DATE_EPOCH to the time of this source")?,
    };
    text.trim().parse().with_context(|| format!("`{}` is no time in seconds", text.trim()))
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
