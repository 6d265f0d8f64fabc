//! A changed sound for a leg in a call: whatever needs memory is made before it reaches the worker, and what is left of
//! the old sound leaves the worker the same way.

use super::{Denoiser, Sound};
use crate::echo::EchoGate;
use crate::ns::ReferenceCall;
use crate::tone::UnknownRate;

/// A sound and what a leg needs for it. Made off the worker's thread, taken up by
/// [`UplinkChain::apply`](super::UplinkChain::apply) on it, and dropped off it again: it then holds what the leg had and
/// needs no more.
#[derive(Debug)]
pub struct SoundChange {
    pub(super) sound: Sound,
    pub(super) rate: u32,
    pub(super) echo: Option<Box<EchoGate>>,
    pub(super) engine: Option<Box<ReferenceCall>>,
}

impl SoundChange {
    /// What a leg at `rate` Hz, 8000 or 16000, needs for `sound`. Allocates.
    ///
    /// # Errors
    /// [`UnknownRate`] for any other rate.
    pub fn new(sound: &Sound, rate: u32) -> Result<Self, UnknownRate> {
        if !matches!(rate, 8000 | 16_000) {
            return Err(UnknownRate(rate));
        }
        let echo = if sound.echo_gate { Some(Box::new(EchoGate::new(rate)?)) } else { None };
        let engine = match sound.denoiser {
            Denoiser::Reference => Some(Box::new(ReferenceCall::new(rate).ok_or(UnknownRate(rate))?)),
            Denoiser::Off | Denoiser::Economy | Denoiser::Lanes => None,
        };
        Ok(Self { sound: *sound, rate, echo, engine })
    }

    /// The sound.
    #[must_use]
    pub const fn sound(&self) -> &Sound {
        &self.sound
    }
}
