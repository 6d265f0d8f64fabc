//! The two forms that sound is stored in, behind one way of writing them; and the log of a call, which is sealed alike.

use crate::opus::OggOpus;
use crate::wav;

/// What a recording's sound is stored as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Container {
    /// WAV, 16-bit linear PCM, two channels.
    #[default]
    Wav,
    /// Opus in Ogg (RFC 7845), two channels that know nothing of each other.
    Opus,
    /// No sound but the log of a call, which is sealed alike.
    Capture,
}

impl Container {
    /// How its file's name ends, without the dot.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Wav => "wav",
            Self::Opus => "opus",
            Self::Capture => "capture",
        }
    }

    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Wav => 1,
            Self::Opus => 2,
            Self::Capture => 3,
        }
    }

    pub(crate) const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Wav),
            2 => Some(Self::Opus),
            3 => Some(Self::Capture),
            _ => None,
        }
    }

    /// The rate that sound of `rate` Hz is stored at: Opus takes only some.
    pub(crate) const fn rate_for(self, rate: u32) -> u32 {
        match (self, rate) {
            (Self::Wav | Self::Capture, rate) | (Self::Opus, rate @ (8000 | 12_000 | 16_000 | 24_000 | 48_000)) => rate,
            (Self::Opus, _) => 16_000,
        }
    }
}

/// Turns sound into the bytes of a file.
#[derive(Debug)]
pub(crate) enum Writer {
    Wav,
    Opus(Box<OggOpus>),
}

impl Writer {
    /// A writer for sound of `rate` Hz, and what its file begins with appended to `out`. `serial` tells Ogg streams apart.
    pub(crate) fn begin(container: Container, rate: u32, serial: u32, out: &mut Vec<u8>) -> Option<Self> {
        match container {
            Container::Wav => {
                out.extend_from_slice(&wav::header(rate, 0));
                Some(Self::Wav)
            }
            Container::Opus => OggOpus::begin(rate, serial, out).map(|writer| Self::Opus(Box::new(writer))),
            // It holds no sound.
            Container::Capture => None,
        }
    }

    /// Takes a piece of both voices, of the same length; what can be written is appended to `out`.
    pub(crate) fn samples(&mut self, heard: &[i16], said: &[i16], out: &mut Vec<u8>) {
        match self {
            Self::Wav => wav::samples(heard, said, out),
            Self::Opus(writer) => writer.samples(heard, said),
        }
    }

    /// Appends what was taken so far, so that it can be played when nothing follows.
    pub(crate) fn flush(&mut self, out: &mut Vec<u8>) {
        match self {
            Self::Wav => {}
            Self::Opus(writer) => writer.flush(out),
        }
    }

    /// Appends the file's end.
    pub(crate) fn finish(self, out: &mut Vec<u8>) {
        match self {
            Self::Wav => {}
            Self::Opus(writer) => writer.finish(out),
        }
    }
}
