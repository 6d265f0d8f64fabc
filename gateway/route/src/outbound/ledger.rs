//! The count of calls that left: at once, in a minute, in a day, and what they cost. A minute is paid for before it
//! begins, so that no order of beginnings, ends and expiries spends more than a tenant may.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use trunkline_api::Id;
use trunkline_api::outbound::OutboundLimits;

use super::audit::Reason;
use super::decide::{OutboundDecision, OutboundRequest, Trunks, Way, decision, find};
use crate::decide::Steps;
use crate::table::{OutboundRoute, Table};

const SECOND_US: u64 = 1_000_000;
const MINUTE_US: u64 = 60 * SECOND_US;
const DAY_US: u64 = 24 * 60 * MINUTE_US;
/// How long a call may ring before its place is taken back: longer than any timer of a leg, for a shell that lost it.
const RINGING_US: u64 = 10 * MINUTE_US;

/// A call that left, in the ledger's books.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutboundCall(u64);

/// What the ledger wants done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LedgerEvent {
    /// The next minute of a call would cost more than its tenant may spend: hang it up now.
    SpendReached(OutboundCall),
    /// A call was neither answered nor ended for ten minutes; its place was taken back. Hang it up if it is still there.
    Forgotten(OutboundCall),
}

/// What a tenant did in a day of UTC, kept so that a restart is no new day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaySpent {
    /// Whose.
    pub tenant: Id,
    /// Days since the Unix epoch.
    pub day: u64,
    /// Calls begun.
    pub begun: u32,
    /// What they cost, in millionths of the tenant's currency.
    pub spent_micro: u64,
}

/// The books of one gateway.
#[derive(Debug, Default)]
pub struct Ledger {
    /// The latest time that was seen: it never goes back.
    now_us: u64,
    last: u64,
    calls: BTreeMap<OutboundCall, Held>,
    /// Deadlines of calls, so that the next one is found without a look at every call.
    due: std::collections::BTreeSet<(u64, OutboundCall)>,
    accounts: BTreeMap<Id, Account>,
    routes: BTreeMap<Id, u32>,
    events: VecDeque<LedgerEvent>,
}

#[derive(Debug)]
struct Held {
    tenant: Id,
    route: Id,
    price_micro: u64,
    /// The day its first minute was paid on, to be given back when it is never answered.
    paid_day: u64,
    answered: bool,
    /// When the next minute begins, or ringing is over.
    due_us: u64,
}

#[derive(Debug, Default)]
struct Account {
    /// Calls at once.
    up: u32,
    day: u64,
    begun_today: u32,
    spent_micro: u64,
    /// Beginnings of the last 60 seconds, at most `calls_per_minute`.
    begun: VecDeque<u64>,
    /// The limits as of the last time the table was seen.
    limits: OutboundLimits,
}

impl Account {
    fn roll(&mut self, now_us: u64) {
        let day = now_us / DAY_US;
        // A clock that is set back over midnight by a little gives nobody another day.
        if day > self.day || day + 1 < self.day {
            (self.day, self.begun_today, self.spent_micro) = (day, 0, 0);
        }
        while self.begun.front().is_some_and(|begun| now_us - begun >= MINUTE_US) {
            self.begun.pop_front();
        }
    }

    const fn can_pay(&self, price_micro: u64) -> bool {
        match self.spent_micro.checked_add(price_micro) {
            Some(spent) => price_micro == 0 || spent <= self.limits.spend_micro_per_day,
            None => false,
        }
    }
}

impl Ledger {
    /// Decides over a call that is to leave and, when it may, takes its place at once.
    pub fn begin(
        &mut self,
        table: &Table,
        request: &OutboundRequest<'_>,
        trunks: &dyn Trunks,
    ) -> (OutboundDecision, Option<OutboundCall>) {
        let now_us = self.at(request.wall_us);
        let (outcome, steps) = self.judge(now_us, table, request, trunks);
        let call = outcome.as_ref().ok().map(|way| {
            let account = self.accounts.entry(request.tenant.clone()).or_default();
            account.up += 1;
            account.begun_today += 1;
            account.spent_micro += way.price_micro_per_minute;
            account.begun.push_back(now_us);
            *self.routes.entry(way.route.clone()).or_default() += 1;
            self.last += 1;
            let call = OutboundCall(self.last);
            let due_us = now_us + RINGING_US;
            let held = Held {
                tenant: request.tenant.clone(),
                route: way.route.clone(),
                price_micro: way.price_micro_per_minute,
                paid_day: account.day,
                answered: false,
                due_us,
            };
            self.calls.insert(call, held);
            self.due.insert((due_us, call));
            call
        });
        (decision(request, outcome, steps), call)
    }

    /// Decides over a call that is to leave as [`Ledger::begin`] would, and takes nothing.
    pub fn foresee(&mut self, table: &Table, request: &OutboundRequest<'_>, trunks: &dyn Trunks) -> OutboundDecision {
        let now_us = self.at(request.wall_us);
        let (outcome, steps) = self.judge(now_us, table, request, trunks);
        decision(request, outcome, steps)
    }

    fn judge(
        &mut self,
        now_us: u64,
        table: &Table,
        request: &OutboundRequest<'_>,
        trunks: &dyn Trunks,
    ) -> (Result<Way, Reason>, Steps) {
        let mut steps = Steps::default();
        let Some(tenant) = table.tenants.get(request.tenant) else {
            steps.refuse(Reason::UnknownTenant.failure(), format!("tenant {} is not in service here", request.tenant));
            return (Err(Reason::UnknownTenant), steps);
        };
        let account = self.accounts.entry(request.tenant.clone()).or_default();
        account.limits = tenant.outbound;
        account.roll(now_us);
        let (account, routes) = (&*account, &self.routes);
        let mut room = |route: &OutboundRoute, steps: &mut Steps| has_room(account, routes, route, steps);
        let outcome = find(table, request, trunks, &mut room, &mut steps);
        (outcome, steps)
    }

    /// The far end answered: the minute that was paid for begins.
    pub fn handle_answered(&mut self, now_us: u64, call: OutboundCall) {
        let now_us = self.at(now_us);
        if let Some(held) = self.calls.get_mut(&call).filter(|held| !held.answered) {
            held.answered = true;
            self.due.remove(&(held.due_us, call));
            held.due_us = now_us + MINUTE_US;
            self.due.insert((held.due_us, call));
        }
    }

    /// The call is over. Answered or not, it may be told twice.
    pub fn handle_ended(&mut self, now_us: u64, call: OutboundCall) {
        let now_us = self.at(now_us);
        self.release(now_us, call);
    }

    /// Carries out what is due: pays for the next minute of calls that go on, and says which must end.
    pub fn handle_timeout(&mut self, now_us: u64) {
        let now_us = self.at(now_us);
        while let Some(&(due_us, call)) = self.due.first().filter(|(due_us, _)| *due_us <= now_us) {
            let Some(held) = self.calls.get_mut(&call) else {
                self.due.pop_first();
                continue;
            };
            let event = if !held.answered {
                LedgerEvent::Forgotten(call)
            } else {
                let account = self.accounts.entry(held.tenant.clone()).or_default();
                account.roll(now_us);
                if account.can_pay(held.price_micro) {
                    account.spent_micro += held.price_micro;
                    self.due.pop_first();
                    held.due_us = due_us + MINUTE_US;
                    self.due.insert((held.due_us, call));
                    continue;
                }
                LedgerEvent::SpendReached(call)
            };
            self.events.push_back(event);
            self.release(now_us, call);
        }
    }

    /// The clock on the wall was set forward, or back, by so many microseconds: whatever lasts goes on as it was, and the day
    /// is that of the new time.
    pub fn handle_clock_set(&mut self, by_us: i64) {
        let moved = |at_us: u64| at_us.saturating_add_signed(by_us);
        self.now_us = moved(self.now_us);
        for begun in self.accounts.values_mut().flat_map(|account| &mut account.begun) {
            *begun = moved(*begun);
        }
        for held in self.calls.values_mut() {
            held.due_us = moved(held.due_us);
        }
        self.due = self.calls.iter().map(|(call, held)| (held.due_us, *call)).collect();
    }

    /// Takes over what a tenant did earlier today, before this process began. To be told before any call leaves.
    pub fn handle_kept(&mut self, kept: DaySpent) {
        let account = self.accounts.entry(kept.tenant).or_default();
        (account.day, account.begun_today, account.spent_micro) = (kept.day, kept.begun, kept.spent_micro);
    }

    /// What is to be kept over a restart, by tenant.
    #[must_use]
    pub fn kept(&self) -> Vec<DaySpent> {
        let did_something = |(_, account): &(&Id, &Account)| account.begun_today > 0 || account.spent_micro > 0;
        let of = |(tenant, account): (&Id, &Account)| DaySpent {
            tenant: tenant.clone(),
            day: account.day,
            begun: account.begun_today,
            spent_micro: account.spent_micro,
        };
        self.accounts.iter().filter(did_something).map(of).collect()
    }

    /// Takes over new limits for tenants that have calls up, so that what a tenant may no longer spend ends calls too.
    pub fn handle_table(&mut self, table: &Table) {
        for (id, account) in &mut self.accounts {
            let nothing =
                OutboundLimits { max_calls: 0, calls_per_minute: 0, calls_per_day: 0, spend_micro_per_day: 0 };
            account.limits = table.tenants.get(id).map_or(nothing, |tenant| tenant.outbound);
        }
    }

    /// When [`Ledger::handle_timeout`] is to be called next, in microseconds since the Unix epoch.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<u64> {
        self.due.first().map(|(due_us, _)| *due_us)
    }

    /// What is to be done.
    pub fn poll_event(&mut self) -> Option<LedgerEvent> {
        self.events.pop_front()
    }

    /// Calls of a tenant now, and what it has spent today, in millionths of its currency.
    #[must_use]
    pub fn used(&self, tenant: &Id) -> (u32, u64) {
        self.accounts.get(tenant).map_or((0, 0), |account| (account.up, account.spent_micro))
    }

    fn at(&mut self, now_us: u64) -> u64 {
        self.now_us = self.now_us.max(now_us);
        self.now_us
    }

    fn release(&mut self, now_us: u64, call: OutboundCall) {
        let Some(held) = self.calls.remove(&call) else { return };
        self.due.remove(&(held.due_us, call));
        if let Some(account) = self.accounts.get_mut(&held.tenant) {
            account.roll(now_us);
            account.up = account.up.saturating_sub(1);
            // Nobody answered, so nothing was spent.
            if !held.answered && held.paid_day == account.day {
                account.spent_micro = account.spent_micro.saturating_sub(held.price_micro);
            }
        }
        if let Some(calls) = self.routes.get_mut(&held.route) {
            *calls = calls.saturating_sub(1);
            if *calls == 0 {
                self.routes.remove(&held.route);
            }
        }
    }
}

fn has_room(
    account: &Account,
    routes: &BTreeMap<Id, u32>,
    route: &OutboundRoute,
    steps: &mut Steps,
) -> Result<(), Reason> {
    let limits = &account.limits;
    let last_minute = u32::try_from(account.begun.len()).unwrap_or(u32::MAX);
    let counted = [
        (Reason::TenantCalls, "the tenant has", account.up, limits.max_calls, "outbound calls"),
        (Reason::TenantRate, "the tenant began", last_minute, limits.calls_per_minute, "outbound calls in 60 seconds"),
        (Reason::TenantDay, "the tenant began", account.begun_today, limits.calls_per_day, "outbound calls today"),
    ];
    for (reason, who, calls, most, what) in counted {
        if calls >= most {
            steps.skip(format!("{who} {calls} of {most} {what}"));
            return Err(reason);
        }
        steps.pass(format!("{who} {calls} of {most} {what}"));
    }
    let calls = routes.get(&route.id).copied().unwrap_or(0);
    if route.max_calls > 0 && calls >= route.max_calls {
        steps.skip(format!("outbound route {} has {calls} of {} calls", route.name, route.max_calls));
        return Err(Reason::RouteCalls);
    }
    let (spent, most) = (account.spent_micro, limits.spend_micro_per_day);
    if !account.can_pay(route.price_micro_per_minute) {
        let price = route.price_micro_per_minute;
        steps.skip(format!("a minute costs {price} and the tenant has spent {spent} of {most} millionths today"));
        return Err(Reason::Spend);
    }
    Ok(())
}
