//! What eight calls carry from step to step: one block of memory, a row of lanes per number, so that a call moves to
//! another lane whole.

use super::features::STEPS;
use super::network::{GAINS, STATE};
use super::rate::{self, Rate};
use super::vector::Lanes;
use super::whiten::LENGTH;

/// The rows of a state by their meaning.
pub(super) struct State<'a, const L: usize> {
    /// Filtered samples in 16-bit steps, oldest first.
    pub(super) history: &'a mut [Lanes<L>],
    /// The same at 24 kHz; empty at 48 kHz, where it follows from `history`.
    pub(super) raised: &'a mut [Lanes<L>],
    /// The second half of the last window put together.
    pub(super) overlap: &'a mut [Lanes<L>],
    pub(super) network: &'a mut [Lanes<L>],
    /// Newest first, one per band.
    pub(super) cepstra: &'a mut [Lanes<L>],
    pub(super) gains: &'a mut [Lanes<L>],
    /// The high-pass filter's two memories.
    pub(super) high_pass: &'a mut [Lanes<L>],
    /// Pitch period in samples at 48 kHz, and its strength.
    pub(super) pitch: &'a mut [Lanes<L>],
    /// Power of the noise in each bin, of the sound last taken for clean, and how sure it was lately that there is sound.
    pub(super) noise: &'a mut [Lanes<L>],
    pub(super) clean: &'a mut [Lanes<L>],
    pub(super) presence: &'a mut [Lanes<L>],
    /// The odds of speech.
    pub(super) voice: &'a mut Lanes<L>,
}

/// Rows of each part, in the order of [`State`] and but for its last.
fn rows(step: usize, divisor: usize) -> [usize; 11] {
    let raised = if divisor == 1 { 0 } else { LENGTH };
    let bins = step + 1;
    [rate::history(step, divisor), raised, step, STATE, STEPS * GAINS, GAINS, 2, 2, bins, bins, bins]
}

/// Rows of a state at a rate; the last one holds the odds of speech.
pub(super) fn size(rate: &Rate) -> usize {
    rows(rate.step, rate.divisor).iter().sum::<usize>() + 1
}

/// Rows of a state at a rate in Hz; `None` for one that no bank knows.
pub(super) fn size_at(hz: u32) -> Option<usize> {
    let (step, divisor) = rate::lengths(hz)?;
    Some(rows(step, divisor).iter().sum::<usize>() + 1)
}

impl<'a, const L: usize> State<'a, L> {
    /// Reads a block of [`size`] rows; `None` when it is shorter.
    #[inline(always)]
    pub(super) fn read(rate: &Rate, block: &'a mut [Lanes<L>]) -> Option<Self> {
        let [history, raised, overlap, network, cepstra, gains, high_pass, pitch, noise, clean, presence] =
            rows(rate.step, rate.divisor);
        let (history, block) = block.split_at_mut_checked(history)?;
        let (raised, block) = block.split_at_mut_checked(raised)?;
        let (overlap, block) = block.split_at_mut_checked(overlap)?;
        let (network, block) = block.split_at_mut_checked(network)?;
        let (cepstra, block) = block.split_at_mut_checked(cepstra)?;
        let (gains, block) = block.split_at_mut_checked(gains)?;
        let (high_pass, block) = block.split_at_mut_checked(high_pass)?;
        let (pitch, block) = block.split_at_mut_checked(pitch)?;
        let (noise, block) = block.split_at_mut_checked(noise)?;
        let (clean, block) = block.split_at_mut_checked(clean)?;
        let (presence, block) = block.split_at_mut_checked(presence)?;
        let voice = block.first_mut()?;
        Some(Self {
            history,
            raised,
            overlap,
            network,
            cepstra,
            gains,
            high_pass,
            pitch,
            noise,
            clean,
            presence,
            voice,
        })
    }
}
