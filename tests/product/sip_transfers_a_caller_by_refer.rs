//! A caller is passed on by its own side: it is asked to dial whom an outbound route names, tells how far it has come, and the
//! gateway hangs up once it speaks with whom it dialled.

use std::time::Duration;

use serde_json::{Value, json};
use trunkline_tests::gateway::{Gateway, Options};
use trunkline_tests::objects::{self, id};
use trunkline_tests::phone::Phone;
use trunkline_tests::wait;

fn gateway(scratch: &std::path::Path) -> Gateway {
    let mut agent = objects::offline_agent("");
    agent["limits"] = json!({ "caller_silence_ms": 86_400_000, "max_call_s": 86_400 });
    agent["transfer"] = json!({ "hold_say": "", "hold_lines": [] });
    let mut all: Value = toml::from_str(&objects::answering(&agent).unwrap()).unwrap();
    let list = all["object"].as_array_mut().unwrap();
    for object in list.iter_mut().filter(|object| object["kind"] == "trunk") {
        object["body"]["server"] = json!({ "hosts": ["127.0.0.1:9"] });
    }
    list.push(json!({
        "kind": "outbound-route", "id": "ort_00000000000000000000000001", "tenant": id::TENANT,
        "body": { "name": "home", "destinations": ["+4930*"], "uses": ["transfer"], "trunks": [id::TRUNK] },
    }));
    let gateway = Gateway::standalone(scratch, &toml::to_string(&all).unwrap(), Options::default()).unwrap();
    gateway.await_agents(1).unwrap();
    let open = || gateway.admin().unwrap().get("/v1/trunks").unwrap()[0]["takes_calls"] == true;
    wait::until_true("the trunk to be looked after", Duration::from_secs(20), open).unwrap();
    gateway
}

fn transfer(gateway: &Gateway, call: &str, to: &str) {
    let output = gateway.command(&["transfer", call, to, "--mode", "blind"]).unwrap().output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn ended(gateway: &Gateway, call: &str) -> Vec<String> {
    let seen = gateway.admin().unwrap().get(&format!("/v1/calls/{call}")).unwrap();
    let events = seen["events"].as_array().cloned().unwrap_or_default();
    let ended = events.iter().filter(|event| event["type"] == "transfer.ended");
    ended.map(|event| event["data"]["outcome"].as_str().unwrap_or_default().to_owned()).collect()
}

fn until(what: &str, met: impl FnMut() -> bool) {
    wait::until_true(what, Duration::from_secs(30), met).unwrap();
}

#[test]
fn a_caller_is_asked_to_dial_whom_a_route_names_and_hung_up_once_it_has() {
    let scratch = tempfile::tempdir().unwrap();
    let mut gateway = gateway(scratch.path());
    let mut phone = Phone::call(gateway.sip(), "1000", "referred").unwrap();
    let call = gateway.calls().unwrap()[0]["id"].as_str().unwrap().to_owned();
    // No route names it: the first REFER that comes is of the next order.
    transfer(&gateway, &call, "+49900123");
    until("the first to be refused", || ended(&gateway, &call) == ["rejected"]);

    transfer(&gateway, &call, "+4930555");
    let refer = phone.expect("REFER ").unwrap();
    assert_eq!(refer.header("Refer-To"), Some("<sip:+4930555@10.11.12.13:5060>"));
    phone.answer(&refer, 603, "Decline").unwrap();
    until("the second to be refused", || ended(&gateway, &call).len() == 2);
    assert_eq!(gateway.calls().unwrap().len(), 1, "the caller is with the agent");

    transfer(&gateway, &call, "+4930555");
    let refer = phone.expect("REFER ").unwrap();
    phone.answer(&refer, 202, "Accepted").unwrap();
    for (state, fragment) in [("active;expires=60", "180 Ringing"), ("terminated;reason=noresource", "200 OK")] {
        let headers = format!("Event: refer\r\nSubscription-State: {state}\r\nContent-Type: message/sipfrag");
        phone.request("NOTIFY", &format!("{headers}\r\n\r\nSIP/2.0 {fragment}\r\n")).unwrap();
        phone.expect("SIP/2.0 200").unwrap();
    }
    let bye = phone.expect("BYE ").unwrap();
    phone.answer(&bye, 200, "OK").unwrap();
    until("the call to end", || gateway.calls().unwrap().is_empty());
    assert_eq!(ended(&gateway, &call), ["rejected", "rejected", "completed"]);
    gateway.stop().unwrap();
}
