//! Calls that leave: judged by the outbound routes, counted, placed over a trunk, and told to whom they belong.
//!
//! Whoever wants one, an operator or a call that passes somebody on, gets a [`Placed`]: while it is held the call counts,
//! and when it is dropped its place is free again. So no end of a call, a panic among them, leaves a place taken.

mod begin;
mod exchange;
mod trunks;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use trunkline_api::outbound::OutboundUse;
use trunkline_api::{Failure, Id};
use trunkline_leg::{Codec, LegId, RefusalCause};
use trunkline_media::{LegSocket, MediaPlane};
use trunkline_route::Trunk;
use trunkline_route::outbound::{
    Destination, Ledger, LedgerEvent, OutboundCall, OutboundDecision, OutboundRequest, Reason, TrunkState, Trunks, Way,
};
use trunkline_sdp::{LocalMedia, Session};
use trunkline_sip::variables::OutgoingCaller;
use trunkline_sip::{CallKey, Outgoing, TrunkStatus};

pub use begin::{DialOrder, DialRefused};
pub(crate) use begin::{Dialled, dial};
pub(crate) use exchange::{Dialling, Exchange};
pub(crate) use trunks::{Door, Secrets, kept, token};

use crate::capacity::Admission;
use crate::counters::count;
use crate::offer::local_srtp;
use crate::serving::Serving;
use crate::shared::Shared;
use trunks::{bracketed, credentials};

/// Who calls, where neither the trunk nor the call says it.
const NOBODY: &str = "anonymous";

/// Calls that leave this gateway.
#[derive(Default)]
pub(crate) struct Outbound {
    secrets: Arc<Secrets>,
    ends: OnceLock<(Arc<dyn Exchange>, MediaPlane)>,
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    ledger: Ledger,
    /// Looked up by key only.
    calls: HashMap<CallKey, Entry>,
}

struct Entry {
    paid: OutboundCall,
    trunk: Id,
    whose: Whose,
    /// Our offer, until it is answered.
    session: Option<Session>,
    /// A call of its own that begins with the answer.
    dialled: Option<Box<Dialled>>,
}

/// Whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Whose {
    /// The call.
    pub(crate) call: Id,
    /// Which of its legs.
    pub(crate) leg: LegId,
    /// The worker that has the call; not known before a call of its own is answered.
    pub(crate) worker: Option<usize>,
}

/// What is wanted.
pub(crate) struct Wanted<'a> {
    pub(crate) request: OutboundRequest<'a>,
    /// The only trunk that it may leave over.
    pub(crate) only: Option<&'a Id>,
    /// Who calls; the trunk's own number when nobody says.
    pub(crate) from: Option<&'a str>,
    /// What is handed over, by the name of its variable.
    pub(crate) variables: BTreeMap<String, String>,
    pub(crate) ring_ms: u32,
    /// Value of Max-Forwards.
    pub(crate) hops: u8,
}

/// A call that was placed. It counts until this is dropped, and stops ringing then.
pub(crate) struct Placed {
    outbound: Arc<Outbound>,
    pub(crate) dialling: Arc<dyn Dialling>,
    pub(crate) trunk: Id,
    /// User that was dialled, as the trunk was told it.
    pub(crate) user: String,
    /// User that it is from.
    pub(crate) caller: String,
}

/// Why a call was not placed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NotPlaced {
    pub(crate) failure: Failure,
    pub(crate) cause: RefusalCause,
    /// For whoever reads the log.
    pub(crate) why: String,
}

impl Drop for Placed {
    fn drop(&mut self) {
        // One that was answered has its dialog, which is ended by whoever has that.
        self.dialling.cancel();
        let mut book = self.outbound.book();
        if let Some(entry) = book.calls.remove(&self.dialling.key()) {
            book.ledger.handle_ended(wall_us(), entry.paid);
        }
    }
}

impl Outbound {
    /// None yet, with the passwords of trunks.
    pub(crate) fn new(secrets: Arc<Secrets>) -> Arc<Self> {
        Arc::new(Self { secrets, ..Self::default() })
    }

    /// Where calls go from now on.
    pub(crate) fn connect(&self, exchange: Arc<dyn Exchange>, plane: MediaPlane) {
        let _ = self.ends.set((exchange, plane));
    }

    /// Media of calls that leave.
    pub(crate) fn plane(&self) -> Option<&MediaPlane> {
        self.ends.get().map(|(_, plane)| plane)
    }

    /// How the trunks are that are looked after.
    pub(crate) fn trunks(&self) -> Vec<TrunkStatus> {
        self.ends.get().map_or_else(Vec::new, |(exchange, _)| exchange.trunks())
    }

    /// Other objects are in service.
    pub(crate) fn serve(&self, serving: &Serving) {
        if let Some((exchange, _)) = self.ends.get() {
            exchange.keep(kept(&serving.table, &self.secrets));
        }
        self.book().ledger.handle_table(&serving.table);
    }

    /// Explains whether a call may leave, as far as routes and trunks go.
    pub(crate) fn explain(
        &self,
        shared: &Shared,
        serving: &Serving,
        request: &OutboundRequest<'_>,
    ) -> OutboundDecision {
        let book = self.book();
        let trunks =
            TrunksNow { outbound: self, calls: &book.calls, admission: &shared.admission, serving, only: None };
        trunkline_route::outbound::way(&serving.table, request, &trunks)
    }

    /// Decides over a leg of a call that is up, and places it. Nothing here waits.
    pub(crate) fn place(
        self: &Arc<Self>,
        shared: &Shared,
        serving: &Serving,
        wanted: Wanted<'_>,
        whose: Whose,
    ) -> Result<(Placed, LegSocket), NotPlaced> {
        let placed = self.place_for(shared, serving, wanted, whose, None)?;
        placed.ok_or_else(|| not_placed(Failure::Internal, "a leg has no place"))
    }

    /// Decides over a call of its own, and places it: it begins with the answer, of which intake hears.
    pub(crate) fn place_own(
        self: &Arc<Self>,
        shared: &Shared,
        serving: &Serving,
        wanted: Wanted<'_>,
        whose: Whose,
        dialled: Dialled,
    ) -> Result<(), NotPlaced> {
        self.place_for(shared, serving, wanted, whose, Some(dialled)).map(drop)
    }

    fn place_for(
        self: &Arc<Self>,
        shared: &Shared,
        serving: &Serving,
        wanted: Wanted<'_>,
        whose: Whose,
        dialled: Option<Dialled>,
    ) -> Result<Option<(Placed, LegSocket)>, NotPlaced> {
        let (exchange, plane) = self.ends.get().ok_or_else(|| not_placed(Failure::Internal, "there is no SIP"))?;
        let mut book = self.book();
        let Book { ledger, calls } = &mut *book;
        let only = wanted.only;
        let trunks = TrunksNow { outbound: self, calls, admission: &shared.admission, serving, only };
        let (decision, paid) = ledger.begin(&serving.table, &wanted.request, &trunks);
        tell(&decision);
        let (way, paid) = match (decision.outcome, paid) {
            (Ok(way), Some(paid)) => (way, paid),
            (Err(reason), _) => {
                shared.counters.failed(reason.failure());
                return Err(NotPlaced {
                    failure: reason.failure(),
                    cause: cause(reason),
                    why: reason.name().to_owned(),
                });
            }
            (Ok(_), None) => return Err(not_placed(Failure::Internal, "the ledger has no place for it")),
        };
        let dialled_now = self.dial(shared, serving, exchange, plane, &way, wanted);
        match dialled_now {
            Ok((dialling, session, socket, caller)) => {
                // The book has been held since it was sent: whoever has news of it waits for that.
                let (key, trunk) = (dialling.key(), way.trunk.clone());
                let way = Placed { outbound: Arc::clone(self), dialling, trunk: way.trunk, user: way.user, caller };
                count(&shared.counters.placed);
                let (dialled, way) = match dialled {
                    Some(dialled) => (Some(Box::new(Dialled { way: Some((way, socket)), ..dialled })), None),
                    None => (None, Some((way, socket))),
                };
                calls.insert(key, Entry { paid, trunk, whose, session: Some(session), dialled });
                Ok(way)
            }
            Err(not) => {
                ledger.handle_ended(wall_us(), paid);
                shared.counters.failed(not.failure);
                tracing::warn!(trunk = %way.trunk, failure = not.failure.name(), "a call was not placed: {}", not.why);
                Err(not)
            }
        }
    }

    /// Decides over a destination that the far end of a call is to dial itself. It counts as a call begun, by rate and day,
    /// and not as one at once, since it is none of ours.
    pub(crate) fn judge(
        &self,
        shared: &Shared,
        serving: &Serving,
        request: &OutboundRequest<'_>,
    ) -> Result<Way, NotPlaced> {
        let mut book = self.book();
        let Book { ledger, calls } = &mut *book;
        let trunks = TrunksNow { outbound: self, calls, admission: &shared.admission, serving, only: None };
        let (decision, paid) = ledger.begin(&serving.table, request, &trunks);
        if let Some(paid) = paid {
            ledger.handle_ended(wall_us(), paid);
        }
        tell(&decision);
        decision.outcome.map_err(|reason| {
            shared.counters.failed(reason.failure());
            NotPlaced { failure: reason.failure(), cause: cause(reason), why: reason.name().to_owned() }
        })
    }

    #[allow(clippy::type_complexity, reason = "taken apart at once by the only one who asks")]
    fn dial(
        &self,
        shared: &Shared,
        serving: &Serving,
        exchange: &Arc<dyn Exchange>,
        plane: &MediaPlane,
        way: &Way,
        wanted: Wanted<'_>,
    ) -> Result<(Arc<dyn Dialling>, Session, LegSocket, String), NotPlaced> {
        let trunk = serving.table.trunk_by_id(&way.trunk);
        let (trunk, server) = trunk
            .and_then(|trunk| Some((trunk, trunk.server.as_ref()?)))
            .ok_or_else(|| not_placed(Failure::TrunkUnavailable, "the trunk has no server"))?;
        let servers = exchange.trunk(&token(&trunk.id)).map(|status| status.servers()).unwrap_or_default();
        let host = bracketed(server.uri_host());
        let target = match &way.destination {
            Destination::Uri { secure: true, .. } => {
                return Err(not_placed(
                    Failure::TrunkUnavailable,
                    "`sips:` asks for TLS as far as the far end; call it as `sip:` over a trunk whose transport is tls",
                ));
            }
            Destination::Uri { user, host, port, .. } => {
                let port = port.map(|port| format!(":{port}")).unwrap_or_default();
                format!("sip:{user}@{host}{port}")
            }
            Destination::Number(_) | Destination::Extension(_) => match (&server.domain, server.places().next()) {
                (domain, Some((_, Some(port)))) if domain.is_empty() => format!("sip:{}@{host}:{port}", way.user),
                _ => format!("sip:{}@{host}", way.user),
            },
        };
        let own = Some(server.caller.as_str()).filter(|caller| !caller.is_empty());
        let from = wanted.from.filter(|from| trunkline_api::outbound::is_user(from));
        let caller = own.filter(|_| from.is_none()).or(from).unwrap_or(NOBODY).to_owned();
        let identity = OutgoingCaller { user: caller.clone(), host, name: String::new(), is_anonymous: false };
        let (from, identity) = identity
            .headers(trunk.trusted)
            .ok_or_else(|| not_placed(Failure::Internal, "the calling number cannot stand in a URI"))?;
        // What a caller or an agent says of a call is told to those only who belong to the house.
        let mut headers =
            if trunk.trusted { trunkline_sip::variables::outbound(&wanted.variables) } else { Vec::new() };
        headers.extend(identity.into_iter().map(|(name, value)| (name.to_owned(), value)));
        let socket = plane.allocate().map_err(|error| not_placed(crate::refusal::media_failure(&error), "no media"))?;
        let mut session = Session::new(local_media(shared, trunk, &socket, wanted.request.wall_us)?);
        let call = Outgoing {
            trunk: token(&trunk.id),
            target,
            servers,
            from,
            headers,
            offer: session.offer(),
            credentials: credentials(trunk, server, &self.secrets),
            max_forwards: wanted.hops,
            ring_ms: wanted.ring_ms.into(),
        };
        let dialling =
            exchange.dial(call).map_err(|error| not_placed(Failure::TrunkUnavailable, &error.to_string()))?;
        Ok((dialling, session, socket, caller))
    }

    /// Whose call it is that there is news of.
    pub(crate) fn whose(&self, key: CallKey) -> Option<Whose> {
        self.book().calls.get(&key).map(|entry| entry.whose.clone())
    }

    /// It was answered: our offer, and the call that begins, if it is one of its own.
    pub(crate) fn answered(&self, key: CallKey) -> Option<(Whose, Session, Option<Box<Dialled>>)> {
        let mut book = self.book();
        let Book { ledger, calls } = &mut *book;
        let entry = calls.get_mut(&key)?;
        ledger.handle_answered(wall_us(), entry.paid);
        Some((entry.whose.clone(), entry.session.take()?, entry.dialled.take()))
    }

    /// It was not: the call that does not begin, if it would have been one of its own.
    pub(crate) fn refused(&self, key: CallKey) -> Option<(Whose, Option<Box<Dialled>>)> {
        let mut book = self.book();
        let entry = book.calls.get_mut(&key)?;
        Some((entry.whose.clone(), entry.dialled.take()))
    }

    /// That worker has the call from now on.
    pub(crate) fn began(&self, key: CallKey, worker: usize) {
        if let Some(entry) = self.book().calls.get_mut(&key) {
            entry.whose.worker = Some(worker);
        }
    }

    /// Pays for the minutes that begin; says whose calls are to end, since their tenants have spent what they may.
    pub(crate) fn pay(&self) -> Vec<Whose> {
        let mut book = self.book();
        let Book { ledger, calls } = &mut *book;
        let now_us = wall_us();
        if ledger.poll_timeout().is_none_or(|due_us| due_us > now_us) {
            return Vec::new();
        }
        ledger.handle_timeout(now_us);
        let events = std::iter::from_fn(|| ledger.poll_event());
        let over = events.filter_map(|event| {
            let (LedgerEvent::SpendReached(paid) | LedgerEvent::Forgotten(paid)) = event;
            calls.values().find(|entry| entry.paid == paid).map(|entry| entry.whose.clone())
        });
        over.collect()
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What trunks are doing: whether they can be reached, and their calls in both directions.
struct TrunksNow<'a> {
    outbound: &'a Outbound,
    calls: &'a HashMap<CallKey, Entry>,
    admission: &'a Admission,
    serving: &'a Serving,
    only: Option<&'a Id>,
}

impl Trunks for TrunksNow<'_> {
    fn state(&self, trunk: &Id) -> TrunkState {
        let served = self.serving.table.trunk_by_id(trunk).is_some_and(|trunk| trunk.server.is_some());
        let wanted = self.only.is_none_or(|only| only == trunk);
        let status = self.outbound.ends.get().and_then(|(exchange, _)| exchange.trunk(&token(trunk)));
        if !served || !wanted || !status.is_some_and(|status| status.takes_calls) {
            return TrunkState::Down;
        }
        // A call of its own has a share of the gateway, by which it is counted; legs of other calls have none.
        let legs = self.calls.values().filter(|entry| entry.trunk == *trunk && entry.whose.leg != LegId::FIRST);
        let legs = u32::try_from(legs.count()).unwrap_or(u32::MAX);
        TrunkState::Up { calls: self.admission.calls_of(trunk).saturating_add(legs) }
    }
}

/// What we offer over a trunk.
fn local_media(shared: &Shared, trunk: &Trunk, socket: &LegSocket, version: u64) -> Result<LocalMedia, NotPlaced> {
    let codecs: Vec<Codec> = trunk.codecs.iter().filter_map(|name| name.parse().ok()).collect();
    let srtp = local_srtp(trunk.srtp).map_err(|failure| not_placed(failure, "no keys for the sound"))?;
    let usual = LocalMedia::new(shared.config.media_addr, socket.rtp_port());
    Ok(LocalMedia { codecs, srtp, session_id: version, version, ..usual })
}

/// What is kept of every decision, with the destination masked.
fn tell(decision: &OutboundDecision) {
    tracing::debug!("{decision}");
    let fact = &decision.fact;
    let (route, trunk) = (fact.route.as_ref().map(Id::to_string), fact.trunk.as_ref().map(Id::to_string));
    let agent = fact.agent.as_ref().map(Id::to_string);
    match fact.refused {
        None => tracing::info!(
            target: "audit", tenant = %fact.tenant, r#use = ?fact.r#use, agent, destination = %fact.destination, route,
            trunk, "a call may leave"
        ),
        Some(reason) => tracing::warn!(
            target: "audit", tenant = %fact.tenant, r#use = ?fact.r#use, agent, destination = %fact.destination,
            reason = reason.name(), "a call may not leave"
        ),
    }
}

fn cause(reason: Reason) -> RefusalCause {
    match reason {
        Reason::NoDestination => RefusalCause::NotFound,
        Reason::Trunks => RefusalCause::Unreachable,
        _ => RefusalCause::Rejected,
    }
}

fn not_placed(failure: Failure, why: &str) -> NotPlaced {
    NotPlaced { failure, cause: RefusalCause::Failed, why: why.to_owned() }
}

/// A request to leave, now.
pub(crate) fn request<'a>(tenant: &'a Id, agent: &'a Id, r#use: OutboundUse, to: &'a str) -> OutboundRequest<'a> {
    OutboundRequest { tenant, r#use, agent: Some(agent), to, wall_us: wall_us() }
}

pub(crate) fn wall_us() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}
