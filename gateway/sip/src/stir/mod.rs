//! Who calls, as whoever answers for the number has signed it: the verification service of RFC 8224 6.2, for PASSporTs (RFC
//! 8225) with and without the extension of SHAKEN (RFC 8588, ATIS-1000074), by certificates of RFC 8226.
//!
//! It does no input or output: [`Verifier::judge`] is given the time and says what it found or which certificate it needs.
//! Whoever has that certificate hands it in with [`Verifier::had`] and asks again.

mod cache;
mod certificate;
mod finding;
mod material;
mod number;
mod passport;
mod question;
mod said;
mod tn_auth_list;
mod token;
mod verifier;

pub use finding::{Fault, Finding, Proof, RESULTS, Verstat};
pub use material::{Material, MaterialError};
pub use question::Question;
pub use said::said;
pub use verifier::{Judgement, MOST_CERTIFICATE_BYTES, Verifier};
