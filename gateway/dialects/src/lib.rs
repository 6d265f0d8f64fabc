//! What peers speak that bring a call's sound over a stream instead of RTP.
//!
//! A dialect is a codec without a socket: bytes go in, what the peer says comes out, and what we say is written into a
//! buffer. It knows no clock and keeps no sound; pacing is the leg's business.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test stops at what it did not expect"))]

pub mod audiosocket;
