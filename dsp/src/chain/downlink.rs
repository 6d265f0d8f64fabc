//! The downlink: what the agent says, on its way to the caller.

use super::LegDsp;
use crate::{to_f32, to_i16};

/// One leg's frame down.
#[derive(Debug)]
pub struct DownlinkFrame<'a> {
    /// Whose it is.
    pub leg: &'a mut LegDsp,
    /// 20 ms at the leg's rate, changed in place; empty when nothing is played in this tick.
    pub pcm: &'a mut [i16],
}

/// Limits what is played and keeps it as the uplink's reference. Runs before the uplink of the same tick.
#[derive(Debug, Default)]
pub struct DownlinkChain {}

impl DownlinkChain {
    /// The downlink of a worker's legs; it keeps nothing of its own.
    #[must_use]
    pub const fn new() -> Self {
        Self {}
    }

    /// Processes the frames of one tick. A leg without a frame in the batch plays silence; a frame longer than 20 ms
    /// is taken as far as that, and the rest is left as it is.
    pub fn process(&mut self, batch: &mut [DownlinkFrame<'_>]) {
        for DownlinkFrame { leg, pcm } in batch {
            let (heard, silent) = {
                let length = pcm.len().min(leg.reference.len());
                leg.reference.split_at_mut(length)
            };
            for (reference, sample) in heard.iter_mut().zip(pcm.iter()) {
                *reference = to_f32(*sample);
            }
            silent.fill(0.0);
            leg.limiter.process(heard);
            for (sample, reference) in pcm.iter_mut().zip(heard.iter()) {
                *sample = to_i16(*reference);
            }
        }
    }
}
