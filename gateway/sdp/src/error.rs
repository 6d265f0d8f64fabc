//! Why a description was refused, and the SIP status that says so.

/// Why an offer or answer cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    /// Not a session description (RFC 8866).
    #[error("the SDP does not parse: {0}; the peer sends something other than a session description")]
    Syntax(String),
    /// Larger than [`crate::MAX_SDP`] or with too many lines.
    #[error("the SDP is too large; at most 8 KiB and 32 media lines are read")]
    TooLarge,
    /// No audio line that is not refused already.
    #[error("the offer has no audio; only audio calls are answered")]
    NoAudio,
    /// No codec of the trunk's list is in the offer.
    #[error("the offer has no codec of the trunk's list; offered: {offered}")]
    NoCommonCodec {
        /// What was offered, by encoding name.
        offered: String,
    },
    /// The offer insists on encryption of a kind that is switched off for the trunk (SRTP) or not carried (DTLS-SRTP).
    #[error(
        "the offer insists on secure media ({profile}); let the peer offer RTP/AVP, or RTP/SAVP with a=crypto to a trunk that takes SRTP"
    )]
    SecureMedia {
        /// The transport profile of the media line.
        profile: String,
    },
    /// The trunk requires SRTP, and the offer has no key that could be used.
    #[error(
        "the trunk requires SRTP and the offer has no a=crypto that can be used (offered: {offered}); let the peer offer RTP/SAVP with AES_CM_128_HMAC_SHA1_80 or AEAD_AES_128_GCM and no MKI"
    )]
    PlainMedia {
        /// The suites that were offered.
        offered: String,
    },
    /// Encrypted media, but no suite and key that could be used.
    #[error(
        "no a=crypto of the offer can be used (offered: {offered}); let the peer offer AES_CM_128_HMAC_SHA1_80 or AEAD_AES_128_GCM and no MKI"
    )]
    NoCommonCrypto {
        /// The suites that were offered.
        offered: String,
    },
    /// Media that this build does not carry, such as T.38 fax.
    #[error("the offer has only {what}, which is not carried; let the peer offer audio over RTP/AVP")]
    UnsupportedMedia {
        /// Media type and profile.
        what: String,
    },
    /// The far end's media address is of the other family than the local one, a name, or multicast.
    #[error("media address `{address}` cannot be used; a unicast {expected} address is expected")]
    Address {
        /// As received.
        address: String,
        /// `IPv4` or `IPv6`.
        expected: &'static str,
        /// Whether it is a group's address.
        multicast: bool,
    },
    /// An offer came while one of ours waits for its answer.
    #[error("an offer of ours still waits for its answer; let the peer offer again in a moment")]
    OfferPending,
    /// An answer that does not fit the offer it answers.
    #[error("the answer does not fit the offer: {0}")]
    Mismatch(&'static str),
}

/// What a Warning header says of a refused offer (RFC 3261 20.43).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Warning {
    /// The code, 300..=399.
    pub code: u16,
    /// Its words, without quotes.
    pub text: &'static str,
}

impl SdpError {
    /// What a Warning header says beside 488; `None` for what gets 400.
    #[must_use]
    pub const fn warning(&self) -> Option<Warning> {
        let (code, text) = match self {
            Self::Syntax(_) | Self::TooLarge | Self::OfferPending => return None,
            Self::Address { multicast: true, .. } => (330, "Multicast not available"),
            Self::Address { .. } => (301, "Incompatible network address formats"),
            Self::SecureMedia { .. } | Self::PlainMedia { .. } => (302, "Incompatible transport protocol"),
            Self::NoAudio | Self::UnsupportedMedia { .. } => (304, "Media type not available"),
            Self::NoCommonCodec { .. } => (305, "Incompatible media format"),
            Self::NoCommonCrypto { .. } => (306, "Attribute not understood"),
            Self::Mismatch(_) => (399, "Session description does not fit the one before"),
        };
        Some(Warning { code, text })
    }

    /// The SIP status: 400 for what does not parse, 491 for an offer that crosses ours, else 488 Not Acceptable Here (RFC 3261 21.4.26).
    #[must_use]
    pub const fn sip_status(&self) -> u16 {
        match self {
            Self::Syntax(_) | Self::TooLarge => 400,
            Self::OfferPending => 491,
            Self::NoAudio
            | Self::NoCommonCodec { .. }
            | Self::SecureMedia { .. }
            | Self::PlainMedia { .. }
            | Self::NoCommonCrypto { .. }
            | Self::UnsupportedMedia { .. }
            | Self::Address { .. }
            | Self::Mismatch(_) => 488,
        }
    }
}
