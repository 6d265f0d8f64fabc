//! Debian's Kamailio with the configuration of the guide, as it stands there but for the addresses: a caller's calls
//! reach an agent through it, from the answer to the BYE, and past it they are refused.

use std::time::Duration;

use trunkline_tests::caller::{Caller, script};
use trunkline_tests::gateway::{Gateway, Options};
use trunkline_tests::sipp::Sipp;
use trunkline_tests::{kamailio, objects, ports, wait};

use crate::documents::Document;

const CALLS: usize = 5;

#[test]
#[ignore = "slow: fetches Kamailio from the Debian archive"]
fn calls_reach_the_agent_through_kamailio_and_not_past_it() {
    let scratch = tempfile::tempdir().unwrap();
    let mut agent = objects::offline_agent("Good morning.");
    agent["pipeline"]["cascade"]["asr"] = serde_json::json!([]);
    // The trunk is Kamailio's address and nobody else's.
    let trunk = objects::answering(&agent).unwrap().replace("127.0.0.1", "127.0.0.2");
    let gateway = Gateway::standalone(scratch.path(), &trunk, Options::default()).unwrap();
    gateway.await_agents(1).unwrap();

    let proxy = format!("127.0.0.2:{}", ports::free_range(1).unwrap());
    let guide = Document::read("docs/how-to/pbx-trunk.md");
    let block = guide.blocks.iter().find(|block| block.language == "kamailio").unwrap();
    let configuration = block.text.replace("192.0.2.20:5060", &proxy);
    let configuration = configuration.replace("192.0.2.10:5060", &gateway.sip().to_string());
    assert!(!configuration.contains("192.0.2."), "an address is left:\n{configuration}");
    let mut kamailio = kamailio::start(scratch.path(), &configuration).unwrap();

    let calls = Sipp::calling(scratch.path(), "caller_through_a_proxy.xml", "2000", &proxy, CALLS).unwrap();
    calls.succeed().unwrap_or_else(|error| panic!("{error:#}\nKamailio:\n{}", kamailio.log()));
    wait::until_true("the calls' records", Duration::from_secs(20), || {
        gateway.metrics().is_ok_and(|metrics| metrics.contains(&format!("trunkline_calls_finished_total {CALLS}\n")))
    })
    .unwrap();

    let nothing = script(&serde_json::json!({ "steps": [] })).unwrap();
    let mut stranger = Caller::call(gateway.sip(), "2000", 1, nothing).unwrap();
    assert!(stranger.await_answer().is_err(), "a call that does not come from Kamailio is refused");
    assert!(gateway.metrics().unwrap().contains(&format!("trunkline_calls_answered_total {CALLS}\n")));
    kamailio.stop().unwrap();
}
