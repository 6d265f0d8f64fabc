//! Sessions that tests speak for: what is taken of them and in which order, and what is settled after they are let go of.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use trunkline_api::agent::Redaction;
use trunkline_api::words::FinishReason;
use trunkline_leg::AgentEnd;
use trunkline_media::{LegHandle, MediaPlane};

use super::*;
use crate::rig::{self, Puppet};
use crate::session::pool::SidePool;

struct Rig {
    sessions: Sessions,
    _leg: (AgentEnd, LegHandle),
    _plane: MediaPlane,
    _pool: SidePool,
}

impl Rig {
    fn new() -> Self {
        let (plane, pool) = (rig::plane(1), SidePool::start(1).unwrap());
        let (place, leg) = rig::place(&plane, pool.queue());
        let sessions = Sessions::new(place, Redacting::new(&Redaction::default()));
        Self { sessions, _leg: leg, _plane: plane, _pool: pool }
    }

    /// Starts a request that a test speaks for.
    fn start(&mut self, kind: ProviderKind, number: u32) -> Arc<Mutex<Vec<Output>>> {
        let (puppet, says) = Puppet::new(used(100 + u64::from(number)));
        let session = Session::open(self.sessions.place(), false, |_| puppet.opener());
        self.sessions.start(kind, number, format!("provider-{number}"), session);
        says
    }

    /// Lets every session run once, and what was learned or used by then.
    fn all(&mut self) -> Vec<String> {
        for (_, session) in self.sessions.each() {
            // What a puppet has to say it says whenever it runs.
            session.push(crate::session::Input::Finalize);
        }
        self.sessions.serve(CallTime::ZERO);
        let taken = std::iter::from_fn(|| self.sessions.take().or_else(|| self.sessions.settle()));
        taken.map(|Taken { kind, provider, what }| format!("{} {provider} {}", kind.name(), told(what))).collect()
    }
}

fn used(plugin_us: u64) -> Units {
    Units { plugin_us, ..Units::default() }
}

fn told(what: What) -> String {
    match what {
        What::Used(units) => format!("used {}", units.plugin_us),
        What::Learned(Input::Llm { event: LlmEvent::Finished(_), .. }, true) => "works and is done".to_owned(),
        What::Learned(Input::Llm { event: LlmEvent::TextDelta(text), .. }, false) => text,
        What::Learned(Input::Tool { outcome, .. }, false) => outcome.output,
        What::Learned(input, _) => format!("{input:?}"),
    }
}

#[test]
fn a_request_that_is_done_is_let_go_of_and_what_it_used_is_settled_once() {
    let mut rig = Rig::new();
    let says = rig.start(ProviderKind::Llm, 1);
    says.lock().unwrap().extend([
        Output::Llm(LlmEvent::TextDelta("words".to_owned())),
        Output::Usage(used(7)),
        Output::Llm(LlmEvent::Finished(FinishReason::Stop)),
    ]);
    assert_eq!(
        rig.all(),
        [
            "llm provider-1 words",
            "llm provider-1 used 7",
            "llm provider-1 works and is done",
            "llm provider-1 used 101"
        ]
    );
    assert!(rig.sessions.is_settled() && rig.all().is_empty());
}

#[test]
fn what_is_cancelled_says_nothing_more_but_what_it_used() {
    let mut rig = Rig::new();
    let (first, second) = (rig.start(ProviderKind::Tool, 1), rig.start(ProviderKind::Llm, 1));
    rig.sessions.serve(CallTime::ZERO);
    first.lock().unwrap().push(Output::Failed { failure: trunkline_api::Failure::ToolFailed, detail: "no".to_owned() });
    second.lock().unwrap().push(Output::Llm(LlmEvent::TextDelta("too late".to_owned())));
    rig.sessions.cancel(ProviderKind::Llm, 1);
    rig.sessions.cancel(ProviderKind::Llm, 9);
    assert_eq!(rig.all(), ["tool provider-1 no", "llm provider-1 used 101", "tool provider-1 used 101"]);
    assert!(rig.sessions.is_settled());
}

#[test]
fn all_are_let_go_of_at_once() {
    let mut rig = Rig::new();
    let (_first, _second) = (rig.start(ProviderKind::Tool, 1), rig.start(ProviderKind::Llm, 2));
    assert_eq!(rig.all(), Vec::<String>::new());
    rig.sessions.close_all();
    assert_eq!(rig.all(), ["tool provider-1 used 101", "llm provider-2 used 102"]);
    assert_eq!(rig.sessions.each().count(), 0);
}

#[test]
fn a_session_that_has_something_is_due_now_and_one_with_a_turn_to_come_soon() {
    let mut rig = Rig::new();
    let says = rig.start(ProviderKind::Llm, 1);
    let (now, soon) = (CallTime(1_000), CallTime(6_000));
    assert_eq!(rig.sessions.due(now, soon), Some(soon), "it has yet to be opened");
    rig.sessions.serve(now);
    assert_eq!(rig.sessions.due(now, soon), None);
    says.lock().unwrap().push(Output::Usage(used(1)));
    rig.sessions.running[0].session.push(crate::session::Input::Finalize);
    rig.sessions.serve(now);
    assert_eq!(rig.sessions.due(now, soon), Some(now));
}

#[test]
fn the_call_hears_once_that_a_kind_of_sessions_waits_for_a_thread_and_once_that_it_does_no_more() {
    for kind in KINDS {
        let mut rig = Rig::new();
        let hold = rig::Hold::of(rig.sessions.place());
        let (puppet, _says) = Puppet::new(used(1));
        let session = Session::open(rig.sessions.place(), true, |_| puppet.opener());
        match kind {
            ProviderKind::Asr => rig.sessions.listening.open(1, "a".to_owned(), session, false, None),
            ProviderKind::Tts => rig.sessions.speaking.add_voice(0, "a".to_owned(), session),
            ProviderKind::Redactor => rig.sessions.redacting.work_elsewhere(session),
            ProviderKind::Llm | ProviderKind::Tool | ProviderKind::Realtime => {
                rig.sessions.start(kind, 1, "a".to_owned(), session);
            }
        }
        rig.sessions.serve(CallTime::ZERO);
        assert!(rig.sessions.waiting(CallTime(LATE_US - 1)).is_none());
        // The wait began with the first serve, a moment after the call; a minute later it is long.
        let late = CallTime(60_000_000);
        assert_eq!(rig.sessions.waiting(late), Some(Input::Behind { kind, behind: true }));
        assert_eq!(rig.sessions.waiting(late), None);
        drop(hold);
        rig::until("its turn", || rig.sessions.each().all(|(_, session)| session.waits_since_us().is_none()));
        assert_eq!(rig.sessions.waiting(late), Some(Input::Behind { kind, behind: false }));
    }
}

#[test]
fn a_session_of_the_side_pool_that_panics_fails_alone_and_its_thread_serves_on() {
    for kind in KINDS {
        let mut rig = Rig::new();
        let (puppet, fuse) = Puppet::fused();
        let session = Session::open(rig.sessions.place(), true, |_| puppet.opener());
        match kind {
            ProviderKind::Asr => rig.sessions.listening.open(1, "a".to_owned(), session, false, None),
            ProviderKind::Tts => rig.sessions.speaking.add_voice(0, "a".to_owned(), session),
            ProviderKind::Redactor => rig.sessions.redacting.work_elsewhere(session),
            ProviderKind::Llm | ProviderKind::Tool | ProviderKind::Realtime => {
                rig.sessions.start(kind, 1, "a".to_owned(), session)
            }
        }
        fuse.store(true, Ordering::Relaxed);
        rig.sessions.serve(CallTime(10));
        rig::until("the session to be over", || rig.sessions.each().all(|(_, session)| session.is_over()));
        let learned: Vec<_> = std::iter::from_fn(|| rig.sessions.take()).map(|taken| told(taken.what)).collect();
        let why = "a session failed inside the gateway; the log has the panic";
        match kind {
            ProviderKind::Asr | ProviderKind::Llm | ProviderKind::Tool | ProviderKind::Realtime => {
                assert!(learned.len() == 1 && learned[0].contains(why), "{kind:?}: {learned:?}");
            }
            // What it owes is overdue in a moment, and withheld; the next text gets another session.
            ProviderKind::Redactor => assert!(rig.sessions.redacting.session_elsewhere().is_none()),
            // It has nothing to say of an utterance that it was not given.
            ProviderKind::Tts => {}
        }
        // There is one thread.
        let (puppet, says) = Puppet::new(used(1));
        says.lock().unwrap().push(Output::Usage(used(7)));
        let session = Session::open(rig.sessions.place(), true, |_| puppet.opener());
        rig.sessions.start(ProviderKind::Llm, 9, "next".to_owned(), session);
        rig.sessions.serve(CallTime(20));
        let mut seen = Vec::new();
        rig::until("the next session", || {
            seen.extend(std::iter::from_fn(|| rig.sessions.take()).map(|taken| told(taken.what)));
            seen.contains(&"used 7".to_owned())
        });
    }
}

#[test]
fn a_session_that_is_slow_holds_one_thread_however_often_it_is_woken() {
    let (plane, pool) = (rig::plane(1), SidePool::start(2).unwrap());
    let (place, _leg) = rig::place(&plane, pool.queue());
    let hold = rig::Hold::of(&place);
    for _ in 0..8 {
        hold.wake(&place);
    }
    let (puppet, says) = Puppet::new(used(1));
    says.lock().unwrap().push(Output::Usage(used(7)));
    let session = Session::open(&place, true, |_| puppet.opener());
    session.serve(&place, 0);
    rig::until("the other session", || matches!(session.poll(), Some(Output::Usage(_))));
    drop(hold);
}

/// A session that has something to say for ever.
struct Talkative(Arc<Mutex<u64>>);

impl crate::session::seat::Body for Talkative {
    fn handle(&mut self, _: u64, _: crate::session::Input) {}

    fn hear(&mut self, _: u64, _: crate::session::Sound<'_>) {}

    fn wake(&mut self, _: u64) {}

    fn wants_step(&self) -> bool {
        true
    }

    fn poll(&mut self) -> Option<Output> {
        *self.0.lock().unwrap() += 1;
        Some(Output::Usage(used(1)))
    }

    fn timeout_us(&self) -> Option<u64> {
        None
    }

    fn is_over(&self) -> bool {
        false
    }
}

#[test]
fn a_session_whose_outputs_nobody_takes_is_asked_for_no_more_and_keeps_no_thread_busy() {
    let (plane, pool) = (rig::plane(1), SidePool::start(1).unwrap());
    let (place, _leg) = rig::place(&plane, pool.queue());
    let said = Arc::<Mutex<u64>>::default();
    let body = Talkative(Arc::clone(&said));
    let session = Session::open(&place, true, |_| Box::new(move |_| Ok(Box::new(body) as _)));
    session.serve(&place, 0);
    // The one thread of the pool has time for another once the first has said what there is room for.
    let mut seen = 0;
    for round in 1..=3 {
        let (puppet, says) = Puppet::new(used(1));
        says.lock().unwrap().push(Output::Usage(used(7)));
        let other = Session::open(&place, true, |_| puppet.opener());
        other.serve(&place, round);
        rig::until("the other session", || other.poll().is_some());
        let now = *said.lock().unwrap();
        assert!(round == 1 || now == seen, "it was asked again: {seen}, then {now}");
        seen = now;
    }
    assert!((1..=80).contains(&seen), "{seen}");
    assert!(session.poll().is_some());
}
