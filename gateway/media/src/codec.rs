//! The negotiated codec as one type, so that a re-negotiation can change it without allocating.

use trunkline_dsp::codec::{AlawDecoder, AlawEncoder, Decoder, Encoder, UlawDecoder, UlawEncoder};
use trunkline_leg::Codec;

/// Encodes and decodes whatever was negotiated.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LegCodec(pub(crate) Codec);

impl Decoder for LegCodec {
    fn rate(&self) -> u32 {
        self.0.sample_rate()
    }

    fn samples(&self, payload: &[u8]) -> usize {
        match self.0 {
            Codec::Pcmu => UlawDecoder.samples(payload),
            Codec::Pcma => AlawDecoder.samples(payload),
        }
    }

    fn decode(&mut self, payload: &[u8], out: &mut [i16]) -> usize {
        match self.0 {
            Codec::Pcmu => UlawDecoder.decode(payload, out),
            Codec::Pcma => AlawDecoder.decode(payload, out),
        }
    }
}

impl Encoder for LegCodec {
    fn rate(&self) -> u32 {
        self.0.sample_rate()
    }

    fn encode(&mut self, pcm: &[i16], out: &mut [u8]) -> usize {
        match self.0 {
            Codec::Pcmu => UlawEncoder.encode(pcm, out),
            Codec::Pcma => AlawEncoder.encode(pcm, out),
        }
    }
}
