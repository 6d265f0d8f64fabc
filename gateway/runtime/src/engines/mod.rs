//! Speech-to-speech engines as a call drives them: what is asked of one goes in, what it says comes out, and neither waits.
//! This build has none of its own; a name that is no engine's is answered as one that is not there.

#[cfg(test)]
pub(crate) mod scripted;

use serde_json::Value;
use trunkline_api::usage::Units;
use trunkline_call::{Command, RealtimeEvent};
use trunkline_leg::CallTime;

/// What an engine says.
#[derive(Debug)]
#[cfg_attr(not(test), expect(dead_code, reason = "only the engine that tests have says anything"))]
pub(crate) enum Said {
    /// Something the call wants to know.
    Event(RealtimeEvent),
    /// Sound of an item, 16-bit samples at so many a second.
    Sound { item: u32, pcm: Vec<i16>, rate: u32 },
    /// There is no more sound of that item.
    Complete { item: u32 },
    /// What it used since the last report.
    Used(Units),
}

/// A session with an engine.
pub(crate) trait Engine: Send {
    /// The call asks something of it: one of the commands of a realtime session, of which those that are about playback are
    /// dealt with elsewhere.
    fn ask(&mut self, now: CallTime, command: Command);

    /// The caller's sound, while an input goes on.
    fn hear(&mut self, now: CallTime, pcm: &[i16], rate: u32);

    /// The next thing it says by now.
    fn poll(&mut self, now: CallTime) -> Option<Said>;

    /// When it is to be polled again although it is asked nothing.
    fn due(&self) -> Option<CallTime>;
}

/// Whether there is an engine of that name.
pub(crate) fn is_engine(name: &str) -> bool {
    cfg!(test) && name == SCRIPTED
}

/// The engine that is there for tests alone.
const SCRIPTED: &str = "scripted-engine";

/// Opens a session with the engine of that name; `None` when there is none.
pub(crate) fn open(name: &str, settings: &Value) -> Option<Box<dyn Engine>> {
    #[cfg(test)]
    if name == SCRIPTED {
        return Some(Box::new(scripted::Scripted::new(settings)));
    }
    let _ = (name, settings);
    None
}
