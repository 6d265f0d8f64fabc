//! What can go wrong at the border of the media plane.

use std::io;

use trunkline_leg::{Codec, SrtpSuite};

/// Why the media plane could not do something; the message says what an operator can do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MediaError {
    /// Every port pair is in use or taken by other programs; answer 503.
    #[error("no free RTP port pair in {first}-{last}; widen `rtp ports` or take fewer calls")]
    NoPorts {
        /// First port of the range.
        first: u16,
        /// Last port of the range.
        last: u16,
    },
    /// Every worker has as many legs as it takes; answer 503.
    #[error("all media workers are full ({max} legs each); add workers or take fewer calls")]
    Full {
        /// Legs a worker takes.
        max: usize,
    },
    /// No worker has time for another leg, although they no longer denoise; answer 503 with Retry-After.
    #[error("all media workers are out of time and denoise no more; add workers or take fewer calls")]
    Overloaded,
    /// A setting makes no sense.
    #[error("media setting `{setting}` {problem}")]
    Config {
        /// Which.
        setting: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A thread or an eventfd could not be made.
    #[error("cannot start the media workers: {0}; check the limits on threads and open files")]
    Start(#[source] io::Error),
    /// A socket could not be set up.
    #[error("cannot set up an RTP socket: {0}; check `rtp bind address` and the limit on open files")]
    Socket(#[source] io::Error),
    /// The packet time cannot be paced, or the codec has no frames of it.
    #[error("packet time of {ms} ms cannot be sent as {codec}; negotiate 20 ms")]
    PacketTime {
        /// The packet time.
        ms: u8,
        /// The codec.
        codec: Codec,
    },
    /// A codec cannot be made.
    #[error("{codec} cannot be made for sound at {rate} Hz; this is a defect, please report it")]
    Codec {
        /// Which.
        codec: Codec,
        /// Rate of the leg's sound in Hz.
        rate: u32,
    },
    /// A key does not fit its suite.
    #[error("the keys of an encrypted leg do not fit {}; this is a defect, please report it", suite.name())]
    Keys {
        /// The suite.
        suite: SrtpSuite,
    },
    /// Every place of a conference is taken.
    #[error("the conference has its {legs} legs; make a larger one, or wait until somebody leaves")]
    ConferenceFull {
        /// Places there are.
        legs: usize,
    },
    /// More changes were asked for than a leg could take so far; try again after a tick.
    #[error("the leg has not yet taken earlier changes; repeat after 20 ms")]
    Busy,
    /// The leg is over, or the plane has stopped.
    #[error("the leg has ended")]
    Ended,
}
