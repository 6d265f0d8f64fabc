//! Debian's Kamailio spreads calls over two gateways and asks both whether they are there: when one dies its calls go to the
//! other, none of them fails, and once it is back it is called again.

use std::path::Path;

use trunkline_tests::gateway::{Gateway, Options};
use trunkline_tests::kamailio::Kamailio;
use trunkline_tests::sipp::Sipp;
use trunkline_tests::{kamailio, objects, ports};

const CALLS: usize = 4;

#[test]
#[ignore = "slow: fetches Kamailio from the Debian archive"]
fn calls_go_to_the_other_gateway_while_one_is_dead() {
    let scratch = tempfile::tempdir().unwrap();
    let [mut one, two] = ["one", "two"].map(|name| gateway(&scratch.path().join(name)));
    let list = scratch.path().join("dispatcher.list");
    std::fs::write(&list, format!("1 sip:{}\n1 sip:{}\n", one.sip(), two.sip())).unwrap();
    let proxy = format!("127.0.0.2:{}", ports::free_range(1).unwrap());
    let mut kamailio = kamailio::start(scratch.path(), &configuration(&proxy, &list)).unwrap();
    let calls = || {
        let calls = Sipp::calling(scratch.path(), "caller_through_a_proxy.xml", "2000", &proxy, CALLS).unwrap();
        calls.succeed()
    };

    calls().unwrap_or_else(|error| panic!("{error:#}\nKamailio:\n{}", kamailio.log()));
    assert_eq!([answered(&one), answered(&two)], [CALLS / 2, CALLS / 2], "by turns");

    one.kill().unwrap();
    let down = format!("is down: sip:{}", one.sip());
    saw(&mut kamailio, &down);
    calls().unwrap_or_else(|error| panic!("{error:#}\nKamailio:\n{}", kamailio.log()));
    assert_eq!(answered(&two), CALLS / 2 + CALLS);

    let up = format!("is up: sip:{}", one.sip());
    let mut one = one.start_again().unwrap();
    one.await_agents(1).unwrap();
    saw(&mut kamailio, &up);
    calls().unwrap_or_else(|error| panic!("{error:#}\nKamailio:\n{}", kamailio.log()));
    assert_eq!([answered(&one), answered(&two)], [CALLS / 2, CALLS / 2 + CALLS + CALLS / 2]);

    // One that is stopped says so before it goes: it drains.
    let down_again = |log: &str| log.matches(&down).count() >= 2;
    one.stop().unwrap();
    kamailio.await_sign("it to be gone", |log| down_again(log).then_some(())).unwrap();
    kamailio.stop().unwrap();
}

/// A gateway on a port that it keeps, whose trunk is the proxy.
fn gateway(scratch: &Path) -> Gateway {
    let mut agent = objects::offline_agent("Good morning.");
    agent["pipeline"]["cascade"]["asr"] = serde_json::json!([]);
    let trunk = objects::answering(&agent).unwrap().replace("127.0.0.1", "127.0.0.2");
    let listen = format!("127.0.0.1:{}", ports::free_range(1).unwrap());
    let options = Options::default().with("TRUNKLINE_SIP__LISTEN", &listen);
    let gateway = Gateway::standalone(scratch, &trunk, options).unwrap();
    gateway.await_agents(1).unwrap();
    gateway
}

fn saw(kamailio: &mut Kamailio, sign: &str) {
    kamailio.await_sign(sign, |log| log.contains(sign).then_some(())).unwrap();
}

/// Calls that a gateway has answered.
fn answered(gateway: &Gateway) -> usize {
    let page = gateway.metrics().unwrap();
    let counted = page.lines().find_map(|line| line.strip_prefix("trunkline_calls_answered_total "));
    counted.and_then(|count| count.parse().ok()).unwrap_or_default()
}

fn configuration(proxy: &str, list: &Path) -> String {
    let list = list.display();
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
loadmodule "dispatcher.so"
modparam("tm", "fr_timer", 2000)
modparam("dispatcher", "list_file", "{list}")
modparam("dispatcher", "flags", 2)
modparam("dispatcher", "ds_ping_interval", 1)
modparam("dispatcher", "ds_probing_mode", 1)
modparam("dispatcher", "ds_probing_threshold", 1)
modparam("dispatcher", "ds_inactive_threshold", 1)
modparam("dispatcher", "ds_ping_from", "sip:proxy@{proxy}")
request_route {{
    if (is_method("CANCEL")) {{ if (t_check_trans()) t_relay(); exit; }}
    if (has_totag()) {{
        if (loose_route()) t_relay();
        else if (is_method("ACK") && t_check_trans()) t_relay();
        exit;
    }}
    record_route();
    if (!ds_select_dst("1", "4")) {{ sl_send_reply("503", "Nobody Is There"); exit; }}
    t_on_failure("NEXT");
    t_relay();
}}
failure_route[NEXT] {{
    if (t_is_canceled()) exit;
    if (t_check_status("5[0-9][0-9]|408") && ds_next_dst()) {{ t_on_failure("NEXT"); t_relay(); }}
}}
event_route[dispatcher:dst-down] {{ xlog("L_ERR", "is down: $ru\n"); }}
event_route[dispatcher:dst-up] {{ xlog("L_ERR", "is up: $ru\n"); }}
"#
    )
}
