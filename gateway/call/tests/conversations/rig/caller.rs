//! What the caller and the far end do.

use trunkline_call::{AsrEvent, Input};
use trunkline_leg::{CallTime, Direction, DtmfDigit, EndCause, LegFact};

use super::{Due, Rig, fact};

impl Rig {
    /// Tells the call something.
    pub(crate) fn tell(&mut self, at_ms: u64, input: Input) {
        self.push(at_ms, Due::Tell(input));
    }

    /// The caller speaks from `at_ms` for `for_ms`; empty words are noise.
    pub(crate) fn caller_says(&mut self, at_ms: u64, for_ms: u64, words: &str) {
        self.push(at_ms, Due::Voice(true));
        self.push(at_ms + for_ms, Due::Voice(false));
        let (begin, end) = (CallTime::from_ms(at_ms), CallTime::from_ms(at_ms + for_ms));
        self.spoken.push((begin, end, words.to_owned()));
    }

    /// Of the sound between `at_ms` and `to_ms` these are the words, whoever else is heard.
    pub(crate) fn is_understood(&mut self, at_ms: u64, to_ms: u64, words: &str) {
        self.spoken.push((CallTime::from_ms(at_ms), CallTime::from_ms(to_ms), words.to_owned()));
    }

    /// The far end changes what it sends and hears; the direction is the gateway's.
    pub(crate) fn far_end_wants(&mut self, at_ms: u64, direction: Direction) {
        self.push(at_ms, Due::Direction(direction));
    }

    /// The caller presses a key.
    pub(crate) fn caller_presses(&mut self, at_ms: u64, key: char) {
        let digit = DtmfDigit::from_char(key).unwrap();
        self.push(at_ms, Due::Tell(fact(LegFact::Dtmf { digit, at: CallTime::from_ms(at_ms) })));
    }

    /// The caller hangs up.
    pub(crate) fn caller_hangs_up(&mut self, at_ms: u64) {
        self.leg_ends(at_ms, EndCause::RemoteHangUp);
    }

    /// The leg ends.
    pub(crate) fn leg_ends(&mut self, at_ms: u64, cause: EndCause) {
        self.push(at_ms, Due::Ends(cause));
    }

    /// A recogniser reports something on its current session.
    pub(crate) fn asr_says(&mut self, at_ms: u64, session: u32, event: AsrEvent) {
        self.push(at_ms, Due::Tell(Input::Asr { session, event }));
    }
}
