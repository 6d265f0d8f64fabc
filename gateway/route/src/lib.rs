//! Which agent answers a call: trunk match, admission and routing over the objects a gateway serves by, with an
//! explanation of every step for `trunkline route explain`.
//!
//! All of it is pure and deterministic: a [`Table`] is built once from desired state and swapped whole; [`decide`]
//! takes the counters as numbers and answers the same question always the same way.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test stops at what it did not expect"))]

mod decide;
mod explain;
mod pattern;
mod table;

pub use decide::{Decision, Load, Matched, Request, Source, Target, decide};
pub use explain::{Step, Verdict};
pub use pattern::{Pattern, PatternError};
pub use table::{Agent, Number, Route, RouteProblem, Table, Tenant, Trunk};
pub use trunkline_api::cidr::{Cidr, CidrError};
