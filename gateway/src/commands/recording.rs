//! `trunkline recording`: orders about a call's recording, and keys and files of sealed ones.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Subcommand;
use http::Method;
use trunkline_recording::{Ending, OpenError, SecretKey, open};

use super::calls::{answered, text};
use crate::output::say;
use crate::{Configuration, exit};

/// How a sealed file's name ends.
const SEALED: &str = "sealed";

/// What to do.
#[derive(Subcommand)]
pub(crate) enum Recording {
    /// Begin to record a call.
    Start {
        /// The call's id.
        call: String,
    },
    /// Put silence in place of both voices until it is resumed.
    Pause {
        /// The call's id.
        call: String,
    },
    /// Record both voices again.
    Resume {
        /// The call's id.
        call: String,
    },
    /// End the recording; the call goes on.
    Stop {
        /// The call's id.
        call: String,
    },
    /// Make a pair of keys: the secret one opens recordings and goes into a file, the public one is printed.
    Keygen {
        /// File for the secret key; it must not exist yet. Keep it where no gateway is.
        #[arg(long, value_name = "FILE", default_value = "recording.key")]
        out: PathBuf,
    },
    /// Open a sealed recording, so that it can be played.
    Open {
        /// The sealed file.
        file: PathBuf,
        /// File with the secret key that `keygen` wrote.
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// File for what is inside; by default the sealed file's name without `.sealed`. It must not exist yet.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

/// Does it.
pub(crate) fn run(configuration: &Configuration, recording: &Recording) -> u8 {
    let (call, order) = match recording {
        Recording::Start { call } => (call, "start"),
        Recording::Pause { call } => (call, "pause"),
        Recording::Resume { call } => (call, "resume"),
        Recording::Stop { call } => (call, "stop"),
        Recording::Keygen { out } => return done(keygen(out)),
        Recording::Open { file, key, out } => return done(open_file(file, key, out.as_deref())),
    };
    answered(configuration, Method::POST, &format!("/v1/calls/{call}/recording/{order}"), |state| {
        let sealed = if state["sealed"] == true { ", sealed" } else { "" };
        say!("{call} {}: {}{sealed}", text(&state["state"]), text(&state["path"]));
    })
}

fn done(outcome: anyhow::Result<()>) -> u8 {
    match outcome {
        Ok(()) => exit::OK,
        Err(error) => {
            eprintln!("{error:#}");
            exit::FAILED
        }
    }
}

fn keygen(out: &Path) -> anyhow::Result<()> {
    let secret = SecretKey::generate()?;
    let mut file = new_file(out)?;
    writeln!(file, "{}", *secret.to_text())?;
    file.sync_all()?;
    eprintln!("the secret key is in {}: whoever has it can open recordings, and nobody can without", out.display());
    say!("{}", secret.public());
    Ok(())
}

fn open_file(sealed: &Path, key: &Path, out: Option<&Path>) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(key).with_context(|| format!("key {}", key.display()))?;
    let secret: SecretKey = text.parse().with_context(|| format!("key {}", key.display()))?;
    let inside = match out {
        Some(out) => out.to_path_buf(),
        None if sealed.extension().is_some_and(|extension| extension == SEALED) => sealed.with_extension(""),
        None => bail!("{} does not end in `.{SEALED}`; say where to put what is inside, with --out", sealed.display()),
    };
    let input = File::open(sealed).with_context(|| sealed.display().to_string())?;
    let mut output = BufWriter::new(new_file(&inside)?);
    let outcome = open(BufReader::new(input), &secret, &mut output);
    let bytes = output.into_inner().map_err(std::io::IntoInnerError::into_error)?.metadata()?.len();
    match outcome {
        Ok(Ending::Complete) => say!("{}: whole, {bytes} bytes", inside.display()),
        Ok(Ending::Cut) => say!(
            "{}: up to where it was cut, {bytes} bytes; the gateway or its machine stopped in the middle, or the file \
             was shortened",
            inside.display()
        ),
        Err(error) => {
            if bytes == 0 {
                std::fs::remove_file(&inside)?;
            } else if matches!(error, OpenError::Record { .. } | OpenError::Behind { .. }) {
                eprintln!("{}: what comes before, {bytes} bytes", inside.display());
            }
            return Err(error).with_context(|| sealed.display().to_string());
        }
    }
    Ok(())
}

/// A file of its owner only, which must not exist yet.
fn new_file(path: &Path) -> anyhow::Result<File> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.with_context(|| format!("{} cannot be made", path.display()))
}

#[cfg(test)]
mod tests {
    use trunkline_recording::{Container, Sealer};

    use super::*;

    #[test]
    fn a_sealed_file_opens_with_the_key_that_was_made_and_is_refused_at_its_damage() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        keygen(&path("a.key")).unwrap();
        assert!(keygen(&path("a.key")).is_err(), "a key is never overwritten");
        keygen(&path("b.key")).unwrap();
        let secret: SecretKey = std::fs::read_to_string(path("a.key")).unwrap().parse().unwrap();
        let mut sealed = Vec::new();
        let mut sealer = Sealer::begin(&secret.public(), Container::Opus, 8000, &mut sealed).unwrap();
        sealer.record(b"first", &mut sealed);
        sealer.finish(b"second", &mut sealed);
        std::fs::write(path("x.opus.sealed"), &sealed).unwrap();
        open_file(&path("x.opus.sealed"), &path("a.key"), None).unwrap();
        assert_eq!(std::fs::read(path("x.opus")).unwrap(), b"firstsecond");
        assert!(open_file(&path("x.opus.sealed"), &path("a.key"), None).is_err(), "nothing is overwritten");

        let wrong = open_file(&path("x.opus.sealed"), &path("b.key"), Some(&path("y"))).unwrap_err();
        assert!(format!("{wrong:#}").contains("is sealed to key"), "{wrong:#}");
        assert!(!path("y").exists());
        let last = sealed.len() - 1;
        sealed[last] ^= 1;
        std::fs::write(path("z.opus.sealed"), &sealed).unwrap();
        let damaged = open_file(&path("z.opus.sealed"), &path("a.key"), None).unwrap_err();
        assert!(format!("{damaged:#}").contains("record 1 is damaged"), "{damaged:#}");
        assert_eq!(std::fs::read(path("z.opus")).unwrap(), b"first", "what comes before it is there");
    }
}
