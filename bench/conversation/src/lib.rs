//! How turns are taken: real sound through the chain and the call as they ship, beside a plain time-out.
//!
//! A set of short calls is arranged to the sample from synthesised and recorded speech and recorded noise ([`scripts`]),
//! run on virtual time through signal processing and the engine under test, and judged by what the arrangement knows.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test stops at what it did not expect"))]

pub mod draw;
mod figures;
mod harder;
mod line;
mod listener;
mod listening;
mod noises;
mod ours;
mod plain;
mod random;
mod recogniser;
mod room;
mod scene;
mod score;
mod scripts;
mod voices;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result};

pub use figures::{Better, Figure, Figures};

use listener::Listeners;
use noises::Noises;
use plain::Detector;
use recogniser::Recogniser;
use room::Log;
use scene::Scene;
use score::Score;
use voices::{TALKERS, Voices};

/// Which part of the set is run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where synthesised speech is kept for the next run.
    pub folder: PathBuf,
    /// How often each kind of scene is made of each talker, 1..=12.
    pub rounds: usize,
    /// Only talkers whose names begin so; all when empty.
    pub talkers: Vec<String>,
    /// Only scenes of kinds whose names begin so; all when empty.
    pub kinds: Vec<String>,
    /// Only these engines; all when empty.
    pub engines: Vec<Engine>,
    /// Whether a real recogniser listens to some, where one is installed.
    pub listens: bool,
    /// Whether there is recorded noise behind callers and in place of them.
    pub noise: bool,
    /// Whether to print what becomes of each scene.
    pub verbose: bool,
}

/// Talkers whom a real recogniser listens to: one of either half who speaks sentences, and one who is recorded.
const REAL: [&str; 3] = ["flite kal", "flite awb", "allison "];

/// What takes turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Engine {
    /// The product with interim words.
    Ours,
    /// The product with a recogniser that gives no interim words.
    OursWithoutInterimWords,
    /// 700 ms without speech by silero's published model.
    Plain,
    /// 700 ms without speech by the product's signal processing.
    PlainSameEars,
    /// The product with a real recogniser.
    OursRealWords,
    /// 700 ms without speech by silero's published model, with a real recogniser.
    PlainRealWords,
}

impl Engine {
    /// All, in the order of the tables.
    pub const ALL: [Self; 6] = [
        Self::Ours,
        Self::OursWithoutInterimWords,
        Self::Plain,
        Self::PlainSameEars,
        Self::OursRealWords,
        Self::PlainRealWords,
    ];

    /// As the tables call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ours => "the engine",
            Self::OursWithoutInterimWords => "the engine, no interim words",
            Self::Plain => "700 ms, silero",
            Self::PlainSameEars => "700 ms, our chain",
            Self::OursRealWords => "the engine, real words",
            Self::PlainRealWords => "700 ms, real words",
        }
    }

    /// Whether its recogniser listens, and does not know the words.
    #[must_use]
    pub const fn listens(self) -> bool {
        matches!(self, Self::OursRealWords | Self::PlainRealWords)
    }

    /// Whether it is run on a scene: a recogniser that listens is slow and knows English.
    fn runs(self, scene: &Scene) -> bool {
        !self.listens() || REAL.iter().any(|talker| scene.name.starts_with(talker))
    }

    fn run(self, scene: &Scene, voices: &Voices, listeners: Option<&Listeners>) -> Result<Log> {
        let interim = matches!(self, Self::Ours | Self::OursRealWords);
        let recogniser = Recogniser::new(interim, listeners.filter(|_| self.listens()));
        match self {
            Self::Ours | Self::OursWithoutInterimWords | Self::OursRealWords => ours::run(scene, voices, recogniser),
            Self::Plain | Self::PlainRealWords => plain::run(scene, voices, Detector::Published, recogniser),
            Self::PlainSameEars => plain::run(scene, voices, Detector::Chain, recogniser),
        }
    }
}

/// Which scenes figures are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// All.
    All,
    /// Talkers and texts that the engine's development looked at.
    Watched,
    /// Those it did not.
    HeldOut,
    /// Said by people, not by synthesisers.
    Recorded,
    /// Those that a real recogniser listens to.
    Listened,
}

impl Part {
    /// All, in the order of the tables.
    pub const ALL: [Self; 5] = [Self::All, Self::Watched, Self::HeldOut, Self::Recorded, Self::Listened];

    /// As the tables call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Watched => "watched",
            Self::HeldOut => "held out",
            Self::Recorded => "recorded",
            Self::Listened => "listened",
        }
    }

    /// As its table is headed.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::All => "The whole set",
            Self::Watched => "Talkers and texts that the engine was worked on with",
            Self::HeldOut => "Talkers and texts that it was not",
            Self::Recorded => "Recorded talkers alone",
            Self::Listened => "Talkers whom a real recogniser listens to",
        }
    }

    fn holds(self, scene: &Scene) -> bool {
        match self {
            Self::Listened => Engine::OursRealWords.runs(scene),
            Self::All => true,
            Self::Watched => !scene.held_out,
            Self::HeldOut => scene.held_out,
            Self::Recorded => scene.recorded,
        }
    }
}

/// The figures of a run.
#[derive(Debug)]
pub struct Report {
    /// Scenes of the set.
    pub scenes: usize,
    /// Figures by engine and part of the set.
    pub figures: Vec<(Engine, Part, Figures)>,
}

impl Report {
    /// The figures of an engine.
    #[must_use]
    pub fn of(&self, engine: Engine, part: Part) -> Option<&Figures> {
        self.figures.iter().find(|(e, p, _)| (*e, *p) == (engine, part)).map(|(_, _, figures)| figures)
    }
}

/// Makes the set and runs every engine over it.
///
/// # Errors
/// When speech or noise cannot be had; the text says what to install.
pub fn run(options: &Options) -> Result<Report> {
    let voices = Voices::new(&options.folder)?;
    let noises = if options.noise { Noises::new()? } else { Noises::none() };
    let wanted = |name: &str, of: &[String]| of.is_empty() || of.iter().any(|begins| name.starts_with(begins.as_str()));
    let talkers: Vec<_> = TALKERS.iter().filter(|talker| wanted(talker.name, &options.talkers)).collect();
    let made = each("talkers", &talkers, |talker| scripts::of(talker, options.rounds, &voices, &noises))?;
    let scenes: Vec<Scene> = made.into_iter().flatten().filter(|scene| wanted(scene.kind, &options.kinds)).collect();
    let listeners = if options.listens { Listeners::new(&options.folder)? } else { None };
    let jobs: Vec<(Engine, &Scene)> = Engine::ALL
        .iter()
        .filter(|engine| options.engines.is_empty() || options.engines.contains(engine))
        .filter(|engine| listeners.is_some() || !engine.listens())
        .flat_map(|engine| scenes.iter().filter(|scene| engine.runs(scene)).map(move |scene| (*engine, scene)))
        .collect();
    let scores = each("scenes", &jobs, |(engine, scene)| {
        let log = engine.run(scene, &voices, listeners.as_ref())?;
        let score = Score::of(scene, &log);
        if options.verbose {
            println!("{}: {}\n  {score:?}\n  {log:?}", engine.name(), scene.name);
        }
        Ok(score)
    })?;
    let mut figures = Vec::new();
    for engine in Engine::ALL {
        for part in Part::ALL {
            // A part of a part is no figure of it.
            if engine.listens() && part != Part::Listened {
                continue;
            }
            let mut sum = Score::default();
            let of = jobs.iter().zip(&scores).filter(|((by, scene), _)| *by == engine && part.holds(scene));
            of.for_each(|(_, score)| sum.add(score));
            figures.push((engine, part, Figures::of(&sum)));
        }
    }
    Ok(Report { scenes: scenes.len(), figures })
}

/// Where a run keeps its speech unless it is told: in the target directory.
#[must_use]
pub fn kept(target: &Path) -> PathBuf {
    target.join("bench-conversation")
}

/// Does every job on all cores and returns the results in the order of the jobs.
fn each<J: Sync, T: Send>(what: &str, jobs: &[J], work: impl Fn(&J) -> Result<T> + Sync) -> Result<Vec<T>> {
    let (next, finished) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let done = Mutex::new(jobs.iter().map(|_| None).collect::<Vec<Option<Result<T>>>>());
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some((index, job)) =
                    Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|n| Some((n, jobs.get(n)?)))
                {
                    let result = work(job);
                    if let Ok(mut done) = done.lock()
                        && let Some(place) = done.get_mut(index)
                    {
                        *place = Some(result);
                    }
                    let finished = finished.fetch_add(1, Ordering::Relaxed) + 1;
                    if finished == jobs.len() || finished.is_multiple_of((jobs.len() / 5).max(1)) {
                        println!("  {what} {finished}/{}", jobs.len());
                    }
                }
            });
        }
    });
    let done = done.into_inner().ok().context("a worker panicked")?;
    done.into_iter().map(|result| result.context("a worker panicked")?).collect()
}
