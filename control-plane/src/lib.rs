//! Trunkline's control plane: agents, telephony objects, gateways, calls, usage and prices over REST, and signed
//! desired state to gateways over a second listener.
//!
//! The binary is a thin command line over [`server::start`]; tests start the same server on port 0.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test stops at what it did not expect"))]

pub mod config;
pub mod keyring;
pub mod secret;
pub mod server;
pub mod state;
pub mod store;
pub mod tls;

mod api;
mod bootstrap;
mod clock;
mod http;
mod metrics;
mod notify;
mod sync;

pub use api::openapi_json;
pub use bootstrap::BootstrapError;
pub use trunkline_state_folder::FolderError;
