//! Renders agents' lines in the background: on a thread of its own, a line at a time, so that calls are never in its way. A
//! line that was rendered once is found again on the disk.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use trunkline_api::usage::Units;

use super::accounts::Accounts;
use super::{PromptKey, Rendered, Wanted, file, wanted};
use crate::serving::Serving;
use crate::session::seat::{Opener, Seat};
use crate::session::{Input, Output, Wake, open_tts};
use crate::shared::Shared;

/// How often it is looked whether agents have changed.
const LOOKS: Duration = Duration::from_secs(1);
/// How long a synthesiser has for a line.
const LONGEST: Duration = Duration::from_secs(30);
/// How often a synthesiser at work is looked at.
const STEP: Duration = Duration::from_millis(5);
/// Most samples of a line: a minute and more at the highest rate.
const MOST_SAMPLES: usize = 48_000 * 90;
/// How long a voice that failed is left alone; twice as long after every further failure, up to the last.
const REST: Duration = Duration::from_secs(15);
const LONGEST_REST: Duration = Duration::from_secs(900);
/// Files beyond which those that no agent needs are removed.
const MOST_FILES: usize = 4096;
/// Folder of the lines, below the gateway's state.
const FOLDER: &str = "prompts";

/// The thread that renders.
pub(crate) struct Renderer {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Renderer {
    /// Starts it.
    pub(crate) fn start(shared: Arc<Shared>) -> io::Result<Self> {
        let stop = Arc::<AtomicBool>::default();
        let stopped = Arc::clone(&stop);
        let folder = shared.config.state_dir.join(FOLDER);
        let thread = std::thread::Builder::new().name("prompts".to_owned()).spawn(move || {
            let mut work =
                Work { shared, folder, stop: stopped, rests: BTreeMap::new(), accounts: Accounts::default() };
            work.run();
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Renderer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

struct Work {
    shared: Arc<Shared>,
    folder: PathBuf,
    stop: Arc<AtomicBool>,
    /// Voices that failed: until when they rest, and for how long then.
    rests: BTreeMap<String, (Instant, Duration)>,
    /// What it took.
    accounts: Accounts,
}

impl Work {
    fn run(&mut self) {
        let mut seen: Option<Arc<Serving>> = None;
        let mut left = false;
        while !self.stop.load(Ordering::Acquire) {
            let serving = self.shared.serving.load_full();
            let changed = seen.as_ref().is_none_or(|seen| !Arc::ptr_eq(seen, &serving));
            if changed || left {
                left = self.render_all(&serving, changed);
                seen = Some(serving);
            }
            self.accounts.settle(self.shared.store.as_ref());
            std::thread::park_timeout(LOOKS);
        }
    }

    /// Renders what is missing. True when something still is.
    fn render_all(&mut self, serving: &Serving, changed: bool) -> bool {
        let plugins = &self.shared.plugins;
        let lines = serving.iter().flat_map(|(id, agent)| wanted(plugins, serving, id, agent));
        let lines: BTreeMap<PromptKey, Wanted> = lines.map(|line| (line.key, line)).collect();
        if changed {
            self.shared.prompts.keep(|key| lines.contains_key(&key));
            let names: BTreeSet<String> = lines.keys().map(|key| key.file_name()).collect();
            tidy(&self.folder, &names);
        }
        let (mut left, mut full) = (false, false);
        for line in lines.values() {
            if self.stop.load(Ordering::Acquire) || full {
                return false;
            }
            if self.shared.prompts.has(line.key) {
                continue;
            }
            match self.line(line) {
                Some(rendered) => {
                    full = !self.shared.prompts.add(line.key, rendered);
                    if full {
                        tracing::warn!("there is no room for more lines of agents; those that are left are not ready");
                    }
                }
                None => left = true,
            }
        }
        left
    }

    /// The sound of a line, from the disk or from its voice. `None` when there is none now.
    fn line(&mut self, line: &Wanted) -> Option<Rendered> {
        let path = self.folder.join(line.key.file_name());
        if let Some(rendered) = file::read(&path) {
            return Some(rendered);
        }
        let voice = &line.voice.plugin;
        if self.rests.get(voice).is_some_and(|(until, _)| Instant::now() < *until) {
            return None;
        }
        let plugin = self.shared.plugins.get(voice)?;
        let opener = open_tts(plugin, line.voice.settings.clone(), line.language.clone(), Wake::default());
        let (rendered, units) = render(opener, &line.text, &self.stop);
        self.accounts.used(self.shared.store.as_ref(), &line.whose, units, wall_us());
        match rendered {
            Ok(rendered) => {
                self.rests.remove(voice);
                let kept = std::fs::create_dir_all(&self.folder).and_then(|()| file::write(&path, &rendered));
                if let Err(error) = kept {
                    tracing::warn!(path = %path.display(), %error, "a line could not be kept; it is rendered again after a restart");
                }
                tracing::debug!(voice, samples = rendered.pcm.len(), rate = rendered.rate, "a line is ready");
                Some(rendered)
            }
            Err(why) => {
                let rest = self.rests.get(voice).map_or(REST, |(_, rest)| (*rest * 2).min(LONGEST_REST));
                self.rests.insert(voice.clone(), (Instant::now() + rest, rest));
                tracing::warn!(voice, why, again_s = rest.as_secs(), "a line of an agent could not be rendered");
                None
            }
        }
    }
}

/// Has a voice say a text, whole; also what that took, whatever came of it.
fn render(opener: Opener, text: &str, stop: &AtomicBool) -> (Result<Rendered, String>, Units) {
    const CONTEXT: u32 = 1;
    let begun = Instant::now();
    let seat = Seat::new(begun, opener);
    seat.push(Input::Synthesize { context: CONTEXT, text: text.to_owned() });
    let (mut rate, mut pcm, mut used) = (0, Vec::new(), Units::default());
    let outcome = loop {
        // Connections have nobody to tell here, so that it is looked at now and then.
        seat.wake();
        if catch_unwind(AssertUnwindSafe(|| seat.run(STEP))).is_err() {
            return (Err("its session panicked; the log has the panic".to_owned()), used);
        }
        let mut over = None;
        while let Some(output) = seat.poll() {
            match output {
                Output::Sound { pcm: more, rate: at, .. } => {
                    if pcm.len() + more.len() > MOST_SAMPLES || (rate != 0 && rate != at) {
                        over.get_or_insert(Err("the sound is too long, or of more than one rate".to_owned()));
                        continue;
                    }
                    rate = at;
                    pcm.extend(more);
                }
                Output::ContextDone { .. } => {
                    let none = pcm.is_empty().then(|| "there was no sound".to_owned());
                    over.get_or_insert(none.map_or(Ok(()), Err));
                }
                Output::Failed { detail, .. } => {
                    over.get_or_insert(Err(detail));
                }
                Output::Usage(units) => used.add(&units),
                Output::Asr(_) | Output::Llm(_) | Output::Tool(_) | Output::Redacted { .. } => {}
            }
        }
        if let Some(over) = over {
            break over;
        }
        if begun.elapsed() >= LONGEST || stop.load(Ordering::Acquire) {
            break Err(format!("it did not finish within {} s", LONGEST.as_secs()));
        }
        std::thread::park_timeout(STEP);
    };
    seat.close();
    let _ = catch_unwind(AssertUnwindSafe(|| seat.run(Duration::ZERO)));
    while let Some(output) = seat.poll() {
        if let Output::Usage(units) = output {
            used.add(&units);
        }
    }
    (outcome.map(|()| Rendered { rate, pcm: pcm.into() }), used)
}

fn wall_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// Removes files that no agent needs, once there are many.
fn tidy(folder: &Path, needed: &BTreeSet<String>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
    if names.len() <= MOST_FILES {
        return;
    }
    for name in names.iter().filter(|name| name.to_str().is_none_or(|name| !needed.contains(name))) {
        if let Err(error) = std::fs::remove_file(folder.join(name)) {
            tracing::debug!(?name, %error, "a line that nobody needs could not be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use trunkline_api::Failure;

    use super::*;
    use crate::session::Sound;
    use crate::session::seat::Body;

    /// A voice that says each text as so many samples as it has letters, in pieces, or fails.
    struct Voice {
        outputs: VecDeque<Output>,
        fails: bool,
        /// What it used, told when it is let go of.
        last: Option<Units>,
    }

    impl Body for Voice {
        fn handle(&mut self, _: u64, input: Input) {
            if matches!(input, Input::Cancel) {
                self.outputs.extend(self.last.take().map(Output::Usage));
            }
            let Input::Synthesize { context, text } = input else { return };
            self.last = Some(Units { tts_chars: text.chars().count() as u64, ..Units::default() });
            if self.fails {
                let failed = Output::Failed { failure: Failure::TtsUnavailable, detail: "no".to_owned() };
                self.outputs.push_back(failed);
                return;
            }
            for piece in text.as_bytes().chunks(3) {
                let pcm = piece.iter().map(|byte| i16::from(*byte)).collect();
                self.outputs.push_back(Output::Sound { context, pcm, rate: 16_000 });
            }
            self.outputs.push_back(Output::ContextDone { context });
        }

        fn hear(&mut self, _: u64, _: Sound<'_>) {}

        fn wake(&mut self, _: u64) {}

        fn wants_step(&self) -> bool {
            false
        }

        fn poll(&mut self) -> Option<Output> {
            self.outputs.pop_front()
        }

        fn timeout_us(&self) -> Option<u64> {
            None
        }

        fn is_over(&self) -> bool {
            false
        }
    }

    fn voice(fails: bool) -> Opener {
        Box::new(move |_| Ok(Box::new(Voice { outputs: VecDeque::new(), fails, last: None }) as Box<dyn Body>))
    }

    #[test]
    fn a_line_is_rendered_whole_or_not_at_all() {
        let stop = AtomicBool::new(false);
        let (line, used) = render(voice(false), "Hello there.", &stop);
        let line = line.unwrap();
        assert_eq!((line.rate, line.pcm.len(), line.pcm[0]), (16_000, 12, i16::from(b'H')));
        assert_eq!(used, Units { tts_chars: 12, ..Units::default() }, "told behind the end of the sound");
        let (failed, used) = render(voice(true), "Hello.", &stop);
        assert_eq!((failed, used.tts_chars), (Err("no".to_owned()), 6), "what is no use was used all the same");
        assert_eq!(render(voice(false), "", &stop).0, Err("there was no sound".to_owned()));
        let opener: Opener = Box::new(|_| Err((Failure::PluginRefused, "not today".to_owned())));
        assert_eq!(render(opener, "Hello.", &stop), (Err("not today".to_owned()), Units::default()));
    }

    #[test]
    fn a_voice_that_panics_costs_its_line_and_nothing_else() {
        let stop = AtomicBool::new(false);
        let (puppet, fuse) = crate::rig::Puppet::fused();
        fuse.store(true, Ordering::Relaxed);
        let (line, _) = render(puppet.opener(), "Hello.", &stop);
        assert_eq!(line, Err("its session panicked; the log has the panic".to_owned()));
        assert!(render(voice(false), "Hello.", &stop).0.is_ok());
    }

    #[test]
    fn files_that_nobody_needs_are_removed_once_there_are_many() {
        let folder = tempfile::tempdir().unwrap();
        let name = |n: usize| format!("{n}.wav");
        for n in 0..=MOST_FILES {
            std::fs::write(folder.path().join(name(n)), b"x").unwrap();
        }
        tidy(folder.path(), &BTreeSet::from([name(3)]));
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().flatten().map(|entry| entry.file_name()).collect();
        assert_eq!(left, [std::ffi::OsString::from(name(3))]);
        std::fs::write(folder.path().join(name(4)), b"x").unwrap();
        tidy(folder.path(), &BTreeSet::new());
        assert!(folder.path().join(name(4)).exists(), "few do no harm");
    }
}
