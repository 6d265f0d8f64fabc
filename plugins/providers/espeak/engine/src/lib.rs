//! eSpeak NG in Rust (GPL-3.0-or-later) with its English data in memory.
//!
//! The engine's source is that of the `espeak-ng` crate, changed at build time only where it opens files; see
//! `build.rs`. Use [`EspeakNg::with_data_dir`] with [`memory::ROOT`].

#![allow(warnings, clippy::all, reason = "another project's source, changed only where it opens files")]

pub mod memory;

include!(concat!(env!("OUT_DIR"), "/root.rs"));

pub use encoding::{DecodeMode, Encoding, TextDecoder};
pub use engine::{
    Builder, EspeakNg, EventKind, Gender, OutputMode, Parameter, SynthEvent, TextToPhonemesOptions, VoiceSpec,
    VoiceSpecBuilder,
};
pub use error::{Error, Result};
pub use phoneme::{PhonemeData, PhonemeFeature, PhonemeTab};
pub use soundicon::{SoundIcon, SoundIconTable};
pub use synthesize::{PcmBuffer, Synthesizer, VoiceParams};
pub use translate::{ipa_table, PhonemeCode, Translator};
