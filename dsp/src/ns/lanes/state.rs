//! What eight calls carry from step to step: one block of memory, a row of lanes per number, so that a call moves to
//! another lane whole.

use super::features::STEPS;
use super::network::{GAINS, STATE};
use super::rate::Rate;
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
    /// The odds of speech.
    pub(super) voice: &'a mut Lanes<L>,
}

/// Rows of each part at a rate, in the order of [`State`].
fn rows(rate: &Rate) -> [usize; 8] {
    let raised = if rate.divisor == 1 { 0 } else { LENGTH };
    [rate.history(), raised, rate.step, STATE, STEPS * GAINS, GAINS, 2, 2]
}

/// Rows of a state at a rate.
pub(super) fn size(rate: &Rate) -> usize {
    rows(rate).iter().sum::<usize>() + 1
}

/// Where the odds of speech stand.
pub(super) fn voice_row(rate: &Rate) -> usize {
    size(rate) - 1
}

impl<'a, const L: usize> State<'a, L> {
    /// Reads a block of [`size`] rows; `None` when it is shorter.
    #[inline(always)]
    pub(super) fn read(rate: &Rate, block: &'a mut [Lanes<L>]) -> Option<Self> {
        let [history, raised, overlap, network, cepstra, gains, high_pass, pitch] = rows(rate);
        let (history, block) = block.split_at_mut_checked(history)?;
        let (raised, block) = block.split_at_mut_checked(raised)?;
        let (overlap, block) = block.split_at_mut_checked(overlap)?;
        let (network, block) = block.split_at_mut_checked(network)?;
        let (cepstra, block) = block.split_at_mut_checked(cepstra)?;
        let (gains, block) = block.split_at_mut_checked(gains)?;
        let (high_pass, block) = block.split_at_mut_checked(high_pass)?;
        let (pitch, block) = block.split_at_mut_checked(pitch)?;
        let voice = block.first_mut()?;
        Some(Self { history, raised, overlap, network, cepstra, gains, high_pass, pitch, voice })
    }
}
