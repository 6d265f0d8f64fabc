//! Hold and resume in both directions (RFC 3264 8.4): by an offer of ours and by one of theirs, one behind the other and at once.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use trunkline_leg::Codec;
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
        let offer = session.offer_directions(offered);
        assert_eq!(stated(&offer), offered);
        let media = session.accept_answer(&theirs(2, &way(answered))).unwrap();
        assert_eq!(media.direction, expected, "{offered:?} answered {answered:?}");
        let back = session.offer_directions(SendRecv);
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
        session.offer_directions(ours);
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
    let offer = session.offer_directions(SendOnly);
    assert_eq!(session.answer(&theirs(2, "")), Err(SdpError::OfferPending), "491");
    session.withdraw();
    assert_eq!(session.media().unwrap().direction, SendRecv);
    session.set_direction(SendRecv);
    let answer = session.answer(&theirs(2, &way(SendOnly))).unwrap();
    assert_eq!(answer.media.direction, RecvOnly);
    assert!(version(&answer.sdp) > version(&offer), "a version is used once");
}

#[test]
fn nothing_but_the_directions_is_offered_anew_and_every_codec_where_the_far_end_asks_for_an_offer() {
    let local = LocalMedia {
        codecs: vec![Codec::G722, Codec::Pcmu, Codec::Pcma],
        ..LocalMedia::new("198.51.100.1".parse().unwrap(), 16_384)
    };
    let mut session = Session::new(local);
    session.answer(&theirs(1, "")).unwrap();
    let audio = |sdp: &str| sdp.lines().find(|line| line.starts_with("m=audio")).unwrap().to_owned();
    let hold = session.offer_directions(SendOnly);
    assert_eq!(audio(&hold), "m=audio 16384 RTP/AVP 0");
    assert!(!hold.contains("a=crypto"));
    session.accept_answer(&theirs(2, &way(RecvOnly))).unwrap();
    let whole = session.offer();
    assert!(audio(&whole).starts_with("m=audio 16384 RTP/AVP 9 0 8"), "{whole}");
    assert_eq!((stated(&whole), version(&whole)), (SendOnly, version(&hold) + 1));
}
