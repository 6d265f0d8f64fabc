//! The uplink: what the caller says, on its way to the agent.

use std::fmt;

use super::leg::Places;
use super::{ChainConfig, Denoiser, LegDsp, MAX_FRAME, PIECE};
use crate::ns::{LanesBank, NnnoiselessBank, SonoraBank};
use crate::vad::{Activity, FusedBank, VadBank, VadFrame};
use crate::{NoiseBank, Slot, to_f32, to_i16};

/// One leg's frame up.
#[derive(Debug)]
pub struct UplinkFrame<'a> {
    /// Whose it is.
    pub leg: &'a mut LegDsp,
    /// 20 ms at the leg's rate, cleaned in place. A frame of another length is left as it is and not judged.
    pub pcm: &'a mut [i16],
    /// What was found in it, written by [`UplinkChain::process`].
    pub report: UplinkReport,
}

/// What the uplink found in a frame.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct UplinkReport {
    /// Voice activity of the cleaned sound.
    pub activity: Activity,
    /// What stands above the noise is the agent's own echo.
    pub echo: bool,
    /// With this frame the caller interrupts whatever the agent says; once per interruption.
    pub interrupts: bool,
}

/// Cleans and judges the uplink of a worker's legs, a batch per tick.
pub struct UplinkChain {
    config: ChainConfig,
    noise: Option<Box<dyn NoiseBank + Send>>,
    vad: FusedBank,
    /// Sound of the piece in work as -1..1, a row of [`MAX_FRAME`] a leg.
    sound: Box<[f32]>,
}

impl fmt::Debug for UplinkChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UplinkChain").field("config", &self.config).finish_non_exhaustive()
    }
}

impl UplinkChain {
    /// A chain for at most `slots` legs; the banks' memory is taken here.
    #[must_use]
    pub fn new(config: ChainConfig, slots: usize) -> Self {
        let gate = config.denoiser_gate;
        let noise: Option<Box<dyn NoiseBank + Send>> = match config.denoiser {
            Denoiser::Off => None,
            Denoiser::Economy => Some(Box::new(SonoraBank::new(slots).with_gate(gate))),
            Denoiser::Lanes => {
                let mut bank = LanesBank::new(slots).with_gate(gate);
                // Which rates calls will have is not known: room for all of either.
                bank.reserve(16_000, slots);
                Some(Box::new(bank))
            }
            Denoiser::Reference => Some(Box::new(NnnoiselessBank::new(slots).with_gate(gate))),
        };
        let vad = FusedBank::with_config(slots, config.vad);
        Self { config, noise, vad, sound: vec![0.0; PIECE * MAX_FRAME].into_boxed_slice() }
    }

    /// Takes a leg at `rate` Hz in; `None` when the chain is full or the rate is neither 8000 nor 16000. Allocates
    /// the leg's own state, some 15 kB with the echo gate; engines that keep their state per leg
    /// ([`Denoiser::Economy`], [`Denoiser::Reference`]) take another 20 or 40 kB.
    pub fn attach(&mut self, rate: u32) -> Option<LegDsp> {
        let places = self.take_places(rate)?;
        LegDsp::new(&self.config, rate, places).ok()
    }

    /// Takes in a leg that another chain of the same configuration has detached; `false` when there is no room, or
    /// when the leg still has its places elsewhere.
    pub fn adopt(&mut self, leg: &mut LegDsp) -> bool {
        if leg.vad.is_some() {
            return false;
        }
        let Some(places) = self.take_places(leg.rate) else { return false };
        (leg.noise, leg.vad) = (places.noise, Some(places.vad));
        true
    }

    /// Gives a leg's places back; without places its frames are left as they are. For the end of a call, and before
    /// the leg moves to another worker.
    pub fn detach(&mut self, leg: &mut LegDsp) {
        if let Some(slot) = leg.vad.take() {
            self.vad.detach(slot);
        }
        if let (Some(bank), Some(slot)) = (&mut self.noise, leg.noise.take()) {
            bank.detach(slot);
        }
    }

    fn take_places(&mut self, rate: u32) -> Option<Places> {
        if !matches!(rate, 8000 | 16_000) {
            return None;
        }
        let vad = self.vad.attach(rate)?;
        let noise = match &mut self.noise {
            None => None,
            Some(bank) => match bank.attach(rate) {
                Some(slot) => Some(slot),
                None => {
                    self.vad.detach(vad);
                    return None;
                }
            },
        };
        Some(Places { noise, vad })
    }

    /// By how many microseconds sound at `rate` Hz leaves the chain later than it entered: the denoiser's delay.
    #[must_use]
    pub fn delay_us(&self, rate: u32) -> u64 {
        self.noise.as_ref().and_then(|bank| bank.delay_us(rate)).unwrap_or(0)
    }

    /// Processes the frames of one tick, each of another leg of this chain. Give every leg a frame in every tick, an
    /// empty one where nothing was heard: what was played in a tick without any is missing from the echo gate's memory.
    /// Legs that share a tick share the denoiser's lanes; a chain per phase of the tick wastes the fewest.
    pub fn process(&mut self, batch: &mut [UplinkFrame<'_>]) {
        for piece in batch.chunks_mut(PIECE) {
            self.tell_echo(piece);
            self.take_noise_out(piece);
            // Judged before its level is changed: a floor that rose with the gain would be none.
            self.judge(piece);
            self.bring_to_level(piece);
            self.put_back(piece);
        }
    }

    /// Samples in, and what of them is echo. It is turned down last: a caller who begins to speak over it must reach
    /// the detector at full level.
    fn tell_echo(&mut self, piece: &mut [UplinkFrame<'_>]) {
        for (row, frame) in self.sound.chunks_exact_mut(MAX_FRAME).zip(piece) {
            frame.report = UplinkReport::default();
            let heard = is_whole(frame);
            let leg = &mut *frame.leg;
            let row = &mut row[..leg.frame()];
            if heard {
                for (out, sample) in row.iter_mut().zip(frame.pcm.iter()) {
                    *out = to_f32(*sample);
                }
            } else {
                row.fill(0.0);
            }
            if let Some(gate) = &mut leg.echo {
                let verdict = gate.process(&leg.reference, row);
                frame.report.echo = heard && verdict.echo;
                leg.verdict = heard.then_some(verdict);
            }
            // Played once: a tick without a downlink frame must not be compared with the one before.
            leg.reference.fill(0.0);
        }
    }

    fn take_noise_out(&mut self, piece: &[UplinkFrame<'_>]) {
        let Some(bank) = &mut self.noise else { return };
        let mut batch: [(Slot, &mut [f32]); PIECE] = std::array::from_fn(|_| (Slot(u32::MAX), &mut [][..]));
        let mut filled = 0;
        for (row, frame) in self.sound.chunks_exact_mut(MAX_FRAME).zip(piece) {
            if let Some(slot) = frame.leg.noise.filter(|_| is_whole(frame)) {
                batch[filled] = (slot, &mut row[..frame.pcm.len()]);
                filled += 1;
            }
        }
        bank.process(&mut batch[..filled]);
    }

    fn bring_to_level(&mut self, piece: &mut [UplinkFrame<'_>]) {
        for (row, frame) in self.sound.chunks_exact_mut(MAX_FRAME).zip(piece) {
            if is_whole(frame) {
                let confidence = frame.leg.confidence;
                if let Some(agc) = &mut frame.leg.agc {
                    agc.process(&mut row[..frame.pcm.len()], confidence);
                }
            }
        }
    }

    fn judge(&mut self, piece: &mut [UplinkFrame<'_>]) {
        let mut batch: [VadFrame<'_>; PIECE] =
            std::array::from_fn(|_| VadFrame { slot: Slot(u32::MAX), pcm: &[], activity: Activity::default() });
        let mut filled = 0;
        for (row, frame) in self.sound.chunks_exact(MAX_FRAME).zip(piece.iter()) {
            if is_whole(frame) {
                batch[filled].slot = frame.leg.vad.unwrap_or(Slot(u32::MAX));
                batch[filled].pcm = &row[..frame.pcm.len()];
                filled += 1;
            }
        }
        self.vad.process(&mut batch[..filled]);
        for (frame, judged) in piece.iter_mut().filter(|frame| is_whole(frame)).zip(&batch[..filled]) {
            let (leg, activity) = (&mut *frame.leg, judged.activity);
            leg.confidence = activity.confidence;
            leg.noise_dbfs = activity.noise_dbfs;
            frame.report.activity = activity;
            frame.report.interrupts = leg.barge_in.handle(activity.confidence, frame.report.echo, 20);
        }
    }

    fn put_back(&mut self, piece: &mut [UplinkFrame<'_>]) {
        for (row, frame) in self.sound.chunks_exact_mut(MAX_FRAME).zip(piece) {
            if !is_whole(frame) {
                continue;
            }
            let row = &mut row[..frame.pcm.len()];
            if let (Some(gate), Some(verdict)) = (&mut frame.leg.echo, frame.leg.verdict.take()) {
                gate.suppress(row, &verdict);
            }
            let noise_dbfs = frame.leg.noise_dbfs;
            if let Some(gate) = &mut frame.leg.gate {
                gate.process(row, noise_dbfs);
            }
            for (sample, cleaned) in frame.pcm.iter_mut().zip(row.iter()) {
                *sample = to_i16(*cleaned);
            }
        }
    }
}

/// Whether a frame is 20 ms of its leg's rate, and the leg has a place here.
fn is_whole(frame: &UplinkFrame<'_>) -> bool {
    frame.leg.vad.is_some() && frame.pcm.len() == frame.leg.frame()
}
