//! A leg whose far end gives its place to somebody else.

use super::encryption::{keys, opened, peer, talk};
use super::*;
use crate::config::{AddressRange, SourcePolicy};

fn follow(rig: &mut Rig, spec: MediaSpec, source: SourcePolicy) {
    let order = LegOrder::far_end(&rig.latest, spec.clone(), rig.rate, source, None).unwrap();
    rig.orders.push(order).unwrap();
    rig.remote = spec.remote;
    rig.latest = spec;
    rig.tick();
    rig.frames();
}

#[test]
fn who_follows_is_heard_and_spoken_to_and_who_was_before_is_a_stranger() {
    let mut rig = Rig::new(|_| {});
    rig.tick();
    for _ in 0..20 {
        rig.talk(3000);
        rig.tick();
    }
    rig.frames();
    let before = rig.remote;
    let after: SocketAddr = "198.51.100.7:5000".parse().unwrap();
    let range = AddressRange::new("198.51.100.0".parse().unwrap(), 24).unwrap();
    follow(&mut rig, MediaSpec { remote: after, ..spec() }, SourcePolicy::Acl([range].into()));
    (rig.ssrc, rig.seq, rig.timestamp) = (77, 9000, 5);
    let level = ulaw_decode(ulaw_encode(-7000));
    for n in 0..20_u16 {
        // The list of who follows is in force, and nothing of the list before: another port of theirs is believed.
        rig.remote = before;
        let old = rig.packet(0, &[ulaw_encode(3000); 160]);
        rig.receive(&old);
        rig.remote = after;
        rig.talk(-7000);
        rig.agent.down.push(DownFrame::new(&[2000; 160], 8000, 1, u64::from(n) * 160, 0).unwrap()).unwrap();
        assert_eq!(rig.tick().len(), 1, "it is spoken to");
    }
    assert_eq!(rig.stats().dropped_source, 20);
    assert!(rig.frames()[4..].iter().all(|frame| frame.pcm() == [level; 160]));
}

#[test]
fn keys_of_who_follows_begin_at_their_beginning() {
    for suite in trunkline_leg::SrtpSuite::ALL {
        let secure = |send, receive| MediaSpec { srtp: Some(keys(suite, send, receive)), ..spec() };
        let mut rig = Rig::new(|start| start.spec = secure(1, 2));
        let mut first = peer(suite, 2, 1);
        for _ in 0..20 {
            talk(&mut rig, &mut first, 3000);
            rig.tick();
        }
        rig.frames();
        let after = MediaSpec { remote: "198.51.100.7:5000".parse().unwrap(), ..secure(3, 4) };
        follow(&mut rig, after, SourcePolicy::Strict);
        let mut second = peer(suite, 4, 3);
        // The same synchronisation source and a turn of the sequence numbers back: counters of before would take it for a
        // replay.
        rig.seq = 3;
        for _ in 0..20 {
            talk(&mut rig, &mut second, -7000);
            let sent = rig.tick();
            assert!(opened(&mut second, &sent[0]).len() > 12, "{suite:?}");
        }
        let level = ulaw_decode(ulaw_encode(-7000));
        assert!(rig.frames()[4..].iter().all(|frame| frame.pcm() == [level; 160]), "{suite:?}");
        assert_eq!((rig.stats().srtp_forged, rig.stats().srtp_replayed), (0, 0), "{suite:?}");
        // Without encryption, where that was agreed on with whoever comes next.
        follow(&mut rig, MediaSpec { remote: "198.51.100.8:5000".parse().unwrap(), ..spec() }, SourcePolicy::Strict);
        for _ in 0..5 {
            rig.talk(100);
            assert_eq!(rig.tick()[0].len(), 172, "{suite:?}");
        }
    }
}
