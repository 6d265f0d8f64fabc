//! Debian's Kamailio between UDP and TCP stays in the path with both of its sides (two Record-Routes): calls through it, to the
//! agent and from it, are answered, and whoever hangs up is heard at the other end.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use trunkline_tests::gateway::{Gateway, Options};
use trunkline_tests::objects::{self, id};
use trunkline_tests::sipp::Sipp;
use trunkline_tests::{kamailio, ports, wait};

const CALLS: usize = 3;

#[test]
#[ignore = "slow: fetches Kamailio from the Debian archive"]
fn calls_both_ways_through_a_proxy_with_two_sides_end_from_both_ends() {
    let scratch = tempfile::tempdir().unwrap();
    let proxy = format!("127.0.0.2:{}", ports::free_range(1).unwrap());
    let mut gateway = gateway(scratch.path(), &proxy);
    let callees = [ports::free_range(1).unwrap(), ports::free_range(1).unwrap()];
    let configuration = configuration(&proxy, gateway.sip(), callees);
    let mut kamailio = kamailio::start(scratch.path(), &configuration).unwrap();

    for (scenario, number) in [("caller_through_a_proxy.xml", "2000"), ("hung_up_through_a_proxy.xml", "3000")] {
        let calls = Sipp::calling(scratch.path(), scenario, number, &proxy, CALLS).unwrap();
        calls.succeed().unwrap_or_else(|error| panic!("{error:#}\nKamailio:\n{}", kamailio.log()));
    }
    let scenarios = [
        ("hangs_up_through_a_proxy.xml", "+4930100001", "offline", callees[0]),
        ("called_through_a_proxy.xml", "+4930100002", "brief", callees[1]),
    ];
    for (scenario, number, agent, port) in scenarios {
        let callee = Sipp::called_at(scratch.path(), scenario, port, 1).unwrap();
        let output = gateway.command(&["dial", number, "--agent", agent]).unwrap().output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        callee.succeed().unwrap_or_else(|error| panic!("{error:#}\nKamailio:\n{}", kamailio.log()));
    }
    let over = format!("trunkline_calls_finished_total {}\n", 2 * CALLS + scenarios.len());
    wait::until_true("the calls' records", Duration::from_secs(30), || {
        gateway.metrics().is_ok_and(|page| page.contains(&over))
    })
    .unwrap_or_else(|error| panic!("{error:#}\n{}\n{}", gateway.metrics().unwrap(), kamailio.log()));
    assert!(gateway.calls().unwrap().is_empty());
    kamailio.stop().unwrap();
    gateway.stop().unwrap();
}

/// A gateway that is called by way of the proxy and calls by way of it, over TCP. Of two agents one hangs up after a moment.
fn gateway(scratch: &Path, proxy: &str) -> Gateway {
    let mut greeting = objects::offline_agent("Good morning.");
    greeting["pipeline"]["cascade"]["asr"] = json!([]);
    let mut brief = greeting.clone();
    brief["name"] = "brief".into();
    brief["limits"] = json!({ "max_call_s": 10 });
    let mut all: Value = toml::from_str(&objects::routed(&[("2000", greeting), ("3000", brief)]).unwrap()).unwrap();
    let list = all["object"].as_array_mut().unwrap();
    for object in list.iter_mut().filter(|object| object["kind"] == "trunk") {
        // A proxy with two addresses, which opens connections from either.
        object["body"]["peers"] = json!(["127.0.0.1", "127.0.0.2"]);
        object["body"]["dialog_peers"] = json!("trunk");
        object["body"]["server"] = json!({ "hosts": [proxy], "transport": "tcp" });
    }
    list.push(json!({
        "kind": "outbound-route", "id": "ort_00000000000000000000000001", "tenant": id::TENANT,
        "body": { "name": "home", "destinations": ["+4930*"], "trunks": [id::TRUNK] },
    }));
    let gateway = Gateway::standalone(scratch, &toml::to_string(&all).unwrap(), Options::default()).unwrap();
    gateway.await_agents(2).unwrap();
    let open = || gateway.admin().unwrap().get("/v1/trunks").unwrap()[0]["takes_calls"] == true;
    wait::until_true("the trunk to be looked after", Duration::from_secs(20), open).unwrap();
    gateway
}

/// Numbers with a plus are those of the callees, others the gateway's.
fn configuration(proxy: &str, gateway: SocketAddr, callees: [u16; 2]) -> String {
    let [one, two] = callees;
    format!(
        r#"#!KAMAILIO
listen=udp:{proxy}
listen=tcp:{proxy}
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "textops.so"
loadmodule "siputils.so"
modparam("rr", "enable_double_rr", 1)
request_route {{
    if (is_method("CANCEL")) {{ if (t_check_trans()) t_relay(); exit; }}
    if (has_totag()) {{
        if (loose_route()) t_relay();
        else if (is_method("ACK") && t_check_trans()) t_relay();
        exit;
    }}
    record_route();
    if ($rU == "+4930100001") $du = "sip:127.0.0.1:{one}";
    else if ($rU == "+4930100002") $du = "sip:127.0.0.1:{two}";
    else $du = "sip:{gateway};transport=tcp";
    t_relay();
}}
"#
    )
}
