//! The thread that all callers live on, and how it is told what to do.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use trunkline_caller::Message;

use crate::caller::Caller;
use crate::clock::{Now, monotonic_us, pin, sleep_until};
use crate::figures::Figures;
use crate::pauses::Watch;
use crate::random::Random;
use crate::shaper::Weather;
use crate::socket::{self, Inbox};
use crate::sound::Sound;

/// Length of a tick in microseconds.
const TICK_US: u64 = 20_000;
/// Time between two sweeps; with weather packets leave at any millisecond.
const SWEEP_US: u64 = 5_000;
const FINE_SWEEP_US: u64 = 1_000;
/// A sweep later than this is no longer made up for.
const CATCH_UP_US: u64 = 100_000;
/// How long calls may take to end once they are told to.
const FAREWELL_US: u64 = 15_000_000;
/// How long a caller who was refused waits.
const REST_US: u64 = 1_000_000;
/// Bits of a seed that say whose call it is.
const SLOT_BITS: u32 = 20;
/// Receive buffer of the one SIP socket in bytes.
const SIP_BUFFER: usize = 4 << 20;

/// How long a call lasts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Hold {
    /// To the end of the run.
    ToTheEnd,
    /// Anything between the two, evenly; when it is over, another call takes its place.
    Between(Duration, Duration),
}

impl Hold {
    pub(crate) fn pick(self, random: &mut Random) -> Option<u64> {
        let Self::Between(least, most) = self else { return None };
        let spread = most.saturating_sub(least).mul_f64(random.unit());
        u64::try_from((least + spread).as_micros()).ok()
    }
}

/// Who calls whom, how many at once and how long.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The SIP address that is called.
    pub target: SocketAddr,
    /// Who is called there, in turn.
    pub users: Vec<String>,
    /// Our own address.
    pub local: IpAddr,
    /// Calls at once.
    pub calls: usize,
    /// New calls a second until there are that many.
    pub per_second: f64,
    /// How long each lasts.
    pub hold: Hold,
    /// What callers say; each begins somewhere else in it.
    pub sound: Arc<Sound>,
    /// The weather between callers and the other side.
    pub weather: Option<Weather>,
    /// Keep what is heard.
    pub keep_sound: bool,
    /// The core to run on.
    pub core: Option<usize>,
    /// Decides every name, length and chance. Two runs against one gateway need two.
    pub seed: u64,
}

impl Plan {
    /// `calls` to `1000` at `target` that say `sound` to the end, fifty more a second.
    #[must_use]
    pub fn new(target: SocketAddr, calls: usize, sound: Arc<Sound>) -> Self {
        Self {
            target,
            users: vec!["1000".to_owned()],
            local: IpAddr::V4(Ipv4Addr::LOCALHOST),
            calls,
            per_second: 50.0,
            hold: Hold::ToTheEnd,
            sound,
            weather: None,
            keep_sound: false,
            core: None,
            seed: u64::from(std::process::id()),
        }
    }
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    measuring: AtomicBool,
    up: AtomicUsize,
}

/// Callers at work; dropped, they hang up.
#[derive(Debug)]
pub struct Generator {
    shared: Arc<Shared>,
    calls: usize,
    thread: Option<JoinHandle<Figures>>,
    machine: Watch,
}

impl Generator {
    /// Begins to call.
    ///
    /// # Errors
    /// When there is no port or thread, or not the core that is asked for.
    pub fn start(plan: Plan) -> anyhow::Result<Self> {
        anyhow::ensure!(!plan.users.is_empty(), "nobody is called");
        anyhow::ensure!(plan.calls < 1 << SLOT_BITS, "{} calls are more than can be told apart", plan.calls);
        let sip = socket::open(plan.local, 0)?;
        // As much as the system allows.
        let _ = rustix::net::sockopt::set_socket_recv_buffer_size(&sip, SIP_BUFFER);
        let shared = Arc::<Shared>::default();
        let (calls, theirs) = (plan.calls, Arc::clone(&shared));
        let (ready, waits) = std::sync::mpsc::sync_channel(1);
        let thread = std::thread::Builder::new().name("callers".to_owned()).spawn(move || {
            // What the callers are late by is not the other side's fault: where it is allowed, others wait for them.
            let _ = rustix::process::setpriority_process(None, -20);
            let pinned = plan.core.map_or(Ok(()), |core| pin(&[core]));
            let go = pinned.is_ok();
            let _ = ready.send(pinned);
            if go { Sweep::new(plan, sip, theirs).run() } else { Figures::default() }
        })?;
        waits.recv().context("the thread of the callers ended at once")??;
        Ok(Self { shared, calls, thread: Some(thread), machine: Watch::begin() })
    }

    /// Calls that are answered and not over.
    #[must_use]
    pub fn up(&self) -> usize {
        self.shared.up.load(Ordering::Relaxed)
    }

    /// Waits until all calls are up.
    ///
    /// # Errors
    /// When they are not `within` that time; the callers go on.
    pub fn await_up(&self, within: Duration) -> anyhow::Result<()> {
        let deadline = Instant::now() + within;
        while self.up() < self.calls {
            anyhow::ensure!(
                Instant::now() < deadline && self.thread.as_ref().is_some_and(|thread| !thread.is_finished()),
                "{} of {} calls were up after {within:?}",
                self.up(),
                self.calls
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// From now on delays and lateness count, or no longer; calls and frames always do.
    pub fn measure(&self, measuring: bool) {
        self.shared.measuring.store(measuring, Ordering::Relaxed);
    }

    /// Hangs up and tells what came of it all.
    ///
    /// # Errors
    /// When the callers' thread panicked.
    pub fn finish(mut self) -> anyhow::Result<Figures> {
        self.shared.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().context("the callers are gone")?;
        let figures = thread.join().map_err(|_| anyhow::anyhow!("the callers panicked"))?;
        Ok(Figures { pauses: std::mem::take(&mut self.machine).finish(), ..figures })
    }
}

impl Drop for Generator {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The thread's own.
struct Sweep {
    plan: Plan,
    sip: UdpSocket,
    shared: Arc<Shared>,
    callers: Vec<Option<Box<Caller>>>,
    inbox: Inbox,
    figures: Figures,
    /// Of the call in each slot, or the last one there.
    seeds: Vec<u64>,
    /// When each slot may call again.
    rested: Vec<u64>,
    calls_made: u64,
    began: u64,
}

impl Sweep {
    fn new(plan: Plan, sip: UdpSocket, shared: Arc<Shared>) -> Self {
        Self {
            callers: Vec::with_capacity(plan.calls),
            seeds: Vec::with_capacity(plan.calls),
            rested: Vec::with_capacity(plan.calls),
            plan,
            sip,
            shared,
            inbox: Inbox::new(),
            figures: Figures::default(),
            calls_made: 0,
            began: monotonic_us(),
        }
    }

    fn run(mut self) -> Figures {
        let sweep_us = if self.plan.weather.is_some() { FINE_SWEEP_US } else { SWEEP_US };
        let phases = (TICK_US / sweep_us) as usize;
        let (mut deadline, mut phase, mut give_up) = (self.began, 0, None);
        loop {
            deadline += sweep_us;
            sleep_until(deadline);
            let now = Now::read();
            let late = now.us.saturating_sub(deadline);
            let measuring = self.shared.measuring.load(Ordering::Relaxed);
            if measuring {
                self.figures.own_late.add(late as f64 / 1000.0);
            }
            if late > CATCH_UP_US {
                deadline += late / TICK_US * TICK_US;
            }
            let stopping = self.shared.stop.load(Ordering::Relaxed);
            if stopping && give_up.is_none() {
                give_up = Some(now.us + FAREWELL_US);
                for caller in self.callers.iter_mut().flatten() {
                    caller.hang_up(now.us, &mut self.figures);
                }
            }
            self.hear_signals(now);
            if !stopping {
                self.place(now.us);
            }
            for slot in (phase..self.callers.len()).step_by(phases) {
                self.serve(slot, now, measuring, stopping);
            }
            if self.plan.weather.is_some() {
                for caller in self.callers.iter_mut().flatten() {
                    caller.weather(now.us, &mut self.figures);
                }
            }
            let up = self.callers.iter().flatten().filter(|caller| caller.is_up()).count();
            self.shared.up.store(up, Ordering::Relaxed);
            phase = (phase + 1) % phases;
            if stopping && self.callers.iter().all(Option::is_none) {
                return self.figures;
            }
            if give_up.is_some_and(|at| now.us > at) {
                for caller in std::mem::take(&mut self.callers).into_iter().flatten() {
                    self.figures.fail("did not end when hung up");
                    caller.finish(now, &mut self.inbox, &mut self.figures);
                }
                return self.figures;
            }
        }
    }

    /// Makes the calls that are due.
    fn place(&mut self, now: u64) {
        let due = (now.saturating_sub(self.began) as f64 / 1e6 * self.plan.per_second) as usize + 1;
        while self.callers.len() < self.plan.calls.min(due) {
            let slot = self.callers.len();
            self.callers.push(None);
            self.seeds.push(0);
            self.rested.push(0);
            self.call(slot, now);
        }
    }

    fn call(&mut self, slot: usize, now: u64) {
        let seed = (self.plan.seed << 44) ^ (self.calls_made << SLOT_BITS) ^ slot as u64;
        self.calls_made += 1;
        self.figures.placed += 1;
        match Caller::new(now, &self.plan, &self.sip, seed, slot) {
            Ok(caller) => {
                let caller = self.callers[slot].insert(Box::new(caller));
                self.seeds[slot] = seed;
                send_signals(caller, &self.sip, self.plan.target);
            }
            Err(error) => self.figures.fail(format!("not placed: {error}")),
        }
    }

    fn serve(&mut self, slot: usize, now: Now, measuring: bool, stopping: bool) {
        let churn = matches!(self.plan.hold, Hold::Between(..)) && !stopping;
        match &mut self.callers[slot] {
            Some(caller) => {
                caller.serve(now, &mut self.inbox, &mut self.figures, measuring);
                send_signals(caller, &self.sip, self.plan.target);
                if caller.is_over()
                    && let Some(caller) = self.callers[slot].take()
                {
                    // Whoever was refused does not call again at once.
                    self.rested[slot] = if caller.was_answered() { 0 } else { now.us + REST_US };
                    caller.finish(now, &mut self.inbox, &mut self.figures);
                }
            }
            // The tick after, so that a call that cannot be made is not tried without end in this one.
            None if churn && now.us >= self.rested[slot] => self.call(slot, now.us),
            None => {}
        }
    }

    fn hear_signals(&mut self, now: Now) {
        let (callers, seeds, figures) = (&mut self.callers, &self.seeds, &mut self.figures);
        let (sip, target) = (&self.sip, self.plan.target);
        self.inbox.receive(&self.sip, now, |arrival, datagram| {
            let Some(message) = Message::parse(datagram) else { return };
            let seed = message.header("Call-ID").and_then(|id| u64::from_str_radix(id.get(..16)?, 16).ok());
            let slot = seed.map_or(usize::MAX, |seed| (seed & ((1 << SLOT_BITS) - 1)) as usize);
            let caller = callers.get_mut(slot).and_then(Option::as_mut).filter(|_| seeds.get(slot).copied() == seed);
            match caller {
                Some(caller) => {
                    caller.handle_message(arrival, &message, figures);
                    send_signals(caller, sip, target);
                }
                // A call that is over here already.
                None if message.method().is_some_and(|method| method != "ACK") => {
                    let gone = Message::response(&message, 481, "Call/Transaction Does Not Exist");
                    let _ = sip.send_to(&gone.to_bytes(), target);
                }
                None => {}
            }
        });
    }
}

fn send_signals(caller: &mut Caller, sip: &UdpSocket, target: SocketAddr) {
    while let Some(bytes) = caller.poll_signal() {
        // What is not sent is sent again by its timer.
        let _ = sip.send_to(&bytes, target);
    }
}

/// Reasons of failure, the most frequent first, in one line.
#[must_use]
pub(crate) fn reasons(failed: &BTreeMap<String, u64>) -> String {
    let mut reasons: Vec<_> = failed.iter().collect();
    reasons.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    reasons.iter().map(|(reason, count)| format!("{count} x {reason}")).collect::<Vec<_>>().join(", ")
}

impl Figures {
    /// Why calls failed, in one line; empty when none did.
    #[must_use]
    pub fn why_failed(&self) -> String {
        reasons(&self.failed)
    }
}
