//! Any offer: it is refused, or its answer is one that the offerer's side of the engine takes.
#![no_main]

use std::net::Ipv4Addr;

use libfuzzer_sys::fuzz_target;
use trunkline_leg::{Codec, SrtpKeys};
use trunkline_sdp::{LocalMedia, LocalSrtp, MAX_SDP, accept_answer, answer};

fuzz_target!(|offer: &str| {
    let keys = SrtpKeys::from_random([7; SrtpKeys::RANDOM]);
    for srtp in [None, Some(false), Some(true)] {
        let srtp = srtp.map(|required| LocalSrtp { required, keys: keys.clone() });
        let local =
            LocalMedia { codecs: Codec::ALL.to_vec(), srtp, ..LocalMedia::new(Ipv4Addr::LOCALHOST.into(), 16_384) };
        let Ok(made) = answer(offer, &local) else { continue };
        assert!(made.media.remote.port() != 0 && made.media.remote.is_ipv4());
        assert!(made.media.codec.takes_ptime_ms(made.media.ptime_ms));
        assert!(local.srtp.as_ref().is_none_or(|srtp| !srtp.required) || made.media.srtp.is_some());
        let lines = made.sdp.lines().filter(|line| line.starts_with("m=")).count();
        if lines == 1 && made.sdp.len() <= MAX_SDP {
            let taken = accept_answer(&made.sdp, &local).expect("our own answer is sound");
            assert_eq!((taken.codec, taken.srtp.is_some()), (made.media.codec, made.media.srtp.is_some()));
        }
    }
});
