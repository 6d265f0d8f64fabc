//! Hold: while the far end does not want to hear or to be heard, what waits for the one or the other waits.
//!
//! The leg keeps an utterance where it is until it may send again, so nobody owes its end meanwhile, nor sound for which
//! there is no room. A caller who cannot be heard is not silent, and a recogniser without sound may end its session.

use trunkline_leg::Direction;

use super::{Dialogue, Effects};
use crate::timers::{Reason, Still};

/// Deadlines of what the caller should hear.
const SPEAKING: [Reason; 4] = [Reason::TtsFirstByte, Reason::TtsStall, Reason::Playback, Reason::DeadAir];

/// Which ways sound does not go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Hold {
    /// Nothing may be sent.
    mute: bool,
    /// Nothing is received.
    deaf: bool,
}

impl Hold {
    /// Whether nothing may be sent.
    pub(super) const fn is_mute(self) -> bool {
        self.mute
    }

    const fn of(direction: Direction) -> Self {
        match direction {
            Direction::SendRecv => Self { mute: false, deaf: false },
            Direction::SendOnly => Self { mute: false, deaf: true },
            Direction::RecvOnly => Self { mute: true, deaf: false },
            Direction::Inactive => Self { mute: true, deaf: true },
        }
    }
}

impl Dialogue {
    /// The far end changed which ways sound goes: it puts the call on hold, or takes it back.
    pub(super) fn held(&mut self, fx: &mut Effects, direction: Direction) {
        let hold = Hold::of(direction);
        if hold == self.hold {
            return;
        }
        self.hold = hold;
        for reason in SPEAKING {
            fx.timers().stand_still(reason, Still::Hold, hold.mute);
        }
        // Whether speech goes on is not known.
        fx.timers().stand_still(Reason::LongSpeech, Still::Hold, hold.deaf);
        // A caller who comes back has the whole time to say something.
        fx.clear(Reason::CallerSilence);
        fx.timers().stand_still(Reason::CallerSilence, Still::Hold, hold.mute || hold.deaf);
        self.hold_keypad(fx, hold.mute || hold.deaf);
        let listens = self.listens();
        self.ears.set_deaf(fx, hold.deaf, listens);
        if !hold.mute {
            self.quiet_since = fx.now();
            self.mouth.is_heard_again(fx.now());
        }
    }
}
