//! RFC 3264 offer/answer for one audio stream, pure: text in, text and a [`trunkline_leg::MediaSpec`] out.
//!
//! It answers with one codec of the trunk's list over RTP or SRTP (keys in the description, RFC 4568), with
//! telephone-event and comfort noise where they are offered, keeps every other media line of an offer but refuses it
//! with port 0, and names what it cannot do ([`SdpError`]), so that the SIP side can answer 488 rather than a call
//! without sound.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test stops at what it did not expect"))]

mod answer;
mod crypto;
mod direction;
mod error;
mod local;
mod offer;
mod opus;
mod payload;
mod remote;
mod revision;
mod session;

pub use answer::{Answer, answer};
pub use crypto::{LocalSrtp, redacted};
pub use error::{SdpError, Warning};
pub use local::{LocalMedia, MAX_SDP};
pub use offer::{accept_answer, offer};
pub use revision::Revision;
pub use session::Session;
