//! Taps have both voices, begin and end in the middle of a call, and are let go of with their leg.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod support;

use support::{Phone, Talker, attach, attach_with, plane, until};
use trunkline_dsp::codec::{ulaw_decode, ulaw_encode};
use trunkline_leg::{Beep, DownFrame, EndCause, TapFeed, TapFrame, tap};

const RING_MS: u32 = 5000;

fn ticks(feed: &mut TapFeed) -> Vec<TapFrame> {
    let mut frame = TapFrame::new();
    std::iter::from_fn(|| feed.read(&mut frame).then(|| frame.clone())).collect()
}

fn near(voice: impl IntoIterator<Item = i16>, level: i16) -> usize {
    voice.into_iter().filter(|sample| (i32::from(*sample) - i32::from(level)).abs() < 200).count()
}

#[test]
fn a_tap_has_both_voices_from_the_first_tick_to_the_last() {
    let plane = plane(2);
    let mut phone = Phone::new();
    let (end, mut feed, _control) = tap(8000, RING_MS, Beep::Never);
    let (mut agent, handle) = attach_with(&plane, &mut phone, |start| start.tap = Some(end));
    let caller = ulaw_encode(6000);
    let ear = phone.socket.try_clone().unwrap();
    let talker = Talker::start(vec![phone], move |_| [caller; 160]);
    let (mut heard, mut said, mut pushed) = (Vec::new(), Vec::new(), 0);
    until(&plane, "three seconds", || {
        while agent.up.pop().is_ok() {}
        if agent.down.push(DownFrame::new(&[-3000; 160], 8000, 1, pushed * 160, 0).unwrap()).is_ok() {
            pushed += 1;
        }
        for tick in ticks(&mut feed) {
            heard.extend_from_slice(tick.heard());
            said.extend_from_slice(tick.said());
        }
        (heard.len() > 24_000).then_some(())
    });
    assert!(!feed.is_over());
    handle.end(EndCause::Local);
    talker.stop();
    until(&plane, "the tap to be let go of", || feed.is_over().then_some(()));
    assert_eq!(heard.len(), said.len());
    assert!(near(heard.clone(), 6000) * 10 > heard.len() * 8, "the caller is heard");
    assert!(near(said.clone(), -3000) * 10 > said.len() * 8, "the agent is said");
    assert_eq!(near(heard, -3000), 0, "and only there");
    assert_eq!(handle.stats().recording_dropped, 0);
    drop(ear);
}

#[test]
fn a_tap_begins_in_mid_call_with_a_tone_that_the_caller_hears_too() {
    let plane = plane(2);
    let mut phone = Phone::new();
    let (_agent, handle) = attach(&plane, &mut phone);
    (0..10).for_each(|_| drop(phone.receive()));
    let (end, mut feed, control) = tap(8000, RING_MS, Beep::Start);
    handle.tap(end).unwrap();
    let loud = |payload: &[u8]| payload.iter().any(|code| ulaw_decode(*code) > 3000);
    // The tone is on its way to the phone: ten packets of it, with silence around.
    while !loud(&phone.receive().payload) {}
    let rest = (0..20).filter(|_| loud(&phone.receive().payload)).count();
    assert!((8..=9).contains(&rest), "{rest} packets after the first");
    let recorded = ticks(&mut feed);
    assert_eq!(recorded.iter().filter(|tick| tick.said().iter().any(|sample| *sample > 3000)).count(), 10);
    assert!(recorded[0].said().iter().any(|sample| *sample > 0), "it begins with the tone");
    // Another takes its place, and stopping lets go of that one.
    let (end, mut second, second_control) = tap(8000, RING_MS, Beep::Never);
    handle.tap(end).unwrap();
    until(&plane, "the first to be let go of", || feed.is_over().then_some(()));
    until(&plane, "the second to be served", || (!ticks(&mut second).is_empty()).then_some(()));
    assert!(second_control.stop());
    until(&plane, "the second to be let go of", || second.is_over().then_some(()));
    assert!(!handle.ended());
    drop(control);
}

#[test]
fn dropping_the_plane_lets_go_of_taps() {
    let plane = plane(2);
    let mut phone = Phone::new();
    let (end, mut feed, _control) = tap(8000, RING_MS, Beep::Never);
    let (_agent, handle) = attach_with(&plane, &mut phone, |start| start.tap = Some(end));
    (0..10).for_each(|_| drop(phone.receive()));
    drop(plane);
    assert!(feed.is_over() && handle.ended());
    assert!(ticks(&mut feed).len() >= 10);
    assert!(handle.tap(tap(8000, 20, Beep::Never).0).is_err(), "there is no leg any more");
}
