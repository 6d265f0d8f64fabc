//! Resampling: by fixed ratios between the rates of telephony and those of speech providers ([`Resampler`]), and by a
//! hair against the drift of two clocks ([`DriftResampler`]).
//!
//! A polyphase FIR: the ratio is reduced to `up/down`, and each output sample is the product of the newest input
//! samples with one phase of a low-pass filter. Filters are made once per ratio and shared; a [`Resampler`] holds
//! only its history, so that making one allocates nothing once its filter exists (see [`prepare`]).

mod drift;
mod filter;
mod kernel;

pub use drift::{DriftResampler, MAX_PPM};
use filter::Filter;
use kernel::{MAX_OUTPUT, Place, WINDOW};

use crate::simd::Simd;
use crate::to_f32;

/// The rates that can be converted, in Hz, provided one side is 8000 or 16000, or one 48000 and the other 24000 or 32000.
pub const RATES: [u32; 8] = [8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000];

/// A pair of rates that cannot be converted; see [`RATES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateError {
    /// Rate of the input in Hz.
    pub from: u32,
    /// Rate wanted in Hz.
    pub to: u32,
}

impl std::fmt::Display for RateError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "cannot convert {} Hz to {} Hz; one side must be 8000 or 16000 and the other one of {RATES:?}, or one 48000 and the other 24000 or 32000",
            self.from, self.to
        )
    }
}

impl std::error::Error for RateError {}

/// Makes the filter of a pair of rates now, so that later [`Resampler::new`] calls for it allocate nothing.
///
/// # Errors
/// [`RateError`] for a pair that cannot be converted.
pub fn prepare(from: u32, to: u32) -> Result<(), RateError> {
    Resampler::new(from, to).map(|_| ())
}

/// Converts one stream from one rate to another.
///
/// Input may come in pieces of any size: the number of outputs for `n` inputs is `n * to / from`, and what does not
/// come out even is carried over, so that 441 samples at 22050 Hz always make 160 at 8000 Hz. Images and aliases are
/// at least 60 dB down; the band up to 85 % of the lower rate's half is flat within 0.2 dB.
#[derive(Debug, Clone)]
pub struct Resampler {
    from: u32,
    to: u32,
    /// `None` when both rates are the same.
    filter: Option<&'static Filter>,
    simd: Simd,
    /// The newest `taps - 1` inputs, then the piece in work.
    window: [f32; WINDOW],
    place: Place,
}

impl Resampler {
    /// A resampler from `from` to `to` Hz with silence before its first sample.
    ///
    /// # Errors
    /// [`RateError`] for a pair that cannot be converted.
    pub fn new(from: u32, to: u32) -> Result<Self, RateError> {
        Self::with_simd(Simd::detect(), from, to)
    }

    /// As [`Resampler::new`], with the given instructions; every set gives the same bits.
    ///
    /// # Errors
    /// [`RateError`] for a pair that cannot be converted.
    pub fn with_simd(simd: Simd, from: u32, to: u32) -> Result<Self, RateError> {
        let filter = if from == to && RATES.contains(&from) {
            None
        } else {
            Some(Filter::shared(from, to).ok_or(RateError { from, to })?)
        };
        Ok(Self { from, to, filter, simd, window: [0.0; WINDOW], place: Place::default() })
    }

    /// Rate of the input in Hz.
    #[must_use]
    pub const fn from(&self) -> u32 {
        self.from
    }

    /// Rate of the output in Hz.
    #[must_use]
    pub const fn to(&self) -> u32 {
        self.to
    }

    /// The most outputs that `inputs` samples can make: room to give to [`Resampler::process`].
    #[must_use]
    pub const fn max_output(&self, inputs: usize) -> usize {
        inputs * self.to as usize / self.from as usize + 1
    }

    /// Delay of the filter in microseconds: 24 samples of the lower rate, 0 when the rates are equal.
    #[must_use]
    pub fn delay_us(&self) -> u64 {
        if self.filter.is_some() { 24_000_000 / u64::from(self.from.min(self.to)) } else { 0 }
    }

    /// Inputs that push the filter's delay out: feed this many zeros to hear the last of a stream.
    #[must_use]
    pub fn flush_inputs(&self) -> usize {
        self.filter.map_or(0, |filter| filter.taps / 2)
    }

    /// Back to silence, as after [`Resampler::new`].
    pub fn reset(&mut self) {
        self.window.fill(0.0);
        self.place = Place::default();
    }

    /// Converts 16-bit samples and returns how many were written to `out`. Give it room for
    /// [`Resampler::max_output`]: outputs beyond `out` are lost.
    pub fn process(&mut self, pcm: &[i16], out: &mut [i16]) -> usize {
        self.convert(pcm, out, to_f32, kernel::store)
    }

    /// As [`Resampler::process`], for samples of -1..1.
    pub fn process_f32(&mut self, pcm: &[f32], out: &mut [f32]) -> usize {
        self.convert(pcm, out, |sample| sample, |_, made, out| out.copy_from_slice(made))
    }

    fn convert<T: Copy>(
        &mut self,
        pcm: &[T],
        out: &mut [T],
        load: impl Fn(T) -> f32,
        store: impl Fn(Simd, &[f32], &mut [T]),
    ) -> usize {
        let Some(filter) = self.filter else {
            let count = pcm.len().min(out.len());
            out[..count].copy_from_slice(&pcm[..count]);
            return count;
        };
        let past = filter.taps - 1;
        let mut written = 0;
        for piece in pcm.chunks(kernel::inputs_at_once(filter)) {
            for (slot, sample) in self.window[past..].iter_mut().zip(piece) {
                *slot = load(*sample);
            }
            let mut made = [0.0; MAX_OUTPUT];
            let count = kernel::convert(self.simd, filter, &self.window, piece.len(), &mut self.place, &mut made);
            let kept = count.min(out.len() - written);
            store(self.simd, &made[..kept], &mut out[written..written + kept]);
            written += kept;
            self.window.copy_within(piece.len()..piece.len() + past, 0);
        }
        written
    }
}
