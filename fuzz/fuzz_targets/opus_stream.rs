//! Any stream of packets to the Opus decoder, with losses: it makes what a packet announces or nothing. A panic inside
//! the decoder is caught in the product; here its message alone ends the run.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trunkline_dsp::codec::{Decoder, OpusDecoder};

const ROOM: usize = 5760;
const UNTOUCHED: i16 = 0x2bad;

fuzz_target!(|input: (u8, Vec<(u8, Vec<u8>)>)| {
    let (choice, packets) = input;
    let rate = [8000, 12_000, 16_000, 24_000, 48_000][usize::from(choice % 5)];
    let Ok(mut decoder) = OpusDecoder::new(rate) else { return };
    let mut out = vec![UNTOUCHED; ROOM + 16];
    for (kind, packet) in packets.iter().take(16) {
        let length = rate as usize / 400 * (1 + usize::from(kind >> 2) % 24);
        let written = match kind & 3 {
            0 => decoder.decode_lost(&mut out[..length - 1]).unwrap_or(0),
            1 => decoder.decode_fec(packet, &mut out[..length]).unwrap_or(0),
            _ => {
                let written = decoder.decode(packet, &mut out[..ROOM]);
                assert!(written == 0 || written == decoder.samples(packet));
                written
            }
        };
        assert!(written <= ROOM);
        assert!(out[ROOM..].iter().all(|sample| *sample == UNTOUCHED));
    }
});
