//! `bench load`: many calls at once against a gateway as it ships, answered by an echo through the same rings and agent
//! worker as any agent. What is lost, how long an answer and an echo take beside a reflector measured in the same run,
//! and what a call costs: the processor time of the whole gateway, and memory by Pss.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::json;
use trunkline_bench_results::{Measurement, Results};
use trunkline_load::{Figures, Generator, Plan, Reflector, Sound, Usage, allow_descriptors, pin, quantile};
use trunkline_tests::gateway::{Gateway, Options};
use trunkline_tests::{echo, objects};

use crate::plot::{self, Line, Panel};

/// How long the reflector is measured.
const BASELINE: Duration = Duration::from_secs(8);
/// The longest that calls with noise suppression are measured, so that a long run is not twice as long.
const DENOISED: Duration = Duration::from_secs(60);
/// Between the last answer and the first measurement: jitter buffers find their depth.
const SETTLE: Duration = Duration::from_secs(3);
/// Time that set-up may take beyond its rate.
const PATIENCE: Duration = Duration::from_secs(20);
/// Time between two looks at the gateway.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Calls at once.
    #[arg(long, default_value_t = 500)]
    calls: usize,
    /// Seconds that they are measured, once all are up.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// New calls a second until all are up.
    #[arg(long, default_value_t = 50.0)]
    per_second: f64,
    /// Also write the results as a JSON array.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Where the plot goes.
    #[arg(long, default_value = "bench/results/load/load.svg")]
    plot: PathBuf,
    /// Another gateway than the one just built, to be compared with.
    #[arg(long)]
    gateway: Option<PathBuf>,
}

/// What everything of a run shares.
pub(crate) struct Ground {
    /// The core of whatever is called.
    pub(crate) theirs: usize,
    /// The core of the callers.
    pub(crate) ours: usize,
    pub(crate) sound: Arc<Sound>,
    pub(crate) calls: usize,
    pub(crate) per_second: f64,
}

/// What came of calls to one of them.
pub(crate) struct Run {
    pub(crate) figures: Figures,
    pub(crate) seconds: f64,
    /// Before the calls.
    idle: Option<Usage>,
    /// While they lasted, with seconds since the first look.
    looks: Vec<(f64, Usage)>,
}

/// Runs it.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let ground = Ground::find(args.calls, args.per_second)?;
    let lasting = Duration::from_secs(args.seconds.max(1));
    println!(
        "{} calls, {} a second until they are up; callers on core {}, what is called on core {}",
        ground.calls, ground.per_second, ground.ours, ground.theirs
    );
    let baseline = ground.reflected(BASELINE.min(lasting))?;
    say("reflector", &baseline);
    let plain = ground.gateway(args.gateway.as_deref(), "off", lasting)?;
    say("gateway", &plain);
    let denoised = ground.gateway(args.gateway.as_deref(), "lanes", DENOISED.min(lasting))?;
    say("gateway, every call denoised", &denoised);

    let mut results = Results::new(format!(
        "cargo xtask bench load --calls {} --seconds {} --per-second {}",
        args.calls, args.seconds, args.per_second
    ));
    results.add(Measurement::new("load.calls", ground.calls as f64, "calls"));
    add(&mut results, "load", &plain, &baseline);
    add(&mut results, "load.denoised", &denoised, &baseline);
    results.baseline("a reflector on the same core, in the same run: it answers and sends back at once");
    draw(&args.plot, &[("reflector", &baseline), ("gateway", &plain), ("denoised", &denoised)])?;
    println!("plot: {}", args.plot.display());
    results.finish(args.json.as_deref())
}

impl Ground {
    /// Two cores, and people who speak.
    pub(crate) fn find(calls: usize, per_second: f64) -> anyhow::Result<Self> {
        ensure!(calls > 0 && per_second > 0.0, "no calls are asked for");
        allow_descriptors()?;
        let allowed = rustix::thread::sched_getaffinity(None)?;
        let cores: Vec<usize> = (0..rustix::thread::CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core)).collect();
        let (Some(theirs), Some(ours)) = (cores.first().copied(), cores.last().copied()) else {
            anyhow::bail!("this process may use no core");
        };
        ensure!(theirs != ours, "callers and gateway need a core each, and this process may use one alone");
        let sentences = [
            ("slt", "Good morning, I would like to change the delivery address of my last order."),
            ("rms", "Can you tell me when the next train to the airport leaves, please?"),
            ("awb", "I have a question about the bill that I received yesterday."),
            ("kal", "Please connect me with somebody in the technical department."),
        ];
        let spoken = sentences.iter().map(|(voice, words)| trunkline_caller::spoken(voice, words));
        let sound = Sound::speech(&spoken.collect::<Result<Vec<_>, _>>()?)?;
        Ok(Self { theirs, ours, sound: Arc::new(sound), calls, per_second })
    }

    /// The reflector's part.
    pub(crate) fn reflected(&self, lasting: Duration) -> anyhow::Result<Run> {
        let reflector = Reflector::start(IpAddr::V4(Ipv4Addr::LOCALHOST), Some(self.theirs), None)?;
        self.call(reflector.sip(), None, lasting)
    }

    /// The gateway's part, with this noise suppression.
    pub(crate) fn gateway(&self, program: Option<&Path>, denoiser: &str, lasting: Duration) -> anyhow::Result<Run> {
        let scratch = tempfile::tempdir()?;
        // Threads and programs take over the cores of whoever starts them.
        pin(&[self.theirs])?;
        let started = start(scratch.path(), self.calls, program, denoiser);
        pin(&[self.ours])?;
        let mut gateway = started?;
        let pid = gateway.process().id();
        let run = self.call(gateway.sip(), Some(pid), lasting);
        let stopped = gateway.stop();
        let run = run.with_context(|| format!("the gateway's log:\n{}", gateway.process().log()))?;
        stopped?;
        Ok(run)
    }

    /// Calls `target`, which process `pid` serves.
    pub(crate) fn call(&self, target: SocketAddr, pid: Option<u32>, lasting: Duration) -> anyhow::Result<Run> {
        self.warm_up(target)?;
        let idle = pid.map(Usage::of).transpose()?;
        let mut plan = Plan::new(target, self.calls, Arc::clone(&self.sound));
        (plan.per_second, plan.core) = (self.per_second, Some(self.ours));
        let generator = Generator::start(plan)?;
        if let Err(error) = generator.await_up(Duration::from_secs_f64(self.calls as f64 / self.per_second) + PATIENCE)
        {
            println!("{error:#}; those that are up are measured");
        }
        std::thread::sleep(SETTLE);
        generator.measure(true);
        let (begin, mut looks) = (Instant::now(), Vec::new());
        while begin.elapsed() < lasting {
            if let Some(pid) = pid {
                looks.push((begin.elapsed().as_secs_f64(), Usage::of(pid)?));
            }
            std::thread::sleep(LOOK_EVERY.min(lasting.saturating_sub(begin.elapsed())));
        }
        if let Some(pid) = pid {
            looks.push((begin.elapsed().as_secs_f64(), Usage::of(pid)?));
        }
        generator.measure(false);
        let seconds = begin.elapsed().as_secs_f64();
        Ok(Run { figures: generator.finish()?, seconds, idle, looks })
    }

    /// One call that is not counted: whatever is made once is made by it.
    fn warm_up(&self, target: SocketAddr) -> anyhow::Result<()> {
        let mut plan = Plan::new(target, 1, Arc::clone(&self.sound));
        (plan.core, plan.seed) = (Some(self.ours), plan.seed ^ 0x5a5a);
        let generator = Generator::start(plan)?;
        generator.await_up(PATIENCE)?;
        std::thread::sleep(LOOK_EVERY);
        let figures = generator.finish()?;
        ensure!(figures.calls_failed() == 0, "the first call failed: {}", figures.why_failed());
        Ok(())
    }
}

impl Run {
    /// Percent of a core for a hundred calls.
    pub(crate) fn processor(&self) -> Option<f64> {
        let ((begin, first), (end, last)) = (self.looks.first()?, self.looks.last()?);
        let share = (last.processor_s - first.processor_s) / (end - begin);
        (self.figures.answered > 0).then(|| share * 100.0 / self.figures.answered as f64 * 100.0)
    }

    /// KiB of Pss a call.
    pub(crate) fn memory(&self) -> Option<f64> {
        let (_, last) = self.looks.last()?;
        (self.figures.answered > 0)
            .then(|| (last.pss_kb - self.idle.map_or(0.0, |idle| idle.pss_kb)) / self.figures.answered as f64)
    }

    fn descriptors(&self) -> Option<f64> {
        let (_, last) = self.looks.last()?;
        let idle = self.idle?.descriptors;
        (self.figures.answered > 0).then(|| (last.descriptors as f64 - idle as f64) / self.figures.answered as f64)
    }
}

/// A gateway whose every call is an echo.
fn start(scratch: &Path, calls: usize, program: Option<&Path>, denoiser: &str) -> anyhow::Result<Gateway> {
    let options = Options { program: program.map(Path::to_path_buf), ..echo::options(scratch, calls)? };
    let options = options.with("TRUNKLINE_MEDIA__WORKERS", "1").with("TRUNKLINE_LOG__LEVEL", "warn");
    let mut agent = echo::agent();
    agent["sound"]["denoiser"] = json!(denoiser);
    Gateway::standalone(scratch, &objects::answering(&agent)?, options)
}

/// One line of how it went.
pub(crate) fn say(name: &str, run: &Run) {
    let Figures { answered, sent, received, .. } = &run.figures;
    println!("{name}: {answered} calls, {sent} frames sent, {received} received in {:.0} s", run.seconds);
    if run.figures.calls_failed() > 0 {
        println!("{name}: {} calls failed: {}", run.figures.calls_failed(), run.figures.why_failed());
    }
}

fn add(results: &mut Results, prefix: &str, run: &Run, baseline: &Run) {
    let (figures, reflected) = (&run.figures, &baseline.figures);
    let mut row = |name: &str, value: f64, unit: &str, beside: Option<f64>| {
        let row = Measurement::new(format!("{prefix}.{name}"), value, unit);
        results.add(match beside {
            Some(beside) => row.beside(beside),
            None => row,
        });
    };
    row("calls_failed", figures.calls_failed() as f64, "calls", Some(reflected.calls_failed() as f64));
    row("frames_lost", figures.frames_lost() as f64, "frames", Some(reflected.frames_lost() as f64));
    row("frames_sent", figures.sent as f64, "frames", None);
    for (name, share) in [("setup_ms_p50", 0.5), ("setup_ms_p99", 0.99)] {
        row(name, quantile(&figures.setup_ms, share), "ms", Some(quantile(&reflected.setup_ms, share)));
    }
    let network = quantile(&reflected.delay_ms, 0.5);
    for (name, share) in [("added_delay_ms_p50", 0.5), ("added_delay_ms_p99", 0.99)] {
        row(name, quantile(&figures.delay_ms, share) - network, "ms", None);
    }
    row("marks_unheard", (figures.marks - figures.marks_heard) as f64, "marks", None);
    row("tick_late_ms_p999", figures.late.quantile(0.999), "ms", Some(reflected.late.quantile(0.999)));
    row("callers_late_ms_p999", figures.own_late.quantile(0.999), "ms", Some(reflected.own_late.quantile(0.999)));
    let costs = [
        ("rss_per_call_kb", run.memory(), "KiB of Pss"),
        ("idle_rss_kb", run.idle.map(|idle| idle.pss_kb), "KiB of Pss"),
        ("cpu_percent_of_core_per_100_calls", run.processor(), "%"),
        ("descriptors_per_call", run.descriptors(), "descriptors"),
    ];
    for (name, value, unit) in costs {
        if let Some(value) = value {
            row(name, value, unit, None);
        }
    }
}

fn draw(path: &Path, runs: &[(&str, &Run)]) -> anyhow::Result<()> {
    let lines = |of: &dyn Fn(&Run) -> Vec<(f64, f64)>| -> Vec<Line> {
        let lines = runs.iter().map(|(name, run)| Line { name: (*name).to_owned(), points: of(run) });
        lines.filter(|line| !line.points.is_empty()).collect()
    };
    let spreads = |of: &dyn Fn(&Run) -> Vec<f64>| -> Vec<Line> {
        runs.iter().map(|(name, run)| Line::spread(name, &of(run))).filter(|line| !line.points.is_empty()).collect()
    };
    let seconds = "seconds".to_owned();
    let processor = |run: &Run| -> Vec<(f64, f64)> {
        let used = |pair: &[(f64, Usage)]| {
            let [(begin, first), (end, last)] = pair else { return None };
            (end > begin).then(|| (*end, (last.processor_s - first.processor_s) / (end - begin) * 100.0))
        };
        run.looks.windows(2).filter_map(used).collect()
    };
    let panels = [
        Panel {
            title: "Sound in to its echo out".to_owned(),
            across: "milliseconds".to_owned(),
            up: "share of marks".to_owned(),
            lines: spreads(&|run| run.figures.delay_ms.clone()),
        },
        Panel {
            title: "INVITE to 200".to_owned(),
            across: "milliseconds".to_owned(),
            up: "share of calls".to_owned(),
            lines: spreads(&|run| run.figures.setup_ms.clone()),
        },
        Panel {
            title: "Processor".to_owned(),
            across: seconds.clone(),
            up: "% of a core".to_owned(),
            lines: lines(&processor),
        },
        Panel {
            title: "Memory".to_owned(),
            across: seconds,
            up: "MiB of Pss".to_owned(),
            lines: lines(&|run| run.looks.iter().map(|(at, usage)| (*at, usage.pss_kb / 1024.0)).collect()),
        },
    ];
    plot::write(path, &panels)
}
