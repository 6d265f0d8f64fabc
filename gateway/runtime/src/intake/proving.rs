//! Calls whose caller is verified before anything else is done with them (RFC 8224). Who needs a certificate that is not
//! there waits here, with 100 as its only answer, while others are served; and for so long only.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::Waker;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use trunkline_api::object::StirPolicy;
use trunkline_route::Trunk;
use trunkline_sip::CallKey;
use trunkline_sip::stir::{Fault, Finding, Judgement, Material, Question, Verifier, said};

use super::{IDLE, Intake, wall_us};
use crate::line::Invite;
use crate::offer::Offer;

/// Most calls that wait; further ones are not verified.
const MOST_WAITING: usize = 256;
/// Most certificates that are on their way.
const MOST_FETCHES: usize = 32;
/// For how much longer than a call waits a fetch may take until it is asked for again.
const GRACE: Duration = Duration::from_secs(5);

/// What verification stands on.
#[derive(Clone)]
pub struct CallerProof {
    /// Authorities that are believed and certificates that are laid down; replaced as the files change.
    pub material: Arc<ArcSwap<Material>>,
    /// How old a signature may be, in seconds.
    pub freshness_s: u32,
    /// Fetches certificates that are not laid down; nobody does without it.
    pub fetcher: Option<Arc<dyn CertificateFetcher>>,
    /// For how long a call waits for that.
    pub patience: Duration,
}

/// Whoever fetches certificates.
pub trait CertificateFetcher: Send + Sync {
    /// Begins to fetch what is at a URL, and answers when it is here or cannot be had. Returns at once.
    fn fetch(&self, url: &str, answer: FetchAnswer);
}

/// What came of a fetch: bytes, or why there are none.
type Fetched = (String, Result<Vec<u8>, String>);

/// Where the answer to a fetch goes.
pub struct FetchAnswer {
    url: String,
    sender: Sender<Fetched>,
    waker: Waker,
}

impl FetchAnswer {
    /// Answers.
    pub fn give(self, fetched: Result<Vec<u8>, String>) {
        // Whoever asked may be gone.
        let _ = self.sender.send((self.url, fetched));
        self.waker.wake();
    }
}

struct Waiting {
    invite: Invite,
    question: Question,
    required: bool,
    until: Instant,
}

/// Calls that are being verified.
pub(super) struct Proving {
    material: Arc<ArcSwap<Material>>,
    fetcher: Option<Arc<dyn CertificateFetcher>>,
    patience: Duration,
    verifier: Verifier,
    waiting: Vec<Waiting>,
    /// What is on its way, and until when it is not asked for again.
    fetching: BTreeMap<String, Instant>,
    answers: (Sender<Fetched>, Receiver<Fetched>),
    /// Something has come since they were looked at last.
    stirred: bool,
}

impl Proving {
    pub(super) fn new(proof: CallerProof) -> Self {
        let CallerProof { material, freshness_s, fetcher, patience } = proof;
        Self {
            material,
            fetcher,
            patience,
            verifier: Verifier::new(freshness_s),
            waiting: Vec::new(),
            fetching: BTreeMap::new(),
            answers: channel(),
            stirred: false,
        }
    }

    /// Its caller is gone; false when it is none of these.
    pub(super) fn give_up(&mut self, key: CallKey) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|waiting| waiting.invite.key != key);
        self.waiting.len() < before
    }

    fn judge(&self, now: Instant, question: &Question) -> Judgement {
        self.verifier.judge(now, wall_us() / 1_000_000, &self.material.load(), question)
    }

    /// Takes what was fetched.
    fn take_answers(&mut self, now: Instant) {
        while let Ok((url, fetched)) = self.answers.1.try_recv() {
            if let Err(why) = &fetched {
                tracing::warn!(url, why, "a certificate of an Identity was not had");
            }
            self.fetching.remove(&url);
            let (material, wall_s) = (self.material.load(), wall_us() / 1_000_000);
            self.verifier.had(now, wall_s, &material, url, fetched.as_deref().map_err(Clone::clone));
            self.stirred = true;
        }
        self.fetching.retain(|_, until| now < *until);
    }

    /// Has a certificate fetched, unless it is on its way; false when there is no room.
    fn fetch(&mut self, now: Instant, url: String, waker: &Waker) -> bool {
        let Some(fetcher) = self.fetcher.as_ref() else { return false };
        if self.fetching.contains_key(&url) {
            return true;
        }
        if self.fetching.len() >= MOST_FETCHES {
            return false;
        }
        let answer = FetchAnswer { url: url.clone(), sender: self.answers.0.clone(), waker: waker.clone() };
        fetcher.fetch(&url, answer);
        self.fetching.insert(url, now + self.patience + GRACE);
        true
    }

    /// Calls that need wait no more, with what was found; and how long it may be until the next need not.
    fn settle(&mut self, now: Instant, waker: &Waker) -> (Vec<(Invite, bool, Finding)>, Duration) {
        self.take_answers(now);
        let is_due = self.waiting.iter().any(|waiting| waiting.until <= now);
        let mut done = Vec::new();
        if std::mem::take(&mut self.stirred) || is_due {
            for waiting in std::mem::take(&mut self.waiting) {
                let finding = match self.judge(now, &waiting.question) {
                    Judgement::Found(finding) => Some(finding),
                    Judgement::Needs(_) if waiting.until <= now => Some(not_had("it did not come in time")),
                    Judgement::Needs(url) => {
                        (!self.fetch(now, url, waker)).then(|| not_had("too many others are being fetched"))
                    }
                };
                match finding {
                    Some(finding) => done.push((waiting.invite, waiting.required, finding)),
                    None => self.waiting.push(waiting),
                }
            }
        }
        let soonest = self.waiting.iter().map(|waiting| waiting.until).min();
        (done, soonest.map_or(IDLE, |until| until.saturating_duration_since(now).min(IDLE)))
    }
}

fn not_had(why: &str) -> Finding {
    Finding::Failed(Fault::NotHad(why.to_owned()))
}

impl Intake {
    /// Has callers verified, on trunks that ask for it.
    pub(crate) fn proving(mut self, proof: Option<CallerProof>) -> Self {
        self.proving = proof.map(Proving::new);
        self
    }

    /// A new call with what is known of its caller; `None` when that is to be found out first, or was and refuses it.
    pub(super) fn prove(&mut self, mut invite: Invite) -> Option<Invite> {
        let serving = self.shared.serving.load();
        let trunk = match &invite.trunk {
            Some(trunk) => serving.table.trunk_by_id(trunk),
            None => serving.table.trunk(invite.source),
        };
        // Strangers are refused further on, and a stream has nobody who could sign.
        let Some(trunk) = trunk.filter(|_| matches!(invite.offer, Offer::Sdp(_))) else { return Some(invite) };
        if trunk.trusted {
            invite.findings = said(&invite.from, &invite.headers);
        }
        if trunk.stir == StirPolicy::Off {
            return Some(invite);
        }
        let required = trunk.stir == StirPolicy::Require;
        let question = question(&invite, trunk);
        drop(serving);
        let now = Instant::now();
        let finding = match self.proving.as_mut() {
            None => Finding::Failed(Fault::NoRoots),
            Some(proving) => match proving.judge(now, &question) {
                Judgement::Found(finding) => finding,
                Judgement::Needs(_) if proving.fetcher.is_none() => not_had("it is not laid down, and none is fetched"),
                Judgement::Needs(_) if proving.waiting.len() >= MOST_WAITING => {
                    not_had("too many calls wait for theirs")
                }
                Judgement::Needs(_) => {
                    proving.waiting.push(Waiting { invite, question, required, until: now + proving.patience });
                    proving.stirred = true;
                    return None;
                }
            },
        };
        self.proven(invite, required, &finding)
    }

    /// Calls whose callers were waited for; says how long it may be until the next.
    pub(super) fn settle_proofs(&mut self, now: Instant, waker: &Waker) -> Duration {
        let Some(proving) = self.proving.as_mut() else { return IDLE };
        let (done, patience) = proving.settle(now, waker);
        for (invite, required, finding) in done {
            if let Some(invite) = self.proven(invite, required, &finding) {
                self.take(invite);
            }
        }
        patience
    }

    /// It is known who calls, or not.
    fn proven(&self, mut invite: Invite, required: bool, finding: &Finding) -> Option<Invite> {
        self.shared.counters.proven(finding);
        tell(&invite, finding);
        if let Some(failure) = finding.failure().filter(|_| required) {
            let (trunk, found) = (invite.trunk.as_ref().map(tracing::field::display), finding.name());
            tracing::info!(target: "audit", trunk, failure = failure.name(), found, "a caller who was not verified was refused");
            self.refuse(&invite, failure);
            return None;
        }
        // What the peer says itself counts where there was nothing to verify.
        if *finding != Finding::None || invite.findings.is_empty() {
            invite.findings = finding.variables();
        }
        Some(invite)
    }
}

fn question(invite: &Invite, trunk: &Trunk) -> Question {
    Question::of(&invite.from, &invite.to_user, &invite.headers, trunk.trusted, &trunk.numbering)
}

/// Tells operators what was found: neither number nor token.
fn tell(invite: &Invite, finding: &Finding) {
    let (trunk, sip_call_id) = (invite.trunk.as_ref().map(tracing::field::display), invite.call_id.split('@').next());
    let (verstat, found) = (finding.verstat().name(), finding.name());
    match finding {
        Finding::None => tracing::debug!(trunk, sip_call_id, verstat, "a call has no Identity"),
        Finding::Passed(proof) => {
            let (attest, providers) = (proof.attest.map(tracing::field::display), proof.providers.join(","));
            let diverted = proof.is_diverted;
            tracing::info!(trunk, sip_call_id, verstat, attest, providers, diverted, "caller verified");
        }
        Finding::Failed(fault) => tracing::info!(trunk, sip_call_id, verstat, found, "caller not verified: {fault}"),
    }
}
