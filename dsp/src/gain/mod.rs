//! Gain: automatic gain control and a limiter.
