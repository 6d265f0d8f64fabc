//! The SIP endpoint: it owns the socket, judges every datagram before any parser sees it, keeps the dialogs, and
//! tells its driver what happened through [`SipEvents`].
//!
//! The order is always the same: socket, [`Guard`] (size, source, rate, shape, the rules of RFC 3261 that a hostile
//! sender breaks first), then the transaction layer of the SIP stack, then the dialogs and the answering side's rules
//! (RFC 3261 8.2, 12, 13.3, 14.2, 15), then the driver. Refusals leave no state behind. The stack's own types stay
//! within this crate.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test stops at what it did not expect"))]

mod address;
mod admission;
pub mod auth;
mod bans;
mod call;
mod change;
pub mod client;
mod config;
mod dialler;
mod dialog;
mod digits;
mod doorkeeper;
mod draw;
mod endpoint;
mod error;
mod event;
mod extensions;
mod farewell;
mod guard;
pub mod health;
pub mod keep;
mod ladder;
mod locals;
pub mod locate;
mod outgoing;
mod pressure;
mod provisional;
mod quiet;
mod receive;
mod referral;
mod refresh;
pub mod registration;
mod reliable;
mod session_timer;
mod shared;
pub mod sight;
mod sockets;
mod stats;
pub mod stir;
pub mod stream;
mod target;
mod transport;
mod turns;
mod uas;
pub mod variables;
mod wires;

pub use admission::{Admission, CallTerms, NatPolicy, TrunkToken};
pub use bans::{Ban, BanCounts, BanReason, DEFAULT_SCANNERS, is_pattern};
pub use call::{ByeReason, CallHandle, Refusal, ReofferHandle};
pub use change::Reoffered;
pub use client::{DialError, DialHandle, Outgoing, OutgoingEvent, Refused};
pub use config::{Bans, Listener, Rate, SipConfig, SipLimits, SipTimers, TlsFiles, UnknownPeer};
pub use dialler::Dialler;
pub use doorkeeper::Account;
pub use draw::Draw;
pub use endpoint::{SipEndpoint, SipEvents};
pub use error::{CommandError, SipError};
pub use event::{CallKey, IncomingInvite, Reoffer, SipEvent};
pub use guard::{Admitted, Guard, Verdict};
pub use keep::{Kept, KeptRegistration, TrunkNews, TrunkStatus};
pub use ladder::{CallTrace, TraceDirection, TraceEntry};
pub use locals::Locals;
pub use stats::{Dropped, SipStats};
pub use transport::{Hop, Origin, Transport};
pub use trunkline_sdp::Warning;
