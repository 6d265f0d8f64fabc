//! An hour of a sender whose clock is 200 ppm fast or slow: the delay stays, and nothing is lost or made up.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use trunkline_dsp::codec::Decoder;
use trunkline_dsp::jitter::{FrameKind, JitterBuffer, JitterConfig, JitterStats, Packet};

const FRAME_US: u64 = 20_000;
const FRAME: usize = 160;
const HOUR: u64 = 180_000;

/// A loud tone with a period of 6.25 ms that never breaks off.
struct Tone([i16; FRAME]);

impl Decoder for Tone {
    fn rate(&self) -> u32 {
        8000
    }

    fn samples(&self, _payload: &[u8]) -> usize {
        FRAME
    }

    fn decode(&mut self, payload: &[u8], out: &mut [i16]) -> usize {
        let phase = usize::from(payload[0]) * FRAME % 50;
        for (n, sample) in out[..FRAME].iter_mut().enumerate() {
            *sample = self.0[(phase + n) % 50];
        }
        FRAME
    }
}

fn hour(drift_ppm: i64, jitter_us: u64) -> (JitterStats, u64, u64, i32) {
    let mut tone = [0; FRAME];
    for (n, sample) in tone.iter_mut().enumerate() {
        *sample = (8000.0 * (std::f32::consts::TAU * n as f32 / 50.0).sin()) as i16;
    }
    let mut buffer = JitterBuffer::new(Tone(tone), JitterConfig { min_delay_us: 10_000, ..JitterConfig::default() });
    let mut random = 7_u64;
    let (mut sent, mut longest, mut shortest, mut step) = (0_u64, 0, u64::MAX, 0);
    let (mut out, mut last) = ([0_i16; FRAME], 0);
    for tick in 0..HOUR {
        let now = 3_000 + tick * FRAME_US;
        loop {
            let clock = sent * FRAME_US;
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let arrival = clock.wrapping_add_signed(clock as i64 * drift_ppm / 1_000_000) + sent % 7 * jitter_us / 6;
            if arrival > now {
                break;
            }
            buffer.insert(&Packet {
                seq: (sent as u16).wrapping_add(65_000),
                timestamp: (sent as u32).wrapping_mul(FRAME as u32).wrapping_add(u32::MAX - 100_000),
                arrival,
                marker: false,
                payload: &[(sent % 5) as u8],
            });
            sent += 1;
        }
        let info = buffer.get(now, &mut out);
        if info.kind == FrameKind::Decoded {
            longest = longest.max(info.delay);
            shortest = shortest.min(info.delay);
            for sample in out {
                step = step.max((i32::from(sample) - last).abs());
                last = i32::from(sample);
            }
        }
    }
    (buffer.stats(), shortest, longest, step)
}

#[test]
fn an_hour_of_drift_in_either_direction_is_neither_underrun_nor_overrun() {
    for (drift_ppm, jitter_us) in [(200, 0), (-200, 0), (200, 6_000), (-200, 6_000)] {
        let (stats, shortest, longest, step) = hour(drift_ppm, jitter_us);
        assert!(stats.stored >= HOUR - 40, "{drift_ppm}: {stats:?}");
        assert_eq!((stats.lost, stats.late, stats.overrun, stats.suspect), (0, 0, 0, 0), "{drift_ppm}");
        assert_eq!(stats.concealed_samples, 0, "{drift_ppm}: {stats:?}");
        assert!(shortest > 0 && longest <= 45_000, "{drift_ppm}: {shortest} to {longest}");
        // 720 ms of drift in periods of 6.25 ms or twice that.
        let (down, up) = (stats.shortened, stats.lengthened);
        if drift_ppm > 0 {
            assert!((50..=160).contains(&(up - down.min(up))), "{drift_ppm}: {down} down, {up} up");
        } else {
            assert!((50..=160).contains(&(down - up.min(down))), "{drift_ppm}: {down} down, {up} up");
        }
        // The tone itself steps by 1003 at most.
        assert!(step <= 1100, "{drift_ppm}: a step of {step}");
    }
}
