//! Drives one session through a recording. The clock is the harness's own: it jumps from step to step and from timer to
//! timer. Only the loopback sockets between host and scripted peer are real, and waiting for them is bounded.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anyhow::{Context, bail};
use trunkline_plugin_host::{
    AsrConfig, AsrEvent, AsrSession, AudioFormat, AudioFrame, Capability, Content, ErrorCode, HostConfig, LlmEvent,
    LlmRequest, LlmSession, Message, Plugin, PluginHost, RedactionChannel, RedactionPolicy, RedactorSession, Role,
    SecretSource, SessionError, SessionStart, ToolContext, ToolDefinition, ToolSession, TrustedKeys, TtsConfig,
    TtsEvent, TtsSession,
};

use crate::fault::Fault;
use crate::grammar::{AsrGrammar, LlmGrammar, TtsGrammar};
use crate::peer::ScriptedPeer;
use crate::recording::{Action, Header, Recording};

/// How long something sent over loopback may take to show.
const LOOPBACK: Duration = Duration::from_millis(150);
/// How long the harness waits for the host's own timeouts at the end.
const PATIENCE: Duration = Duration::from_secs(15);
/// How far the clock runs on after the last step.
const HORIZON_US: u64 = 120_000_000;
/// Most calls of `handle_wake` at one moment of the clock.
const MAX_WAKES: u32 = 20_000;

/// What the host saw.
#[derive(Debug, Default)]
pub struct Report {
    /// One line for each event: milliseconds of the session and what was said.
    pub seen: Vec<(u64, String)>,
    /// Rules that were broken and expectations that did not hold.
    pub violations: Vec<String>,
    /// Time spent inside the plugin, microseconds.
    pub plugin_us: u64,
    /// Whether the plugin reported a failure or its session ended with an error.
    pub failed: bool,
}

impl Report {
    /// Whether nothing was wrong.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.violations.is_empty()
    }

    /// All texts of a kind joined, such as `text` or `transcript`.
    #[must_use]
    pub fn texts(&self, kind: &str) -> String {
        self.seen.iter().filter_map(|(_, line)| line.strip_prefix(kind)?.strip_prefix(' ')).collect()
    }
}

struct Secrets(std::collections::BTreeMap<String, String>);

impl SecretSource for Secrets {
    fn secret(&self, _: &str, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }
}

/// What a host for tests is told.
#[derive(Debug, Clone)]
pub struct HostSetup {
    /// Where compiled code is kept.
    pub cache: PathBuf,
    /// Whose plugins are loaded; without keys the plugin is under development and nobody signed it yet.
    pub trusted: Option<TrustedKeys>,
}

/// A host set up for tests: peers on loopback, few sessions.
#[derive(Debug)]
pub struct Stage {
    runtime: tokio::runtime::Runtime,
    host: PluginHost,
}

impl Stage {
    /// Starts a host whose secrets are the recording's.
    ///
    /// # Errors
    /// When the host cannot start.
    pub fn new(setup: &HostSetup, header: &Header) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let mut config = HostConfig::new(&setup.cache, runtime.handle().clone());
        config.allow_unsigned = setup.trusted.is_none();
        config.trusted_keys = setup.trusted.clone().unwrap_or_default();
        config.limits.media_sessions = 8;
        config.limits.heavy_sessions = 8;
        config.granted_hosts =
            ["http://127.0.0.1:*", "ws://127.0.0.1:*"].map(str::parse).into_iter().collect::<Result<_, _>>()?;
        config.secrets = Arc::new(Secrets(header.secrets.clone()));
        Ok(Self { host: PluginHost::new(config)?, runtime })
    }

    /// Loads a plugin folder.
    ///
    /// # Errors
    /// When the host refuses it.
    pub fn load(&self, dir: &Path) -> anyhow::Result<Arc<Plugin>> {
        self.host.load(dir).with_context(|| format!("loading {}", dir.display()))
    }
}

/// Replays a recording, with a fault in it if one is given.
///
/// # Errors
/// When the plugin does not load, the recording is of another world, or the peer cannot start. What the plugin does
/// wrong is in the report.
pub fn replay(dir: &Path, setup: &HostSetup, recording: &Recording, fault: Option<Fault>) -> anyhow::Result<Report> {
    let bent = fault.map_or_else(|| recording.clone(), |fault| fault.apply(recording));
    let stage = Stage::new(setup, &bent.header)?;
    let plugin = stage.load(dir)?;
    if plugin.capability().world() != bent.header.world {
        bail!("the recording is of world {}, the plugin of {}", bent.header.world, plugin.capability().world());
    }
    let peer = stage.runtime.block_on(ScriptedPeer::start())?;
    let settings = bent.header.settings.to_string();
    let settings = settings
        .replace("${peer}", &format!("http://{}", peer.address))
        .replace("${ws-peer}", &format!("ws://{}", peer.address));
    let (sender, wakes) = channel();
    // A wake after the replay's end has nobody to tell.
    let start = SessionStart::new(
        bent.header.seed,
        0,
        Arc::new(move || {
            sender.send(()).ok();
        }),
    );
    let mut run = Run { report: Report::default(), now_us: 0, used: 0 };
    match Live::open(&plugin, &serde_json::from_str(&settings)?, &bent.header, start) {
        Err(error) => run.end(&error),
        Ok(mut live) => {
            run.play(&mut live, &bent, &peer, &wakes);
            run.report.plugin_us = live.plugin_us();
        }
    }
    if let Some(fault) = fault
        && !run.report.failed
        && bent.header.settings.to_string().contains("peer}")
    {
        run.report.violations.push(format!("the plugin reported no failure under `{fault}`"));
    }
    Ok(run.report)
}

enum Live {
    Asr(AsrSession, AsrGrammar, AudioFormat, u64),
    Llm(LlmSession, LlmGrammar),
    Tts(TtsSession, TtsGrammar),
    Tool(ToolSession, bool),
    Redactor(RedactorSession),
}

impl Live {
    fn open(
        plugin: &Arc<Plugin>,
        settings: &serde_json::Value,
        header: &Header,
        start: SessionStart,
    ) -> Result<Self, SessionError> {
        Ok(match plugin.capability() {
            Capability::Asr => {
                let format = plugin.asr_formats().first().copied().unwrap_or(AudioFormat::l16(8000));
                let config =
                    AsrConfig { format, languages: vec!["en".to_owned()], interim_results: true, keyterms: Vec::new() };
                Self::Asr(plugin.asr(settings, &config, start)?, AsrGrammar::default(), format, 0)
            }
            Capability::Llm => {
                let message = Message { role: Role::User, content: vec![Content::Text(header.ask.clone())] };
                let tool = |name: &String| ToolDefinition {
                    name: name.clone(),
                    description: String::new(),
                    parameters: "{\"type\":\"object\"}".to_owned(),
                };
                let request = LlmRequest {
                    messages: vec![message],
                    tools: header.tools.iter().map(tool).collect(),
                    max_tokens: None,
                    temperature: None,
                };
                Self::Llm(plugin.llm(settings, &request, start)?, LlmGrammar::default())
            }
            Capability::Tts => {
                let config = TtsConfig {
                    voice: header.voice.clone(),
                    language: None,
                    preferred_rate: 8000,
                    speaking_rate: None,
                };
                Self::Tts(plugin.tts(settings, &config, start)?, TtsGrammar::default())
            }
            Capability::Tool => {
                let context = ToolContext {
                    tenant: "ten_test".to_owned(),
                    agent: "agt_test".to_owned(),
                    call: "call_test".to_owned(),
                    language: "en".to_owned(),
                    idempotency_key: "1".to_owned(),
                    deadline_ms: 10_000,
                };
                Self::Tool(plugin.tool(settings, &header.tool, &header.arguments, &context, start)?, false)
            }
            Capability::Redactor => Self::Redactor(plugin.redactor(settings, &RedactionPolicy::default(), start)?),
        })
    }

    fn plugin_us(&self) -> u64 {
        match self {
            Self::Asr(session, ..) => session.plugin_us(),
            Self::Llm(session, _) => session.plugin_us(),
            Self::Tts(session, _) => session.plugin_us(),
            Self::Tool(session, _) => session.plugin_us(),
            Self::Redactor(session) => session.plugin_us(),
        }
    }

    fn wake(&mut self, now_us: u64) -> Result<(), SessionError> {
        match self {
            Self::Asr(session, ..) => session.handle_wake(now_us),
            Self::Llm(session, _) => session.handle_wake(now_us),
            Self::Tts(session, _) => session.handle_wake(now_us),
            Self::Tool(session, _) => session.handle_wake(now_us),
            Self::Redactor(_) => Ok(()),
        }
    }

    fn wants_step(&self) -> bool {
        match self {
            Self::Asr(session, ..) => session.wants_step(),
            Self::Llm(session, _) => session.wants_step(),
            Self::Tts(session, _) => session.wants_step(),
            Self::Tool(session, _) => session.wants_step(),
            Self::Redactor(_) => false,
        }
    }

    fn timeout(&self) -> Option<u64> {
        match self {
            Self::Asr(session, ..) => session.poll_timeout(),
            Self::Llm(session, _) => session.poll_timeout(),
            Self::Tts(session, _) => session.poll_timeout(),
            Self::Tool(session, _) => session.poll_timeout(),
            Self::Redactor(_) => None,
        }
    }

    /// Whether something is still owed.
    fn owes(&self) -> bool {
        match self {
            Self::Llm(_, grammar) => !grammar.is_over(),
            Self::Tts(_, grammar) => !grammar.unfinished().is_empty(),
            Self::Tool(_, done) => !done,
            Self::Asr(..) | Self::Redactor(_) => false,
        }
    }
}

struct Run {
    report: Report,
    now_us: u64,
    used: usize,
}

impl Run {
    fn saw(&mut self, line: String) {
        self.report.seen.push((self.now_us / 1000, line));
    }

    fn end(&mut self, error: &SessionError) {
        self.report.failed = true;
        self.saw(format!("session ended: {error}"));
        if !matches!(error, SessionError::Provider(_) | SessionError::Closed) {
            self.report.violations.push(format!("the session ended: {error}"));
        }
    }

    fn rule(&mut self, broken: Option<String>) {
        self.report.violations.extend(broken);
    }

    fn play(&mut self, live: &mut Live, recording: &Recording, peer: &ScriptedPeer, wakes: &Receiver<()>) {
        if !self.settle(live, wakes, LOOPBACK) {
            return;
        }
        for step in &recording.steps {
            if !self.advance(live, wakes, step.at_ms * 1000) {
                return;
            }
            self.now_us = self.now_us.max(step.at_ms * 1000);
            let patience = if matches!(step.action, Action::Peer(_)) { LOOPBACK } else { Duration::ZERO };
            match self.act(live, &step.action, peer) {
                Err(error) => return self.end(&error),
                Ok(()) if !self.settle(live, wakes, patience) => return,
                Ok(()) => {}
            }
        }
        let until = self.now_us + HORIZON_US;
        while live.owes() {
            let timer = live.timeout().filter(|due| *due <= until);
            let alive = match timer {
                Some(due) => self.advance(live, wakes, due),
                // Only the outside can still say something; the host's own timeouts are real.
                None if wakes.recv_timeout(PATIENCE).is_ok() => self.settle(live, wakes, LOOPBACK),
                None => {
                    self.report.violations.push("the session owes an ending and waits for nothing".to_owned());
                    return;
                }
            };
            if !alive {
                return;
            }
        }
    }

    /// Fires the timers that are due up to a moment. False when the session is over.
    fn advance(&mut self, live: &mut Live, wakes: &Receiver<()>, until_us: u64) -> bool {
        while let Some(due) = live.timeout().filter(|due| *due <= until_us) {
            self.now_us = self.now_us.max(due);
            if !self.settle(live, wakes, Duration::ZERO) {
                return false;
            }
        }
        true
    }

    /// Wakes the session until it has nothing more to do now. False when it is over.
    fn settle(&mut self, live: &mut Live, wakes: &Receiver<()>, patience: Duration) -> bool {
        for _ in 0..MAX_WAKES {
            if let Err(error) = live.wake(self.now_us) {
                self.end(&error);
                return false;
            }
            self.drain(live);
            if !live.wants_step() && wakes.recv_timeout(patience).is_err() {
                return true;
            }
        }
        self.report.violations.push(format!("the session still wanted a step after {MAX_WAKES} of them"));
        false
    }

    fn act(&mut self, live: &mut Live, action: &Action, peer: &ScriptedPeer) -> Result<(), SessionError> {
        let now_us = self.now_us;
        match (action, live) {
            (Action::Peer(order), _) => {
                peer.order(order.clone());
                Ok(())
            }
            (Action::Expect(wanted), _) => {
                match self.report.seen[self.used..].iter().position(|(_, line)| line.starts_with(wanted.as_str())) {
                    Some(at) => self.used += at + 1,
                    None => {
                        self.report.violations.push(format!("by {} ms no line begins with `{wanted}`", now_us / 1000))
                    }
                }
                Ok(())
            }
            (Action::Audio { ms, tone_hz }, Live::Asr(session, _, format, position_us)) => {
                for _ in 0..ms.div_ceil(20) {
                    let samples: Vec<i16> = (0..format.sample_rate / 50)
                        .map(|n| tone(*tone_hz, format.sample_rate, *position_us, n))
                        .collect();
                    session.push_audio(now_us, &[AudioFrame::from_samples(*position_us, &samples)])?;
                    *position_us += 20_000;
                }
                Ok(())
            }
            (Action::Finalize {}, Live::Asr(session, ..)) => session.finalize(now_us),
            (Action::Close {}, Live::Asr(session, ..)) => session.close(now_us),
            (Action::Close {}, Live::Tts(session, _)) => session.close(now_us),
            (Action::Speak { context, text, end }, Live::Tts(session, grammar)) => {
                grammar.speak(*context, *end);
                session.synthesize(now_us, *context, text, *end)
            }
            (Action::Cancel { context }, Live::Tts(session, grammar)) => {
                grammar.cancel(*context);
                session.cancel(now_us, *context)
            }
            (Action::Cancel { .. }, Live::Llm(session, _)) => session.cancel(now_us),
            (Action::Cancel { .. }, Live::Tool(session, done)) => {
                *done = true;
                session.cancel(now_us)
            }
            (Action::Redact { text }, Live::Redactor(session)) => {
                let whole = session.redact(now_us, RedactionChannel::Transcript, text)?;
                let mut pieces = String::new();
                for piece in text.split_inclusive(' ') {
                    pieces.push_str(&session.redact_delta(now_us, RedactionChannel::Transcript, piece, false)?.text);
                }
                pieces.push_str(&session.redact_delta(now_us, RedactionChannel::Transcript, "", true)?.text);
                if pieces != whole.text {
                    self.report.violations.push(format!("redacted whole: `{}`, in pieces: `{pieces}`", whole.text));
                }
                self.saw(format!("redacted {}", whole.text));
                Ok(())
            }
            (action, _) => {
                self.report.violations.push(format!("{action:?} does not go with this world"));
                Ok(())
            }
        }
    }

    fn drain(&mut self, live: &mut Live) {
        match live {
            Live::Asr(session, grammar, ..) => {
                while let Some(event) = session.poll_event() {
                    self.rule(grammar.check(&event));
                    self.report.failed |= matches!(event, AsrEvent::Failed(_));
                    self.saw(asr_line(&event));
                }
            }
            Live::Llm(session, grammar) => {
                while let Some(event) = session.poll_event() {
                    self.rule(grammar.check(&event));
                    self.report.failed |= matches!(event, LlmEvent::Failed(_));
                    self.saw(llm_line(&event));
                }
            }
            Live::Tts(session, grammar) => {
                while let Some(event) = session.poll_event() {
                    self.rule(grammar.check(&event));
                    self.report.failed |= matches!(event, TtsEvent::Failed(_));
                    self.saw(tts_line(&event));
                }
            }
            Live::Tool(session, done) => {
                while let Some(outcome) = session.poll_outcome() {
                    *done = true;
                    self.report.failed |= outcome.is_error;
                    self.saw(format!("outcome {} {:?}", outcome.output, outcome.actions));
                }
            }
            Live::Redactor(_) => {}
        }
    }
}

/// A quiet tone, or nothing.
fn tone(hz: Option<u32>, rate: u32, position_us: u64, n: u32) -> i16 {
    let Some(hz) = hz else { return 0 };
    let seconds = position_us as f64 / 1e6 + f64::from(n) / f64::from(rate);
    ((seconds * f64::from(hz) * std::f64::consts::TAU).sin() * 8000.0) as i16
}

fn code(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::InvalidSettings => "invalid-settings",
        ErrorCode::Unauthorized => "unauthorized",
        ErrorCode::RateLimited => "rate-limited",
        ErrorCode::QuotaExceeded => "quota-exceeded",
        ErrorCode::Unsupported => "unsupported",
        ErrorCode::Unavailable => "unavailable",
        ErrorCode::Timeout => "timeout",
        ErrorCode::Cancelled => "cancelled",
        ErrorCode::Protocol => "protocol",
        ErrorCode::Internal => "internal",
    }
}

fn asr_line(event: &AsrEvent) -> String {
    match event {
        AsrEvent::Ready => "ready".to_owned(),
        AsrEvent::SpeechStarted(at) => format!("speech-started {at}"),
        AsrEvent::Transcript(heard) if heard.is_final => format!("transcript {}", heard.text),
        AsrEvent::Transcript(heard) => format!("interim {}", heard.text),
        AsrEvent::Usage(usage) => format!("usage {usage:?}"),
        AsrEvent::Failed(error) => format!("failed {} {}", code(error.code), error.message),
        AsrEvent::Ended => "ended".to_owned(),
    }
}

fn llm_line(event: &LlmEvent) -> String {
    match event {
        LlmEvent::Started => "started".to_owned(),
        LlmEvent::TextDelta(text) => format!("text {text}"),
        LlmEvent::ToolCall(call) => format!("tool-call {} {} {}", call.id, call.name, call.arguments),
        LlmEvent::Usage(usage) => format!("usage {usage:?}"),
        LlmEvent::Finished(reason) => format!("finished {}", format!("{reason:?}").to_lowercase()),
        LlmEvent::Failed(error) => format!("failed {} {}", code(error.code), error.message),
    }
}

fn tts_line(event: &TtsEvent) -> String {
    match event {
        TtsEvent::Ready => "ready".to_owned(),
        TtsEvent::Audio { context, frame } => format!("audio {context} {} bytes", frame.payload.len()),
        TtsEvent::ContextDone(context) => format!("context-done {context}"),
        TtsEvent::Usage(usage) => format!("usage {usage:?}"),
        TtsEvent::Failed(error) => format!("failed {} {}", code(error.code), error.message),
        TtsEvent::Ended => "ended".to_owned(),
    }
}
