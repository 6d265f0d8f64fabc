//! Any packets at any times, between pulls of any length: the jitter buffer never panics, never claims more made-up
//! sound than it wrote, and accounts for every packet.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trunkline_dsp::codec::{AlawDecoder, Decoder, L16Decoder, UlawDecoder};
use trunkline_dsp::jitter::{Inserted, JitterBuffer, JitterConfig, Packet};

/// Takes numbers off the front of the input; zero at its end.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn number(&mut self, bytes: usize) -> u64 {
        self.bytes(bytes).iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }
}

fn drive<D: Decoder>(decoder: D, config: JitterConfig, mut input: Input<'_>) {
    let mut buffer = JitterBuffer::new(decoder, config);
    let (mut now, mut seq, mut timestamp, mut inserted) = (0_u64, 0_u16, 0_u32, 0_u64);
    let mut out = [0; 1000];
    while !input.0.is_empty() {
        match input.number(1) {
            // The stream goes on, with a little jitter.
            action @ 0..100 => {
                seq = seq.wrapping_add(1);
                timestamp = timestamp.wrapping_add(160);
                let len = if action % 4 == 0 { input.number(2) as usize % 500 } else { 160 };
                let payload = input.bytes(len);
                let arrival = now.saturating_add(action * 300);
                buffer.insert(&Packet { seq, timestamp, arrival, marker: false, payload });
                inserted += 1;
            }
            // Anything at all.
            100..130 => {
                let (seq, timestamp, arrival) = (input.number(2) as u16, input.number(4) as u32, input.number(8));
                let len = input.number(2) as usize % 600;
                let payload = input.bytes(len);
                let outcome = buffer.insert(&Packet { seq, timestamp, arrival, marker: true, payload });
                assert!(outcome != Inserted::Oversize || payload.len() > 480);
                inserted += 1;
            }
            // A number is left out.
            130..145 => {
                seq = seq.wrapping_add(1);
                timestamp = timestamp.wrapping_add(160);
            }
            // Comfort noise, of the stream or of anything.
            145..150 => {
                seq = seq.wrapping_add(1);
                let len = input.number(1) as usize % 40;
                let payload = input.bytes(len);
                buffer.insert_noise(&Packet { seq, timestamp, arrival: now, marker: false, payload });
                inserted += 1;
            }
            150 => buffer.reset(),
            151 => now = input.number(8),
            action => {
                now = now.saturating_add(20_000);
                let samples = if action < 160 { input.number(2) as usize % out.len() } else { 160 };
                let info = buffer.get(now, &mut out[..samples]);
                assert!(info.concealed as usize <= samples);
            }
        }
    }
    let stats = buffer.stats();
    assert_eq!(stats.stored + stats.duplicate + stats.late + stats.oversize + stats.suspect, inserted);
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let choice = input.number(1);
    let config = JitterConfig {
        packets: 1 << (choice >> 2 & 7),
        loss_look_ahead: choice & 128 == 0,
        min_delay_us: input.number(1) * 1000,
        max_delay_us: input.number(2) * 10,
        ..JitterConfig::default()
    };
    match choice & 3 {
        0 => drive(UlawDecoder, config, input),
        1 => drive(AlawDecoder, config, input),
        _ => drive(L16Decoder::new(16_000), config, input),
    }
});
