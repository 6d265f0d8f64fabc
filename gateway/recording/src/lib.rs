//! Recordings of calls: two channels, caller left and agent right, as WAV or Ogg/Opus, in clear or sealed to a tenant's
//! key.
//!
//! A media worker leaves each tick in the ring of a [tap](trunkline_leg::tap) and goes on; a bounded pool of threads
//! writes what is waiting. Whatever the disk does, it costs no leg a tick, and one recording that is stuck costs the
//! others nothing. What is on disk can be played at every moment: after a kill up to the last second, after a loss of
//! power up to the last five.
//!
//! A sealed recording is made of records of at most a second, each encrypted and authenticated at its place (STREAM over
//! ChaCha20-Poly1305); the key of the file is wrapped to the tenant's public key (HPKE, RFC 9180). The gateway cannot
//! open what it has written.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test stops at what it did not expect"))]

mod container;
mod disk;
mod error;
mod key;
mod open;
mod opus;
mod pool;
mod recorder;
mod recover;
mod seal;
mod status;
mod take;
mod watch;
mod wav;

pub use container::Container;
pub use disk::{Disk, FolderDisk, Track};
pub use error::{KeyError, OpenError, RecordingError};
pub use key::{PublicKey, SecretKey};
pub use open::{Ending, Opener, open};
pub use recorder::{Plan, Recorder, RecorderConfig, RecorderStats, Started};
pub use recover::{of_before, recover};
pub use seal::{Header, MAX_RECORD, Sealer};
pub use status::{Fault, RecordingStatus, Span};
