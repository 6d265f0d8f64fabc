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

/// Frames of 20 ms that may wait to be played.
const MOST_BEHIND: usize = 4;

impl Echo {
    /// Gives a frame back. One that finds as many as [`MOST_BEHIND`] before it is not given back at all: an echo that fell
    /// behind, because the machine stood still for a moment, would stay behind.
    pub(crate) fn hear(&mut self, frame: &UpFrame, leg: &mut AgentEnd) {
        if leg.down.queued() >= MOST_BEHIND {
            return;
        }
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
    fn what_goes_up_comes_down_in_order_and_an_echo_that_is_behind_gives_up_the_newest() {
        let (mut media, mut agent) = leg_rings(RingSizes::default());
        let mut echo = Echo::default();
        for number in 0..6_i16 {
            echo.hear(&UpFrame::new(&[number; 160], 8000, 0, CallTime::ZERO).unwrap(), &mut agent);
        }
        let down: Vec<_> = std::iter::from_fn(|| media.down.pop().ok()).collect();
        let heard: Vec<_> = down.iter().map(|frame| (frame.pcm()[0], frame.offset, frame.utterance)).collect();
        assert_eq!(heard, [(0, 0, 1), (1, 160, 1), (2, 320, 1), (3, 480, 1)]);
        echo.hear(&UpFrame::new(&[9; 160], 8000, 0, CallTime::ZERO).unwrap(), &mut agent);
        assert_eq!(media.down.pop().unwrap().offset, 640);
    }
}
