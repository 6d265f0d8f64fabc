//! Which agent answers a call, and whether one may leave: trunk match, admission and routing over the objects a gateway
//! serves by, with an explanation of every step for `trunkline route explain`.
//!
//! All of it is pure and deterministic: a [`Table`] is built once from desired state and swapped whole; [`decide`]
//! takes the counters and the time as numbers and answers the same question always the same way; [`outbound`] says of
//! every call that would leave whether it may, and keeps what it may cost.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test stops at what it did not expect"))]

mod choose;
mod decide;
mod explain;
pub mod outbound;
mod table;

pub use choose::{Agents, Availability, NoLoad};
pub use decide::{Decision, Load, Matched, Request, Source, Target, decide, decide_with};
pub use explain::{Step, Verdict};
pub use table::{Agent, Number, OutboundRoute, Route, RouteProblem, RouteTarget, Table, Tenant, Trunk};
pub use trunkline_api::cidr::{Cidr, CidrError};
pub use trunkline_api::dialled::{Pattern, PatternError};
