//! Digest authentication (RFC 7616, RFC 8760, and RFC 2617 for peers that know nothing newer): the side that asks for a
//! password and the side that has one. Neither owns a clock, randomness or a socket.
//!
//! SHA-256 comes before MD5 wherever both are offered. `qop=auth` is always asked for and always used where it is
//! offered; `auth-int` is refused by its name, since proxies on the way change bodies.

mod algorithm;
mod client;
mod nonces;
mod parameters;
mod sealed;
mod server;

pub(crate) use nonces::{first_half, keyed};

pub use algorithm::{Algorithm, Ha1};
pub use client::{Credentials, DigestClient, DigestClientError};
pub use nonces::NonceLimits;
pub use sealed::{SealError, SealedHa1};
pub use server::{Challenge, DigestServer, Judged, NotAuthentic, ServerConfig};
