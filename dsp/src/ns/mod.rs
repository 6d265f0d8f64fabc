//! Noise suppression: takes the background out of speech. Engines stand behind [`NoiseBank`](crate::NoiseBank).
