//! Chains: what a worker does to the sound of all its legs in one tick.
//!
//! A leg's signal processing is one [`LegDsp`]: its places in the worker's banks and whatever state is its own. The
//! downlink runs first, because what it is about to play is the reference that the uplink's echo gate compares with:
//!
//! ```text
//! downlink   agent's sound -> limiter ----------------------> 16 bits -> codec
//!                                     \ reference
//! uplink     jitter buffer -> f32 -> echo told -> noise -> voice activity -> gain -> echo turned down -> 16 bits
//! ```
//!
//! Frames are 20 ms. Nothing allocates after construction and [`UplinkChain::attach`], but for the engines whose own
//! documentation says so.

mod config;
mod downlink;
mod leg;
mod sonora;
mod uplink;

pub use config::{ChainConfig, Denoiser};
pub use downlink::{DownlinkChain, DownlinkFrame};
pub use leg::LegDsp;
pub use sonora::SonoraChain;
pub use uplink::{UplinkChain, UplinkFrame, UplinkReport};

/// Frames that the banks are handed at once; a larger batch is taken in pieces.
const PIECE: usize = 16;
/// Most samples of a frame: 20 ms at 48 kHz.
const MAX_FRAME: usize = 960;
