//! Any payload to any decoder but Opus, by the first byte: it writes what it announces and nothing beyond its buffer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trunkline_dsp::codec::{AlawDecoder, Decoder, G722Decoder, L16Decoder, UlawDecoder};
use trunkline_dsp::comfort_noise::{ComfortNoise, ComfortNoiseDecoder};

const UNTOUCHED: i16 = 0x2bad;

fuzz_target!(|input: (u8, usize, Vec<u8>)| {
    let (choice, room, payload) = input;
    let room = room % 4096;
    let mut decoder: Box<dyn Decoder> = match choice % 5 {
        0 => Box::new(UlawDecoder),
        1 => Box::new(AlawDecoder),
        2 => Box::new(L16Decoder::new(16_000)),
        3 => Box::new(G722Decoder::new()),
        _ => Box::new(ComfortNoiseDecoder::new(8000, u32::from(choice))),
    };
    let mut out = vec![UNTOUCHED; room + 16];
    // Twice, because some have a memory.
    for _ in 0..2 {
        let written = decoder.decode(&payload, &mut out[..room]);
        assert!(written <= room && written <= decoder.samples(&payload));
        assert!(decoder.decode_lost(&mut out[..room]).unwrap_or(0) <= room);
        assert!(decoder.decode_fec(&payload, &mut out[..room]).is_none());
        assert!(out[room..].iter().all(|sample| *sample == UNTOUCHED));
    }
    if let Some(noise) = ComfortNoise::parse(&payload) {
        assert!(noise.reflection().iter().all(|k| k.abs() < 1.0));
        let mut wire = [0; 11];
        let written = noise.write(&mut wire);
        assert_eq!(ComfortNoise::parse(&wire[..written]), Some(noise));
    }
});
