//! Silence and end-of-speech timers on top of voice activity.
