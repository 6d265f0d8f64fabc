//! A recogniser that really listens: Moonshine base by onnxruntime, in a process of its own for each thread. What it said to
//! a sound is kept for the next run.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;

use anyhow::{Context as _, Result};
use serde_json::Value;

/// Where the bench of sound keeps its environment and its models, below the user's cache.
const PYTHON: &str = ".cache/trunkline/quality-python/bin/python";
const MODELS: &str = ".cache/trunkline/quality-models";

/// Processes that listen.
#[derive(Debug)]
pub(crate) struct Listeners {
    python: PathBuf,
    models: PathBuf,
    kept: PathBuf,
    idle: Mutex<Vec<Process>>,
}

#[derive(Debug)]
struct Process {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Listeners {
    /// `None` where the bench of sound has not been run: it fetches what is needed. Keeps what was said in `folder`.
    pub(crate) fn new(folder: &Path) -> Result<Option<Self>> {
        let home = std::env::home_dir().unwrap_or_default();
        let (python, models) = (home.join(PYTHON), home.join(MODELS));
        if !python.exists() || !models.exists() {
            return Ok(None);
        }
        let kept = folder.join("understood");
        std::fs::create_dir_all(&kept)?;
        Ok(Some(Self { python, models, kept, idle: Mutex::default() }))
    }

    /// What is understood of sound at 8 kHz.
    pub(crate) fn understand(&self, pcm: &[i16]) -> Result<String> {
        let file = self.kept.join(format!("{:016x}-{}.txt", hash(pcm), pcm.len()));
        if let Ok(text) = std::fs::read_to_string(&file) {
            return Ok(text);
        }
        let idle = self.idle.lock().ok().and_then(|mut idle| idle.pop());
        let mut process = match idle {
            Some(process) => process,
            None => self.start()?,
        };
        let text = process.ask(pcm)?;
        if let Ok(mut idle) = self.idle.lock() {
            idle.push(process);
        }
        let draft = file.with_extension(format!("{:?}.draft", std::thread::current().id()));
        std::fs::write(&draft, &text)?;
        std::fs::rename(&draft, &file)?;
        Ok(text)
    }

    fn start(&self) -> Result<Process> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/listen.py");
        let mut command = Command::new(&self.python);
        command.arg(script).arg(&self.models).env("PYTHONDONTWRITEBYTECODE", "1").env("OMP_NUM_THREADS", "1");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("python does not run")?;
        let to = child.stdin.take().context("no standard input")?;
        let from = BufReader::new(child.stdout.take().context("no standard output")?);
        Ok(Process { child, to, from })
    }
}

impl Process {
    fn ask(&mut self, pcm: &[i16]) -> Result<String> {
        let mut given = u32::try_from(pcm.len())?.to_le_bytes().to_vec();
        given.extend(pcm.iter().flat_map(|sample| sample.to_le_bytes()));
        self.to.write_all(&given)?;
        self.to.flush()?;
        let mut line = String::new();
        self.from.read_line(&mut line)?;
        let said: Value = serde_json::from_str(&line).context("the recogniser has ended")?;
        Ok(said["text"].as_str().unwrap_or_default().to_owned())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has nothing to lose.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// FNV-1a.
fn hash(pcm: &[i16]) -> u64 {
    let bytes = pcm.iter().flat_map(|sample| sample.to_le_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
