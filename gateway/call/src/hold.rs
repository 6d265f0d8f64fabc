//! Hold: while the far end does not want to hear or to be heard, what waits for the one or the other waits.
//!
//! The leg keeps an utterance where it is until it may send again, so nobody owes its end meanwhile, nor sound for which
//! there is no room. A caller who cannot be heard is not silent, and a recogniser without sound may end its session.

use trunkline_leg::{CallTime, Direction};

use crate::call::{Call, Life};
use crate::hearing::Hearing;
use crate::timers::Reason;

/// Deadlines of what the caller should hear.
const SPEAKING: [Reason; 4] = [Reason::TtsFirstByte, Reason::TtsStall, Reason::Playback, Reason::ToolBridge];
/// Deadlines of speech that goes on: whether it does is not known.
const HEARING: [Reason; 1] = [Reason::LongSpeech];

/// Which ways sound does not go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Hold {
    /// Nothing may be sent.
    mute: bool,
    /// Nothing is received.
    deaf: bool,
}

impl Hold {
    const fn of(direction: Direction) -> Self {
        match direction {
            Direction::SendRecv => Self { mute: false, deaf: false },
            Direction::SendOnly => Self { mute: false, deaf: true },
            Direction::RecvOnly => Self { mute: true, deaf: false },
            Direction::Inactive => Self { mute: true, deaf: true },
        }
    }
}

impl Call {
    /// The far end changed which ways sound goes, as seen from the gateway (RFC 3264 8.4): it puts the call on hold, or
    /// takes it back.
    pub fn handle_direction(&mut self, now: CallTime, direction: Direction) {
        self.at(now);
        let (before, hold) = (self.hold, Hold::of(direction));
        if self.life == Life::Over || hold == before {
            return;
        }
        self.hold = hold;
        for reason in SPEAKING {
            self.timers.stand_still(reason, hold.mute);
        }
        for reason in HEARING {
            self.timers.stand_still(reason, hold.deaf);
        }
        // A caller who comes back has the whole time to say something.
        self.timers.clear(Reason::CallerSilence);
        self.timers.stand_still(Reason::CallerSilence, hold.mute || hold.deaf);
        let wanted = self.life == Life::Live && self.closing.is_none() && !self.asr.is_empty();
        if before.deaf && !hold.deaf && wanted && self.ears.session.is_none() {
            let unheard = (self.ears.hearing == Hearing::Speaking).then_some(self.ears.words_until);
            self.open_asr(unheard);
        }
        self.settle();
    }

    /// A recogniser's session is over because it got no sound: no failure, and another one is opened once there is
    /// some. False when it owes words, or could hear.
    pub(crate) fn hold_ends_session(&mut self) -> bool {
        let expected = self.hold.deaf && matches!(self.ears.hearing, Hearing::Quiet | Hearing::Speaking);
        if expected {
            self.ears.session = None;
            self.ears.owed = 0;
            self.ears.partial.clear();
        }
        expected
    }
}
