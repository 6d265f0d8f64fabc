//! The jitter buffer: packets in as they come, 20 ms of sound out whenever it is asked.
//!
//! It is pulled: the owner inserts packets with their arrival times and calls [`JitterBuffer::get`] once per frame
//! with its own clock. Order, loss, concealment and the choice of delay happen here; payloads are decoded here, by
//! the decoder it owns, because concealment needs the sound and only the buffer knows which sound is missing.

mod buffer;
mod conceal;
mod delay;
mod store;

pub use buffer::JitterBuffer;

/// One packet of audio, as taken off the network.
#[derive(Debug, Clone, Copy)]
pub struct Packet<'a> {
    /// Sequence number; wraps.
    pub seq: u16,
    /// Media time of the first sample, in samples at the buffer's rate; wraps.
    pub timestamp: u32,
    /// When it reached the socket, in microseconds on the clock that [`JitterBuffer::get`] is called with.
    pub arrival: u64,
    /// First packet after silence (RFC 3551 4.1).
    pub marker: bool,
    /// What the decoder takes. Empty for a packet that used up a sequence number but holds no sound of the stream
    /// (telephone-event, comfort noise), so that it is not mistaken for loss.
    pub payload: &'a [u8],
}

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inserted {
    /// It waits for its turn.
    Stored,
    /// It is here already, or was played.
    Duplicate,
    /// Its turn has passed.
    Late,
    /// Its payload is larger than [`JitterConfig::max_payload`].
    Oversize,
    /// Its sequence number or timestamp is far from the stream's; dropped, and if the next packet continues it, the
    /// buffer starts anew there.
    Suspect,
}

/// Where the sound of a frame came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FrameKind {
    /// Nothing has arrived yet, or the first packet waits out the delay; silence.
    #[default]
    Waiting,
    /// At least part of it was decoded.
    Decoded,
    /// All of it was made up for packets that are missing.
    Concealed,
    /// The far end sent nothing for this time (silence suppression).
    Silence,
}

/// What [`JitterBuffer::get`] wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FrameInfo {
    /// Where the sound came from.
    pub kind: FrameKind,
    /// Samples of the frame that no packet supplied.
    pub concealed: u32,
    /// Time from the arrival of the frame's newest packet to this call, in microseconds; 0 without a packet.
    pub delay: u64,
    /// Arrival of the frame's newest packet in microseconds; without one, the time of this call.
    pub arrival: u64,
}

/// Limits of a buffer. The memory is `packets * (max_payload + 32)` bytes and some 6 kB.
#[derive(Debug, Clone, Copy)]
pub struct JitterConfig {
    /// Packets held at most; rounded up to a power of two.
    pub packets: usize,
    /// Largest payload in bytes.
    pub max_payload: usize,
    /// Smallest target delay in microseconds.
    pub min_delay_us: u64,
    /// Largest delay in microseconds: the target never exceeds it and older sound is dropped.
    pub max_delay_us: u64,
}

impl Default for JitterConfig {
    /// 64 packets of up to 480 bytes (60 ms of G.711), 5 to 300 ms.
    fn default() -> Self {
        Self { packets: 64, max_payload: 480, min_delay_us: 5_000, max_delay_us: 300_000 }
    }
}

/// Counters of a buffer since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JitterStats {
    /// Packets taken.
    pub stored: u64,
    /// Packets that were here already.
    pub duplicate: u64,
    /// Packets whose turn had passed.
    pub late: u64,
    /// Packets with a larger payload than configured.
    pub oversize: u64,
    /// Packets far from the stream's sequence or time.
    pub suspect: u64,
    /// Sequence numbers whose turn passed without a packet.
    pub lost: u64,
    /// Packets dropped because the buffer was full or held more than its largest delay.
    pub overrun: u64,
    /// Samples made up for missing packets.
    pub concealed_samples: u64,
    /// Frames dropped to bring the delay down.
    pub shortened: u64,
    /// Frames inserted to bring the delay up.
    pub lengthened: u64,
}
