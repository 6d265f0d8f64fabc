//! Calls that leave. Without an outbound route of the tenant's that names the destination nothing does, whoever asks:
//! an operator, an agent that passes a caller on, or the far end by REFER.
//!
//! A [`Ledger`] decides and keeps count in one step, so that two calls that begin at once cannot both take the last
//! place. It owns no clock: time goes in with what happened, and [`Ledger::poll_timeout`] says when it wants to be asked
//! again.

mod audit;
mod decide;
mod destination;
mod ledger;

pub use audit::{OutboundFact, Reason};
pub use decide::{NoTrunkLoad, OutboundDecision, OutboundRequest, TrunkState, Trunks, Way, way};
pub use destination::{Destination, NoDestination, is_name};
pub use ledger::{DaySpent, Ledger, LedgerEvent, OutboundCall};
