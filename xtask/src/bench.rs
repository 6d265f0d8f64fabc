//! The benchmarks by name: what each needs, what is built for it, and how it is run.

use std::path::Path;
use std::process::Command;

use anyhow::Context as _;

use crate::packages::{self, Package};
use crate::{products, shell};

/// One benchmark.
struct Bench {
    name: &'static str,
    what: &'static str,
    packages: &'static [&'static [Package]],
    builds: Builds,
}

/// What stands behind a name.
enum Builds {
    /// The whole product and its plugins; `trunkline-bench NAME` drives it.
    Product,
    /// One crate by itself, whose binary has the crate's name.
    Crate {
        package: &'static str,
        /// Figures of speed are of the profile that ships; figures of sound are the same in both.
        release: bool,
    },
}

const BENCHES: &[Bench] = &[
    Bench {
        name: "first-call",
        what: "what one call costs and how long its caller waits",
        packages: packages::TEST,
        builds: Builds::Product,
    },
    Bench {
        name: "store",
        what: "the edge store against redb by itself and sled",
        packages: packages::TEST,
        builds: Builds::Product,
    },
    Bench {
        name: "dsp",
        what: "signal processing: calls per core, each block beside its baseline",
        packages: packages::BENCH_DSP,
        builds: Builds::Crate { package: "trunkline-bench-dsp", release: true },
    },
    Bench {
        name: "quality",
        what: "the sound: noise suppression, voice activity, concealment and delay, judged on a speech set",
        packages: packages::BENCH_QUALITY,
        builds: Builds::Crate { package: "trunkline-bench-quality", release: false },
    },
];

/// Runs the benchmark of this name; without one, lists them.
pub(crate) fn run(name: Option<&str>, json: Option<&Path>) -> anyhow::Result<()> {
    let Some(name) = name else {
        for bench in BENCHES {
            println!("{:<12} {}", bench.name, bench.what);
        }
        return Ok(());
    };
    let bench = BENCHES.iter().find(|bench| bench.name == name).with_context(|| {
        let known: Vec<&str> = BENCHES.iter().map(|bench| bench.name).collect();
        format!("there is no benchmark {name}; there are {}", known.join(", "))
    })?;
    packages::ensure(bench.packages)?;
    let mut command = bench.build()?;
    if let Some(json) = json {
        // Where the caller meant, although the benchmark runs in the repository's root.
        command.arg("--json").arg(std::path::absolute(json)?);
    }
    shell::run(&mut command)
}

impl Bench {
    fn build(&self) -> anyhow::Result<Command> {
        match self.builds {
            Builds::Product => {
                products::binaries_and(&["trunkline-bench"])?;
                products::plugins()?;
                let mut command = products::Products::built().command("trunkline-bench");
                command.arg(self.name);
                Ok(command)
            }
            Builds::Crate { package, release } => {
                let mut build = shell::cargo();
                build.args(["build", "--locked", "-p", package]);
                if release {
                    build.arg("--release");
                }
                shell::run(&mut build)?;
                let profile = if release { "release" } else { "debug" };
                let mut command = Command::new(shell::target_dir().join(profile).join(package));
                command.current_dir(shell::root()).env("CARGO_TARGET_DIR", shell::target_dir());
                Ok(command)
            }
        }
    }
}
