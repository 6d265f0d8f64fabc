//! Chains: what a worker does to the sound of all its legs in one tick.
//!
//! A leg's signal processing is one [`LegDsp`]: what is done to it (its [`Sound`]), whatever state is its own, and while
//! a chain has adopted it, places in the worker's banks. The downlink runs first, because what it is about to play is
//! the reference that the uplink's echo gate compares with:
//!
//! ```text
//! downlink   agent's sound -> limiter ----------------------> 16 bits -> codec
//!                                     \ reference
//! uplink     jitter buffer -> f32 -> echo told -> noise -> voice activity -> gain -> echo turned down -> 16 bits
//!                                        \ delayed as the denoiser delays -> echo turned down -> raw
//! ```
//!
//! # Who does what where
//!
//! Off the worker's thread, where memory may be taken: [`LegDsp::new`], [`LegDsp::prepare`], and the dropping of a leg
//! and of what is left of a [`SoundChange`]. On the worker's thread, without: everything else. A leg that leaves a worker
//! is detached, which puts what the banks know of it into the leg, and adopted by the next, which takes it from there:
//! a leg that moves hears what it would have heard had it stayed, bit for bit.
//!
//! Frames are 20 ms. One chain serves a worker, whatever phases its legs are in; the legs of a phase are handed over
//! sorted by [`UplinkChain::order`], which [`UplinkChain::arrangement`] says when to do anew.

mod batch;
mod calm;
mod change;
mod config;
mod downlink;
mod leg;
mod pumping;
mod sonora;
mod sound;
mod steady;
mod uplink;

pub use batch::UplinkBatch;
pub use change::SoundChange;
pub use config::{ChainConfig, Shedding};
pub use downlink::{DownlinkChain, DownlinkFrame};
pub use leg::LegDsp;
pub use sonora::SonoraChain;
pub use sound::{Denoiser, Sound};
pub use uplink::{Endpoint, UplinkChain, UplinkFrame, UplinkReport};

/// Frames that the banks are handed at once; a larger batch is taken in pieces.
const PIECE: usize = 64;
/// Most samples of a frame: 20 ms at 16 kHz.
const MAX_FRAME: usize = 320;
/// Length of a frame.
const FRAME_MS: u32 = 20;
