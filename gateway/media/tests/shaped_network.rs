//! A leg behind a network that loses, delays, reorders and copies: what it counts is what the network did, and what it
//! plays has no hole longer than the network made.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod support;

use std::net::UdpSocket;

use support::shaper::{Relay, Shaper, Weather};
use support::{Phone, Talker, attach_with, plane, until};
use trunkline_dsp::codec::ulaw_encode;

/// 20 ms of a steady tone of 400 Hz.
fn tone() -> [u8; 160] {
    std::array::from_fn(|n| ulaw_encode((8000.0 * (n as f64 * std::f64::consts::TAU / 20.0).sin()) as i16))
}

/// What a leg counted of `packets` packets through the weather, the network's own count, and the concealed frames in
/// runs.
fn call(weather: Weather, packets: u64) -> (trunkline_media::LegStats, Shaper, Vec<usize>) {
    let plane = plane(4);
    let mut phone = Phone::new();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let network = socket.local_addr().unwrap();
    let (mut agent, handle) = attach_with(&plane, &mut phone, |start| start.spec.remote = network);
    let relay = Relay::start(socket, phone.address(), phone.to, weather);
    phone.to = network;
    let talker = Talker::start(vec![phone], |_| tone());
    let mut concealed = Vec::new();
    until(&plane, "the call", || {
        while let Ok(frame) = agent.up.pop() {
            concealed.push(frame.concealed);
        }
        while agent.levels.pop().is_ok() {}
        (concealed.len() as u64 >= packets).then_some(())
    });
    talker.stop();
    let shaper = relay.stop();
    let runs = concealed.chunk_by(|a, b| a == b).filter(|run| run[0]).map(<[bool]>::len).collect();
    (handle.stats(), shaper, runs)
}

#[test]
fn loss_and_copies_are_counted_as_the_network_made_them() {
    for seed in [3, 11] {
        let weather = Weather { seed, loss: 0.06, loss_run: 1.5, duplicate: 0.05, delay_us: 20_000, ..Weather::CLEAR };
        let (stats, shaper, runs) = call(weather, 300);
        assert!(shaper.lost >= 5 && shaper.duplicated >= 5, "{shaper:?}");
        // Packets at either end may not be counted yet, or any more.
        assert!(stats.lost.abs_diff(shaper.lost) <= 3, "seed {seed}: {stats:?} {} lost", shaper.lost);
        assert!(stats.duplicate.abs_diff(shaper.duplicated) <= 3, "seed {seed}: {stats:?} {}", shaper.duplicated);
        assert!((150..=437).contains(&stats.mos_in), "seed {seed}: {}", stats.mos_in);
        let concealed: usize = runs.iter().sum();
        let stalled = shaper.stalled_us / 20_000;
        assert!(concealed as u64 <= 2 * shaper.lost + 5 + stalled, "seed {seed}: {runs:?} for {} lost", shaper.lost);
    }
}

#[test]
fn jitter_within_the_buffer_is_not_heard() {
    let weather = Weather { seed: 5, jitter_us: 30_000, delay_us: 10_000, reorder: 0.02, ..Weather::CLEAR };
    let (stats, shaper, runs) = call(weather, 400);
    assert_eq!(shaper.lost, 0);
    assert!((3_000..=25_000).contains(&stats.jitter_us), "{}", stats.jitter_us);
    // While the buffer learns, a frame or two; a hole is never longer, but by what this machine stood still.
    let frames = |us: u64| us.div_ceil(20_000) as usize;
    assert!(runs.iter().all(|run| *run <= 2 + frames(shaper.longest_stall_us)), "{runs:?} {shaper:?}");
    assert!(runs.iter().sum::<usize>() <= 20 + frames(shaper.stalled_us), "{runs:?} {shaper:?}");
}
