//! What a far end on hold hears where nothing is said: music, or the tone of somebody else who is being rung.

use super::ambience::Ambience;
use super::ringback::Ringback;
use crate::config::HeldSound;
use crate::playback::Played;

/// It, on its way to a leg.
#[derive(Debug)]
pub(crate) enum Held {
    Music(Ambience),
    Ringback(Ringback),
}

impl Held {
    /// For a leg of `rate` Hz; nothing for music of another rate. Allocates.
    pub(crate) fn new(sound: &HeldSound, rate: u32) -> Option<Self> {
        match sound {
            HeldSound::Music(music) => Ambience::new(music, rate).map(Self::Music),
            HeldSound::Ringback => Some(Self::Ringback(Ringback::new(u32::MAX, rate))),
        }
    }

    /// Puts 20 ms of it where nothing is `played`; true while there is any, between the tones as well.
    pub(super) fn fill(&mut self, played: Played, frame: &mut [i16]) -> bool {
        match self {
            Self::Music(_) if played != Played::Silence => false,
            Self::Music(music) => {
                music.mix(false, frame);
                true
            }
            Self::Ringback(ringback) => ringback.fill(played, frame),
        }
    }
}
