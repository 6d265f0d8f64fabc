//! Who is heard: not a forger of streams, not a stranger, not another call, but a far end that moved.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod support;

use std::net::UdpSocket;
use std::sync::Arc;

use support::{DEADLINE, Phone, Talker, attach_with, plane, until};
use trunkline_dsp::codec::{ULAW_SILENCE, ulaw_encode};
use trunkline_leg::LegFact;
use trunkline_media::{AddressRange, SourcePolicy};

const LOUD: i16 = 20_000;

fn loud(frame: &trunkline_leg::UpFrame) -> bool {
    frame.pcm().iter().any(|sample| sample.abs() > LOUD / 2)
}

#[test]
fn forged_streams_strangers_and_other_calls_are_counted_and_not_heard() {
    let loopback = AddressRange::new("127.0.0.0".parse().unwrap(), 8).unwrap();
    for policy in [SourcePolicy::Strict, SourcePolicy::Learn, SourcePolicy::Acl(Arc::from([loopback]))] {
        let plane = plane(4);
        let mut phone = Phone::new();
        let (mut agent, handle) = attach_with(&plane, &mut phone, |start| start.source = policy.clone());
        let shout = [ulaw_encode(LOUD); 160];
        // On the caller's own socket, with another stream's number.
        let socket = phone.socket.try_clone().unwrap();
        let forger = Phone { socket, ssrc: 0xbad, to: phone.to, ..Phone::new() };
        // From another socket of the same host, as another call's sound that strayed here.
        let stray = Phone { to: phone.to, ssrc: 0xca11, ..Phone::new() };
        // From one thread, so that none of them pauses without the others.
        let talkers =
            Talker::start(vec![phone, forger, stray], move |n| if n == 0 { [ULAW_SILENCE; 160] } else { shout });
        let mut frames = 0;
        until(&plane, "all of them", || {
            while let Ok(frame) = agent.up.pop() {
                frames += 1;
                assert!(!loud(&frame), "{policy:?}: somebody else was heard");
            }
            let stats = handle.stats();
            (stats.dropped_ssrc >= 40 && stats.dropped_source >= 40 && frames >= 40).then_some(())
        });
        drop(talkers);
        while let Ok(fact) = agent.facts.pop() {
            assert!(!matches!(fact, LegFact::SsrcChanged { .. }), "{policy:?}");
        }
    }
}

#[test]
fn a_caller_whose_nat_gives_it_another_port_goes_on_being_heard_and_hears() {
    let plane = plane(4);
    let mut phone = Phone::new();
    let (mut agent, handle) = attach_with(&plane, &mut phone, |start| start.source = SourcePolicy::Learn);
    (0..10).for_each(|_| phone.talk(&[ULAW_SILENCE; 160]));
    until(&plane, "the caller", || (handle.stats().packets_in >= 10).then_some(()));
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let ear = socket.try_clone().unwrap();
    let moved = Phone { socket, ..phone };
    let talker = Talker::start(vec![moved], |_| [ulaw_encode(LOUD); 160]);
    until(&plane, "its voice", || agent.up.pop().ok().filter(loud));
    assert!(ear.recv_from(&mut [0; 500]).is_ok(), "and it is sent to");
    assert_eq!(handle.stats().ssrc_changes, 0);
    drop(talker);
}

#[test]
fn digits_go_to_the_far_end_and_their_packets_are_in_sequence() {
    let plane = plane(4);
    let mut phone = Phone::new();
    let (_agent, handle) = attach_with(&plane, &mut phone, |_| {});
    phone.receive();
    for digit in "42#".chars() {
        handle.send_dtmf(trunkline_leg::DtmfDigit::from_char(digit).unwrap(), 60).unwrap();
    }
    let mut receiver = trunkline_media::dtmf::DtmfReceiver::default();
    let (mut heard, mut last) = (String::new(), None);
    while heard.len() < 3 {
        let packet = phone.receive();
        assert!(last.is_none_or(|last: u16| packet.seq == last.wrapping_add(1)));
        last = Some(packet.seq);
        if packet.payload_type == 101
            && let trunkline_media::dtmf::Event::Digit(digit) =
                receiver.handle(packet.seq, packet.timestamp, &packet.payload)
        {
            heard.push(digit.as_char());
        }
    }
    assert_eq!(heard, "42#");
    until(&plane, "the count", || (handle.stats().dtmf_sent == 3).then_some(()));
}
