//! Hundreds of malformed RTP and RTCP packets at a call's own ports, from its own address, leave the call up and its
//! sound flowing.

use std::net::UdpSocket;
use std::time::Duration;

use serde_json::json;
use trunkline_caller::Happened;
use trunkline_tests::caller::{Caller, media, script};
use trunkline_tests::gateway::{Gateway, Options};
use trunkline_tests::mutate::Seeded;
use trunkline_tests::{objects, ports};

const PACKETS: usize = 800;

#[test]
fn the_call_goes_on() {
    let scratch = tempfile::tempdir().unwrap();
    let greeting =
        "Good morning. This is a rather long greeting, so that there is sound on the line while rubbish comes in.";
    let objects = objects::answering(&objects::offline_agent(greeting)).unwrap();
    let rtp_port = ports::free_range(2).unwrap();
    let rtcp_port = rtp_port + 1;
    let one_pair = Options::default()
        .with("TRUNKLINE_RTP__PORT_MIN", &rtp_port.to_string())
        .with("TRUNKLINE_RTP__PORT_MAX", &rtcp_port.to_string());
    let mut gateway = Gateway::standalone(scratch.path(), &objects, one_pair).unwrap();
    let steps = script(
        &json!({ "steps": [{ "wait_for_agent": { "quiet_ms": 700 } }, { "say": { "text": "goodbye" } }, { "wait_for_hang_up": {} }] }),
    );
    let mut caller = Caller::call(gateway.sip(), "1000", 1, steps.unwrap()).unwrap();
    caller.await_answer().unwrap();
    caller.await_event("sound", Duration::from_secs(10), |what| matches!(what, Happened::AgentStarted)).unwrap();

    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut rtp = vec![0x80, 0x00, 0x12, 0x34, 0, 0, 0, 160, 1, 2, 3, 4];
    rtp.extend([0xff; 160]);
    let rtcp = [0x80, 200, 0, 6, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 160];
    let mut seeded = Seeded::new(3550);
    for number in 0..PACKETS {
        let (message, port) = if number % 3 == 0 { (&rtcp[..], rtcp_port) } else { (&rtp[..], rtp_port) };
        socket.send_to(&seeded.damaged(message), ("127.0.0.1", port)).unwrap();
    }

    let report = caller.finish().unwrap();
    let hung_up = report.events.iter().any(|event| matches!(event.what, Happened::HungUp { .. }));
    let (_, received, lost, gap_ms) = media(&report).unwrap();
    assert!(hung_up && received > 100 && lost == 0, "{:?}", report.events);
    assert!(gap_ms < 500, "a gap of {gap_ms} ms");
    assert!(gateway.process().is_running() && !gateway.process().log().contains("panicked"));
}
