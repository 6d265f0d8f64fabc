//! L16 (RFC 3551 4.5.11): 16-bit linear samples in network byte order, for trunks that carry no compression.

use super::{Decoder, Encoder};

/// L16 encoder, mono.
#[derive(Debug, Clone, Copy)]
pub struct L16Encoder {
    rate: u32,
}

impl L16Encoder {
    /// An encoder for sound at `rate` Hz.
    #[must_use]
    pub const fn new(rate: u32) -> Self {
        Self { rate }
    }
}

impl Encoder for L16Encoder {
    fn rate(&self) -> u32 {
        self.rate
    }

    fn encode(&mut self, pcm: &[i16], out: &mut [u8]) -> usize {
        let (pairs, _) = out.as_chunks_mut::<2>();
        for (pair, sample) in pairs.iter_mut().zip(pcm) {
            *pair = sample.to_be_bytes();
        }
        pairs.len().min(pcm.len()) * 2
    }
}

/// L16 decoder, mono.
#[derive(Debug, Clone, Copy)]
pub struct L16Decoder {
    rate: u32,
}

impl L16Decoder {
    /// A decoder for sound at `rate` Hz.
    #[must_use]
    pub const fn new(rate: u32) -> Self {
        Self { rate }
    }
}

impl Decoder for L16Decoder {
    fn rate(&self) -> u32 {
        self.rate
    }

    fn samples(&self, payload: &[u8]) -> usize {
        payload.len() / 2
    }

    fn decode(&mut self, payload: &[u8], out: &mut [i16]) -> usize {
        // An odd last byte is half a sample and carries nothing.
        let (pairs, _) = payload.as_chunks::<2>();
        for (sample, pair) in out.iter_mut().zip(pairs) {
            *sample = i16::from_be_bytes(*pair);
        }
        pairs.len().min(out.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn samples_survive_the_round_trip(pcm in prop::collection::vec(any::<i16>(), 0..200)) {
            let mut bytes = vec![0; pcm.len() * 2];
            let written = L16Encoder::new(16000).encode(&pcm, &mut bytes);
            prop_assert_eq!(written, bytes.len());
            let mut back = vec![0; pcm.len()];
            let mut decoder = L16Decoder::new(16000);
            prop_assert_eq!(decoder.samples(&bytes), pcm.len());
            prop_assert_eq!(decoder.decode(&bytes, &mut back), pcm.len());
            prop_assert_eq!(back, pcm);
        }
    }

    #[test]
    fn the_wire_order_is_big_endian_and_half_a_sample_is_ignored() {
        let mut out = [0; 2];
        assert_eq!(L16Decoder::new(8000).decode(&[0x12, 0x34, 0x56], &mut out), 1);
        assert_eq!(out, [0x1234, 0]);
    }
}
