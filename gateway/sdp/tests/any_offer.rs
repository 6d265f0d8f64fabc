//! Whatever bytes come, the engine answers or refuses; what it answers parses and is a subset of the offer.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;
use trunkline_leg::{Codec, SrtpKeys, SrtpSuite};
use trunkline_sdp::{LocalMedia, LocalSrtp, Session, accept_answer, answer};

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd";

fn local(srtp: Option<bool>) -> LocalMedia {
    let keys = SrtpKeys::from_random([7; SrtpKeys::RANDOM]);
    LocalMedia {
        codecs: Codec::ALL.to_vec(),
        srtp: srtp.map(|required| LocalSrtp { required, keys }),
        ..LocalMedia::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 16_384)
    }
}

/// Lines a trunk may send, in any number and order.
fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("c=IN IP4 198.51.100.7".to_owned()),
        Just("c=IN IP4 0.0.0.0".to_owned()),
        Just("c=IN IP6 2001:db8::1".to_owned()),
        Just("a=sendonly".to_owned()),
        Just("a=inactive".to_owned()),
        Just("t=0 0".to_owned()),
        Just("b=AS:64".to_owned()),
        (0..300u32).prop_map(|ms| format!("a=ptime:{ms}")),
        Just("a=rtcp-mux".to_owned()),
        (0..70_000u32, "( IN IP4 198.51.100.8| IN IP6 ::1| IN|)")
            .prop_map(|(port, rest)| format!("a=rtcp:{port}{rest}")),
        (0..20u8, 0..5usize, "(|2\\^20|1:4)", "( KDR=1| WSH=64|)").prop_map(|(tag, suite, rest, parameters)| {
            let suite = SrtpSuite::ALL.get(suite).map_or("F8_128_HMAC_SHA1_80", |suite| suite.name());
            format!("a=crypto:{tag} {suite} inline:{KEY}|{rest}{parameters}").replace("| ", " ")
        }),
        (0..20u8, "[ -~]{0,60}").prop_map(|(tag, rest)| format!("a=crypto:{tag} AES_CM_128_HMAC_SHA1_80 {rest}")),
        (0..20u8).prop_map(|tag| format!("a=crypto:{tag} AES_CM_128_HMAC_SHA1_80 inline:{KEY}")),
        (0..130u8, "[ -~]{0,40}").prop_map(|(number, rest)| format!("a=fmtp:{number} {rest}")),
        (0..130u8, "(PCMU|PCMA|telephone-event|G729|G722|L16|CN|opus)", "(8000|16000|48000|48000/2|8000/2)")
            .prop_map(|(number, name, rate)| format!("a=rtpmap:{number} {name}/{rate}")),
        (
            "(audio|video|image|audio)",
            any::<u16>(),
            "(RTP/AVP|RTP/SAVP|udptl|RTP/AVPF)",
            proptest::collection::vec(0..130u8, 0..6)
        )
            .prop_map(|(kind, port, profile, formats)| {
                let formats: Vec<String> = formats.iter().map(u8::to_string).collect();
                format!("m={kind} {port} {profile} {}", formats.join(" "))
            }),
        "[a-z]=[ -~]{0,40}",
    ]
}

fn media_lines(sdp: &str) -> Vec<Vec<String>> {
    sdp.lines()
        .filter_map(|line| line.strip_prefix("m="))
        .map(|line| line.split_ascii_whitespace().map(str::to_owned).collect())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_text_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let text = String::from_utf8_lossy(&bytes);
        for local in [None, Some(false), Some(true)].map(local) {
            let _ = answer(&text, &local);
            let _ = accept_answer(&text, &local);
            let _ = answer(&format!("v=0\r\n{text}"), &local);
            let mut session = Session::new(local);
            session.offer();
            let _ = session.accept_answer(&text);
            let _ = session.answer(&text);
        }
    }

    #[test]
    fn an_answer_has_the_lines_of_the_offer_and_at_most_its_formats(
        lines in proptest::collection::vec(line(), 0..14),
        srtp in proptest::option::of(any::<bool>()),
    ) {
        let text = format!("v=0\r\no=- 1 1 IN IP4 198.51.100.7\r\ns=-\r\n{}\r\n", lines.join("\r\n"));
        let mut session = Session::new(local(srtp));
        session.offer();
        let _ = session.accept_answer(&text);
        let _ = session.answer(&text).map(|_| session.offer());
        if let Ok(made) = answer(&text, &local(srtp)) {
            prop_assert!(sdp_types::Session::parse(made.sdp.as_bytes()).is_ok(), "{}", made.sdp);
            let (offered, answered) = (media_lines(&text), media_lines(&made.sdp));
            prop_assert_eq!(offered.len(), answered.len());
            let mut live = 0;
            for (offered, answered) in offered.iter().zip(&answered) {
                prop_assert_eq!(&offered[0], &answered[0]);
                prop_assert_eq!(&offered[2], &answered[2]);
                if answered[1] != "0" {
                    live += 1;
                    prop_assert!(answered[3..].iter().all(|format| offered[3..].contains(format)));
                    prop_assert_eq!(&answered[3], &made.media.payload_type.to_string());
                }
            }
            prop_assert_eq!(live, 1);
            prop_assert!(made.media.remote.is_ipv4());
            prop_assert!(made.media.codec.takes_ptime_ms(made.media.ptime_ms));
            prop_assert_eq!(made.sdp.contains("a=crypto:"), made.media.srtp.is_some());
            prop_assert!(srtp != Some(true) || made.media.srtp.is_some());
            prop_assert!(srtp.is_some() || made.media.srtp.is_none());
            prop_assert_eq!(made.sdp.contains("a=rtcp-mux"), made.media.rtcp_remote(made.media.remote) == Some(made.media.remote));
            let printed = format!("{made:?}");
            prop_assert!(!printed.contains(KEY), "{}", printed);
        }
    }
}
