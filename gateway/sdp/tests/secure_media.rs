//! SRTP with keys in the description: what a trunk's policy makes of an offer, and what a later one may change.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use trunkline_leg::{SrtpKeys, SrtpSuite};
use trunkline_sdp::{LocalMedia, LocalSrtp, SdpError, Session, accept_answer, answer, offer};

const SHA1: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd";
const GCM: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGw==";

fn local(srtp: Option<bool>) -> LocalMedia {
    let keys = SrtpKeys::from_random(std::array::from_fn(|n| 200 - n as u8));
    LocalMedia {
        srtp: srtp.map(|required| LocalSrtp { required, keys }),
        ..LocalMedia::new("192.0.2.10".parse().unwrap(), 16_384)
    }
}

fn described(media: &str) -> String {
    format!("v=0\r\no=- 1 1 IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\n{media}")
}

fn secure(profile: &str, crypto: &str) -> String {
    described(&format!("m=audio 4000 {profile} 0\r\n{crypto}"))
}

fn sha1(tag: u32) -> String {
    format!("a=crypto:{tag} AES_CM_128_HMAC_SHA1_80 inline:{SHA1}|2^31\r\n")
}

#[test]
fn the_first_usable_key_is_answered_under_its_tag_with_one_of_ours() {
    let lines = format!(
        "a=crypto:1 F8_128_HMAC_SHA1_80 inline:{SHA1}\r\n{}a=crypto:3 AEAD_AES_128_GCM inline:{GCM}\r\n",
        sha1(2)
    );
    let made = answer(&secure("RTP/SAVP", &lines), &local(Some(false))).unwrap();
    let srtp = made.media.srtp.clone().unwrap();
    assert_eq!(srtp.suite, SrtpSuite::AesCm128HmacSha1_80);
    assert_eq!(srtp.receive.bytes(), (0..30).collect::<Vec<u8>>());
    assert_eq!(Some(&srtp.send), local(Some(false)).srtp.unwrap().keys.key(srtp.suite).as_ref());
    assert!(made.sdp.contains("m=audio 16384 RTP/SAVP 0\r\n"), "{}", made.sdp);
    assert_eq!(made.sdp.matches("a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:").count(), 1);
    assert!(!made.sdp.contains(SHA1));
}

#[test]
fn every_suite_is_answered() {
    let keys = SrtpKeys::from_random([9; SrtpKeys::RANDOM]);
    let theirs = LocalMedia { srtp: Some(LocalSrtp { required: true, keys }), ..local(None) };
    let all = offer(&theirs);
    for suite in SrtpSuite::ALL {
        let head = all.lines().filter(|line| !line.starts_with("a=crypto"));
        let own = all.lines().filter(|line| line.contains(suite.name()));
        let one: String = head.chain(own).map(|line| format!("{line}\r\n")).collect();
        let made = answer(&one, &local(Some(true))).unwrap();
        let ours = made.media.srtp.unwrap();
        assert_eq!(ours.suite, suite);
        let taken = accept_answer(&made.sdp, &theirs).unwrap().srtp.unwrap();
        assert_eq!((&taken.send, &taken.receive), (&ours.receive, &ours.send), "{suite:?}");
    }
}

#[test]
fn the_policy_decides_which_of_two_lines_is_taken() {
    let both = described(&format!("m=audio 4002 RTP/AVP 0\r\nm=audio 4000 RTP/SAVP 0\r\n{}", sha1(1)));
    for (policy, port) in [(None, 4002), (Some(false), 4000), (Some(true), 4000)] {
        let made = answer(&both, &local(policy)).unwrap();
        assert_eq!(made.media.remote.port(), port);
        assert_eq!(made.media.srtp.is_some(), port == 4000);
    }
}

#[test]
fn keys_beside_plain_rtp_are_taken_where_the_trunk_takes_keys() {
    let hopeful = secure("RTP/AVP", &sha1(1));
    assert!(answer(&hopeful, &local(None)).unwrap().media.srtp.is_none());
    for policy in [Some(false), Some(true)] {
        let made = answer(&hopeful, &local(policy)).unwrap();
        assert!(made.media.srtp.is_some() && made.sdp.contains("RTP/AVP 0\r\n") && made.sdp.contains("a=crypto:1 "));
    }
}

#[test]
fn what_the_policy_forbids_is_refused_by_name_with_488() {
    let plain = secure("RTP/AVP", "");
    assert!(answer(&plain, &local(Some(false))).unwrap().media.srtp.is_none());
    let refused = answer(&plain, &local(Some(true))).unwrap_err();
    assert!(matches!(&refused, SdpError::PlainMedia { offered } if offered == "none"), "{refused}");
    let mki = secure("RTP/SAVP", &format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{SHA1}|2^20|1:4\r\n"));
    let refused_mki = answer(&mki, &local(Some(false))).unwrap_err();
    assert!(matches!(&refused_mki, SdpError::NoCommonCrypto { offered } if offered == "AES_CM_128_HMAC_SHA1_80"));
    let dtls = answer(&secure("UDP/TLS/RTP/SAVPF", &sha1(1)), &local(Some(true))).unwrap_err();
    assert!(matches!(dtls, SdpError::SecureMedia { .. }), "{dtls}");
    let off = answer(&secure("RTP/SAVP", &sha1(1)), &local(None)).unwrap_err();
    assert!(matches!(off, SdpError::SecureMedia { .. }), "{off}");
    for refused in [refused, refused_mki, dtls, off] {
        assert_eq!(refused.sip_status(), 488);
    }
}

#[test]
fn a_refresh_changes_nothing_and_a_new_key_of_theirs_only_that() {
    let mut session = Session::new(local(Some(false)));
    let first = session.answer(&secure("RTP/SAVP", &sha1(1))).unwrap();
    assert_eq!(session.answer(&secure("RTP/SAVP", &sha1(1))).unwrap(), first);
    let rekeyed = session.answer(&secure("RTP/SAVP", &sha1(1).replace("AAEC", "BBEC"))).unwrap();
    assert_eq!(rekeyed.sdp, first.sdp, "ours is as it was");
    let (before, after) = (first.media.srtp.unwrap(), rekeyed.media.srtp.unwrap());
    assert_eq!(before.send, after.send);
    assert_ne!(before.receive, after.receive);
}

#[test]
fn a_call_that_was_encrypted_stays_so() {
    let mut session = Session::new(local(Some(false)));
    session.answer(&secure("RTP/AVP", "")).unwrap();
    session.answer(&secure("RTP/SAVP", &sha1(1))).unwrap();
    assert!(matches!(session.answer(&secure("RTP/AVP", "")), Err(SdpError::PlainMedia { .. })));
    assert!(session.media().unwrap().srtp.is_some(), "a refused offer changes nothing");
}

#[test]
fn our_offers_carry_a_key_for_every_suite_where_the_trunk_takes_them() {
    assert!(!offer(&local(None)).contains("crypto"));
    for (policy, profile) in [(false, "RTP/AVP 0 8"), (true, "RTP/SAVP 0 8")] {
        let ours = offer(&local(Some(policy)));
        assert!(ours.contains(profile), "{ours}");
        assert_eq!(ours.matches("a=crypto:").count(), SrtpSuite::ALL.len());
        let plain = secure("RTP/AVP", "");
        assert_eq!(accept_answer(&plain, &local(Some(policy))).is_ok(), !policy);
    }
}

#[test]
fn nothing_that_is_printed_has_a_key() {
    let mut session = Session::new(local(Some(true)));
    let made = session.answer(&secure("RTP/SAVP", &sha1(1))).unwrap();
    let key = made.sdp.lines().find_map(|line| line.split_once("inline:")).unwrap().1;
    assert_eq!(key.len(), 40);
    for printed in [format!("{made:?}"), format!("{session:?}"), format!("{:#?}", made.media)] {
        assert!(!printed.contains(key) && !printed.contains(SHA1), "{printed}");
    }
}

#[test]
fn an_answer_must_name_a_key_that_was_offered() {
    let required = local(Some(true));
    for (profile, crypto, why) in [
        ("RTP/SAVP", sha1(3), None),
        ("RTP/SAVP", sha1(2), Some("its a=crypto answers none that was offered")),
        ("RTP/SAVP", String::new(), Some("its a=crypto answers none that was offered")),
        ("RTP/AVP", String::new(), Some("it is not encrypted, though that is required")),
    ] {
        let outcome = accept_answer(&secure(profile, &crypto), &required);
        assert_eq!(outcome.as_ref().err(), why.map(SdpError::Mismatch).as_ref(), "{profile} {crypto}");
        assert!(outcome.is_err() || outcome.is_ok_and(|media| media.srtp.is_some()));
    }
    assert!(accept_answer(&secure("RTP/AVP", ""), &local(Some(false))).unwrap().srtp.is_none());
}
