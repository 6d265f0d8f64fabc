//! Why this exists: two networks come from locked crates that keep their weights to themselves, RNNoise's for noise
//! suppression and silero's for voice activity. The weights are copied from the crates' sources at build time, checked
//! by their hash, and never committed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use sha2::{Digest, Sha256};

/// Files of numbers, each with its name.
type Files = Vec<(&'static str, Vec<u8>)>;

/// Where weights come from.
struct Source {
    /// The crate and version that Cargo.lock names.
    name: &'static str,
    version: &'static str,
    /// The file with the weights, and its SHA-256.
    file: &'static str,
    sha256: &'static str,
    /// The file with the licence, and what it is called here.
    licence: (&'static str, &'static str),
    /// Where to look first: a variable with the unpacked crate, for builds with a layout of their own.
    variable: &'static str,
    /// What is made of the weights, by name.
    cut: fn(&[u8]) -> Files,
}

const SOURCES: [Source; 2] = [
    Source {
        name: "nnnoiseless",
        version: "0.5.2",
        file: "src/weights.rnn",
        sha256: "e6de5fbfadf7ec91d1b24d6a6ccfd0290cb4d8bf555c5eab3ce41506f67a58b1",
        licence: ("COPYING", "weights.licence.txt"),
        variable: "TRUNKLINE_NNNOISELESS_DIR",
        cut: |bytes| vec![("weights.rnn", bytes.to_vec())],
    },
    // An optional dependency that nothing enables, so that its ONNX runtime is not built: `cargo fetch` has it all the
    // same.
    Source {
        name: "silero-vad-rust",
        version: "6.2.2",
        file: "src/silero_vad/data/silero_vad.onnx",
        sha256: "1a153a22f4509e292a94e67d6f9b85e8deb25b4988682b7e174c65279d8788e3",
        licence: ("LICENSE", "silero.licence.txt"),
        variable: "TRUNKLINE_SILERO_DIR",
        cut: |bytes| {
            let cut = |tensors: &[(usize, usize)]| {
                let whole = tensors.iter().filter_map(|(at, numbers)| bytes.get(*at..at + 4 * numbers));
                whole.flatten().copied().collect()
            };
            vec![("silero_8k.f32", cut(&SILERO_8K)), ("silero_16k.f32", cut(&SILERO_16K))]
        },
    },
];

/// Where the tensors of silero's two networks lie in that one file, which its hash pins, and how many numbers each has:
/// the Fourier basis; weights and bias of four convolutions; of the recurrent cell the input's and the state's weights
/// and both biases; weights and bias of the output.
const SILERO_8K: [(usize, usize); 15] = [
    (340, 130 * 128),
    (67_035, 128 * 65 * 3),
    (166_998, 128),
    (167_645, 64 * 128 * 3),
    (266_071, 64),
    (266_461, 64 * 64 * 3),
    (315_735, 64),
    (316_126, 128 * 64 * 3),
    (414_553, 128),
    (415_183, 512 * 128),
    (677_445, 512 * 128),
    (939_696, 512),
    (941_851, 512),
    (944_020, 128),
    (944_640, 1),
];
const SILERO_16K: [(usize, usize); 15] = [
    (1_015_921, 258 * 256),
    (1_280_249, 128 * 129 * 3),
    (1_478_516, 128),
    (1_479_163, 64 * 128 * 3),
    (1_577_589, 64),
    (1_577_979, 64 * 64 * 3),
    (1_627_253, 64),
    (1_627_644, 128 * 64 * 3),
    (1_726_071, 128),
    (1_726_701, 512 * 128),
    (1_988_963, 512 * 128),
    (2_251_214, 512),
    (2_253_369, 512),
    (2_255_538, 128),
    (2_256_158, 1),
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    for source in SOURCES {
        println!("cargo::rerun-if-env-changed={}", source.variable);
        if let Err(problem) = source.copy() {
            println!("cargo::error={problem}");
        }
    }
}

impl Source {
    fn copy(&self) -> Result<(), String> {
        let folder = self.find()?;
        let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo did not set OUT_DIR")?);
        let read = |name: &str| {
            let path = folder.join(name);
            println!("cargo::rerun-if-changed={}", path.display());
            fs::read(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))
        };
        let weights = read(self.file)?;
        let found = sha256(&weights);
        if found != self.sha256 {
            return Err(format!(
                "{}/{} has SHA-256 {found}, not {}: fetch {} {} anew, or, after an upgrade whose network was evaluated, \
                 put its hash into dsp/build.rs",
                folder.display(),
                self.file,
                self.sha256,
                self.name,
                self.version
            ));
        }
        let write = |name: &str, bytes: &[u8]| {
            let path = out.join(name);
            fs::write(&path, bytes).map_err(|error| format!("cannot write {}: {error}", path.display()))
        };
        for (name, bytes) in (self.cut)(&weights) {
            write(name, &bytes)?;
        }
        write(self.licence.1, &read(self.licence.0)?)
    }

    /// The crate's unpacked source: the folder named by the environment, a vendored copy, cargo's registry, and at last
    /// whatever cargo itself says.
    fn find(&self) -> Result<PathBuf, String> {
        if let Some(folder) = env::var_os(self.variable) {
            return Ok(PathBuf::from(folder));
        }
        let Self { name, version, .. } = self;
        let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or("cargo did not set CARGO_MANIFEST_DIR")?);
        let home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cargo")));
        let vendored = manifest.ancestors().map(|folder| folder.join("vendor"));
        let registries = home.iter().flat_map(|home| folders(&home.join("registry/src")));
        vendored
            .chain(registries)
            .flat_map(|folder| [folder.join(format!("{name}-{version}")), folder.join(name)])
            .find(|folder| self.is_in(folder))
            .or_else(|| self.ask_cargo(&manifest, &["--offline"]))
            .or_else(|| self.ask_cargo(&manifest, &[]))
            .ok_or_else(|| {
                format!(
                    "the source of {name} {version} is, whole and with the network's hash, neither in a `vendor` folder \
                     above {} nor in cargo's registry; run `cargo fetch --locked`, or set {} to the unpacked crate",
                    manifest.display(),
                    self.variable
                )
            })
    }

    /// Whether this is the locked version with its weights; a damaged copy is passed over for a sound one elsewhere.
    fn is_in(&self, folder: &Path) -> bool {
        let line = format!("version = \"{}\"", self.version);
        let named = |manifest: String| manifest.lines().any(|it| it.trim() == line);
        fs::read(folder.join(self.file)).is_ok_and(|weights| sha256(&weights) == self.sha256)
            && fs::read_to_string(folder.join("Cargo.toml")).is_ok_and(named)
    }

    /// A source replacement with a folder of another name is known to cargo alone, and a crate that nothing enables is
    /// fetched for nothing else.
    fn ask_cargo(&self, manifest: &Path, how: &[&str]) -> Option<PathBuf> {
        let output = Command::new(env::var_os("CARGO")?)
            .args(["metadata", "--format-version", "1", "--locked", "--all-features"])
            .args(how)
            .arg("--manifest-path")
            .arg(manifest.join("Cargo.toml"))
            .output()
            .ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        text.split("\"manifest_path\":\"")
            .filter_map(|rest| rest.split('"').next())
            .filter_map(|path| Path::new(path).parent())
            .find(|folder| self.is_in(folder))
            .map(Path::to_path_buf)
    }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn folders(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<_> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    found.sort();
    found
}
