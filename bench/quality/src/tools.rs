//! What the evaluation stands on that is not Rust: a Python environment for the scores and Debian's spandsp.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// Everything that makes the set; a change of any makes it again.
const RECIPE: [&str; 4] = ["score/audio.py", "score/talkers.py", "score/noises.py", "score/corpus.py"];
/// The same for the rooms.
const ROOMS: [&str; 4] = ["score/audio.py", "score/talkers.py", "score/rooms.py", "score/sentences.py"];
const REQUIREMENTS: &str = "score/requirements.txt";
const SPANDSP: &str = "spandsp.c";
const MODELS: &str = "models.py";

/// The tools, ready to run.
pub(crate) struct Tools {
    sources: PathBuf,
    venv: PathBuf,
    spandsp: PathBuf,
    models: PathBuf,
}

impl Tools {
    /// Finds or makes them: the environment in `cache`, the program in `work`.
    pub(crate) fn ready(cache: &Path, work: &Path) -> Result<Self> {
        let sources = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let venv = cache.join("quality-python");
        environment(&venv, &sources.join(REQUIREMENTS))?;
        let spandsp = work.join("spandsp");
        compile(&sources.join(SPANDSP), &spandsp)?;
        let models = cache.join("quality-models");
        let mut fetch = Command::new(venv.join("bin/python"));
        run(fetch.arg(sources.join("score").join(MODELS)).arg(&models))
            .context("cannot fetch the models; on Debian: apt-get install npm")?;
        Ok(Self { sources, venv, spandsp, models })
    }

    /// A script of `score/` in the environment.
    pub(crate) fn python(&self, script: &str) -> Command {
        let mut command = Command::new(self.venv.join("bin/python"));
        command.arg(self.sources.join("score").join(script));
        // Each script uses every core by processes; libraries that start threads of their own only get in the way.
        command.env("OMP_NUM_THREADS", "1").env("OPENBLAS_NUM_THREADS", "1").env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }

    /// The program around Debian's spandsp.
    pub(crate) fn spandsp(&self) -> &Path {
        &self.spandsp
    }

    /// The folder of the models that listen and judge.
    pub(crate) fn models(&self) -> &Path {
        &self.models
    }

    /// What decides how the set comes out, as text.
    pub(crate) fn recipe(&self) -> Result<String> {
        let mut text = String::new();
        for source in RECIPE.iter().chain([&REQUIREMENTS, &SPANDSP]) {
            text.push_str(&std::fs::read_to_string(self.sources.join(source))?);
        }
        Ok(text)
    }

    /// What decides how the rooms come out, as text.
    pub(crate) fn rooms_recipe(&self) -> Result<String> {
        let mut text = String::new();
        for source in ROOMS.iter().chain([&REQUIREMENTS]) {
            text.push_str(&std::fs::read_to_string(self.sources.join(source))?);
        }
        Ok(text)
    }

    /// Versions that the figures depend on: the Python packages as pinned, and Debian's spandsp.
    pub(crate) fn versions(&self) -> Result<Vec<(String, String)>> {
        let pinned = std::fs::read_to_string(self.sources.join(REQUIREMENTS))?;
        let mut versions: Vec<(String, String)> = pinned
            .lines()
            .filter_map(|line| line.split_once("=="))
            .filter(|(name, _)| ["pesq", "pystoi", "numpy", "scipy"].contains(name))
            .map(|(name, version)| (name.to_owned(), version.to_owned()))
            .collect();
        let asked = Command::new("dpkg-query").args(["-W", "-f=${Version}", "libspandsp-dev"]).output();
        if let Ok(answer) = asked
            && answer.status.success()
        {
            versions.push(("spandsp".to_owned(), String::from_utf8_lossy(&answer.stdout).trim().to_owned()));
        }
        Ok(versions)
    }
}

/// The environment, kept until the list of packages changes.
fn environment(venv: &Path, requirements: &Path) -> Result<()> {
    let wanted = std::fs::read_to_string(requirements)?;
    let stamp = venv.join("requirements.txt");
    if std::fs::read_to_string(&stamp).is_ok_and(|known| known == wanted) {
        return Ok(());
    }
    println!("scores: installing {} (once, about a minute)", wanted.lines().collect::<Vec<_>>().join(" "));
    let _ = std::fs::remove_dir_all(venv);
    if let Some(parent) = venv.parent() {
        std::fs::create_dir_all(parent)?;
    }
    run(Command::new("python3").args(["-m", "venv"]).arg(venv))
        .context("cannot make a Python environment; on Debian: apt-get install python3-venv python3-pip python3-dev")?;
    run(Command::new(venv.join("bin/python"))
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"])
        .arg(requirements))
    .context("pip could not install the scores; `pesq` is compiled and needs gcc and python3-dev")?;
    std::fs::write(stamp, wanted)?;
    Ok(())
}

/// Compiles `source` unless `program` is newer.
fn compile(source: &Path, program: &Path) -> Result<()> {
    let modified = |path: &Path| path.metadata().and_then(|data| data.modified()).ok();
    if modified(program).is_some_and(|made| modified(source).is_some_and(|written| made > written)) {
        return Ok(());
    }
    run(Command::new("cc").args(["-O2", "-Wall", "-o"]).arg(program).arg(source).args(["-lspandsp", "-lm"]))
        .context("cannot compile against spandsp; on Debian: apt-get install gcc libc6-dev libspandsp-dev")
}

/// Runs `command` to its end, its output going where ours goes.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command.status().with_context(|| format!("cannot start {name}"))?;
    if !status.success() {
        bail!("{name} ended with {status}");
    }
    Ok(())
}

/// Runs `command` with `input` and returns what it wrote.
pub(crate) fn filter(command: &mut Command, input: &[u8]) -> Result<Vec<u8>> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().with_context(|| format!("cannot start {name}"))?;
    let mut into = child.stdin.take().context("no standard input")?;
    let output = std::thread::scope(|scope| {
        scope.spawn(move || {
            // A program that ends early says why by its status.
            let _ = std::io::Write::write_all(&mut into, input);
        });
        child.wait_with_output()
    })?;
    if !output.status.success() {
        bail!("{name} ended with {}", output.status);
    }
    Ok(output.stdout)
}
