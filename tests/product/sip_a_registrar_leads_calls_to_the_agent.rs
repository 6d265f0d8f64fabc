//! A gateway that nobody calls of themselves registers with Debian's Kamailio, by a password: calls to its address of record reach
//! the agent, and once it stops they reach nobody.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use trunkline_tests::caller::{Caller, script};
use trunkline_tests::gateway::{Gateway, Options};
use trunkline_tests::sipp::Sipp;
use trunkline_tests::{kamailio, objects, ports, wait};

const CALLS: usize = 3;
/// The user of the address of record.
const USER: &str = "4930100";

#[test]
#[ignore = "slow: fetches Kamailio from the Debian archive"]
fn a_registered_gateway_is_called_until_it_stops() {
    // What a registrar asks for its password with.
    for algorithm in ["MD5", "SHA-256"] {
        let scratch = tempfile::tempdir().unwrap();
        let proxy = format!("127.0.0.2:{}", ports::free_range(1).unwrap());
        let mut kamailio = kamailio::start(scratch.path(), &configuration(&proxy, algorithm)).unwrap();
        let mut gateway = gateway(scratch.path(), &proxy);
        gateway.await_agents(1).unwrap();
        let registered = || gateway.admin().unwrap().get("/v1/trunks").unwrap()[0]["registered"] == true;
        wait::until_true("the registration", Duration::from_secs(20), registered)
            .unwrap_or_else(|error| panic!("{algorithm}: {error:#}\n{}", kamailio.log()));
        assert_eq!(kamailio.log().matches("is bound").count(), 1, "{}", kamailio.log());

        let calls = Sipp::calling(scratch.path(), "caller_through_a_proxy.xml", USER, &proxy, CALLS).unwrap();
        calls.succeed().unwrap_or_else(|error| panic!("{error:#}\nKamailio:\n{}", kamailio.log()));
        let answered = format!("trunkline_calls_answered_total {CALLS}\n");
        assert!(gateway.metrics().unwrap().contains(&answered));

        gateway.stop().unwrap();
        let gone = |log: &str| log.contains("is unbound").then_some(());
        kamailio.await_sign("the registration to be taken back", gone).unwrap();
        let nothing = script(&json!({ "steps": [] })).unwrap();
        let mut late = Caller::call(proxy.parse().unwrap(), USER, 1, nothing).unwrap();
        assert!(late.await_answer().is_err(), "nobody is registered any more");
        kamailio.stop().unwrap();
    }
}

/// A gateway whose trunk is the proxy, and is registered with.
fn gateway(scratch: &Path, proxy: &str) -> Gateway {
    let mut agent = objects::offline_agent("Good morning.");
    agent["pipeline"]["cascade"]["asr"] = json!([]);
    let mut all: Value = toml::from_str(&objects::answering(&agent).unwrap()).unwrap();
    for object in all["object"].as_array_mut().unwrap().iter_mut().filter(|object| object["kind"] == "trunk") {
        object["body"]["peers"] = json!(["127.0.0.2"]);
        object["body"]["server"] = json!({
            "hosts": [proxy], "domain": "pbx.example",
            "credentials": { "user": USER, "secret": "pbx" }, "registration": { "user": USER, "expires_s": 60 },
        });
    }
    let options = Options::default().with("TRUNKLINE_SECRETS__PBX__FROM", "env:PBX").with("PBX", "correct horse");
    Gateway::standalone(scratch, &toml::to_string(&all).unwrap(), options).unwrap()
}

fn configuration(proxy: &str, algorithm: &str) -> String {
    format!(
        r#"#!KAMAILIO
listen=udp:{proxy}
disable_tcp=yes
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "xlog.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "auth.so"
modparam("usrloc", "db_mode", 0)
modparam("auth", "algorithm", "{algorithm}")
modparam("auth", "qop", "auth")
request_route {{
    if (is_method("CANCEL")) {{ if (t_check_trans()) t_relay(); exit; }}
    if (has_totag()) {{
        if (loose_route()) t_relay();
        else if (is_method("ACK") && t_check_trans()) t_relay();
        exit;
    }}
    if (is_method("REGISTER")) {{
        if (!pv_www_authenticate("$td", "correct horse", "0")) {{ www_challenge("$td", "1"); exit; }}
        save("location");
        if (registered("location", "$tu")) xlog("L_ERR", "$tU is bound\n");
        else xlog("L_ERR", "$tU is unbound\n");
        exit;
    }}
    record_route();
    if (!lookup("location")) {{ sl_send_reply("404", "Not Found"); exit; }}
    t_relay();
}}
"#
    )
}
