//! What a leg puts on the wire and believes of it: digits, holds, keep-alives, reports and what they say of the sound.

use trunkline_leg::DtmfDigit;

use super::*;
use crate::dtmf::{DtmfOrder, DtmfReceiver, Event};

/// Sequence number, payload type, marker, timestamp and payload of a packet that was sent.
fn fields(packet: &[u8]) -> (u16, u8, bool, u32, &[u8]) {
    let seq = u16::from_be_bytes([packet[2], packet[3]]);
    let timestamp = u32::from_be_bytes(packet[4..8].try_into().unwrap());
    (seq, packet[1] & 0x7f, packet[1] & 0x80 != 0, timestamp, &packet[12..])
}

fn order(rig: &Rig, digits: &str) {
    for digit in digits.chars() {
        let digit = DtmfDigit::from_char(digit).unwrap();
        rig.shared.order_digit(DtmfOrder { digit, duration_ms: 100 }).unwrap();
    }
}

#[test]
fn digits_go_out_as_events_in_one_sequence_with_the_sound_around_them() {
    let mut rig = Rig::new(|_| {});
    for n in 0..20 {
        rig.agent.down.push(DownFrame::new(&[4000; 160], 8000, 1, n * 160, 0).unwrap()).unwrap();
    }
    let mut sent = rig.tick();
    order(&rig, "5#");
    (0..60).for_each(|_| sent.extend(rig.tick()));
    assert!(
        sent.windows(2).all(|pair| fields(&pair[1]).0 == fields(&pair[0]).0.wrapping_add(1)),
        "a gap in the sequence"
    );
    let mut receiver = DtmfReceiver::default();
    let (mut heard, mut last_end, mut speech) = (String::new(), None, 0);
    for packet in &sent {
        let (seq, kind, marker, timestamp, payload) = fields(packet);
        if kind == 101 {
            if let Event::Digit(digit) = receiver.handle(seq, timestamp, payload) {
                heard.push(digit.as_char());
                assert!(marker);
            }
            last_end = Some(timestamp.wrapping_add(u32::from(u16::from_be_bytes([payload[2], payload[3]]))));
        } else {
            assert!(last_end.is_none_or(|end| timestamp.wrapping_sub(end) < 1 << 31), "sound from before the digit");
            speech += usize::from(payload.iter().all(|code| ulaw_decode(*code) > 3000));
        }
    }
    assert_eq!((heard.as_str(), rig.stats().dtmf_sent), ("5#", 2));
    // Playback waited: nothing of it was lost but its two ramps.
    assert!(speech >= 18, "{speech} of 20 frames of speech");
}

#[test]
fn digits_go_out_and_come_in_as_tones_where_events_were_not_agreed_on() {
    let mut rig = Rig::new(|start| start.spec.dtmf_payload_type = None);
    let mut far = Rig::new(|start| start.spec.dtmf_payload_type = None);
    rig.tick();
    order(&rig, "159");
    for _ in 0..60 {
        for packet in rig.tick() {
            let (.., payload) = fields(&packet);
            let packet = far.packet(0, payload);
            far.receive(&packet);
            (far.seq, far.timestamp) = (far.seq + 1, far.timestamp + 160);
        }
        far.tick();
        while far.agent.up.pop().is_ok() {}
    }
    let digits: String = far
        .facts()
        .iter()
        .filter_map(|fact| match fact {
            LegFact::Dtmf { digit, .. } => Some(digit.as_char()),
            _ => None,
        })
        .collect();
    assert_eq!(digits, "159");
    assert_eq!(far.stats().dtmf_digits, 3);
}

#[test]
fn the_sequence_has_no_gap_across_a_hold() {
    for held in [Direction::Inactive, Direction::RecvOnly] {
        let mut rig = Rig::new(|_| {});
        let mut sent: Vec<Vec<u8>> = (0..10).flat_map(|_| rig.tick()).collect();
        rig.order(MediaSpec { direction: held, ..spec() });
        let on_hold: Vec<Vec<u8>> = (0..30).flat_map(|_| rig.tick()).collect();
        assert!(on_hold.is_empty());
        rig.order(spec());
        sent.extend((0..10).flat_map(|_| rig.tick()));
        assert_eq!(sent.len(), 20);
        assert!(sent.windows(2).all(|pair| fields(&pair[1]).0 == fields(&pair[0]).0.wrapping_add(1)));
        assert!(fields(&sent[10]).2, "sound after a hold carries the marker");
    }
}

#[test]
fn a_leg_on_hold_keeps_its_bindings_open_and_ends_when_it_is_too_long() {
    let mut rig = Rig::new(|start| start.hold_timeout_ms = 60_000);
    rig.tick();
    rig.order(MediaSpec { direction: Direction::Inactive, ..spec() });
    let mut kept = Vec::new();
    let mut ticks = 0;
    while !rig.shared.is_over() {
        kept.extend(rig.tick());
        ticks += 1;
        assert!(ticks < 4_000, "the hold never ends");
    }
    assert!((3_000..=3_001).contains(&ticks), "{ticks} ticks");
    assert_eq!(kept.len(), 4, "every 15 s");
    assert!(kept.iter().all(|packet| fields(packet).1 == 126 && fields(packet).4.is_empty()));
    assert_eq!(rig.stats().keepalives, 4);
    assert!(matches!(rig.facts().last(), Some(LegFact::Ended { cause: EndCause::MediaTimeout, .. })));
}

#[test]
fn a_far_end_that_only_sends_rtcp_is_waited_for_longer_but_not_for_ever() {
    for (reports, expected) in [(false, 1_500), (true, 6_000)] {
        let mut rig = Rig::new(|start| start.media_timeout_ms = 30_000);
        rig.talk(100);
        let mut ticks = 0;
        while !rig.shared.is_over() {
            if reports && ticks % 250 == 0 {
                let report = report_about_us(&rig);
                rig.leg.handle_rtcp(rig.moment(), REMOTE.parse().unwrap(), &report);
            }
            rig.tick();
            ticks += 1;
            assert!(ticks < 10_000, "the leg never ends");
        }
        assert!((expected..=expected + 2).contains(&ticks), "{reports}: {ticks} ticks");
    }
}

#[test]
fn opinion_of_both_directions_is_published() {
    let mut rig = Rig::new(|_| {});
    let (mut before, mut after) = (0, 0);
    for n in 0..2_000_u32 {
        // Good for 20 s, then a tenth is lost.
        if n > 1_000 && n % 10 == 0 {
            (rig.seq, rig.timestamp) = (rig.seq.wrapping_add(1), rig.timestamp + 160);
        } else {
            rig.talk(100);
        }
        rig.tick();
        rig.frames();
        match n {
            1_000 => before = rig.stats().mos_in,
            1_999 => after = rig.stats().mos_in,
            _ => {}
        }
    }
    assert!((420..=441).contains(&before), "{before}");
    assert!(after + 20 < before && after > 200, "{before} {after}");
    assert_eq!(rig.stats().mos_out, 0, "nothing was reported");
    let report = report_about_us(&rig);
    rig.leg.handle_rtcp(rig.moment(), REMOTE.parse().unwrap(), &report);
    (0..60).for_each(|_| drop(rig.tick()));
    assert!((380..=441).contains(&rig.stats().mos_out), "{}", rig.stats().mos_out);
}

#[test]
fn rtcp_on_the_port_of_rtp_is_read_too() {
    let mut rig = Rig::new(|_| {});
    rig.talk(1);
    let report = report_about_us(&rig);
    rig.receive(&report);
    rig.tick();
    assert_eq!((rig.stats().rtcp_in, rig.stats().remote_lost), (1, 5));
}
