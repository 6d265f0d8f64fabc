//! A caller for demos and tests: it places one SIP call, speaks on a script, listens, interrupts, presses keys and hangs up.
//!
//! It shares nothing with the gateway but the G.711 tables: its SIP, SDP and RTP are its own, so that the two
//! can be wrong in different ways. The whole call is one state machine ([`Call`]) that is told the time; the shell
//! ([`place`]) owns two UDP sockets and the clock.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test stops at what it did not expect"))]

mod call;
mod dialog;
mod event;
mod hearing;
mod message;
mod recording;
mod rtp;
mod script;
mod sdp;
mod shell;
mod speech;
mod transaction;

pub use call::{Call, CallConfig, Transmit};
pub use dialog::{Dialog, DialogConfig, News};
pub use event::{Event, Happened, HungUpBy};
pub use message::{Message, StartLine};
pub use recording::{Arrival, write_wav};
pub use script::{Script, ScriptError, Step, Utterance};
pub use sdp::{Answer, offer};
pub use shell::{PlaceError, Placement, Report, place};
pub use speech::{SpeechError, from_wav, resample_to_8k, spoken};
