//! A minimal host for the grammar recogniser, to hear what it hears and to measure how well and at what cost.
//!
//! It belongs to the product's workspace and not to the plugin's build, so that wasmtime is compiled once.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test stops at what it did not expect"))]

pub mod corpus;
pub mod hear;
pub mod measure;
