//! What a leg does with digits, clears, strangers, garbage, holds and hang-ups, over real sockets.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod support;

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use support::{Phone, Talker, attach, attach_with, fact, plane, spec, until};
use trunkline_dsp::codec::ULAW_SILENCE;
use trunkline_leg::{Direction, DownFrame, EndCause, LegFact, MediaSpec};
use trunkline_media::{Idle, SourcePolicy};

#[test]
fn a_digit_of_many_packets_is_reported_once_with_its_time() {
    let plane = plane(4);
    let mut phone = Phone::new();
    let (mut agent, _handle) = attach(&plane, &mut phone);
    (0..3).for_each(|_| phone.talk(&[ULAW_SILENCE; 160]));
    for (code, timestamp) in [(5, 8_000), (11, 16_000), (5, 24_000)] {
        phone.timestamp = timestamp;
        (1..6).for_each(|n| phone.event(code, false, n * 160));
        (0..3).for_each(|_| phone.event(code, true, 960));
    }
    let mut digits = String::new();
    until(&plane, "three digits", || {
        while let Ok(fact) = agent.facts.pop() {
            if let LegFact::Dtmf { digit, .. } = fact {
                digits.push(digit.as_char());
            }
        }
        (digits.len() >= 3).then_some(())
    });
    phone.talk(&[ULAW_SILENCE; 160]);
    let after = until(&plane, "more frames", || agent.up.pop().ok());
    assert_eq!(after.rate, 8000);
    assert!(agent.facts.pop().is_err(), "nothing is reported twice");
    assert_eq!(digits, "5#5");
}

#[test]
fn a_clear_stops_speech_within_one_frame() {
    let plane = plane(4);
    let mut phone = Phone::new();
    let (mut agent, _handle) = attach(&plane, &mut phone);
    for n in 0..50 {
        agent.down.push(DownFrame::new(&[8000; 160], 8000, 1, n * 160, 0).unwrap()).unwrap();
    }
    let loud = |packet: &support::Rtp| packet.payload.iter().filter(|code| **code != ULAW_SILENCE).count();
    let mut heard = 0;
    while heard < 800 {
        heard += loud(&phone.receive());
    }
    agent.playout.clear();
    let at_clear = agent.playout.position().sent_ms;
    let mut silent = 0;
    while silent < 5 {
        let samples = loud(&phone.receive());
        heard += samples;
        silent = if samples == 0 { silent + 1 } else { 0 };
    }
    let (utterance, sent_ms) = fact(&plane, &mut agent, |fact| match fact {
        LegFact::PlaybackCut { utterance, sent_ms, .. } => Some((utterance, sent_ms)),
        _ => None,
    });
    // One frame may have been on its way; then comes the fade of 5 ms, and nothing more.
    assert!(sent_ms <= at_clear + 25, "{sent_ms} ms were sent, {at_clear} of them before the clear");
    let position = agent.playout.position();
    assert_eq!((position.utterance, position.sent_ms), (utterance, sent_ms));
    // What is said to have been sent is what arrived, but for the silent ends of the ramps.
    let claimed = sent_ms as usize * 8;
    assert!(heard <= claimed && heard + 4 >= claimed, "{heard} samples of {claimed}");
}

#[test]
fn silence_is_sent_every_20_ms_and_speech_carries_the_marker() {
    let plane = plane(4);
    let mut phone = Phone::new();
    let (mut agent, _handle) = attach(&plane, &mut phone);
    let silent: Vec<support::Rtp> = (0..20).map(|_| phone.receive()).collect();
    assert!(silent.iter().all(|packet| packet.payload == [ULAW_SILENCE; 160] && packet.payload_type == 0));
    assert!(silent[0].marker && silent[1..].iter().all(|packet| !packet.marker));
    for pair in silent.windows(2) {
        assert_eq!(pair[1].seq, pair[0].seq.wrapping_add(1));
        assert_eq!(pair[1].timestamp, pair[0].timestamp.wrapping_add(160));
    }
    let mean = silent[19].at.duration_since(silent[0].at).as_millis() / 19;
    assert!((15..=25).contains(&mean), "{mean} ms");
    agent.down.push(DownFrame::new(&[5000; 320], 16000, 1, 0, 0).unwrap()).unwrap();
    agent.down.push(DownFrame::new(&[5000; 320], 16000, 1, 320, 0).unwrap()).unwrap();
    let speech = std::iter::repeat_with(|| phone.receive()).find(|packet| packet.payload != [ULAW_SILENCE; 160]);
    assert!(speech.unwrap().marker);
}

#[test]
fn a_leg_that_should_be_quiet_sends_only_speech() {
    let plane = plane(4);
    let mut phone = Phone::new();
    let (mut agent, handle) = attach_with(&plane, &mut phone, |start| start.idle = Idle::Nothing);
    until(&plane, "a few ticks", || (plane.worker_stats(0).phases > 40).then_some(()));
    assert_eq!(handle.stats().packets_out, 0);
    agent.down.push(DownFrame::new(&[5000; 160], 8000, 1, 0, 0).unwrap()).unwrap();
    assert!(phone.receive().marker);
}

#[test]
fn strangers_are_counted_and_not_heard() {
    let plane = plane(4);
    let mut phone = Phone::new();
    let (mut agent, handle) = attach(&plane, &mut phone);
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    for n in 0..10 {
        phone.seq = n;
        stranger.send_to(&phone.bytes(0, false, &[0; 160]), phone.to).unwrap();
    }
    until(&plane, "the strangers' packets", || (handle.stats().dropped_source == 10).then_some(()));
    assert_eq!(handle.stats().packets_in, 0);
    assert!(agent.up.pop().is_err());
    assert!(!std::iter::from_fn(|| agent.facts.pop().ok()).any(|fact| matches!(fact, LegFact::MediaStarted { .. })));
    // And nothing was sent to them: RTP bleed.
    stranger.set_nonblocking(true).unwrap();
    assert!(stranger.recv_from(&mut [0; 100]).is_err());
    phone.talk(&[ULAW_SILENCE; 160]);
    fact(&plane, &mut agent, |fact| matches!(fact, LegFact::MediaStarted { .. }).then_some(()));
}

#[test]
fn a_far_end_behind_nat_is_learned_and_answered() {
    let plane = plane(4);
    let mut phone = Phone::new();
    // The signalled port is not the one that packets come from.
    let (mut agent, _handle) = attach_with(&plane, &mut phone, |start| {
        start.spec.remote.set_port(9);
        start.source = SourcePolicy::Learn;
    });
    (0..3).for_each(|_| phone.talk(&[ULAW_SILENCE; 160]));
    fact(&plane, &mut agent, |fact| matches!(fact, LegFact::MediaStarted { .. }).then_some(()));
    assert_eq!(phone.receive().payload_type, 0);
}

#[test]
fn hundreds_of_malformed_packets_leave_the_leg_up() {
    let plane = plane(4);
    let mut phone = Phone::new();
    let (mut agent, handle) = attach(&plane, &mut phone);
    phone.talk(&[ULAW_SILENCE; 160]);
    fact(&plane, &mut agent, |fact| matches!(fact, LegFact::MediaStarted { .. }).then_some(()));
    let valid = phone.bytes(0, false, &[ULAW_SILENCE; 160]);
    let mut random = 99_u64;
    let mut next = move |limit: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % limit
    };
    let rtcp_port = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut rtcp = phone.to;
    rtcp.set_port(rtcp.port() + 1);
    for n in 0..600 {
        let mut packet = valid.clone();
        match n % 6 {
            0 => packet.truncate(next(13)),
            1 => (0..8).for_each(|_| packet[next(12)] = next(256) as u8),
            2 => packet[0] = 0x80 | next(128) as u8, // padding, extension and CSRCs that are not there
            3 => packet = (0..next(200)).map(|_| next(256) as u8).collect(),
            4 => packet.resize(1400 + next(600), 0),
            _ => packet.truncate(12),
        }
        phone.socket.send_to(&packet, phone.to).unwrap();
        rtcp_port.send_to(&packet, rtcp).unwrap();
        if n % 30 == 29 {
            // Give the leg's socket buffer time to be read.
            let seen = plane.worker_stats(0).phases;
            until(&plane, "a tick", || (plane.worker_stats(0).phases > seen + 4).then_some(()));
        }
    }
    // The far end goes on as before and is heard: facts still come, and the leg still sends.
    phone.timestamp = phone.timestamp.wrapping_add(16_000);
    (0..4).for_each(|_| phone.event(9, true, 800));
    let digit = fact(&plane, &mut agent, |fact| match fact {
        LegFact::Dtmf { digit, .. } if digit.as_char() == '9' => Some(digit),
        LegFact::Ended { .. } => panic!("the leg ended"),
        _ => None,
    });
    assert_eq!(digit.event(), 9);
    let stats = handle.stats();
    assert!(stats.dropped_malformed > 100 && stats.dropped_size >= 90, "{stats:?}");
    assert_eq!(plane.worker_stats(0).panics, 0);
    assert!(!handle.ended());
}

#[test]
fn media_that_never_comes_ends_the_leg_but_hold_does_not() {
    let plane = plane(4);
    let mut phone = Phone::new();
    let (mut agent, handle) = attach_with(&plane, &mut phone, |start| start.media_timeout_ms = 400);
    let held = |direction| MediaSpec { direction, ..spec(phone.address()) };
    handle.update(held(Direction::SendOnly)).unwrap();
    let phases = plane.worker_stats(0).phases;
    until(&plane, "more than the time-out", || (plane.worker_stats(0).phases > phases + 160).then_some(()));
    assert!(!handle.ended());
    let resumed = Instant::now();
    handle.update(held(Direction::SendRecv)).unwrap();
    let cause = fact(&plane, &mut agent, |fact| match fact {
        LegFact::Ended { cause, .. } => Some(cause),
        _ => None,
    });
    assert_eq!(cause, EndCause::MediaTimeout);
    assert!(resumed.elapsed() >= Duration::from_millis(300));
    assert!(matches!(handle.update(spec(phone.address())), Err(trunkline_media::MediaError::Ended)));
}

#[test]
fn hold_stops_sound_both_ways_and_resume_brings_it_back() {
    let plane = plane(4);
    let mut phone = Phone::new();
    let ear = phone.socket.try_clone().unwrap();
    let remote = phone.address();
    let (mut agent, handle) = attach(&plane, &mut phone);
    let talker = Talker::start(vec![phone], |_| [ULAW_SILENCE; 160]);
    until(&plane, "sound", || agent.up.pop().ok());
    handle.update(MediaSpec { direction: Direction::Inactive, ..spec(remote) }).unwrap();
    until(&plane, "the hold", || (handle.stats().dropped_direction > 5).then_some(()));
    let (sent, received) = (handle.stats().packets_out, handle.stats().packets_in);
    until(&plane, "more of the hold", || (handle.stats().dropped_direction > 25).then_some(()));
    assert_eq!((handle.stats().packets_out, handle.stats().packets_in), (sent, received));
    handle.update(spec(remote)).unwrap();
    until(&plane, "the resume", || (handle.stats().packets_in > received + 5).then_some(()));
    assert!(handle.stats().packets_out > sent);
    drop(talker);
    drop(ear);
}

#[test]
fn dropping_the_handle_ends_the_leg_and_gives_the_ports_back() {
    let plane = plane(4);
    let mut phone = Phone::new();
    let (mut agent, handle) = attach(&plane, &mut phone);
    phone.receive();
    drop(handle);
    let cause = fact(&plane, &mut agent, |fact| match fact {
        LegFact::Ended { cause, .. } => Some(cause),
        _ => None,
    });
    assert_eq!(cause, EndCause::Local);
    until(&plane, "the leg to leave", || (plane.legs() == 0).then_some(()));
    // The port can be bound again once the leg is freed.
    until(&plane, "the port", || UdpSocket::bind(phone.to).ok());
}

#[test]
fn a_leg_says_goodbye_by_rtcp() {
    let plane = plane(4);
    let (mut phone, rtcp) = loop {
        // The far end's RTCP port is the one after its RTP port.
        let phone = Phone::new();
        if let Some(next) = phone.address().port().checked_add(1)
            && let Ok(rtcp) = UdpSocket::bind(("127.0.0.1", next))
        {
            break (phone, rtcp);
        }
    };
    rtcp.set_read_timeout(Some(support::DEADLINE)).unwrap();
    let (_agent, handle) = attach(&plane, &mut phone);
    phone.receive();
    handle.end(EndCause::Local);
    let mut buffer = [0; 500];
    let (length, from) = rtcp.recv_from(&mut buffer).unwrap();
    assert_eq!(from.port(), phone.to.port() + 1);
    let mut kinds = Vec::new();
    let mut rest = &buffer[..length];
    while !rest.is_empty() {
        kinds.push(rest[1]);
        rest = &rest[4 * (usize::from(u16::from_be_bytes([rest[2], rest[3]])) + 1)..];
    }
    assert_eq!(kinds, [200, 202, 203], "SR, SDES, BYE");
}
