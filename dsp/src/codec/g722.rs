//! G.722 (ITU-T G.722, RFC 3551 4.5.2): 64 kbit/s wideband speech, one byte for two samples at 16 kHz.
//!
//! Its RTP clock is 8000 Hz, as RFC 3551 fixed by mistake and kept: a 20 ms packet has 160 bytes, 320 samples and
//! advances the timestamp by 160. The sub-band coder itself is the `audio-codec` crate's.
//! It begins from other quantiser states than the standard's, so that the first second differs (by about 40 dB below
//! the sound) and what follows is bit for bit what FFmpeg's decoder makes of the same bits. The ITU-T test sequences
//! are not packaged anywhere our builds reach; cross-decoding with FFmpeg stands in for them.

use audio_codec::{Decoder as _, Encoder as _, g722};

use super::{Decoder, Encoder};

/// Ticks of the RTP clock per second, half of the sample rate.
pub const G722_RTP_CLOCK: u32 = 8000;

const RATE: u32 = 16000;

/// G.722 encoder at 64 kbit/s, 16 kHz.
///
/// Takes samples in pairs: an odd last sample is left out.
#[derive(Default)]
pub struct G722Encoder(g722::G722Encoder);

impl G722Encoder {
    /// An encoder in its first state.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl std::fmt::Debug for G722Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("G722Encoder").finish_non_exhaustive()
    }
}

impl Encoder for G722Encoder {
    fn rate(&self) -> u32 {
        RATE
    }

    fn encode(&mut self, pcm: &[i16], out: &mut [u8]) -> usize {
        let bytes = (pcm.len() / 2).min(out.len());
        self.0.encode_into(&pcm[..bytes * 2], &mut out[..bytes]).unwrap_or(0)
    }
}

/// G.722 decoder at 64 kbit/s, 16 kHz.
#[derive(Default)]
pub struct G722Decoder(g722::G722Decoder);

impl G722Decoder {
    /// A decoder in its first state.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl std::fmt::Debug for G722Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("G722Decoder").finish_non_exhaustive()
    }
}

impl Decoder for G722Decoder {
    fn rate(&self) -> u32 {
        RATE
    }

    fn samples(&self, payload: &[u8]) -> usize {
        payload.len().saturating_mul(2)
    }

    fn decode(&mut self, payload: &[u8], out: &mut [i16]) -> usize {
        let bytes = payload.len().min(out.len() / 2);
        self.0.decode_into(&payload[..bytes], &mut out[..bytes * 2]).unwrap_or(0)
    }

    fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_samples_make_a_byte_and_half_a_pair_makes_none() {
        let mut codes = [0; 4];
        assert_eq!(G722Encoder::new().encode(&[1000; 7], &mut codes), 3);
        let mut decoder = G722Decoder::new();
        assert_eq!(decoder.samples(&codes), 8);
        let mut pcm = [7; 5];
        assert_eq!(decoder.decode(&codes, &mut pcm), 4, "the room for half a pair stays");
        assert_eq!(pcm[4], 7);
    }

    #[test]
    fn a_reset_decoder_answers_as_a_new_one() {
        let codes: Vec<u8> = (0..=255).collect();
        let decode = |decoder: &mut G722Decoder| {
            let mut pcm = vec![0; 512];
            decoder.decode(&codes, &mut pcm);
            pcm
        };
        let mut decoder = G722Decoder::new();
        let first = decode(&mut decoder);
        assert_ne!(decode(&mut decoder), first);
        decoder.reset();
        assert_eq!(decode(&mut decoder), first);
    }
}
