//! What a call's ends are.
//!
//! A *leg* is one end of a call: a SIP trunk with RTP, a WebSocket, later WebRTC. This crate holds the vocabulary
//! that every leg shares with the call it belongs to: time, frames of sound, facts, and the rings that carry them
//! between a media worker and an agent worker. It knows no socket, clock, sound of a codec or agent.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test stops at what it did not expect"))]

mod codec;
mod fact;
mod frame;
mod playout;
mod ready;
mod rings;
mod spec;
mod srtp;
mod stream;
mod tap;
mod time;

pub use codec::{Codec, UnknownCodec};
pub use fact::{
    DtmfDigit, EndCause, EngineName, LegFact, LegId, LevelReport, MediaQuality, ReferralProgress, RefusalCause,
    ToneKind,
};
pub use frame::{DownFrame, DownHead, Frame, FrameSizeError, MAX_FRAME_SAMPLES, UpFrame, UpHead, Utterance, VadMark};
pub use playout::{FAR_BUFFER_US, Playout, PlayoutPosition};
pub use ready::{ReadyMark, ReadySet, ReadySlot};
pub use rings::{
    AgentEnd, FrameConsumer, FrameProducer, MediaEnd, RingFull, RingSizes, frame_ring, leg_rings, leg_rings_at,
};
pub use spec::{Direction, MediaSpec, OpusParameters, RtcpPath};

pub use srtp::{MAX_MASTER_KEY, MasterKey, SrtpKeys, SrtpSpec, SrtpSuite};
pub use stream::{StreamEnd, StreamHead, StreamPeer, stream_ends};
pub use tap::{Beep, TapControl, TapEnd, TapFeed, TapFrame, TapMode, Tapped, tap};
pub use time::{Anchor, CallTime};
