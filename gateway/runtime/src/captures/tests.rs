//! Orders take the calls they say, files are sealed or refused, and a disk that hangs costs the capture and nothing else.

use std::sync::atomic::AtomicU32;

use trunkline_call::Input;
use trunkline_call::tape::{Ending, MAX_LINE, Tape as _, read, replay};
use trunkline_leg::{Anchor, CallTime, EndCause, LegFact, LegId};
use trunkline_recording::{Disk, Opener, SecretKey, Track};

use super::*;
use crate::rig::until;

fn setup(n: u8) -> CallSetup {
    let id = |prefix| Id::mint(prefix, 1, [n; 10]);
    let spec = serde_json::json!({
        "name": "captured", "pipeline": { "cascade": { "tts": [{ "provider": "none" }] } }, "greeting": "Hello there.",
    });
    CallSetup {
        call: id(Prefix::Call),
        tenant: id(Prefix::Tenant),
        agent: id(Prefix::Agent),
        agent_version: 1,
        spec: Arc::new(serde_json::from_value(spec).unwrap()),
        tools: Vec::new(),
        others: Default::default(),
        trunk: None,
        gateway: None,
        direction: trunkline_api::usage::CallDirection::Inbound,
        from: format!("49{n}"),
        to: "1000".to_owned(),
        variables: Default::default(),
        anchor: Anchor { wall_us: 0, call_us: 0 },
        seed: 1,
        codec: "PCMU".to_owned(),
        sip_call_id: None,
    }
}

fn order() -> CaptureOrder {
    CaptureOrder { calls: 1, for_s: 60, ..CaptureOrder::default() }
}

fn lives(mut call: Taped) {
    call.handle(CallTime::ZERO, Input::Answered);
    let at = CallTime::from_ms(5);
    call.handle(at, Input::Leg { leg: LegId::FIRST, fact: LegFact::Ended { cause: EndCause::RemoteHangUp, at } });
    assert!(call.is_over() || call.poll_event().is_some());
}

fn settled(captures: &Captures) -> Vec<CaptureState> {
    let mut found = Vec::new();
    until("the captures to be written", || {
        found = captures.states().unwrap().captures;
        !found.is_empty() && found.iter().all(|capture| !capture.running)
    });
    found
}

#[test]
fn an_order_takes_the_next_call_that_fits_and_seals_it() {
    let state = tempfile::tempdir().unwrap();
    let captures = Captures::new(state.path());
    let (secret, serving) = (SecretKey::generate().unwrap(), Serving::default());
    let key = secret.public();
    lives(captures.call(setup(1), &serving, Some(&key)));
    assert!(captures.states().unwrap().captures.is_empty() && !state.path().join("captures").exists());

    captures.order(CaptureOrder { from: Some("492*".to_owned()), ..order() }, true).unwrap();
    lives(captures.call(setup(1), &serving, Some(&key)));
    lives(captures.call(setup(2), &serving, None));
    assert_eq!(captures.states().unwrap().rules[0].missed, 1, "its tenant has no key");
    lives(captures.call(setup(2), &serving, Some(&key)));
    lives(captures.call(setup(22), &serving, Some(&key)));
    let found = settled(&captures);
    assert_eq!(found.len(), 1, "the order wanted one: {found:?}");
    assert!(found[0].sealed && found[0].call == setup(2).call.to_string());
    assert!(captures.states().unwrap().rules.is_empty());

    let file = std::fs::read(captures.file(&setup(2).call).unwrap()).unwrap();
    assert!(!file.windows(5).any(|window| window == b"Hello"), "nothing is in clear");
    let mut opener = Opener::begin(&file[..], &secret).unwrap();
    let mut plain = Vec::new();
    while let Some(record) = opener.next_record().unwrap() {
        plain.extend_from_slice(record);
    }
    let log = read(&plain).unwrap();
    assert!(matches!(&log.ending, Ending::Whole(end) if end.why == "over"));
    let outcome = replay(&log, None, &mut |_| {});
    assert_eq!((outcome.inputs, outcome.divergence), (2, None));
}

#[test]
fn nothing_lies_in_clear_unless_it_was_asked_for() {
    use std::os::unix::fs::MetadataExt as _;
    let state = tempfile::tempdir().unwrap();
    let captures = Captures::new(state.path());
    assert!(matches!(captures.order(order(), false), Err(CaptureRefused::NoKey)));
    assert!(matches!(captures.order(CaptureOrder { calls: 0, ..order() }, true), Err(CaptureRefused::Range)));
    captures.order(CaptureOrder { clear: true, ..order() }, false).unwrap();
    lives(captures.call(setup(1), &Serving::default(), None));
    assert!(!settled(&captures)[0].sealed);
    let path = captures.file(&setup(1).call).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    assert_eq!(std::fs::metadata(path.parent().unwrap()).unwrap().mode() & 0o777, 0o700);
    assert_eq!(read(&std::fs::read(path).unwrap()).unwrap().inputs().count(), 2);
}

#[test]
fn a_capture_that_is_stopped_says_so_and_its_call_goes_on() {
    let state = tempfile::tempdir().unwrap();
    let captures = Captures::new(state.path());
    captures.order(CaptureOrder { clear: true, calls: 2, ..order() }, false).unwrap();
    let mut call = captures.call(setup(1), &Serving::default(), None);
    call.handle(CallTime::ZERO, Input::Answered);
    assert_eq!(captures.stop(), (1, 1));
    lives(call);
    settled(&captures);
    let log = read(&std::fs::read(captures.file(&setup(1).call).unwrap()).unwrap()).unwrap();
    assert!(matches!(&log.ending, Ending::Whole(end) if end.why == "stopped"));
    assert_eq!((log.inputs().count(), replay(&log, None, &mut |_| {}).divergence), (1, None));
}

/// A disk that takes nothing until it is let.
#[derive(Debug, Default)]
struct Stuck {
    writes: AtomicU32,
    free: Arc<AtomicBool>,
}

impl Disk for Stuck {
    fn create(&self, _: &Path) -> io::Result<Box<dyn Track>> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        while !self.free.load(Ordering::Relaxed) {
            std::thread::park_timeout(Duration::from_millis(1));
        }
        Ok(Box::new(Nowhere))
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        Ok(u64::MAX)
    }
}

struct Nowhere;

impl Track for Nowhere {
    fn append(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn overwrite_head(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn complete(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_disk_that_hangs_ends_the_capture_and_holds_nobody_up() {
    let disk = Arc::new(Stuck::default());
    let writer = Writer::over(Arc::clone(&disk) as Arc<dyn Disk>, Box::new(|| 1)).unwrap();
    let spool = Arc::new(Spool::new(setup(1).call, None));
    writer.add(Arc::clone(&spool));
    let mut tape = CallTape(Arc::clone(&spool));
    assert!(tape.write("first"));
    until("the writer to wait for the disk", || disk.writes.load(Ordering::Relaxed) > 0);
    let line = "x".repeat(MAX_LINE / 4);
    let taken = (0..100).take_while(|_| tape.write(&line)).count();
    assert_eq!(taken, 7, "as much as may wait");
    assert!(!tape.write("nothing follows"));
    disk.free.store(true, Ordering::Relaxed);
    drop(tape);
    until("the capture to be let go of", || writer.running() == 0);
}
