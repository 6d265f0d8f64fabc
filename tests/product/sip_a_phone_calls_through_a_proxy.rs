//! A phone of another make calls through Debian's Kamailio, which stays in the path, over UDP, TCP, and TLS with encrypted sound: it
//! puts the agent on hold and takes it back, hears it, and is understood.

use std::path::Path;
use std::time::{Duration, Instant};

use trunkline_tests::capture::{from_ulaw, read_pcmu};
use trunkline_tests::hosts::{self, Host, SIP_PORT, SIPS_PORT};
use trunkline_tests::process::Process;
use trunkline_tests::wav::level_dbfs;
use trunkline_tests::{kamailio, wait};

use crate::phones::{self, Phone};

/// Where the proxy listens, beside the phone; with TLS at the next one.
const PROXY_PORT: u16 = SIP_PORT + 20;
/// What was captured, in the folder of a phone.
const CAPTURE: &str = "resumed.pcap";

/// What all of it is signalled over, the codec, how the phone wants its media, and what it says of that.
const CALLS: [(&str, &str, &str, &str); 3] = [
    ("udp", "PCMU/8000/1", "", "Set audio decoder: PCMU"),
    ("tcp", "PCMA/8000/1", "srtp", "SRTP is Enabled"),
    ("tls", "PCMU/8000/1", "srtp-mand", "SRTP is Enabled"),
];

#[test]
#[ignore = "slow: fetches Kamailio from the Debian archive, three calls as long as their greeting"]
fn a_phone_behind_a_proxy_holds_resumes_hears_and_is_understood() {
    if !hosts::allowed() {
        eprintln!("SKIPPED: the phone does not use loopback, and hosts of one's own need root");
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let [gateways, others] = hosts::two().unwrap();
    let mut gateway = phones::gateway(&scratch.path().join("gateway"), &gateways, &others);
    let configuration = configuration(scratch.path(), &others, &gateways);
    let mut kamailio = kamailio::start_on(&others, scratch.path(), &configuration).unwrap();
    let voice = phones::says_goodbye(scratch.path());

    for (number, (transport, codec, encryption, sign)) in CALLS.into_iter().enumerate() {
        let folder = scratch.path().join(format!("phone-{number}"));
        let port = if transport == "tls" { PROXY_PORT + 1 } else { PROXY_PORT };
        let target = format!("sip:1000@{}:{port}", others.address);
        let began = Instant::now();
        let mut phone = Phone::call(&folder, &voice, (transport, codec, encryption), &others, &target);
        let told = |what: &str| {
            let saw = || kamailio.log().matches(&format!("{what} by {transport}")).count() > 0;
            wait::until_true(what, Duration::from_secs(20), saw)
        };
        let said = |error: anyhow::Error, phone: &Phone<'_>| {
            let logs = [phone.process.log(), kamailio.log(), gateway.log()].join("\n--------\n");
            panic!("{transport} {codec} {encryption}: {error:#}\n{logs}")
        };
        told("acknowledged").unwrap_or_else(|error| said(error, &phone));
        wait::until_true("two seconds of greeting", phones::CALL, || phone.written_ms() >= 2000)
            .unwrap_or_else(|error| said(error, &phone));
        phone.order("hold");
        told("held in kind").unwrap_or_else(|error| said(error, &phone));
        phone.order("resume");
        told("resumed").unwrap_or_else(|error| said(error, &phone));
        let (before, mut since) = (began.elapsed(), capture(&folder, &others, &gateways));
        wait::until_true("the agent to understand and hang up", phones::CALL, || phone.is_done())
            .unwrap_or_else(|error| said(error, &phone));
        told("hung up").unwrap_or_else(|error| said(error, &phone));
        let counted = || phone.process.log().contains(";PR=");
        wait::until_true("its counts", phones::CALL, counted).unwrap_or_else(|error| said(error, &phone));
        phone.finish();
        since.stop(Duration::from_secs(10)).unwrap();

        let log = phone.process.log();
        assert!(log.contains(sign), "{transport} {codec} {encryption}: no \"{sign}\" in\n{log}");
        let loud = phone.heard_ms();
        assert!(loud > 1000, "{transport} {codec} {encryption}: the greeting was audible for {loud} ms\n{log}");
        // More than can have come before it resumed, and as many as were sent: it could decrypt them.
        let (taken, missing) = phone.packets();
        let after = Duration::from_millis(20 * taken as u64).saturating_sub(before);
        assert!(after > Duration::from_secs(2), "{transport} {codec} {encryption}: {taken} packets, {before:?}\n{log}");
        assert!(missing < taken / 20, "{transport} {codec} {encryption}: {missing} missing of {taken}\n{log}");
        if encryption.is_empty() {
            let loud = audible_ms(&folder);
            assert!(loud > 300, "{transport} {codec}: audible for {loud} ms since the hold\n{log}");
        }
    }
    assert!(gateway.is_running() && !gateway.log().contains("panicked"));
    kamailio.stop().unwrap();
    gateway.stop(Duration::from_secs(60)).unwrap();
}

/// Writes down what the gateway sends to the phone from now on. The phone itself writes down no more after a hold.
fn capture(folder: &Path, phone: &Host, gateway: &Host) -> Process {
    let mut tcpdump = phone.command("tcpdump");
    let filter = format!("udp and src host {} and not port {SIP_PORT}", gateway.address);
    tcpdump.args(["-i", "cable", "-U", "-w"]).arg(folder.join(CAPTURE)).arg(filter);
    let mut process = Process::start("tcpdump", folder, &mut tcpdump).unwrap();
    let listens = |log: &str| log.contains("listening on").then_some(());
    process.await_sign("tcpdump to listen", Duration::from_secs(10), listens).unwrap();
    process
}

/// For how many milliseconds of that the agent was audible.
fn audible_ms(folder: &Path) -> usize {
    let streams = read_pcmu(&folder.join(CAPTURE)).unwrap();
    let sound = streams.values().flatten().map(|code| from_ulaw(*code)).collect::<Vec<_>>();
    sound.chunks(160).filter(|frame| level_dbfs(frame) > -40.0).count() * 20
}

/// What comes over a transport goes on over it, both ways; the log tells how far a call is.
fn configuration(folder: &Path, here: &Host, gateway: &Host) -> String {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new([here.address.to_string()]).unwrap().self_signed(&key).unwrap();
    let [pem, key_file, tls] = ["proxy.pem", "proxy.key", "tls.cfg"].map(|name| folder.join(name));
    std::fs::write(&pem, certificate.pem()).unwrap();
    std::fs::write(&key_file, key.serialize_pem()).unwrap();
    let side = format!("method = TLSv1.2+\nprivate_key = {}\ncertificate = {}\n", key_file.display(), pem.display());
    std::fs::write(&tls, format!("[server:default]\n{side}\n[client:default]\n{side}verify_certificate = no\n"))
        .unwrap();
    let (here, gateway, tls, secure) = (here.address, gateway.address, tls.display(), PROXY_PORT + 1);
    format!(
        r#"#!KAMAILIO
listen=udp:{here}:{PROXY_PORT}
listen=tcp:{here}:{PROXY_PORT}
listen=tls:{here}:{secure}
enable_tls=yes
loadmodule "tls.so"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "xlog.so"
loadmodule "textops.so"
loadmodule "siputils.so"
modparam("tls", "config", "{tls}")
request_route {{
    if (is_method("CANCEL")) {{ if (t_check_trans()) t_relay(); exit; }}
    if (has_totag()) {{
        if (is_method("ACK")) xlog("L_ERR", "acknowledged by $proto\n");
        if (is_method("BYE")) xlog("L_ERR", "hung up by $proto\n");
        if (loose_route()) {{ t_on_reply("CHANGED"); t_relay(); }}
        else if (is_method("ACK") && t_check_trans()) t_relay();
        exit;
    }}
    record_route();
    if ($proto == "tls") $du = "sip:{gateway}:{SIPS_PORT};transport=tls";
    else if ($proto == "tcp") $du = "sip:{gateway}:{SIP_PORT};transport=tcp";
    else $du = "sip:{gateway}:{SIP_PORT}";
    t_relay();
}}
onreply_route[CHANGED] {{
    if ($rm == "INVITE" && $rs == 200 && search_body("a=recvonly")) xlog("L_ERR", "held in kind by $proto\n");
    if ($rm == "INVITE" && $rs == 200 && search_body("a=sendrecv")) xlog("L_ERR", "resumed by $proto\n");
}}
"#
    )
}
