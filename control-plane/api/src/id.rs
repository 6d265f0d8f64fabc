//! Identifiers: `prefix_` + a UUIDv7 (RFC 9562 5.7) as 26 lower-case Crockford base-32 characters.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

macro_rules! prefixes {
    ($($variant:ident $text:literal $doc:literal),+ $(,)?) => {
        /// What an identifier identifies.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Prefix { $(#[doc = $doc] $variant),+ }

        impl Prefix {
            /// Every prefix.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The text before the underscore.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }
    };
}

prefixes! {
    Tenant "ten" "A tenant.", User "usr" "A user.", ApiKey "key" "An API key.", Session "ses" "A session.",
    Agent "agt" "An agent.", Call "call" "A call.", Leg "leg" "A leg of a call.", Turn "trn" "A turn of a call.",
    Utterance "utt" "An utterance.", Event "evt" "An event.", Gateway "gw" "A gateway.", Trunk "trk" "A SIP trunk.",
    Number "num" "A number.", Route "rte" "A route.", OutboundRoute "ort" "An outbound route.",
    Provider "prv" "A configured provider.",
    Plugin "plg" "A plugin.", Tool "tool" "A tool.", KnowledgeBase "kb" "A knowledge base.", Voice "voi" "A voice.",
    Campaign "cmp" "A campaign.", Webhook "whk" "A webhook endpoint.", Delivery "dlv" "A webhook delivery.",
    Message "msg" "A message.", Job "job" "A job.", Workflow "wfl" "A workflow.", Command "cmd" "A command.",
    Role "rol" "A role.", Lease "lse" "A lease.", Recording "rec" "A recording.", Rendering "rnd" "A line that was rendered beforehand.", Request "req" "A request.",
}

/// An identifier of any kind. Ids of one kind sort by the time they were minted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    prefix: Prefix,
    bits: u128,
}

/// A text is not an identifier; identifiers look like `agt_01jd3v6m8kq2h5r9xw4n7p0tza`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// There is no known prefix.
    #[error("`{0}` is not an identifier: expected a known prefix, an underscore and 26 characters")]
    Shape(String),
    /// The prefix is of another kind.
    #[error("`{found}` is not a `{expected}_` identifier")]
    Kind {
        /// The prefix that was expected.
        expected: &'static str,
        /// The text.
        found: String,
    },
}

impl Id {
    /// Mints an id from milliseconds since the Unix epoch and 10 random bytes.
    #[must_use]
    pub fn mint(prefix: Prefix, unix_ms: u64, random: [u8; 10]) -> Self {
        let mut tail = [0_u8; 16];
        tail[6..].copy_from_slice(&random);
        let random = u128::from_be_bytes(tail);
        let time = u128::from(unix_ms & 0xffff_ffff_ffff) << 80;
        let bits = (time | random) & !(0xf_u128 << 76) & !(0b11_u128 << 62);
        Self { prefix, bits: bits | (7_u128 << 76) | (0b10_u128 << 62) }
    }

    /// What it identifies.
    #[must_use]
    pub const fn prefix(&self) -> Prefix {
        self.prefix
    }

    /// Milliseconds since the Unix epoch at which it was minted.
    #[must_use]
    pub const fn unix_ms(&self) -> u64 {
        (self.bits >> 80) as u64
    }

    /// Parses an id that must be of kind `prefix`.
    pub fn parse_as(prefix: Prefix, text: &str) -> Result<Self, IdError> {
        let id: Self = text.parse()?;
        if id.prefix == prefix {
            Ok(id)
        } else {
            Err(IdError::Kind { expected: prefix.as_str(), found: text.chars().take(40).collect() })
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.prefix.as_str())?;
        f.write_str("_")?;
        for digit in (0..26).rev() {
            let index = (self.bits >> (digit * 5)) as usize & 31;
            f.write_str(char::from(ALPHABET[index]).encode_utf8(&mut [0; 4]))?;
        }
        Ok(())
    }
}

impl FromStr for Id {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let shape = || IdError::Shape(text.chars().take(40).collect());
        let (prefix, body) = text.split_once('_').ok_or_else(shape)?;
        let prefix = *Prefix::ALL.iter().find(|known| known.as_str() == prefix).ok_or_else(shape)?;
        if body.len() != 26 {
            return Err(shape());
        }
        let mut bits = 0_u128;
        for (index, character) in body.bytes().enumerate() {
            let digit = ALPHABET.iter().position(|&known| known == character).ok_or_else(shape)?;
            if index == 0 && digit > 7 {
                return Err(shape());
            }
            bits = (bits << 5) | digit as u128;
        }
        Ok(Self { prefix, bits })
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ids_round_trip_and_sort_by_time(ms in 0_u64..1 << 47, random: [u8; 10], later in 1_u64..1000) {
            let id = Id::mint(Prefix::Call, ms, random);
            prop_assert_eq!(id.to_string().parse::<Id>().unwrap(), id.clone());
            prop_assert_eq!(id.unix_ms(), ms);
            prop_assert!(Id::mint(Prefix::Call, ms + later, [0; 10]).to_string() > id.to_string());
        }

        #[test]
        fn any_text_is_parsed_or_refused(text: String) {
            let _ = text.parse::<Id>();
        }
    }
}
