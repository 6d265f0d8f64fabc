//! A phone of another make (baresip, with libopus, spandsp, libsrtp and OpenSSL) calls with each codec, plain and encrypted,
//! over UDP, TCP and TLS: it hears the greeting, and the agent understands it.

use std::time::Duration;

use trunkline_tests::hosts::{self, SIP_PORT, SIPS_PORT};
use trunkline_tests::wait;

use crate::phones::{self, Phone};

/// What the phone signals over, its name of a codec, how it wants its media, and what it says once that is agreed on.
const CALLS: [(&str, &str, &str, &[&str]); 7] = [
    (
        "tls",
        "opus/48000/2",
        "srtp-mand",
        &["Set audio decoder: opus", "SRTP is Enabled (cryptosuite=AES_CM_128_HMAC_SHA1_80)"],
    ),
    ("udp", "opus/48000/2", "", &["Set audio decoder: opus"]),
    ("udp", "G722/16000/1", "srtp", &["Set audio decoder: G722", "SRTP is Enabled"]),
    ("udp", "L16/16000/1", "", &["Set audio decoder: L16"]),
    ("udp", "PCMU/8000/1", "srtp-mand", &["Set audio decoder: PCMU", "SRTP is Enabled"]),
    ("tcp", "PCMU/8000/1", "", &["Set audio decoder: PCMU"]),
    ("tls", "PCMA/8000/1", "srtp-mand", &["Set audio decoder: PCMA", "SRTP is Enabled"]),
];

#[test]
#[ignore = "slow: seven calls, each as long as its greeting"]
fn a_phone_of_another_make_hears_and_is_understood_with_each() {
    if !hosts::allowed() {
        eprintln!("SKIPPED: the phone does not use loopback, and hosts of one's own need root");
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let [gateways, others] = hosts::two().unwrap();
    let mut gateway = phones::gateway(&scratch.path().join("gateway"), &gateways, &others);

    let voice = phones::says_goodbye(scratch.path());
    for (number, (transport, codec, encryption, signs)) in CALLS.into_iter().enumerate() {
        let folder = scratch.path().join(format!("phone-{number}"));
        let port = if transport == "tls" { SIPS_PORT } else { SIP_PORT };
        let target = format!("sip:1000@{}:{port}", gateways.address);
        let mut phone = Phone::call(&folder, &voice, (transport, codec, encryption), &others, &target);
        let ended = wait::until_true("the agent to hang up", phones::CALL, || phone.is_done());
        let log = phone.process.log();
        assert!(
            ended.is_ok(),
            "{transport} {codec} {encryption}: the agent did not understand:\n{log}\n{}",
            gateway.log()
        );
        phone.finish();
        for sign in signs {
            assert!(log.contains(sign), "{transport} {codec} {encryption}: no \"{sign}\" in\n{log}");
        }
        let loud = phone.heard_ms();
        assert!(loud > 1000, "{transport} {codec} {encryption}: the agent was audible for {loud} ms");
    }
    assert!(gateway.is_running() && !gateway.log().contains("panicked"));
    gateway.stop(Duration::from_secs(60)).unwrap();
}
