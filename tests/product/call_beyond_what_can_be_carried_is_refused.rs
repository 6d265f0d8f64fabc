//! A gateway that is offered three times the calls it can carry refuses what is too much, by name and with a time to come
//! again, and whoever is answered notices nothing: every conversation goes to its end, and no provider is said to have
//! failed because the host was busy.

use std::net::UdpSocket;
use std::time::Duration;

use serde_json::{Value, json};
use trunkline_caller::Happened;
use trunkline_tests::caller::{Caller, script};
use trunkline_tests::gateway::{Gateway, Options};
use trunkline_tests::{objects, wait};

/// Conversations by which the gateway learns what one costs.
const FIRST: usize = 6;
/// What callers say, in turn; each word is answered.
const WORDS: [&str; 6] = ["yes", "no", "operator", "help", "repeat", "yes"];
/// How long it takes until all callers have called.
const WITHIN: Duration = Duration::from_secs(20);
/// Failures that nobody may have had.
const NONE_OF: [&str; 7] = [
    "asr_timeout",
    "asr_unavailable",
    "llm_timeout",
    "tts_timeout",
    "tts_zero_bytes",
    "providers_exhausted",
    "internal",
];

/// One series of the metrics page.
fn metric(gateway: &Gateway, series: &str) -> u64 {
    let page = gateway.metrics().unwrap();
    let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')).map(str::to_owned);
    line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {series} in\n{page}"))
}

/// Says its words one after the other, each once the agent has answered the one before.
fn conversation() -> Value {
    let say = WORDS.iter().flat_map(|word| [json!({ "say": { "text": word } }), json!({ "wait_for_agent": {} })]);
    let steps: Vec<Value> = std::iter::once(json!({ "wait_for_agent": {} })).chain(say).collect();
    json!({ "steps": steps })
}

/// Calls that are offered evenly within a time; how many went to their end and how many were refused.
fn offer(gateway: &Gateway, callers: usize, within: Duration, first_seed: u64) -> (usize, usize) {
    let script = script(&conversation()).unwrap();
    let calls: Vec<Caller> = (0..callers)
        .map(|n| {
            let caller = Caller::call(gateway.sip(), "1000", first_seed + n as u64, script.clone()).unwrap();
            // What is offered is a rate; nothing is waited for here.
            std::thread::sleep(within / u32::try_from(callers).unwrap());
            caller
        })
        .collect();
    let (mut whole, mut refused) = (0, 0);
    for call in calls {
        let events: Vec<Happened> = call.finish().unwrap().events.into_iter().map(|event| event.what).collect();
        if let Some(Happened::Refused { status, .. }) =
            events.iter().find(|event| matches!(event, Happened::Refused { .. }))
        {
            assert_eq!(*status, 503, "{events:?}");
            refused += 1;
            continue;
        }
        let said = events.iter().filter(|event| matches!(event, Happened::SayEnded { .. })).count();
        let in_vain = events.iter().any(|event| matches!(event, Happened::StepTimedOut { .. }));
        assert!(said == WORDS.len() && !in_vain, "a conversation that broke off: {events:?}");
        whole += 1;
    }
    (whole, refused)
}

/// The refusal of a call that comes while the gateway is full.
fn refusal(gateway: &Gateway) -> String {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let (target, local) = (gateway.sip().to_string(), socket.local_addr().unwrap().to_string());
    let sdp = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n";
    let mut buffer = [0; 65_536];
    let mut number = 0;
    wait::until("a refusal", Duration::from_secs(60), || {
        number += 1;
        let invite = format!(
            "INVITE sip:1000@{target} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bK{number};rport\r\nMax-Forwards: \
             70\r\nFrom: <sip:late@{local}>;tag=f{number}\r\nTo: <sip:1000@{target}>\r\nCall-ID: late-{number}@{local}\r\n\
             CSeq: 1 INVITE\r\nContact: <sip:late@{local}>\r\nContent-Type: application/sdp\r\nContent-Length: \
             {}\r\n\r\n{sdp}",
            sdp.len()
        );
        socket.send_to(invite.as_bytes(), &target).unwrap();
        while let Ok((length, _)) = socket.recv_from(&mut buffer) {
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if text.starts_with("SIP/2.0 503 ") {
                return Some(text);
            }
        }
        None
    })
    .unwrap()
}

#[test]
#[ignore = "slow: hundreds of conversations, a minute"]
fn whoever_is_answered_is_served_to_the_end() {
    let scratch = tempfile::tempdir().unwrap();
    let mut agent = objects::offline_agent("Yes?");
    agent["recording"]["enabled"] = json!(false);
    let options = Options::default()
        .with("TRUNKLINE_ADMISSION__BUSY_PERCENT", "75")
        .with("TRUNKLINE_ADMISSION__LATE_MS", "250")
        .with("TRUNKLINE_MEDIA__HEAVY_WORKERS", "1")
        .with("TRUNKLINE_LIMITS__MAX_CALLS", "2000");
    let mut gateway = Gateway::standalone(scratch.path(), &objects::answering(&agent).unwrap(), options).unwrap();
    gateway.await_agents(1).unwrap();

    assert_eq!(offer(&gateway, FIRST, Duration::from_secs(4), 1), (FIRST, 0), "callers the gateway has room for");
    let session_ppm = metric(&gateway, "trunkline_load_cost_ppm{part=\"side_pool\"}");
    // A call has a recogniser and a synthesiser.
    let carries = usize::try_from(1_000_000 / (2 * session_ppm)).unwrap();
    println!("a session costs {session_ppm} ppm of the side pool's thread: it carries {carries} calls");

    let (whole, refused) = std::thread::scope(|scope| {
        let offered = scope.spawn(|| offer(&gateway, 3 * carries, WITHIN, 1000));
        wait::until_true("calls to be refused", 3 * WITHIN, || {
            metric(&gateway, "trunkline_load_refused{part=\"side_pool\"}") > 0
        })
        .unwrap();
        let refusal = refusal(&gateway);
        let after = refusal.lines().find_map(|line| line.strip_prefix("Retry-After: ")).unwrap().trim().parse::<u32>();
        assert!((3..=120).contains(&after.unwrap()) && refusal.contains("gateway_overloaded"), "{refusal}");
        offered.join().unwrap()
    });
    let failures: Vec<(&str, u64)> = NONE_OF
        .map(|name| (name, metric(&gateway, &format!("trunkline_failures{{failure=\"{name}\"}}"))))
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .collect();
    println!("of {} calls {whole} went to their end and {refused} were refused", whole + refused);
    assert_eq!(failures, []);
    assert!(refused > whole / 2 && whole * 3 > carries, "{whole} of {carries}");
    gateway.stop().unwrap();
}
