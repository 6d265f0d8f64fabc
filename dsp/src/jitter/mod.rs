//! The jitter buffer: packets in as they come, 20 ms of sound out whenever it is asked.
//!
//! It is pulled: the owner inserts packets with their arrival times and calls [`JitterBuffer::get`] once per frame
//! with its own clock. Order, loss, concealment and the choice of delay happen here; payloads are decoded here, by
//! the decoder it owns, because concealment needs the sound and only the buffer knows which sound is missing.
//!
//! The parts bear the names they have in NetEq (WebRTC):
//!
//! ```text
//!  insert -> timeline -> packet buffer -> decoder -> sync buffer -> get
//!               |                           |  ^        |
//!               v                           |  |        +- accelerate, preemptive expand (time stretch)
//!         delay manager -> decision logic --+--+
//!                                           +- expand (extend, bridge), merge
//! ```
//!
//! # Delay
//!
//! The target is the delay above the fastest recent packet within which 95 % of the packets arrive, or the height of
//! stalls that keep coming back. A packet that comes too late is played all the same when nothing newer has taken its
//! turn: the delay grows by what was made up meanwhile, and comes down again if the target does not. The sound moves
//! there by whole pitch periods, where cutting or repeating one is not heard, or at once in a pause. While packets are
//! being lost (two losses within 10 s, until 10 s pass without one) the target also covers one packet more than 70 %
//! of the packets need, so that the packet after a gap is mostly here when the gap must be filled: concealment then
//! sees across it, and in-band FEC can be used. Where jitter already asks for that much, loss adds nothing
//! ([`JitterConfig::loss_look_ahead`]).
//!
//! # Concealment
//!
//! For a packet that is missing although its successor is here, the successor's in-band FEC is tried first
//! ([`Decoder::decode_fec`](crate::codec::Decoder::decode_fec)), then the codec's own concealment
//! ([`Decoder::decode_lost`](crate::codec::Decoder::decode_lost)), then the sound around the gap.

mod accelerate;
mod buffer;
mod correlation;
mod decision_logic;
mod delay_manager;
mod expand;
mod merge;
mod packet_buffer;
mod period_loop;
mod playout;
mod preemptive_expand;
mod sync_buffer;
mod time_stretch;
mod timeline;
pub mod trace;

pub use buffer::JitterBuffer;

/// One packet of audio, as taken off the network.
#[derive(Debug, Clone, Copy)]
pub struct Packet<'a> {
    /// Sequence number; wraps.
    pub seq: u16,
    /// Media time of the first sample, at [`JitterConfig::clock_rate`]; wraps.
    pub timestamp: u32,
    /// When it reached the socket, in microseconds on the clock that [`JitterBuffer::get`] is called with.
    pub arrival: u64,
    /// First packet after silence (RFC 3551 4.1).
    pub marker: bool,
    /// What the decoder takes. Empty for a packet that used up a sequence number but holds no sound of the stream
    /// (telephone-event), so that it is not mistaken for loss. Comfort noise goes to [`JitterBuffer::insert_noise`].
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
    /// There is no room for it: older packets that wait fill the buffer. Counted as overrun.
    Full,
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

/// Limits of a buffer. The memory is `bytes + max_payload + 40 * packets` bytes and, at 8, 16 and 48 kHz, 18, 29 and
/// 77 kB.
#[derive(Debug, Clone, Copy)]
pub struct JitterConfig {
    /// Packets held at most; rounded up to a power of two.
    pub packets: usize,
    /// Largest payload in bytes.
    pub max_payload: usize,
    /// Smallest target delay in microseconds.
    pub min_delay_us: u64,
    /// Largest delay in microseconds: the target never exceeds it and older sound is dropped. The histogram of delays
    /// reaches 400 ms; only single peaks are seen beyond.
    pub max_delay_us: u64,
    /// Bytes of payload held at most, in all packets together.
    pub bytes: usize,
    /// Rate of the packets' timestamps in Hz, where it differs from the sound's (8000 for G.722, 48 000 for Opus); 0
    /// when it is the same.
    pub clock_rate: u32,
    /// Whether loss may add up to one packet (of at most 30 ms) of delay, so that concealment sees across the gap.
    pub loss_look_ahead: bool,
}

impl Default for JitterConfig {
    /// 64 packets of up to 480 bytes (60 ms of G.711), 8 kB in all, 5 to 300 ms, look-ahead on loss.
    fn default() -> Self {
        Self {
            packets: 64,
            max_payload: 480,
            min_delay_us: 5_000,
            max_delay_us: 300_000,
            bytes: 8_192,
            clock_rate: 0,
            loss_look_ahead: true,
        }
    }
}

impl JitterConfig {
    /// The default with room for a codec whose RTP timestamps count at `clock_rate` Hz, whose sound has `sample_rate` Hz
    /// and whose 20 ms packets have at most `packet_bytes`: G.711 is `(8000, 8000, 160)`, G.722 `(8000, 16_000, 160)`, L16
    /// at 16 kHz `(16_000, 16_000, 640)`, Opus decoded at 16 kHz `(48_000, 16_000, 160)` at up to 64 kbit/s.
    #[must_use]
    pub fn for_codec(clock_rate: u32, sample_rate: u32, packet_bytes: usize) -> Self {
        let usual = Self::default();
        Self {
            // Packets of up to 60 ms, and the largest delay of them.
            max_payload: usual.max_payload.max(packet_bytes.saturating_mul(3)),
            bytes: usual.bytes.max(packet_bytes.saturating_mul(20)),
            clock_rate: if clock_rate == sample_rate { 0 } else { clock_rate },
            ..usual
        }
    }
}

/// Counters of a buffer since it was made. Only [`JitterStats::concealed_samples`] may fall: by what turns out to have
/// been a pause of the sender.
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
    /// Packets that were lost and recovered from the in-band FEC of the next.
    pub recovered: u64,
    /// Pitch periods (or as much quiet) cut out to bring the delay down (accelerate).
    pub shortened: u64,
    /// Pitch periods (or as much quiet) inserted to bring the delay up (preemptive expand).
    pub lengthened: u64,
}
