//! What a call's ends are.
//!
//! A *leg* is one end of a call: a SIP trunk with RTP, a WebSocket, later WebRTC. This crate holds the vocabulary
//! that every leg shares with the call it belongs to: time, frames of sound, facts, and the rings that carry them
//! between a media worker and an agent worker. It knows no socket, clock, codec or agent.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test stops at what it did not expect"))]

mod fact;
mod frame;
mod playout;
mod rings;
mod spec;
mod time;

pub use fact::{DtmfDigit, EndCause, LegFact, LevelReport};
pub use frame::{DownFrame, FrameSizeError, MAX_FRAME_SAMPLES, UpFrame, Utterance, VadMark};
pub use playout::{Playout, PlayoutPosition};
pub use rings::{AgentEnd, MediaEnd, RingSizes, leg_rings};
pub use spec::{Codec, Direction, MediaSpec, UnknownCodec};
pub use time::{Anchor, CallTime};
