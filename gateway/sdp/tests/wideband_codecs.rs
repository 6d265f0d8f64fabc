//! Offers of more than G.711: which codec is taken, with which clock, parameters and packet time.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use trunkline_leg::{Codec, MediaSpec, OpusParameters, RtcpPath};
use trunkline_sdp::{LocalMedia, SdpError, accept_answer, answer, offer};

fn local(codecs: &[Codec]) -> LocalMedia {
    LocalMedia { codecs: codecs.to_vec(), ..LocalMedia::new("192.0.2.10".parse().unwrap(), 16_384) }
}

/// As softphones offer: everything, with digits at both clocks.
const RICH: &str = "m=audio 4000 RTP/AVP 111 9 112 113 0 8 13 105 101 102\r\n\
    a=rtpmap:111 opus/48000/2\r\na=fmtp:111 maxplaybackrate=16000;useinbandfec=1;usedtx=1\r\n\
    a=rtpmap:9 G722/8000\r\na=rtpmap:112 L16/8000\r\na=rtpmap:113 L16/16000/1\r\na=rtpmap:105 CN/16000\r\n\
    a=rtpmap:101 telephone-event/8000\r\na=rtpmap:102 telephone-event/48000\r\na=ptime:30\r\n";

fn described(media: &str) -> String {
    format!("v=0\r\no=- 1 1 IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\n{media}")
}

fn taken(codec: Codec, media: &str) -> (MediaSpec, String) {
    let made = answer(&described(media), &local(&[codec])).unwrap();
    assert_eq!(made.media.codec, codec);
    (made.media, made.sdp)
}

#[test]
fn the_trunks_order_decides_and_not_the_offers() {
    for first in Codec::ALL {
        let mut order = vec![first];
        order.extend(Codec::ALL);
        assert_eq!(answer(&described(RICH), &local(&order)).unwrap().media.codec, first);
    }
}

#[test]
fn opus_is_answered_with_its_clock_parameters_and_digits_at_48_khz() {
    let (media, sdp) = taken(Codec::Opus, RICH);
    assert_eq!(media.payload_type, 111);
    assert_eq!((media.dtmf_payload_type, media.dtmf_clock_rate), (Some(102), 48_000));
    assert_eq!(media.comfort_noise_payload_type, None, "Opus has its own pauses");
    let asked = OpusParameters { fec: true, dtx: true, max_playback_rate: 16_000, ..OpusParameters::default() };
    assert_eq!(media.opus, asked);
    assert_eq!(media.ptime_ms, 20, "there is no Opus frame of 30 ms");
    for line in [
        "m=audio 16384 RTP/AVP 111 102\r\n",
        "a=rtpmap:111 opus/48000/2\r\n",
        "a=fmtp:111 maxplaybackrate=16000;sprop-maxcapturerate=16000;stereo=0;sprop-stereo=0;useinbandfec=1;usedtx=0\r\n",
        "a=rtpmap:102 telephone-event/48000\r\na=fmtp:102 0-15\r\n",
        "a=ptime:20\r\na=maxptime:60\r\n",
    ] {
        assert!(sdp.contains(line), "{line}{sdp}");
    }
}

#[test]
fn digits_fall_back_to_8_khz_where_the_codecs_clock_is_not_offered() {
    let (media, sdp) = taken(Codec::Opus, &RICH.replace("telephone-event/48000", "telephone-event/44100"));
    assert_eq!((media.dtmf_payload_type, media.dtmf_clock_rate), (Some(101), 8000));
    assert!(sdp.contains("a=rtpmap:101 telephone-event/8000\r\n"), "{sdp}");
    let (media, _) = taken(Codec::Opus, "m=audio 4000 RTP/AVP 111\r\na=rtpmap:111 opus/48000/2\r\n");
    assert_eq!((media.dtmf_payload_type, media.dtmf_clock_rate), (None, 48_000));
    assert_eq!(media.opus, OpusParameters::default());
}

#[test]
fn g722_has_the_clock_of_8_khz_and_needs_no_rtpmap() {
    let (media, sdp) = taken(Codec::G722, "m=audio 4000 RTP/AVP 9 13 101\r\na=rtpmap:101 telephone-event/8000\r\n");
    assert_eq!((media.payload_type, media.dtmf_payload_type, media.dtmf_clock_rate), (9, Some(101), 8000));
    assert_eq!(media.comfort_noise_payload_type, Some(13));
    assert!(sdp.contains("a=rtpmap:9 G722/8000\r\na=rtpmap:13 CN/8000\r\n"), "{sdp}");
    let wrong = described("m=audio 4000 RTP/AVP 9\r\na=rtpmap:9 G722/16000\r\n");
    assert!(matches!(answer(&wrong, &local(&[Codec::G722])), Err(SdpError::NoCommonCodec { .. })));
}

#[test]
fn l16_is_told_apart_by_its_rate_and_its_packets_fit_a_datagram() {
    let (media, sdp) = taken(Codec::L16Wideband, &RICH.replace("ptime:30", "ptime:60"));
    assert_eq!((media.payload_type, media.ptime_ms), (113, 40));
    assert_eq!(media.comfort_noise_payload_type, Some(105), "comfort noise at the codec's own clock");
    assert!(sdp.contains("a=rtpmap:113 L16/16000\r\n") && sdp.contains("a=maxptime:40\r\n"), "{sdp}");
    let (media, _) = taken(Codec::L16Narrowband, RICH);
    assert_eq!((media.payload_type, media.ptime_ms, media.comfort_noise_payload_type), (112, 30, Some(13)));
    let stereo = described("m=audio 4000 RTP/AVP 113\r\na=rtpmap:113 L16/16000/2\r\n");
    assert!(answer(&stereo, &local(&[Codec::L16Wideband])).is_err());
}

#[test]
fn comfort_noise_is_answered_where_it_is_offered_and_wanted() {
    let (media, sdp) = taken(Codec::Pcmu, "m=audio 4000 RTP/AVP 0 13\r\n");
    assert_eq!(media.comfort_noise_payload_type, Some(13));
    assert!(sdp.contains("m=audio 16384 RTP/AVP 0 13\r\n"), "{sdp}");
    assert_eq!(taken(Codec::Pcmu, "m=audio 4000 RTP/AVP 0\r\n").0.comfort_noise_payload_type, None);
    let none = LocalMedia { comfort_noise: false, ..local(&[Codec::Pcmu]) };
    assert_eq!(answer(&described(RICH), &none).unwrap().media.comfort_noise_payload_type, None);
}

#[test]
fn rtcp_goes_with_rtp_or_where_the_offer_says() {
    let path = |attributes: &str| {
        let (media, sdp) = taken(Codec::Pcmu, &format!("m=audio 4000 RTP/AVP 0\r\n{attributes}"));
        assert_eq!(sdp.contains("a=rtcp-mux\r\n"), media.rtcp == RtcpPath::Multiplexed);
        media.rtcp
    };
    assert_eq!(path(""), RtcpPath::NextPort);
    assert_eq!(path("a=rtcp-mux\r\na=rtcp:5000\r\n"), RtcpPath::Multiplexed);
    assert_eq!(path("a=rtcp:5000\r\n"), RtcpPath::At("198.51.100.7:5000".parse().unwrap()));
    assert_eq!(path("a=rtcp:5001 IN IP4 198.51.100.8\r\n"), RtcpPath::At("198.51.100.8:5001".parse().unwrap()));
    for as_usual in
        ["a=rtcp:4001\r\n", "a=rtcp:0\r\n", "a=rtcp:x\r\n", "a=rtcp:9 IN IP6 ::1\r\n", "a=rtcp:9 IN IP4 224.0.0.1\r\n"]
    {
        assert_eq!(path(as_usual), RtcpPath::NextPort, "{as_usual}");
    }
}

#[test]
fn an_offer_of_every_codec_is_answered_with_the_answerers_favourite() {
    let ours = offer(&local(&Codec::ALL));
    assert!(ours.contains("m=audio 16384 RTP/AVP 0 8 9 111 112 113 13 101 102 103\r\n"), "{ours}");
    for codec in Codec::ALL {
        let made = answer(&ours, &local(&[codec])).unwrap();
        let media = accept_answer(&made.sdp, &local(&Codec::ALL)).unwrap();
        assert_eq!((media.codec, media.payload_type), (codec, codec.offered_payload_type()));
        assert_eq!(media.dtmf_clock_rate, codec.clock_rate());
        assert_eq!(media.rtcp, RtcpPath::Multiplexed);
        assert_eq!(media.opus.fec, codec == Codec::Opus);
    }
}
