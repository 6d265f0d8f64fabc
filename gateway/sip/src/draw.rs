//! Random numbers for machines that own no randomness: drawn from a seed, so that the same seed lives the same life, and
//! so that nobody who sees some of them can tell the next.

use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use crate::auth::{first_half, keyed};

/// A source of numbers.
pub struct Draw {
    key: Hmac<Sha256>,
    count: u64,
}

impl Draw {
    /// From 32 random bytes.
    #[must_use]
    pub fn new(seed: &[u8; 32]) -> Self {
        Self { key: keyed(seed), count: 0 }
    }

    /// From a number, for simulations.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_be_bytes());
        Self::new(&bytes)
    }

    /// 16 bytes.
    pub fn bytes(&mut self) -> [u8; 16] {
        self.count += 1;
        let mut hmac = self.key.clone();
        hmac.update(&self.count.to_be_bytes());
        first_half(hmac)
    }

    /// A number from 0 to `most`, both included; each as likely as the others but for one in 2^64.
    pub fn up_to(&mut self, most: u64) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.bytes();
        let wide = u128::from(u64::from_be_bytes([a, b, c, d, e, f, g, h]));
        // The upper half of the product lies between 0 and `most`.
        ((wide * (u128::from(most) + 1)) >> 64) as u64
    }

    /// A number from `least` to `most`, both included.
    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.up_to(most.saturating_sub(least))
    }
}

impl std::fmt::Debug for Draw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Draw").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_within_their_bounds_and_reach_both() {
        let mut draw = Draw::from_seed(1);
        let drawn: std::collections::BTreeSet<u64> = (0..200).map(|_| draw.between(3, 6)).collect();
        assert_eq!(drawn, [3, 4, 5, 6].into());
        assert_eq!((draw.up_to(0), draw.between(9, 2)), (0, 9));
        assert_ne!(Draw::from_seed(1).bytes(), Draw::from_seed(2).bytes());
        let _ = draw.up_to(u64::MAX);
    }
}
