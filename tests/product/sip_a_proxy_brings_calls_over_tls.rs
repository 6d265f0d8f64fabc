//! Debian's Kamailio takes calls over UDP and hands them over by TLS, with a certificate that it is known by: both of its
//! sides stay in the path (two Record-Routes), and whoever hangs up is heard at the other end. In clear it is a stranger.

use std::path::Path;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use trunkline_tests::gateway::{Gateway, Options};
use trunkline_tests::sipp::Sipp;
use trunkline_tests::{kamailio, objects, ports, wait};

const CALLS: usize = 5;
/// The proxy's name in its certificate.
const NAME: &str = "proxy.example";

#[test]
#[ignore = "slow: fetches Kamailio from the Debian archive"]
fn calls_through_a_proxy_that_proves_a_certificate_end_from_both_sides() {
    let scratch = tempfile::tempdir().unwrap();
    certificates(scratch.path());
    let tls = ports::free_range(1).unwrap();
    let path = |name: &str| scratch.path().join(name).display().to_string();
    let options = Options::default()
        .with("TRUNKLINE_SIP__TLS__CERT", &path("gateway.pem"))
        .with("TRUNKLINE_SIP__TLS__KEY", &path("gateway.key"))
        .with("TRUNKLINE_SIP__TLS__CLIENT_CA", &path("ca.pem"))
        .with("TRUNKLINE_SIP__LISTENERS__PROXY__LISTEN", &format!("127.0.0.1:{tls}"));
    let mut greeting = objects::offline_agent("Good morning.");
    greeting["pipeline"]["cascade"]["asr"] = serde_json::json!([]);
    let mut brief = greeting.clone();
    brief["limits"] = serde_json::json!({ "max_call_s": 10 });
    // Whatever address it comes from, the trunk is who has the certificate.
    let trunk = objects::routed(&[("2000", greeting), ("3000", brief)]).unwrap();
    let known = format!("peers = []\ntransports = [\"tls\"]\ncertificates = [\"{NAME}\"]\n");
    let trunk = trunk.replace("peers = [\"127.0.0.1\"]\n", &known);
    assert!(trunk.contains(NAME), "the rig's trunk is another than before:\n{trunk}");
    let gateway = Gateway::standalone(scratch.path(), &trunk, options).unwrap();
    gateway.await_agents(2).unwrap();

    let (udp, own) = (ports::free_range(1).unwrap(), ports::free_range(1).unwrap());
    let mut proxy = kamailio::start(scratch.path(), &configuration(scratch.path(), udp, own, tls)).unwrap();
    let way = format!("127.0.0.2:{udp}");
    for (scenario, number) in [("caller_through_a_proxy.xml", "2000"), ("hung_up_through_a_proxy.xml", "3000")] {
        let calls = Sipp::calling(scratch.path(), scenario, number, &way, CALLS).unwrap();
        calls.succeed().unwrap_or_else(|error| panic!("{error:#}\nKamailio:\n{}", proxy.log()));
    }
    let finished = |page: &str| page.contains(&format!("trunkline_calls_finished_total {}\n", 2 * CALLS));
    wait::until_true("the calls' records", Duration::from_secs(30), || {
        gateway.metrics().is_ok_and(|page| finished(&page))
    })
    .unwrap();
    let page = gateway.metrics().unwrap();
    // One that the proxy opened for what it had to send first, and one from the address that it has recorded.
    let connections = page.lines().find_map(|line| line.strip_prefix("trunkline_sip_connections{} "));
    assert!(connections.is_some_and(|count| ["1", "2"].contains(&count)), "{page}");
    proxy.stop().unwrap();
}

/// An authority, and what it signed for the gateway and the proxy.
fn certificates(folder: &Path) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // OpenSSL takes a certificate whose issuer has its own name for one that it signed itself.
    params.distinguished_name.push(DnType::CommonName, "authority");
    std::fs::write(folder.join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
    let issuer = Issuer::new(params, key);
    for (file, name) in [("gateway", "127.0.0.1"), ("proxy", NAME)] {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
        std::fs::write(folder.join(format!("{file}.pem")), certificate.pem()).unwrap();
        std::fs::write(folder.join(format!("{file}.key")), key.serialize_pem()).unwrap();
    }
}

fn configuration(folder: &Path, udp: u16, own: u16, tls: u16) -> String {
    let at = folder.display();
    let sides = format!(
        "method = TLSv1.2+\nprivate_key = {at}/proxy.key\ncertificate = {at}/proxy.pem\nca_list = {at}/ca.pem\n"
    );
    let file = folder.join("tls.cfg");
    std::fs::write(&file, format!("[server:default]\n{sides}\n[client:default]\n{sides}verify_certificate = yes\n"))
        .unwrap();
    format!(
        r#"#!KAMAILIO
listen=udp:127.0.0.2:{udp}
listen=tls:127.0.0.2:{own}
enable_tls=yes
loadmodule "tls.so"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "textops.so"
loadmodule "siputils.so"
modparam("tls", "config", "{}")
modparam("rr", "enable_double_rr", 1)
request_route {{
    if (is_method("CANCEL")) {{ if (t_check_trans()) t_relay(); exit; }}
    if (has_totag()) {{
        if (loose_route()) t_relay();
        else if (is_method("ACK") && t_check_trans()) t_relay();
        exit;
    }}
    record_route();
    $du = "sip:127.0.0.1:{tls};transport=tls";
    t_relay();
}}
"#,
        file.display()
    )
}
