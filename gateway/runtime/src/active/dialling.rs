//! The legs that a call dials itself: placed by the outbound routes, as any call that leaves, and told of as facts.

use std::net::IpAddr;

use trunkline_api::outbound::{OutboundUse, is_user};
use trunkline_api::{Failure, SoundPolicy};
use trunkline_call::Input;
use trunkline_leg::{CallTime, EndCause, LegFact, LegId, ReferralProgress, RefusalCause};
use trunkline_route::outbound::{Destination, is_name};

use super::Active;
use super::legs::{LegNews, Terms};
use crate::intake::sources;
use crate::outbound::{MediaOf, Wanted, Whose, request, uri_user};
use crate::sound::leg_sound;

#[cfg(test)]
mod tests;

/// User, and host with its port, of a SIP URI.
fn parts(uri: &str) -> Option<(&str, &str)> {
    let (_, rest) = uri.split_once(':')?;
    let (user, rest) = rest.rsplit_once('@').unwrap_or(("", rest));
    let host = rest.split([';', '?']).next().filter(|host| !host.is_empty())?;
    Some((user, host))
}

/// The host alone, an IPv6 address without its brackets.
fn host_of(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None if host.matches(':').count() > 1 => host,
        None => host.split(':').next().unwrap_or(host),
    }
}

impl Active {
    /// Dials somebody, as a leg of this call.
    pub(super) fn dial(
        &mut self,
        now: CallTime,
        leg: LegId,
        to: &str,
        from: Option<&str>,
        ring_ms: u32,
        variables: Vec<(String, String)>,
    ) {
        let shared = &self.shared;
        // As the objects say now: a destination that was closed meanwhile is closed for calls that are up, too.
        let serving = shared.serving.load_full();
        let wanted = Wanted {
            request: request(&self.setup.tenant, &self.setup.agent, OutboundUse::Transfer, to),
            only: None,
            from,
            variables: variables.into_iter().collect(),
            referred_by: None,
            headers: Vec::new(),
            media: MediaOf::Own,
            ring_ms,
            hops: self.hops.saturating_sub(1),
        };
        let worker = shared.directory.worker(&self.id);
        let whose = Whose { call: self.id.clone(), leg, worker };
        match shared.outbound.place(shared, &serving, wanted, whose) {
            Ok((placed, socket)) => {
                let trunk = serving.table.trunk_by_id(&placed.trunk);
                let spec = &self.setup.spec;
                let usual = SoundPolicy::default();
                let policy = spec.sound.over(trunk.map_or(&usual, |trunk| &trunk.sound));
                let terms = Terms {
                    socket,
                    source: trunk.map(sources).unwrap_or_default(),
                    sound: leg_sound(&policy, &spec.interruption),
                    media_timeout_ms: shared.config.media_timeout_ms,
                    began: self.began(),
                };
                self.ports.dialled(leg, placed, terms);
            }
            Err(not) => {
                tracing::info!(call = %self.id, failure = not.failure.name(), "a leg was not dialled: {}", not.why);
                let fact = LegFact::Refused { cause: not.cause, status: Some(not.failure.sip_status()), at: now };
                self.tell(now, Input::Leg { leg, fact });
            }
        }
    }

    /// Has the far end of a leg dial somebody itself, or take over the call with another leg.
    pub(super) fn refer(&self, leg: LegId, to: &str, replaces: Option<LegId>) -> Result<(), RefusalCause> {
        let line = self.ports.of(leg).ok_or(RefusalCause::Failed)?.line();
        let uri = match replaces {
            Some(other) => self.taken_over(other)?,
            None => {
                let shared = &self.shared;
                let serving = shared.serving.load_full();
                let request = request(&self.setup.tenant, &self.setup.agent, OutboundUse::Transfer, to);
                let way = shared.outbound.judge(shared, &serving, &request).map_err(|not| not.cause)?;
                match way.destination {
                    Destination::Uri { user, host, port, secure } => {
                        let scheme = if secure { "sips" } else { "sip" };
                        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
                        format!("{scheme}:{user}@{host}{port}")
                    }
                    Destination::Number(_) | Destination::Extension(_) => {
                        let target = line.remote_target();
                        let (_, host) = target.as_deref().and_then(parts).ok_or(RefusalCause::Unsupported)?;
                        // Whoever dials reads numbers as its own trunk writes them, not as the route's does.
                        let over = self.ports.placed(leg).map(|placed| &placed.trunk).or(self.setup.trunk.as_ref());
                        let trunk = over.and_then(|trunk| serving.table.trunk_by_id(trunk));
                        let user = trunk.map_or(way.user, |trunk| way.destination.user(&trunk.numbering));
                        format!("sip:{}@{host}", uri_user(&user))
                    }
                }
            }
        };
        line.refer(&uri).map_err(|error| {
            tracing::info!(call = %self.id, %error, "the far end was not asked to dial");
            RefusalCause::Failed
        })
    }

    /// The URI by which another takes over the call with a leg that was dialled. Whom we dialled was judged; what its far end
    /// calls itself was not, and whoever is referred there dials it at its own cost: it is to be where we dialled, and no
    /// other number.
    fn taken_over(&self, other: LegId) -> Result<String, RefusalCause> {
        let (Some(ports), Some(placed)) = (self.ports.of(other), self.ports.placed(other)) else {
            return Err(RefusalCause::Failed);
        };
        let line = ports.line();
        let (uri, target) = line.replacing().zip(line.remote_target()).ok_or(RefusalCause::Unsupported)?;
        let serving = self.shared.serving.load();
        let is_ours =
            parts(&target).zip(serving.table.trunk_by_id(&placed.trunk)).is_some_and(|((user, host), trunk)| {
                let host = host_of(host);
                let named = |name: &str| host_of(name).eq_ignore_ascii_case(host);
                let server = trunk.server.as_ref();
                let of_trunk =
                    server.is_some_and(|at| named(at.uri_host()) || at.places().any(|(name, _)| named(name)));
                let address = host.parse::<IpAddr>().ok().map(|address| address.to_canonical());
                let of_answer = address.is_some() && address == line.source().map(|source| source.to_canonical());
                // Escapes, parameters and passwords could be read in several ways.
                let is_plain = user.is_empty() || is_user(user) && (user == placed.user || is_name(user));
                (of_trunk || of_answer) && is_plain
            });
        if !is_ours {
            tracing::warn!(
                target: "audit", call = %self.id,
                "whoever was dialled says it is reached somewhere else; nobody is asked to dial that"
            );
            return Err(RefusalCause::Rejected);
        }
        Ok(uri)
    }

    /// News of a leg, from whoever reads its signalling.
    pub(crate) fn leg_news(&mut self, leg: LegId, news: LegNews) {
        let now = self.now();
        let fact = match news {
            LegNews::Ringing => Some(LegFact::Ringing { at: now }),
            LegNews::Answered { line, media } => {
                self.ports.answered(now, leg, self.shared.outbound.plane(), line, *media)
            }
            LegNews::Refused { cause, status } => {
                self.ports.refused(leg).then_some(LegFact::Refused { cause, status, at: now })
            }
            LegNews::DialogEnded(cause) => {
                self.ports.dialog_ended(leg, cause);
                None
            }
            LegNews::MediaChanged(spec) => {
                if let Some(input) = self.ports.media_changed(leg, *spec, now) {
                    self.told(input);
                }
                None
            }
            LegNews::Pressed(digit) => {
                if let Some(input) = self.ports.pressed(leg, digit, now) {
                    self.told(input);
                }
                None
            }
            LegNews::Referral(status) => {
                let progress = match status {
                    ..=100 => ReferralProgress::Accepted,
                    101..=199 => ReferralProgress::Ringing,
                    200..=299 => ReferralProgress::Done,
                    // Whoever does not know the method at all says so by these.
                    405 | 501 => ReferralProgress::Refused { cause: RefusalCause::Unsupported },
                    _ => ReferralProgress::Refused { cause: RefusalCause::of_status(status) },
                };
                Some(LegFact::Referral { progress, at: now })
            }
            LegNews::Redirected { direction, refused } => Some(LegFact::Redirected { direction, refused, at: now }),
            LegNews::Followed(Ok(follower)) => match self.ports.followed(leg, *follower, now) {
                Some(input) => {
                    self.told(Input::Leg { leg, fact: LegFact::PassedOn { refused: None, at: now } });
                    self.told(input);
                    None
                }
                None => None,
            },
            LegNews::Followed(Err(status)) => Some(LegFact::PassedOn { refused: Some(status), at: now }),
            LegNews::SpendReached => {
                tracing::warn!(call = %self.id, leg = leg.0, "the tenant has spent what it may; the leg ends");
                self.shared.counters.failed(Failure::OutboundLimit);
                self.ports.hang_up(leg, Some(Failure::OutboundLimit), EndCause::Local);
                None
            }
        };
        if let Some(fact) = fact {
            self.told(Input::Leg { leg, fact });
        }
    }
}
