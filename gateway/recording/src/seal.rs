//! The sealed form: a header with the file's wrapped key, then records that can neither be changed, nor moved, nor
//! left out in the middle.
//!
//! ```text
//! header   0  8  "TLSEALED"
//!          8  1  format, 1
//!          9  1  what is inside: 1 WAV, 2 Ogg/Opus, 3 the log of a call
//!         10  2  0
//!         12  4  sample rate in Hz, 0 without sound
//!         16  8  id of the public key
//!         24 32  encapsulated key (HPKE base mode: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305)
//!         56 48  the file's key of 32 bytes, sealed; associated data are bytes 0..24
//!        104  4  CRC-32C of bytes 0..104
//! record   0  4  length of the ciphertext with its tag; the highest bit marks the last record
//!          4  4  CRC-32C of the length and the record's number
//!          8  .  ciphertext (STREAM-BE32 over ChaCha20-Poly1305 under the file's key, nonce prefix 0)
//! ```
//!
//! Numbers are little-endian. The checksums tell a file that was cut from one that was changed; what protects it is the
//! authenticated encryption. The file's key serves this file alone, so that the nonce prefix need not vary.

use aead_stream::{EncryptorBE32, StreamBE32};
use chacha20poly1305::ChaCha20Poly1305;
use hpke::aead::ChaCha20Poly1305 as WrapCipher;
use hpke::kdf::HkdfSha256;
use hpke::{OpModeS, Serializable as _};
use zeroize::Zeroizing;

use crate::container::Container;
use crate::error::RecordingError;
use crate::key::{KeyWrap, PublicKey};

/// Bytes of the header.
pub(crate) const HEADER: usize = 108;
/// Bytes of the header that the wrapped key is bound to.
pub(crate) const BOUND: usize = 24;
/// Where the parts of the header that follow begin.
pub(crate) const SEALED_KEY: usize = 56;
pub(crate) const CHECKSUM: usize = 104;
/// Bytes before a record's ciphertext.
pub(crate) const RECORD_HEADER: usize = 8;
/// Bytes of an authentication tag.
pub(crate) const TAG: usize = 16;
/// Marks the last record in its length.
pub(crate) const LAST: u32 = 1 << 31;
/// The largest plaintext of a record in bytes: a second of two voices at 48 kHz, and to spare.
pub const MAX_RECORD: usize = 1 << 18;

pub(crate) const MAGIC: &[u8; 8] = b"TLSEALED";
pub(crate) const FORMAT: u8 = 1;
/// What the wrapped key is for (RFC 9180 5.1, `info`).
pub(crate) const PURPOSE: &[u8] = b"trunkline recording 1";

/// Stream cipher of the records.
pub(crate) type RecordStream = StreamBE32<ChaCha20Poly1305>;

/// What a sealed recording says about itself in clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What is inside.
    pub container: Container,
    /// Rate of the sound in Hz.
    pub rate: u32,
    /// [`PublicKey::id`] of the key it is sealed to.
    pub key_id: [u8; 8],
}

impl Header {
    pub(crate) fn bound(&self) -> [u8; BOUND] {
        let mut bytes = [0; BOUND];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8] = FORMAT;
        bytes[9] = self.container.number();
        bytes[12..16].copy_from_slice(&self.rate.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.key_id);
        bytes
    }
}

/// Seals a recording, record by record.
pub struct Sealer {
    stream: EncryptorBE32<ChaCha20Poly1305>,
    records: u32,
}

impl Sealer {
    /// Begins a file for whoever holds the secret half of `key`; its header is appended to `out`.
    ///
    /// # Errors
    /// [`RecordingError::Randomness`] when the operating system gives no randomness.
    pub fn begin(key: &PublicKey, container: Container, rate: u32, out: &mut Vec<u8>) -> Result<Self, RecordingError> {
        let header = Header { container, rate, key_id: key.id() };
        let mut file_key = Zeroizing::new([0; 32]);
        getrandom::fill(&mut file_key[..]).map_err(|error| RecordingError::Randomness(error.to_string()))?;
        let bound = header.bound();
        let (encapsulated, sealed) = hpke::single_shot_seal::<WrapCipher, HkdfSha256, KeyWrap>(
            &OpModeS::Base,
            key.inner(),
            PURPOSE,
            &file_key[..],
            &bound,
        )
        .map_err(|error| RecordingError::Randomness(error.to_string()))?;
        let begun = out.len();
        out.extend_from_slice(&bound);
        out.extend_from_slice(&encapsulated.to_bytes());
        out.extend_from_slice(&sealed);
        let checksum = crc32c::crc32c(&out[begun..]);
        out.extend_from_slice(&checksum.to_le_bytes());
        Ok(Self::with_key(&file_key))
    }

    pub(crate) fn with_key(file_key: &[u8; 32]) -> Self {
        Self { stream: EncryptorBE32::new(file_key.into(), &Default::default()), records: 0 }
    }

    /// Seals `plain` as the next record, appended to `out`. Longer than [`MAX_RECORD`] it becomes several.
    pub fn record(&mut self, plain: &[u8], out: &mut Vec<u8>) {
        for part in plain.chunks(MAX_RECORD) {
            // 2^32 records of a second are 136 years, and an AEAD has no other way to fail at this length.
            if let Ok(sealed) = self.stream.encrypt_next(part) {
                append(self.records, 0, &sealed, out);
                self.records += 1;
            }
        }
    }

    /// Seals `plain` as the last record: without one, a recording counts as cut.
    pub fn finish(mut self, plain: &[u8], out: &mut Vec<u8>) {
        let cut = plain.len().saturating_sub(1) / MAX_RECORD * MAX_RECORD;
        let (before, last) = plain.split_at(cut);
        self.record(before, out);
        if let Ok(sealed) = self.stream.encrypt_last(last) {
            append(self.records, LAST, &sealed, out);
        }
    }
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealer").field("records", &self.records).finish_non_exhaustive()
    }
}

fn append(record: u32, last: u32, sealed: &[u8], out: &mut Vec<u8>) {
    let length = sealed.len() as u32 | last;
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&record_checksum(length, record).to_le_bytes());
    out.extend_from_slice(sealed);
}

/// Checksum over a record's length and number.
pub(crate) fn record_checksum(length: u32, record: u32) -> u32 {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    bytes[4..].copy_from_slice(&record.to_le_bytes());
    crc32c::crc32c(&bytes)
}
