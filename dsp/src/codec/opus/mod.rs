//! Opus (RFC 6716, RTP payload RFC 7587) through `opus-rs`: mono, with in-band redundancy, concealment and
//! discontinuous transmission. Its RTP clock is 48000 Hz whatever the rate of the sound.

mod decoder;
mod encoder;
mod packet;

pub use decoder::OpusDecoder;
pub use encoder::{OpusEncoder, OpusSettings};

/// Ticks of the RTP clock per second, at every sample rate.
pub const OPUS_RTP_CLOCK: u32 = 48000;

/// The rates that Opus encodes from and decodes to, in Hz.
const RATES: [u32; 5] = [8000, 12000, 16000, 24000, 48000];

/// An Opus setting out of range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpusError {
    /// The sample rate is not one of Opus.
    Rate,
    /// The frame's duration is not one that speech is coded in.
    Frame,
    /// The bit rate is beyond what Opus codes.
    Bitrate,
}

impl std::fmt::Display for OpusError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Rate => "Opus runs at 8000, 12000, 16000, 24000 or 48000 Hz; choose one of these rates",
            Self::Frame => "an Opus frame lasts 10, 20, 40 or 60 ms; choose one of these durations",
            Self::Bitrate => "an Opus bit rate is 6000 to 510000 bit/s; choose one between",
        })
    }
}

impl std::error::Error for OpusError {}
