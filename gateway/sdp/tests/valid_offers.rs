//! Offers that a trunk may send, in great variety: each that has a codec in common with us is accepted, and each answer
//! obeys RFC 3264.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};
use trunkline_leg::{Codec, Direction, SrtpKeys, SrtpSuite};
use trunkline_sdp::{LocalMedia, LocalSrtp, Session, answer};

const SHA1: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd";
const GCM_128: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGw==";
const DIRECTIONS: [&str; 5] = ["", "a=sendrecv", "a=sendonly", "a=recvonly", "a=inactive"];

/// A format of an audio line: number, `a=rtpmap`, and whether the line may leave that out.
#[derive(Debug, Clone)]
struct Format {
    codec: Option<Codec>,
    mapping: String,
    fixed: Option<u8>,
}

fn format(codec: Option<Codec>, mapping: &str, fixed: Option<u8>) -> Format {
    Format { codec, mapping: mapping.to_owned(), fixed }
}

fn of_codec(codec: Codec) -> Format {
    let channels = if codec == Codec::Opus { "/2" } else { "" };
    let mapping = format!("{}/{}{channels}", codec.name(), codec.clock_rate());
    format(Some(codec), &mapping, codec.static_payload_type())
}

/// What phones offer beside what we know.
fn others() -> Vec<Format> {
    vec![
        format(None, "GSM/8000", Some(3)),
        format(None, "G729/8000", Some(18)),
        format(None, "G728/8000", Some(15)),
        format(None, "iLBC/8000", None),
        format(None, "AMR-WB/16000/1", None),
        format(None, "speex/16000", None),
        format(None, "L16/44100/2", None),
        format(None, "red/48000/2", None),
        format(None, "EVS/16000", None),
        format(None, "CN/8000", Some(13)),
        format(None, "CN/16000", None),
        format(None, "telephone-event/8000", None),
        format(None, "telephone-event/16000", None),
        format(None, "telephone-event/48000", None),
    ]
}

/// Attributes that a line may have and that say nothing to us.
fn noise() -> Vec<&'static str> {
    vec![
        "a=mid:0",
        "a=bundle-only",
        "a=silenceSupp:off - - - -",
        "a=rtcp-fb:* nack",
        "a=ssrc:314159 cname:x@y",
        "a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level",
        "a=candidate:1 1 UDP 2130706431 192.0.2.77 4000 typ host",
        "a=ice-ufrag:8hhY",
        "a=ice-pwd:asd88fgpdd777uzjYhagZg",
        "a=setup:actpass",
        "a=fingerprint:sha-256 00:11",
        "a=label:1",
        "a=X-unknown",
        "b=AS:80",
        "b=TIAS:64000",
        "b=X-rate:1.5",
        "i=The sound",
        "a=rtcp:53020 IN IP4 198.51.100.9",
        "a=rtcp:53020",
        "a=maxptime:150",
        "a=record:off",
    ]
}

/// An audio line with at least these codecs, in any order, under any numbers.
fn audio(codecs: Vec<Codec>, secure: bool) -> impl Strategy<Value = String> {
    let formats = subsequence(others(), 0..8).prop_flat_map(move |others| {
        let own = codecs.iter().map(|codec| of_codec(*codec));
        Just(own.chain(others).collect::<Vec<_>>()).prop_shuffle()
    });
    let numbers = Just((96..=127u8).collect::<Vec<_>>()).prop_shuffle();
    let noise = subsequence(noise(), 0..8).prop_shuffle();
    let packets =
        select(vec!["", "a=ptime:10", "a=ptime:20", "a=ptime:30", "a=ptime:60", "a=ptime:200", "a=ptime:22.5"]);
    let place = select(vec!["", "c=IN IP4 203.0.113.8", "c=IN IP4 0.0.0.0"]);
    let dress = (any::<u64>(), 1..=u16::MAX, any::<bool>(), select(DIRECTIONS.to_vec()), any::<Index>());
    (formats, numbers, noise, packets, place, dress, any::<bool>()).prop_map(
        move |(formats, numbers, noise, packets, place, (seed, port, mux, direction, suite), feedback)| {
            let mut lines = vec![String::new()];
            let mut listed = Vec::new();
            for (index, (format, free)) in formats.iter().zip(numbers).enumerate() {
                let odd = |bit: usize| seed >> ((index * 3 + bit) % 64) & 1 == 1;
                // A static type may be offered under a number of its own as well (RFC 3551 3).
                let number = format.fixed.filter(|_| odd(0)).unwrap_or(free);
                let bare = format.fixed == Some(number) && odd(1);
                listed.push(number.to_string());
                if !bare {
                    let mapping = if odd(2) { format.mapping.to_uppercase() } else { format.mapping.clone() };
                    lines.push(format!("a=rtpmap:{number} {mapping}"));
                }
                if format.mapping.starts_with("telephone-event") {
                    lines.push(format!("a=fmtp:{number} 0-16"));
                } else if format.codec == Some(Codec::Opus) {
                    lines.push(format!("a=fmtp:{number} minptime=10;useinbandfec=1"));
                }
            }
            if secure {
                let suites = ["AES_CM_128_HMAC_SHA1_80", "AEAD_AES_128_GCM", "AES_CM_128_HMAC_SHA1_32"];
                let tag = 1 + seed % 9;
                lines.push(format!("a=crypto:{} F8_128_HMAC_SHA1_80 inline:{SHA1}", tag + 20));
                let suite = *suite.get(&suites);
                let key = if suite.starts_with("AEAD") { GCM_128 } else { SHA1 };
                lines.push(format!("a=crypto:{tag} {suite} inline:{key}|2^31"));
            }
            let profile = match (secure, feedback) {
                (false, false) => "RTP/AVP",
                (false, true) => "RTP/AVPF",
                (true, false) => "RTP/SAVP",
                (true, true) => "RTP/SAVPF",
            };
            lines[0] = format!("m=audio {port} {profile} {}", listed.join(" "));
            lines.insert(1, place.to_owned());
            lines.extend(noise.iter().map(|line| (*line).to_owned()));
            lines.extend([packets, direction, if mux { "a=rtcp-mux" } else { "" }].map(str::to_owned));
            lines.retain(|line| !line.is_empty());
            lines.join("\n")
        },
    )
}

/// A line that we do not take.
fn foreign() -> impl Strategy<Value = String> {
    select(vec![
        "m=video 51372 RTP/AVP 31 99\na=rtpmap:99 H264/90000\na=sendonly",
        "m=video 9 UDP/TLS/RTP/SAVPF 96 97\nc=IN IP4 0.0.0.0\na=rtpmap:96 VP8/90000",
        "m=image 49170 udptl t38\na=T38FaxVersion:0\na=T38FaxRateManagement:transferredTCF",
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\na=sctp-port:5000",
        "m=text 45020 RTP/AVP 98\na=rtpmap:98 t140/1000",
        "m=message 7394 TCP/MSRP *\na=accept-types:text/plain",
        "m=audio 0 RTP/AVP 0 8\na=bundle-only",
        "m=audio 49174 RTP/AVP 18\na=rtpmap:18 G729/8000\na=fmtp:18 annexb=no",
        "m=audio 49176 UDP/TLS/RTP/SAVPF 111 0\na=rtpmap:111 opus/48000/2\na=setup:actpass",
        "m=audio 49178 RTP/AVP 0\nc=IN IP6 2001:db8::9",
        "m=audio 49180 TCP/RTP/AVP 0",
        "m=x-new 49182 x-proto * * anything",
    ])
    .prop_map(str::to_owned)
}

#[derive(Debug, Clone)]
struct Case {
    offer: String,
    codecs: Vec<Codec>,
    secure: bool,
    /// Which line is to be answered.
    good: usize,
}

/// An offer with a line of audio that shares a codec with the list.
fn case() -> impl Strategy<Value = Case> {
    let codecs = subsequence(Codec::ALL.to_vec(), 1..=Codec::ALL.len()).prop_shuffle();
    (codecs, any::<bool>())
        .prop_flat_map(|(codecs, secure)| {
            let count = codecs.len();
            let shared = subsequence(codecs.clone(), 1..=count);
            let good = shared.prop_flat_map(move |shared| audio(shared, secure));
            (Just(codecs), Just(secure), good, proptest::collection::vec(foreign(), 0..4), any::<Index>(), head())
        })
        .prop_map(|(codecs, secure, good, mut media, at, head)| {
            let at = at.index(media.len() + 1);
            media.insert(at, good);
            let (head, end) = head;
            let lines = format!("{head}\n{}\n", media.join("\n"));
            Case { offer: lines.replace('\n', end), codecs, secure, good: at }
        })
}

/// Everything before the first media line, and how lines end.
fn head() -> impl Strategy<Value = (String, &'static str)> {
    let about = vec!["i=A call", "u=http://example.org/", "e=a@example.org", "p=+1 617 555 0100"];
    let behind = vec![
        "a=group:BUNDLE 0",
        "a=ice-lite",
        "a=msid-semantic: WMS *",
        "a=tool:x 1.0",
        "a=recvonly",
        "a=sendrecv",
        "k=prompt",
    ];
    let time = select(vec!["0 0", "3034423619 3042462419", "2873397496 0"]);
    let origin =
        ("[!-~]{1,12}", "[0-9]{1,24}", "[0-9]{1,24}", select(vec!["IP4 198.51.100.7", "IP4 host.example", "IP6 ::1"]));
    let name = select(vec!["-", " ", "a session", "\u{fc}mlaut"]);
    (origin, name, subsequence(about, 0..4), time, subsequence(behind, 0..7), any::<bool>(), any::<bool>()).prop_map(
        |((user, id, version, address), name, about, time, behind, bandwidth, crlf)| {
            let mut lines =
                vec!["v=0".to_owned(), format!("o={user} {id} {version} IN {address}"), format!("s={name}")];
            lines.extend(about.iter().map(|line| (*line).to_owned()));
            lines.push("c=IN IP4 198.51.100.7".to_owned());
            if bandwidth {
                lines.push("b=CT:1000".to_owned());
            }
            lines.push(format!("t={time}"));
            lines.extend(behind.iter().map(|line| (*line).to_owned()));
            (lines.join("\n"), if crlf { "\r\n" } else { "\n" })
        },
    )
}

fn local(codecs: &[Codec], srtp: Option<bool>, seed: u8) -> LocalMedia {
    let keys = SrtpKeys::from_random([seed; SrtpKeys::RANDOM]);
    LocalMedia {
        codecs: codecs.to_vec(),
        srtp: srtp.map(|required| LocalSrtp { required, keys }),
        session_id: 700 + u64::from(seed),
        ..LocalMedia::new(Ipv4Addr::new(192, 0, 2, seed).into(), 16_384 + u16::from(seed))
    }
}

/// A media section: its m= line in fields, and the lines behind it.
fn sections(sdp: &str) -> Vec<(Vec<&str>, Vec<&str>)> {
    let mut sections: Vec<(Vec<&str>, Vec<&str>)> = Vec::new();
    for line in sdp.lines() {
        match (line.strip_prefix("m="), sections.last_mut()) {
            (Some(fields), _) => sections.push((fields.split(' ').collect(), Vec::new())),
            (None, Some((_, lines))) => lines.push(line),
            (None, None) => {}
        }
    }
    sections
}

fn session_lines(sdp: &str) -> Vec<&str> {
    sdp.lines().take_while(|line| !line.starts_with("m=")).collect()
}

/// What a number stands for in a section, in lower case.
fn meaning(lines: &[&str], number: &str) -> Option<String> {
    let prefix = format!("a=rtpmap:{number} ");
    let mapped = lines.iter().find_map(|line| line.strip_prefix(&prefix)).map(str::to_ascii_lowercase);
    let fixed = match number {
        "0" => "pcmu/8000",
        "8" => "pcma/8000",
        "9" => "g722/8000",
        "13" => "cn/8000",
        _ => return mapped,
    };
    Some(mapped.unwrap_or_else(|| fixed.to_owned()))
}

fn stated(sdp: &str, section: &[&str]) -> &'static str {
    let of = |lines: &[&str]| {
        let mut named = lines.iter().filter_map(|line| DIRECTIONS[1..].iter().find(|known| *known == line));
        named.next().map(|line| line.split_at(2).1)
    };
    of(section).or_else(|| of(&session_lines(sdp))).unwrap_or("sendrecv")
}

fn version(sdp: &str) -> (u64, u64) {
    let origin = sdp.lines().find(|line| line.starts_with("o=")).unwrap();
    let mut fields = origin.split(' ').skip(1).map(|field| field.parse().unwrap());
    (fields.next().unwrap(), fields.next().unwrap())
}

fn body(sdp: &str) -> String {
    sdp.lines().filter(|line| !line.starts_with("o=")).collect()
}

/// Both ends do the same, each from its side.
fn agree(a: &Session, b: &Session) -> Result<(), TestCaseError> {
    let (one, other) = (a.media().unwrap(), b.media().unwrap());
    prop_assert_eq!((one.codec, one.payload_type), (other.codec, other.payload_type));
    prop_assert_eq!(
        (one.dtmf_payload_type, one.dtmf_clock_rate, one.comfort_noise_payload_type),
        (other.dtmf_payload_type, other.dtmf_clock_rate, other.comfort_noise_payload_type)
    );
    let mirrored = match one.direction {
        Direction::SendOnly => Direction::RecvOnly,
        Direction::RecvOnly => Direction::SendOnly,
        both => both,
    };
    prop_assert_eq!(mirrored, other.direction);
    prop_assert_eq!(one.rtcp, other.rtcp);
    match (&one.srtp, &other.srtp) {
        (None, None) => {}
        (Some(one), Some(other)) => {
            prop_assert_eq!(one.suite, other.suite);
            prop_assert!(one.send == other.receive && one.receive == other.send);
        }
        _ => prop_assert!(false, "only one of them encrypts"),
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn every_valid_offer_with_a_common_codec_is_answered_as_the_standard_says(case in case(), required: bool) {
        let Case { offer, codecs, secure, good } = &case;
        let made = answer(offer, &local(codecs, secure.then_some(required), 10));
        let made = made.map_err(|error| TestCaseError::fail(format!("{error}\n{offer}")))?;
        let (offered, answered) = (sections(offer), sections(&made.sdp));
        prop_assert_eq!(offered.len(), answered.len());
        for (index, ((theirs, lines), (ours, _))) in offered.iter().zip(&answered).enumerate() {
            prop_assert_eq!((theirs[0], theirs[2]), (ours[0], ours[2]), "kind and profile");
            prop_assert_eq!(ours[1] != "0", index == *good, "{}\n{}", offer, &made.sdp);
            for number in &ours[3..] {
                prop_assert!(theirs[3..].contains(number), "{number}\n{offer}\n{}", &made.sdp);
                if index == *good {
                    let (said, meant) = (meaning(&answered[index].1, number).unwrap(), meaning(lines, number).unwrap());
                    prop_assert_eq!(said.trim_end_matches("/1"), meant.trim_end_matches("/1"));
                }
            }
        }
        let ((theirs, lines), (ours, said)) = (&offered[*good], &answered[*good]);
        let first = codecs.iter().find(|codec| {
            let name = of_codec(**codec).mapping.to_ascii_lowercase();
            theirs[3..].iter().any(|number| meaning(lines, number).as_deref() == Some(&name))
        });
        prop_assert_eq!(Some(&made.media.codec), first, "the first of our list that was offered");
        prop_assert_eq!(ours[3], made.media.payload_type.to_string());
        let time = |sdp: &str| sdp.lines().find(|line| line.starts_with("t=")).map(str::to_owned);
        prop_assert_eq!(time(&made.sdp), time(offer));

        let mine = said.iter().find_map(|line| DIRECTIONS[1..].iter().find(|known| *known == line)).unwrap();
        let allowed: &[&str] = match stated(offer, lines) {
            "sendonly" => &["a=recvonly", "a=inactive"],
            "recvonly" => &["a=sendonly", "a=inactive"],
            "inactive" => &["a=inactive"],
            _ => &DIRECTIONS,
        };
        prop_assert!(allowed.contains(mine), "{mine}");
        let held = lines.contains(&"c=IN IP4 0.0.0.0");
        prop_assert!(!held || matches!(*mine, "a=recvonly" | "a=inactive"), "nothing is sent to nowhere");
        prop_assert!(!said.contains(&"a=rtcp-mux") || lines.contains(&"a=rtcp-mux"));

        let keys: Vec<&&str> = said.iter().filter(|line| line.starts_with("a=crypto:")).collect();
        prop_assert_eq!(keys.len(), usize::from(*secure));
        for key in keys {
            let start = key.split(" inline:").next().unwrap();
            prop_assert!(lines.iter().any(|line| line.starts_with(start)), "{start}: their tag and their suite");
            prop_assert!(!lines.contains(key), "but our key");
        }
        // The digits of the codec's clock, or those of 8 kHz; comfort noise of its clock only.
        let numbered = |name: String| theirs[3..].iter().find(|number| meaning(lines, number).as_ref() == Some(&name));
        let clock = made.media.codec.clock_rate();
        let digits = numbered(format!("telephone-event/{clock}")).or_else(|| numbered("telephone-event/8000".to_owned()));
        prop_assert_eq!(made.media.dtmf_payload_type.map(|number| number.to_string()), digits.map(|n| (*n).to_owned()));
        let noise = numbered(format!("cn/{clock}")).filter(|_| made.media.codec.takes_comfort_noise());
        prop_assert_eq!(made.media.comfort_noise_payload_type.map(|n| n.to_string()), noise.map(|n| (*n).to_owned()));
    }

    /// What they offered first, we may have to offer again: same lines, same meaning of every number.
    #[test]
    fn our_offer_within_a_session_keeps_lines_and_payload_types(case in case(), required: bool) {
        let Case { offer, codecs, secure, good } = &case;
        let srtp = secure.then_some(required);
        let mut session = Session::new(local(codecs, srtp, 10));
        let first = session.answer(offer).unwrap();
        let ours = session.offer();
        prop_assert_eq!(session.offer(), ours.clone(), "the same until it is answered");
        prop_assert!(ours.len() <= trunkline_sdp::MAX_SDP);
        let (offered, again) = (sections(offer), sections(&ours));
        prop_assert_eq!(offered.len(), again.len());
        for (index, ((theirs, lines), (mine, said))) in offered.iter().zip(&again).enumerate() {
            prop_assert_eq!((theirs[0], theirs[2]), (mine[0], mine[2]));
            prop_assert_eq!(mine[1] != "0", index == *good);
            if index == *good {
                let numbers: BTreeSet<&&str> = mine[3..].iter().collect();
                prop_assert_eq!(numbers.len(), mine.len() - 3, "each number once");
                for number in &mine[3..] {
                    if theirs[3..].contains(number) {
                        let (said, meant) = (meaning(said, number).unwrap(), meaning(lines, number).unwrap());
                        prop_assert_eq!(said.trim_end_matches("/1"), meant.trim_end_matches("/1"));
                    }
                }
            }
        }
        prop_assert_eq!(version(&ours), (710, 1 + u64::from(body(&ours) != body(&first.sdp))));

        let mut peer = Session::new(local(&Codec::ALL, srtp, 20));
        let answered = peer.answer(&ours).unwrap();
        session.accept_answer(&answered.sdp).unwrap();
        agree(&session, &peer)?;
    }

    /// Two of us, any number of changes from either side: they always agree, and versions tell the truth.
    #[test]
    fn both_sides_agree_after_every_exchange(
        ours in subsequence(Codec::ALL.to_vec(), 1..=6).prop_shuffle(),
        theirs in subsequence(Codec::ALL.to_vec(), 1..=6).prop_shuffle(),
        policies in select(vec![(None, None), (Some(false), None), (Some(false), Some(false)), (Some(true), Some(true)), (Some(true), Some(false)), (None, Some(false))]),
        steps in proptest::collection::vec((any::<bool>(), 0..5usize), 1..8),
    ) {
        let common = ours.iter().any(|codec| theirs.contains(codec));
        let mut sides = [Session::new(local(&ours, policies.0, 10)), Session::new(local(&theirs, policies.1, 20))];
        let mut last: [Option<String>; 2] = [None, None];
        for (who, wish) in steps {
            let (offerer, answerer) = (usize::from(who), usize::from(!who));
            if let Some(wanted) = [Direction::SendRecv, Direction::SendOnly, Direction::RecvOnly, Direction::Inactive].get(wish) {
                sides[offerer].set_direction(*wanted);
            }
            let before = [0, 1].map(|side: usize| sides[side].media().cloned());
            let offer = sides[offerer].offer();
            let made = match sides[answerer].answer(&offer) {
                Ok(made) => made,
                Err(error) => {
                    prop_assert!(!common || policies.0 != policies.1, "{error}");
                    sides[offerer].withdraw();
                    prop_assert_eq!(before, [0, 1].map(|side: usize| sides[side].media().cloned()));
                    return Ok(());
                }
            };
            let taken = sides[offerer].accept_answer(&made.sdp).cloned();
            prop_assert!(taken.is_ok(), "{taken:?}\n{offer}\n{}", made.sdp);
            agree(&sides[0], &sides[1])?;
            prop_assert!(sides[offerer].revision().is_lawful() && sides[answerer].revision().is_lawful());
            for (side, now) in [(offerer, &offer), (answerer, &made.sdp)] {
                if let Some(before) = &last[side] {
                    let grown = u64::from(body(before) != body(now));
                    let ((id, old), (same, new)) = (version(before), version(now));
                    prop_assert_eq!((id, old + grown), (same, new));
                }
                last[side] = Some(now.clone());
            }
        }
    }
}

#[test]
fn both_families_and_every_suite_close_the_circle() {
    for addresses in [[IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)); 2], [IpAddr::V6(Ipv6Addr::LOCALHOST); 2]] {
        let [a, b] = addresses.map(|addr| LocalMedia { addr, ..local(&Codec::ALL, Some(true), 30) });
        let (mut one, mut other) = (Session::new(a), Session::new(b));
        let offer = one.offer();
        assert_eq!(offer.matches("a=crypto:").count(), SrtpSuite::ALL.len());
        let made = other.answer(&offer).unwrap();
        let media = one.accept_answer(&made.sdp).unwrap();
        assert_eq!(media.remote.ip(), addresses[0]);
        assert!(made.sdp.contains(if addresses[0].is_ipv4() { "c=IN IP4 " } else { "c=IN IP6 ::1\r\n" }));
    }
}
