//! OCI images, written as files: the packages' own files over the few libraries they need, nothing else, no daemon.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::stage::{below, open_folders};
use super::{Run, hex};
use crate::shell;

/// An image: the packages in it and how it starts.
struct Image {
    name: &'static str,
    packages: &'static [&'static str],
    state: &'static str,
    command: &'static str,
    ports: &'static [&'static str],
    licences: &'static str,
}

const IMAGES: &[Image] = &[
    Image {
        name: "trunkline",
        packages: &["trunkline", "trunkline-plugins", "trunkline-plugin-espeak"],
        state: "/var/lib/trunkline",
        command: "run",
        ports: &["5060/udp", "7081/tcp"],
        licences: "Apache-2.0 AND GPL-3.0-or-later",
    },
    Image {
        name: "trunkline-control-plane",
        packages: &["trunkline-control-plane"],
        state: "/var/lib/trunkline-control-plane",
        command: "serve",
        ports: &["7000/tcp", "7001/tcp", "7002/tcp"],
        licences: "Apache-2.0",
    },
];

/// What only a machine with systemd, a shell or a reader of manuals uses.
const NOT_IN_AN_IMAGE: &[&str] = &[
    "/usr/lib/systemd/",
    "/usr/lib/sysusers.d/",
    "/usr/lib/tmpfiles.d/",
    "/usr/lib/trunkline/after-install",
    "/usr/share/man/",
    "/usr/share/bash-completion/",
    "/usr/share/zsh/",
    "/usr/share/fish/",
];

/// The user in an image: a number beyond those that hosts give out, so that it is nobody's there.
const USER: u32 = 10_001;

/// Makes an archive of every image; returns their paths.
pub(super) fn make(run: &Run) -> anyhow::Result<Vec<PathBuf>> {
    IMAGES.iter().map(|image| image.make(run).with_context(|| format!("the image {}", image.name))).collect()
}

impl Image {
    fn make(&self, run: &Run) -> anyhow::Result<PathBuf> {
        let work = run.work.join("oci").join(self.name);
        let layout = work.join("layout");
        fs::create_dir_all(layout.join("blobs/sha256"))?;
        let (base, product, owned) = (work.join("base"), work.join("product"), work.join("owned"));
        for package in self.packages {
            self.take(run, package, &product)?;
        }
        libraries(&product.join("usr/bin").join(self.name), &base)?;
        accounts(self.name, self.state, &base)?;
        open_folders(&base, &[])?;
        open_folders(&product, &[])?;
        // Where everybody may write, and nobody over another's.
        fs::create_dir_all(base.join("tmp"))?;
        fs::set_permissions(base.join("tmp"), fs::Permissions::from_mode(0o1777))?;
        for folder in [self.state.to_owned(), format!("/run/{}", self.name)] {
            let folder = below(&owned, &folder);
            fs::create_dir_all(&folder)?;
            fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
        }
        let layers = [
            layer(run, &layout, &work.join("base.tar"), &[(&base, 0)])?,
            layer(run, &layout, &work.join("product.tar"), &[(&product, 0), (&owned, USER)])?,
        ];
        let architecture = architecture()?;
        let config =
            blob(&layout, "application/vnd.oci.image.config.v1+json", &self.config(run, architecture, &layers))?;
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": config,
            "layers": layers.iter().map(|layer| &layer.descriptor).collect::<Vec<_>>(),
        });
        let mut manifest = blob(&layout, "application/vnd.oci.image.manifest.v1+json", &manifest)?;
        manifest["annotations"] = json!({ "org.opencontainers.image.ref.name": run.version });
        manifest["platform"] = json!({ "os": "linux", "architecture": architecture });
        fs::write(layout.join("index.json"), json!({ "schemaVersion": 2, "manifests": [manifest] }).to_string())?;
        fs::write(layout.join("oci-layout"), json!({ "imageLayoutVersion": "1.0.0" }).to_string())?;
        let archive = run.out.join(format!("{}_{}-{}_{architecture}.oci.tar", self.name, run.version, run.revision));
        tar(run, &archive, &[(&layout, 0)])?;
        Ok(archive)
    }

    /// The files of a package, readable by the image's user: there is no group to share them with.
    fn take(&self, run: &Run, package: &str, root: &Path) -> anyhow::Result<()> {
        let package = run.package(package)?;
        for entry in &package.entries {
            if NOT_IN_AN_IMAGE.iter().any(|left| entry.to.starts_with(left)) || entry.to.contains(".service.d/") {
                continue;
            }
            let to = below(root, &entry.to);
            if entry.from.is_none() {
                fs::create_dir_all(&to)?;
                continue;
            }
            fs::create_dir_all(to.parent().unwrap_or(root))?;
            fs::copy(below(&package.root, &entry.to), &to)?;
            fs::set_permissions(&to, fs::Permissions::from_mode(entry.mode | 0o444))?;
        }
        Ok(())
    }

    fn config(&self, run: &Run, architecture: &str, layers: &[Layer]) -> Value {
        let ports: serde_json::Map<String, Value> =
            self.ports.iter().map(|port| ((*port).to_owned(), json!({}))).collect();
        json!({
            "architecture": architecture,
            "os": "linux",
            "config": {
                "User": format!("{USER}:{USER}"),
                "Entrypoint": [format!("/usr/bin/{}", self.name)],
                "Cmd": [self.command],
                "Env": ["PATH=/usr/bin"],
                "WorkingDir": self.state,
                "ExposedPorts": ports,
                "StopSignal": "SIGTERM",
                "Labels": {
                    "org.opencontainers.image.title": self.name,
                    "org.opencontainers.image.version": run.version,
                    "org.opencontainers.image.source": env!("CARGO_PKG_REPOSITORY"),
                    "org.opencontainers.image.licenses": self.licences,
                },
            },
            "rootfs": { "type": "layers", "diff_ids": layers.iter().map(|layer| &layer.diff_id).collect::<Vec<_>>() },
            "history": layers.iter().map(|_| json!({ "created_by": "cargo xtask package oci" })).collect::<Vec<_>>(),
        })
    }
}

struct Layer {
    descriptor: Value,
    diff_id: String,
}

/// Packs folders, each with the owner of its files, into a layer of the layout.
fn layer(run: &Run, layout: &Path, file: &Path, folders: &[(&Path, u32)]) -> anyhow::Result<Layer> {
    tar(run, file, folders)?;
    let diff_id = format!("sha256:{}", hex(&fs::read(file)?));
    shell::run(Command::new("gzip").args(["-n", "-f"]).arg(file))?;
    let bytes = fs::read(file.with_extension("tar.gz"))?;
    let descriptor = put(layout, "application/vnd.oci.image.layer.v1.tar+gzip", &bytes)?;
    Ok(Layer { descriptor, diff_id })
}

/// An archive whose bytes depend on names, modes and contents alone.
fn tar(run: &Run, file: &Path, folders: &[(&Path, u32)]) -> anyhow::Result<()> {
    let _ = fs::remove_file(file);
    for (folder, owner) in folders {
        // Entries by name, so that the folder itself, whose time is this run's, is none of them.
        let mut names: Vec<_> = fs::read_dir(folder)?.flatten().map(|entry| entry.file_name()).collect();
        names.sort();
        let mut tar = run.command("tar");
        tar.arg(if file.exists() { "--append" } else { "--create" }).arg("--file").arg(file);
        tar.args(["--sort=name", "--format=gnu", "--numeric-owner"]);
        tar.arg(format!("--mtime=@{}", run.epoch)).arg(format!("--owner={owner}")).arg(format!("--group={owner}"));
        if *owner != 0 {
            // Only what is at the end of each path belongs to that owner: the folders on the way are the system's.
            names = deepest(folder, folder)?;
            tar.arg("--no-recursion");
        }
        shell::run(tar.arg("-C").arg(folder).arg("--").args(names))?;
    }
    Ok(())
}

/// Paths of the folders below `folder` that hold nothing.
fn deepest(root: &Path, folder: &Path) -> anyhow::Result<Vec<std::ffi::OsString>> {
    let mut found = Vec::new();
    let mut inner: Vec<PathBuf> = fs::read_dir(folder)?.flatten().map(|entry| entry.path()).collect();
    inner.sort();
    for path in &inner {
        found.extend(deepest(root, path)?);
    }
    if inner.is_empty() {
        found.push(folder.strip_prefix(root)?.as_os_str().to_owned());
    }
    Ok(found)
}

fn blob(layout: &Path, media_type: &str, value: &Value) -> anyhow::Result<Value> {
    put(layout, media_type, value.to_string().as_bytes())
}

fn put(layout: &Path, media_type: &str, bytes: &[u8]) -> anyhow::Result<Value> {
    let digest = hex(bytes);
    fs::write(layout.join("blobs/sha256").join(&digest), bytes)?;
    Ok(json!({ "mediaType": media_type, "digest": format!("sha256:{digest}"), "size": bytes.len() }))
}

/// The shared libraries of a binary as this machine has them, with the copyright files of their packages.
fn libraries(binary: &Path, base: &Path) -> anyhow::Result<()> {
    let listed = shell::output(Command::new("ldd").arg(binary))?;
    let mut packages = BTreeSet::new();
    let paths = listed.split_whitespace().filter(|word| word.starts_with('/'));
    for path in paths.map(Path::new).collect::<BTreeSet<_>>() {
        // On a merged system `/lib` is a link to `/usr/lib`, and so it is in the image.
        let inner = path.strip_prefix("/usr").or_else(|_| path.strip_prefix("/")).unwrap_or(path);
        let to = base.join("usr").join(inner);
        fs::create_dir_all(to.parent().unwrap_or(base))?;
        fs::copy(path, &to).with_context(|| path.display().to_string())?;
        packages.insert(package_of(path)?);
    }
    ensure!(!packages.is_empty(), "{} needs no library, not even the C library", binary.display());
    for package in packages {
        let to = base.join("usr/share/doc").join(&package);
        fs::create_dir_all(&to)?;
        fs::copy(Path::new("/usr/share/doc").join(&package).join("copyright"), to.join("copyright"))?;
    }
    for folder in ["lib", "lib64"] {
        if base.join("usr").join(folder).exists() {
            std::os::unix::fs::symlink(format!("usr/{folder}"), base.join(folder))?;
        }
    }
    Ok(())
}

/// The Debian package of a file, whether it was installed before `/lib` became a link or after.
fn package_of(path: &Path) -> anyhow::Result<String> {
    for path in [path.to_owned(), path.canonicalize()?] {
        let output = Command::new("dpkg").arg("-S").arg(&path).output().context("cannot run dpkg")?;
        let text = String::from_utf8_lossy(&output.stdout);
        if let Some((package, _)) = text.split_once(':').filter(|_| output.status.success()) {
            return Ok(package.to_owned());
        }
    }
    anyhow::bail!("{} is of no Debian package, so its licence is not known", path.display())
}

/// Who there is in an image.
fn accounts(name: &str, state: &str, base: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(base.join("etc"))?;
    fs::write(
        base.join("etc/passwd"),
        format!("root:x:0:0:root:/root:/usr/sbin/nologin\n{name}:x:{USER}:{USER}::{state}:/usr/sbin/nologin\n"),
    )?;
    Ok(fs::write(base.join("etc/group"), format!("root:x:0:\n{name}:x:{USER}:\n"))?)
}

/// As Go, and so OCI, names this machine's processor.
fn architecture() -> anyhow::Result<&'static str> {
    Ok(match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => anyhow::bail!("no image is made for {other}"),
    })
}
