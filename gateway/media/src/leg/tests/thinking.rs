//! The thinking sound on the wire: where nothing is said, until something is, and never as somebody's speech.

use trunkline_dsp::codec::ulaw_decode;
use trunkline_leg::DownFrame;

use super::*;

/// Whether each of so many ticks sent anything to be heard.
fn heard(rig: &mut Rig, ticks: usize) -> Vec<bool> {
    let loud = |packet: &Vec<u8>| packet[12..].iter().any(|byte| ulaw_decode(*byte).unsigned_abs() > 300);
    (0..ticks).map(|_| rig.tick().iter().any(loud)).collect()
}

#[test]
fn whoever_waits_hears_it_until_the_agent_speaks_and_on_hold_nobody_does() {
    let mut rig = Rig::new(|_| {});
    rig.talk(0);
    assert!(!heard(&mut rig, 100).contains(&true));
    rig.agent.playout.think(true);
    let knocks = heard(&mut rig, 140);
    assert!(knocks[..3].contains(&true), "at once: {knocks:?}");
    assert_eq!(knocks.split(|loud| *loud).map(<[bool]>::len).filter(|silence| *silence > 40).count(), 2, "{knocks:?}");
    for n in 0..50 {
        rig.agent.down.push(DownFrame::new(&[0; 160], 8000, 1, 160 * n, 0).unwrap()).unwrap();
    }
    // What is said is silence here, so that a knock would be heard.
    let spoken = heard(&mut rig, 48);
    assert!(!spoken[7..].contains(&true), "{spoken:?}");
    rig.agent.playout.hold(true);
    rig.agent.playout.think(false);
    assert!(!heard(&mut rig, 100)[7..].contains(&true));
}
