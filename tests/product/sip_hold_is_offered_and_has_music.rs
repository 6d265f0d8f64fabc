//! An operator's hold is offered to the caller's side by a re-INVITE and fills the line with music; resume takes both back. Two
//! offers at once, a side that is busy and one that refuses leave the call up and on hold all the same.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use trunkline_caller::Message;
use trunkline_tests::gateway::{Gateway, Options};
use trunkline_tests::phone::Phone;
use trunkline_tests::wav::Wav;
use trunkline_tests::{capture, objects, wait};

/// A gateway whose agent says nothing, and whose holds have this music.
fn gateway(scratch: &Path, music: &str) -> Gateway {
    let mut agent = objects::offline_agent("");
    agent["limits"] = json!({ "caller_silence_ms": 86_400_000, "max_call_s": 86_400 });
    agent["recording"] = json!({ "enabled": false });
    agent["transfer"] = json!({ "hold_music": music });
    let gateway = Gateway::standalone(scratch, &objects::answering(&agent).unwrap(), Options::default()).unwrap();
    gateway.await_agents(1).unwrap();
    gateway
}

fn order(gateway: &Gateway, order: &str, call: &str) {
    let output = gateway.command(&[order, call]).unwrap().output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn until(what: &str, met: impl FnMut() -> bool) {
    wait::until_true(what, Duration::from_secs(30), met).unwrap();
}

fn call(gateway: &Gateway) -> String {
    let first = || Some(gateway.calls().ok()?.first()?["id"].as_str()?.to_owned());
    wait::until("the call", Duration::from_secs(10), first).unwrap()
}

fn redirected(gateway: &Gateway, call: &str) -> Vec<Value> {
    let seen = gateway.admin().unwrap().get(&format!("/v1/calls/{call}")).unwrap();
    let events = seen["events"].as_array().cloned().unwrap_or_default();
    let told = events.iter().filter(|event| event["type"] == "leg.redirected");
    told.map(|event| event["data"].clone()).collect()
}

/// Whether an offer states that direction.
fn offers(invite: &Message, way: &str) -> bool {
    String::from_utf8_lossy(&invite.body).contains(&format!("a={way}\r\n"))
}

/// The next `samples` of sound that the phone gets.
fn sound(phone: &Phone, samples: usize) -> Vec<i16> {
    phone.heard();
    let (mut heard, began) = (Vec::new(), Instant::now());
    until("sound", || {
        heard.extend(phone.heard());
        heard.len() >= samples || began.elapsed() > Duration::from_secs(20)
    });
    heard.into_iter().map(capture::from_ulaw).collect()
}

fn loud(sound: &[i16]) -> usize {
    sound.iter().filter(|sample| sample.unsigned_abs() > 250).count()
}

#[test]
fn a_caller_on_hold_is_told_so_and_hears_music_until_it_is_taken_back() {
    let scratch = tempfile::tempdir().unwrap();
    let mut gateway = gateway(scratch.path(), "");
    let mut phone = Phone::call(gateway.sip(), "1000", "held").unwrap();
    let call = call(&gateway);
    assert!(loud(&sound(&phone, 8000)) < 100, "nothing is said");

    order(&gateway, "hold", &call);
    let hold = phone.expect("INVITE ").unwrap();
    assert!(offers(&hold, "sendonly"), "{hold:?}");
    phone.accept(&hold, phone.description(2, "recvonly").unwrap()).unwrap();
    until("the hold to be in force", || redirected(&gateway, &call) == [json!({ "leg": 1, "direction": "sendonly" })]);
    let music = sound(&phone, 24_000);
    assert!(loud(&music) > 8000, "{} samples of music in three seconds", loud(&music));

    order(&gateway, "resume", &call);
    let back = phone.expect("INVITE ").unwrap();
    assert!(offers(&back, "sendrecv"), "{back:?}");
    phone.accept(&back, phone.description(3, "sendrecv").unwrap()).unwrap();
    until("the call to be back", || redirected(&gateway, &call).len() == 2);
    until("the music to end", || loud(&sound(&phone, 1600)) < 20);
    phone.request("BYE", "").unwrap();
    phone.expect("SIP/2.0 200").unwrap();
    gateway.stop().unwrap();
}

#[test]
fn two_offers_at_once_and_a_busy_side_have_it_offered_again_and_one_that_refuses_keeps_the_call() {
    let scratch = tempfile::tempdir().unwrap();
    let mut gateway = gateway(scratch.path(), "");
    let mut phone = Phone::call(gateway.sip(), "1000", "glares").unwrap();
    let call = call(&gateway);
    order(&gateway, "hold", &call);
    let first = phone.expect("INVITE ").unwrap();
    // Both have offered at once: each refuses the other's, and ours comes again.
    let offer = phone.description(2, "sendonly").unwrap();
    phone.request("INVITE", &format!("Content-Type: application/sdp\r\n\r\n{offer}")).unwrap();
    phone.expect("SIP/2.0 491").unwrap();
    phone.refuse(&first, 491, ("X-Reason", "glare")).unwrap();
    let second = phone.expect("INVITE ").unwrap();
    assert_ne!(second.header("CSeq"), first.header("CSeq"));
    phone.refuse(&second, 500, ("Retry-After", "1")).unwrap();
    let third = phone.expect("INVITE ").unwrap();
    assert!(redirected(&gateway, &call).is_empty());
    phone.refuse(&third, 488, ("Warning", "399 phone \"no hold here\"")).unwrap();
    let refused = json!({ "leg": 1, "direction": "sendonly", "sip_status": 488 });
    until("the refusal", || redirected(&gateway, &call) == [refused.clone()]);
    assert!(loud(&sound(&phone, 16_000)) > 5000, "on hold all the same");
    order(&gateway, "resume", &call);
    until("the music to end", || loud(&sound(&phone, 1600)) < 20);
    assert_eq!(redirected(&gateway, &call).len(), 1, "what was never agreed on is not taken back");
    assert_eq!(gateway.calls().unwrap().len(), 1);
    phone.request("BYE", "").unwrap();
    phone.expect("SIP/2.0 200").unwrap();
    gateway.stop().unwrap();
}

#[test]
fn the_music_may_be_a_file_of_the_operators() {
    let scratch = tempfile::tempdir().unwrap();
    let mut gateway = gateway(scratch.path(), "tune.wav");
    let folder = gateway.state().join("ambience");
    std::fs::create_dir_all(&folder).unwrap();
    let tune: Vec<i16> =
        (0..16_000).map(|n| ((f64::from(n) * 800.0 / 8000.0 * std::f64::consts::TAU).sin() * 8000.0) as i16).collect();
    Wav::write_mono(&folder.join("tune.wav"), 8000, &tune).unwrap();
    let mut phone = Phone::call(gateway.sip(), "1000", "tuned").unwrap();
    order(&gateway, "hold", &call(&gateway));
    let hold = phone.expect("INVITE ").unwrap();
    phone.accept(&hold, phone.description(2, "recvonly").unwrap()).unwrap();
    let mut heard = Vec::new();
    until("the tune", || {
        heard = sound(&phone, 8000);
        loud(&heard) > 5000
    });
    let rises = heard.windows(2).filter(|pair| pair[0] < 0 && pair[1] >= 0).count();
    let seconds = heard.len() as f64 / 8000.0;
    assert!((760.0..840.0).contains(&(rises as f64 / seconds)), "{rises} in {seconds} s");
    phone.request("BYE", "").unwrap();
    phone.expect("SIP/2.0 200").unwrap();
    gateway.stop().unwrap();
}
