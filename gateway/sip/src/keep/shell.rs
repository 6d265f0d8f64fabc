//! The tasks that look after trunks: one for each, which ends when its trunk goes or changes.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::config::Kept;
use super::trunk::{HostStatus, KeptTrunk, takes_calls};
use crate::admission::TrunkToken;
use crate::client::{Answer, Ourselves};
use crate::draw::Draw;
use crate::event::SipEvent;
use crate::health::HealthState;
use crate::locate::{Families, Server};
use crate::shared::Shared;
use crate::wires::CertificateNames;

/// Responses that wait to be looked at.
const INBOX: usize = 32;
/// How long a name server may take.
const LOOK_UP: Duration = Duration::from_secs(5);
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

/// The trunks that are looked after.
#[derive(Debug, Default)]
pub(crate) struct Keeping(Mutex<BTreeMap<TrunkToken, Task>>);

#[derive(Debug)]
struct Task {
    kept: Kept,
    status: Arc<Mutex<TrunkStatus>>,
    /// Dropped, it ends the task.
    _stop: mpsc::Sender<()>,
}

impl Keeping {
    /// Looks after these trunks from now on, and no more after others. One that has not changed is left alone.
    pub(crate) fn keep(&self, shared: &Arc<Shared>, trunks: Vec<Kept>) {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
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
            shared.runtime.spawn(run(Arc::clone(shared), machine, Arc::clone(&status), stopped));
            tasks.insert(kept.trunk.clone(), Task { kept, status, _stop: stop });
        }
    }

    /// How they are.
    pub(crate) fn status(&self) -> Vec<TrunkStatus> {
        let tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.values().map(|task| task.status.lock().unwrap_or_else(PoisonError::into_inner).clone()).collect()
    }

    /// How one of them is.
    pub(crate) fn of(&self, trunk: &TrunkToken) -> Option<TrunkStatus> {
        let tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.get(trunk).map(|task| task.status.lock().unwrap_or_else(PoisonError::into_inner).clone())
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
    status: Arc<Mutex<TrunkStatus>>,
    mut stopped: mpsc::Receiver<()>,
) {
    let began = Instant::now();
    let now_ms = || u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let (inbox, mut answers) = mpsc::channel::<Answer>(INBOX);
    let (finds, mut found) = mpsc::channel(super::config::MOST_HOSTS);
    let mut branches: std::collections::VecDeque<String> = std::collections::VecDeque::new();
    let mut serving = true;
    let mut ends = shared.wires.flows.ends();
    let trunk = status.lock().unwrap_or_else(PoisonError::into_inner).trunk.clone();
    loop {
        while let Some(name) = machine.poll_question(now_ms()) {
            let finds = finds.clone();
            tokio::spawn(async move {
                let addresses = look_up(&name).await;
                // Each question is out once, so that there is room for every answer.
                let _ = finds.send((name, addresses)).await;
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
            found = found.recv() => if let Some((name, addresses)) = found {
                machine.handle_found(now_ms(), &name, addresses);
            },
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

/// The addresses of a name; none when nobody knows them in time.
async fn look_up(name: &str) -> Vec<IpAddr> {
    match tokio::time::timeout(LOOK_UP, tokio::net::lookup_host((name, 0))).await {
        Ok(Ok(addresses)) => addresses.map(|address| address.ip().to_canonical()).collect(),
        Ok(Err(_)) | Err(_) => Vec::new(),
    }
}
