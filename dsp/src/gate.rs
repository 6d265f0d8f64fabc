//! A noise gate with hysteresis.
