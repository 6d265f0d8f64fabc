//! A call as a log: what it was told and what it made of it, so that any build can live it again.
//!
//! [`Taped`] is a call that writes everything down which it is told; [`read`] and [`replay`] tell it to another call and
//! find the first place where that one does something else; [`redacted`] makes a copy that holds nobody's words and
//! replays against its own log.
//!
//! A log is text, a JSON value a line, so that it can be looked at and a torn one is good up to its last whole line:
//!
//! ```text
//! {"capture":{"format":1,"build":"0.1.0","schema":"trunkline.agent/v1","redacted":false,"setup":{..}}}
//! {"made":{"outputs":[{"type":"call.started",..}]}}
//! {"told":{"at":0,"input":{"input":"answered"}}}
//! {"made":{"outputs":[{"command":"open_asr",..},{"type":"call.answered",..}],"due":[500000,"CallerSilence"]}}
//! {"told":{"at":20113,"input":{"input":"playout",..}}}
//! {"checkpoint":{"at":4000120,"record":{..}}}
//! {"end":{"why":"over","inputs":2,"sum":"90c1..","record":{..}}}
//! ```
//!
//! What an input made is in the line behind it, and an input without such a line made nothing and moved no deadline.
//! A captured call is told what its log says, not what the log was made from: what is not in the log is not in the call.
//! Sealing the log, and where it goes, is the driver's.

mod fakes;
mod line;
mod read;
mod redact;
mod replay;
mod scripts;
mod taped;

pub use line::{End, FORMAT, Head, MAX_LINE, end_line};
pub use read::{Ending, Log, ReadError, read};
pub use redact::{Copy, RedactError, redacted, renewed};
pub use replay::{Divergence, Moment, Outcome, replay};
pub use taped::{Tape, Taped};
