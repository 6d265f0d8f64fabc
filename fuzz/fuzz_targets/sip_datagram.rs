//! Any datagram, from a trunk and from a stranger: the guard gives a verdict, and what it answers is well-formed and
//! small.
#![no_main]

use std::hash::RandomState;
use std::net::SocketAddr;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use trunkline_sip::{Guard, SipLimits, TrunkToken, UnknownPeer, Verdict};

fuzz_target!(|datagram: &[u8]| {
    let limits = SipLimits::default();
    let mut guard = Guard::new(RandomState::new(), "z9hG4bKtl00000000".to_owned(), &limits, UnknownPeer::Reject);
    let source = SocketAddr::from(([192, 0, 2, 1], 5060));
    for trunk in [None, Some(TrunkToken(Arc::from("trk_fuzz")))] {
        let known = trunk.is_some();
        match guard.judge(0, datagram, source, trunk) {
            Verdict::Answer { bytes, status, .. } => {
                assert!((400..600).contains(&status) && bytes.starts_with(b"SIP/2.0 "));
                assert!(bytes.len() < datagram.len() + 320);
                assert!(known || bytes.len() <= datagram.len());
            }
            Verdict::Pass(admitted) => assert!(known == admitted.trunk.is_some() || datagram.starts_with(b"SIP/")),
            Verdict::Drop(_) => {}
        }
    }
});
