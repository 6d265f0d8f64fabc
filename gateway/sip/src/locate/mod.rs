//! Where a request goes: from a URI to servers in order, by NAPTR, SRV and address records (RFC 3263, RFC 2782).
//!
//! Nothing here asks a name server or waits for one: [`Records`] is whatever was looked up before, and what is missing
//! comes back as the questions to ask.

mod order;
mod records;
mod resting;
mod servers;

pub use crate::transport::Transport;
pub use records::{Answers, Found, Naptr, Question, Records, Srv};
pub use resting::{Resting, RestingLimits};
pub use servers::{Destination, Families, LocateError, Policy, Server, servers};
