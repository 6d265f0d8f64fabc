//! DTMF both ways: telephone events (RFC 4733) where they were agreed on, tones in the sound where they were not.

mod inband;
mod receiver;
mod sender;

pub(crate) use inband::InbandDigits;
pub use receiver::{DtmfReceiver, Event};
pub(crate) use sender::{DtmfOrder, DtmfSender, Keyed, Way};
pub use sender::{MAX_DIGIT_MS, MIN_DIGIT_MS};
