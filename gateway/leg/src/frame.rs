//! Frames of sound as they cross between media and agent: fixed size, so that moving one allocates nothing.

use std::ops::{Deref, DerefMut};

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

/// What signal processing found in one frame; nothing behind it detects speech again.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct VadMark {
    /// The caller speaks, or did so lately; the agent's own echo is no speech.
    pub speech: bool,
    /// With this frame `speech` became what it is. Told once: of two changes whose frames found the ring full nothing
    /// is seen, and one alone comes with the next frame that has room.
    pub changed: bool,
    /// With this frame the caller interrupts whatever the agent says: there is evidence enough that somebody speaks who is no
    /// echo, for as long as the agent's policy asks for. Once per interruption, and never lost to a full ring.
    pub interrupts: bool,
    /// What stands above the noise is the agent's own echo.
    pub echo: bool,
    /// For how many milliseconds the sound that may be speech has lasted: with the frame that says so, speech began so
    /// long ago.
    pub onset_ms: u32,
    /// For how many milliseconds speech has only been held: with the frame that says that it has ended, it ended so long
    /// ago.
    pub held_ms: u32,
    /// How likely speech is by the sure detector, 0..=1, before hang-over; 0 while nothing may be speech.
    pub confidence: f32,
    /// Level of the frame in dBFS, -96..=0.
    pub level_dbfs: f32,
    /// Level of the background in dBFS, -96..=0.
    pub noise_dbfs: f32,
    /// Milliseconds for which the caller has been speaking; 0 in silence.
    pub speech_ms: u32,
    /// Milliseconds since the caller spoke last, or since media began; 0 in speech.
    pub silence_ms: u32,
}

/// Up to [`MAX_FRAME_SAMPLES`] samples and what is said of them. What is said, the head, reads like fields of the frame.
#[derive(Debug, Clone, Copy)]
pub struct Frame<H> {
    pcm: [i16; MAX_FRAME_SAMPLES],
    len: u16,
    head: H,
}

/// 20 ms of what the caller said, media to agent.
pub type UpFrame = Frame<UpHead>;

/// Up to 20 ms of what the agent says, agent to media.
pub type DownFrame = Frame<DownHead>;

/// What is said of an [`UpFrame`]'s sound.
#[derive(Debug, Clone, Copy)]
pub struct UpHead {
    /// The leg's own rate in Hz.
    pub rate: u32,
    /// Media position of the first sample, in samples at `rate` since the leg's media began; corrected by the delay of
    /// signal processing.
    pub position: u64,
    /// When the packet that completed the frame reached the socket, corrected by the delay of signal processing; for a
    /// concealed frame, when it was made.
    pub arrival: CallTime,
    /// What was found in the frame.
    pub vad: VadMark,
    /// True when no packet supplied the frame's sound (loss, silence suppression).
    pub concealed: bool,
}

/// What is said of a [`DownFrame`]'s sound.
#[derive(Debug, Clone, Copy)]
pub struct DownHead {
    /// The rate of the samples in Hz; media resamples to the leg's rate.
    pub rate: u32,
    /// The stretch of speech the frame belongs to.
    pub utterance: Utterance,
    /// Offset of the first sample within the utterance, in samples at `rate`.
    pub offset: u64,
    /// The generation the frame was made for; media drops frames of an older one.
    pub generation: u32,
    /// True on the last frame of its utterance; it may be empty.
    pub last: bool,
    /// Not 0: a mark, reported by [`LegFact::MarkReached`](crate::LegFact::MarkReached) once the frame was sent.
    pub mark: u32,
}

impl<H> Frame<H> {
    /// A frame holding a copy of `pcm`.
    ///
    /// # Errors
    /// [`FrameSizeError`] above [`MAX_FRAME_SAMPLES`] samples.
    pub fn with_head(head: H, pcm: &[i16]) -> Result<Self, FrameSizeError> {
        let mut frame = Self::silence(head, pcm.len())?;
        frame.pcm_mut().copy_from_slice(pcm);
        Ok(frame)
    }

    /// A frame of `samples` zeros, to be filled through [`Self::pcm_mut`].
    ///
    /// # Errors
    /// [`FrameSizeError`] above [`MAX_FRAME_SAMPLES`] samples.
    pub fn silence(head: H, samples: usize) -> Result<Self, FrameSizeError> {
        match u16::try_from(samples) {
            Ok(len) if samples <= MAX_FRAME_SAMPLES => Ok(Self { pcm: [0; MAX_FRAME_SAMPLES], len, head }),
            _ => Err(FrameSizeError { samples }),
        }
    }

    /// The samples.
    #[must_use]
    pub fn pcm(&self) -> &[i16] {
        &self.pcm[..usize::from(self.len)]
    }

    /// The samples, to be written.
    pub fn pcm_mut(&mut self) -> &mut [i16] {
        &mut self.pcm[..usize::from(self.len)]
    }

    /// What is said of the samples.
    pub const fn head(&self) -> &H {
        &self.head
    }
}

impl<H> Deref for Frame<H> {
    type Target = H;

    fn deref(&self) -> &H {
        &self.head
    }
}

impl<H> DerefMut for Frame<H> {
    fn deref_mut(&mut self) -> &mut H {
        &mut self.head
    }
}

impl UpFrame {
    /// A frame holding a copy of `pcm`, at `rate` Hz from `position`.
    ///
    /// # Errors
    /// [`FrameSizeError`] above [`MAX_FRAME_SAMPLES`] samples.
    pub fn new(pcm: &[i16], rate: u32, position: u64, arrival: CallTime) -> Result<Self, FrameSizeError> {
        Self::with_head(UpHead { rate, position, arrival, vad: VadMark::default(), concealed: false }, pcm)
    }
}

impl DownFrame {
    /// A frame holding a copy of `pcm`, at `rate` Hz, of `utterance` from `offset`.
    ///
    /// # Errors
    /// [`FrameSizeError`] above [`MAX_FRAME_SAMPLES`] samples.
    pub fn new(
        pcm: &[i16],
        rate: u32,
        utterance: Utterance,
        offset: u64,
        generation: u32,
    ) -> Result<Self, FrameSizeError> {
        Self::with_head(DownHead { rate, utterance, offset, generation, last: false, mark: 0 }, pcm)
    }
}
