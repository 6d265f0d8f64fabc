//! Trunks that are looked after: names of their servers looked up, OPTIONS asked and registrations kept, each trunk by a
//! machine of its own and a task that sends, sleeps and asks the resolver for it.

mod config;
mod names;
mod resolver;
mod shell;
mod trunk;

pub use config::{Kept, KeptRegistration};
pub use names::{Look, Names};
pub use shell::TrunkStatus;
pub use trunk::{HostStatus, KeptTrunk, TrunkNews};

pub(crate) use shell::Keeping;
