//! G.722 against FFmpeg's implementation of the standard, in all four crossings.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod codec_oracle;

use codec_oracle::{aligned_snr, ffmpeg, is_available, snr, to_bytes, to_pcm, voice};
use trunkline_dsp::codec::{Decoder, Encoder, G722Decoder, G722Encoder};

fn our_codes(pcm: &[i16]) -> Vec<u8> {
    let mut encoder = G722Encoder::new();
    let mut codes = vec![0; pcm.len() / 2];
    for (pcm, codes) in pcm.chunks(320).zip(codes.chunks_mut(160)) {
        assert_eq!(encoder.encode(pcm, codes), 160);
    }
    codes
}

fn our_sound(codes: &[u8]) -> Vec<i16> {
    let mut decoder = G722Decoder::new();
    let mut pcm = vec![0; codes.len() * 2];
    for (codes, pcm) in codes.chunks(160).zip(pcm.chunks_mut(320)) {
        assert_eq!(decoder.decode(codes, pcm), pcm.len());
    }
    pcm
}

#[test]
fn a_voice_survives_our_coder() {
    let pcm = voice(16000, 2.0);
    let (quality, delay) = aligned_snr(&pcm, &our_sound(&our_codes(&pcm)), 40);
    assert!(quality > 20.0 && delay == 22, "{quality} dB at {delay}");
}

#[test]
fn coder_and_decoder_work_with_those_of_another_implementation() {
    if !is_available() {
        return;
    }
    let pcm = voice(16000, 2.0);
    let theirs = ffmpeg("-f s16le -ar 16000 -ac 1 -i {} -c:a g722 -f g722", &to_bytes(&pcm));
    let ours = our_codes(&pcm);
    let decode = |codes: &[u8]| to_pcm(&ffmpeg("-f g722 -i {} -f s16le -ar 16000 -ac 1", codes));
    for (name, codes) in [("ours", &ours), ("theirs", &theirs)] {
        let (here, there) = (our_sound(codes), decode(codes));
        // Our predictor starts from another state than the standard's; once both have adapted they agree bit for bit.
        let equal = snr(&there, &here);
        assert!(equal > 35.0, "{name} decoded here and there: {equal} dB");
        assert_eq!(here[16000..], there[16000..], "{name}: one second on");
        let (quality, delay) = aligned_snr(&pcm, &there, 40);
        assert!(quality > 20.0, "{name} decoded there: {quality} dB at {delay}");
        eprintln!("g722 coded {name}: here against there {equal:.1} dB, to the original {quality:.1} dB");
    }
}
