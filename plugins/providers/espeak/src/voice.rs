//! Which eSpeak voice an agent's wishes mean, checked before the first word.

use std::path::Path;

use serde::Deserialize;
use trunkline_espeak_engine::{EspeakNg, Parameter, memory};
use trunkline_plugin_kit::tts::SessionConfig;
use trunkline_plugin_kit::{ErrorCode, ProviderError};

/// The plugin's settings.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    pub(crate) voice: Option<String>,
    pub(crate) rate_wpm: u32,
    pub(crate) pitch: u8,
    pub(crate) pitch_range: u8,
    pub(crate) volume: u8,
    pub(crate) sentence_pause_ms: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { voice: None, rate_wpm: 165, pitch: 50, pitch_range: 50, volume: 100, sentence_pause_ms: 180 }
    }
}

/// An engine set to the voice that the session asks for.
pub(crate) fn engine(settings: &Settings, config: &SessionConfig) -> Result<EspeakNg, ProviderError> {
    let wished = Some(&config.voice).filter(|voice| !voice.is_empty() && *voice != "default");
    let voice = match (wished, &config.language, &settings.voice) {
        (Some(voice), ..) | (None, _, Some(voice)) => voice.clone(),
        (None, Some(language), None) => language.clone(),
        (None, None, None) => "en-us".to_owned(),
    };
    let (language, variant) = voice.split_once('+').map_or((voice.as_str(), None), |(l, v)| (l, Some(v)));
    let language = language.trim().to_ascii_lowercase().replace('_', "-");
    if language != "en" && !language.starts_with("en-") {
        return Err(ProviderError::unsupported(format!(
            "this plugin speaks English only and was asked for the voice {voice:?}; name one such as en-us or en-gb"
        )));
    }
    let root = Path::new(memory::ROOT);
    let known = variant.is_none_or(|variant| memory::exists(root.join("voices/!v").join(variant)));
    if !known {
        return Err(ProviderError::invalid_settings(format!("{voice:?} names a variant that eSpeak NG does not have")));
    }
    let spoken = variant.map_or_else(|| language.clone(), |variant| format!("{language}+{variant}"));
    let mut engine = EspeakNg::with_data_dir(&spoken, root)
        .map_err(|error| ProviderError::new(ErrorCode::Internal, format!("eSpeak NG: {error}")))?;
    let factor = config.speaking_rate.filter(|rate| rate.is_finite() && *rate > 0.0).unwrap_or(1.0);
    let rate = (settings.rate_wpm as f32 * factor).clamp(80.0, 450.0);
    engine.set_parameter(Parameter::Rate, rate as i32);
    engine.set_parameter(Parameter::Pitch, settings.pitch.into());
    engine.set_parameter(Parameter::Range, settings.pitch_range.into());
    engine.set_no_final_pause(true);
    Ok(engine)
}
