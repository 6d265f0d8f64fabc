//! The choice of who answers an admitted call: numbers, then routes, of a route the first target that has room.

use std::borrow::Cow;

use trunkline_api::{Failure, Id};

use crate::decide::{Matched, Request, Steps, Target};
use crate::table::{Route, RouteTarget, Table, Trunk};

/// What agents are doing now.
pub trait Agents {
    /// Whether an agent can take a call, and how many it has.
    fn availability(&self, agent: &Id) -> Availability;
}

/// What an agent is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Availability {
    /// It can take a call, and has so many on this gateway.
    Ready {
        /// Its calls now.
        calls: u32,
    },
    /// A plugin of it is missing or does not take its settings.
    Unready,
}

/// Agents that can all take a call.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoLoad;

impl Agents for NoLoad {
    fn availability(&self, _agent: &Id) -> Availability {
        Availability::Ready { calls: 0 }
    }
}

/// A call as routes see it.
pub(crate) struct Call<'a> {
    trunk: &'a Trunk,
    request: &'a Request<'a>,
    called: Cow<'a, str>,
    calling: Cow<'a, str>,
}

impl<'a> Call<'a> {
    /// With its numbers in one form, where the trunk says how it writes them.
    pub(crate) fn new(trunk: &'a Trunk, request: &'a Request<'a>, steps: &mut Steps) -> Self {
        let mut written = |what: &str, user: &'a str| {
            if trunk.numbering.is_default() {
                return Cow::Borrowed(user);
            }
            match trunk.numbering.number(user).map(|number| number.to_string()) {
                Some(number) if number != user => {
                    steps.pass(format!("{what} `{user}` is {number} on trunk {}", trunk.name));
                    Cow::Owned(number)
                }
                _ => Cow::Borrowed(user),
            }
        };
        let called = written("called", request.called);
        let calling = written("calling", request.calling);
        Self { trunk, request, called, calling }
    }
}

/// Who answers. A refusal is among the steps when nobody does.
pub(crate) fn agent(table: &Table, call: &Call<'_>, agents: &dyn Agents, steps: &mut Steps) -> Option<Target> {
    let tenant = &call.trunk.tenant;
    // What kept the first target away that would have taken the call.
    let mut kept_away = None;
    let mut numbers = 0;
    for number in table.numbers.iter().filter(|number| number.tenant == *tenant) {
        numbers += 1;
        if number.number.matches(&call.called) {
            let what = format!("number {} ({})", number.number, number.id);
            let target = RouteTarget { agent: number.agent.clone(), max_calls: 0 };
            match of_target(table, call, agents, &target, &what, steps) {
                Ok((agent, version)) => {
                    return Some(target_of(call, agent, version, Matched::Number(number.id.clone())));
                }
                Err(failure) => kept_away = kept_away.or(failure),
            }
        }
    }
    steps.skip(format!("none of the tenant's {numbers} numbers leads anywhere for `{}`", call.called));

    for route in table.routes.iter().filter(|route| route.tenant == *tenant) {
        let what = format!("route {} ({}, order {})", route.name, route.id, route.order);
        if let Some(why) = does_not_apply(route, call) {
            steps.skip(format!("{what} {why}"));
            continue;
        }
        for target in &route.targets {
            match of_target(table, call, agents, target, &what, steps) {
                Ok((agent, version)) => {
                    return Some(target_of(call, agent, version, Matched::Route(route.id.clone())));
                }
                Err(failure) => kept_away = kept_away.or(failure),
            }
        }
    }
    match kept_away {
        Some(failure) => steps.refuse(failure, format!("nobody who takes `{}` can do so now", call.called)),
        None => {
            steps.refuse(Failure::NoRoute, format!("no number or route of the tenant takes `{}`", call.called));
        }
    }
    None
}

/// Why a route is not for a call.
fn does_not_apply(route: &Route, call: &Call<'_>) -> Option<String> {
    if let Some(other) = route.trunk.as_ref().filter(|id| **id != call.trunk.id) {
        return Some(format!("is for trunk {other}"));
    }
    if !route.called.matches(&call.called) {
        return Some(format!("is for called `{}`, not `{}`", route.called, call.called));
    }
    if !route.calling.matches(&call.calling) {
        return Some(format!("is for calling `{}`, not `{}`", route.calling, call.calling));
    }
    for (name, pattern) in &route.headers {
        let mut values = call.request.headers.iter().filter(|(header, _)| header.eq_ignore_ascii_case(name)).peekable();
        if values.peek().is_none() {
            return Some(format!("is for calls with a header {name}"));
        }
        if !values.any(|(_, value)| pattern.matches(value.trim())) {
            return Some(format!("is for calls whose {name} is `{pattern}`"));
        }
    }
    let wall_us = call.request.wall_us;
    (!route.hours.is_open(wall_us)).then(|| format!("is closed: it is {} there", route.hours.local_time(wall_us)))
}

/// The agent behind a target with its version, or what keeps it from a call; `None` is that it is not in service.
fn of_target<'a>(
    table: &Table,
    call: &Call<'_>,
    agents: &dyn Agents,
    target: &'a RouteTarget,
    what: &str,
    steps: &mut Steps,
) -> Result<(&'a Id, u32), Option<Failure>> {
    let agent = &target.agent;
    let Some(found) = table.agents.get(agent).filter(|found| found.tenant == call.trunk.tenant) else {
        steps.skip(format!("{what} matches, but agent {agent} is not in service for this tenant"));
        return Err(None);
    };
    let (name, most) = (&found.name, target.max_calls);
    match agents.availability(agent) {
        Availability::Unready => {
            steps.skip(format!("{what} matches, but agent {name} ({agent}) lacks a plugin it needs"));
            Err(Some(Failure::AgentUnready))
        }
        Availability::Ready { calls } if most > 0 && calls >= most => {
            steps.skip(format!("{what} matches, but agent {name} ({agent}) has {calls} of {most} calls"));
            Err(Some(Failure::GatewayFull))
        }
        Availability::Ready { .. } => {
            steps.pass(format!("{what} leads to agent {name} ({agent}) version {}", found.version));
            Ok((agent, found.version))
        }
    }
}

fn target_of(call: &Call<'_>, agent: &Id, version: u32, matched: Matched) -> Target {
    let (tenant, trunk) = (call.trunk.tenant.clone(), call.trunk.id.clone());
    Target { agent: agent.clone(), version, tenant, trunk, matched }
}
