//! What is done to one packet: session keys out of a master key (RFC 3711 4.3), and the two ways to protect with them,
//! counter mode with HMAC (RFC 3711 4.1, 4.2) and Galois/counter mode (RFC 7714).

use aes::cipher::{BlockEncrypt, KeyInit};
use aes::{Aes128, Aes256, Block};
use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, Tag, UnboundKey};
use ring::hmac;
use subtle::ConstantTimeEq;
use trunkline_leg::{MasterKey, SrtpSuite};
use zeroize::Zeroizing;

/// Labels of the key derivation (RFC 3711 4.3.1, 4.3.2): encryption, authentication, salt.
pub(super) const RTP: [u8; 3] = [0, 1, 2];
pub(super) const RTCP: [u8; 3] = [3, 4, 5];

/// Bytes of an HMAC-SHA1 key.
const AUTH_KEY: usize = 20;
/// Bytes of a tag of Galois/counter mode.
const GCM_TAG: usize = 16;
/// Blocks enciphered in one go, which is what processors with AES instructions like.
const BLOCKS: usize = 8;

/// Session keys for RTP or RTCP of one direction. All of it lies in place: keys that are no longer needed are dropped in
/// the middle of a call, where nothing may be given back to the heap.
#[derive(Clone)]
#[expect(clippy::large_enum_variant, reason = "a box would go back to the heap with its key")]
pub(super) enum Transform {
    /// AES in counter mode, and a tag of HMAC-SHA1.
    CounterMode { cipher: Aes128, salt: [u8; 14], auth: hmac::Key, tag: usize },
    /// AES in Galois/counter mode, which makes the tag itself.
    Galois { key: LessSafeKey, salt: [u8; NONCE_LEN] },
}

/// What makes the nonce of a packet: its source and its index.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) ssrc: u32,
    /// 48 bits for RTP, 31 for RTCP.
    pub(super) index: u64,
}

impl Transform {
    /// Session keys for `labels`; `None` only if a key does not fit its suite. Allocates.
    pub(super) fn derive(suite: SrtpSuite, master: &MasterKey, labels: [u8; 3]) -> Option<Self> {
        let [encryption, authentication, salting] = labels;
        let derive = |label: u8, out: &mut [u8]| derive(master, label, out);
        match suite {
            SrtpSuite::AesCm128HmacSha1_80 | SrtpSuite::AesCm128HmacSha1_32 => {
                let (mut key, mut salt) = (Zeroizing::new([0; 16]), [0; 14]);
                let mut auth = Zeroizing::new([0; AUTH_KEY]);
                derive(encryption, &mut key[..])?;
                derive(authentication, &mut auth[..])?;
                derive(salting, &mut salt)?;
                // RTCP has the long tag in both suites (RFC 4568 6.2.2).
                let short = suite == SrtpSuite::AesCm128HmacSha1_32 && labels == RTP;
                Some(Self::counter_mode(&key, salt, &auth[..], if short { 4 } else { 10 }))
            }
            SrtpSuite::AeadAes128Gcm | SrtpSuite::AeadAes256Gcm => {
                let (mut key, mut salt) = (Zeroizing::new([0; 32]), [0; NONCE_LEN]);
                let key = key.get_mut(..suite.key_len())?;
                derive(encryption, key)?;
                derive(salting, &mut salt)?;
                Self::galois(key, salt)
            }
        }
    }

    fn counter_mode(key: &[u8; 16], salt: [u8; 14], auth: &[u8], tag: usize) -> Self {
        let auth = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, auth);
        Self::CounterMode { cipher: Aes128::new(key.into()), salt, auth, tag }
    }

    fn galois(key: &[u8], salt: [u8; NONCE_LEN]) -> Option<Self> {
        let algorithm = if key.len() == 32 { &AES_256_GCM } else { &AES_128_GCM };
        Some(Self::Galois { key: LessSafeKey::new(UnboundKey::new(algorithm, key).ok()?), salt })
    }

    /// Bytes that protection adds to an RTP packet; RTCP has the index word besides.
    pub(super) const fn overhead(&self) -> usize {
        match self {
            Self::CounterMode { tag, .. } => *tag,
            Self::Galois { .. } => GCM_TAG,
        }
    }

    /// Protects the RTP packet in `buffer[..length]`, whose header has `header` bytes, and returns its new length.
    /// `None` when there is no room.
    pub(super) fn protect_rtp(&self, place: Place, buffer: &mut [u8], header: usize, length: usize) -> Option<usize> {
        let end = length + self.overhead();
        let (packet, tag) = buffer.get_mut(..end)?.split_at_mut_checked(length)?;
        match self {
            Self::CounterMode { cipher, salt, auth, .. } => {
                counter_mode(cipher, counter(salt, place), packet.get_mut(header..)?);
                let rollover = ((place.index >> 16) as u32).to_be_bytes();
                tag.copy_from_slice(hmac_sha1(auth, packet, &rollover).as_ref().get(..tag.len())?);
            }
            Self::Galois { key, salt } => {
                let (aad, payload) = packet.split_at_mut_checked(header)?;
                let nonce = rtp_nonce(salt, place);
                let made = key.seal_in_place_separate_tag(nonce, Aad::from(aad), payload).ok()?;
                tag.copy_from_slice(made.as_ref());
            }
        }
        Some(end)
    }

    /// Takes the protection off the RTP packet in `buffer`, whose header has `header` bytes, and returns its new length.
    /// `None` when it is not genuine; the buffer is then of no use.
    pub(super) fn open_rtp(&self, place: Place, buffer: &mut [u8], header: usize) -> Option<usize> {
        let length = buffer.len().checked_sub(self.overhead()).filter(|length| *length >= header)?;
        let (packet, tag) = buffer.split_at_mut_checked(length)?;
        match self {
            Self::CounterMode { cipher, salt, auth, .. } => {
                let rollover = ((place.index >> 16) as u32).to_be_bytes();
                is_tag(auth, packet, &rollover, tag).then_some(())?;
                counter_mode(cipher, counter(salt, place), packet.get_mut(header..)?);
            }
            Self::Galois { key, salt } => {
                let (aad, payload) = packet.split_at_mut_checked(header)?;
                open(key, rtp_nonce(salt, place), aad, payload, tag)?;
            }
        }
        Some(length)
    }

    /// Protects the RTCP packet in `buffer[..length]` and returns its new length. `None` when there is no room.
    pub(super) fn protect_rtcp(&self, place: Place, buffer: &mut [u8], length: usize) -> Option<usize> {
        // The first bit says that the packet is encrypted.
        let word = (place.index as u32 | ENCRYPTED).to_be_bytes();
        let end = length + WORD + self.overhead();
        let buffer = buffer.get_mut(..end)?;
        match self {
            Self::CounterMode { cipher, salt, auth, .. } => {
                counter_mode(cipher, counter(salt, place), buffer.get_mut(RTCP_HEADER..length)?);
                buffer.get_mut(length..length + WORD)?.copy_from_slice(&word);
                let (packet, tag) = buffer.split_at_mut_checked(length + WORD)?;
                tag.copy_from_slice(hmac_sha1(auth, packet, &[]).as_ref().get(..tag.len())?);
            }
            Self::Galois { key, salt } => {
                let (packet, rest) = buffer.split_at_mut_checked(length)?;
                let (header, body) = packet.split_at_mut_checked(RTCP_HEADER)?;
                let aad = rtcp_aad(header, word)?;
                let made = key.seal_in_place_separate_tag(rtcp_nonce(salt, place), Aad::from(aad), body).ok()?;
                let (tag, index) = rest.split_at_mut_checked(GCM_TAG)?;
                tag.copy_from_slice(made.as_ref());
                index.copy_from_slice(&word);
            }
        }
        Some(end)
    }

    /// The index of a protected RTCP packet, which stands in it; `None` when it is too short or not encrypted.
    pub(super) fn rtcp_index(&self, packet: &[u8]) -> Option<u64> {
        let behind = match self {
            Self::CounterMode { tag, .. } => *tag,
            Self::Galois { .. } => 0,
        };
        let end = packet.len().checked_sub(behind)?;
        let word = packet.get(end.checked_sub(WORD)?..end)?;
        let word = u32::from_be_bytes(word.try_into().ok()?);
        (word & ENCRYPTED != 0).then_some(u64::from(word & !ENCRYPTED))
    }

    /// Takes the protection off the RTCP packet in `buffer` and returns its new length. `None` when it is not genuine; the
    /// buffer is then of no use.
    pub(super) fn open_rtcp(&self, place: Place, buffer: &mut [u8]) -> Option<usize> {
        let length = buffer.len().checked_sub(WORD + self.overhead()).filter(|length| *length >= RTCP_HEADER)?;
        match self {
            Self::CounterMode { cipher, salt, auth, .. } => {
                let (packet, tag) = buffer.split_at_mut_checked(length + WORD)?;
                is_tag(auth, packet, &[], tag).then_some(())?;
                counter_mode(cipher, counter(salt, place), packet.get_mut(RTCP_HEADER..length)?);
            }
            Self::Galois { key, salt } => {
                let (packet, rest) = buffer.split_at_mut_checked(length)?;
                let (tag, index) = rest.split_at_mut_checked(GCM_TAG)?;
                let (header, body) = packet.split_at_mut_checked(RTCP_HEADER)?;
                let aad = rtcp_aad(header, (*index).try_into().ok()?)?;
                open(key, rtcp_nonce(salt, place), &aad, body, tag)?;
            }
        }
        Some(length)
    }
}

/// Bytes of an RTCP packet that stay readable.
pub(super) const RTCP_HEADER: usize = 8;
/// Bytes of the word with the index of an RTCP packet.
pub(super) const WORD: usize = 4;
const ENCRYPTED: u32 = 1 << 31;

impl std::fmt::Debug for Transform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Transform(..)")
    }
}

/// A session key (RFC 3711 4.3.3; RFC 6188 for keys of 256 bits; RFC 7714 11 for salts of 96 bits).
fn derive(master: &MasterKey, label: u8, out: &mut [u8]) -> Option<()> {
    let mut counter = [0; 16];
    counter.get_mut(..master.salt().len())?.copy_from_slice(master.salt());
    // The label stands before 48 bits of zeros, which are the key derivation rate's.
    counter[7] ^= label;
    out.fill(0);
    match master.key().len() {
        32 => counter_mode(&Aes256::new_from_slice(master.key()).ok()?, counter, out),
        _ => counter_mode(&Aes128::new_from_slice(master.key()).ok()?, counter, out),
    }
    Some(())
}

/// The first counter block of a packet (RFC 3711 4.1.1).
fn counter(salt: &[u8; 14], place: Place) -> [u8; 16] {
    let mut block = [0; 16];
    block[..14].copy_from_slice(salt);
    for (byte, ssrc) in block[4..8].iter_mut().zip(place.ssrc.to_be_bytes()) {
        *byte ^= ssrc;
    }
    for (byte, index) in block[8..14].iter_mut().zip(&place.index.to_be_bytes()[2..]) {
        *byte ^= index;
    }
    block
}

/// Adds the key stream to `data`. The last two bytes of `first` count blocks and are 0: no packet has 65 536.
fn counter_mode(cipher: &impl BlockEncrypt<BlockSize = aes::cipher::consts::U16>, first: [u8; 16], data: &mut [u8]) {
    let mut number = 0_u16;
    for chunk in data.chunks_mut(16 * BLOCKS) {
        let mut blocks = [Block::from(first); BLOCKS];
        let used = chunk.len().div_ceil(16);
        for block in &mut blocks[..used] {
            block[14..].copy_from_slice(&number.to_be_bytes());
            number = number.wrapping_add(1);
        }
        cipher.encrypt_blocks(&mut blocks[..used]);
        for (byte, stream) in chunk.iter_mut().zip(blocks.iter().flatten()) {
            *byte ^= stream;
        }
    }
}

fn hmac_sha1(key: &hmac::Key, packet: &[u8], behind: &[u8]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    context.update(packet);
    context.update(behind);
    context.sign()
}

fn is_tag(key: &hmac::Key, packet: &[u8], behind: &[u8], tag: &[u8]) -> bool {
    let made = hmac_sha1(key, packet, behind);
    made.as_ref().get(..tag.len()).is_some_and(|made| made.ct_eq(tag).into())
}

/// RFC 7714 8.1.
fn rtp_nonce(salt: &[u8; NONCE_LEN], place: Place) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    nonce[2..6].copy_from_slice(&place.ssrc.to_be_bytes());
    nonce[6..].copy_from_slice(&place.index.to_be_bytes()[2..]);
    salted(nonce, salt)
}

/// RFC 7714 9.1.
fn rtcp_nonce(salt: &[u8; NONCE_LEN], place: Place) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    nonce[2..6].copy_from_slice(&place.ssrc.to_be_bytes());
    nonce[8..].copy_from_slice(&place.index.to_be_bytes()[4..]);
    salted(nonce, salt)
}

fn salted(mut nonce: [u8; NONCE_LEN], salt: &[u8; NONCE_LEN]) -> Nonce {
    for (byte, salt) in nonce.iter_mut().zip(salt) {
        *byte ^= salt;
    }
    Nonce::assume_unique_for_key(nonce)
}

/// What is authenticated of an encrypted RTCP packet beside its body (RFC 7714 9.2).
fn rtcp_aad(header: &[u8], word: [u8; WORD]) -> Option<[u8; RTCP_HEADER + WORD]> {
    let mut aad = [0; RTCP_HEADER + WORD];
    aad[..RTCP_HEADER].copy_from_slice(header.get(..RTCP_HEADER)?);
    aad[RTCP_HEADER..].copy_from_slice(&word);
    Some(aad)
}

fn open(key: &LessSafeKey, nonce: Nonce, aad: &[u8], body: &mut [u8], tag: &[u8]) -> Option<()> {
    let tag = Tag::try_from(tag).ok()?;
    key.open_in_place_separate_tag(nonce, Aad::from(aad), tag, body, 0..).ok().map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    fn array<const N: usize>(hex: &str) -> [u8; N] {
        bytes(hex).try_into().unwrap()
    }

    #[test]
    fn counter_mode_is_that_of_rfc_3711_b_2() {
        let cipher = Aes128::new(&array::<16>("2B7E151628AED2A6ABF7158809CF4F3C").into());
        let salt = array("F0F1F2F3F4F5F6F7F8F9FAFBFCFD");
        let mut stream = vec![0; 0xff02 * 16];
        counter_mode(&cipher, counter(&salt, Place { ssrc: 0, index: 0 }), &mut stream);
        assert_eq!(
            stream[..48],
            bytes("E03EAD0935C95E80E166B16DD92B4EB4 D23513162B02D0F72A43A2FE4A5F97AB 41E95B3BB0A2E8DD477901E4FCA894C0")
        );
        assert_eq!(
            stream[0xfeff * 16..],
            bytes("EC8CDF7398607CB0F2D21675EA9EA1E4 362B7C3C6773516318A077D7FC5073AE 6A2CC3787889374FBEB4C81B17BA6C44")
        );
    }

    #[test]
    fn session_keys_are_those_of_rfc_3711_b_3() {
        let master = bytes("E1F97A0D3E018BE0D64FA32C06DE4139 0EC675AD498AFEEBB6960B3AABE6");
        let master = MasterKey::new(SrtpSuite::AesCm128HmacSha1_80, &master).unwrap();
        let key = |label: u8, length: usize| {
            let mut out = vec![0; length];
            derive(&master, label, &mut out).unwrap();
            out
        };
        assert_eq!(key(0, 16), bytes("C61E7A93744F39EE10734AFE3FF7A087"));
        assert_eq!(key(2, 14), bytes("30CBBC08863D8C85D49DB34A9AE1"));
        let auth = "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA48F0A0ACF3C34E2359E6CDBCEE049646C43D9327AD175578EF72270986371C10C9A369AC2F94A8C5FBCDDDC256D6E919A48B610EF17C2041E474035766B68642C59BBFC2F34DB60DBDFB2";
        assert_eq!(key(1, 94), bytes(auth));
    }

    #[test]
    fn packets_are_those_of_rfc_7714_16() {
        let cases = [
            (
                "000102030405060708090a0b0c0d0e0f",
                "f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833899d7f27beb16a9152cf765ee4390cce",
            ),
            (
                "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
                "32b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f1ba63799b87b7aa3db36dfffd6b0f9bb7878d7a76c13",
            ),
        ];
        let header = bytes("8040f17b 8041f8d3 5501a0b2");
        let plain = [&header[..], b"Gallia est omnis divisa in partes tres"].concat();
        let place = Place { ssrc: 0x5501_a0b2, index: 0xf17b };
        for (key, sealed) in cases {
            let transform = Transform::galois(&bytes(key), array("517569642070726f2071756f")).unwrap();
            let mut buffer = [&plain[..], &[0; 16]].concat();
            assert_eq!(transform.protect_rtp(place, &mut buffer, 12, plain.len()), Some(buffer.len()));
            assert_eq!(buffer, [&header[..], &bytes(sealed)].concat());
            assert_eq!(transform.open_rtp(place, &mut buffer, 12), Some(plain.len()));
            assert_eq!(buffer[..plain.len()], plain);
        }
    }

    #[test]
    fn control_packets_are_those_of_rfc_7714_17() {
        let transform =
            Transform::galois(&bytes("000102030405060708090a0b0c0d0e0f"), array("517569642070726f2071756f")).unwrap();
        let plain = bytes(
            "81c8000d4d617273 4e5450314e545032525450200000042a0000e9304c756e61 deadbeefdeadbeefdeadbeefdeadbeefdeadbeef",
        );
        let sealed = bytes(
            "81c8000d4d617273 63e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda4ce09b4686303ded0bb9275b c84aa45896cf4d2fc5abf87245d9eade 800005d4",
        );
        let place = Place { ssrc: 0x4d61_7273, index: 0x5d4 };
        let mut buffer = [&plain[..], &[0; 20]].concat();
        assert_eq!(transform.protect_rtcp(place, &mut buffer, plain.len()), Some(buffer.len()));
        assert_eq!(buffer, sealed);
        assert_eq!(transform.rtcp_index(&buffer), Some(0x5d4));
        assert_eq!(transform.open_rtcp(place, &mut buffer), Some(plain.len()));
        assert_eq!(buffer[..plain.len()], plain);
    }

    #[test]
    fn a_packet_without_room_for_its_tag_is_not_sent() {
        for suite in SrtpSuite::ALL {
            let master = MasterKey::new(suite, &vec![3; suite.master_len()]).unwrap();
            let transform = Transform::derive(suite, &master, RTP).unwrap();
            let place = Place { ssrc: 1, index: 1 };
            let most = 100 + transform.overhead();
            assert_eq!(transform.protect_rtp(place, &mut vec![0x80; most - 1], 12, 100), None);
            assert_eq!(transform.protect_rtp(place, &mut vec![0x80; most], 12, 100), Some(most));
            assert_eq!(transform.protect_rtcp(place, &mut vec![0x80; most + 3], 100), None);
        }
    }
}
