//! Who calls is verified by what their provider signed, with certificates that lie on the gateway: a call that holds takes the
//! route that asks for it, and every other is refused for its own reason, in the answer and in the log.

#[path = "../../gateway/sip/tests/support/signer.rs"]
mod signer;

use std::net::Ipv4Addr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use signer::Authority;
use trunkline_tests::attacker::Attacker;
use trunkline_tests::gateway::Gateway;
use trunkline_tests::objects::{self, id};
use trunkline_tests::{echo, wait};

const CALLER: &str = "12155551212";
const URL: &str = "https://certificates.example/709J.pem";
const STRANGERS: &str = "https://certificates.example/stranger.pem";
/// Who listens there is on the operator's own network.
const INSIDE: &str = "https://127.0.0.1:8443/cert.pem";

/// One trunk that takes only calls that are verified, and one that takes all; calls with full attestation go to the second
/// agent.
fn objects() -> String {
    let mut all: Value = toml::from_str(&objects::answering(&echo::agent()).unwrap()).unwrap();
    let list = all["object"].as_array_mut().unwrap();
    for object in list.iter_mut().filter(|object| object["kind"] == "trunk") {
        object["body"]["stir"] = "require".into();
        object["body"]["peers"] = json!(["127.0.0.1"]);
    }
    let second = format!("{}2", id::AGENT.strip_suffix('1').unwrap());
    let object =
        |kind: &str, id: &str, body: Value| json!({ "kind": kind, "id": id, "tenant": id::TENANT, "body": body });
    let noting = json!({ "name": "noting", "peers": ["127.0.3.1"], "codecs": ["PCMU"], "stir": "note" });
    let route = json!({
        "name": "verified", "order": 0, "called": "*", "agent": second,
        "headers": { "sip_verstat": "TN-Validation-Passed", "sip_attest": "A" },
    });
    list.iter_mut().filter(|object| object["kind"] == "route").for_each(|object| object["body"]["order"] = 9.into());
    list.push(object("trunk", "trk_00000000000000000000000002", noting));
    list.push(object("agent", &second, echo::agent()));
    list.push(object("route", "rte_00000000000000000000000002", route));
    toml::to_string(&all).unwrap()
}

struct Caller {
    attacker: Attacker,
}

impl Caller {
    fn at(ip: Ipv4Addr, gateway: &Gateway) -> Self {
        Self { attacker: Attacker::at(ip, gateway.sip()).unwrap() }
    }

    /// Calls 1000 with this Identity; the first line of the answer.
    fn calls(&mut self, identity: Option<&str>) -> String {
        let header = identity.map(|identity| format!("Identity: {identity}\r\n")).unwrap_or_default();
        let invite = self.attacker.invite().unwrap();
        let invite = invite.replace("From: <sip:1000@", &format!("From: <sip:+{CALLER}@"));
        let invite = invite.replace("Content-Type", &format!("{header}Content-Type"));
        let call_id = invite.lines().find(|line| line.starts_with("Call-ID: ")).unwrap().to_owned();
        let answer = wait::until("a final answer", Duration::from_secs(20), || {
            self.attacker.send(invite.as_bytes()).unwrap();
            wait::until("an answer", Duration::from_millis(500), || {
                let messages = self.attacker.messages();
                messages.into_iter().find(|text| text.contains(&call_id) && !text.starts_with("SIP/2.0 1"))
            })
            .ok()
        });
        answer.unwrap().lines().next().unwrap().to_owned()
    }
}

#[test]
fn a_call_that_is_signed_takes_its_route_and_others_are_refused_by_name() {
    let scratch = tempfile::tempdir().unwrap();
    let authority = Authority::new("Root");
    let (signer, stranger) = (authority.signer(URL), Authority::new("Stranger").signer(STRANGERS));
    let folder = scratch.path().join("certificates");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(scratch.path().join("roots.pem"), &authority.pem).unwrap();
    std::fs::write(folder.join("providers.pem"), format!("{URL}\n{}{STRANGERS}\n{}", signer.pem, stranger.pem))
        .unwrap();
    let options = echo::options(scratch.path(), 20).unwrap();
    let options = options
        .with("TRUNKLINE_SIP__STIR__ROOTS", &scratch.path().join("roots.pem").display().to_string())
        .with("TRUNKLINE_SIP__STIR__CERTIFICATES", &folder.display().to_string());
    let mut gateway = Gateway::standalone(scratch.path(), &objects(), options).unwrap();
    gateway.await_agents(2).unwrap();
    let (mut carrier, mut noting) =
        (Caller::at(Ipv4Addr::LOCALHOST, &gateway), Caller::at(Ipv4Addr::new(127, 0, 3, 1), &gateway));

    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let good = signer.shaken('A', CALLER, "1000", now());
    assert_eq!(carrier.calls(Some(&good)), "SIP/2.0 200 OK");
    assert_eq!(carrier.calls(Some(&signer.shaken('B', CALLER, "1000", now()))), "SIP/2.0 200 OK");
    // Taken all the same, by a trunk that only notes it.
    assert_eq!(noting.calls(None), "SIP/2.0 200 OK");
    assert_eq!(noting.calls(Some(&stranger.shaken('A', CALLER, "1000", now()))), "SIP/2.0 200 OK");
    let agents = || -> Vec<String> {
        let calls = gateway.calls().unwrap();
        calls.iter().map(|call| call["agent"].as_str().unwrap_or_default().to_owned()).collect()
    };
    wait::until_true("four calls", Duration::from_secs(20), || agents().len() == 4).unwrap();
    let verified = agents().iter().filter(|agent| agent.ends_with("02")).count();
    assert_eq!(verified, 1, "only full attestation takes the route that asks for it: {:?}", agents());

    let inside = authority.signer(INSIDE).shaken('A', CALLER, "1000", now());
    let changed = good.replacen(".ey", ".eY", 1);
    for (identity, status, failure) in [
        (None, "428", "identity_missing"),
        (Some(signer.shaken('A', CALLER, "1000", now() - 100)), "403", "identity_stale"),
        (Some(inside), "436", "identity_uncertified"),
        (Some(stranger.shaken('A', CALLER, "1000", now())), "437", "identity_untrusted"),
        (Some(signer.shaken('A', CALLER, "2000", now())), "438", "identity_invalid"),
        (Some(changed), "438", "identity_invalid"),
    ] {
        let answer = carrier.calls(identity.as_deref());
        assert!(answer.starts_with(&format!("SIP/2.0 {status} ")), "{failure}: {answer}");
        wait::until_true("the line in the log", Duration::from_secs(20), || {
            gateway.process().log().lines().any(|line| line.contains("call refused: ") && line.contains(failure))
        })
        .unwrap();
    }
    let page = gateway.metrics().unwrap();
    for (result, count) in [("passed", 2), ("none", 2), ("stale", 1), ("certificate", 1), ("untrusted", 2), ("dest", 1)]
    {
        let line = format!("trunkline_callers_verified{{result=\"{result}\"}} {count}");
        assert!(page.lines().any(|known| known == line), "{line} in\n{page}");
    }
    let log = gateway.process().log();
    assert!(log.contains("not a public address"), "nothing within is asked for a certificate:\n{log}");
    let token = good.split(';').next().unwrap();
    let parts: Vec<&str> = token.split('.').collect();
    assert!(parts.iter().all(|part| !log.contains(part)) && !log.contains(CALLER), "no token and no number:\n{log}");
}
