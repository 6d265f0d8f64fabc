//! Whole calls on virtual time against an answering side that is written out here.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use proptest::prelude::*;
use std::net::SocketAddr;
use trunkline_caller::{Call, CallConfig, Event, Happened, HungUpBy, Message, Step, Transmit, Utterance};

const AGENT_RTP: &str = "127.0.0.1:30000";

/// A call, its clock, and everything it sent and reported.
struct World {
    call: Call,
    now: u64,
    sip: Vec<(u64, Message)>,
    rtp: Vec<(u64, Vec<u8>)>,
    events: Vec<Event>,
    agent_sequence: u16,
}

impl World {
    fn new(steps: Vec<Step>) -> Self {
        Self::with(steps, None)
    }

    fn with(steps: Vec<Step>, cancel_after_ms: Option<u64>) -> Self {
        let config = CallConfig {
            target: "sip:100@127.0.0.1:5060".to_owned(),
            from: "sip:200@127.0.0.1".to_owned(),
            local_sip: "127.0.0.1:40000".parse().unwrap(),
            local_rtp: "127.0.0.1:40002".parse().unwrap(),
            seed: 0x1234_5678_9abc_def1,
            headers: vec![("X-Test".to_owned(), "1".to_owned())],
            cancel_after_ms,
            steps,
        };
        let mut world =
            Self { call: Call::new(0, config), now: 0, sip: vec![], rtp: vec![], events: vec![], agent_sequence: 0 };
        world.collect();
        world
    }

    fn collect(&mut self) {
        while let Some(transmit) = self.call.poll_transmit() {
            match transmit {
                Transmit::Sip(bytes) => self.sip.push((self.now, Message::parse(&bytes).unwrap())),
                Transmit::Rtp(to, bytes) => {
                    assert_eq!(to, AGENT_RTP.parse::<SocketAddr>().unwrap());
                    self.rtp.push((self.now, bytes));
                }
            }
        }
        while let Some(event) = self.call.poll_event() {
            self.events.push(event);
        }
    }

    fn run_to(&mut self, ms: u64) {
        let end = ms * 1000;
        while let Some(due) = self.call.poll_timeout().filter(|&due| due <= end) {
            self.now = due.max(self.now);
            self.call.handle_timeout(self.now);
            self.collect();
        }
        self.now = end;
    }

    fn receive(&mut self, message: &Message) {
        self.call.handle_sip(self.now, &message.to_bytes());
        self.collect();
    }

    fn invite(&self) -> Message {
        self.sip[0].1.clone()
    }

    fn last(&self, method: &str) -> &Message {
        &self.sip.iter().rev().find(|(_, m)| m.method() == Some(method)).unwrap().1
    }

    fn count(&self, method: &str) -> usize {
        self.sip.iter().filter(|(_, m)| m.method() == Some(method)).count()
    }

    /// A response to the INVITE as the agent gives it.
    fn respond(&mut self, status: u16) {
        let mut response = Message::response(&self.invite(), status, "X");
        for (name, value) in &mut response.headers {
            if name == "To" {
                value.push_str(";tag=agent");
            }
        }
        if status == 200 {
            let sdp = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
                       m=audio 30000 RTP/AVP 0 96\r\na=rtpmap:96 telephone-event/8000\r\n";
            response = response
                .with("Contact", "<sip:agent@127.0.0.1:5070>")
                .with("Record-Route", "<sip:a;lr>")
                .with("Record-Route", "<sip:b;lr>")
                .with_body("application/sdp", sdp.into());
        }
        self.receive(&response);
    }

    /// A request of the agent's inside the dialog.
    fn request(&mut self, method: &str) {
        let (ours, theirs) = (self.invite(), self.last("ACK").clone());
        let mut request = Message::parse(format!("{method} sip:x SIP/2.0\r\n\r\n").as_bytes()).unwrap();
        request = request
            .with("Via", "SIP/2.0/UDP h;branch=z9hG4bKx")
            .with("From", theirs.header("To").unwrap())
            .with("To", ours.header("From").unwrap())
            .with("Call-ID", ours.header("Call-ID").unwrap())
            .with("CSeq", format!("1 {method}"));
        self.receive(&request);
    }

    /// The agent sends packets every 20 ms until `ms`, speech or silence.
    fn agent(&mut self, ms: u64, speaking: bool) {
        while self.now < ms * 1000 {
            let next = self.now / 1000 + 20;
            self.run_to(next);
            self.agent_sequence += 1;
            let mut packet = vec![0x80, 0];
            packet.extend(self.agent_sequence.to_be_bytes());
            packet.extend((u32::from(self.agent_sequence) * 160).to_be_bytes());
            packet.extend([0, 0, 0, 9]);
            packet.extend([if speaking { 0x10 } else { 0xff }; 160]);
            self.call.handle_rtp(self.now, &packet);
            self.collect();
        }
    }

    fn happened(&self, wanted: impl Fn(&Happened) -> bool) -> Option<u64> {
        self.events.iter().find(|e| wanted(&e.what)).map(|e| e.at_ms)
    }
}

fn words(text: &str, ms: usize) -> Utterance {
    Utterance { text: text.to_owned(), pcm: vec![5000; ms * 8], ..Utterance::default() }
}

const fn is_loud(packet: &[u8]) -> bool {
    packet.len() == 172 && packet[1] & 0x7f == 0 && packet[12] != 0xff
}

#[test]
fn a_call_is_answered_listened_to_spoken_into_and_hung_up() {
    let wait = Step::WaitForAgent { quiet_ms: 500, timeout_ms: 10_000 };
    let mut w = World::new(vec![wait, Step::Say(words("yes", 400)), Step::HangUp {}]);
    assert_eq!(w.invite().header("X-Test"), Some("1"));
    w.respond(100);
    w.respond(180);
    w.run_to(1000);
    w.respond(200);
    let ack = w.last("ACK").clone();
    assert!(ack.header("To").unwrap().ends_with(";tag=agent"));
    assert_eq!(ack.all("Route").collect::<Vec<_>>(), ["<sip:b;lr>", "<sip:a;lr>"]);
    w.agent(2000, true);
    w.agent(4000, false);
    let said = w.happened(|e| matches!(e, Happened::SayStarted { text } if text == "yes")).unwrap();
    assert!((2480..2560).contains(&said), "{said}");
    let loud: Vec<u64> = w.rtp.iter().filter(|(_, p)| is_loud(p)).map(|(at, _)| *at).collect();
    assert_eq!(loud.len(), 20);
    assert!(w.rtp.windows(2).all(|p| p[1].0 - p[0].0 == 20_000), "one packet every 20 ms");
    let bye = w.last("BYE").clone();
    assert_eq!(bye.cseq(), Some((2, "BYE")));
    w.receive(&Message::response(&bye, 200, "OK"));
    assert!(w.call.is_over());
    assert!(w.happened(|e| *e == Happened::HungUp { by: HungUpBy::Caller }).is_some());
    let stopped = w.events.iter().find_map(|e| match e.what {
        Happened::AgentStopped { from_ms, to_ms } => Some((from_ms, to_ms)),
        _ => None,
    });
    assert_eq!(stopped, Some((1020, 2020)));
    assert!(matches!(w.events.last().unwrap().what, Happened::Media { lost: 0, longest_gap_ms: 20, .. }));
    let (caller, agent) = w.call.into_recording();
    assert_eq!(caller.len(), agent.len());
    assert_eq!(caller.iter().filter(|&&s| s == 5000).count(), 3200);
    assert!(agent[8000 / 50..8000].iter().all(|&s| s != 0));
}

#[test]
fn the_agent_may_hang_up() {
    let mut w = World::new(vec![Step::WaitForHangUp { timeout_ms: 5000 }]);
    w.respond(200);
    w.run_to(300);
    w.request("BYE");
    assert_eq!(w.sip.last().unwrap().1.status(), Some(200));
    assert!(w.happened(|e| *e == Happened::HungUp { by: HungUpBy::Agent }).is_some());
    assert_eq!(w.count("BYE"), 0);
    assert!(w.call.is_over());
}

#[test]
fn a_refusal_is_acknowledged_in_its_own_transaction() {
    let mut w = World::new(vec![]);
    w.respond(486);
    let ack = w.last("ACK").clone();
    assert_eq!(ack.header("Via"), w.invite().header("Via"));
    assert!(ack.header("To").unwrap().ends_with(";tag=agent"));
    assert!(matches!(w.events.last().unwrap().what, Happened::Refused { status: 486, .. }));
    assert!(w.call.is_over());
}

#[test]
fn an_invite_nobody_answers_is_repeated_and_given_up() {
    let mut w = World::new(vec![]);
    w.run_to(40_000);
    assert_eq!(w.count("INVITE"), 7);
    assert_eq!(w.happened(|e| *e == Happened::NoAnswer), Some(32_000));
    assert!(w.call.is_over());
}

#[test]
fn a_copy_of_the_answer_is_acknowledged_again() {
    let mut w = World::new(vec![Step::Pause { ms: 5000 }]);
    w.respond(200);
    w.run_to(500);
    w.respond(200);
    assert_eq!(w.count("ACK"), 2);
    assert_eq!(w.events.iter().filter(|e| e.what == Happened::Answered).count(), 1);
}

#[test]
fn a_cancelled_call_ends_with_487_and_an_answer_that_crosses_the_cancel_is_hung_up() {
    let mut w = World::with(vec![], Some(700));
    w.respond(180);
    w.run_to(800);
    let cancel = w.last("CANCEL").clone();
    assert_eq!(cancel.header("Via"), w.invite().header("Via"));
    assert_eq!(cancel.header("To"), w.invite().header("To"));
    assert_eq!(cancel.cseq(), Some((1, "CANCEL")));
    w.receive(&Message::response(&cancel, 200, "OK"));
    w.respond(487);
    assert_eq!(w.events.last().unwrap().what, Happened::Cancelled);
    assert!(w.call.is_over());

    let mut w = World::with(vec![Step::Pause { ms: 60_000 }], Some(700));
    w.respond(180);
    w.run_to(800);
    w.respond(200);
    assert_eq!((w.count("ACK"), w.count("BYE")), (1, 1));
}

#[test]
fn an_interruption_starts_while_the_agent_speaks_and_its_last_words_are_no_reply() {
    let mut w = World::new(vec![
        Step::Interrupt { after_ms: 800, say: words("stop", 300), timeout_ms: 5000 },
        Step::WaitForAgent { quiet_ms: 300, timeout_ms: 9000 },
        Step::Say(words("thanks", 100)),
    ]);
    w.respond(200);
    w.agent(1000, true);
    let interrupted = w.happened(|e| matches!(e, Happened::Interrupted { .. })).unwrap();
    assert!((820..=860).contains(&interrupted), "{interrupted}");
    // The agent falls silent, and answers a second later.
    w.agent(2500, false);
    let thanked = |e: &Happened| matches!(e, Happened::SayStarted { text } if text == "thanks");
    assert_eq!(w.happened(thanked), None);
    w.agent(3000, true);
    w.agent(4000, false);
    assert!((3280..3360).contains(&w.happened(thanked).unwrap()));
}

#[test]
fn keys_use_the_payload_type_of_the_answer_and_audio_goes_on_afterwards() {
    let mut w = World::new(vec![Step::Dtmf { key: '5', duration_ms: 100 }, Step::Pause { ms: 200 }]);
    w.respond(200);
    w.run_to(500);
    let kinds: Vec<u8> = w.rtp.iter().map(|(_, p)| p[1] & 0x7f).collect();
    assert_eq!(kinds.iter().filter(|&&k| k == 96).count(), 7);
    assert_eq!(kinds.last(), Some(&0));
    assert!(w.happened(|e| *e == Happened::KeySent { key: '5' }).is_some());
    assert_eq!(w.count("BYE"), 1, "after its last step the caller hangs up");
}

#[test]
fn a_wait_in_vain_is_reported_and_ends_the_call() {
    let mut w = World::new(vec![Step::Pause { ms: 100 }, Step::WaitForAgent { quiet_ms: 300, timeout_ms: 1000 }]);
    w.respond(200);
    w.run_to(3000);
    let step = w.events.iter().find_map(|e| match &e.what {
        Happened::StepTimedOut { step, waiting_for } => Some((*step, waiting_for.clone())),
        _ => None,
    });
    let (index, waiting_for) = step.unwrap();
    assert_eq!(index, 1);
    assert!(waiting_for.contains("agent"), "{waiting_for}");
    assert!(w.count("BYE") >= 1);
}

#[test]
fn a_clock_that_was_held_up_skips_instead_of_sending_a_burst() {
    let mut w = World::new(vec![Step::Pause { ms: 60_000 }]);
    w.respond(200);
    w.run_to(100);
    let before = w.rtp.len();
    w.now = 2_000_000;
    w.call.handle_timeout(w.now);
    w.collect();
    assert_eq!(w.rtp.len(), before + 1);
}

#[test]
fn requests_outside_the_dialog_and_unknown_methods_are_refused() {
    let mut w = World::new(vec![Step::Pause { ms: 60_000 }]);
    w.respond(200);
    w.request("INFO");
    assert_eq!(w.sip.last().unwrap().1.status(), Some(501));
    w.request("INVITE");
    assert_eq!(w.sip.last().unwrap().1.status(), Some(488));
    w.request("OPTIONS");
    assert_eq!(w.sip.last().unwrap().1.status(), Some(200));
    let mut foreign = Message::parse(
        b"BYE sip:x SIP/2.0\r\nVia: v\r\nFrom: <sip:a>;tag=1\r\nTo: <sip:b>;tag=2\r\nCSeq: 1 BYE\r\n\r\n",
    )
    .unwrap();
    foreign = foreign.with("Call-ID", w.invite().header("Call-ID").unwrap());
    w.receive(&foreign);
    assert_eq!(w.sip.last().unwrap().1.status(), Some(481));
    assert!(!w.call.is_over());
}

proptest! {
    #[test]
    fn no_datagram_at_any_time_makes_the_caller_panic(
        junk in prop::collection::vec((any::<bool>(), 0_u64..2000, prop::collection::vec(any::<u8>(), 0..80)), 0..20),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
    ) {
        let mut w = World::new(vec![Step::WaitForAgent { quiet_ms: 100, timeout_ms: 500 }, Step::Say(words("a", 60))]);
        let mut answer = Message::response(&w.invite(), 200, "OK").to_bytes();
        for (at, byte) in flips {
            let at = at.index(answer.len());
            answer[at] = byte;
        }
        w.call.handle_sip(0, &answer);
        while w.call.poll_transmit().is_some() {}
        w.respond(200);
        for (sip, later, bytes) in junk {
            let at = w.now / 1000 + later;
            w.run_to(at);
            if sip { w.call.handle_sip(w.now, &bytes) } else { w.call.handle_rtp(w.now, &bytes) }
            w.collect();
        }
    }
}
