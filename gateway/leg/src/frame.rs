//! Frames of sound as they cross between media and agent: fixed size, so that moving one allocates nothing.

use crate::time::CallTime;

/// The most samples a frame holds: 20 ms at 48 kHz.
pub const MAX_FRAME_SAMPLES: usize = 960;

/// One stretch of agent speech within a call. 0 means "none yet"; real utterances count from 1.
pub type Utterance = u32;

/// A frame would hold more than [`MAX_FRAME_SAMPLES`] samples; cut the sound into 20 ms pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameSizeError {
    /// Samples offered.
    pub samples: usize,
}

impl std::fmt::Display for FrameSizeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "frame of {} samples; cut the sound into pieces of at most {MAX_FRAME_SAMPLES}", self.samples)
    }
}

impl std::error::Error for FrameSizeError {}

/// What voice activity detection says of one frame.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct VadMark {
    /// Speech, after hang-over.
    pub speech: bool,
    /// Confidence that the frame is speech, 0..=1.
    pub confidence: f32,
    /// Level of the frame in dBFS, -96..=0.
    pub level_dbfs: f32,
}

/// 20 ms of what the caller said, media to agent.
#[derive(Debug, Clone, Copy)]
pub struct UpFrame {
    pcm: [i16; MAX_FRAME_SAMPLES],
    len: u16,
    /// The leg's own rate in Hz.
    pub rate: u32,
    /// Media position of the first sample, in samples at `rate` since the leg's media began.
    pub position: u64,
    /// When the packet that completed the frame reached the socket; for a concealed frame, when it was made.
    pub arrival: CallTime,
    /// Voice activity of the frame.
    pub vad: VadMark,
    /// True when no packet supplied the frame's sound (loss, silence suppression).
    pub concealed: bool,
}

/// Up to 20 ms of what the agent says, agent to media.
#[derive(Debug, Clone, Copy)]
pub struct DownFrame {
    pcm: [i16; MAX_FRAME_SAMPLES],
    len: u16,
    /// The rate of `pcm` in Hz; media resamples to the leg's rate.
    pub rate: u32,
    /// The stretch of speech the frame belongs to.
    pub utterance: Utterance,
    /// Offset of the first sample within the utterance, in samples at `rate`.
    pub offset: u64,
    /// The generation the frame was made for; media drops frames of an older one.
    pub generation: u32,
    /// True on the last frame of its utterance; it may be empty.
    pub last: bool,
}

impl UpFrame {
    /// A frame holding a copy of `pcm`, at `rate` Hz from `position`.
    pub fn new(pcm: &[i16], rate: u32, position: u64, arrival: CallTime) -> Result<Self, FrameSizeError> {
        let (samples, len) = copy(pcm)?;
        Ok(Self { pcm: samples, len, rate, position, arrival, vad: VadMark::default(), concealed: false })
    }

    /// The samples.
    #[must_use]
    pub fn pcm(&self) -> &[i16] {
        &self.pcm[..usize::from(self.len)]
    }
}

impl DownFrame {
    /// A frame holding a copy of `pcm`, at `rate` Hz, of `utterance` from `offset`.
    pub fn new(
        pcm: &[i16],
        rate: u32,
        utterance: Utterance,
        offset: u64,
        generation: u32,
    ) -> Result<Self, FrameSizeError> {
        let (samples, len) = copy(pcm)?;
        Ok(Self { pcm: samples, len, rate, utterance, offset, generation, last: false })
    }

    /// The samples.
    #[must_use]
    pub fn pcm(&self) -> &[i16] {
        &self.pcm[..usize::from(self.len)]
    }
}

fn copy(pcm: &[i16]) -> Result<([i16; MAX_FRAME_SAMPLES], u16), FrameSizeError> {
    let mut samples = [0; MAX_FRAME_SAMPLES];
    let room = samples.get_mut(..pcm.len()).ok_or(FrameSizeError { samples: pcm.len() })?;
    room.copy_from_slice(pcm);
    let len = u16::try_from(pcm.len()).map_err(|_| FrameSizeError { samples: pcm.len() })?;
    Ok((samples, len))
}
