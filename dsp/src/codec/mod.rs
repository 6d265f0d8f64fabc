//! Audio codecs behind two small traits.

mod g711;
mod l16;

pub use g711::{
    ALAW_SILENCE, AlawDecoder, AlawEncoder, ULAW_SILENCE, UlawDecoder, UlawEncoder, alaw_decode, alaw_encode,
    ulaw_decode, ulaw_encode,
};
pub use l16::{L16Decoder, L16Encoder};

/// Turns sound into payload bytes.
pub trait Encoder {
    /// Rate of the sound it takes, in Hz.
    fn rate(&self) -> u32;

    /// Encodes `pcm` into `out` and returns the bytes written. Stops early when `out` is full.
    fn encode(&mut self, pcm: &[i16], out: &mut [u8]) -> usize;
}

/// Turns payload bytes into sound.
pub trait Decoder {
    /// Rate of the sound it makes, in Hz.
    fn rate(&self) -> u32;

    /// Samples that `payload` holds, without decoding it.
    fn samples(&self, payload: &[u8]) -> usize;

    /// Decodes `payload` into `out` and returns the samples written. Stops early when `out` is full.
    fn decode(&mut self, payload: &[u8], out: &mut [i16]) -> usize;

    /// Makes sound for a packet that never came, with the codec's own concealment: fills `out` (at [`Decoder::rate`]) and
    /// returns the samples written. `None`: the codec has none and `out` is untouched; the caller conceals.
    fn decode_lost(&mut self, out: &mut [i16]) -> Option<usize> {
        let _ = out;
        None
    }

    /// Recovers the sound of a lost packet from the redundancy in the one after it (`next`): fills `out`, whose end is
    /// where `next` begins, and returns the samples written. `next` is not consumed; decode it afterwards. `None`: there
    /// is no redundancy and `out` is untouched.
    fn decode_fec(&mut self, next: &[u8], out: &mut [i16]) -> Option<usize> {
        let _ = (next, out);
        None
    }

    /// Forgets what earlier payloads left behind (a new source). Codecs without memory do nothing.
    fn reset(&mut self) {}
}
