//! Opus against libopus, under loss, and with discontinuous transmission.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod codec_oracle;

use codec_oracle::{aligned_snr, ffmpeg, is_available, read_ogg, snr, to_bytes, to_pcm, voice, write_ogg};
use trunkline_dsp::codec::{Decoder, Encoder, OpusDecoder, OpusEncoder, OpusError, OpusSettings};

fn packets(settings: OpusSettings, pcm: &[i16]) -> Vec<Vec<u8>> {
    let mut encoder = OpusEncoder::new(settings).unwrap();
    let mut packet = [0; 1276];
    pcm.chunks_exact(encoder.frame_samples())
        .map(|pcm| {
            let bytes = encoder.encode(pcm, &mut packet);
            packet[..bytes].to_vec()
        })
        .collect()
}

fn decode(packets: &[Vec<u8>], rate: u32) -> Vec<i16> {
    let mut decoder = OpusDecoder::new(rate).unwrap();
    let mut sound = Vec::new();
    for packet in packets {
        let mut pcm = [0; 5760];
        let samples = decoder.samples(packet);
        assert_eq!(decoder.decode(packet, &mut pcm), samples);
        sound.extend_from_slice(&pcm[..samples]);
    }
    sound
}

fn settings() -> impl Iterator<Item = OpusSettings> {
    [
        (8000, 12_000, 20),
        (8000, 24_000, 60),
        (12000, 20_000, 10),
        (16000, 12_000, 20),
        (16000, 20_000, 20),
        (16000, 24_000, 40),
        (16000, 64_000, 10),
        (24000, 24_000, 20),
        (24000, 64_000, 20),
        (48000, 20_000, 60),
        (48000, 48_000, 20),
        (48000, 128_000, 20),
        (48000, 64_000, 40),
    ]
    .into_iter()
    .map(|(rate, bitrate, frame_ms)| OpusSettings { bitrate, frame_ms, ..OpusSettings::voice(rate) })
}

#[test]
fn libopus_hears_what_we_hear_in_our_packets() {
    if !is_available() {
        return;
    }
    for settings in settings() {
        let pcm = voice(settings.rate, 0.96);
        let packets = packets(settings, &pcm);
        assert!(packets.iter().all(|packet| packet.len() > 1));
        let ogg = write_ogg(&packets, u64::from(settings.frame_ms) * 48);
        let theirs = to_pcm(&ffmpeg("-c:a libopus -i {} -f s16le -ac 1 -ar 48000", &ogg));
        let ours = decode(&packets, 48000);
        let equal = snr(&theirs, &ours);
        assert!(theirs.len() == ours.len() && equal > 40.0, "{settings:?}: {equal} dB");
    }
}

#[test]
fn a_bit_rate_that_changes_in_mid_stream_keeps_libopus_in_step() {
    if !is_available() {
        return;
    }
    for (rate, bitrates) in [(16000, [12_000, 32_000, 16_000, 64_000]), (48000, [64_000, 20_000, 200_000, 40_000])] {
        let pcm = voice(rate, 1.6);
        let mut encoder = OpusEncoder::new(OpusSettings { bitrate: bitrates[0], ..OpusSettings::voice(rate) }).unwrap();
        let mut packet = [0; 1276];
        let packets: Vec<Vec<u8>> = pcm
            .chunks_exact(encoder.frame_samples())
            .enumerate()
            .map(|(n, pcm)| {
                encoder.set_bitrate(bitrates[n / 7 % 4]);
                encoder.set_loss_percent((n % 50) as u8);
                let bytes = encoder.encode(pcm, &mut packet);
                packet[..bytes].to_vec()
            })
            .collect();
        let theirs = to_pcm(&ffmpeg("-c:a libopus -i {} -f s16le -ac 1 -ar 48000", &write_ogg(&packets, 960)));
        let ours = decode(&packets, 48000);
        let (equal, quality) = (snr(&theirs, &ours), aligned_snr(&pcm, &decode(&packets, rate), 400));
        eprintln!("{rate} Hz: {equal:.1} dB, to the original {quality:?}");
        assert!(equal > 30.0, "{rate} Hz: {equal} dB");
        assert!(quality.0 > 8.0, "{rate} Hz: {quality:?}");
    }
}

#[test]
fn we_hear_what_libopus_hears_in_its_packets() {
    if !is_available() {
        return;
    }
    for (rate, bitrate) in [(8000, 12), (16000, 24), (48000, 64)] {
        let pcm = voice(rate, 1.2);
        let arguments = format!(
            "-f s16le -ar {rate} -ac 1 -i {{}} -c:a libopus -application voip -packet_loss 10 -fec 1 -b:a {bitrate}k -f ogg"
        );
        let ogg = ffmpeg(&arguments, &to_bytes(&pcm));
        let theirs = to_pcm(&ffmpeg("-c:a libopus -i {} -f s16le -ac 1 -ar 48000", &ogg));
        let ours = decode(&read_ogg(&ogg), 48000);
        // The file says how much of its beginning is not to be heard.
        let (equal, skip) = aligned_snr(&theirs, &ours, 1000);
        eprintln!("libopus at {rate} Hz, {bitrate} kbit/s: {equal:.1} dB after {skip} samples");
        assert!(equal > 40.0, "{rate} Hz, {bitrate} kbit/s: {equal} dB");
    }
}

#[test]
fn a_voice_survives_our_coder() {
    for settings in settings().flat_map(|settings| [settings, OpusSettings { loss_percent: 40, ..settings }]) {
        let rate = settings.rate;
        let pcm = voice(rate, 0.96);
        let (quality, delay) = aligned_snr(&pcm, &decode(&packets(settings, &pcm), rate), rate as usize / 120 + 1);
        assert!(quality > 8.0, "{settings:?}: {quality} dB at {delay}");
    }
}

/// Loses every fifth packet. Returns how many packets carry redundancy, and the signal to noise in dB of the lost
/// frames that it rebuilt, and of the same frames concealed.
fn lose_every_fifth(packets: &[Vec<u8>], rate: u32) -> (usize, f64, f64) {
    let frame = rate as usize / 50;
    let truth = decode(packets, rate);
    let mut out = vec![0; frame];
    let mut probe = OpusDecoder::new(rate).unwrap();
    let redundant = packets.iter().skip(1).filter(|next| probe.decode_fec(next, &mut out).is_some()).count();
    // Two listeners: one uses the redundancy, the other only conceals.
    let (mut rebuilding, mut concealing) = (OpusDecoder::new(rate).unwrap(), OpusDecoder::new(rate).unwrap());
    let (mut rebuilt, mut concealed, mut reference) = (Vec::new(), Vec::new(), Vec::new());
    for (n, pair) in packets.windows(2).enumerate() {
        if n % 5 != 4 {
            rebuilding.decode(&pair[0], &mut out);
            concealing.decode(&pair[0], &mut out);
            continue;
        }
        let mut heard = vec![0; frame];
        assert_eq!(concealing.decode_lost(&mut heard), Some(frame));
        if rebuilding.decode_fec(&pair[1], &mut out) == Some(frame) {
            rebuilt.extend_from_slice(&out);
            concealed.extend_from_slice(&heard);
            reference.extend_from_slice(&truth[n * frame..(n + 1) * frame]);
        } else {
            rebuilding.decode_lost(&mut out);
        }
    }
    (redundant, snr(&reference, &rebuilt), snr(&reference, &concealed))
}

#[test]
fn redundancy_is_in_the_packets_of_a_voice_and_brings_lost_ones_back() {
    for (rate, bitrate) in [(8000, 20_000), (16000, 24_000), (16000, 32_000), (48000, 24_000), (48000, 64_000)] {
        let settings = OpusSettings { bitrate, ..OpusSettings::voice(rate) };
        let packets = packets(settings, &voice(rate, 2.4));
        let bytes: usize = packets.iter().map(Vec::len).sum();
        let (redundant, rebuilt, concealed) = lose_every_fifth(&packets, rate);
        eprintln!(
            "{rate} Hz at {bitrate} bit/s (made {}): LBRR in {redundant} of {} packets; rebuilt {rebuilt:.1} dB, concealed {concealed:.1} dB",
            bytes * 8 * 10 / 24,
            packets.len(),
        );
        assert!(redundant * 2 > packets.len(), "{rate} Hz, {bitrate} bit/s: LBRR in {redundant}");
        assert!(rebuilt > concealed + 4.0, "{rate} Hz, {bitrate} bit/s: {rebuilt} dB, concealed {concealed} dB");
    }
}

#[test]
fn a_bit_rate_that_cannot_pay_for_redundancy_has_none() {
    for (rate, bitrate) in [(8000, 12_000), (16000, 16_000), (16000, 20_000)] {
        let settings = OpusSettings { bitrate, ..OpusSettings::voice(rate) };
        let (redundant, ..) = lose_every_fifth(&packets(settings, &voice(rate, 0.5)), rate);
        assert_eq!(redundant, 0, "{rate} Hz, {bitrate} bit/s");
    }
}

#[test]
fn silence_is_withheld_but_for_a_refresh_every_400_ms() {
    let mut pcm = voice(16000, 1.0);
    pcm.extend(std::iter::repeat_n(0, 32000));
    pcm.extend(voice(16000, 0.4));
    let settings = OpusSettings { dtx: true, ..OpusSettings::voice(16000) };
    let sent: Vec<bool> = packets(settings, &pcm).iter().map(|packet| !packet.is_empty()).collect();
    eprintln!("{}", sent.iter().map(|sent| if *sent { '#' } else { '.' }).collect::<String>());
    assert!(sent[..60].iter().all(|sent| *sent), "200 ms after the voice all is sent");
    let quiet: Vec<usize> = (60..150).filter(|n| sent[*n]).collect();
    assert!(quiet.windows(2).filter(|pair| pair[1] - pair[0] == 20).count() >= 3, "{quiet:?}");
    assert!(quiet.len() <= 12, "{quiet:?}");
    assert!(sent[152..].iter().all(|sent| *sent), "a voice is heard within 40 ms");
    let always = packets(OpusSettings::voice(16000), &pcm);
    assert!(always.iter().all(|packet| !packet.is_empty()));
}

#[test]
fn settings_out_of_range_are_refused_by_name() {
    let voice = OpusSettings::voice(16000);
    let refused = |settings| OpusEncoder::new(settings).unwrap_err();
    assert_eq!(refused(OpusSettings { rate: 44100, ..voice }), OpusError::Rate);
    assert_eq!(refused(OpusSettings { frame_ms: 30, ..voice }), OpusError::Frame);
    assert_eq!(refused(OpusSettings { bitrate: 5999, ..voice }), OpusError::Bitrate);
    assert_eq!(OpusDecoder::new(11025).unwrap_err(), OpusError::Rate);
}

#[test]
fn concealment_and_recovery_decline_what_they_cannot_do() {
    let mut decoder = OpusDecoder::new(16000).unwrap();
    let mut out = [5; 320];
    assert_eq!(decoder.decode_lost(&mut out), None, "nothing was heard yet");
    let packets = packets(OpusSettings { fec: false, ..OpusSettings::voice(16000) }, &voice(16000, 0.4));
    decoder.decode(&packets[0], &mut out);
    out.fill(5);
    assert_eq!(decoder.decode_fec(&packets[1], &mut out), None, "no redundancy was asked for");
    assert_eq!(out, [5; 320]);
    assert_eq!(decoder.decode_lost(&mut []), None);
    assert_eq!(decoder.decode_lost(&mut [0; 2000]), None, "longer than 120 ms");
    assert_eq!(decoder.decode_lost(&mut out[..77]), Some(77));
}
