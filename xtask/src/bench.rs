//! The benchmarks by name: what each needs, what is built for it, and how it is run.

use std::ffi::{OsStr, OsString};
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
    /// The gateway as it ships, and the plugins; `trunkline-bench NAME` drives it.
    Released,
    /// The gateway as it ships, without plugins; `trunkline-bench NAME` drives it.
    Gateway,
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
        name: "live",
        what: "what a caller waits for and what reaches a caller, on running calls with providers of 0 ms",
        packages: packages::TEST,
        builds: Builds::Released,
    },
    Bench {
        name: "load",
        what: "many calls at once: what is lost, how late it comes and what it costs",
        packages: packages::BENCH_LOAD,
        builds: Builds::Gateway,
    },
    Bench {
        name: "peers",
        what: "the same load against SIPp, baresip, rtpengine and active-call, side by side",
        packages: packages::BENCH_PEERS,
        builds: Builds::Gateway,
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
    Bench {
        name: "conversation",
        what: "how turns are taken, on real sound: cuts, misses, interruptions, beside a time-out of 700 ms",
        packages: packages::BENCH_CONVERSATION,
        builds: Builds::Crate { package: "trunkline-bench-conversation", release: false },
    },
];

/// Runs the benchmark of this name; without one, lists them.
pub(crate) fn run(name: Option<&str>, json: Option<&Path>, options: &[OsString]) -> anyhow::Result<()> {
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
    command.args(where_the_caller_meant(options)?);
    shell::run(&mut command)
}

/// The options with their files as seen from where the command was typed.
fn where_the_caller_meant(options: &[OsString]) -> anyhow::Result<Vec<OsString>> {
    const FILES: [&str; 4] = ["--json", "--plot", "--gateway", "--results"];
    let mut meant = Vec::new();
    let mut file = false;
    for option in options {
        meant.push(if file { std::path::absolute(option)?.into_os_string() } else { option.clone() });
        file = FILES.iter().any(|name| OsStr::new(name) == option);
    }
    Ok(meant)
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
            Builds::Released => {
                products::plugins()?;
                let mut command = products::released(&["trunkline", "trunkline-bench"])?.command("trunkline-bench");
                command.arg(self.name);
                Ok(command)
            }
            Builds::Gateway => {
                let mut command = products::released(&["trunkline", "trunkline-bench"])?.command("trunkline-bench");
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_those_that_the_caller_sees_and_other_options_are_left_alone() -> anyhow::Result<()> {
        let typed = ["--calls", "5", "--json", "x.json", "--plot", "/y.svg"].map(OsString::from);
        let meant = where_the_caller_meant(&typed)?;
        let here = std::env::current_dir()?.join("x.json").into_os_string();
        assert_eq!(meant, ["--calls".into(), "5".into(), "--json".into(), here, "--plot".into(), "/y.svg".into()]);
        Ok(())
    }
}
