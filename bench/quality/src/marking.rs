//! Where in the stream a piece of played sound comes from, told by the sound itself rather than by the buffer: the
//! lowest four bits of every decoded sample spell its position, at some -75 dBFS.

use std::collections::HashMap;

use trunkline_dsp::codec::{Decoder, ulaw_decode};

use crate::random::mixed;

const FRAME: usize = 160;
const RUN: usize = 16;

/// Decodes mu-law and marks it. A payload is the packet's number and its codes.
#[derive(Debug)]
pub(crate) struct Marked;

impl Marked {
    /// Packets of 20 ms.
    pub(crate) fn payloads(coded: &[u8]) -> Vec<Vec<u8>> {
        let numbered = coded.chunks_exact(FRAME).zip(0_u32..);
        numbered.map(|(codes, number)| [&number.to_be_bytes()[..], codes].concat()).collect()
    }
}

impl Decoder for Marked {
    fn rate(&self) -> u32 {
        8000
    }

    fn samples(&self, payload: &[u8]) -> usize {
        payload.len().saturating_sub(4)
    }

    fn decode(&mut self, payload: &[u8], out: &mut [i16]) -> usize {
        let Some((number, codes)) = payload.split_first_chunk::<4>() else { return 0 };
        let first = u32::from_be_bytes(*number) as usize * FRAME;
        for ((sample, &code), position) in out.iter_mut().zip(codes).zip(first..) {
            *sample = (ulaw_decode(code) & !15) | i16::from(mark(position));
        }
        codes.len().min(out.len())
    }
}

/// The four bits of a position.
const fn mark(position: usize) -> u8 {
    (mixed(position as u64) & 15) as u8
}

/// Finds positions by runs of marks.
pub(crate) struct Located(HashMap<u64, usize>);

impl Located {
    /// For a stream of this many samples.
    pub(crate) fn of(samples: usize) -> Self {
        let mut run = 0;
        let ends = (0..samples).map(|position| {
            run = run << 4 | u64::from(mark(position));
            (run, position)
        });
        Self(ends.skip(RUN - 1).collect())
    }

    /// Pairs of a place in `pcm` and the position in the stream whose sample it is. What was concealed or stretched is
    /// passed over.
    pub(crate) fn positions(&self, pcm: &[i16]) -> Vec<(usize, usize)> {
        let mut run = 0;
        let found = pcm.iter().enumerate().filter_map(|(at, sample)| {
            run = run << 4 | (sample & 15) as u64;
            Some((at, *self.0.get(&run)?))
        });
        found.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_found_where_it_went() {
        let coded: Vec<u8> = (0..1600).map(|n| (n * 7 % 251) as u8).collect();
        let mut pcm = vec![0; 37];
        for payload in Marked::payloads(&coded) {
            let mut frame = [0; FRAME];
            assert_eq!(Marked.decode(&payload, &mut frame), FRAME);
            pcm.extend(frame);
        }
        // One frame is gone and silence stands in its place.
        pcm[37 + 320..37 + 480].fill(0);
        let found = Located::of(coded.len()).positions(&pcm);
        assert!(found.iter().all(|(at, position)| at - 37 == *position));
        assert!(found.iter().all(|(_, position)| !(320..480 + RUN - 1).contains(position)));
        assert_eq!(found.len(), 1600 - 160 - 2 * (RUN - 1));
    }
}
