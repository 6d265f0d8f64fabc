//! Sound goes on both ways when the keys of SRTP change in the middle of a call: in an offer of the phone's, and in its answers to
//! offers of the gateway's, for a hold and back. What the phone sends and hears is libsrtp's.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use trunkline_caller::Message;
use trunkline_tests::gateway::Gateway;
use trunkline_tests::secure_phone::{self, SecurePhone};
use trunkline_tests::{echo, line, objects, wait};

/// A second of packets.
const SECOND: u32 = 50;

/// An echo that takes no plain sound.
fn gateway(scratch: &Path) -> Gateway {
    let mut all: Value = toml::from_str(&objects::answering(&echo::agent()).unwrap()).unwrap();
    for object in all["object"].as_array_mut().unwrap().iter_mut().filter(|object| object["kind"] == "trunk") {
        object["body"]["srtp"] = json!("required");
    }
    let options = echo::options(scratch, 1).unwrap();
    let gateway = Gateway::standalone(scratch, &toml::to_string(&all).unwrap(), options).unwrap();
    gateway.await_agents(1).unwrap();
    gateway
}

fn order(gateway: &Gateway, order: &str, call: &str) {
    let output = gateway.command(&[order, call]).unwrap().output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Is silent until nothing is heard, and talks for two seconds: what is said comes back, and all that comes can be opened.
fn is_echoed(phone: &mut SecurePhone, when: &str) {
    let silence = line::silence();
    let quiet = || {
        let heard = phone.talk(SECOND / 5, Some(&silence)).unwrap();
        heard.refused == 0 && heard.opened > 0 && heard.loud == 0
    };
    wait::until_true("silence", Duration::from_secs(10), quiet).unwrap_or_else(|error| panic!("{when}: {error:#}"));
    let heard = phone.talk(2 * SECOND, Some(&line::shout())).unwrap();
    assert!(heard.refused == 0 && heard.loud >= SECOND as usize, "{when}: {heard:?}");
}

fn offer(phone: &SecurePhone, way: &str) -> Message {
    let invite = phone.phone.expect("INVITE ").unwrap();
    assert!(String::from_utf8_lossy(&invite.body).contains(&format!("a={way}\r\n")), "{invite:?}");
    invite
}

#[test]
fn sound_goes_on_both_ways_with_new_keys_of_an_offer_and_of_answers() {
    if !secure_phone::is_available().unwrap() {
        eprintln!("SKIPPED: no libsrtp to call with; install the Debian package python3-pylibsrtp");
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let mut gateway = gateway(scratch.path());
    let mut phone = SecurePhone::call(gateway.sip(), "1000", "rekeys").unwrap();
    is_echoed(&mut phone, "with its first key");

    phone.rekey().unwrap();
    is_echoed(&mut phone, "with a key that it offered");

    let listed = || Some(gateway.calls().ok()?.first()?["id"].as_str()?.to_owned());
    let call = wait::until("the call", Duration::from_secs(10), listed).unwrap();
    order(&gateway, "hold", &call);
    let hold = offer(&phone, "sendonly");
    phone.accept(&hold, "recvonly").unwrap();
    let held = phone.talk(SECOND, None).unwrap();
    assert!(held.refused == 0 && held.loud > 0, "music: {held:?}");

    order(&gateway, "resume", &call);
    let back = offer(&phone, "sendrecv");
    phone.accept(&back, "sendrecv").unwrap();
    is_echoed(&mut phone, "with a key that it answered with");

    phone.phone.request("BYE", "").unwrap();
    phone.phone.expect("SIP/2.0 200").unwrap();
    gateway.stop().unwrap();
}
