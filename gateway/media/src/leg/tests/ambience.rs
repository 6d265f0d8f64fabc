//! Background sound on the wire: its level, how it goes down under the agent, when it rests, and that it is nobody's speech.

use trunkline_dsp::ambience::Bed;
use trunkline_dsp::codec::ulaw_decode;
use trunkline_leg::{DownFrame, PlayoutPosition};

use super::*;
use crate::config::{Idle, LegAmbience};

fn rig(level_dbfs: i8, duck_db: u8, change: impl FnOnce(&mut LegStart)) -> Rig {
    let bed = Arc::new(Bed::room(8000));
    let mut rig = Rig::new(|start| {
        start.ambience = Some(LegAmbience { bed, level_dbfs, duck_db });
        change(start);
    });
    // There must be somewhere to send to.
    rig.talk(0);
    rig
}

/// The sound of so many ticks; those in which nothing was sent are missing.
fn sent(rig: &mut Rig, ticks: usize) -> Vec<i16> {
    let mut sound = Vec::new();
    for _ in 0..ticks {
        for packet in rig.tick() {
            sound.extend(packet[12..].iter().map(|byte| ulaw_decode(*byte)));
        }
    }
    sound
}

fn dbfs(pcm: &[i16]) -> f32 {
    let power: f32 = pcm.iter().map(|sample| (f32::from(*sample) / 32768.0).powi(2)).sum();
    10.0 * (power / pcm.len().max(1) as f32).max(1e-12).log10()
}

/// An utterance of silence, so that only the background is heard.
fn say_nothing(rig: &mut Rig, utterance: u32, frames: usize) {
    for n in 0..frames {
        let mut frame = DownFrame::new(&[0; 160], 8000, utterance, n as u64 * 160, 0).unwrap();
        frame.last = n + 1 == frames;
        rig.agent.down.push(frame).unwrap();
    }
}

#[test]
fn the_caller_hears_it_at_its_level_all_the_time() {
    for level in [-40_i8, -50] {
        for idle in [Idle::Silence, Idle::Nothing] {
            let mut rig = rig(level, 0, |start| start.idle = idle);
            let begins = sent(&mut rig, 25);
            assert!(dbfs(&begins[..160]) < f32::from(level) - 15.0, "it fades in");
            let sound = sent(&mut rig, 500);
            assert_eq!(sound.len(), 500 * 160, "it is sent though nothing is said");
            assert!((dbfs(&sound) - f32::from(level)).abs() < 1.5, "{} for {level}", dbfs(&sound));
        }
    }
}

#[test]
fn it_goes_down_under_the_agent_and_comes_back_without_a_step() {
    let mut rig = rig(-36, 20, |_| {});
    let alone = dbfs(&sent(&mut rig, 150)[25 * 160..]);
    say_nothing(&mut rig, 1, 40);
    let turned = sent(&mut rig, 40);
    let under = dbfs(&turned[10 * 160..]);
    assert!((alone - under - 20.0).abs() < 2.5, "{alone} then {under}");
    let back = sent(&mut rig, 150);
    assert!((dbfs(&back[50 * 160..]) - alone).abs() < 1.5);
    let step = |sound: &[i16]| sound.windows(2).map(|pair| pair[0].abs_diff(pair[1])).max().unwrap();
    assert!(step(&turned[..20 * 160]) <= step(&back[50 * 160..]) + 64, "no click on the way down");
}

#[test]
fn it_is_no_speech_and_moves_no_place_of_what_is_said() {
    let mut rig = rig(-36, 6, |_| {});
    sent(&mut rig, 20);
    assert!(!rig.leg.down.is_speaking());
    say_nothing(&mut rig, 1, 10);
    sent(&mut rig, 5);
    assert!(rig.leg.down.is_speaking());
    assert_eq!(rig.agent.playout.position(), PlayoutPosition { utterance: 1, sent_ms: 100 });
    rig.agent.playout.pause();
    let paused = sent(&mut rig, 50);
    assert!(dbfs(&paused[20 * 160..]) > -48.0, "a pause of the agent's does not stop it");
    assert_eq!(rig.agent.playout.position().sent_ms, 105, "where it faded");
    rig.agent.playout.resume();
    sent(&mut rig, 10);
    let facts = rig.facts();
    let ends = facts.iter().filter(|fact| matches!(fact, LegFact::PlaybackFinished { .. })).count();
    assert_eq!(ends, 1, "{facts:?}");
}

#[test]
fn a_hold_stops_it_and_it_fades_in_again() {
    let mut rig = rig(-36, 0, |_| {});
    sent(&mut rig, 100);
    let mut held = spec();
    held.direction = Direction::RecvOnly;
    rig.order(held);
    assert_eq!(sent(&mut rig, 20), [], "the far end wants to hear nothing");
    rig.order(spec());
    let again = sent(&mut rig, 60);
    assert!(dbfs(&again[..160]) < -50.0 && (dbfs(&again[30 * 160..]) + 36.0).abs() < 2.0);
}

#[test]
fn a_bed_of_another_rate_is_not_played() {
    let bed = Arc::new(Bed::room(16_000));
    let mut rig = Rig::new(|start| start.ambience = Some(LegAmbience { bed, level_dbfs: -36, duck_db: 0 }));
    rig.talk(0);
    assert!(sent(&mut rig, 30).iter().all(|sample| sample.unsigned_abs() <= 8));
}
