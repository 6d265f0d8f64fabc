//! Configuration in TOML as an operator meets it: layers that win over one another, merged by figment, and everything
//! that is wrong with them at once, with file, line, column and key.
//!
//! A program brings its own type, whose JSON Schema (schemars) says what fits; its own files, variables and arguments
//! as [`layers`]; and its own rules. What no schema can say, keys that must fit each other, stays with the program.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test stops at what it did not expect"))]

mod diagnostic;
mod document;
mod example;
pub mod layers;
mod merge;
mod profile;
mod secret;
mod shape;

pub use diagnostic::{Diagnostic, Location, Source, did_you_mean};
pub use document::{Content, Entry, Node, dotted};
pub use example::slips_in_example;
pub use merge::{Origins, merge};
pub use profile::{Profile, does_not_outlive_a_reboot};
pub use secret::is_secret_reference;
pub use shape::{Shape, unknown_key};
