//! Seeded damage to messages: the same seed makes the same few hundred malformed packets everywhere.

/// xorshift64* (Vigna 2016).
#[derive(Debug, Clone)]
pub struct Seeded(u64);

impl Seeded {
    /// A generator; any seed will do.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next 64 bits.
    pub const fn bits(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `bound`, which is at least 1.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.bits() >> 16) as usize % bound.max(1)
    }

    /// A damaged copy of `message`: flipped, cut, doubled, spliced or filled with noise.
    #[must_use]
    pub fn damaged(&mut self, message: &[u8]) -> Vec<u8> {
        let mut bytes = message.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            match self.below(6) {
                0 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
                1 => bytes.truncate(at),
                2 => {
                    let piece = bytes[at..(at + self.below(80)).min(bytes.len())].to_vec();
                    let to = self.below(bytes.len() + 1);
                    bytes.splice(to..to, piece);
                }
                3 => {
                    let noise: Vec<u8> = (0..self.below(40)).map(|_| self.bits() as u8).collect();
                    bytes.splice(at..at, noise);
                }
                4 => {
                    let end = (at + self.below(60)).min(bytes.len());
                    bytes.drain(at..end);
                }
                _ => {
                    let digits = self.bits().to_string();
                    if let Some(digit) = bytes[at..].iter().position(u8::is_ascii_digit) {
                        bytes.splice(at + digit..=at + digit, digits.into_bytes());
                    }
                }
            }
            if bytes.is_empty() {
                bytes.push(self.bits() as u8);
            }
        }
        bytes
    }
}
