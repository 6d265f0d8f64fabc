//! A phone that names an address of its own network hears the goodbye: it is reached where it sends from.

use std::time::Duration;

use trunkline_tests::gateway::{Gateway, Options};
use trunkline_tests::phone::Phone;
use trunkline_tests::{objects, wait};

#[test]
fn a_phone_behind_nat_hears_that_it_is_hung_up() {
    let scratch = tempfile::tempdir().unwrap();
    let mut agent = objects::offline_agent("");
    agent["limits"] = serde_json::json!({ "caller_silence_ms": 86_400_000, "max_call_s": 86_400 });
    let objects = objects::answering(&agent).unwrap();
    let mut gateway = Gateway::standalone(scratch.path(), &objects, Options::default()).unwrap();
    gateway.await_agents(1).unwrap();
    let phone = Phone::call(gateway.sip(), "1000", "behind-nat").unwrap();
    let listed = || Some(gateway.calls().ok()?.first()?["id"].as_str()?.to_owned());
    let call = wait::until("the call among those of the gateway", Duration::from_secs(10), listed).unwrap();
    let output = gateway.command(&["hangup", &call]).unwrap().output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let bye = phone.expect("BYE ").unwrap();
    phone.answer(&bye, 200, "OK").unwrap();
    gateway.stop().unwrap();
}
