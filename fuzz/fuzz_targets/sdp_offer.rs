//! Any offer: it is refused, or its answer is one that the offerer's side of the engine takes.
#![no_main]

use std::net::Ipv4Addr;

use libfuzzer_sys::fuzz_target;
use trunkline_leg::Codec;
use trunkline_sdp::{LocalMedia, MAX_SDP, accept_answer, answer};

fuzz_target!(|offer: &str| {
    let local = LocalMedia {
        addr: Ipv4Addr::LOCALHOST.into(),
        port: 16_384,
        codecs: vec![Codec::Pcmu, Codec::Pcma],
        dtmf: true,
        session_id: 1,
        version: 1,
        ptime_ms: 20,
    };
    if let Ok(made) = answer(offer, &local) {
        assert!(made.media.remote.port() != 0 && made.media.remote.is_ipv4());
        let lines = made.sdp.lines().filter(|line| line.starts_with("m=")).count();
        if lines == 1 && made.sdp.len() <= MAX_SDP {
            accept_answer(&made.sdp, &local).expect("our own answer is sound");
        }
    }
});
