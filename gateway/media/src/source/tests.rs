//! Rules of sources: who is believed, who is not, and who may follow whom.

use std::sync::Arc;

use super::Verdict::{Accept, AcceptNewStream, WrongSource, WrongSsrc};
use super::address::{GONE_US, LEARN_WINDOW_US, SILENT_US};
use super::stream::{REFILL_US, TOKENS};
use super::*;
use crate::config::AddressRange;

const SIGNALLED: &str = "192.0.2.10:4000";
const SIGNALLING: &str = "198.51.100.7";
const PACKET_US: u64 = 20_000;

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn signalled(rtp: &str) -> Signalled {
    Signalled { rtp: addr(rtp), rtcp: None, mux: false }
}

fn gate(policy: SourcePolicy) -> SourceGate {
    SourceGate::new(policy, signalled(SIGNALLED), Some(SIGNALLING.parse().unwrap()), 0)
}

/// A far end that sends a packet every 20 ms.
struct Sender {
    source: SocketAddr,
    ssrc: u32,
    seq: u16,
}

impl Sender {
    fn new(source: &str, ssrc: u32, seq: u16) -> Self {
        Self { source: addr(source), ssrc, seq }
    }

    fn send(&mut self, gate: &mut SourceGate, now: u64) -> Verdict {
        let verdict = gate.judge(now, self.source, self.ssrc, self.seq);
        self.seq = self.seq.wrapping_add(1);
        verdict
    }

    /// Packets from `from` on; returns what became of them.
    fn talk(&mut self, gate: &mut SourceGate, from: u64, packets: u64) -> Vec<Verdict> {
        (0..packets).map(|n| self.send(gate, from + n * PACKET_US)).collect()
    }
}

fn heard(verdicts: &[Verdict]) -> usize {
    verdicts.iter().filter(|verdict| matches!(verdict, Accept | AcceptNewStream)).count()
}

#[test]
fn strict_believes_only_the_signalled_address_and_port() {
    let mut gate = gate(SourcePolicy::Strict);
    for other in ["192.0.2.10:4002", "192.0.2.11:4000", "198.51.100.7:4000"] {
        assert_eq!(Sender::new(other, 1, 0).talk(&mut gate, 0, 5), [WrongSource; 5]);
    }
    assert_eq!(gate.judge(0, addr(SIGNALLED), 1, 0), Accept);
    assert_eq!(gate.judge(0, addr("[::ffff:192.0.2.10]:4000"), 1, 1), Accept);
    let mut moved = Sender::new("192.0.2.10:4002", 1, 2);
    assert_eq!(heard(&moved.talk(&mut gate, SILENT_US, 50)), 0, "strict is strict");
}

#[test]
fn learning_locks_the_second_packet_in_sequence_from_a_near_source() {
    let mut gate = gate(SourcePolicy::Learn);
    assert_eq!(gate.judge(10, addr("203.0.113.5:9"), 1, 0), WrongSource);
    assert_eq!(gate.judge(10, addr("203.0.113.5:9"), 1, 1), WrongSource);
    assert_eq!(gate.judge(10, addr("198.51.100.7:7000"), 5, 8), WrongSource);
    assert_eq!(gate.judge(10, addr("198.51.100.7:7000"), 5, 9), Accept);
    assert_eq!(gate.destination(), Some(addr("198.51.100.7:7000")));
}

#[test]
fn a_neighbour_that_was_quicker_yields_to_the_signalled_address() {
    let mut gate = gate(SourcePolicy::Learn);
    let mut neighbour = Sender::new("192.0.2.99:7000", 5, 8);
    assert_eq!(neighbour.talk(&mut gate, 0, 3), [WrongSource, Accept, Accept]);
    let mut caller = Sender::new(SIGNALLED, 9, 100);
    for n in 3..100 {
        let verdicts = (neighbour.send(&mut gate, n * PACKET_US), caller.send(&mut gate, n * PACKET_US + 5_000));
        match n {
            3 => assert_eq!(verdicts, (Accept, WrongSource)),
            4 => assert_eq!(verdicts, (Accept, AcceptNewStream), "two in sequence"),
            _ => assert_eq!(verdicts, (WrongSource, Accept), "locked for good"),
        }
    }
    assert_eq!(gate.destination(), Some(addr(SIGNALLED)));
}

#[test]
fn a_neighbour_yields_to_the_signalling_host_too_and_does_not_get_back() {
    let mut gate = gate(SourcePolicy::Learn);
    let mut neighbour = Sender::new("198.51.100.99:7000", 5, 8);
    neighbour.talk(&mut gate, 0, 3);
    let mut caller = Sender::new("198.51.100.7:30000", 9, 100);
    assert_eq!(heard(&caller.talk(&mut gate, 60_000, 10)), 9);
    assert_eq!(heard(&neighbour.talk(&mut gate, 60_000, 10)), 0);
}

#[test]
fn no_neighbour_is_learned_after_the_window_but_the_far_ends_own_hosts_are() {
    let mut gate = gate(SourcePolicy::Learn);
    let late = LEARN_WINDOW_US + 1;
    assert_eq!(heard(&Sender::new("192.0.2.20:6000", 1, 1).talk(&mut gate, late, 10)), 0);
    assert_eq!(heard(&Sender::new("192.0.2.10:6000", 1, 1).talk(&mut gate, late, 10)), 9);
    gate.signal(signalled("192.0.2.30:4000"), 2 * late);
    assert_eq!(heard(&Sender::new("192.0.2.20:6000", 1, 1).talk(&mut gate, 2 * late, 10)), 9);
}

#[test]
fn a_new_binding_at_a_nat_is_followed_once_the_old_one_is_silent() {
    for policy in [SourcePolicy::Learn, acl()] {
        let mut gate = gate(policy.clone());
        let mut caller = Sender::new(SIGNALLED, 9, 65_500);
        assert_eq!(heard(&caller.talk(&mut gate, 0, 100)), 100);
        caller.source = addr("192.0.2.10:61234");
        let after = caller.talk(&mut gate, 100 * PACKET_US, 50);
        let lost = 50 - heard(&after);
        assert!((1..=8).contains(&lost), "{policy:?}: {lost} packets were lost");
        assert_eq!(gate.destination(), Some(addr("192.0.2.10:61234")), "{policy:?}");
        assert!(!after.contains(&AcceptNewStream), "it is the same stream");
    }
    // Another address of the router's: only learning goes that far.
    let mut gate = gate(SourcePolicy::Learn);
    let mut caller = Sender::new(SIGNALLED, 9, 1);
    caller.talk(&mut gate, 0, 100);
    caller.source = addr("203.0.113.77:5000");
    assert!(heard(&caller.talk(&mut gate, 100 * PACKET_US, 50)) >= 42);
}

#[test]
fn whoever_does_not_know_the_stream_cannot_pose_as_a_new_binding() {
    for (ssrc, seq) in [(9, 30_000), (9, 60_000), (8, 101)] {
        let mut gate = gate(SourcePolicy::Learn);
        Sender::new(SIGNALLED, 9, 1).talk(&mut gate, 0, 100);
        let mut forger = Sender::new("192.0.2.10:5555", ssrc, seq);
        assert_eq!(heard(&forger.talk(&mut gate, 100 * PACKET_US, 200)), 0, "{ssrc} {seq}");
    }
    // And not while the stream is heard, even when he does know it.
    let mut gate = gate(SourcePolicy::Learn);
    let mut caller = Sender::new(SIGNALLED, 9, 1);
    let mut forger = Sender::new("192.0.2.10:5555", 9, 2);
    for n in 0..200 {
        assert_eq!(caller.send(&mut gate, n * PACKET_US), Accept);
        assert_eq!(forger.send(&mut gate, n * PACKET_US + 1_000), WrongSource);
    }
}

fn acl() -> SourcePolicy {
    let range = |network: &str, bits| AddressRange::new(network.parse().unwrap(), bits).unwrap();
    SourcePolicy::Acl(Arc::from([range("192.0.2.0", 28), range("2001:db8::", 32)]))
}

#[test]
fn a_list_believes_its_ranges_and_the_signalled_address_and_nobody_else() {
    let mut gate = gate(acl());
    for other in ["192.0.2.16:4000", "198.51.100.7:4000", "203.0.113.1:4000"] {
        assert_eq!(heard(&Sender::new(other, 1, 0).talk(&mut gate, 0, 10)), 0, "{other}");
    }
    assert_eq!(heard(&Sender::new("192.0.2.3:9000", 1, 0).talk(&mut gate, 0, 10)), 9);
    // Another server of the list takes over once the first is gone, not while it pauses.
    let mut other = Sender::new("[2001:db8::5]:9000", 2, 0);
    assert_eq!(heard(&other.talk(&mut gate, 10 * PACKET_US, 50)), 0);
    let gone = 9 * PACKET_US + GONE_US;
    assert_eq!(other.talk(&mut gate, gone, 3), [WrongSource, AcceptNewStream, Accept]);
}

#[test]
fn a_private_address_signalled_from_a_public_one_is_answered_at_the_public_one() {
    let start = |policy, rtp, from: &str| SourceGate::new(policy, signalled(rtp), Some(from.parse().unwrap()), 0);
    for rtp in ["10.1.2.3:4000", "192.168.0.5:4000", "100.64.9.9:4000"] {
        let mut gate = start(SourcePolicy::Learn, rtp, SIGNALLING);
        assert_eq!(gate.destination(), Some(addr("198.51.100.7:4000")), "{rtp}");
        assert!(gate.believes_rtcp(addr("198.51.100.7:4001"), false));
        assert_eq!(heard(&Sender::new("198.51.100.7:61000", 1, 1).talk(&mut gate, 0, 5)), 4);
        assert_eq!(gate.destination(), Some(addr("198.51.100.7:61000")), "{rtp}");
    }
    for (policy, rtp, from) in [
        (SourcePolicy::Strict, "10.1.2.3:4000", SIGNALLING),
        (SourcePolicy::Learn, "10.1.2.3:4000", "192.168.7.7"),
        (SourcePolicy::Learn, SIGNALLED, SIGNALLING),
    ] {
        assert_eq!(start(policy, rtp, from).destination(), Some(addr(rtp)));
    }
}

#[test]
fn an_address_that_is_none_is_not_sent_to() {
    for none in ["0.0.0.0:4000", "192.0.2.1:0"] {
        let gate = SourceGate::new(SourcePolicy::Strict, signalled(none), None, 0);
        assert_eq!((gate.destination(), gate.rtcp_destination()), (None, None));
    }
}

#[test]
fn another_stream_is_played_when_the_one_before_has_fallen_silent() {
    let mut gate = gate(SourcePolicy::Strict);
    let mut voice = Sender::new(SIGNALLED, 1, 10);
    assert_eq!(heard(&voice.talk(&mut gate, 0, 50)), 50);
    let music = Sender::new(SIGNALLED, 2, 500).talk(&mut gate, 50 * PACKET_US, 20);
    assert_eq!(music[..4], [WrongSsrc, WrongSsrc, AcceptNewStream, Accept]);
    // And back at once, long before two seconds are over: the voice goes on where it stopped.
    assert_eq!(voice.talk(&mut gate, 70 * PACKET_US, 3), [AcceptNewStream, Accept, Accept]);
    // A third within the same two seconds.
    assert_eq!(heard(&Sender::new(SIGNALLED, 3, 9).talk(&mut gate, 73 * PACKET_US, 20)), 18);
}

#[test]
fn an_hour_of_music_on_hold_deafens_nobody() {
    let mut gate = gate(SourcePolicy::Strict);
    let (mut now, mut lost) = (0, 0);
    for change in 0..360_u32 {
        // Ten seconds each, every one a source of its own.
        let verdicts = Sender::new(SIGNALLED, 1000 + change, change as u16).talk(&mut gate, now, 500);
        lost = lost.max(500 - heard(&verdicts));
        now += 500 * PACKET_US;
    }
    assert!(lost <= 3, "{lost} packets after a change");
}

#[test]
fn changes_come_in_a_burst_and_then_as_fast_as_the_bucket_refills() {
    let mut gate = gate(SourcePolicy::Strict);
    Sender::new(SIGNALLED, 1, 1).talk(&mut gate, 0, 3);
    let mut now = 0;
    let mut changes = 0;
    // A new source every 100 ms for ten seconds.
    for ssrc in 100..200 {
        now += 100_000;
        changes += usize::from(heard(&Sender::new(SIGNALLED, ssrc, 1).talk(&mut gate, now, 2)) > 0);
    }
    let refilled = (now / REFILL_US) as usize;
    assert!((TOKENS as usize..=TOKENS as usize + refilled).contains(&changes), "{changes}");
}

#[test]
fn a_forged_source_is_not_heard_while_the_caller_is() {
    let mut gate = gate(SourcePolicy::Strict);
    let mut caller = Sender::new(SIGNALLED, 1, 1);
    let mut forger = Sender::new(SIGNALLED, 666, 1);
    for n in 0..500 {
        assert_eq!(caller.send(&mut gate, n * PACKET_US), Accept);
        assert_eq!(forger.send(&mut gate, n * PACKET_US + 7_000), WrongSsrc);
    }
    // He gets a pause, at most, and goes when the caller speaks again.
    let pause = forger.talk(&mut gate, 500 * PACKET_US, 20);
    assert!(pause.contains(&AcceptNewStream));
    caller.seq += 20;
    assert_eq!(caller.send(&mut gate, 520 * PACKET_US), AcceptNewStream);
    for n in 521..1000 {
        assert_eq!(caller.send(&mut gate, n * PACKET_US), Accept);
        assert_eq!(forger.send(&mut gate, n * PACKET_US + 7_000), WrongSsrc);
    }
}

#[test]
fn after_a_goodbye_the_next_source_need_not_wait() {
    let mut gate = gate(SourcePolicy::Strict);
    Sender::new(SIGNALLED, 1, 10).talk(&mut gate, 0, 50);
    gate.end_source(1);
    let next = Sender::new(SIGNALLED, 2, 500).talk(&mut gate, 50 * PACKET_US - 15_000, 3);
    assert_eq!(next, [WrongSsrc, AcceptNewStream, Accept]);
}

#[test]
fn rtcp_goes_where_it_was_signalled_or_comes_from() {
    let to = |gate: &SourceGate| gate.rtcp_destination().unwrap();
    let mut learning = gate(SourcePolicy::Learn);
    assert_eq!(to(&learning), (addr("192.0.2.10:4001"), false));
    learning.signal(Signalled { rtcp: Some(addr("192.0.2.10:5000")), ..signalled(SIGNALLED) }, 0);
    assert_eq!(to(&learning), (addr("192.0.2.10:5000"), false));
    // RTP turns out to come from behind a NAT, and so does RTCP.
    Sender::new("198.51.100.7:61000", 1, 1).talk(&mut learning, 0, 5);
    assert_eq!(to(&learning), (addr("198.51.100.7:5000"), false));
    assert!(!learning.believes_rtcp(addr("203.0.113.9:61001"), false));
    assert!(learning.believes_rtcp(addr("198.51.100.7:61001"), false));
    assert_eq!(to(&learning), (addr("198.51.100.7:61001"), false));
    learning.signal(Signalled { mux: true, ..signalled(SIGNALLED) }, 0);
    assert_eq!(to(&learning), (addr("198.51.100.7:61000"), true));

    let mut strict = gate(SourcePolicy::Strict);
    assert!(!strict.believes_rtcp(addr("192.0.2.11:4001"), false));
    assert!(strict.believes_rtcp(addr("192.0.2.10:4999"), false));
    assert_eq!(to(&strict), (addr("192.0.2.10:4001"), false), "strict does not learn");
}

/// Seeded simulation: a caller with pauses, loss and reordering, and forgers of every kind who send all the time.
/// Whatever they do, they are not heard while the caller is, and the caller comes back from every pause.
#[test]
fn forgers_of_every_kind_neither_join_in_nor_deafen() {
    for seed in 1..200_u64 {
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut next = move |limit: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % limit
        };
        let policy = [SourcePolicy::Strict, SourcePolicy::Learn, acl()][(seed % 3) as usize].clone();
        let mut gate = gate(policy);
        let mut caller = Sender::new(SIGNALLED, 77, next(65_536) as u16);
        let mut forgers = [
            Sender::new(SIGNALLED, 666, 1),
            Sender::new("192.0.2.99:4000", 667, 1),
            Sender::new("192.0.2.10:4002", 77, caller.seq.wrapping_add(40_000)),
            Sender::new("203.0.113.1:4000", 668, 1),
        ];
        caller.talk(&mut gate, 0, 5);
        let mut last_heard = 4 * PACKET_US;
        let mut pause = 0_u64;
        for n in 5..2_000_u64 {
            let now = n * PACKET_US;
            pause = match (pause, next(200)) {
                (0, 0) => 5 + next(100),
                (left, _) => left.saturating_sub(1),
            };
            if pause > 0 {
                caller.seq = caller.seq.wrapping_add(u16::from(next(2) == 0));
            } else if next(50) == 0 {
                caller.seq = caller.seq.wrapping_add(1);
            } else {
                let verdict = caller.send(&mut gate, now);
                assert!(matches!(verdict, Accept | AcceptNewStream), "seed {seed}: packet {n} was not heard");
                last_heard = now;
            }
            for forger in &mut forgers {
                let at = now + 1 + next(15_000);
                let joined = matches!(forger.send(&mut gate, at), Accept | AcceptNewStream);
                assert!(!joined || at - last_heard >= 60_000, "seed {seed}: {} was heard at packet {n}", forger.ssrc);
            }
        }
    }
}
