//! Any description, as an offer and as an answer to an offer of ours: it is refused, or its answer is one that the offerer's
//! side of the engine takes, and what we offer next in the same session can be answered too.
#![no_main]

use std::net::Ipv4Addr;

use libfuzzer_sys::fuzz_target;
use trunkline_leg::{Codec, SrtpKeys};
use trunkline_sdp::{LocalMedia, LocalSrtp, MAX_SDP, Session, accept_answer, answer};

fuzz_target!(|text: &str| {
    let keys = SrtpKeys::from_random([7; SrtpKeys::RANDOM]);
    for srtp in [None, Some(false), Some(true)] {
        let srtp = srtp.map(|required| LocalSrtp { required, keys: keys.clone() });
        let local =
            LocalMedia { codecs: Codec::ALL.to_vec(), srtp, ..LocalMedia::new(Ipv4Addr::LOCALHOST.into(), 16_384) };
        let required = local.srtp.as_ref().is_some_and(|srtp| srtp.required);
        if let Ok(media) = accept_answer(text, &local) {
            assert!(media.codec.takes_ptime_ms(media.ptime_ms) && (!required || media.srtp.is_some()));
        }
        let mut session = Session::new(local.clone());
        let Ok(made) = session.answer(text) else { continue };
        assert!(made.media.remote.port() != 0 && made.media.remote.is_ipv4());
        assert!(made.media.codec.takes_ptime_ms(made.media.ptime_ms));
        assert!(!required || made.media.srtp.is_some());
        assert_eq!(session.answer(text).as_ref().map(|again| &again.sdp), Ok(&made.sdp), "nothing changed");
        let ours = session.offer();
        if ours.len() <= MAX_SDP {
            let theirs = answer(&ours, &local).expect("our own offer is sound");
            session.accept_answer(&theirs.sdp).expect("our own answer is sound");
        }
    }
});
