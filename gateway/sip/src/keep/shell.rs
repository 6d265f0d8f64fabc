//! The tasks that look after trunks: one for each, which ends when its trunk goes or changes.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

use super::config::Kept;
use super::resolver;
use super::trunk::{HostStatus, KeptTrunk, takes_calls};
use crate::admission::TrunkToken;
use crate::client::{Answer, Ourselves};
use crate::draw::Draw;
use crate::event::SipEvent;
use crate::health::HealthState;
use crate::locate::{Families, Resting, Server};
use crate::shared::Shared;
use crate::wires::CertificateNames;

/// Responses that wait to be looked at.
const INBOX: usize = 32;
/// Answers of name servers that wait to be looked at.
const FINDS: usize = 8;
/// Most branches of one trunk that responses are waited for.
const MOST_BRANCHES: usize = 32;

/// How a trunk is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrunkStatus {
    /// The trunk.
    pub trunk: TrunkToken,
    /// Its servers.
    pub hosts: Vec<HostStatus>,
    /// Whether it is registered; `None` when it is not to be.
    pub registered: Option<bool>,
    /// Whether calls can be placed over it.
    pub takes_calls: bool,
}

impl TrunkStatus {
    /// Its servers in the order they are to be tried: those that are down last.
    #[must_use]
    pub fn servers(&self) -> Vec<Server> {
        let (down, up): (Vec<_>, Vec<_>) = self.hosts.iter().partition(|host| host.health == Some(HealthState::Down));
        up.into_iter().chain(down).flat_map(|host| host.servers.iter().cloned()).collect()
    }
}

/// The trunks that are looked after, and the servers that failed.
#[derive(Debug)]
pub(crate) struct Keeping {
    tasks: Mutex<BTreeMap<TrunkToken, Task>>,
    resting: Mutex<Resting>,
    began: Instant,
}

impl Default for Keeping {
    fn default() -> Self {
        Self { tasks: Mutex::default(), resting: Mutex::default(), began: Instant::now() }
    }
}

#[derive(Debug)]
struct Task {
    kept: Kept,
    status: Arc<Mutex<TrunkStatus>>,
    /// A call was placed over it.
    called: Arc<Notify>,
    /// Dropped, it ends the task.
    _stop: mpsc::Sender<()>,
    run: JoinHandle<()>,
}

impl Keeping {
    /// Looks after these trunks from now on, and no more after others. One that has not changed is left alone.
    pub(crate) fn keep(&self, shared: &Arc<Shared>, trunks: Vec<Kept>) {
        if shared.is_closed() {
            return;
        }
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.retain(|_, task| trunks.contains(&task.kept));
        for kept in trunks {
            if tasks.contains_key(&kept.trunk) {
                continue;
            }
            let mut seed = [0; 32];
            if getrandom::fill(&mut seed).is_err() {
                tracing::error!("no randomness: a trunk is not looked after");
                continue;
            }
            let locals = shared.locals().seen_at(kept.advertised);
            let us = Ourselves { locals, ..Ourselves::of(shared) };
            let machine = KeptTrunk::new(0, us, kept.clone(), families(shared), Draw::new(&seed));
            let (hosts, registered, takes_calls) = (Vec::new(), None, false);
            let status = TrunkStatus { trunk: kept.trunk.clone(), hosts, registered, takes_calls };
            let status = Arc::new(Mutex::new(status));
            let (stop, stopped) = mpsc::channel(1);
            let called = Arc::new(Notify::new());
            let told = (Arc::clone(&status), Arc::clone(&called));
            let run = shared.runtime.spawn(run(Arc::clone(shared), machine, told, stopped));
            tasks.insert(kept.trunk.clone(), Task { kept, status, called, _stop: stop, run });
        }
    }

    /// Whether there is a registration to take back.
    pub(crate) fn registers(&self) -> bool {
        let tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.values().any(|task| task.kept.registration.is_some())
    }

    /// Looks after none any more. Each of the tasks takes its registration back, and ends.
    pub(crate) fn end(&self) -> Vec<JoinHandle<()>> {
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        tasks.into_values().map(|task| task.run).collect()
    }

    /// How they are.
    pub(crate) fn status(&self) -> Vec<TrunkStatus> {
        let tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.values().map(|task| task.status.lock().unwrap_or_else(PoisonError::into_inner).clone()).collect()
    }

    /// How one of them is, for a call: what failed lately is tried last.
    pub(crate) fn of(&self, trunk: &TrunkToken) -> Option<TrunkStatus> {
        let tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        let task = tasks.get(trunk)?;
        let mut status = task.status.lock().unwrap_or_else(PoisonError::into_inner).clone();
        task.called.notify_one();
        let (resting, now_ms) = (self.resting.lock().unwrap_or_else(PoisonError::into_inner), self.now_ms());
        for host in &mut status.hosts {
            host.servers = resting.ordered(now_ms, std::mem::take(&mut host.servers));
        }
        let rests = |host: &HostStatus| host.servers.first().and_then(|server| resting.rests_until(now_ms, server));
        status.hosts.sort_by_key(|host| rests(host).unwrap_or_default());
        Some(status)
    }

    /// A server did not answer a call, or could not serve it.
    pub(crate) fn failed(&self, server: &Server, retry_after_s: Option<u32>) {
        let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        resting.handle_failure(self.now_ms(), server, retry_after_s);
    }

    /// A server answered a call.
    pub(crate) fn answered(&self, server: &Server) {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner).handle_answer(server);
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// The address families that the socket reaches.
fn families(shared: &Shared) -> Families {
    match shared.local.ip() {
        IpAddr::V4(_) => Families::V4,
        IpAddr::V6(ip) if ip.is_unspecified() => Families::V4First,
        IpAddr::V6(_) => Families::V6,
    }
}

async fn run(
    shared: Arc<Shared>,
    mut machine: KeptTrunk,
    (status, called): (Arc<Mutex<TrunkStatus>>, Arc<Notify>),
    mut stopped: mpsc::Receiver<()>,
) {
    let began = Instant::now();
    let now_ms = || u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let (inbox, mut answers) = mpsc::channel::<Answer>(INBOX);
    let (finds, mut found) = mpsc::channel(FINDS);
    let mut branches: std::collections::VecDeque<String> = std::collections::VecDeque::new();
    let mut serving = true;
    let mut ends = shared.wires.flows.ends();
    let trunk = status.lock().unwrap_or_else(PoisonError::into_inner).trunk.clone();
    loop {
        while let Some(question) = machine.poll_question(now_ms()) {
            let (finds, servers) = (finds.clone(), shared.config.name_servers.clone());
            tokio::spawn(async move {
                let found = resolver::ask(&question, &servers).await;
                let _ = finds.send((question, found)).await;
            });
        }
        while let Some(transmit) = machine.poll_transmit() {
            if let Some(branch) = &transmit.branch
                && !branches.contains(branch)
            {
                shared.awaiting.expect(branch, &inbox);
                branches.push_back(branch.clone());
                if branches.len() > MOST_BRANCHES
                    && let Some(oldest) = branches.pop_front()
                {
                    shared.awaiting.forget(&oldest);
                }
            }
            let names = CertificateNames::of(machine.hosts().iter().flat_map(|host| &host.servers));
            let sent = shared.wires.transmit(&transmit, &names).await;
            if let Err(error) = sent {
                tracing::debug!(trunk = %trunk.0, %error, "a request to a trunk was not sent");
                machine.handle_not_sent(now_ms(), transmit.branch.as_deref().unwrap_or(""));
            }
        }
        let (hosts, registered) = (machine.hosts(), machine.is_registered());
        {
            let mut status = status.lock().unwrap_or_else(PoisonError::into_inner);
            status.takes_calls = takes_calls(&hosts, registered);
            (status.hosts, status.registered) = (hosts, registered);
        }
        while let Some(news) = machine.poll_event() {
            shared.tell(SipEvent::Trunk { trunk: trunk.clone(), news: Box::new(news) }).await;
        }
        if machine.is_done() {
            break;
        }
        let due = machine.poll_timeout().unwrap_or(u64::MAX).saturating_sub(now_ms()).min(60_000);
        tokio::select! {
            answer = answers.recv() => if let Some(answer) = answer { machine.handle_answer(now_ms(), &answer) },
            // Of more ends than are kept the last ones are seen: a registration is refreshed in time all the same.
            Ok(hop) = ends.recv() => machine.handle_flow_lost(now_ms(), hop),
            found = found.recv() => if let Some((question, answers)) = found {
                machine.handle_found(now_ms(), &question, answers);
            },
            () = called.notified() => machine.handle_call(now_ms()),
            // Nothing is ever sent: it ends.
            _ = stopped.recv(), if serving => {
                serving = false;
                machine.stop(now_ms());
            }
            () = tokio::time::sleep(Duration::from_millis(due)) => {}
        }
        machine.handle_timeout(now_ms());
    }
    for branch in &branches {
        shared.awaiting.forget(branch);
    }
}
