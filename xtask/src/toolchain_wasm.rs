//! Finds or makes a compiler for WebAssembly components, so that building the plugins is one command on every machine.
//!
//! An ordinary machine needs `rustup target add wasm32-unknown-unknown`. Where rustup cannot download, Debian's
//! `rustc-web` compiles the standard library from `rust-web-src` once, into a cached sysroot keyed by the compiler.
//! Either way `wasm-component-ld`, which every Rust toolchain carries, turns the module into a component while linking.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::shell;

/// The only target of plugins: no operating system behind it, so nothing but the contract can be imported.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

const DEBIAN_PACKAGES: [&str; 4] = ["rustc-web", "cargo-web", "rust-web-src", "lld-16"];
const COMPONENT_LD_VERSION: &str = "0.5.31";
const RUSTUP_PATIENCE: Duration = Duration::from_secs(180);

/// A compiler, a linker and a standard library that make components.
#[derive(Debug, Clone)]
pub(crate) struct WasmToolchain {
    cargo: PathBuf,
    rustc: PathBuf,
    linker: PathBuf,
    rustflags: Vec<String>,
    /// Says in a word or two where it came from, for the build's output.
    pub(crate) origin: &'static str,
}

impl WasmToolchain {
    /// Finds a toolchain, or makes one; `cache` is `$HOME/.cache/trunkline`. `say` is told what takes long.
    ///
    /// # Errors
    /// Names the packages to install when they are missing and this user may not install them.
    pub(crate) fn find(cache: &Path, say: &dyn Fn(&str)) -> Result<Self> {
        if let Some(found) = Self::installed()? {
            return Ok(found);
        }
        let sysroots = cache.join("wasm32-sysroot");
        if let Some(compiler) = DebianCompiler::find()? {
            let sysroot = compiler.sysroot(&sysroots)?;
            if sysroot.join(STAMP).exists() {
                return Self::debian(cache, &sysroot, say);
            }
        }
        if add_target_with_rustup(say)
            && let Some(found) = Self::installed()?
        {
            return Ok(found);
        }
        let compiler = match DebianCompiler::find()? {
            Some(compiler) => compiler,
            None => {
                install_debian_packages(say)?;
                DebianCompiler::find()?
                    .context("rustc-web is installed, but its files are not where Debian puts them")?
            }
        };
        let sysroot = compiler.sysroot(&sysroots)?;
        compiler.build_std(&sysroot, say)?;
        Self::debian(cache, &sysroot, say)
    }

    /// Cargo, set up to build for [`TARGET`] whatever the caller's own toolchain is.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = Command::new(&self.cargo);
        for (name, value) in self.environment() {
            command.env(name, value);
        }
        command.env_remove("RUSTUP_TOOLCHAIN").env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
        command
    }

    /// What a plugin's own build step needs to use this toolchain.
    pub(crate) fn environment(&self) -> Vec<(&'static str, OsString)> {
        vec![
            ("RUSTC", self.rustc.clone().into()),
            ("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", self.linker.clone().into()),
            ("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", self.rustflags().into()),
            ("TRUNKLINE_WASM_CARGO", self.cargo.clone().into()),
        ]
    }

    /// The same component wherever it is built.
    fn rustflags(&self) -> String {
        let paths = shell::remapped_paths(&shell::target_dir());
        self.rustflags.iter().cloned().chain(paths).collect::<Vec<_>>().join(" ")
    }

    /// The toolchain in use, when it already has the target.
    fn installed() -> Result<Option<Self>> {
        let Ok(sysroot) = output(Command::new("rustc").args(["--print", "sysroot"])) else {
            return Ok(None);
        };
        let sysroot = PathBuf::from(sysroot);
        let (cargo, rustc) = (sysroot.join("bin/cargo"), sysroot.join("bin/rustc"));
        if !cargo.exists() || !sysroot.join("lib/rustlib").join(TARGET).join("lib").exists() {
            return Ok(None);
        }
        let Some(linker) = component_linker(&sysroot) else {
            return Ok(None);
        };
        Ok(Some(Self { cargo, rustc, linker, rustflags: Vec::new(), origin: "rustup target" }))
    }

    fn debian(cache: &Path, sysroot: &Path, say: &dyn Fn(&str)) -> Result<Self> {
        let wasm_ld = wasm_ld().context("no wasm-ld found; install Debian's lld-16")?;
        let linker = match find_component_linker() {
            Some(linker) => linker,
            None => install_component_linker(cache, say)?,
        };
        Ok(Self {
            cargo: "/usr/bin/cargo".into(),
            rustc: "/usr/bin/rustc".into(),
            linker,
            rustflags: vec![
                format!("--sysroot={}", sysroot.display()),
                format!("-Clink-arg=--wasm-ld-path={}", wasm_ld.display()),
            ],
            origin: "Debian rustc-web with a sysroot of its own",
        })
    }
}

const STAMP: &str = "complete";

/// Debian's compiler for the web: recent, but shipped without any standard library for WebAssembly.
struct DebianCompiler {
    release: String,
    commit: String,
}

impl DebianCompiler {
    fn find() -> Result<Option<Self>> {
        let rustc = Path::new("/usr/bin/rustc");
        let has_source = Path::new("/usr/lib/rustlib/src/rust/library/std").exists();
        if !rustc.exists() || !Path::new("/usr/bin/cargo").exists() || !has_source || wasm_ld().is_none() {
            return Ok(None);
        }
        let verbose = output(Command::new(rustc).arg("-vV"))?;
        let field =
            |name: &str| verbose.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned());
        let release = field("release:").context("`/usr/bin/rustc -vV` names no release")?;
        let commit = field("commit-hash:").unwrap_or_default();
        Ok(Some(Self { release, commit: commit.chars().take(12).collect() }))
    }

    fn sysroot(&self, sysroots: &Path) -> Result<PathBuf> {
        fs::create_dir_all(sysroots).with_context(|| format!("cannot create {}", sysroots.display()))?;
        Ok(sysroots.join(format!("{}-{}-{TARGET}", self.release, self.commit)))
    }

    /// Compiles the standard library once: about a minute and a half, 80 MB.
    fn build_std(&self, sysroot: &Path, say: &dyn Fn(&str)) -> Result<()> {
        say(&format!("building the WebAssembly standard library of rustc {} (once, about 90 s)", self.release));
        let work = sysroot.with_file_name(format!("making-{}", std::process::id()));
        let outcome = self.build_std_in(&work, sysroot);
        let _ = fs::remove_dir_all(&work);
        outcome
    }

    fn build_std_in(&self, work: &Path, sysroot: &Path) -> Result<()> {
        let seed = work.join("seed");
        fs::create_dir_all(seed.join("src"))?;
        fs::write(
            seed.join("Cargo.toml"),
            "[workspace]\n[package]\nname = \"seed\"\nversion = \"0.0.0\"\nedition = \"2021\"\n\
             [lib]\ncrate-type = [\"rlib\"]\n\
             [profile.release]\nopt-level = 3\ndebug = 0\npanic = \"abort\"\ncodegen-units = 1\n",
        )?;
        fs::write(seed.join("src/lib.rs"), "")?;
        let mut cargo = Command::new("/usr/bin/cargo");
        cargo
            .args(["build", "--release", "-Zbuild-std=std,panic_abort", "--target", TARGET])
            .current_dir(&seed)
            .env("RUSTC", "/usr/bin/rustc")
            // `-Zbuild-std` is the one unstable switch needed, and only here: plugins are built by stable cargo.
            .env("RUSTC_BOOTSTRAP", "1")
            .env("RUSTFLAGS", "-Cembed-bitcode=yes")
            .env("CARGO_TARGET_DIR", work.join("target"))
            .env_remove("RUSTUP_TOOLCHAIN")
            .env_remove("CARGO_ENCODED_RUSTFLAGS");
        run(&mut cargo).context("the WebAssembly standard library did not build")?;
        let made = work.join("sysroot");
        let libraries = made.join("lib/rustlib").join(TARGET).join("lib");
        fs::create_dir_all(&libraries)?;
        for entry in fs::read_dir(work.join("target").join(TARGET).join("release/deps"))? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.ends_with(".rlib") && !name.starts_with("libseed") {
                fs::copy(&path, libraries.join(&name))?;
            }
        }
        fs::write(made.join(STAMP), &self.release)?;
        if let Err(error) = fs::rename(&made, sysroot) {
            // Another build of the same compiler was faster; its result is the same.
            ensure!(sysroot.join(STAMP).exists(), "cannot put the sysroot at {}: {error}", sysroot.display());
        }
        Ok(())
    }
}

/// Asks rustup for the target; false when there is no rustup or it cannot download.
fn add_target_with_rustup(say: &dyn Fn(&str)) -> bool {
    let mut command = Command::new("rustup");
    command.args(["target", "add", TARGET]).stdout(Stdio::null()).stderr(Stdio::null());
    let Ok(mut child) = command.spawn() else {
        return false;
    };
    say(&format!("asking rustup for {TARGET}"));
    let deadline = Instant::now() + RUSTUP_PATIENCE;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(100)),
            Ok(None) | Err(_) => {
                let _ = child.kill();
                let _ = child.wait();
                return false;
            }
        }
    }
}

fn install_debian_packages(say: &dyn Fn(&str)) -> Result<()> {
    let list = DEBIAN_PACKAGES.join(" ");
    let advice = format!(
        "plugins need a compiler for {TARGET}: run `rustup target add {TARGET}`, or on Debian as root \
         `apt-get install --no-install-recommends {list}`"
    );
    let is_root = output(Command::new("id").arg("-u")).is_ok_and(|id| id == "0");
    if !is_root || !Path::new("/usr/bin/apt-get").exists() {
        bail!(advice);
    }
    say(&format!("installing {list}"));
    let install = || {
        run(Command::new("apt-get")
            .args(["install", "--yes", "--quiet", "--no-install-recommends"])
            .args(DEBIAN_PACKAGES)
            .env("DEBIAN_FRONTEND", "noninteractive"))
    };
    if install().is_err() {
        run(Command::new("apt-get").args(["update", "--quiet"]))?;
        install().context(advice)?;
    }
    Ok(())
}

fn wasm_ld() -> Option<PathBuf> {
    (16..=30)
        .map(|version| PathBuf::from(format!("/usr/bin/wasm-ld-{version}")))
        .chain([PathBuf::from("/usr/bin/wasm-ld")])
        .find(|path| path.exists())
}

/// `wasm-component-ld` beside the compiler of a sysroot.
fn component_linker(sysroot: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(sysroot.join("lib/rustlib")).ok()?;
    entries.filter_map(|entry| Some(entry.ok()?.path().join("bin/wasm-component-ld"))).find(|path| path.exists())
}

/// `wasm-component-ld` of any toolchain on this machine: it only wraps what wasm-ld made, so its age hardly matters.
fn find_component_linker() -> Option<PathBuf> {
    let sysroot = output(Command::new("rustc").args(["--print", "sysroot"])).ok();
    let beside = sysroot.and_then(|sysroot| component_linker(Path::new(&sysroot)));
    beside.or_else(|| {
        env::split_paths(&env::var_os("PATH")?)
            .map(|folder| folder.join("wasm-component-ld"))
            .find(|path| path.exists())
    })
}

fn install_component_linker(cache: &Path, say: &dyn Fn(&str)) -> Result<PathBuf> {
    let root = cache.join(format!("wasm-component-ld-{COMPONENT_LD_VERSION}"));
    let linker = root.join("bin/wasm-component-ld");
    if !linker.exists() {
        say(&format!("building wasm-component-ld {COMPONENT_LD_VERSION} (once)"));
        run(Command::new("/usr/bin/cargo")
            .args(["install", "--locked", "--version", COMPONENT_LD_VERSION, "wasm-component-ld", "--root"])
            .arg(&root)
            .env("RUSTC", "/usr/bin/rustc")
            .env_remove("RUSTUP_TOOLCHAIN"))?;
    }
    Ok(linker)
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start {}", name_of(command)))?;
    ensure!(status.success(), "{} ended with {status}", name_of(command));
    Ok(())
}

fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot start {}", name_of(command)))?;
    ensure!(output.status.success(), "{} ended with {}", name_of(command), output.status);
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn name_of(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}
