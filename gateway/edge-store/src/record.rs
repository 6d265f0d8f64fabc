//! One record of a log: length, CRC32C, payload; the payload is the sequence number and the body.
//!
//! ```text
//! 0        4        8                16
//! | length | crc32c | seq            | body ... |     integers little-endian; length = 8 + body
//! ```
//! The checksum covers the length and the payload. Bodies are JSON, which never holds a NUL byte, so no body can
//! contain the image of another record.

/// Largest body.
pub const MAX_BODY_BYTES: usize = 256 * 1024;
pub(crate) const HEAD: usize = 8;
const SEQ: usize = 8;
/// Smallest record on disk.
pub(crate) const MIN_RECORD: usize = HEAD + SEQ;

/// A decoded record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'b> {
    /// Sequence number.
    pub seq: u64,
    /// Body.
    pub body: &'b [u8],
    /// Bytes it takes in the log.
    pub size: usize,
}

/// Why there is no record at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordFault {
    /// The bytes end first.
    #[error("the record is cut short")]
    Short,
    /// The length is impossible.
    #[error("the length is impossible")]
    Length,
    /// The checksum does not match.
    #[error("the checksum does not match")]
    Checksum,
}

/// Appends the record to `out`. The caller keeps `body` within [`MAX_BODY_BYTES`].
pub fn encode(seq: u64, body: &[u8], out: &mut Vec<u8>) {
    let length = ((SEQ + body.len()) as u32).to_le_bytes();
    let seq = seq.to_le_bytes();
    let crc = crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(&length), &seq), body);
    out.extend_from_slice(&length);
    out.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(&seq);
    out.extend_from_slice(body);
}

/// Decodes the record at the start of `bytes`.
pub fn decode(bytes: &[u8]) -> Result<Record<'_>, RecordFault> {
    let (length_bytes, rest) = bytes.split_first_chunk::<4>().ok_or(RecordFault::Short)?;
    let (crc, rest) = rest.split_first_chunk::<4>().ok_or(RecordFault::Short)?;
    let length = u32::from_le_bytes(*length_bytes) as usize;
    if !(SEQ..=SEQ + MAX_BODY_BYTES).contains(&length) {
        return Err(RecordFault::Length);
    }
    let payload = rest.get(..length).ok_or(RecordFault::Short)?;
    if crc32c::crc32c_append(crc32c::crc32c(length_bytes), payload) != u32::from_le_bytes(*crc) {
        return Err(RecordFault::Checksum);
    }
    let (seq, body) = payload.split_first_chunk::<SEQ>().ok_or(RecordFault::Length)?;
    Ok(Record { seq: u64::from_le_bytes(*seq), body, size: HEAD + length })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_record_round_trips_and_any_cut_is_short(seq: u64, body in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut bytes = Vec::new();
            encode(seq, &body, &mut bytes);
            let record = decode(&bytes).unwrap();
            prop_assert_eq!((record.seq, record.body, record.size), (seq, body.as_slice(), bytes.len()));
            for cut in 0..bytes.len() {
                prop_assert_eq!(decode(&bytes[..cut]), Err(RecordFault::Short));
            }
        }

        #[test]
        fn any_changed_bit_is_noticed(seq: u64, body in prop::collection::vec(any::<u8>(), 0..60), at: prop::sample::Index, bit in 0_u32..8) {
            let mut bytes = Vec::new();
            encode(seq, &body, &mut bytes);
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(decode(&bytes).is_err());
        }

        #[test]
        fn any_bytes_are_decoded_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(record) = decode(&bytes) {
                let mut again = Vec::new();
                encode(record.seq, record.body, &mut again);
                prop_assert_eq!(&bytes[..record.size], &again[..]);
            }
        }
    }
}
