//! Offers as trunks send them, and the answers they get.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::net::{IpAddr, Ipv4Addr};

use trunkline_leg::{Codec, Direction};
use trunkline_sdp::{LocalMedia, Revision, SdpError, Session, accept_answer, answer, offer};

fn local() -> LocalMedia {
    LocalMedia { session_id: 77, ..LocalMedia::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10)), 16_384) }
}

fn offer_with(session: &str, media: &str) -> String {
    format!("v=0\r\no=- 1 1 IN IP4 198.51.100.7\r\ns=-\r\n{session}t=0 0\r\n{media}")
}

fn usual() -> String {
    offer_with(
        "c=IN IP4 198.51.100.7\r\n",
        "m=audio 30000 RTP/AVP 8 0 96\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n\
         a=rtpmap:96 telephone-event/8000\r\na=fmtp:96 0-16\r\na=ptime:30\r\n",
    )
}

#[test]
fn our_preference_picks_the_codec_and_the_offer_its_numbers() {
    let made = answer(&usual(), &local()).unwrap();
    assert_eq!(made.media.codec, Codec::Pcmu);
    assert_eq!(made.media.payload_type, 0);
    assert_eq!(made.media.dtmf_payload_type, Some(96));
    assert_eq!(made.media.ptime_ms, 30);
    assert_eq!(made.media.remote, "198.51.100.7:30000".parse().unwrap());
    assert_eq!(made.media.direction, Direction::SendRecv);
    assert!(made.sdp.contains("m=audio 16384 RTP/AVP 0 96\r\n"), "{}", made.sdp);
    assert!(made.sdp.contains("o=trunkline 77 1 IN IP4 192.0.2.10\r\n"));
    assert!(made.sdp.contains("a=rtpmap:96 telephone-event/8000\r\n"));
}

#[test]
fn a_trunk_with_alaw_only_gets_alaw() {
    let alaw = LocalMedia { codecs: vec![Codec::Pcma], ..local() };
    let made = answer(&usual(), &alaw).unwrap();
    assert_eq!((made.media.codec, made.media.payload_type), (Codec::Pcma, 8));
}

#[test]
fn static_payload_types_need_no_rtpmap_and_dynamic_ones_map_g711() {
    let bare = offer_with("c=IN IP4 198.51.100.7\r\n", "m=audio 4000 RTP/AVP 0\r\n");
    assert_eq!(answer(&bare, &local()).unwrap().media.payload_type, 0);
    let dynamic = offer_with("c=IN IP4 198.51.100.7\r\n", "m=audio 4000 RTP/AVP 110\r\na=rtpmap:110 pcma/8000/1\r\n");
    let made = answer(&dynamic, &local()).unwrap();
    assert_eq!((made.media.codec, made.media.payload_type), (Codec::Pcma, 110));
    let remapped = offer_with("c=IN IP4 198.51.100.7\r\n", "m=audio 4000 RTP/AVP 0\r\na=rtpmap:0 PCMU/16000\r\n");
    assert!(matches!(answer(&remapped, &local()), Err(SdpError::NoCommonCodec { .. })));
}

#[test]
fn an_offer_of_other_codecs_is_refused_by_name_with_488() {
    let g729 = offer_with("c=IN IP4 198.51.100.7\r\n", "m=audio 4000 RTP/AVP 18\r\na=rtpmap:18 G729/8000\r\n");
    let refused = answer(&g729, &local()).unwrap_err();
    assert_eq!(refused, SdpError::NoCommonCodec { offered: "G729".to_owned() });
    assert_eq!(refused.sip_status(), 488);
}

#[test]
fn secure_media_and_fax_are_refused_with_488_each_by_its_name() {
    let secure = offer_with("c=IN IP4 198.51.100.7\r\n", "m=audio 4000 RTP/SAVP 0\r\n");
    let dtls = offer_with("c=IN IP4 198.51.100.7\r\n", "m=audio 4000 UDP/TLS/RTP/SAVPF 0\r\n");
    let fax = offer_with("c=IN IP4 198.51.100.7\r\n", "m=image 4000 udptl t38\r\n");
    assert!(matches!(answer(&secure, &local()), Err(SdpError::SecureMedia { .. })));
    assert!(matches!(answer(&dtls, &local()), Err(SdpError::SecureMedia { .. })));
    let refused = answer(&fax, &local()).unwrap_err();
    assert!(matches!(&refused, SdpError::UnsupportedMedia { what } if what == "image over udptl"), "{refused}");
    assert_eq!(refused.sip_status(), 488);
}

#[test]
fn a_secure_line_beside_a_plain_one_is_refused_with_port_zero() {
    let both = offer_with(
        "c=IN IP4 198.51.100.7\r\n",
        "m=audio 4000 RTP/SAVP 0 8\r\nm=video 5000 RTP/AVP 31\r\nm=audio 4002 RTP/AVP 0\r\n",
    );
    let made = answer(&both, &local()).unwrap();
    let lines: Vec<&str> = made.sdp.lines().filter(|line| line.starts_with("m=")).collect();
    assert_eq!(lines, ["m=audio 0 RTP/SAVP 0 8", "m=video 0 RTP/AVP 31", "m=audio 16384 RTP/AVP 0"]);
    assert_eq!(made.media.remote.port(), 4002);
}

#[test]
fn the_media_level_address_wins_and_must_be_of_our_family() {
    let media = offer_with("c=IN IP4 198.51.100.7\r\n", "m=audio 4000 RTP/AVP 0\r\nc=IN IP4 203.0.113.9\r\n");
    assert_eq!(answer(&media, &local()).unwrap().media.remote, "203.0.113.9:4000".parse().unwrap());
    for bad in ["c=IN IP6 2001:db8::1\r\n", "c=IN IP4 media.example.org\r\n", "c=IN IP4 224.0.0.1/127\r\n", ""] {
        let refused = answer(&offer_with(bad, "m=audio 4000 RTP/AVP 0\r\n"), &local()).unwrap_err();
        assert!(matches!(refused, SdpError::Address { expected: "IPv4", .. }), "{bad}: {refused}");
        assert_eq!(refused.sip_status(), 488);
    }
}

#[test]
fn hold_in_each_of_its_forms_turns_our_direction() {
    let cases = [
        ("c=IN IP4 198.51.100.7\r\n", "a=sendonly\r\n", Direction::RecvOnly),
        ("c=IN IP4 198.51.100.7\r\n", "a=recvonly\r\n", Direction::SendOnly),
        ("c=IN IP4 198.51.100.7\r\n", "a=inactive\r\n", Direction::Inactive),
        ("c=IN IP4 198.51.100.7\r\na=inactive\r\n", "", Direction::Inactive),
        ("c=IN IP4 0.0.0.0\r\n", "", Direction::RecvOnly),
        ("c=IN IP4 0.0.0.0\r\n", "a=recvonly\r\n", Direction::Inactive),
        ("c=IN IP4 0.0.0.0\r\n", "a=inactive\r\n", Direction::Inactive),
        ("c=IN IP4 198.51.100.7\r\n", "c=IN IP4 0.0.0.0\r\n", Direction::RecvOnly),
        ("c=IN IP4 host.invalid\r\n", "", Direction::RecvOnly),
    ];
    for (session, media, expected) in cases {
        let text = offer_with(session, &format!("m=audio 4000 RTP/AVP 0\r\n{media}"));
        let made = answer(&text, &local()).unwrap();
        assert_eq!(made.media.direction, expected, "{session}{media}");
    }
}

#[test]
fn packet_time_follows_the_offer_within_its_maximum_and_what_media_does() {
    for (attributes, expected) in [
        ("", 20),
        ("a=ptime:10\r\n", 10),
        ("a=ptime:60\r\n", 60),
        ("a=ptime:15\r\n", 20),
        ("a=ptime:200\r\n", 20),
        ("a=ptime:40\r\na=maxptime:30\r\n", 30),
        ("a=maxptime:10\r\n", 10),
        ("a=ptime:x\r\n", 20),
    ] {
        let text = offer_with("c=IN IP4 198.51.100.7\r\n", &format!("m=audio 4000 RTP/AVP 0\r\n{attributes}"));
        assert_eq!(answer(&text, &local()).unwrap().media.ptime_ms, expected, "{attributes}");
    }
}

#[test]
fn the_version_grows_exactly_when_the_answer_changes() {
    let mut session = Session::new(local());
    let first = session.answer(&usual()).unwrap();
    let refresh = session.answer(&usual()).unwrap();
    assert_eq!(first.sdp, refresh.sdp);
    let held = session.answer(&usual().replace("a=ptime:30", "a=sendonly\r\na=ptime:30")).unwrap();
    assert!(held.sdp.contains("o=trunkline 77 2 "), "{}", held.sdp);
    assert_eq!(session.media().unwrap().direction, Direction::RecvOnly);
    let refused = session.answer(&usual().replace("RTP/AVP", "RTP/SAVP"));
    assert!(refused.is_err());
    assert_eq!(session.media().unwrap().direction, Direction::RecvOnly, "a refused offer changes nothing");
    let resumed = session.answer(&usual()).unwrap();
    assert!(resumed.sdp.contains("o=trunkline 77 3 "));
}

#[test]
fn a_delayed_offer_is_completed_by_the_answer_of_the_ack() {
    let ours = offer(&local());
    assert!(ours.contains("m=audio 16384 RTP/AVP 0 8 13 101\r\n") && ours.contains("a=sendrecv\r\n"));
    let theirs =
        offer_with("c=IN IP4 198.51.100.7\r\n", "m=audio 30000 RTP/AVP 8 101\r\na=rtpmap:101 telephone-event/8000\r\n");
    let media = accept_answer(&theirs, &local()).unwrap();
    assert_eq!((media.codec, media.dtmf_payload_type), (Codec::Pcma, Some(101)));
    for bad in ["m=audio 0 RTP/AVP 0\r\n", "m=audio 30000 RTP/AVP 18\r\n", ""] {
        let text = offer_with("c=IN IP4 198.51.100.7\r\n", bad);
        assert!(matches!(accept_answer(&text, &local()), Err(SdpError::Mismatch(_))), "{bad}");
    }
}

#[test]
fn our_answer_to_our_own_offer_closes_the_circle() {
    let theirs = LocalMedia { addr: "192.0.2.20".parse().unwrap(), port: 20_000, ..local() };
    let made = answer(&offer(&local()), &theirs).unwrap();
    assert_eq!(accept_answer(&made.sdp, &local()).unwrap().remote, "192.0.2.20:20000".parse().unwrap());
}

#[test]
fn text_that_is_no_description_or_too_large_is_a_bad_request() {
    for text in ["", "hello", "v=1\r\n", "v=0\r\nm=audio x RTP/AVP 0\r\n"] {
        assert_eq!(answer(text, &local()).unwrap_err().sip_status(), 400, "{text}");
    }
    let large = usual() + &"a=x:yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n".repeat(400);
    assert_eq!(answer(&large, &local()), Err(SdpError::TooLarge));
    let many = offer_with("c=IN IP4 198.51.100.7\r\n", &"m=audio 4000 RTP/AVP 0\r\n".repeat(33));
    assert_eq!(answer(&many, &local()), Err(SdpError::TooLarge));
}

#[test]
fn hold_at_ipv6_turns_our_direction_too() {
    let local = LocalMedia { addr: "2001:db8::10".parse().unwrap(), ..local() };
    for (address, direction) in [("2001:db8::7", Direction::SendRecv), ("::", Direction::RecvOnly)] {
        let text = offer_with(&format!("c=IN IP6 {address}\r\n"), "m=audio 4000 RTP/AVP 0\r\n");
        let made = answer(&text, &local).unwrap();
        assert_eq!(made.media.direction, direction, "{address}");
        assert!(made.sdp.contains("IN IP6 2001:db8::10\r\n"), "{}", made.sdp);
    }
}

#[test]
fn what_cannot_be_met_has_its_warning() {
    let plain = "m=audio 4000 RTP/AVP 0\r\n";
    for (session, media, code) in [
        ("c=IN IP4 198.51.100.7\r\n", "m=image 4000 udptl t38\r\n", 304),
        ("c=IN IP4 198.51.100.7\r\n", "m=audio 0 RTP/AVP 0\r\n", 304),
        ("c=IN IP4 198.51.100.7\r\n", "", 304),
        ("c=IN IP4 198.51.100.7\r\n", "m=audio 4000 RTP/AVP 18\r\nm=image 4002 udptl t38\r\n", 305),
        ("c=IN IP4 198.51.100.7\r\n", "m=audio 4000 RTP/SAVP 0\r\n", 302),
        ("c=IN IP4 224.1.1.1/127\r\n", plain, 330),
        ("c=IN IP6 2001:db8::1\r\n", plain, 301),
        ("c=IN IP4 media.example.org\r\n", plain, 301),
    ] {
        let refused = answer(&offer_with(session, media), &local()).unwrap_err();
        assert_eq!(refused.warning().map(|warning| warning.code), Some(code), "{session}{media}{refused}");
        assert_eq!(refused.sip_status(), 488);
    }
    assert_eq!(answer("v=1\r\n", &local()).unwrap_err().warning(), None);
}

#[test]
fn lines_that_say_nothing_of_sound_are_no_reason_to_refuse() {
    let odd = "v=0\no=- 184467440737095516150 99999999999999999999999 IN IP4 x\ns=\nb=X:1.5\nb=AS\nt=soon\nz=?\n\
               c=IN IP4 198.51.100.7\nm=audio  4000  RTP/AVP   0 \nk=x\ni=\na=\na=:\na=rtpmap\n";
    let made = answer(odd, &local()).unwrap();
    assert!(made.sdp.contains("\r\nt=0 0\r\n"), "{}", made.sdp);
}

#[test]
fn the_time_of_the_offer_is_that_of_the_answer() {
    let text = usual().replace("t=0 0", "t=3034423619 3042462419");
    assert!(answer(&text, &local()).unwrap().sdp.contains("\r\nt=3034423619 3042462419\r\n"));
}

#[test]
fn an_answer_that_does_not_fit_our_offer_is_refused_and_leaves_the_session_as_it_was() {
    let mut session = Session::new(local());
    session.answer(&usual()).unwrap();
    let before = session.media().cloned();
    let good = "m=audio 30000 RTP/AVP 8 96\r\na=rtpmap:96 telephone-event/8000\r\n";
    for (media, why) in [
        (String::new(), "it has not as many media lines"),
        (format!("{good}{good}"), "it has not as many media lines"),
        ("m=video 30000 RTP/AVP 8\r\n".to_owned(), "its media lines are in another order"),
        ("m=audio 0 RTP/AVP 8\r\n".to_owned(), "it refuses the audio"),
        ("m=audio 30000 RTP/AVP 18\r\n".to_owned(), "it has no codec that was offered"),
        (
            "m=audio 30000 RTP/AVP 110\r\na=rtpmap:110 PCMA/8000\r\n".to_owned(),
            "it gives the codecs other payload types than the offer",
        ),
        ("m=audio 30000 RTP/SAVP 8\r\n".to_owned(), "it is encrypted, which was not offered"),
    ] {
        let ours = session.offer();
        assert!(ours.contains("RTP/AVP 0 8 13 96\r\n"), "their number for digits: {ours}");
        assert_eq!(session.answer(&usual()), Err(SdpError::OfferPending), "one after the other");
        let refused = session.accept_answer(&offer_with("c=IN IP4 198.51.100.7\r\n", &media));
        assert_eq!(refused, Err(SdpError::Mismatch(why)));
        assert_eq!(session.media(), before.as_ref());
    }
    assert_eq!(SdpError::OfferPending.sip_status(), 491);
    let ours = session.offer();
    assert!(ours.contains("o=trunkline 77 2 "), "the same offer, the same version: {ours}");
    let media = session.accept_answer(&offer_with("c=IN IP4 198.51.100.7\r\n", good)).unwrap();
    assert_eq!((media.codec, media.dtmf_payload_type), (Codec::Pcma, Some(96)));
    assert_eq!(session.accept_answer(&usual()), Err(SdpError::Mismatch("no offer waits for one")));
    session.offer();
    session.withdraw();
    assert!(session.answer(&usual()).is_ok(), "an offer that was refused no longer waits");
}

#[test]
fn we_can_hold_and_the_answer_cannot_take_more_than_was_offered() {
    let mut session = Session::new(local());
    session.answer(&usual()).unwrap();
    session.set_direction(Direction::SendOnly);
    assert!(session.offer().contains("a=sendonly\r\n"));
    let answer = usual().replace("RTP/AVP 8 0 96", "RTP/AVP 0 96");
    assert_eq!(session.accept_answer(&answer).unwrap().direction, Direction::SendOnly, "though it says sendrecv");
    let theirs = usual().replace("a=ptime", "a=sendonly\r\na=ptime");
    assert_eq!(session.answer(&theirs).unwrap().media.direction, Direction::Inactive, "both hold");
    session.set_direction(Direction::SendRecv);
    assert_eq!(session.answer(&usual()).unwrap().media.direction, Direction::SendRecv);
}

#[test]
fn the_peers_o_line_is_judged_and_what_it_describes_counts_either_way() {
    let mut session = Session::new(local());
    let mut heard = |text: &str| {
        let codec = session.answer(text).unwrap().media.codec;
        (session.revision(), codec)
    };
    let other = usual().replace("8 0 96", "8 96");
    let versioned = |text: &str, version: &str| text.replace("o=- 1 1 ", &format!("o=- 1 {version} "));
    assert_eq!(heard(&usual()), (Revision::First, Codec::Pcmu));
    assert_eq!(heard(&usual()), (Revision::Same, Codec::Pcmu));
    assert_eq!(heard(&other), (Revision::Unannounced, Codec::Pcma));
    assert_eq!(heard(&versioned(&usual(), "2")), (Revision::Next, Codec::Pcmu));
    assert_eq!(heard(&versioned(&usual(), "3")), (Revision::Needless, Codec::Pcmu));
    assert_eq!(heard(&versioned(&other, "9")), (Revision::Skipped, Codec::Pcma));
    assert_eq!(heard(&usual()), (Revision::Backwards, Codec::Pcmu));
    assert_eq!(heard(&other.replace("o=- 1 ", "o=- 7 ")), (Revision::OtherSession, Codec::Pcma));
    assert_eq!(heard(&other.replace("o=- 1 1 IN IP4 198.51.100.7\r\n", "")), (Revision::First, Codec::Pcma));
}

#[test]
fn a_line_that_counts_only_in_a_bundle_is_refused() {
    let bundled = offer_with(
        "c=IN IP4 198.51.100.7\r\na=group:BUNDLE a v\r\n",
        "m=audio 4000 RTP/AVP 0\r\na=mid:a\r\na=rtcp-mux\r\nm=video 0 RTP/AVP 31\r\na=bundle-only\r\na=mid:v\r\n",
    );
    let made = answer(&bundled, &local()).unwrap();
    assert!(made.sdp.contains("m=video 0 RTP/AVP 31\r\n") && !made.sdp.contains("BUNDLE"), "{}", made.sdp);
}
