//! Codecs, resampling, concealment and mixing: one 20 ms frame of one call, in nanoseconds.

use std::hint::black_box;

use anyhow::{Context as _, anyhow};
use rubato::audioadapter_buffers::direct::SequentialSliceOfVecs;
use trunkline_bench_results::{Measurement, Results};
use trunkline_dsp::codec::{
    Decoder, Encoder, G722Decoder, G722Encoder, OpusDecoder, OpusEncoder, OpusSettings, UlawDecoder, UlawEncoder,
};
use trunkline_dsp::jitter::{JitterBuffer, JitterConfig, Packet};
use trunkline_dsp::mix::Mixer;
use trunkline_dsp::resample::Resampler;

use crate::native::Native;
use crate::signal::Frames;
use crate::stopwatch::Stopwatch;

const UNIT: &str = "ns/frame";

/// Measures them all.
pub(crate) fn measure(watch: &mut Stopwatch, native: &Native, results: &mut Results) -> anyhow::Result<()> {
    g711(watch, results)?;
    g722(watch, native, results)?;
    opus(watch, native, results)?;
    resampling(watch, native, results)?;
    concealment(watch, native, results)?;
    mixing(watch, results)
}

fn g711(watch: &mut Stopwatch, results: &mut Results) -> anyhow::Result<()> {
    let mut frames = Frames::speech(8000, 1);
    let mut payload = [0_u8; 160];
    let ours = watch.median_ns("g711.ulaw.encode", || {
        black_box(UlawEncoder.encode(frames.next(), &mut payload));
    })?;
    let mut table = audio_codec::create_encoder(audio_codec::CodecType::PCMU);
    let theirs = watch.median_ns("g711.ulaw.encode.audio-codec", || {
        black_box(table.encode_into(frames.next(), &mut payload).ok());
    })?;
    results.add(Measurement::new("g711.ulaw.encode", ours, UNIT).against("audio-codec's table", theirs));

    let mut pcm = [0_i16; 160];
    let ours = watch.median_ns("g711.ulaw.decode", || {
        black_box(UlawDecoder.decode(black_box(&payload), &mut pcm));
    })?;
    let mut table = audio_codec::create_decoder(audio_codec::CodecType::PCMU);
    let theirs = watch.median_ns("g711.ulaw.decode.audio-codec", || {
        black_box(table.decode_into(black_box(&payload), &mut pcm).ok());
    })?;
    results.add(Measurement::new("g711.ulaw.decode", ours, UNIT).against("audio-codec's table", theirs));
    Ok(())
}

fn g722(watch: &mut Stopwatch, native: &Native, results: &mut Results) -> anyhow::Result<()> {
    let mut frames = Frames::speech(16_000, 2);
    let (mut encoder, mut decoder) = (G722Encoder::new(), G722Decoder::new());
    let (mut c_encode, mut c_decode) = native.spandsp_g722()?;
    let (mut payload, mut pcm) = ([0_u8; 160], [0_i16; 320]);
    let ours = watch.median_ns("g722.encode", || {
        black_box(encoder.encode(frames.next(), &mut payload));
    })?;
    let theirs = watch.median_ns("g722.encode.spandsp", || {
        black_box(c_encode(frames.next(), &mut payload));
    })?;
    results.add(Measurement::new("g722.encode", ours, UNIT).against("spandsp", theirs));
    let ours = watch.median_ns("g722.decode", || {
        black_box(decoder.decode(black_box(&payload), &mut pcm));
    })?;
    let theirs = watch.median_ns("g722.decode.spandsp", || {
        black_box(c_decode(black_box(&payload), &mut pcm));
    })?;
    results.add(Measurement::new("g722.decode", ours, UNIT).against("spandsp", theirs));
    Ok(())
}

fn opus(watch: &mut Stopwatch, native: &Native, results: &mut Results) -> anyhow::Result<()> {
    let settings =
        OpusSettings { bitrate: 24_000, complexity: 5, fec: false, dtx: false, ..OpusSettings::voice(16_000) };
    let mut encoder = OpusEncoder::new(settings).map_err(|error| anyhow!("{error}"))?;
    let mut decoder = OpusDecoder::new(16_000).map_err(|error| anyhow!("{error}"))?;
    let (mut c_encode, mut c_decode) = native.opus(16_000, 24_000, 5)?;
    let mut frames = Frames::speech(16_000, 3);
    let (mut payload, mut pcm, mut length) = ([0_u8; 1500], [0_i16; 320], 0);
    let ours = watch.median_ns("opus.encode", || length = black_box(encoder.encode(frames.next(), &mut payload)))?;
    let (mut c_payload, mut c_length) = ([0_u8; 1500], 0);
    let theirs =
        watch.median_ns("opus.encode.libopus", || c_length = black_box(c_encode(frames.next(), &mut c_payload)))?;
    results.add(Measurement::new("opus.encode.16000.24k.c5", ours, UNIT).against("libopus", theirs));
    let ours = watch.median_ns("opus.decode", || {
        black_box(decoder.decode(black_box(&c_payload[..c_length]), &mut pcm));
    })?;
    let theirs = watch.median_ns("opus.decode.libopus", || {
        black_box(c_decode(black_box(&c_payload[..c_length]), &mut pcm));
    })?;
    results.add(Measurement::new("opus.decode.16000", ours, UNIT).against("libopus", theirs));
    anyhow::ensure!(length > 0, "the Opus encoder made no packet");
    Ok(())
}

fn resampling(watch: &mut Stopwatch, native: &Native, results: &mut Results) -> anyhow::Result<()> {
    for (from, to) in [(8000, 16_000), (16_000, 8000), (8000, 48_000), (48_000, 8000), (16_000, 24_000)] {
        let name = format!("resample.{from}_{to}");
        let mut frames = Frames::speech(from, 4);
        let mut resampler = Resampler::new(from, to).context("a pair of the bench is none of ours")?;
        let mut out = [0_i16; 1000];
        let ours = watch.median_ns(&name, || {
            black_box(resampler.process(frames.next(), &mut out));
        })?;
        let mut speex = native.speex_resampler(from, to, 3)?;
        let theirs = watch.median_ns(&format!("{name}.speexdsp"), || {
            black_box(speex(frames.next(), &mut out));
        })?;
        results.add(Measurement::new(format!("{name}.delay"), resampler.delay_us() as f64 / 1000.0, "ms"));
        results.add(Measurement::new(name, ours, UNIT).against("speexdsp q3", theirs));
    }
    drift(watch, results)
}

fn drift(watch: &mut Stopwatch, results: &mut Results) -> anyhow::Result<()> {
    use rubato::{
        Async, FixedAsync, Resampler as _, SincInterpolationParameters, SincInterpolationType, WindowFunction,
    };
    let mut frames = Frames::speech(8000, 5);
    let mut ours = trunkline_dsp::resample::DriftResampler::new();
    ours.set_ppm(150.0);
    let mut out = [0_i16; 200];
    let ns = watch.median_ns("resample.drift", || {
        black_box(ours.process(frames.next(), &mut out));
    })?;
    let parameters = SincInterpolationParameters {
        sinc_len: 32,
        f_cutoff: Some(0.95),
        oversampling_factor: 128,
        interpolation: SincInterpolationType::Linear,
        window: WindowFunction::BlackmanHarris2,
    };
    let mut rubato = Async::<f32>::new_sinc(1.000_15, 1.01, &parameters, 160, 1, FixedAsync::Input)?;
    let input = vec![frames.next().iter().map(|sample| trunkline_dsp::to_f32(*sample)).collect::<Vec<f32>>()];
    let mut output = vec![vec![0.0_f32; 200]];
    let theirs = watch.median_ns("resample.drift.rubato", || {
        let Ok(from) = SequentialSliceOfVecs::new(&input, 1, 160) else { return };
        let Ok(mut to) = SequentialSliceOfVecs::new_mut(&mut output, 1, 200) else { return };
        black_box(rubato.process_into_buffer(&from, &mut to, None).ok());
    })?;
    results.add(Measurement::new("resample.drift.8000", ns, UNIT).against("rubato sinc32", theirs));
    Ok(())
}

fn concealment(watch: &mut Stopwatch, native: &Native, results: &mut Results) -> anyhow::Result<()> {
    // The whole buffer at 5 % loss against spandsp's concealment by itself, which has no buffer to keep.
    let mut frames = Frames::speech(8000, 6);
    let mut buffer = JitterBuffer::new(UlawDecoder, JitterConfig::default());
    let (mut payload, mut out, mut n) = ([0_u8; 160], [0_i16; 160], 0_u64);
    let ns = watch.median_ns("jitter.insert_get", || {
        UlawEncoder.encode(frames.next(), &mut payload);
        if n % 20 != 7 {
            let (seq, timestamp) = (n as u16, (n as u32).wrapping_mul(160));
            let packet = Packet { seq, timestamp, arrival: n * 20_000, marker: false, payload: &payload };
            buffer.insert(&packet);
        }
        black_box(buffer.get(n * 20_000 + 5000, &mut out));
        n += 1;
    })?;
    let mut plc = native.spandsp_plc()?;
    let mut n = 0_u64;
    let theirs = watch.median_ns("jitter.spandsp_plc", || {
        out.copy_from_slice(frames.next());
        plc(&mut out, n % 20 == 7);
        black_box(&out);
        n += 1;
    })?;
    results.add(Measurement::new("jitter.g711.loss5", ns, UNIT).against("spandsp plc alone", theirs));
    Ok(())
}

fn mixing(watch: &mut Stopwatch, results: &mut Results) -> anyhow::Result<()> {
    const PARTIES: usize = 8;
    let mut frames = Frames::speech(16_000, 7);
    let parties: Vec<Vec<i16>> = (0..PARTIES).map(|_| frames.next().to_vec()).collect();
    let (mut mixer, mut out) = (Mixer::new(), [0_i16; 320]);
    let ours = watch.median_ns("mix.8", || {
        mixer.begin(320);
        for party in &parties {
            mixer.add(black_box(party));
        }
        for (listener, party) in parties.iter().enumerate() {
            mixer.mix(listener, Some(party), &mut out);
            black_box(&out);
        }
    })?;
    let theirs = watch.median_ns("mix.8.plain", || {
        let mut sum = [0_i32; 320];
        for party in &parties {
            for (sum, sample) in sum.iter_mut().zip(black_box(party)) {
                *sum += i32::from(*sample);
            }
        }
        for party in &parties {
            for ((out, sum), own) in out.iter_mut().zip(&sum).zip(party) {
                *out = (sum - i32::from(*own)).clamp(-32_768, 32_767) as i16;
            }
            black_box(&out);
        }
    })?;
    results.add(Measurement::new("mix.8.16000", ours, UNIT).against("plain clipping loop", theirs));
    Ok(())
}
