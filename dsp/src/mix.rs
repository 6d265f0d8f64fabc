//! Mixing: everyone hears everyone but themselves (N-1).
