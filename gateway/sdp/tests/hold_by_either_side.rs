//! Hold and resume in both directions (RFC 3264 8.4): by an offer of ours and by one of theirs, one behind the other and at once.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use trunkline_leg::Direction::{self, Inactive, RecvOnly, SendOnly, SendRecv};
use trunkline_sdp::{LocalMedia, SdpError, Session};

const ALL: [Direction; 4] = [SendRecv, SendOnly, RecvOnly, Inactive];

/// A description of the far end, its `version`th, which wants sound to go that way as it sees it.
fn theirs(version: u32, way: &str) -> String {
    format!(
        "v=0\r\no=- 7 {version} IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n{way}"
    )
}

fn way(direction: Direction) -> String {
    format!("a={}\r\n", direction.name())
}

/// A session with sound both ways, answered by us.
fn session() -> Session {
    let mut session = Session::new(LocalMedia::new("198.51.100.1".parse().unwrap(), 16_384));
    session.answer(&theirs(1, "")).unwrap();
    session
}

/// The direction that a description of ours states.
fn stated(sdp: &str) -> Direction {
    let found: Vec<_> = ALL.into_iter().filter(|direction| sdp.contains(&way(*direction))).collect();
    let [direction] = found[..] else { panic!("one direction is stated: {sdp}") };
    direction
}

fn version(sdp: &str) -> u64 {
    sdp.lines().find_map(|line| line.strip_prefix("o=")).unwrap().split(' ').nth(2).unwrap().parse().unwrap()
}

#[test]
fn our_hold_is_taken_in_each_way_it_may_be_answered_and_taken_back() {
    // What we offer, what they answer as they see it, and what sound does as we see it.
    for (offered, answered, expected) in [
        (SendOnly, RecvOnly, SendOnly),
        (SendOnly, Inactive, Inactive),
        // One that forgets to answer it in kind sends what nobody hears.
        (SendOnly, SendRecv, SendOnly),
        (SendOnly, SendOnly, Inactive),
        (Inactive, Inactive, Inactive),
        (Inactive, SendRecv, Inactive),
        (RecvOnly, SendOnly, RecvOnly),
    ] {
        let mut session = session();
        session.set_direction(offered);
        let offer = session.offer();
        assert_eq!(stated(&offer), offered);
        let media = session.accept_answer(&theirs(2, &way(answered))).unwrap();
        assert_eq!(media.direction, expected, "{offered:?} answered {answered:?}");
        session.set_direction(SendRecv);
        let back = session.offer();
        assert_eq!((stated(&back), version(&back)), (SendRecv, version(&offer) + 1));
        assert_eq!(session.accept_answer(&theirs(3, "")).unwrap().direction, SendRecv);
    }
}

#[test]
fn their_hold_is_answered_in_kind_also_while_we_hold() {
    // Whether we hold, what they offer as they see it, and what we answer.
    for (ours, offered, expected) in [
        (SendRecv, SendOnly, RecvOnly),
        (SendRecv, RecvOnly, SendOnly),
        (SendRecv, Inactive, Inactive),
        (SendRecv, SendRecv, SendRecv),
        (SendOnly, SendOnly, Inactive),
        (SendOnly, RecvOnly, SendOnly),
        (SendOnly, SendRecv, SendOnly),
        (SendOnly, Inactive, Inactive),
        (Inactive, SendRecv, Inactive),
    ] {
        let mut session = session();
        session.set_direction(ours);
        session.offer();
        session.accept_answer(&theirs(2, &way(if ours == SendOnly { RecvOnly } else { ours }))).unwrap();
        let answer = session.answer(&theirs(3, &way(offered))).unwrap();
        assert_eq!((answer.media.direction, stated(&answer.sdp)), (expected, expected), "{ours:?} and {offered:?}");
        // They take theirs back; ours holds.
        let answer = session.answer(&theirs(4, &way(SendRecv))).unwrap();
        assert_eq!(answer.media.direction, ours);
    }
}

#[test]
fn a_hold_that_is_refused_leaves_sound_as_it_was_and_their_offer_is_answered() {
    let mut session = session();
    session.set_direction(SendOnly);
    let offer = session.offer();
    assert_eq!(session.answer(&theirs(2, "")), Err(SdpError::OfferPending), "491");
    session.withdraw();
    assert_eq!(session.media().unwrap().direction, SendRecv);
    session.set_direction(SendRecv);
    let answer = session.answer(&theirs(2, &way(SendOnly))).unwrap();
    assert_eq!(answer.media.direction, RecvOnly);
    assert!(version(&answer.sdp) > version(&offer), "a version is used once");
}
