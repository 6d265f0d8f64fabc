//! Debian packages that a command needs: installed when root, named otherwise.

use std::process::Command;

use anyhow::bail;

use crate::shell;

/// A package and a file or program that proves it is there.
pub(crate) type Package = (&'static str, Proof);

/// What proves a package is installed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Proof {
    /// A program on the path.
    Program(&'static str),
    /// `dpkg` says so.
    Installed,
}

/// For building the product.
const BUILD: &[Package] = &[
    ("gcc", Proof::Program("gcc")),
    ("libc6-dev", Proof::Installed),
    ("pkg-config", Proof::Program("pkg-config")),
    ("libsqlite3-dev", Proof::Installed),
];

/// For the plugins that are not pure Rust.
pub(crate) const PLUGINS: &[&[Package]] = &[BUILD, GUESTS];

const GUESTS: &[Package] = &[
    ("clang", Proof::Program("clang")),
    ("lld", Proof::Program("wasm-ld")),
    ("wasi-libc", Proof::Installed),
    ("libclang-rt-14-dev-wasm32", Proof::Installed),
    ("python3-venv", Proof::Installed),
    ("python3-pip", Proof::Installed),
];

/// For the demo: a voice for the caller.
pub(crate) const DEMO: &[&[Package]] = &[BUILD, GUESTS, VOICE];

const VOICE: &[Package] = &[("flite", Proof::Program("flite"))];

/// For the tests.
pub(crate) const TEST: &[&[Package]] = &[BUILD, GUESTS, VOICE, PEERS, DEBHELPER, MACHINE];

const PEERS: &[Package] = &[
    ("sip-tester", Proof::Program("sipp")),
    ("sox", Proof::Program("sox")),
    ("strace", Proof::Program("strace")),
    ("tcpdump", Proof::Program("tcpdump")),
    ("ffmpeg", Proof::Program("ffmpeg")),
    ("python3-pylibsrtp", Proof::Installed),
    ("curl", Proof::Program("curl")),
    ("iproute2", Proof::Program("ip")),
    ("procps", Proof::Program("kill")),
    ("llvm-22", Proof::Installed),
];

/// For the slow tier: people who speak as well, and packages that are not Debian's.
pub(crate) const SLOW: &[&[Package]] =
    &[BUILD, GUESTS, VOICE, PEERS, DEBHELPER, MACHINE, PROMPTS, NOISES, PHONES, RPMBUILD, OTHER_MACHINES];

const PHONES: &[Package] = &[("baresip-core", Proof::Program("baresip"))];

/// Recorded noises.
const NOISES: &[Package] = &[("asterisk-moh-opsound-wav", Proof::Installed), ("lincity-ng-data", Proof::Installed)];

const PROMPTS: &[Package] =
    &[("asterisk-core-sounds-en-wav", Proof::Installed), ("asterisk-core-sounds-fr-wav", Proof::Installed)];

/// For making Debian packages, and for laying out what any package is made from.
pub(crate) const DEB: &[&[Package]] = &[BUILD, DEBHELPER];

const DEBHELPER: &[Package] = &[
    ("binutils", Proof::Program("strip")),
    ("debhelper", Proof::Program("dh_builddeb")),
    ("dpkg-dev", Proof::Program("dpkg-shlibdeps")),
];

/// For making RPM packages.
pub(crate) const RPM: &[&[Package]] = &[RPMBUILD];

const RPMBUILD: &[Package] = &[("rpm", Proof::Program("rpmbuild"))];

/// For a machine that packages are installed on, and for judging them.
const MACHINE: &[Package] = &[
    ("debootstrap", Proof::Program("debootstrap")),
    ("systemd-container", Proof::Program("systemd-nspawn")),
    ("lintian", Proof::Program("lintian")),
    ("minisign", Proof::Program("minisign")),
];

/// For the same with what is no Debian package.
const OTHER_MACHINES: &[Package] =
    &[("rpmlint", Proof::Program("rpmlint")), ("umoci", Proof::Program("umoci")), ("crun", Proof::Program("crun"))];

/// For many calls at once: people who speak.
pub(crate) const BENCH_LOAD: &[&[Package]] = &[BUILD, VOICE];

/// For the same against others.
pub(crate) const BENCH_PEERS: &[&[Package]] = &[BUILD, VOICE, CALLED];

const CALLED: &[Package] = &[
    ("baresip-core", Proof::Program("baresip")),
    ("cmake", Proof::Program("cmake")),
    ("rtpengine-daemon", Proof::Program("rtpengine")),
    ("sip-tester", Proof::Program("sipp")),
];

/// For the speed of signal processing, beside what Debian ships.
pub(crate) const BENCH_DSP: &[&[Package]] = &[BUILD, SOUND_PEERS];

const SOUND_PEERS: &[Package] =
    &[("libspandsp-dev", Proof::Installed), ("libspeexdsp-dev", Proof::Installed), ("libopus-dev", Proof::Installed)];

/// For judging the sound: people and machines that speak, something to compare with, and what scores it.
pub(crate) const BENCH_QUALITY: &[&[Package]] = &[BUILD, VOICE, SPEECH];

/// For judging how turns are taken: people and machines that speak, and noise.
pub(crate) const BENCH_CONVERSATION: &[&[Package]] = &[BUILD, VOICE, TALKERS];

const TALKERS: &[Package] = &[
    ("asterisk-core-sounds-en-wav", Proof::Installed),
    ("asterisk-core-sounds-es-wav", Proof::Installed),
    ("asterisk-core-sounds-fr-wav", Proof::Installed),
    ("asterisk-core-sounds-it-wav", Proof::Installed),
    ("asterisk-core-sounds-ru-wav", Proof::Installed),
    ("asterisk-moh-opsound-wav", Proof::Installed),
    ("asterisk-prompt-it-menardi-wav", Proof::Installed),
    ("espeak-ng", Proof::Program("espeak-ng")),
    ("ktuberling-data", Proof::Installed),
    ("lincity-ng-data", Proof::Installed),
    ("sox", Proof::Program("sox")),
];

const SPEECH: &[Package] = &[
    ("asterisk-core-sounds-en-wav", Proof::Installed),
    ("asterisk-core-sounds-en-g722", Proof::Installed),
    ("asterisk-core-sounds-es-wav", Proof::Installed),
    ("asterisk-core-sounds-es-g722", Proof::Installed),
    ("asterisk-core-sounds-fr-wav", Proof::Installed),
    ("asterisk-core-sounds-fr-g722", Proof::Installed),
    ("asterisk-core-sounds-it-wav", Proof::Installed),
    ("asterisk-core-sounds-it-g722", Proof::Installed),
    ("asterisk-core-sounds-ru-wav", Proof::Installed),
    ("asterisk-core-sounds-ru-g722", Proof::Installed),
    ("asterisk-moh-opsound-wav", Proof::Installed),
    ("asterisk-prompt-it-menardi-wav", Proof::Installed),
    ("bucklespring-data", Proof::Installed),
    ("espeak-ng", Proof::Program("espeak-ng")),
    ("ktuberling-data", Proof::Installed),
    ("libspandsp-dev", Proof::Installed),
    ("lincity-ng-data", Proof::Installed),
    ("npm", Proof::Program("npm")),
    ("sound-theme-freedesktop", Proof::Installed),
    ("python3-dev", Proof::Installed),
    ("python3-pip", Proof::Installed),
    ("python3-venv", Proof::Installed),
];

/// Installs what is missing when root; names it and stops otherwise.
pub(crate) fn ensure(groups: &[&[Package]]) -> anyhow::Result<()> {
    let missing: Vec<&str> = groups
        .iter()
        .copied()
        .flatten()
        .filter(|(name, proof)| !present(name, *proof))
        .map(|(name, _)| *name)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !root() || !shell::on_path("apt-get") {
        bail!(
            "these Debian packages are missing; install them and run again:\n  apt-get install {}",
            missing.join(" ")
        );
    }
    println!("installing {}", missing.join(" "));
    shell::run(apt().arg("update").arg("-qq"))?;
    shell::run(apt().args(["install", "-y", "-qq", "--no-install-recommends"]).args(&missing))
}

fn apt() -> Command {
    let mut apt = Command::new("apt-get");
    apt.env("DEBIAN_FRONTEND", "noninteractive").args(["-o", "DPkg::Lock::Timeout=300"]);
    apt
}

fn present(name: &str, proof: Proof) -> bool {
    match proof {
        Proof::Program(program) => shell::on_path(program),
        Proof::Installed => Command::new("dpkg-query")
            .args(["-W", "-f=${Status}", name])
            .output()
            .is_ok_and(|output| output.stdout.ends_with(b"ok installed")),
    }
}

fn root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.starts_with(b"0\n"))
}
