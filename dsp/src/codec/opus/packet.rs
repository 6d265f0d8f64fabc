//! What an Opus packet says of itself before it is decoded (RFC 6716 section 3 and 4.2.3): frames, durations, and the
//! flags for voice activity and in-band redundancy.

/// The longest packet: 120 ms.
const MAX_TICKS: usize = 48;
/// The longest frame in bytes; a length on the wire cannot say more, but one that is left to the packet's can.
const MAX_FRAME: usize = 1275;

/// Header of an Opus packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Packet<'a> {
    /// Duration of a frame in ticks of 2.5 ms.
    ticks: usize,
    /// Frames in the packet.
    frames: usize,
    /// Whether a SILK layer is there, alone or below CELT.
    silk: bool,
    stereo: bool,
    /// The first frame, as far as the packet holds it.
    first: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Reads the header; `None` when it is not an Opus packet, or one longer than 120 ms, or with a frame longer than
    /// 1275 bytes.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (toc, rest) = bytes.split_first()?;
        let config = toc >> 3;
        let ticks = match config {
            0..12 => [4, 8, 16, 24][usize::from(config & 3)],
            12..16 => [4, 8][usize::from(config & 1)],
            _ => [1, 2, 4, 8][usize::from(config & 3)],
        };
        // The frames, the first one, and the length of the last one, which the packet's end gives.
        let (frames, first, last) = match toc & 3 {
            0 => (1, rest, rest.len()),
            1 => (2, &rest[..rest.len() / 2], rest.len() / 2),
            2 => {
                let (length, after) = frame_length(rest)?;
                (2, after.get(..length)?, after.len() - length)
            }
            _ => many(rest)?,
        };
        let fits = frames > 0 && frames * ticks <= MAX_TICKS && last <= MAX_FRAME;
        fits.then_some(Self { ticks, frames, silk: config < 16, stereo: toc & 4 != 0, first })
    }

    /// Samples of the whole packet at `rate` Hz.
    pub(super) fn samples(&self, rate: u32) -> usize {
        self.frames * self.frame_samples(rate)
    }

    /// Samples of one frame at `rate` Hz.
    pub(super) fn frame_samples(&self, rate: u32) -> usize {
        self.ticks * (rate as usize / 400)
    }

    /// Whether the first frame carries a coarse copy of the frame before it (LBRR).
    pub(super) fn has_fec(&self) -> bool {
        // Per channel: a voice flag for each SILK frame of up to 20 ms, then one flag for the redundancy.
        let flags = self.silk_frames();
        let bit = |place: usize| self.first[0] & (0x80 >> place) != 0;
        self.silk && self.first.len() > 1 && (bit(flags) || (self.stereo && bit(2 * flags + 1)))
    }

    /// Whether the encoder heard a voice in the first frame; `None` when only CELT coded it.
    pub(super) fn has_voice(&self) -> Option<bool> {
        let flags = self.first.first().filter(|_| self.silk)?;
        Some(flags >> (8 - self.silk_frames()) != 0)
    }

    /// SILK frames in one Opus frame, 1..=3.
    fn silk_frames(&self) -> usize {
        self.ticks.div_ceil(8)
    }
}

/// The frames of a packet of code 3, the first one, and the length of the last one.
fn many(rest: &[u8]) -> Option<(usize, &[u8], usize)> {
    let (count, mut data) = rest.split_first()?;
    let frames = usize::from(count & 0x3f);
    if count & 0x40 != 0 {
        let mut padding = 0;
        loop {
            let (step, after) = data.split_first()?;
            data = after;
            padding += usize::from(*step).min(254);
            if *step < 255 {
                break;
            }
        }
        data = data.get(..data.len().checked_sub(padding)?)?;
    }
    if count & 0x80 == 0 || frames < 2 {
        let length = data.len() / frames.max(1);
        return Some((frames, &data[..length], length));
    }
    let (first, mut data) = frame_length(data)?;
    let mut coded = first;
    for _ in 2..frames {
        let (length, after) = frame_length(data)?;
        coded += length;
        data = after;
    }
    Some((frames, data.get(..first)?, data.len().checked_sub(coded)?))
}

/// A frame's length in one or two bytes (RFC 6716 3.2.1), and what follows it.
fn frame_length(data: &[u8]) -> Option<(usize, &[u8])> {
    match data {
        [first @ 0..=251, rest @ ..] => Some((usize::from(*first), rest)),
        [first, second, rest @ ..] => Some((usize::from(*second) * 4 + usize::from(*first), rest)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_follow_the_table_of_the_standard() {
        let samples = |bytes: &[u8]| Packet::parse(bytes).map(|packet| packet.samples(48000));
        // SILK narrow band 10 and 60 ms, hybrid 20 ms, CELT 2.5 ms, each alone.
        assert_eq!([0x00, 0x18, 0x68, 0xe0].map(|toc| samples(&[toc, 0])), [480, 2880, 960, 120].map(Some));
        assert_eq!(samples(&[0x09, 1, 2]), Some(1920), "two frames of 20 ms");
        assert_eq!(samples(&[0x0b, 6, 1, 2, 3, 4, 5, 6]), Some(5760), "six frames");
        assert_eq!(samples(&[0x0b, 7]), None, "140 ms");
        assert_eq!(samples(&[0x0b, 0]), None, "no frame");
        assert_eq!(samples(&[0x0a, 9, 1]), None, "a first frame longer than the packet");
        assert_eq!(samples(&[]), None);
        assert_eq!(
            [1275, 1276].map(|length| samples(&[vec![0x08], vec![1; length]].concat()).is_some()),
            [true, false]
        );
    }

    #[test]
    fn flags_are_read_from_the_first_frame_of_every_packet_code() {
        // SILK wide band 20 ms: voice is the first bit, redundancy the second.
        for packet in [&[0x48, 0xc0, 9][..], &[0x49, 0xc0, 9, 0, 0], &[0x4a, 2, 0xc0, 9, 0], &[0x4b, 2, 0xc0, 9, 0, 0]]
        {
            let packet = Packet::parse(packet).unwrap();
            assert!(packet.has_fec());
            assert_eq!(packet.has_voice(), Some(true));
        }
        let variable = Packet::parse(&[0x4b, 0xc2, 1, 2, 0x40, 9, 0, 0]).unwrap();
        assert_eq!((variable.has_fec(), variable.has_voice()), (true, Some(false)));
        // 60 ms: three voice flags come first.
        assert!(Packet::parse(&[0x58, 0x10, 9]).unwrap().has_fec());
        assert!(!Packet::parse(&[0x58, 0xe0, 9]).unwrap().has_fec());
        assert_eq!(Packet::parse(&[0xf8, 0xff, 0xff]).unwrap().has_voice(), None, "CELT");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Some(packet) = Packet::parse(&bytes) {
                prop_assert!(packet.samples(48000) <= 5760);
                let _ = (packet.has_fec(), packet.has_voice());
            }
        }
    }
}
