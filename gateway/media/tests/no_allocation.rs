//! The media worker allocates nothing per tick: 20 legs fed by real RTP, their sound worked on by every engine and
//! changed in mid-call, counted by the allocator itself.
//!
//! This test is alone in its binary, because a process has one watched thread.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod support;

use support::{Phone, Talker, attach_with, plane, until};
use trunkline_allocations::{Counts, watch, watched};
use trunkline_dsp::ambience::Bed;
use trunkline_dsp::chain::{Denoiser, Sound};
use trunkline_dsp::codec::ulaw_encode;
use trunkline_dsp::gain::AgcConfig;
use trunkline_dsp::gate::GateConfig;
use trunkline_dsp::tone::Plan;
use trunkline_leg::{Beep, DownFrame, DtmfDigit, LegFact, TapFrame, tap};
use trunkline_media::{Conference, Feed, LegAmbience, LegSound};

/// Every engine and everything that can be switched on.
fn sound(n: usize) -> LegSound {
    let denoiser = [Denoiser::Lanes, Denoiser::Economy, Denoiser::Off, Denoiser::Lanes][n % 4];
    let chain = Sound {
        denoiser,
        echo_gate: !n.is_multiple_of(5),
        agc: n.is_multiple_of(3).then(AgcConfig::default),
        noise_gate: n.is_multiple_of(7).then(GateConfig::default),
        ..Sound::default()
    };
    let feed = if n.is_multiple_of(2) { Feed::Raw } else { Feed::Cleaned };
    LegSound { chain, feed, comfort_noise: n.is_multiple_of(4), ..LegSound::default() }
}

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
    let plane = plane(LEGS);
    let bed = std::sync::Arc::new(Bed::room(8000));
    let mut feeds = Vec::new();
    let mut phones: Vec<Phone> = (0..LEGS).map(|_| Phone::new()).collect();
    let (mut agents, handles): (Vec<_>, Vec<_>) = phones
        .iter_mut()
        .enumerate()
        .map(|(n, phone)| {
            // Every other leg is tapped; nobody listens to half of those taps, so that their rings run full.
            let (end, feed, control) = tap(8000, 1000, Beep::Repeat);
            feeds.push((feed, control));
            attach_with(&plane, phone, |start| {
                start.tap = (n % 2 == 0).then_some(end);
                start.sound = sound(n);
                start.ambience = (n % 3 == 0).then(|| LegAmbience { bed: bed.clone(), level_dbfs: -40, duck_db: 12 });
                // Half of them take and give digits as tones.
                start.spec.dtmf_payload_type = (n % 4 < 2).then_some(101);
            })
        })
        .unzip();
    let talker =
        Talker::reporting(phones, |n| std::array::from_fn(|i| ulaw_encode((i as i16 % 40 - 20) * 50 * n as i16)));

    // Utterances of every rate, each cut by a clear after a while, played the whole time.
    let rates = [8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000];
    let mut talk = |frames: &mut [u64; LEGS], changed: &mut [u64; LEGS]| {
        for (n, agent) in agents.iter_mut().enumerate() {
            let handle = &handles[n];
            while agent.up.pop().is_ok() {
                frames[n] += 1;
                if frames[n].is_multiple_of(50) {
                    let _ = handle.send_dtmf(DtmfDigit::from_event((n % 16) as u8).unwrap(), 80);
                }
                if frames[n].is_multiple_of(40) {
                    agent.playout.clear();
                }
                if frames[n].is_multiple_of(50) {
                    handle.set_sound(sound(n + (frames[n] / 50) as usize)).unwrap();
                    // Tones are listened for now and then.
                    let _ = handle.listen_for_tones((n as u64 + frames[n] / 50).is_multiple_of(2).then_some(&Plan::US));
                    changed[n] += 1;
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
    let mut changed = [0; LEGS];
    until(&plane, "every leg to be heard", || {
        talk(&mut frames, &mut changed);
        frames.iter().all(|count| *count > 20).then_some(())
    });

    let conference = Conference::new(8);
    handles[..6].iter().for_each(|handle| handle.join(&conference).unwrap());
    let mut leaver = handles[..3].iter();
    watch(media_thread());
    let (phases, heard) = (plane.worker_stats(0).phases, frames);
    // In the middle taps end, begin, and take the place of others; those replaced lie in `feeds` until the end.
    let mut further: Vec<_> = (0..LEGS).map(|_| tap(8000, 1000, Beep::Start)).collect();
    let mut frame = TapFrame::new();
    // Over six seconds, so that RTCP reports (after 2.5 s) are in; and for as long as it takes until every leg has gone
    // through everything, because a busy machine pauses callers, agents and workers alike.
    until(&plane, "300 ticks in which every leg did everything", || {
        talk(&mut frames, &mut changed);
        for (feed, _) in feeds.iter_mut().step_by(4) {
            while feed.read(&mut frame) {}
        }
        if plane.worker_stats(0).phases > phases + 600
            && let Some((end, feed, control)) = further.pop()
        {
            feeds[further.len()].1.stop();
            let _ = handles[further.len()].tap(end);
            feeds.push((feed, control));
            // Some leave a conference meanwhile, and others come.
            if let Some(handle) = leaver.next() {
                let _ = handle.leave();
                let _ = handles[6 + further.len() % 4].join(&conference);
            }
        }
        let done = handles.iter().enumerate().all(|(n, handle)| {
            let stats = handle.stats();
            frames[n] > heard[n] + 250 + stats.unprocessed
                && stats.packets_out > 250
                && stats.rtcp_out > 0
                && stats.rtcp_in > 4
                && stats.mos_in > 0
                && stats.dtmf_sent >= 4
                && changed[n] > 4
        });
        (done && further.is_empty() && plane.worker_stats(0).phases > phases + 1200).then_some(())
    });
    let asked = watched();
    talker.stop();

    assert_eq!(asked, Counts::NONE, "in {} phases of {LEGS} legs", plane.worker_stats(0).phases - phases);
}
