//! Legs whose media is encrypted.

use trunkline_allocations::Counts;
use trunkline_leg::{MasterKey, RtcpPath, SrtpSpec, SrtpSuite};

use super::codecs::counted_tick;
use super::*;
use crate::srtp::{MAX_OVERHEAD, Srtp};

pub(super) fn keys(suite: SrtpSuite, send: u8, receive: u8) -> SrtpSpec {
    let key = |seed| MasterKey::new(suite, &vec![seed; suite.master_len()]).unwrap();
    SrtpSpec { suite, send: key(send), receive: key(receive) }
}

fn secure(suite: SrtpSuite, send: u8, receive: u8) -> MediaSpec {
    MediaSpec { srtp: Some(keys(suite, send, receive)), ..spec() }
}

/// The far end's side: what it sends is protected with the leg's receiving key.
pub(super) fn peer(suite: SrtpSuite, send: u8, receive: u8) -> Srtp {
    Srtp::new(&keys(suite, send, receive)).unwrap()
}

pub(super) fn talk(rig: &mut Rig, peer: &mut Srtp, level: i16) -> Vec<u8> {
    let mut packet = rig.packet(0, &[ulaw_encode(level); 160]);
    let length = packet.len();
    packet.resize(length + MAX_OVERHEAD, 0);
    let length = peer.protect_rtp(&mut packet, length).unwrap();
    packet.truncate(length);
    rig.receive(&packet);
    (rig.seq, rig.timestamp) = (rig.seq.wrapping_add(1), rig.timestamp.wrapping_add(160));
    packet
}

pub(super) fn opened(peer: &mut Srtp, packet: &[u8]) -> Vec<u8> {
    let mut plain = [0; 1500];
    let length = peer.open_rtp(packet, &mut plain).unwrap();
    plain[..length].to_vec()
}

#[test]
fn encrypted_sound_is_heard_and_ours_is_encrypted() {
    for suite in SrtpSuite::ALL {
        let mut rig = Rig::new(|start| start.spec = secure(suite, 1, 2));
        let mut peer = peer(suite, 2, 1);
        // Across a turn of the sequence numbers.
        rig.seq = 65_530;
        for n in 0..20 {
            talk(&mut rig, &mut peer, 3000);
            rig.agent.down.push(DownFrame::new(&[2000; 160], 8000, 1, n * 160, 0).unwrap()).unwrap();
            let sent = rig.tick();
            let said = opened(&mut peer, &sent[0]);
            assert_ne!(said[12..], sent[0][12..12 + said.len() - 12]);
            assert_eq!(said[12 + 100], ulaw_encode(2000), "{suite:?}");
        }
        let level = ulaw_decode(ulaw_encode(3000));
        let frames = rig.frames();
        assert!(frames.len() >= 18 && frames.iter().all(|frame| frame.pcm() == [level; 160]), "{suite:?}");
        assert_eq!((rig.stats().srtp_forged, rig.stats().srtp_replayed, rig.stats().lost), (0, 0, 0));
    }
}

#[test]
fn forged_replayed_and_plain_packets_are_not_heard_but_counted() {
    for suite in SrtpSuite::ALL {
        let mut rig = Rig::new(|start| start.spec = secure(suite, 1, 2));
        let (mut true_peer, mut stranger) = (peer(suite, 2, 1), peer(suite, 9, 1));
        for n in 0..20_u64 {
            let packet = talk(&mut rig, &mut true_peer, 3000);
            rig.receive(&packet);
            assert_eq!(rig.leg.ledger.stats.srtp_replayed, 2 * n + 1);
            let plain = rig.packet(0, &[ulaw_encode(-20_000); 160]);
            rig.receive(&plain);
            let mut forged = [&plain[..], &[0; MAX_OVERHEAD]].concat();
            let length = stranger.protect_rtp(&mut forged, plain.len()).unwrap();
            rig.receive(&forged[..length]);
            // A piece of one that came counts as that one.
            rig.receive(&packet[..14]);
            rig.tick();
        }
        let level = ulaw_decode(ulaw_encode(3000));
        assert!(rig.frames().iter().all(|frame| frame.pcm() == [level; 160]), "{suite:?}");
        let stats = rig.stats();
        assert_eq!((stats.packets_in, stats.srtp_replayed, stats.srtp_forged), (20, 40, 40), "{suite:?}");
    }
}

#[test]
fn new_keys_in_mid_call_lose_nothing_and_allocate_nothing() {
    for suite in SrtpSuite::ALL {
        let mut rig = Rig::new(|start| start.spec = secure(suite, 1, 2));
        let mut far = peer(suite, 2, 1);
        for n in 0..60 {
            if n == 20 {
                rig.order(secure(suite, 1, 3));
            }
            if n == 23 {
                // The far end learns of it a little later.
                far.rekey(&mut peer(suite, 3, 1));
            }
            talk(&mut rig, &mut far, 3000);
            let (packet, asked) = counted_tick(&mut rig);
            assert_eq!(asked, Counts::NONE, "{suite:?} tick {n}");
            opened(&mut far, &packet);
        }
        let stats = rig.stats();
        assert_eq!((stats.packets_in, stats.srtp_forged, stats.srtp_replayed), (60, 0, 0), "{suite:?}");
    }
}

#[test]
fn a_plain_leg_can_become_encrypted() {
    let suite = SrtpSuite::AeadAes128Gcm;
    let mut rig = Rig::new(|_| {});
    rig.talk(3000);
    rig.tick();
    rig.order(secure(suite, 1, 2));
    rig.tick();
    let mut far = peer(suite, 2, 1);
    talk(&mut rig, &mut far, 3000);
    opened(&mut far, &rig.tick()[0]);
    assert_eq!(rig.stats().packets_in, 2);
}

#[test]
fn reports_are_encrypted_and_go_where_they_are_wanted() {
    let suite = SrtpSuite::AesCm128HmacSha1_80;
    let elsewhere = "192.0.2.8:7001".parse().unwrap();
    for (path, to, on_rtcp_socket) in [
        (RtcpPath::NextPort, "192.0.2.1:4001".parse().unwrap(), true),
        (RtcpPath::Multiplexed, REMOTE.parse().unwrap(), false),
        (RtcpPath::At(elsewhere), elsewhere, true),
    ] {
        let mut rig = Rig::new(|start| start.spec = MediaSpec { rtcp: path, ..secure(suite, 1, 2) });
        let mut far = peer(suite, 2, 1);
        let mut reports = Vec::new();
        for _ in 0..200 {
            rig.leg.begin(Moment { call: rig.now, due: rig.now, wall_us: 0 }, &mut rig.uplink);
            rig.leg.say(&mut DownlinkChain::new(), 0);
            rig.now = rig.now.plus_ms(20);
            while let Some(transmit) = rig.leg.poll_transmit() {
                if (192..224).contains(&transmit.data[1]) {
                    assert_eq!((transmit.to, transmit.rtcp), (to, on_rtcp_socket));
                    reports.push(transmit.data.to_vec());
                }
            }
            rig.leg.publish(&rig.uplink, &UplinkReport::default(), false);
        }
        assert!(!reports.is_empty());
        let (mut plain, mut length) = ([0; 1500], 0);
        for report in &reports {
            length = far.open_rtcp(report, &mut plain).unwrap();
            assert!(rtcp::read(&plain[..length], 0).is_some());
        }
        // What the far end reports, and the same without encryption.
        plain[4..8].copy_from_slice(&9_u32.to_be_bytes());
        let from = "192.0.2.1:4001".parse().unwrap();
        rig.leg.handle_rtcp(rig.moment(), from, &plain[..length]);
        assert_eq!(rig.leg.ledger.stats.rtcp_in, 0);
        let length = far.protect_rtcp(&mut plain, length).unwrap();
        rig.leg.handle_rtcp(rig.moment(), from, &plain[..length]);
        assert_eq!(rig.leg.ledger.stats.rtcp_in, 1);
    }
}
