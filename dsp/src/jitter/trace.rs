//! Arrival models.
