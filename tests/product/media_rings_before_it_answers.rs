//! A trunk whose calls ring first: the caller is told, hears a ring-back tone where the trunk asks for one, and the agent
//! comes when the call is answered, not before.

use serde_json::{Value, json};
use trunkline_tests::gateway::Gateway;
use trunkline_tests::line::{Line, shout, silence};
use trunkline_tests::{capture, echo, objects};

/// A gateway that lets every call ring as `ringing` says and then gives its sound back.
fn gateway(scratch: &std::path::Path, ringing: &Value) -> Gateway {
    let mut all: Value = toml::from_str(&objects::answering(&echo::agent()).unwrap()).unwrap();
    for object in all["object"].as_array_mut().into_iter().flatten() {
        if object["kind"] == "trunk" {
            object["body"]["ringing"] = ringing.clone();
        }
    }
    let options = echo::options(scratch, 4).unwrap();
    Gateway::standalone(scratch, &toml::to_string(&all).unwrap(), options).unwrap()
}

/// What waits on the line's socket: sequence numbers, and whether each packet is loud.
fn waiting(line: &Line) -> Vec<(u16, bool)> {
    let (mut buffer, mut packets) = ([0; 2048], Vec::new());
    while let Ok((length, _)) = line.rtp.recv_from(&mut buffer) {
        let loud = buffer[12..length].iter().any(|code| capture::from_ulaw(*code).unsigned_abs() > 4000);
        packets.push((u16::from_be_bytes([buffer[2], buffer[3]]), loud));
    }
    packets
}

#[test]
fn a_caller_hears_the_tone_before_the_answer_and_the_agent_after_it() {
    let scratch = tempfile::tempdir().unwrap();
    let gateway = gateway(scratch.path(), &json!({ "ms": 2000, "early_media": true }));
    let mut line = Line::open(gateway.sip(), "1000", 0x1a).unwrap();
    assert_eq!(line.provisional.iter().filter(|status| **status != 100).collect::<Vec<_>>(), [&183]);
    let before = waiting(&line);
    let loud = before.iter().filter(|(_, loud)| *loud).count();
    assert!((90..=110).contains(&before.len()), "two seconds of sound before the answer: {} packets", before.len());
    assert!((45..=51).contains(&loud), "a second of tone: {loud} packets");
    assert!(before.windows(2).all(|pair| pair[1].0 == pair[0].0.wrapping_add(1)), "one stream");
    let heard = line.talk(100, |frame| if frame > 50 { shout() } else { silence() }, |_, _| Ok(())).unwrap();
    let shouts = heard.iter().filter(|code| capture::from_ulaw(**code).unsigned_abs() > 12_000).count();
    assert!(shouts > 2000, "the agent gives back {shouts} loud samples, and no tone is left in it");
    line.hang_up().unwrap();
}

#[test]
fn without_early_media_nothing_is_heard_before_the_answer() {
    let scratch = tempfile::tempdir().unwrap();
    let gateway = gateway(scratch.path(), &json!({ "ms": 700 }));
    let mut line = Line::open(gateway.sip(), "1000", 0x1b).unwrap();
    assert_eq!(line.provisional.iter().filter(|status| **status != 100).collect::<Vec<_>>(), [&180]);
    assert!(waiting(&line).len() < 10, "sound begins with the answer");
    let heard = line.talk(100, |frame| if frame > 50 { shout() } else { silence() }, |_, _| Ok(())).unwrap();
    assert!(heard.iter().filter(|code| capture::from_ulaw(**code).unsigned_abs() > 12_000).count() > 2000);
    line.hang_up().unwrap();
}
