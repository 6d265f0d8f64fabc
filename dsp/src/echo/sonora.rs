//! WebRTC's echo canceller, for calls that opted into it.

use sonora_aec3::block::Block;
use sonora_aec3::block_framer::BlockFramer;
use sonora_aec3::block_processor::BlockProcessor;
use sonora_aec3::common::SUB_FRAME_LENGTH;
use sonora_aec3::config::EchoCanceller3Config;
use sonora_aec3::frame_blocker::FrameBlocker;

use crate::resample::Resampler;
use crate::tone::UnknownRate;

/// Samples of 16 kHz in the 10 ms that are cancelled at a time.
const STEP: usize = 2 * SUB_FRAME_LENGTH;

/// Cancels echo with `sonora-aec3`, a port of WebRTC's AEC3.
///
/// **It allocates on every frame** and costs some hundred microseconds per 20 ms: run it off the media worker. It works
/// at 16 kHz; sound of 8 kHz is brought there and back. Delay: 4 ms of blocks at 16 kHz, 10 ms at 8 kHz.
#[derive(Debug)]
pub struct SonoraAec {
    /// `None` at 16 kHz: reference up, uplink up, uplink down.
    resamplers: Option<Box<[Resampler; 3]>>,
    step: usize,
    processor: BlockProcessor,
    reference_blocker: FrameBlocker,
    uplink_blocker: FrameBlocker,
    framer: BlockFramer,
    block: Block,
}

impl SonoraAec {
    /// A canceller for sound at `rate` Hz: 8000 or 16000.
    ///
    /// # Errors
    /// [`UnknownRate`] for any other.
    pub fn new(rate: u32) -> Result<Self, UnknownRate> {
        let resamplers = match rate {
            8000 => {
                let make = |from, to| Resampler::new(from, to).map_err(|_| UnknownRate(rate));
                Some(Box::new([make(8000, 16000)?, make(8000, 16000)?, make(16000, 8000)?]))
            }
            16000 => None,
            _ => return Err(UnknownRate(rate)),
        };
        Ok(Self {
            resamplers,
            step: rate as usize / 100,
            processor: BlockProcessor::new(&EchoCanceller3Config::default(), 16000, 1, 1),
            reference_blocker: FrameBlocker::new(1, 1),
            uplink_blocker: FrameBlocker::new(1, 1),
            framer: BlockFramer::new(1, 1),
            block: Block::new(1, 1),
        })
    }

    /// Takes the echo of `reference` out of `uplink`, in place: samples of -1..1, whole steps of 10 ms of the same
    /// tick; what is left over at the end is left alone. A shorter reference is silence from its end on.
    pub fn process(&mut self, reference: &[f32], uplink: &mut [f32]) {
        for (n, near) in uplink.chunks_exact_mut(self.step).enumerate() {
            let played = reference.get(n * self.step..).unwrap_or_default();
            let (mut far, mut wide) = ([0.0; STEP], [0.0; STEP]);
            for (far, sample) in far.iter_mut().zip(played.iter().take(self.step)) {
                *far = crate::tone::numeric(*sample);
            }
            for (wide, sample) in wide.iter_mut().zip(near.iter()) {
                *wide = crate::tone::numeric(*sample);
            }
            let Some(resamplers) = &mut self.resamplers else {
                self.cancel(&mut far, &mut wide);
                near.copy_from_slice(&wide);
                continue;
            };
            let (mut far_wide, mut near_wide) = ([0.0; STEP], [0.0; STEP]);
            resamplers[0].process_f32(&far[..self.step], &mut far_wide);
            resamplers[1].process_f32(&wide[..self.step], &mut near_wide);
            self.cancel(&mut far_wide, &mut near_wide);
            if let Some(resamplers) = &mut self.resamplers {
                resamplers[2].process_f32(&near_wide, near);
            }
        }
    }

    /// Ten milliseconds at 16 kHz: two sub-frames in, two out, and every other time five blocks instead of two.
    fn cancel(&mut self, reference: &mut [f32; STEP], uplink: &mut [f32; STEP]) {
        // The canceller counts in 16-bit units.
        reference.iter_mut().chain(uplink.iter_mut()).for_each(|sample| *sample *= 32768.0);
        for piece in reference.chunks_exact(SUB_FRAME_LENGTH) {
            self.reference_blocker.insert_sub_frame_and_extract_block(&[vec![piece]], &mut self.block);
            self.processor.buffer_render(&self.block);
            if self.reference_blocker.is_block_available() {
                self.reference_blocker.extract_block(&mut self.block);
                self.processor.buffer_render(&self.block);
            }
        }
        for piece in uplink.chunks_exact_mut(SUB_FRAME_LENGTH) {
            self.uplink_blocker.insert_sub_frame_and_extract_block(&[vec![&*piece]], &mut self.block);
            self.processor.process_capture(false, false, None, &mut self.block);
            let mut out = [vec![piece.to_vec()]];
            self.framer.insert_block_and_extract_sub_frame(&self.block, &mut out);
            piece.copy_from_slice(&out[0][0]);
            if self.uplink_blocker.is_block_available() {
                self.uplink_blocker.extract_block(&mut self.block);
                self.processor.process_capture(false, false, None, &mut self.block);
                self.framer.insert_block(&self.block);
            }
        }
        uplink.iter_mut().for_each(|sample| *sample *= 1.0 / 32768.0);
    }
}
