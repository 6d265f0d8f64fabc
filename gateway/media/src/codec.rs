//! The negotiated codec as one pair of types, made off the media thread at the leg's rate, so that a re-negotiation swaps
//! it in without allocating and without touching anything that counts samples.

use trunkline_dsp::codec::{
    AlawDecoder, AlawEncoder, Decoder, Encoder, G722Decoder, G722Encoder, L16Decoder, L16Encoder, OpusDecoder,
    OpusEncoder, OpusSettings, UlawDecoder, UlawEncoder,
};
use trunkline_dsp::jitter::{JitterBuffer, JitterConfig};
use trunkline_dsp::resample::Resampler;
use trunkline_leg::{Codec, MediaSpec};

use crate::error::MediaError;

/// Most samples of a packet: 120 ms at 16 kHz, which Opus may have.
const MAX_SAMPLES: usize = 1920;
/// Bit rate of Opus in bit/s: clear speech at 16 kHz, with what redundancy takes.
const OPUS_BITRATE: u32 = 28_000;
/// A far end that plays less than this gets Opus of half the band.
const WIDEBAND: u32 = 16_000;
const NARROWBAND: u32 = 8000;

/// Both directions of a leg's sound for what was negotiated. Made anywhere but on the media thread.
#[derive(Debug)]
pub(crate) struct LegCodec {
    pub(crate) encoder: LegEncoder,
    pub(crate) jitter: JitterBuffer<LegDecoder>,
}

impl LegCodec {
    /// Codecs and jitter buffer for `spec` with sound at `rate` Hz, the leg's own (8000 or 16 000).
    ///
    /// # Errors
    /// [`MediaError::Codec`] for a combination that nobody can make.
    pub(crate) fn new(spec: &MediaSpec, rate: u32) -> Result<Self, MediaError> {
        let config = JitterConfig::for_codec(spec.codec.clock_rate(), rate, spec.codec.frame_bytes());
        Ok(Self {
            encoder: LegEncoder::new(spec, rate)?,
            jitter: JitterBuffer::new(LegDecoder::new(spec.codec, rate)?, config),
        })
    }

    /// Whether another one is needed to follow from `before` to `after`.
    pub(crate) fn differs(before: &MediaSpec, after: &MediaSpec) -> bool {
        let opus = after.codec == Codec::Opus && (before.opus, before.ptime_ms) != (after.opus, after.ptime_ms);
        before.codec != after.codec || opus
    }
}

/// What a payload becomes at the codec's own rate.
#[derive(Debug)]
enum Decoding {
    Pcmu(UlawDecoder),
    Pcma(AlawDecoder),
    G722(Box<G722Decoder>),
    Opus(Box<OpusDecoder>),
    L16(L16Decoder),
}

/// Decodes whatever was negotiated to sound at the leg's rate.
#[derive(Debug)]
pub(crate) struct LegDecoder {
    decoding: Decoding,
    rate: u32,
    converter: Option<Box<Converter>>,
}

impl LegDecoder {
    fn new(codec: Codec, rate: u32) -> Result<Self, MediaError> {
        let unable = || MediaError::Codec { codec, rate };
        let decoding = match codec {
            Codec::Pcmu => Decoding::Pcmu(UlawDecoder),
            Codec::Pcma => Decoding::Pcma(AlawDecoder),
            Codec::G722 => Decoding::G722(Box::default()),
            // Opus makes sound of any rate itself.
            Codec::Opus => Decoding::Opus(Box::new(OpusDecoder::new(rate).map_err(|_| unable())?)),
            Codec::L16Narrowband | Codec::L16Wideband => Decoding::L16(L16Decoder::new(codec.sample_rate())),
        };
        let own = if codec == Codec::Opus { rate } else { codec.sample_rate() };
        let mut made = Self { decoding, rate, converter: Converter::between(own, rate).map_err(|()| unable())? };
        made.warm_up();
        Ok(made)
    }

    /// An engine may set itself up with its first frames: those must not be a caller's.
    fn warm_up(&mut self) {
        if let Decoding::Opus(opus) = &mut self.decoding {
            let mut pcm = [0; MAX_SAMPLES];
            // 20 ms of silence in wideband, which is a frame of SILK, and in fullband, which is one of CELT.
            for payload in [[0x48, 0x0b, 0xe4, 0xc1, 0x36, 0xec, 0xc5, 0x80], [0xf8, 0xff, 0xfe, 0, 0, 0, 0, 0]] {
                opus.decode(&payload, &mut pcm);
                opus.decode_lost(&mut pcm[..(self.rate / 50) as usize]);
            }
            opus.reset();
        }
    }

    fn inner(&mut self) -> &mut dyn Decoder {
        match &mut self.decoding {
            Decoding::Pcmu(decoder) => decoder,
            Decoding::Pcma(decoder) => decoder,
            Decoding::G722(decoder) => &mut **decoder,
            Decoding::Opus(decoder) => &mut **decoder,
            Decoding::L16(decoder) => decoder,
        }
    }
}

impl Decoder for LegDecoder {
    fn rate(&self) -> u32 {
        self.rate
    }

    fn samples(&self, payload: &[u8]) -> usize {
        let own = match &self.decoding {
            Decoding::Pcmu(decoder) => decoder.samples(payload),
            Decoding::Pcma(decoder) => decoder.samples(payload),
            Decoding::G722(decoder) => decoder.samples(payload),
            Decoding::Opus(decoder) => decoder.samples(payload),
            Decoding::L16(decoder) => decoder.samples(payload),
        };
        self.converter.as_ref().map_or(own, |converter| converter.outputs(own))
    }

    fn decode(&mut self, payload: &[u8], out: &mut [i16]) -> usize {
        let Some(mut converter) = self.converter.take() else { return self.inner().decode(payload, out) };
        let mut pcm = [0; MAX_SAMPLES];
        let samples = self.inner().decode(payload, &mut pcm);
        let made = converter.convert(&pcm[..samples], out);
        self.converter = Some(converter);
        made
    }

    fn decode_lost(&mut self, out: &mut [i16]) -> Option<usize> {
        match &mut self.decoding {
            Decoding::Opus(decoder) => decoder.decode_lost(out),
            Decoding::Pcmu(_) | Decoding::Pcma(_) | Decoding::G722(_) | Decoding::L16(_) => None,
        }
    }

    fn decode_fec(&mut self, next: &[u8], out: &mut [i16]) -> Option<usize> {
        match &mut self.decoding {
            Decoding::Opus(decoder) => decoder.decode_fec(next, out),
            Decoding::Pcmu(_) | Decoding::Pcma(_) | Decoding::G722(_) | Decoding::L16(_) => None,
        }
    }

    fn reset(&mut self) {
        self.inner().reset();
        if let Some(converter) = &mut self.converter {
            converter.resampler.reset();
        }
    }
}

/// What sound at the codec's own rate becomes.
#[derive(Debug)]
enum Encoding {
    Pcmu(UlawEncoder),
    Pcma(AlawEncoder),
    G722(Box<G722Encoder>),
    Opus(Box<OpusEncoder>),
    L16(L16Encoder),
}

/// Encodes sound at the leg's rate as whatever was negotiated.
#[derive(Debug)]
pub(crate) struct LegEncoder {
    encoding: Encoding,
    pub(crate) codec: Codec,
    rate: u32,
    converter: Option<Box<Converter>>,
}

impl LegEncoder {
    fn new(spec: &MediaSpec, rate: u32) -> Result<Self, MediaError> {
        let codec = spec.codec;
        let unable = || MediaError::Codec { codec, rate };
        let mut own = codec.sample_rate();
        let encoding = match codec {
            Codec::Pcmu => Encoding::Pcmu(UlawEncoder),
            Codec::Pcma => Encoding::Pcma(AlawEncoder),
            Codec::G722 => Encoding::G722(Box::default()),
            Codec::Opus => {
                own = if spec.opus.max_playback_rate < WIDEBAND { NARROWBAND } else { rate };
                let usual = OpusSettings::voice(own);
                let settings = OpusSettings {
                    frame_ms: u32::from(spec.ptime_ms),
                    bitrate: spec.opus.max_bitrate.map_or(OPUS_BITRATE, |most| most.min(OPUS_BITRATE)),
                    fec: spec.opus.fec,
                    dtx: spec.opus.dtx,
                    ..usual
                };
                Encoding::Opus(Box::new(OpusEncoder::new(settings).map_err(|_| unable())?))
            }
            Codec::L16Narrowband | Codec::L16Wideband => Encoding::L16(L16Encoder::new(own)),
        };
        let converter = Converter::between(rate, own).map_err(|()| unable())?;
        let mut made = Self { encoding, codec, rate, converter };
        made.warm_up();
        Ok(made)
    }

    /// As for the decoder: the first frames, which are silent here.
    fn warm_up(&mut self) {
        if let Encoding::Opus(opus) = &mut self.encoding {
            let (pcm, mut payload) = ([0; MAX_SAMPLES], [0; 1276]);
            for _ in 0..2 {
                opus.encode(&pcm[..opus.frame_samples()], &mut payload);
            }
        }
    }

    /// Ticks of the RTP clock in `samples` of the leg's sound.
    pub(crate) fn ticks(&self, samples: usize) -> u32 {
        self.codec.ticks(samples as u64, self.rate) as u32
    }

    fn inner(&mut self) -> &mut dyn Encoder {
        match &mut self.encoding {
            Encoding::Pcmu(encoder) => encoder,
            Encoding::Pcma(encoder) => encoder,
            Encoding::G722(encoder) => &mut **encoder,
            Encoding::Opus(encoder) => &mut **encoder,
            Encoding::L16(encoder) => encoder,
        }
    }
}

impl Encoder for LegEncoder {
    fn rate(&self) -> u32 {
        self.rate
    }

    /// Encodes the sound of one packet; 0 when nothing is to be sent for it.
    fn encode(&mut self, pcm: &[i16], out: &mut [u8]) -> usize {
        let Some(mut converter) = self.converter.take() else { return self.inner().encode(pcm, out) };
        let mut own = [0; MAX_SAMPLES];
        let samples = converter.convert(pcm, &mut own);
        let made = self.inner().encode(&own[..samples], out);
        self.converter = Some(converter);
        made
    }
}

/// From the codec's rate to the leg's, or back.
#[derive(Debug)]
struct Converter {
    resampler: Resampler,
}

impl Converter {
    /// `None` when there is nothing to do.
    fn between(from: u32, to: u32) -> Result<Option<Box<Self>>, ()> {
        if from == to {
            return Ok(None);
        }
        let resampler = Resampler::new(from, to).map_err(|_| ())?;
        Ok(Some(Box::new(Self { resampler })))
    }

    /// Between 8 and 16 kHz it always comes out even.
    fn outputs(&self, inputs: usize) -> usize {
        inputs * self.resampler.to() as usize / self.resampler.from() as usize
    }

    fn convert(&mut self, pcm: &[i16], out: &mut [i16]) -> usize {
        let most = pcm.len().min(out.len() * self.resampler.from() as usize / self.resampler.to() as usize);
        self.resampler.process(&pcm[..most], out).min(out.len())
    }
}

#[cfg(test)]
mod tests {
    use trunkline_allocations::{Counts, counted};
    use trunkline_leg::OpusParameters;

    use super::*;

    fn spec(codec: Codec) -> MediaSpec {
        let mut spec = MediaSpec::new(codec, codec.offered_payload_type(), "192.0.2.1:4000".parse().unwrap());
        spec.opus.fec = true;
        spec
    }

    fn tone(rate: u32, samples: usize, from: usize) -> Vec<i16> {
        let step = 2.0 * std::f32::consts::PI * 440.0 / rate as f32;
        (from..from + samples).map(|n| ((n as f32 * step).sin() * 8000.0) as i16).collect()
    }

    fn energy(pcm: &[i16]) -> f32 {
        (pcm.iter().map(|sample| f32::from(*sample).powi(2)).sum::<f32>() / pcm.len() as f32).sqrt()
    }

    #[test]
    fn every_codec_carries_sound_at_either_rate_of_a_leg() {
        for codec in Codec::ALL {
            for rate in [8000, 16_000] {
                for ptime_ms in (10..=60).step_by(10).filter(|ms| codec.takes_ptime_ms(*ms)) {
                    let spec = MediaSpec { ptime_ms, ..spec(codec) };
                    let LegCodec { mut encoder, .. } = LegCodec::new(&spec, rate).unwrap();
                    let mut decoder = LegDecoder::new(codec, rate).unwrap();
                    let samples = (rate / 1000) as usize * usize::from(ptime_ms);
                    let mut heard = Vec::new();
                    for n in 0..600 / usize::from(ptime_ms) {
                        let (mut payload, mut pcm) = ([0; 1280], [0; 1920]);
                        let length = encoder.encode(&tone(rate, samples, n * samples), &mut payload);
                        assert!(length <= codec.frame_bytes() * 3, "{codec}: {length}");
                        assert_eq!(decoder.samples(&payload[..length]), samples, "{codec} {rate} {ptime_ms}");
                        assert_eq!(decoder.decode(&payload[..length], &mut pcm), samples);
                        heard.extend_from_slice(&pcm[..samples]);
                    }
                    let level = energy(&heard[heard.len() / 2..]);
                    assert!((4800.0..6600.0).contains(&level), "{codec} {rate} {ptime_ms}: {level}");
                    assert_eq!(encoder.ticks(samples), codec.clock_rate() / 1000 * u32::from(ptime_ms));
                }
            }
        }
    }

    #[test]
    fn no_frame_allocates_with_any_codec_at_either_rate() {
        for codec in Codec::ALL {
            for rate in [8000, 16_000] {
                let LegCodec { mut encoder, .. } = LegCodec::new(&spec(codec), rate).unwrap();
                let mut decoder = LegDecoder::new(codec, rate).unwrap();
                let samples = (rate / 50) as usize;
                let (mut payload, mut pcm) = ([0; 1280], [0; 1920]);
                for frame in 0..50 {
                    let sound = tone(rate, samples, frame * samples);
                    let asked = counted(|| {
                        let length = encoder.encode(&sound, &mut payload);
                        match frame % 10 {
                            7 => decoder.reset(),
                            8 => drop(decoder.decode_fec(&payload[..length], &mut pcm[..samples])),
                            9 => drop(decoder.decode_lost(&mut pcm[..samples])),
                            _ => drop(decoder.decode(&payload[..length], &mut pcm)),
                        }
                    });
                    assert_eq!(asked, Counts::NONE, "{codec} at {rate}, frame {frame}");
                }
            }
        }
    }

    #[test]
    fn opus_does_what_the_far_end_asks_for() {
        let sizes = |opus: OpusParameters, silent: bool| -> Vec<usize> {
            let spec = MediaSpec { opus, ..spec(Codec::Opus) };
            let mut encoder = LegCodec::new(&spec, 16_000).unwrap().encoder;
            let mut payload = [0; 1280];
            let frame = |n: usize| if silent { vec![0; 320] } else { tone(16_000, 320, n * 320) };
            (0..100).map(|n| encoder.encode(&frame(n), &mut payload)).collect()
        };
        let quiet = sizes(OpusParameters { dtx: true, ..OpusParameters::default() }, true);
        assert!(quiet[20..].iter().filter(|size| **size == 0).count() > 60, "{quiet:?}");
        assert!(sizes(OpusParameters::default(), true).iter().all(|size| *size > 0), "unasked, nothing is left out");
        let total = |opus| sizes(opus, false).iter().sum::<usize>();
        let low = OpusParameters { max_bitrate: Some(8000), ..OpusParameters::default() };
        assert!(total(low) * 2 < total(OpusParameters::default()));
        let narrow = OpusParameters { max_playback_rate: 8000, ..OpusParameters::default() };
        let mut encoder = LegEncoder::new(&MediaSpec { opus: narrow, ..spec(Codec::Opus) }, 16_000).unwrap();
        let mut payload = [0; 1280];
        assert!(encoder.encode(&tone(16_000, 320, 0), &mut payload) > 0);
        assert_eq!(payload[0] >> 5, 0, "SILK of the narrow band (RFC 6716 table 2)");
    }

    #[test]
    fn another_codec_is_made_only_when_something_of_it_changes() {
        let before = spec(Codec::Pcmu);
        assert!(!LegCodec::differs(&before, &MediaSpec { ptime_ms: 40, payload_type: 100, ..before.clone() }));
        assert!(LegCodec::differs(&before, &spec(Codec::Opus)));
        let opus = spec(Codec::Opus);
        assert!(!LegCodec::differs(&opus, &opus));
        assert!(LegCodec::differs(&opus, &MediaSpec { ptime_ms: 40, ..opus.clone() }));
        assert!(LegCodec::differs(&opus, &MediaSpec { opus: OpusParameters::default(), ..opus.clone() }));
    }
}
