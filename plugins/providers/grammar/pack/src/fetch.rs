//! The recogniser's sources and model come from their own release and are pinned by hash, so that nothing of them
//! has to live in this repository.

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::process::Command;

const PACKAGE: &str = "pocketsphinx";
const VERSION: &str = "5.1.1";
/// SHA-256 of the source release, which carries both the C sources and the en-us model.
const SHA256: &str = "675778b309a22dfc9b7d37f7621976bba491d2a5f8c59696bd77fd6d07271355";

/// Returns the unpacked source tree, fetching it into `cache` when it is not there yet.
pub(crate) fn source_tree(cache: &Path) -> Result<PathBuf> {
    std::fs::create_dir_all(cache).with_context(|| format!("create {}", cache.display()))?;
    let archive = cache.join(format!("{PACKAGE}-{VERSION}.tar.gz"));
    if !archive.exists() {
        download(cache, &archive)?;
    }
    let bytes = std::fs::read(&archive).with_context(|| format!("read {}", archive.display()))?;
    let found = hex(&Sha256::digest(&bytes));
    if found != SHA256 {
        std::fs::remove_file(&archive)?;
        bail!("{} has SHA-256 {found}, expected {SHA256}; it was removed, run the build again", archive.display());
    }
    unpack(cache, &archive)
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn download(cache: &Path, archive: &Path) -> Result<()> {
    let incoming = cache.join(format!("incoming.{}", std::process::id()));
    std::fs::create_dir_all(&incoming)?;
    let requirement = format!("{PACKAGE}=={VERSION}");
    let status = Command::new("python3")
        .args(["-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", PACKAGE, "--dest"])
        .arg(&incoming)
        .arg(&requirement)
        .status()
        .context("run python3 -m pip; install python3-pip")?;
    ensure!(
        status.success(),
        "pip could not download {requirement}: check the network, or put {} in place by hand",
        archive.display()
    );
    let name = archive.file_name().context("archive name")?;
    std::fs::rename(incoming.join(name), archive).context("pip left no source archive")?;
    std::fs::remove_dir_all(&incoming)?;
    Ok(())
}

fn unpack(cache: &Path, archive: &Path) -> Result<PathBuf> {
    let tree = cache.join(format!("{PACKAGE}-{VERSION}"));
    if tree.join(".complete").exists() {
        return Ok(tree);
    }
    let fresh = cache.join(format!("unpack.{}", std::process::id()));
    std::fs::create_dir_all(&fresh)?;
    let status =
        Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(&fresh).status().context("run tar; install tar")?;
    ensure!(status.success(), "tar could not unpack {}", archive.display());
    let unpacked = fresh.join(format!("{PACKAGE}-{VERSION}"));
    std::fs::write(unpacked.join(".complete"), SHA256)?;
    if tree.exists() {
        std::fs::remove_dir_all(&tree)?;
    }
    std::fs::rename(&unpacked, &tree)?;
    std::fs::remove_dir_all(&fresh)?;
    Ok(tree)
}
