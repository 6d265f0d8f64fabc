//! What is kept of every decision over a call that would leave: who asked, what for, and what came of it. The number is
//! masked; the call's own record has it for those who may see it.

use serde::Serialize;
use trunkline_api::outbound::OutboundUse;
use trunkline_api::{Failure, Id};

/// Why a call may not leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The text names nobody who can be called.
    NoDestination,
    /// The tenant is not known here.
    UnknownTenant,
    /// No outbound route names the destination.
    NoRoute,
    /// A route names it and denies it.
    Denied,
    /// The routes that name it are not for this use.
    Use,
    /// The routes that name it are not for this agent.
    Agent,
    /// The tenant has as many outbound calls as it may.
    TenantCalls,
    /// The tenant began as many in 60 seconds as it may.
    TenantRate,
    /// The tenant began as many today as it may.
    TenantDay,
    /// The next minute would cost more than the tenant may spend today.
    Spend,
    /// The route has as many calls as it may.
    RouteCalls,
    /// Every trunk of the route is full or cannot be reached.
    Trunks,
}

impl Reason {
    /// Its stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoDestination => "no_destination",
            Self::UnknownTenant => "unknown_tenant",
            Self::NoRoute => "no_route",
            Self::Denied => "denied",
            Self::Use => "use",
            Self::Agent => "agent",
            Self::TenantCalls => "tenant_calls",
            Self::TenantRate => "tenant_rate",
            Self::TenantDay => "tenant_day",
            Self::Spend => "spend",
            Self::RouteCalls => "route_calls",
            Self::Trunks => "trunks",
        }
    }

    /// The failure it is told as.
    #[must_use]
    pub const fn failure(self) -> Failure {
        match self {
            Self::NoDestination | Self::UnknownTenant | Self::NoRoute | Self::Denied | Self::Use | Self::Agent => {
                Failure::OutboundDenied
            }
            Self::TenantCalls | Self::TenantRate | Self::TenantDay | Self::Spend | Self::RouteCalls => {
                Failure::OutboundLimit
            }
            Self::Trunks => Failure::TrunkUnavailable,
        }
    }
}

/// A decision over a call that would leave, for the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OutboundFact {
    /// When, in microseconds since the Unix epoch.
    pub at_us: u64,
    /// Whose call.
    pub tenant: Id,
    /// Who wants it.
    pub r#use: OutboundUse,
    /// The agent, when one of its calls wants it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<Id>,
    /// Where to, masked: `+493*****56`.
    pub destination: String,
    /// The route it may leave by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<Id>,
    /// The trunk it may leave over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trunk: Option<Id>,
    /// Why it may not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<Reason>,
}
