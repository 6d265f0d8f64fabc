//! The echo that load is measured with: what comes up a call's ring goes down it again, frame by frame, on the same
//! worker and at the same moment at which an agent would have heard it.
//!
//! It stands in for the agent's voice alone. Routing, admission, journal, media, the call's state machine and its
//! record are those of any call, so that what a load run shows is the gateway's own.

use trunkline_leg::{AgentEnd, DownFrame, LegFact, UpFrame};

/// The one utterance of an echo, which lasts as long as the call.
const UTTERANCE: u32 = 1;

/// Gives back what it hears.
#[derive(Debug, Default)]
pub(crate) struct Echo {
    /// Samples given back at the leg's rate.
    offset: u64,
}

impl Echo {
    /// Gives a frame back. One that finds the ring full is not given back later: an echo that fell behind would stay
    /// behind.
    pub(crate) fn hear(&mut self, frame: &UpFrame, leg: &mut AgentEnd) {
        let pcm = frame.pcm();
        let back = DownFrame::new(pcm, frame.rate, UTTERANCE, self.offset, leg.playout.generation());
        if let Ok(back) = back
            && leg.down.push(back).is_ok()
        {
            self.offset += pcm.len() as u64;
        }
    }

    /// Whether a fact is about the echo's own sound, of which the conversation knows nothing.
    pub(crate) const fn is_own(fact: &LegFact) -> bool {
        matches!(fact, LegFact::PlaybackStarted { .. } | LegFact::PlaybackFinished { .. } | LegFact::PlaybackCut { .. })
    }
}

#[cfg(test)]
mod tests {
    use trunkline_leg::{CallTime, RingSizes, leg_rings};

    use super::*;

    #[test]
    fn what_goes_up_comes_down_in_order_and_a_full_ring_costs_the_newest() {
        let (mut media, mut agent) = leg_rings(RingSizes { down: 3, ..RingSizes::default() });
        let mut echo = Echo::default();
        for number in 0..5_i16 {
            echo.hear(&UpFrame::new(&[number; 160], 8000, 0, CallTime::ZERO).unwrap(), &mut agent);
        }
        let down: Vec<_> = std::iter::from_fn(|| media.down.pop().ok()).collect();
        let heard: Vec<_> = down.iter().map(|frame| (frame.pcm()[0], frame.offset, frame.utterance)).collect();
        assert_eq!(heard, [(0, 0, 1), (1, 160, 1), (2, 320, 1)]);
        echo.hear(&UpFrame::new(&[9; 160], 8000, 0, CallTime::ZERO).unwrap(), &mut agent);
        assert_eq!(media.down.pop().unwrap().offset, 480);
    }
}
