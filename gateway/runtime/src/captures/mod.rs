//! Captures: which calls write down what they are told, ordered by operators, and bounded in every way: orders, calls,
//! bytes, time. Nothing of it waits: a call hands its lines over and goes on, and what cannot be kept up with ends with a
//! mark that says so.

mod spool;
mod writer;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use trunkline_api::{Id, Prefix};
use trunkline_call::CallSetup;
use trunkline_call::tape::Taped;
use trunkline_recording::{Container, PublicKey};

use crate::serving::Serving;
use spool::{CallTape, Spool};
use writer::Writer;

/// Orders that may wait for calls at the same time: what a person keeps in mind.
const MAX_RULES: usize = 16;
/// Calls of one order, and calls captured at once: what one writer keeps up with by far.
const MAX_CALLS: u32 = 1000;
const MAX_RUNNING: usize = 64;
/// How long an order may wait for its calls.
const MAX_FOR: Duration = Duration::from_secs(24 * 3600);
/// What all captures together may take on the disk.
const MAX_FOLDER_BYTES: u64 = 1 << 30;
/// Captures that are listed.
const MAX_LISTED: usize = 10_000;
/// What a log says wrote it.
const BUILD: &str = env!("CARGO_PKG_VERSION");
/// How the name of a sealed file ends, as that of a sealed recording.
const SEALED: &str = "sealed";

/// What an operator wants captured: the next calls that fit.
#[derive(Debug, Clone, Default)]
pub struct CaptureOrder {
    /// How many calls, 1..=1000.
    pub calls: u32,
    /// Of this agent only, by name or id.
    pub agent: Option<String>,
    /// Over this trunk only, by name or id.
    pub trunk: Option<String>,
    /// From this number only; `*` at its end stands for the rest.
    pub from: Option<String>,
    /// To this number only, in the same way.
    pub to: Option<String>,
    /// For how many seconds the order stands.
    pub for_s: u32,
    /// Also calls of tenants without a key, in clear.
    pub clear: bool,
}

/// An order that waits for calls.
#[derive(Debug, Clone, Serialize)]
pub struct CaptureRule {
    /// Its number.
    pub number: u32,
    /// What it waits for, in words.
    pub wants: String,
    /// Calls it still takes.
    pub left: u32,
    /// Calls it has taken.
    pub taken: u32,
    /// Calls it did not take, because their tenant has no key or too many were being captured.
    pub missed: u32,
    /// Seconds it still stands.
    pub for_s: u64,
}

/// A capture.
#[derive(Debug, Clone, Serialize)]
pub struct CaptureState {
    /// The call.
    pub call: String,
    /// Bytes on the disk.
    pub bytes: u64,
    /// Whether it is sealed to the tenant's key.
    pub sealed: bool,
    /// Whether its call goes on.
    pub running: bool,
}

/// Orders and captures.
#[derive(Debug, Clone, Serialize)]
pub struct CaptureStates {
    /// Orders that wait for calls.
    pub rules: Vec<CaptureRule>,
    /// Captures, oldest first.
    pub captures: Vec<CaptureState>,
}

/// Why an order was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureRefused {
    /// Nothing could be sealed.
    #[error(
        "no tenant of this gateway has a `recording_key`, so that captures would lie in clear; give the tenant a key \
         (`trunkline recording keygen`), or say `--clear`"
    )]
    NoKey,
    /// The number of calls makes no sense.
    #[error("1 to {MAX_CALLS} calls can be captured by one order, for at most {} h", MAX_FOR.as_secs() / 3600)]
    Range,
    /// Too many orders wait.
    #[error("{MAX_RULES} orders to capture are waiting for calls; `trunkline capture stop` ends them")]
    TooMany,
    /// The folder is full.
    #[error("captures take {mib} MiB, which is all they may; get those you want and remove them from {}", folder.display())]
    Full {
        /// What they take.
        mib: u64,
        /// Where they lie.
        folder: PathBuf,
    },
    /// The folder cannot be used.
    #[error("captures cannot be written to {}: {error}; is the disk full, or not ours?", folder.display())]
    Folder {
        /// Where they would lie.
        folder: PathBuf,
        /// What the operating system says.
        error: io::Error,
    },
}

/// Captures of a gateway.
pub(crate) struct Captures {
    folder: PathBuf,
    /// Whether any order waits, so that a call without one costs nothing.
    wanted: AtomicBool,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    rules: Vec<Rule>,
    numbered: u32,
    /// Started with the first order.
    writer: Option<Writer>,
}

struct Rule {
    number: u32,
    order: CaptureOrder,
    taken: u32,
    missed: u32,
    until: Instant,
}

impl Captures {
    /// Captures below a state folder. Nothing is made there before the first order.
    pub(crate) fn new(state: &Path) -> Self {
        Self { folder: state.join("captures"), wanted: AtomicBool::new(false), held: Mutex::default() }
    }

    /// Takes an order.
    pub(crate) fn order(&self, order: CaptureOrder, has_key: bool) -> Result<CaptureRule, CaptureRefused> {
        if !(1..=MAX_CALLS).contains(&order.calls) || !(1..=MAX_FOR.as_secs()).contains(&order.for_s.into()) {
            return Err(CaptureRefused::Range);
        }
        if !has_key && !order.clear {
            return Err(CaptureRefused::NoKey);
        }
        let folder = || self.folder.clone();
        let taken = writer::bytes_in(&self.folder).unwrap_or(0);
        if taken >= MAX_FOLDER_BYTES {
            return Err(CaptureRefused::Full { mib: taken >> 20, folder: folder() });
        }
        let mut held = self.held();
        held.forget_old();
        if held.rules.len() >= MAX_RULES {
            return Err(CaptureRefused::TooMany);
        }
        if held.writer.is_none() {
            let started =
                Writer::start(&self.folder).map_err(|error| CaptureRefused::Folder { folder: folder(), error })?;
            held.writer = Some(started);
        }
        if order.clear {
            tracing::warn!(
                "calls of tenants without a key will be captured IN CLEAR: every word of them will be on the disk"
            );
        }
        held.numbered += 1;
        let until = Instant::now() + Duration::from_secs(order.for_s.into());
        let rule = Rule { number: held.numbered, order, taken: 0, missed: 0, until };
        let told = rule.told();
        tracing::info!(order = told.number, calls = told.left, wants = told.wants, "calls will be captured");
        held.rules.push(rule);
        drop(held);
        self.wanted.store(true, Ordering::Release);
        Ok(told)
    }

    /// The machine of a call that begins, on tape when an order wants it.
    pub(crate) fn call(&self, setup: CallSetup, serving: &Serving, key: Option<&PublicKey>) -> Taped {
        if !self.wanted.load(Ordering::Acquire) {
            return Taped::plain(setup);
        }
        match self.tape(&setup, serving, key) {
            Some(tape) => Taped::captured(setup, BUILD, false, Box::new(tape)),
            None => Taped::plain(setup),
        }
    }

    fn tape(&self, setup: &CallSetup, serving: &Serving, key: Option<&PublicKey>) -> Option<CallTape> {
        let trunk = setup.trunk.as_ref().and_then(|id| serving.table.trunk_by_id(id));
        let trunk = trunk.map(|trunk| trunk.name.as_str());
        let mut held = self.held();
        held.forget_old();
        let running = held.writer.as_ref().map_or(MAX_RUNNING, Writer::running);
        let rule = held.rules.iter_mut().find(|rule| rule.fits(setup, trunk));
        let spool = match rule {
            None => None,
            Some(rule) if key.is_none() && !rule.order.clear => {
                rule.missed += 1;
                tracing::warn!(call = %setup.call, tenant = %setup.tenant, "a call is not captured: its tenant has no recording_key, and the order said no `--clear`");
                None
            }
            Some(rule) if running >= MAX_RUNNING => {
                rule.missed += 1;
                tracing::warn!(call = %setup.call, "a call is not captured: {MAX_RUNNING} are already");
                None
            }
            Some(rule) => {
                rule.taken += 1;
                Some(Arc::new(Spool::new(setup.call.clone(), key.cloned())))
            }
        };
        if let (Some(spool), Some(writer)) = (&spool, &held.writer) {
            if spool.key.is_none() {
                tracing::warn!(call = %setup.call, "a call is captured IN CLEAR: every word of it will be on the disk");
            } else {
                tracing::info!(call = %setup.call, "a call is captured");
            }
            writer.add(Arc::clone(spool));
        }
        held.forget_old();
        self.wanted.store(!held.rules.is_empty(), Ordering::Release);
        spool.map(CallTape)
    }

    /// Forgets every order and ends every capture.
    pub(crate) fn stop(&self) -> (usize, usize) {
        let mut held = self.held();
        held.forget_old();
        let rules = std::mem::take(&mut held.rules).len();
        self.wanted.store(false, Ordering::Release);
        (rules, held.writer.as_ref().map_or(0, Writer::stop_all))
    }

    /// Orders and captures.
    pub(crate) fn states(&self) -> io::Result<CaptureStates> {
        let (rules, running) = {
            let mut held = self.held();
            held.forget_old();
            let running = held.writer.as_ref().map(Writer::calls).unwrap_or_default();
            (held.rules.iter().map(Rule::told).collect(), running)
        };
        let mut captures = Vec::new();
        let listed = match std::fs::read_dir(&self.folder) {
            Ok(listed) => Some(listed),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        for file in listed.into_iter().flatten().take(MAX_LISTED) {
            let file = file?;
            let name = file.file_name().to_string_lossy().into_owned();
            let (bare, sealed) = match name.strip_suffix(SEALED).and_then(|name| name.strip_suffix('.')) {
                Some(bare) => (bare, true),
                None => (name.as_str(), false),
            };
            let call = bare.strip_suffix(Container::Capture.extension()).and_then(|name| name.strip_suffix('.'));
            let Some(Ok(id)) = call.map(|call| Id::parse_as(Prefix::Call, call)) else { continue };
            let running = running.contains(&id);
            captures.push(CaptureState { call: id.to_string(), bytes: file.metadata()?.len(), sealed, running });
        }
        // Identifiers begin with the time.
        captures.sort_by(|left, right| left.call.cmp(&right.call));
        Ok(CaptureStates { rules, captures })
    }

    /// The file of a call's capture.
    pub(crate) fn file(&self, call: &Id) -> Option<PathBuf> {
        [true, false].map(|sealed| self.folder.join(file_name(call, sealed))).into_iter().find(|path| path.is_file())
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Orders whose time is over or that have all their calls.
    fn forget_old(&mut self) {
        let now = Instant::now();
        self.rules.retain(|rule| rule.until > now && rule.taken < rule.order.calls);
    }
}

impl Rule {
    fn fits(&self, setup: &CallSetup, trunk: Option<&str>) -> bool {
        let named = |wanted: &Option<String>, id: Option<&Id>, name: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| name == Some(wanted) || id.is_some_and(|id| id.to_string() == wanted))
        };
        let number = |wanted: &Option<String>, number: &str| {
            wanted.as_deref().is_none_or(|wanted| match wanted.strip_suffix('*') {
                Some(begin) => number.starts_with(begin),
                None => number == wanted,
            })
        };
        let order = &self.order;
        named(&order.agent, Some(&setup.agent), Some(&setup.spec.name))
            && named(&order.trunk, setup.trunk.as_ref(), trunk)
            && number(&order.from, &setup.from)
            && number(&order.to, &setup.to)
    }

    fn told(&self) -> CaptureRule {
        let CaptureOrder { calls, agent, trunk, from, to, clear, .. } = &self.order;
        let mut wants = "the next calls".to_owned();
        for (what, value) in [("of agent", agent), ("over trunk", trunk), ("from", from), ("to", to)] {
            if let Some(value) = value {
                wants.push_str(&format!(" {what} {value}"));
            }
        }
        if *clear {
            wants.push_str(", in clear where there is no key");
        }
        CaptureRule {
            number: self.number,
            wants,
            left: calls - self.taken,
            taken: self.taken,
            missed: self.missed,
            for_s: self.until.saturating_duration_since(Instant::now()).as_secs(),
        }
    }
}

/// The name of a capture's file.
fn file_name(call: &Id, sealed: bool) -> String {
    let extension = Container::Capture.extension();
    if sealed { format!("{call}.{extension}.{SEALED}") } else { format!("{call}.{extension}") }
}

#[cfg(test)]
mod tests;
