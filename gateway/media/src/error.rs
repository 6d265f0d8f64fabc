//! What can go wrong at the border of the media plane.

use std::io;
use std::path::PathBuf;

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
    /// A recording could not be created.
    #[error("cannot record to {}: {source}; check that the folder exists, is writable and has room", path.display())]
    Recording {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The packet time cannot be paced.
    #[error("packet time of {0} ms cannot be sent; negotiate 10 to 60 ms in steps of 10")]
    PacketTime(u8),
    /// More changes were asked for than a leg could take so far; try again after a tick.
    #[error("the leg has not yet taken earlier changes; repeat after 20 ms")]
    Busy,
    /// The leg is over, or the plane has stopped.
    #[error("the leg has ended")]
    Ended,
}
