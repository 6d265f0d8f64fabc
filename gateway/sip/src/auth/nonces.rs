//! Nonces: each says by itself when it was made and that it is ours, so that asking costs no memory; only those that a
//! right password was given with are kept, to refuse what comes twice.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

/// Bounds of nonces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NonceLimits {
    /// How long one is taken, in milliseconds.
    pub lifetime_ms: u64,
    /// Most nonces in use at once; beyond it the oldest is forgotten and no longer taken.
    pub most: usize,
}

impl Default for NonceLimits {
    /// Five minutes, 10 000 nonces: 1 MB or so.
    fn default() -> Self {
        Self { lifetime_ms: 300_000, most: 10_000 }
    }
}

/// Bytes of a nonce: number, time, and half of an HMAC-SHA-256.
const BYTES: usize = 8 + 8 + 16;
/// Counts behind the highest that may still come, for requests that overtake each other on UDP.
const WINDOW: u32 = 64;

/// A nonce that is ours and fresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fresh(u64);

/// Why a nonce is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotFresh {
    /// Not one of ours, or for another peer.
    Foreign,
    /// One of ours, too old or forgotten.
    Stale,
}

pub(crate) struct Nonces {
    key: Hmac<Sha256>,
    limits: NonceLimits,
    /// Number of the last one made.
    last: u64,
    /// Those up to it that are not among the ones in use are no longer taken.
    floor: u64,
    in_use: BTreeMap<u64, Counts>,
}

/// Counts that were used with a nonce.
struct Counts {
    highest: u32,
    /// Bit n: `highest - 1 - n` was used.
    before: u64,
    made_ms: u64,
}

impl Nonces {
    pub(crate) fn new(key: &[u8; 32], limits: NonceLimits) -> Self {
        Self { key: keyed(key), limits, last: 0, floor: 0, in_use: BTreeMap::new() }
    }

    /// A new nonce for a peer.
    pub(crate) fn make(&mut self, now_ms: u64, peer: &[u8]) -> String {
        self.last += 1;
        let mut bytes = [0; BYTES];
        let (head, tail) = bytes.split_at_mut(16);
        head[..8].copy_from_slice(&self.last.to_be_bytes());
        head[8..].copy_from_slice(&now_ms.to_be_bytes());
        tail.copy_from_slice(&self.tag(head, peer));
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Whether a nonce is ours, for this peer, and not too old.
    pub(crate) fn look(&mut self, now_ms: u64, peer: &[u8], nonce: &str) -> Result<Fresh, NotFresh> {
        let bytes: [u8; BYTES] =
            URL_SAFE_NO_PAD.decode(nonce).ok().and_then(|bytes| bytes.try_into().ok()).ok_or(NotFresh::Foreign)?;
        let (head, tag) = bytes.split_at(16);
        if !bool::from(self.tag(head, peer).ct_eq(tag)) {
            return Err(NotFresh::Foreign);
        }
        let number = |bytes: &[u8]| bytes.iter().fold(0_u64, |all, byte| all << 8 | u64::from(*byte));
        let (number, made_ms) = (number(&head[..8]), number(&head[8..]));
        let forgotten = number <= self.floor && !self.in_use.contains_key(&number);
        if forgotten || now_ms.saturating_sub(made_ms) > self.limits.lifetime_ms {
            return Err(NotFresh::Stale);
        }
        Ok(Fresh(number))
    }

    /// Notes that a count was used with a nonce; false when it was before, or too long ago to know.
    pub(crate) fn spend(&mut self, now_ms: u64, nonce: Fresh, count: u32) -> bool {
        if let Some(counts) = self.in_use.get_mut(&nonce.0) {
            return counts.spend(count);
        }
        self.forget(now_ms);
        self.in_use.insert(nonce.0, Counts { highest: count, before: 0, made_ms: now_ms });
        true
    }

    /// Number of nonces in use.
    pub(crate) fn in_use(&self) -> usize {
        self.in_use.len()
    }

    /// Makes room for one more.
    fn forget(&mut self, now_ms: u64) {
        while let Some(oldest) = self.in_use.first_entry() {
            let old = now_ms.saturating_sub(oldest.get().made_ms) > self.limits.lifetime_ms;
            if !old && self.in_use.len() < self.limits.most.max(1) {
                return;
            }
            if let Some((number, _)) = self.in_use.pop_first() {
                self.floor = self.floor.max(number);
            }
        }
    }

    fn tag(&self, head: &[u8], peer: &[u8]) -> [u8; 16] {
        let mut hmac = self.key.clone();
        hmac.update(head);
        hmac.update(peer);
        first_half(hmac)
    }
}

/// HMAC-SHA-256 with a key of 32 bytes.
pub(crate) fn keyed(key: &[u8; 32]) -> Hmac<Sha256> {
    let mut block = [0; 64];
    block[..32].copy_from_slice(key);
    // A key that is shorter than a block is filled up with zeros (RFC 2104 2).
    Hmac::new(&block.into())
}

/// The first 16 bytes of an HMAC.
pub(crate) fn first_half(hmac: Hmac<Sha256>) -> [u8; 16] {
    let mut half = [0; 16];
    half.iter_mut().zip(hmac.finalize().into_bytes()).for_each(|(to, from)| *to = from);
    half
}

impl Counts {
    fn spend(&mut self, count: u32) -> bool {
        if count > self.highest {
            let ahead = count - self.highest;
            self.before = match ahead {
                1..WINDOW => self.before << ahead | 1 << (ahead - 1),
                WINDOW => 1 << (WINDOW - 1),
                _ => 0,
            };
            self.highest = count;
            return true;
        }
        let behind = self.highest - count;
        if behind == 0 || behind > WINDOW || self.before >> (behind - 1) & 1 == 1 {
            return false;
        }
        self.before |= 1 << (behind - 1);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn nonces(most: usize) -> Nonces {
        Nonces::new(&[7; 32], NonceLimits { lifetime_ms: 1000, most })
    }

    #[test]
    fn a_nonce_is_for_its_peer_and_its_time() {
        let mut nonces = nonces(10);
        let nonce = nonces.make(5000, b"a");
        assert!(nonces.look(6000, b"a", &nonce).is_ok());
        assert_eq!(nonces.look(6001, b"a", &nonce), Err(NotFresh::Stale));
        assert_eq!(nonces.look(5000, b"b", &nonce), Err(NotFresh::Foreign));
        assert_eq!(Nonces::new(&[8; 32], NonceLimits::default()).look(5000, b"a", &nonce), Err(NotFresh::Foreign));
        assert_eq!(nonces.look(5000, b"a", "AAAA"), Err(NotFresh::Foreign));
        assert_eq!(nonces.in_use(), 0, "asking costs no memory");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

        /// Whatever order requests come in, however many nonces are in use: no nonce and count are ever taken twice, and
        /// the store stays within its bound.
        #[test]
        fn no_count_is_taken_twice(uses in proptest::collection::vec((0..12usize, 1..200u32, 0..50u64), 1..300), most in 1..6usize) {
            let mut nonces = nonces(most);
            let made: Vec<String> = (0..12).map(|_| nonces.make(0, b"p")).collect();
            let (mut now_ms, mut taken) = (0, BTreeSet::new());
            for (which, count, later_ms) in uses {
                now_ms += later_ms;
                if let Ok(fresh) = nonces.look(now_ms, b"p", &made[which])
                    && nonces.spend(now_ms, fresh, count)
                {
                    prop_assert!(taken.insert((which, count)), "nonce {} and count {} were taken twice", which, count);
                }
                prop_assert!(nonces.in_use() <= most);
            }
        }

        /// With room for all of them, whatever is new and not too far behind is taken.
        #[test]
        fn what_is_new_is_taken_though_others_overtook_it(order in proptest::collection::vec(1..64u32, 1..64)) {
            let mut nonces = nonces(10);
            let nonce = nonces.make(0, b"p");
            let mut taken = BTreeSet::new();
            for count in order {
                let fresh = nonces.look(0, b"p", &nonce).unwrap();
                prop_assert_eq!(nonces.spend(0, fresh, count), taken.insert(count));
            }
        }
    }
}
