//! Sound of a hold on the wire: it begins with the hold, is never cut into what was being said, and ends with it.

use std::sync::Arc;

use trunkline_dsp::ambience::Bed;
use trunkline_leg::DownFrame;

use super::*;
use crate::config::{HeldSound, LegAmbience};
use crate::leg::hold::Held;

/// Whether each of so many ticks sent anything to be heard.
fn heard(rig: &mut Rig, ticks: usize) -> Vec<bool> {
    let loud = |packet: &Vec<u8>| packet[12..].iter().any(|byte| ulaw_decode(*byte).unsigned_abs() > 200);
    (0..ticks).map(|_| rig.tick().iter().any(loud)).collect()
}

fn order(rig: &mut Rig, sound: Option<&HeldSound>) {
    while rig.spent.pop().is_ok() {}
    let held = sound.map(|sound| Box::new(Held::new(sound, rig.rate).unwrap()));
    rig.orders.push(LegOrder::Held(held)).unwrap();
}

fn music() -> HeldSound {
    HeldSound::Music(LegAmbience { bed: Arc::new(Bed::music(8000)), level_dbfs: -32, duck_db: 0 })
}

#[test]
fn who_is_on_hold_hears_music_and_what_was_being_said_goes_on_behind_it() {
    let mut rig = Rig::new(|_| {});
    rig.talk(0);
    for n in 0..10 {
        rig.agent.down.push(DownFrame::new(&[4000; 160], 8000, 1, 160 * n, 0).unwrap()).unwrap();
    }
    assert!(heard(&mut rig, 5)[1..].iter().all(|loud| *loud), "it is being said");
    rig.agent.playout.hold(true);
    order(&mut rig, Some(&music()));
    let position = rig.agent.playout.position();
    let on_hold = heard(&mut rig, 200);
    let sounding = on_hold.iter().filter(|loud| **loud).count();
    assert!(sounding > 180, "music in {sounding} of 200 frames");
    assert!(rig.agent.playout.position().sent_ms <= position.sent_ms + 20, "what was being said waits");
    order(&mut rig, None);
    rig.agent.playout.hold(false);
    heard(&mut rig, 10);
    assert_eq!(rig.agent.playout.position().sent_ms, 200, "and is said to its end");
    assert!(!heard(&mut rig, 50)[5..].contains(&true), "no music behind it");
}

#[test]
fn a_tone_of_ringing_comes_and_goes_and_neither_is_heard_by_who_is_to_hear_nothing() {
    let mut rig = Rig::new(|_| {});
    rig.talk(0);
    order(&mut rig, Some(&HeldSound::Ringback));
    let rings = heard(&mut rig, 500);
    let sounding = rings.iter().filter(|loud| **loud).count();
    assert!((95..=105).contains(&sounding), "one second of five: {sounding} frames");
    order(&mut rig, Some(&music()));
    rig.order(MediaSpec { direction: Direction::Inactive, ..spec() });
    assert!(!heard(&mut rig, 50)[1..].contains(&true));
    rig.order(MediaSpec { direction: Direction::SendOnly, ..spec() });
    assert!(heard(&mut rig, 100).contains(&true), "it may be sent though nothing is received");
}
