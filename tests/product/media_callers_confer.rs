//! An operator puts callers into a conference: each hears the others and never itself, who is muted is not heard and hears, and who
//! is taken out is with its agent again.

use std::time::Duration;

use serde_json::{Value, json};
use trunkline_tests::gateway::{Gateway, Options};
use trunkline_tests::line::{Line, shout, silence};
use trunkline_tests::{capture, objects, wait};

fn typed(gateway: &Gateway, arguments: &[&str]) -> (Option<i32>, String) {
    let output = gateway.command(arguments).unwrap().output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.code(), said)
}

fn ok(gateway: &Gateway, arguments: &[&str]) {
    let (code, said) = typed(gateway, arguments);
    assert_eq!(code, Some(0), "{arguments:?}: {said}");
}

fn events(gateway: &Gateway, call: &str, kind: &str) -> Vec<Value> {
    let seen = gateway.admin().unwrap().get(&format!("/v1/calls/{call}")).unwrap();
    let all = seen["events"].as_array().cloned().unwrap_or_default();
    all.into_iter().filter(|event| event["type"] == kind).map(|event| event["data"].clone()).collect()
}

/// Three seconds in which the first caller shouts and the others are silent; loud samples that each hears in the last two.
fn confer(lines: &mut [Line; 3]) -> [usize; 3] {
    let [a, b, c] = lines;
    let talk = |line: &mut Line, shouts: bool| {
        let say = |_| if shouts { shout() } else { silence() };
        line.talk(50, say, |_, _| Ok(())).unwrap();
        let heard = line.talk(100, say, |_, _| Ok(())).unwrap();
        heard.iter().filter(|code| capture::from_ulaw(**code).unsigned_abs() > 4000).count()
    };
    std::thread::scope(|scope| {
        let others = [(b, false), (c, false)].map(|(line, shouts)| scope.spawn(move || talk(line, shouts)));
        let own = talk(a, true);
        let [b, c] = others.map(|other| other.join().unwrap());
        [own, b, c]
    })
}

#[test]
fn callers_hear_one_another_and_not_themselves_until_they_are_muted_or_taken_out() {
    let scratch = tempfile::tempdir().unwrap();
    let mut agent = objects::offline_agent("");
    agent["limits"] = json!({ "caller_silence_ms": 86_400_000, "max_call_s": 86_400 });
    agent["sound"] = json!({ "denoiser": "off", "echo_gate": false });
    agent["recording"] = json!({ "enabled": false });
    let mut gateway =
        Gateway::standalone(scratch.path(), &objects::answering(&agent).unwrap(), Options::default()).unwrap();
    gateway.await_agents(1).unwrap();
    let mut calls: Vec<String> = Vec::new();
    let mut lines = [0x71, 0x72, 0x73].map(|seed| {
        let line = Line::open(gateway.sip(), "1000", seed).unwrap();
        let new = || {
            let all = gateway.calls().ok()?;
            let ids = all.iter().filter_map(|call| call["id"].as_str());
            ids.map(str::to_owned).find(|id| !calls.contains(id))
        };
        let call = wait::until("the call", Duration::from_secs(10), new).unwrap();
        calls.push(call);
        line
    });
    let [a, b, c] = [&calls[0], &calls[1], &calls[2]].map(String::as_str);

    let (code, said) = typed(&gateway, &["conference", "join", "no such name", a]);
    assert!(code == Some(1) && said.contains("400"), "{said}");
    for call in [a, b, c] {
        ok(&gateway, &["conference", "join", "monday", call]);
    }
    wait::until_true("all to be there", Duration::from_secs(10), || {
        let rooms = gateway.admin().unwrap().get("/v1/conferences").unwrap();
        rooms[0]["members"].as_array().is_some_and(|members| members.len() == 3)
    })
    .unwrap();
    let (_, listed) = typed(&gateway, &["conference", "list"]);
    assert!(calls.iter().all(|call| listed.contains(call.as_str())) && listed.contains("monday"), "{listed}");
    let [own, second, third] = confer(&mut lines);
    assert!(own == 0 && second > 8000 && third > 8000, "{own} {second} {third}");

    ok(&gateway, &["conference", "mute", a]);
    assert_eq!(confer(&mut lines), [0, 0, 0], "who is muted is not heard");
    ok(&gateway, &["conference", "unmute", a]);
    ok(&gateway, &["conference", "kick", c]);
    let [own, second, third] = confer(&mut lines);
    assert!(own == 0 && second > 8000 && third == 0, "{own} {second} {third}");
    assert_eq!(events(&gateway, c, "conference.left"), [json!({ "leg": 1, "room": "monday" })]);
    assert_eq!(events(&gateway, a, "conference.muted").len(), 2);

    let [first, second, third] = lines;
    second.hang_up().unwrap();
    first.hang_up().unwrap();
    wait::until_true("the conference to be over", Duration::from_secs(10), || {
        typed(&gateway, &["conference", "list"]).1.contains("no caller is in a conference")
    })
    .unwrap();
    third.hang_up().unwrap();
    gateway.stop().unwrap();
}
