//! Finds the C toolchain for wasm32, or installs Debian's when it may, or says which packages are missing.

use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Paths of what the build runs and links.
pub(crate) struct Tools {
    pub(crate) clang: PathBuf,
    pub(crate) linker: PathBuf,
    /// Folder of `libc.a`.
    pub(crate) libc: PathBuf,
    /// compiler-rt's `libclang_rt.builtins-wasm32.a`.
    pub(crate) builtins: PathBuf,
}

const PACKAGES: &[&str] = &["clang-14", "lld-14", "wasi-libc", "libclang-rt-14-dev-wasm32", "python3-pip"];

impl Tools {
    /// Looks once, installs once, looks again.
    pub(crate) fn find() -> Result<Self> {
        if let Some(tools) = Self::present() {
            return Ok(tools);
        }
        install()?;
        Self::present().with_context(|| format!("still incomplete after installing {}", PACKAGES.join(" ")))
    }

    fn present() -> Option<Self> {
        let llvm = Path::new("/usr/lib/llvm-14");
        let builtins = [
            llvm.join("lib/clang/14.0.6/lib/wasi/libclang_rt.builtins-wasm32.a"),
            llvm.join("lib/clang/14/lib/wasi/libclang_rt.builtins-wasm32.a"),
        ];
        let tools = Self {
            clang: PathBuf::from("/usr/bin/clang-14"),
            linker: PathBuf::from("/usr/bin/wasm-ld-14"),
            libc: PathBuf::from("/usr/lib/wasm32-wasi"),
            builtins: builtins.into_iter().find(|p| p.exists())?,
        };
        let complete = tools.clang.exists() && tools.linker.exists() && tools.libc.join("libc.a").exists();
        complete.then_some(tools)
    }
}

fn install() -> Result<()> {
    let list = PACKAGES.join(" ");
    let root = Command::new("id").arg("-u").output().is_ok_and(|o| o.stdout.starts_with(b"0\n"));
    if !root {
        bail!("the C toolchain for wasm32 is missing: apt-get install -y --no-install-recommends {list}");
    }
    let status = Command::new("apt-get")
        .args(["-o", "DPkg::Lock::Timeout=400", "install", "-y", "--no-install-recommends"])
        .args(PACKAGES)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .status()
        .context("run apt-get; on other systems put clang-14, wasm-ld-14 and wasi-libc where Debian has them")?;
    ensure!(status.success(), "apt-get could not install {list}");
    Ok(())
}
