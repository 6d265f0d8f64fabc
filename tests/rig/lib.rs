//! What whole-product tests, the demo and the benchmarks stand on: real binaries in folders and on ports of their own.
//!
//! The binaries come from `TRUNKLINE_BIN`, `TRUNKLINE_RELEASED_BIN`, `TRUNKLINE_CP_BIN` and `TRUNKLINE_CALLER_BIN`, the
//! plugins from `TRUNKLINE_PLUGINS`, the keys that signed them from `TRUNKLINE_TRUSTED_KEYS`, and `cargo xtask` itself is
//! `TRUNKLINE_XTASK`; it sets them all.

pub mod attacker;
pub mod callee;
pub mod caller;
pub mod capture;
pub mod control_plane;
pub mod ear;
pub mod echo;
pub mod gateway;
pub mod greeted;
pub mod hosts;
pub mod kamailio;
pub mod line;
pub mod live;
pub mod machine;
pub mod model;
pub mod mutate;
pub mod objects;
pub mod packages;
pub mod phone;
pub mod ports;
pub mod process;
pub mod rest;
pub mod secure_phone;
pub mod signing;
pub mod sipp;
pub mod speech;
pub mod tones;
pub mod wait;
pub mod wav;
