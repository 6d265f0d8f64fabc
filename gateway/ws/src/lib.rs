//! Sockets of peers that bring a call's sound over a stream.
//!
//! What such a peer speaks is a codec in `trunkline-dialects`; here are the connection's rules, without a clock or socket
//! ([`connection`]), and the shell that owns the socket ([`serve`]). A shell knows neither routing nor agents: it hands
//! an [`Arrival`] through a [`Door`] and moves sound between the connection and its end of the leg.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test stops at what it did not expect"))]

pub mod connection;
mod listener;
mod sound;

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use trunkline_leg::StreamEnd;

pub use listener::serve;

/// A call that wants to begin.
#[derive(Debug)]
pub struct Arrival {
    /// Where it comes from.
    pub source: IpAddr,
    /// What the peer named it by: the UUID in its usual form, in lower case.
    pub name: String,
    /// The leg's side of its sound; dropping it refuses the call, or ends it.
    pub end: StreamEnd,
}

/// Where calls go.
pub trait Door: Send + Sync {
    /// Whether anybody at this address may call; asked before a byte is read.
    fn knows(&self, source: IpAddr) -> bool;

    /// Takes a call, or refuses it by dropping it. Must not wait.
    fn enter(&self, arrival: Arrival);
}

/// What connections have come to, since the start.
#[derive(Debug, Default)]
pub struct Stats {
    connections: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
    frames_dropped: AtomicU64,
}

impl Stats {
    /// Connections that were taken.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Connections that were closed unread: from strangers, or too many at once.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Connections that broke the protocol, named no call in time or did not take what was said.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Frames of 20 ms that came faster than they can be heard.
    #[must_use]
    pub fn frames_dropped(&self) -> u64 {
        self.frames_dropped.load(Ordering::Relaxed)
    }
}
