//! Callers by the thousand, for benches and soaks: each has a dialog, ports and sound of its own, none has a task.
//!
//! One thread sweeps over all of them on a 20 ms tick; what the network's part of a delay is, the kernel says by the
//! time each packet came in. What comes back is judged by what was sent: every frame is counted, and marks in the
//! sound (a loud onset after a pause) are timed from the packet they left in to the packet they come back in.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test stops at what it did not expect"))]

mod caller;
mod clock;
mod figures;
mod generator;
mod lateness;
mod onset;
mod pauses;
mod random;
mod reflector;
mod reports;
mod shaper;
mod socket;
mod sound;
mod stream;
mod usage;

pub use clock::pin;
pub use figures::{Figures, Histogram, quantile};
pub use generator::{Generator, Hold, Plan};
pub use pauses::{Pauses, Watch};
pub use random::Random;
pub use reflector::{Reflector, Relay};
pub use shaper::{Shaper, Weather};
pub use sound::Sound;
pub use usage::{Usage, allow_descriptors};
