//! One recording being written: from the ring of its tap to its file, in steps.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use trunkline_dsp::resample::Resampler;
use trunkline_leg::{MAX_FRAME_SAMPLES, TapControl, TapFeed, TapFrame};

use crate::container::{Container, Writer};
use crate::disk::{Disk, Track};
use crate::key::PublicKey;
use crate::seal::Sealer;
use crate::status::{Fault, RecordingStatus};
use crate::watch::Pressure;
use crate::wav;

/// What is handed to the disk at once, in parts of a second. With the pool's round it stays below a second.
const PIECES_PER_S: u64 = 2;
/// What sealing adds to a piece at most, and the file's end to the whole.
const OVERHEAD: u64 = 200;
/// Ticks handled in one step at most, so that no recording keeps a thread.
const TICKS_PER_STEP: usize = 1000;

/// What a recording is to be.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) name: PathBuf,
    pub(crate) container: Container,
    pub(crate) rate: u32,
    pub(crate) key: Option<PublicKey>,
    pub(crate) max_samples: u64,
    pub(crate) max_bytes: u64,
    pub(crate) serial: u32,
}

/// Whether a step was the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The ring is empty for now.
    Caught,
    /// More waits in it.
    Behind,
    /// The file is complete and nothing can follow.
    Over,
}

/// A recording being written.
pub(crate) struct Take {
    order: Order,
    feed: TapFeed,
    control: TapControl,
    status: Arc<RecordingStatus>,
    disk: Arc<dyn Disk>,
    pressure: Arc<Pressure>,
    /// Bytes that all recordings have written: what tells the watch that there is something to sync.
    written: Arc<AtomicU64>,
    state: State,
    frame: Box<TapFrame>,
    voices: Voices,
    plain: Vec<u8>,
    sealed: Vec<u8>,
    /// Samples taken, and of them those handed to the disk.
    samples: u64,
    handed: u64,
    bytes: u64,
}

enum State {
    /// No file yet.
    New,
    /// The file grows.
    Writing { track: Box<dyn Track>, writer: Writer, sealer: Option<Sealer> },
    /// The file is complete or given up; the ring is emptied until media lets go of it, which then frees nothing there.
    Closed,
}

impl Take {
    pub(crate) fn new(
        order: Order,
        feed: TapFeed,
        control: TapControl,
        status: Arc<RecordingStatus>,
        disk: Arc<dyn Disk>,
        pressure: Arc<Pressure>,
        written: Arc<AtomicU64>,
    ) -> Self {
        Self {
            order,
            feed,
            control,
            status,
            disk,
            pressure,
            written,
            state: State::New,
            frame: Box::default(),
            voices: Voices::default(),
            plain: Vec::new(),
            sealed: Vec::new(),
            samples: 0,
            handed: 0,
            bytes: 0,
        }
    }

    /// Writes what is waiting.
    pub(crate) fn step(&mut self) -> Step {
        // Looked at before the ring: what was put in before media let go is then seen below.
        let over = self.feed.is_over();
        if matches!(self.state, State::Writing { .. }) && self.pressure.is_critical() {
            self.end_early(Fault::DiskFull);
        }
        for _ in 0..TICKS_PER_STEP {
            if !self.feed.read(&mut self.frame) {
                if over {
                    self.close();
                    return Step::Over;
                }
                return Step::Caught;
            }
            // The file comes with the first sound: a call that is never answered leaves none.
            let begun = if matches!(self.state, State::New) { self.begin() } else { Ok(()) };
            if let Err(error) = begun.and_then(|()| self.take_tick()) {
                self.give_up(&error);
            }
        }
        Step::Behind
    }

    /// Whether its file was made.
    pub(crate) const fn has_file(&self) -> bool {
        !matches!(self.state, State::New)
    }

    /// Completes the file with what is waiting although media has not let go: the process ends.
    pub(crate) fn conclude(&mut self) {
        self.control.stop();
        while self.step() == Step::Behind {}
        self.close();
    }

    /// Something went wrong that was not the disk. The ring is emptied from now on; of a recording that fails even then
    /// nothing is left to do.
    pub(crate) fn abandon(&mut self) -> Step {
        let step = if matches!(self.state, State::Closed) { Step::Over } else { Step::Caught };
        self.control.stop();
        self.status.fail(Fault::Disk);
        self.state = State::Closed;
        self.status.finish();
        step
    }

    fn begin(&mut self) -> io::Result<()> {
        let order = &self.order;
        let mut track = self.disk.create(&order.name)?;
        self.plain.clear();
        let writer = Writer::begin(order.container, order.rate, order.serial, &mut self.plain)
            .ok_or_else(|| io::Error::other("Opus has no such rate"))?;
        let mut sealer = None;
        if let Some(key) = &order.key {
            self.sealed.clear();
            let begun = Sealer::begin(key, order.container, order.rate, &mut self.sealed).map_err(io::Error::other)?;
            sealer = Some(begun);
            track.append(&self.sealed)?;
            self.bytes = self.sealed.len() as u64;
        } else {
            track.append(&self.plain)?;
            self.bytes = self.plain.len() as u64;
            self.plain.clear();
        }
        self.written.fetch_add(self.bytes, Ordering::Relaxed);
        self.state = State::Writing { track, writer, sealer };
        Ok(())
    }

    fn take_tick(&mut self) -> io::Result<()> {
        let State::Writing { writer, .. } = &mut self.state else { return Ok(()) };
        let room = usize::try_from(self.order.max_samples - self.samples).unwrap_or(usize::MAX);
        let (heard, said) = self.voices.at_rate(&self.frame, self.order.rate);
        let samples = heard.len().min(said.len()).min(room);
        writer.samples(&heard[..samples], &said[..samples], &mut self.plain);
        if self.frame.muted() {
            self.status.mute(self.samples, self.samples + samples as u64);
        }
        self.samples += samples as u64;
        if self.samples - self.handed >= u64::from(self.order.rate) / PIECES_PER_S {
            self.hand_over()?;
        }
        if self.samples >= self.order.max_samples {
            self.end_early(Fault::TooLong);
        }
        Ok(())
    }

    /// Hands what was taken to the disk, as one record when it is sealed.
    fn hand_over(&mut self) -> io::Result<()> {
        let State::Writing { track, writer, sealer } = &mut self.state else { return Ok(()) };
        writer.flush(&mut self.plain);
        // Looked at before it is sealed: a record that was sealed must be written, or the next is not in its place.
        if self.bytes + self.plain.len() as u64 + OVERHEAD > self.order.max_bytes {
            self.plain.clear();
            // What is left out is not tried again by the end that follows, whatever else has ended it before.
            self.handed = self.samples;
            self.end_early(Fault::TooLarge);
            return Ok(());
        }
        self.sealed.clear();
        let bytes = match sealer {
            Some(sealer) => {
                sealer.record(&self.plain, &mut self.sealed);
                &self.sealed
            }
            None => &self.plain,
        };
        track.append(bytes)?;
        self.bytes += bytes.len() as u64;
        self.written.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.plain.clear();
        self.handed = self.samples;
        let head = (sealer.is_none() && self.order.container == Container::Wav).then(|| self.wav_header());
        if let (Some(head), State::Writing { track, .. }) = (head, &mut self.state) {
            // Samples come first, so that the header never promises too much.
            track.overwrite_head(&head)?;
        }
        self.status.written(self.handed, self.bytes);
        Ok(())
    }

    fn wav_header(&self) -> [u8; wav::HEADER] {
        wav::header(self.order.rate, u32::try_from(self.bytes - wav::HEADER as u64).unwrap_or(u32::MAX))
    }

    /// Ends the file although the call goes on.
    fn end_early(&mut self, fault: Fault) {
        if self.status.fail(fault) {
            tracing::warn!(file = %self.order.name.display(), reason = fault.name(), "a recording ends: {}", fault.advice());
        }
        self.control.stop();
        self.close();
    }

    fn give_up(&mut self, error: &io::Error) {
        if self.status.fail(Fault::Disk) {
            tracing::warn!(file = %self.order.name.display(), %error, "a recording cannot be written; the call goes on without it");
        }
        self.control.stop();
        self.state = State::Closed;
        self.status.finish();
    }

    fn close(&mut self) {
        match self.complete() {
            Ok(()) => self.status.finish(),
            Err(error) => self.give_up(&error),
        }
    }

    /// Writes the end and makes the file durable.
    fn complete(&mut self) -> io::Result<()> {
        if !matches!(self.state, State::Writing { .. }) {
            return Ok(());
        }
        if self.samples > self.handed && self.status.fault() != Some(Fault::TooLarge) {
            self.hand_over()?;
        }
        let State::Writing { mut track, writer, sealer } = std::mem::replace(&mut self.state, State::Closed) else {
            return Ok(());
        };
        writer.finish(&mut self.plain);
        self.sealed.clear();
        let bytes = match sealer {
            Some(sealer) => {
                sealer.finish(&self.plain, &mut self.sealed);
                &self.sealed
            }
            None => &self.plain,
        };
        if !bytes.is_empty() {
            track.append(bytes)?;
            self.bytes += bytes.len() as u64;
        }
        self.plain = Vec::new();
        track.complete()?;
        self.status.written(self.handed, self.bytes);
        Ok(())
    }
}

/// Both voices at the recording's rate, whatever rate the leg has come to.
#[derive(Debug, Default)]
struct Voices {
    resamplers: Option<[Resampler; 2]>,
    heard: Vec<i16>,
    said: Vec<i16>,
}

impl Voices {
    fn at_rate<'a>(&'a mut self, frame: &'a TapFrame, rate: u32) -> (&'a [i16], &'a [i16]) {
        let from = frame.rate();
        if from == rate || from == 0 {
            self.resamplers = None;
            return (frame.heard(), frame.said());
        }
        if self.resamplers.as_ref().is_none_or(|[heard, _]| heard.from() != from) {
            let made = (Resampler::new(from, rate), Resampler::new(from, rate));
            self.resamplers = if let (Ok(heard), Ok(said)) = made { Some([heard, said]) } else { None };
        }
        let silence = rate as usize / 50;
        let Some([heard, said]) = &mut self.resamplers else {
            // No filter for that rate: time is kept, the sound is not.
            self.heard.clear();
            self.heard.resize(silence, 0);
            return (&self.heard, &self.heard);
        };
        for (resampler, input, output) in
            [(heard, frame.heard(), &mut self.heard), (said, frame.said(), &mut self.said)]
        {
            output.clear();
            output.resize(resampler.max_output(MAX_FRAME_SAMPLES), 0);
            let made = resampler.process(input, output);
            output.truncate(made);
        }
        (&self.heard, &self.said)
    }
}
