//! Calls that leave: judged by the outbound routes, counted, placed over a trunk, and told to whom they belong.
//!
//! Whoever wants one, an operator or a call that passes somebody on, gets a [`Placed`]: while it is held the call counts,
//! and when it is dropped its place is free again. So no end of a call, a panic among them, leaves a place taken.

mod begin;
mod clock;
mod exchange;
mod keeping;
mod trunks;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use trunkline_api::outbound::OutboundUse;
use trunkline_api::{Failure, Id};
use trunkline_leg::{Codec, LegId, RefusalCause};
use trunkline_media::{LegSocket, MediaPlane};
use trunkline_route::Trunk;
use trunkline_route::outbound::{
    DaySpent, Destination, Ledger, LedgerEvent, OutboundCall, OutboundDecision, OutboundRequest, Reason, TrunkState,
    Trunks, Way,
};
use trunkline_sdp::{LocalMedia, Session};
use trunkline_sip::variables::OutgoingCaller;
use trunkline_sip::{CallKey, Outgoing, TrunkStatus};

pub use begin::{DialOrder, DialRefused};
pub(crate) use begin::{Dialled, dial};
pub(crate) use exchange::{Dialling, Exchange};
pub(crate) use keeping::Keeping;
pub(crate) use trunks::{Door, Secrets, kept, token};

use crate::capacity::Admission;
use crate::counters::count;
use crate::offer::local_srtp;
use crate::refusal::media_failure;
use crate::serving::Serving;
use crate::shared::Shared;
use clock::Clock;
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
    clock: Clock,
    /// Looked up by key only.
    calls: HashMap<CallKey, Entry>,
}

impl Book {
    /// The time, in microseconds since the Unix epoch; a clock that was set is told to the ledger first.
    fn now(&mut self) -> u64 {
        let now_us = wall_us();
        let by_us = self.clock.set_by(now_us, Instant::now());
        if by_us != 0 {
            tracing::warn!(seconds = by_us / 1_000_000, "the clock was set; calls that leave go on as they were");
            self.ledger.handle_clock_set(by_us);
        }
        now_us
    }
}

struct Entry {
    paid: OutboundCall,
    trunk: Id,
    whose: Whose,
    /// Our offer, until it is answered.
    session: Option<Session>,
    /// A call of its own that begins with the answer.
    dialled: Option<Box<Dialled>>,
    /// Whether it has a share of the gateway, by which it is counted.
    has_share: bool,
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
    /// Referred-By of whoever wants it, for those who belong to the house.
    pub(crate) referred_by: Option<String>,
    /// Headers of its own.
    pub(crate) headers: Vec<(String, String)>,
    /// What its sound comes by.
    pub(crate) media: MediaOf,
    pub(crate) ring_ms: u32,
    /// Value of Max-Forwards.
    pub(crate) hops: u8,
}

/// What a call that is placed has for its sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MediaOf {
    /// Ports of its own.
    Own,
    /// Those of a leg that is there, by its RTP port.
    Leg(u16),
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

/// A call that is to end.
pub(crate) enum Over {
    /// Its tenant has spent what it may.
    Spent(Whose),
    /// SIP never said what became of it; it has no place any more. The call that does not begin, if it would have been one of
    /// its own.
    Forgotten(Whose, Option<Box<Dialled>>),
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
            let now_us = book.now();
            book.ledger.handle_ended(now_us, entry.paid);
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
        let trunks = TrunksNow {
            outbound: self,
            calls: &book.calls,
            admission: &shared.admission,
            serving,
            only: None,
            own: None,
        };
        trunkline_route::outbound::way(&serving.table, request, &trunks)
    }

    /// Decides over a call that is to leave as it would be decided now, counts and costs included, and takes nothing.
    fn foresee(
        &self,
        shared: &Shared,
        serving: &Serving,
        request: &OutboundRequest<'_>,
        only: Option<&Id>,
    ) -> OutboundDecision {
        let mut book = self.book();
        let now_us = book.now();
        let Book { ledger, calls, .. } = &mut *book;
        let trunks = TrunksNow { outbound: self, calls, admission: &shared.admission, serving, only, own: None };
        ledger.foresee(&serving.table, &OutboundRequest { wall_us: now_us, ..request.clone() }, &trunks)
    }

    /// Legs of calls over a trunk, which have no share of the gateway of their own.
    pub(crate) fn legs_of(&self, trunk: &Id) -> u32 {
        legs_of(&self.book().calls, trunk)
    }

    /// Decides over a leg of a call that is up, and places it. Nothing here waits.
    pub(crate) fn place(
        self: &Arc<Self>,
        shared: &Shared,
        serving: &Serving,
        wanted: Wanted<'_>,
        whose: Whose,
    ) -> Result<(Placed, LegSocket), NotPlaced> {
        let (placed, socket) = self.place_for(shared, serving, wanted, whose, None)?;
        placed.zip(socket).ok_or_else(|| not_placed(Failure::Internal, "a leg has no place"))
    }

    /// Decides over somebody who is to take the place of a leg's far end, and places it with the leg's own sound.
    pub(crate) fn place_on(
        self: &Arc<Self>,
        shared: &Shared,
        serving: &Serving,
        wanted: Wanted<'_>,
        whose: Whose,
    ) -> Result<Placed, NotPlaced> {
        let (placed, _) = self.place_for(shared, serving, wanted, whose, None)?;
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
        mut wanted: Wanted<'_>,
        whose: Whose,
        dialled: Option<Dialled>,
    ) -> Result<(Option<Placed>, Option<LegSocket>), NotPlaced> {
        let (exchange, plane) = self.ends.get().ok_or_else(|| not_placed(Failure::Internal, "there is no SIP"))?;
        let mut book = self.book();
        let now_us = book.now();
        wanted.request.wall_us = now_us;
        let Book { ledger, calls, .. } = &mut *book;
        let (only, own) = (wanted.only, dialled.as_ref().map(|dialled| dialled.trunk.clone()));
        let trunks =
            TrunksNow { outbound: self, calls, admission: &shared.admission, serving, only, own: own.as_ref() };
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
                let has_share = dialled.is_some();
                let (dialled, left) = match (dialled, socket) {
                    (Some(dialled), Some(socket)) => {
                        (Some(Box::new(Dialled { way: Some((way, socket)), ..dialled })), (None, None))
                    }
                    (_, socket) => (None, (Some(way), socket)),
                };
                calls.insert(key, Entry { paid, trunk, whose, session: Some(session), dialled, has_share });
                Ok(left)
            }
            Err(not) => {
                ledger.handle_ended(now_us, paid);
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
        let now_us = book.now();
        let Book { ledger, calls, .. } = &mut *book;
        let trunks = TrunksNow { outbound: self, calls, admission: &shared.admission, serving, only: None, own: None };
        let request = OutboundRequest { wall_us: now_us, ..request.clone() };
        let (decision, paid) = ledger.begin(&serving.table, &request, &trunks);
        if let Some(paid) = paid {
            ledger.handle_ended(now_us, paid);
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
    ) -> Result<(Arc<dyn Dialling>, Session, Option<LegSocket>, String), NotPlaced> {
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
                (domain, Some((_, Some(port)))) if domain.is_empty() => {
                    format!("sip:{}@{host}:{port}", uri_user(&way.user))
                }
                _ => format!("sip:{}@{host}", uri_user(&way.user)),
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
        let by = wanted.referred_by.filter(|_| trunk.trusted).map(|by| ("Referred-By".to_owned(), by));
        headers.extend(wanted.headers.into_iter().chain(by));
        let allocated = match wanted.media {
            MediaOf::Own => Some(plane.allocate().map_err(|error| not_placed(media_failure(&error), "no media"))?),
            MediaOf::Leg(_) => None,
        };
        let port = match (&allocated, wanted.media) {
            (None, MediaOf::Leg(port)) => port,
            (Some(socket), _) => socket.rtp_port(),
            (None, MediaOf::Own) => return Err(not_placed(Failure::Internal, "there is no port")),
        };
        let mut session = Session::new(local_media(shared, trunk, port, wanted.request.wall_us)?);
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
        Ok((dialling, session, allocated, caller))
    }

    /// Whose call it is that there is news of.
    pub(crate) fn whose(&self, key: CallKey) -> Option<Whose> {
        self.book().calls.get(&key).map(|entry| entry.whose.clone())
    }

    /// The trunk that it leaves over.
    pub(crate) fn trunk_of(&self, key: CallKey) -> Option<Id> {
        self.book().calls.get(&key).map(|entry| entry.trunk.clone())
    }

    /// It was answered: our offer, and the call that begins, if it is one of its own.
    pub(crate) fn answered(&self, key: CallKey) -> Option<(Whose, Session, Option<Box<Dialled>>)> {
        let mut book = self.book();
        let now_us = book.now();
        let Book { ledger, calls, .. } = &mut *book;
        let entry = calls.get_mut(&key)?;
        ledger.handle_answered(now_us, entry.paid);
        Some((entry.whose.clone(), entry.session.take()?, entry.dialled.take()))
    }

    /// It was not: the call that does not begin, if it would have been one of its own.
    pub(crate) fn refused(&self, key: CallKey) -> Option<(Whose, Option<Box<Dialled>>)> {
        let mut book = self.book();
        let entry = book.calls.get_mut(&key)?;
        Some((entry.whose.clone(), entry.dialled.take()))
    }

    /// Calls of their own that have not begun, and will not.
    pub(crate) fn give_up(&self) -> Vec<Box<Dialled>> {
        self.book().calls.values_mut().filter_map(|entry| entry.dialled.take()).collect()
    }

    /// That worker has the call from now on.
    pub(crate) fn began(&self, key: CallKey, worker: usize) {
        if let Some(entry) = self.book().calls.get_mut(&key) {
            entry.whose.worker = Some(worker);
        }
    }

    /// Pays for the minutes that begin; says which calls are to end.
    pub(crate) fn pay(&self) -> Vec<Over> {
        let mut book = self.book();
        let now_us = book.now();
        book.due(now_us)
    }

    /// The same as though it were that time.
    #[cfg(test)]
    pub(crate) fn due_at(&self, now_us: u64) -> Vec<Over> {
        self.book().due(now_us)
    }

    /// Takes over what tenants did earlier today.
    fn restore(&self, kept: Vec<DaySpent>) {
        let mut book = self.book();
        kept.into_iter().for_each(|kept| book.ledger.handle_kept(kept));
    }

    /// What is to be kept over a restart.
    fn kept(&self) -> Vec<DaySpent> {
        self.book().ledger.kept()
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    /// What is due by then.
    fn due(&mut self, now_us: u64) -> Vec<Over> {
        let Self { ledger, calls, .. } = self;
        if ledger.poll_timeout().is_none_or(|due_us| due_us > now_us) {
            return Vec::new();
        }
        ledger.handle_timeout(now_us);
        let events = std::iter::from_fn(|| ledger.poll_event());
        let over = events.filter_map(|event| {
            let (LedgerEvent::SpendReached(paid) | LedgerEvent::Forgotten(paid)) = event;
            let entry = calls.values_mut().find(|entry| entry.paid == paid)?;
            let whose = entry.whose.clone();
            Some(match event {
                LedgerEvent::SpendReached(_) => Over::Spent(whose),
                LedgerEvent::Forgotten(_) => Over::Forgotten(whose, entry.dialled.take()),
            })
        });
        over.collect()
    }
}

fn legs_of(calls: &HashMap<CallKey, Entry>, trunk: &Id) -> u32 {
    let legs = calls.values().filter(|entry| entry.trunk == *trunk && !entry.has_share);
    u32::try_from(legs.count()).unwrap_or(u32::MAX)
}

/// What trunks are doing: whether they can be reached, and their calls in both directions.
struct TrunksNow<'a> {
    outbound: &'a Outbound,
    calls: &'a HashMap<CallKey, Entry>,
    admission: &'a Admission,
    serving: &'a Serving,
    only: Option<&'a Id>,
    /// The trunk of the call that is being decided over, where it has its share of the gateway already.
    own: Option<&'a Id>,
}

impl Trunks for TrunksNow<'_> {
    fn state(&self, trunk: &Id) -> TrunkState {
        let served = self.serving.table.trunk_by_id(trunk).is_some_and(|trunk| trunk.server.is_some());
        let wanted = self.only.is_none_or(|only| only == trunk);
        let status = self.outbound.ends.get().and_then(|(exchange, _)| exchange.trunk(&token(trunk)));
        if !served || !wanted || !status.is_some_and(|status| status.takes_calls) {
            return TrunkState::Down;
        }
        // A call of its own has a share of the gateway, by which it is counted; legs of other calls have none. It is not full
        // of the very call that asks.
        let own = u32::from(self.own == Some(trunk));
        let calls = self.admission.calls_of(trunk).saturating_sub(own);
        TrunkState::Up { calls: calls.saturating_add(legs_of(self.calls, trunk)) }
    }
}

/// What we offer over a trunk.
fn local_media(shared: &Shared, trunk: &Trunk, port: u16, version: u64) -> Result<LocalMedia, NotPlaced> {
    let codecs: Vec<Codec> = trunk.codecs.iter().filter_map(|name| name.parse().ok()).collect();
    let srtp = local_srtp(trunk.srtp).map_err(|failure| not_placed(failure, "no keys for the sound"))?;
    let usual = LocalMedia::new(shared.config.media_addr, port);
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

/// What is dialled as the user of a URI: `#` of feature codes and technical prefixes is escaped there (RFC 3261 25.1).
pub(crate) fn uri_user(dialled: &str) -> String {
    dialled.replace('#', "%23")
}

/// A request to leave, now.
pub(crate) fn request<'a>(tenant: &'a Id, agent: &'a Id, r#use: OutboundUse, to: &'a str) -> OutboundRequest<'a> {
    OutboundRequest { tenant, r#use, agent: Some(agent), to, wall_us: wall_us() }
}

pub(crate) fn wall_us() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}
