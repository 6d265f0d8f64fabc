//! Opus in Ogg (RFC 7845): two mono streams, so that neither voice is coded with a view to the other, in pages that are
//! complete whenever they are flushed.

use ogg::writing::{PacketWriteEndInfo, PacketWriter};
use trunkline_dsp::codec::{Encoder as _, OpusEncoder, OpusSettings};

/// Granule positions count at 48 kHz whatever the sound's rate (RFC 7845 4).
const CLOCK: u32 = 48_000;
/// Samples at 48 kHz that a decoder throws away at the start: the encoder's look-ahead of 6.5 ms.
const PRE_SKIP: u16 = 312;
/// A frame of 20 ms at 48 kHz.
const FRAME: u64 = 960;
/// Voice, at an effort that leaves a core to the calls.
const BITRATE: u32 = 24_000;
const COMPLEXITY: u8 = 2;
/// The largest Opus packet of one frame (RFC 6716 3.4), and the length that precedes it in a packet of several streams.
const MAX_PACKET: usize = 1276;

/// Writes Ogg/Opus.
pub(crate) struct OggOpus {
    ogg: PacketWriter<'static, Vec<u8>>,
    serial: u32,
    rate: u32,
    encoders: [OpusEncoder; 2],
    /// Sound of the frame that is not whole yet, a voice each.
    pending: [Vec<i16>; 2],
    /// The last frame's packet, kept back because the last of a page must be known as such.
    ready: Option<Vec<u8>>,
    /// Frames encoded, and samples taken at the sound's rate.
    frames: u64,
    taken: u64,
}

impl OggOpus {
    /// A writer for sound of `rate` Hz with its two header pages appended to `out`; `None` for a rate Opus lacks.
    pub(crate) fn begin(rate: u32, serial: u32, out: &mut Vec<u8>) -> Option<Self> {
        let settings = OpusSettings {
            bitrate: BITRATE,
            complexity: COMPLEXITY,
            fec: false,
            loss_percent: 0,
            ..OpusSettings::voice(rate)
        };
        let encoders = [OpusEncoder::new(settings).ok()?, OpusEncoder::new(settings).ok()?];
        let frame = encoders[0].frame_samples();
        let mut writer = Self {
            ogg: PacketWriter::new(Vec::new()),
            serial,
            rate,
            encoders,
            pending: [Vec::with_capacity(2 * frame), Vec::with_capacity(2 * frame)],
            ready: None,
            frames: 0,
            taken: 0,
        };
        writer.packet(head(rate), PacketWriteEndInfo::EndPage, 0);
        writer.packet(tags(), PacketWriteEndInfo::EndPage, 0);
        writer.drain(out);
        Some(writer)
    }

    /// Takes a piece of both voices, of the same length.
    pub(crate) fn samples(&mut self, heard: &[i16], said: &[i16]) {
        self.taken += heard.len() as u64;
        self.pending[0].extend_from_slice(heard);
        self.pending[1].extend_from_slice(said);
        let frame = self.encoders[0].frame_samples();
        while self.pending[0].len() >= frame && self.pending[1].len() >= frame {
            self.encode(frame);
        }
    }

    /// Ends the page; what is short of a frame waits for the next.
    pub(crate) fn flush(&mut self, out: &mut Vec<u8>) {
        if let Some(packet) = self.ready.take() {
            self.packet(packet, PacketWriteEndInfo::EndPage, self.granule());
        }
        self.drain(out);
    }

    /// Ends the stream; its last position says how much of the last frame is sound (RFC 7845 4.5).
    pub(crate) fn finish(mut self, out: &mut Vec<u8>) {
        let frame = self.encoders[0].frame_samples();
        let length = self.taken * u64::from(CLOCK / self.rate);
        // What the decoder throws away at the start has to be pushed out at the end.
        while !self.pending[0].is_empty() || self.frames * FRAME < length + u64::from(PRE_SKIP) {
            for voice in &mut self.pending {
                voice.resize(voice.len().max(frame), 0);
            }
            self.encode(frame);
        }
        let packet = self.ready.take().unwrap_or_default();
        self.packet(packet, PacketWriteEndInfo::EndStream, length + u64::from(PRE_SKIP));
        self.drain(out);
    }

    fn encode(&mut self, frame: usize) {
        if let Some(packet) = self.ready.take() {
            let granule = self.granule();
            self.packet(packet, PacketWriteEndInfo::NormalPacket, granule);
        }
        let mut packet = Vec::with_capacity(256);
        for (voice, (encoder, pending)) in self.encoders.iter_mut().zip(&mut self.pending).enumerate() {
            let mut coded = [0; MAX_PACKET];
            let length = encoder.encode(&pending[..frame], &mut coded);
            pending.drain(..frame);
            append(&coded[..length], voice == 0, &mut packet);
        }
        self.frames += 1;
        self.ready = Some(packet);
    }

    /// Position at the end of the frames encoded so far.
    const fn granule(&self) -> u64 {
        self.frames * FRAME
    }

    fn packet(&mut self, packet: Vec<u8>, end: PacketWriteEndInfo, granule: u64) {
        // A vector takes whatever is written to it.
        let _ = self.ogg.write_packet(packet, self.serial, end, granule);
    }

    fn drain(&mut self, out: &mut Vec<u8>) {
        out.append(self.ogg.inner_mut());
    }
}

impl std::fmt::Debug for OggOpus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OggOpus").field("rate", &self.rate).field("frames", &self.frames).finish_non_exhaustive()
    }
}

/// Appends one stream's packet; all but the last of several say their length (RFC 6716 appendix B). The encoder makes
/// packets of one frame (code 0), for which the length follows the first byte. What it could not encode is a lost frame.
fn append(coded: &[u8], delimited: bool, packet: &mut Vec<u8>) {
    /// Narrow-band SILK, 20 ms, one frame: with nothing behind it, the decoder conceals.
    const LOST: u8 = 1 << 3;
    let (first, frame) = match coded.split_first() {
        Some((first, frame)) if first & 3 == 0 => (*first, frame),
        _ => (LOST, &[][..]),
    };
    packet.push(first);
    if delimited {
        let length = frame.len();
        if length < 252 {
            packet.push(length as u8);
        } else {
            let low = 252 + (length & 3);
            packet.extend_from_slice(&[low as u8, ((length - low) / 4) as u8]);
        }
    }
    packet.extend_from_slice(frame);
}

/// The identification header (RFC 7845 5.1): left and right are streams of their own.
fn head(rate: u32) -> Vec<u8> {
    let mut head = b"OpusHead\x01\x02".to_vec();
    head.extend_from_slice(&PRE_SKIP.to_le_bytes());
    head.extend_from_slice(&rate.to_le_bytes());
    // No gain; mapping family 1 with two streams, none of them stereo, in the order of the channels.
    head.extend_from_slice(&[0, 0, 1, 2, 0, 0, 1]);
    head
}

/// The comment header (RFC 7845 5.2): a vendor and one comment, each behind its length.
fn tags() -> Vec<u8> {
    const VENDOR: &[u8] = b"trunkline";
    const COMMENT: &[u8] = b"DESCRIPTION=left: the caller, right: the agent";
    let mut tags = b"OpusTags".to_vec();
    tags.extend_from_slice(&(VENDOR.len() as u32).to_le_bytes());
    tags.extend_from_slice(VENDOR);
    tags.extend_from_slice(&1_u32.to_le_bytes());
    tags.extend_from_slice(&(COMMENT.len() as u32).to_le_bytes());
    tags.extend_from_slice(COMMENT);
    tags
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use ogg::reading::PacketReader;
    use trunkline_dsp::codec::{Decoder as _, OpusDecoder};

    use super::*;

    /// What a player makes of a file: both voices, and whether the stream was ended.
    fn played(file: &[u8], rate: u32) -> ([Vec<i16>; 2], bool) {
        let mut reader = PacketReader::new(Cursor::new(file));
        let head = reader.read_packet().unwrap().unwrap();
        assert_eq!((&head.data[..8], head.data[9], head.first_in_stream()), (&b"OpusHead"[..], 2, true));
        assert_eq!(reader.read_packet().unwrap().unwrap().data[..8], *b"OpusTags");
        let mut decoders = [OpusDecoder::new(rate).unwrap(), OpusDecoder::new(rate).unwrap()];
        let (mut voices, mut ended, mut last) = ([Vec::new(), Vec::new()], false, 0);
        while let Some(packet) = reader.read_packet().unwrap() {
            assert!(packet.absgp_page() >= last, "positions grow");
            last = packet.absgp_page();
            ended |= packet.last_in_stream();
            let length = match packet.data[1] {
                short @ 0..252 => 2..2 + usize::from(short),
                low => 3..3 + usize::from(low) + 4 * usize::from(packet.data[2]),
            };
            let left = [&packet.data[..1], &packet.data[length.clone()]].concat();
            for ((decoder, voice), coded) in
                decoders.iter_mut().zip(&mut voices).zip([&left[..], &packet.data[length.end..]])
            {
                let mut pcm = [0; 960];
                let made = decoder.decode(coded, &mut pcm[..rate as usize / 50]);
                assert_eq!(made, rate as usize / 50);
                voice.extend_from_slice(&pcm[..made]);
            }
        }
        // Positions are at 48 kHz, and the first of them is thrown away.
        let skip = usize::from(PRE_SKIP) / (CLOCK / rate) as usize;
        let end = last as usize / (CLOCK / rate) as usize;
        for voice in &mut voices {
            voice.truncate(end);
            voice.drain(..skip.min(voice.len()));
        }
        (voices, ended)
    }

    fn tone(hz: f32, rate: u32, samples: usize) -> Vec<i16> {
        let turn = |n: usize| (n as f32 * hz / rate as f32 * std::f32::consts::TAU).sin();
        (0..samples).map(|n| (8000.0 * turn(n)) as i16).collect()
    }

    /// Share of a signal's power that lies at `hz`.
    fn share(voice: &[i16], hz: f32, rate: u32) -> f32 {
        let (mut sine, mut cosine, mut power) = (0.0, 0.0, 0.0);
        for (n, sample) in voice.iter().enumerate() {
            let turn = n as f32 * hz / rate as f32 * std::f32::consts::TAU;
            let sample = f32::from(*sample);
            sine += sample * turn.sin();
            cosine += sample * turn.cos();
            power += sample * sample;
        }
        2.0 * (sine * sine + cosine * cosine) / (voice.len() as f32 * power.max(1.0))
    }

    #[test]
    fn each_voice_comes_back_on_its_own_side_and_for_as_long_as_it_lasted() {
        for rate in [8000, 16_000, 48_000] {
            let samples = rate as usize + 77;
            let (heard, said) = (tone(400.0, rate, samples), tone(700.0, rate, samples));
            let mut file = Vec::new();
            let mut writer = OggOpus::begin(rate, 5, &mut file).unwrap();
            for (heard, said) in heard.chunks(rate as usize / 50).zip(said.chunks(rate as usize / 50)) {
                writer.samples(heard, said);
            }
            writer.finish(&mut file);
            let (voices, ended) = played(&file, rate);
            assert!(ended);
            assert_eq!((voices[0].len(), voices[1].len()), (samples, samples), "at {rate} Hz");
            // The encoder needs a moment to settle.
            let settled = rate as usize / 5..;
            for (voice, hz, other) in [(&voices[0], 400.0, 700.0), (&voices[1], 700.0, 400.0)] {
                let voice = &voice[settled.clone()];
                assert!(share(voice, hz, rate) > 0.8, "{hz} Hz at {rate}: {}", share(voice, hz, rate));
                assert!(share(voice, other, rate) < 0.01, "{other} Hz at {rate}: {}", share(voice, other, rate));
            }
            assert!(file.len() < 9000, "{} bytes for a second", file.len());
        }
    }

    #[test]
    fn what_was_flushed_plays_without_an_end() {
        let mut file = Vec::new();
        let mut writer = OggOpus::begin(8000, 5, &mut file).unwrap();
        for _ in 0..3 {
            let voice = tone(300.0, 8000, 4000);
            writer.samples(&voice, &voice);
            writer.flush(&mut file);
        }
        let (voices, ended) = played(&file, 8000);
        assert!(!ended);
        assert_eq!(voices[0].len(), 12_000 - usize::from(PRE_SKIP) / 6);
        // A page that was cut is a page less.
        let before = file.len();
        writer.samples(&[0; 4000], &[0; 4000]);
        writer.flush(&mut file);
        assert!(file.len() > before + 20);
        let mut reader = PacketReader::new(Cursor::new(&file[..file.len() - 5]));
        let packets = std::iter::from_fn(|| reader.read_packet().ok().flatten()).count();
        assert_eq!(packets, 2 + 75);
    }

    #[test]
    fn lengths_of_delimited_packets_are_as_the_rfc_says() {
        for length in [0, 1, 251, 252, 255, 256, 1000, 1275] {
            let coded: Vec<u8> = std::iter::once(8).chain((0..length).map(|n| n as u8)).collect();
            let mut packet = Vec::new();
            append(&coded, true, &mut packet);
            let (said, at) = match packet[1] {
                short @ 0..252 => (usize::from(short), 2),
                low => (usize::from(low) + 4 * usize::from(packet[2]), 3),
            };
            assert_eq!((said, &packet[at..]), (length, &coded[1..]));
        }
        let mut lost = Vec::new();
        append(&[], true, &mut lost);
        append(&[0b11, 1, 2], false, &mut lost);
        assert_eq!(lost, [8, 0, 8]);
    }
}
