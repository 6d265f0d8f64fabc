//! Tones of machines and networks are told while somebody asks, and cost nothing otherwise.

use trunkline_dsp::tone::Plan;
use trunkline_leg::ToneKind;

use super::*;
use crate::tones::Tones;

/// 20 ms of a beep, of silence with a little noise otherwise.
fn frame(rig: &mut Rig, at: usize, beeps: bool) {
    let sample = |n: usize| {
        let noise = (n * 7919 % 31) as f32 - 15.0;
        let tone = 5000.0 * (std::f32::consts::TAU * 1000.0 * n as f32 / 8000.0).sin();
        ulaw_encode((noise + if beeps { tone } else { 0.0 }) as i16)
    };
    let payload: Vec<u8> = (0..160).map(|n| sample(at * 160 + n)).collect();
    let packet = rig.packet(0, &payload);
    rig.receive(&packet);
    (rig.seq, rig.timestamp) = (rig.seq.wrapping_add(1), rig.timestamp.wrapping_add(160));
    rig.tick();
    while rig.agent.up.pop().is_ok() {}
}

fn order(rig: &mut Rig, plan: Option<&'static Plan>) {
    let tones = plan.map(|plan| Box::new(Tones::new(8000, plan).unwrap()));
    rig.orders.push(LegOrder::Tones(tones)).unwrap();
}

#[test]
fn a_beep_is_told_while_somebody_asks() {
    let mut rig = Rig::new(|_| {});
    let mut told = Vec::new();
    // Three beeps of 400 ms, one every two seconds; only the second is asked for.
    for at in 0..300 {
        match at {
            100 => order(&mut rig, Some(&Plan::US)),
            200 => order(&mut rig, None),
            _ => {}
        }
        frame(&mut rig, at, at % 100 / 20 == 2);
        told.extend(rig.facts().into_iter().filter(|fact| matches!(fact, LegFact::Tone { .. })));
    }
    let [LegFact::Tone { kind: ToneKind::Beep, at, duration_ms, hz }] = told[..] else { panic!("{told:?}") };
    assert!((3200..3600).contains(&at.as_ms()), "{at:?}");
    assert!(duration_ms.abs_diff(400) <= 40 && hz.abs_diff(1000) <= 3, "{duration_ms} ms of {hz} Hz");
    let given_back = std::iter::from_fn(|| rig.spent.pop().ok()).last();
    assert!(matches!(given_back, Some(LegOrder::Tones(Some(_)))), "its memory is freed by the owner");
}
