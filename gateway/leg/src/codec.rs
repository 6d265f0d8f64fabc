//! Audio codecs by their RTP names: numbers, clocks and packet sizes, but no sound.

use std::fmt;
use std::str::FromStr;

/// Audio codecs by their RTP encoding names (RFC 3551, RFC 7587).
///
/// The RTP clock and the rate of the decoded sound are two things: G.722 counts 8000 ticks a second for 16 000 samples,
/// Opus always 48 000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// G.711 mu-law, 8 kHz, static payload type 0.
    Pcmu,
    /// G.711 A-law, 8 kHz, static payload type 8.
    Pcma,
    /// G.722 at 64 kbit/s, 16 kHz, static payload type 9.
    G722,
    /// Opus (RFC 6716), coded and decoded at 16 kHz, mono.
    Opus,
    /// Linear 16-bit samples at 8 kHz.
    L16Narrowband,
    /// Linear 16-bit samples at 16 kHz.
    L16Wideband,
}

impl Codec {
    /// Every codec there is.
    pub const ALL: [Self; 6] = [Self::Pcmu, Self::Pcma, Self::G722, Self::Opus, Self::L16Narrowband, Self::L16Wideband];

    /// The RTP encoding name. The two L16 share theirs; [`Codec::to_string`] tells them apart.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
            Self::G722 => "G722",
            Self::Opus => "opus",
            Self::L16Narrowband | Self::L16Wideband => "L16",
        }
    }

    /// RTP clock rate in Hz: what timestamps count.
    #[must_use]
    pub const fn clock_rate(self) -> u32 {
        match self {
            // RFC 3551 4.5.2: 8000 by mistake, and kept.
            Self::Pcmu | Self::Pcma | Self::G722 | Self::L16Narrowband => 8000,
            Self::L16Wideband => 16_000,
            Self::Opus => 48_000,
        }
    }

    /// Rate of the decoded sound in Hz, 8000 or 16 000.
    #[must_use]
    pub const fn sample_rate(self) -> u32 {
        match self {
            Self::Pcmu | Self::Pcma | Self::L16Narrowband => 8000,
            Self::G722 | Self::Opus | Self::L16Wideband => 16_000,
        }
    }

    /// The static payload type of RFC 3551 table 4, where there is one.
    #[must_use]
    pub const fn static_payload_type(self) -> Option<u8> {
        match self {
            Self::Pcmu => Some(0),
            Self::Pcma => Some(8),
            Self::G722 => Some(9),
            Self::Opus | Self::L16Narrowband | Self::L16Wideband => None,
        }
    }

    /// The payload type that our offers give it: the static one, or one of 96..=127.
    #[must_use]
    pub const fn offered_payload_type(self) -> u8 {
        match self {
            Self::Pcmu => 0,
            Self::Pcma => 8,
            Self::G722 => 9,
            Self::Opus => 111,
            Self::L16Narrowband => 112,
            Self::L16Wideband => 113,
        }
    }

    /// Channels of the `a=rtpmap` line: 2 for Opus whatever is sent (RFC 7587 7), else 1.
    #[must_use]
    pub const fn rtpmap_channels(self) -> u8 {
        match self {
            Self::Opus => 2,
            Self::Pcmu | Self::Pcma | Self::G722 | Self::L16Narrowband | Self::L16Wideband => 1,
        }
    }

    /// Packet time in milliseconds where nobody asks for another.
    #[must_use]
    pub const fn default_ptime_ms(self) -> u8 {
        20
    }

    /// The longest packet time in milliseconds that fits a datagram of 1500 bytes and the pacing of media.
    #[must_use]
    pub const fn max_ptime_ms(self) -> u8 {
        match self {
            Self::L16Wideband => 40,
            Self::Pcmu | Self::Pcma | Self::G722 | Self::Opus | Self::L16Narrowband => 60,
        }
    }

    /// Whether packets of `ms` milliseconds can be sent: a multiple of 10 up to [`Codec::max_ptime_ms`] that is also a
    /// frame of the codec.
    #[must_use]
    pub const fn takes_ptime_ms(self, ms: u8) -> bool {
        let paced = ms >= 10 && ms <= self.max_ptime_ms() && ms.is_multiple_of(10);
        match self {
            Self::Opus => paced && matches!(ms, 10 | 20 | 40 | 60),
            Self::Pcmu | Self::Pcma | Self::G722 | Self::L16Narrowband | Self::L16Wideband => paced,
        }
    }

    /// Bytes that 20 ms take at most. For Opus a third of its largest packet, which may hold 60 ms and more.
    #[must_use]
    pub const fn frame_bytes(self) -> usize {
        match self {
            Self::Pcmu | Self::Pcma | Self::G722 => 160,
            Self::L16Narrowband => 320,
            Self::L16Wideband => 640,
            Self::Opus => 425,
        }
    }

    /// Ticks of the RTP clock in `samples` of sound at `rate` Hz.
    #[must_use]
    pub const fn ticks(self, samples: u64, rate: u32) -> u64 {
        if rate == 0 { 0 } else { samples * self.clock_rate() as u64 / rate as u64 }
    }

    /// Whether pauses may be described by comfort noise (RFC 3389); Opus has its own way.
    #[must_use]
    pub const fn takes_comfort_noise(self) -> bool {
        !matches!(self, Self::Opus)
    }
}

impl fmt::Display for Codec {
    /// The encoding name, with the clock rate where that alone tells two codecs apart: `PCMU`, `L16/16000`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::L16Narrowband | Self::L16Wideband => write!(f, "{}/{}", self.name(), self.clock_rate()),
            Self::Pcmu | Self::Pcma | Self::G722 | Self::Opus => f.write_str(self.name()),
        }
    }
}

/// A codec name this build does not know; the message lists those it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownCodec(pub String);

impl fmt::Display for UnknownCodec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = Codec::ALL.map(|codec| codec.to_string()).join(", ");
        write!(f, "unknown codec `{}`; known are {known}", self.0)
    }
}

impl std::error::Error for UnknownCodec {}

impl FromStr for Codec {
    type Err = UnknownCodec;

    /// Parses an encoding name, ignoring case, with or without its clock rate; `L16` alone is the one at 16 kHz.
    fn from_str(text: &str) -> Result<Self, UnknownCodec> {
        let unknown = || UnknownCodec(text.to_owned());
        let (name, clock) = match text.split_once('/') {
            Some((name, clock)) => (name, Some(clock.parse::<u32>().map_err(|_| unknown())?)),
            None => (text, None),
        };
        // The wider of two codecs of one name is the later one.
        let mut named = Self::ALL.into_iter().rev().filter(|codec| codec.name().eq_ignore_ascii_case(name));
        named.find(|codec| clock.is_none_or(|clock| codec.clock_rate() == clock)).ok_or_else(unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_codec_is_found_by_what_it_prints() {
        for codec in Codec::ALL {
            assert_eq!(codec.to_string().parse(), Ok(codec));
            assert_eq!(codec.to_string().to_lowercase().parse(), Ok(codec));
        }
        assert_eq!("L16".parse(), Ok(Codec::L16Wideband));
        assert_eq!("PCMU/8000".parse(), Ok(Codec::Pcmu));
        for unknown in ["", "G729", "L16/44100", "PCMU/16000", "opus/x", "opus/48000/2"] {
            assert_eq!(unknown.parse::<Codec>(), Err(UnknownCodec(unknown.to_owned())));
        }
        let told = "G729".parse::<Codec>().unwrap_err().to_string();
        assert_eq!(told, "unknown codec `G729`; known are PCMU, PCMA, G722, opus, L16/8000, L16/16000");
    }

    #[test]
    fn timestamps_count_the_clock_and_not_the_samples() {
        for (codec, ticks) in [(Codec::Pcma, 160), (Codec::G722, 160), (Codec::Opus, 960), (Codec::L16Wideband, 320)] {
            assert_eq!(codec.ticks(u64::from(codec.sample_rate()) / 50, codec.sample_rate()), ticks, "{codec}");
        }
        assert_eq!(Codec::Opus.ticks(160, 8000), 960, "whatever rate it is decoded at");
    }

    #[test]
    fn what_a_codec_may_send_fits_a_datagram() {
        for codec in Codec::ALL {
            assert!(codec.takes_ptime_ms(codec.default_ptime_ms()) && codec.takes_ptime_ms(codec.max_ptime_ms()));
            assert!(!codec.takes_ptime_ms(0) && !codec.takes_ptime_ms(15) && !codec.takes_ptime_ms(70));
            assert!(codec.frame_bytes() * usize::from(codec.max_ptime_ms()) / 20 <= 1280);
            let number = codec.offered_payload_type();
            assert!(codec.static_payload_type().map_or((96..128).contains(&number), |fixed| fixed == number));
        }
        assert!(Codec::Pcmu.takes_ptime_ms(30) && !Codec::Opus.takes_ptime_ms(30));
    }
}
