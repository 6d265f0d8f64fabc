//! Callers who are verified before their calls begin: what is found reaches routes and agents or refuses the call, and who
//! waits for a certificate holds up nobody and is let go in time.

#[path = "../../../../sip/tests/support/signer.rs"]
mod signer;

use std::sync::Mutex;

use trunkline_sip::stir::Material;

use super::*;
use signer::{Authority, Signer};

const URL: &str = "https://certificates.example/cert.pem";
const CALLER: &str = "12155551212";
const PATIENCE: Duration = Duration::from_secs(2);

/// Answers when the test does.
#[derive(Default)]
struct Fetcher(Mutex<Vec<(String, FetchAnswer)>>);

impl CertificateFetcher for Fetcher {
    fn fetch(&self, url: &str, answer: FetchAnswer) {
        self.0.lock().unwrap().push((url.to_owned(), answer));
    }
}

struct Proofs {
    rig: Rig,
    signer: Signer,
    fetcher: Arc<Fetcher>,
}

impl Proofs {
    /// A trunk with this policy, and an authority none of whose certificates is laid down.
    fn new(plane: &MediaPlane, stir: &str, trusted: bool) -> Self {
        let authority = Authority::new("Root");
        let material = Material::read(("roots.pem", authority.pem.as_bytes()), &[]).unwrap();
        let fetcher = Arc::new(Fetcher::default());
        let trunk =
            json!({ "name": "rig", "peers": ["127.0.0.1"], "codecs": ["PCMU"], "stir": stir, "trusted": trusted });
        let mut rig = Rig::over(plane, room(MOST), trunk);
        rig.intake = rig.intake.proving(Some(CallerProof {
            material: Arc::new(arc_swap::ArcSwap::from_pointee(material)),
            freshness_s: 60,
            fetcher: Some(Arc::clone(&fetcher) as _),
            patience: PATIENCE,
        }));
        Self { signer: authority.signer(URL), fetcher, rig }
    }

    /// A call, signed or not, with From as it is written.
    fn call(&mut self, identity: Option<String>, from: &str) -> usize {
        let key = self.rig.lines.len();
        let line = FakeLine::new(&name(key), &self.rig.store);
        let headers = identity.map(|identity| ("Identity".to_owned(), identity)).into_iter().collect();
        let call = Invite { from: from.to_owned(), headers, ..invite(key as u64, &line) };
        self.rig.intake.invite(call);
        self.rig.lines.push(line);
        key
    }

    /// A call that is signed now.
    fn signed(&mut self) -> usize {
        let identity = self.signer.shaken('A', CALLER, "1000", wall_us() / 1_000_000);
        self.call(Some(identity), &format!("<sip:+{CALLER}@a>;tag=1"))
    }

    fn unsigned(&mut self) -> usize {
        self.call(None, &format!("<sip:+{CALLER};verstat=TN-Validation-Passed@a>;tag=1"))
    }

    /// Certificates that were asked for, answered.
    fn answer(&self, fetched: Result<Vec<u8>, String>) -> Vec<String> {
        let asked = std::mem::take(&mut *self.fetcher.0.lock().unwrap());
        let asked = asked.into_iter().map(|(url, answer)| {
            answer.give(fetched.clone());
            url
        });
        asked.collect()
    }

    fn waits(&mut self) -> bool {
        self.rig.settle();
        self.rig.store.opening.lock().unwrap().is_empty()
    }

    /// What an agent is told of who calls, once the call is up.
    fn told(&mut self, key: usize) -> Vec<String> {
        self.rig.settle();
        self.rig.store.write(&name(key), true);
        self.rig.settle();
        assert_eq!(self.rig.told(key), [Told::Accept]);
        let variables = &self.rig.begun[&name(key)].setup.variables;
        let told = ["sip_verstat", "sip_attest"].into_iter().filter_map(|name| variables.get(name).cloned());
        told.collect()
    }

    fn counted(&self, result: &str) -> u64 {
        self.rig.shared.counters.proofs().find(|(name, _)| *name == result).unwrap().1
    }
}

#[test]
fn a_call_waits_for_its_certificate_once_and_others_go_on_meanwhile() {
    let plane = plane(16);
    let mut proofs = Proofs::new(&plane, "note", false);
    let (first, second) = (proofs.signed(), proofs.signed());
    assert!(proofs.waits());
    let unsigned = proofs.unsigned();
    assert_eq!(proofs.told(unsigned), ["No-TN-Validation"], "what an untrusted peer says of itself counts for nothing");
    let pem = proofs.signer.pem.clone().into_bytes();
    assert_eq!(proofs.answer(Ok(pem)), [URL], "one certificate is fetched once");
    for key in [first, second] {
        assert_eq!(proofs.told(key), ["TN-Validation-Passed", "A"]);
    }
    // It is kept.
    let third = proofs.signed();
    assert_eq!(proofs.told(third), ["TN-Validation-Passed", "A"]);
    assert!(proofs.answer(Ok(Vec::new())).is_empty());
    assert_eq!((proofs.counted("passed"), proofs.counted("none")), (3, 1));
}

#[test]
fn who_requires_it_refuses_what_is_not_verified_and_takes_what_is() {
    let plane = plane(16);
    let mut proofs = Proofs::new(&plane, "require", true);
    let unsigned = proofs.unsigned();
    assert_eq!(proofs.rig.told(unsigned), [Told::Reject(428, "identity_missing".to_owned())]);
    let stale = proofs.signer.shaken('A', CALLER, "1000", 1);
    let stale = proofs.call(Some(stale), &format!("<sip:+{CALLER}@a>"));
    assert_eq!(proofs.rig.told(stale), [Told::Reject(403, "identity_stale".to_owned())]);
    let other = proofs.signer.shaken('A', CALLER, "1000", wall_us() / 1_000_000);
    let other = proofs.call(Some(other), "<sip:+19995550000@a>");
    assert_eq!(proofs.rig.told(other), [Told::Reject(438, "identity_invalid".to_owned())]);
    let waiting = proofs.signed();
    assert!(proofs.waits());
    proofs.answer(Err("nobody there".to_owned()));
    proofs.rig.settle();
    assert_eq!(proofs.rig.told(waiting), [Told::Reject(436, "identity_uncertified".to_owned())]);
    assert_eq!((proofs.counted("none"), proofs.counted("stale"), proofs.counted("certificate")), (1, 1, 1));
    assert_eq!(proofs.rig.shared.admission.calls(), 0);
    let mut proofs = Proofs::new(&plane, "require", false);
    let good = proofs.signed();
    assert!(proofs.waits());
    proofs.answer(Ok(proofs.signer.pem.clone().into_bytes()));
    assert_eq!(proofs.told(good), ["TN-Validation-Passed", "A"]);
    let stranger = Authority::new("Stranger").signer("https://stranger.example/cert.pem");
    let stranger_calls = stranger.shaken('A', CALLER, "1000", wall_us() / 1_000_000);
    let key = proofs.call(Some(stranger_calls), &format!("<sip:+{CALLER}@a>"));
    proofs.rig.settle();
    proofs.answer(Ok(stranger.pem.into_bytes()));
    proofs.rig.settle();
    assert_eq!(proofs.rig.told(key), [Told::Reject(437, "identity_untrusted".to_owned())]);
}

#[test]
fn a_certificate_that_does_not_come_is_waited_for_no_longer_than_was_said() {
    let plane = plane(16);
    let mut proofs = Proofs::new(&plane, "note", false);
    let key = proofs.signed();
    let patience = proofs.rig.settle();
    assert!(patience <= PATIENCE && proofs.waits());
    proofs.rig.now = Instant::now() + PATIENCE;
    assert_eq!(proofs.told(key), ["No-TN-Validation"]);
    assert_eq!(proofs.counted("certificate"), 1);
}

#[test]
fn a_caller_who_gives_up_meanwhile_is_not_answered() {
    let plane = plane(16);
    let mut proofs = Proofs::new(&plane, "require", false);
    let key = proofs.signed();
    assert!(proofs.waits());
    proofs.rig.gives_up(key);
    proofs.answer(Ok(proofs.signer.pem.clone().into_bytes()));
    assert!(proofs.waits(), "no record is begun");
    assert_eq!((proofs.rig.told(key), proofs.rig.shared.admission.calls()), (vec![], 0));
}

#[test]
fn a_trusted_peer_is_believed_what_it_says_where_nothing_is_signed() {
    let plane = plane(16);
    for stir in ["off", "note"] {
        let mut proofs = Proofs::new(&plane, stir, true);
        let key = proofs.unsigned();
        assert_eq!(proofs.told(key), ["TN-Validation-Passed"], "{stir}");
    }
    let mut proofs = Proofs::new(&plane, "off", false);
    let (unsigned, signed) = (proofs.unsigned(), proofs.signed());
    assert!(proofs.told(unsigned).is_empty() && proofs.told(signed).is_empty(), "it is handed on as it came");
    let mut proofs = Proofs::new(&plane, "note", true);
    let identity = proofs.signer.shaken('A', CALLER, "1000", 1);
    let key = proofs.call(Some(identity), &format!("<sip:+{CALLER};verstat=TN-Validation-Passed@a>"));
    assert_eq!(proofs.told(key), ["TN-Validation-Failed"], "what was found counts before what is said");
}

#[test]
fn more_calls_than_may_wait_are_taken_unverified() {
    let plane = plane(16);
    let mut proofs = Proofs::new(&plane, "require", false);
    for _ in 0..256 {
        proofs.signed();
    }
    let one_more = proofs.signed();
    assert_eq!(proofs.rig.told(one_more), [Told::Reject(436, "identity_uncertified".to_owned())]);
    assert!(proofs.waits());
    // More certificates than are fetched at once are not had.
    let mut proofs = Proofs::new(&plane, "require", false);
    for number in 0..33 {
        let identity = proofs.signer.shaken('A', CALLER, "1000", wall_us() / 1_000_000);
        proofs.call(Some(identity), &format!("<sip:+{CALLER}@a>"));
        proofs.signer.url = format!("https://certificates.example/{number}");
    }
    proofs.rig.settle();
    assert_eq!(proofs.fetcher.0.lock().unwrap().len(), 32);
    assert_eq!(proofs.rig.told(32), [Told::Reject(436, "identity_uncertified".to_owned())]);
}
