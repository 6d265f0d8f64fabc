//! The media worker allocates nothing per tick: 20 legs fed by real RTP, counted by the allocator itself.
//!
//! This test is alone in its binary, because a process has one watched thread.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod support;

use support::{Phone, Talker, attach_with, plane, until};
use trunkline_allocations::{Counts, watch, watched};
use trunkline_dsp::codec::ulaw_encode;
use trunkline_leg::{DownFrame, LegFact};

/// The kernel's number of the media worker's thread.
fn media_thread() -> i32 {
    std::fs::read_dir("/proc/self/task")
        .unwrap()
        .map(|task| task.unwrap().path())
        .find(|task| std::fs::read_to_string(task.join("comm")).is_ok_and(|name| name.trim() == "tl-media-0"))
        .and_then(|task| task.file_name()?.to_str()?.parse().ok())
        .expect("the media worker's thread")
}

#[test]
fn a_tick_allocates_and_frees_nothing() {
    const LEGS: usize = 20;
    let dir = tempfile::tempdir().unwrap();
    let plane = plane(LEGS);
    let mut phones: Vec<Phone> = (0..LEGS).map(|_| Phone::new()).collect();
    let mut legs: Vec<_> = phones
        .iter_mut()
        .enumerate()
        .map(|(n, phone)| {
            // Every other leg is recorded.
            let path = dir.path().join(format!("{n}.wav"));
            attach_with(&plane, phone, |start| start.recording = (n % 2 == 0).then_some(path))
        })
        .collect();
    let talker = Talker::start(phones, |n| std::array::from_fn(|i| ulaw_encode((i as i16 % 40 - 20) * 50 * n as i16)));

    // Utterances of every rate, each cut by a clear after a while, played the whole time.
    let rates = [8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000];
    let mut talk = |frames: &mut [u64; LEGS]| {
        for (n, (agent, _)) in legs.iter_mut().enumerate() {
            while agent.up.pop().is_ok() {
                frames[n] += 1;
                if frames[n].is_multiple_of(40) {
                    agent.playout.clear();
                }
                let generation = agent.playout.generation();
                let rate = rates[(n + frames[n] as usize / 20) % rates.len()];
                let pcm = [2500; 960];
                let utterance = 1 + (frames[n] / 20) as u32;
                let mut frame = DownFrame::new(&pcm[..rate as usize / 50], rate, utterance, 0, generation).unwrap();
                frame.last = frames[n] % 20 == 19;
                let _ = agent.down.push(frame);
            }
            while let Ok(fact) = agent.facts.pop() {
                assert!(!matches!(fact, LegFact::Ended { .. }));
            }
            while agent.levels.pop().is_ok() {}
        }
    };
    let mut frames = [0; LEGS];
    until(&plane, "every leg to be heard", || {
        talk(&mut frames);
        frames.iter().all(|count| *count > 20).then_some(())
    });

    watch(media_thread());
    let (phases, heard) = (plane.worker_stats(0).phases, frames);
    // Over six seconds, so that RTCP reports (after 2.5 s) are in.
    until(&plane, "300 ticks", || {
        talk(&mut frames);
        (plane.worker_stats(0).phases > phases + 1200).then_some(())
    });
    let asked = watched();
    talker.stop();

    for (n, (_, handle)) in legs.iter().enumerate() {
        let stats = handle.stats();
        assert!(frames[n] > heard[n] + 250, "leg {n} was idle: {stats:?}");
        assert!(stats.packets_out > 250 && stats.rtcp_out > 0, "leg {n} was quiet: {stats:?}");
    }
    assert_eq!(asked, Counts::NONE, "in 300 ticks of {LEGS} legs");
}
