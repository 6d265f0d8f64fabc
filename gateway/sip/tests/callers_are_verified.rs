//! Who calls is believed when it was signed by whoever answers for the number, a moment ago, for this call: each way that
//! can be missing is found and named (RFC 8224 6.2). Tokens are those of SHAKEN as providers write them.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

#[path = "support/signer.rs"]
mod signer;
mod support;

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use rcgen::{KeyPair, PKCS_ECDSA_P384_SHA384, date_time_ymd};
use signer::{Authority, Signer, number};
use support::{OFFER, Peer, start, unhurried};
use trunkline_api::Failure;
use trunkline_api::e164::Numbering;
use trunkline_sip::SipEvent;
use trunkline_sip::stir::{Fault, Finding, Judgement, MOST_CERTIFICATE_BYTES, Material, Question, RESULTS, Verifier};

/// When everything happens: 2026-01-01 in seconds since the Unix epoch.
const NOW: u64 = 1_767_225_600;
const URL: &str = "https://certificates.example/709J/cert.pem";
const CALLER: &str = "12155551212";
const CALLED: &str = "12355551213";

struct Rig {
    authority: Authority,
    signer: Signer,
    material: Material,
    verifier: Verifier,
}

impl Rig {
    fn new() -> Self {
        let authority = Authority::new("Root");
        let signer = authority.signer(URL);
        let material = laid_down(&authority, &[&signer]);
        Self { authority, signer, material, verifier: Verifier::new(60) }
    }

    fn finds(&self, identities: &[&str]) -> Finding {
        self.judges(&question(identities))
    }

    fn judges(&self, question: &Question) -> Finding {
        match self.verifier.judge(Instant::now(), NOW, &self.material, question) {
            Judgement::Found(finding) => finding,
            Judgement::Needs(url) => panic!("{url} is needed"),
        }
    }

    /// What is found of a token that another provider signed, whose certificate is laid down, too.
    fn finds_of(&self, signer: &Signer) -> Finding {
        let rig = Self { material: laid_down(&self.authority, &[signer]), ..Self::new() };
        rig.finds(&[&signer.shaken('A', CALLER, CALLED, NOW)])
    }
}

fn laid_down(authority: &Authority, signers: &[&Signer]) -> Material {
    let text: String = signers.iter().map(|signer| format!("{}\n{}\n", signer.url, signer.pem)).collect();
    Material::read(("roots.pem", authority.pem.as_bytes()), &[("certificates.pem".to_owned(), text.into_bytes())])
        .unwrap()
}

fn question(identities: &[&str]) -> Question {
    let from = format!("\"Alice\" <sip:+{CALLER}@caller.example;user=phone>;tag=1");
    question_of(&from, CALLED, &[("To", &format!("<sip:+{CALLED}@called.example;user=phone>"))], identities, false)
}

fn question_of(from: &str, dialled: &str, headers: &[(&str, &str)], identities: &[&str], trusted: bool) -> Question {
    let identities = identities.iter().map(|value| ("Identity", *value));
    let headers = headers.iter().copied().chain(identities);
    let headers: Vec<_> = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    Question::of(from, dialled, &headers, trusted, &Numbering::default())
}

fn variables(finding: &Finding) -> Vec<String> {
    finding.variables().into_iter().map(|(name, value)| format!("{name}={value}")).collect()
}

fn payload(attest: &str, origid: &str) -> String {
    format!(r#"{{{attest}"dest":{{"tn":["{CALLED}"]}},"iat":{NOW},"orig":{{"tn":"{CALLER}"}}{origid}}}"#)
}

#[test]
fn a_call_that_its_provider_signed_is_told_with_attestation_and_origin() {
    let rig = Rig::new();
    for attest in ['A', 'B', 'C'] {
        let found = rig.finds(&[&rig.signer.shaken(attest, CALLER, CALLED, NOW)]);
        let Finding::Passed(proof) = &found else { panic!("{found:?}") };
        assert_eq!(proof.providers, ["709J"]);
        assert_eq!((found.name(), found.failure()), ("passed", None));
        let origid = "sip_origid=123e4567-e89b-12d3-a456-426655440000";
        assert_eq!(variables(&found), ["sip_verstat=TN-Validation-Passed", &format!("sip_attest={attest}"), origid]);
    }
}

#[test]
fn a_call_without_a_signature_is_told_from_one_whose_signature_is_wrong() {
    let rig = Rig::new();
    let found = rig.finds(&[]);
    assert_eq!(
        (found.failure(), variables(&found)),
        (Some(Failure::IdentityMissing), vec!["sip_verstat=No-TN-Validation".to_owned()])
    );
    // What says something else than who calls is no signature of that.
    let div = rig.signer.identity(&rig.signer.head("div"), "{}", "div");
    let rich = rig.signer.identity(&rig.signer.head("rcd"), "{}", "rcd");
    assert_eq!(rig.finds(&[&div, &rich]), Finding::None);
    let shaken = rig.signer.shaken('A', CALLER, CALLED, NOW);
    let is_diverted = |identities: &[&str]| match rig.finds(identities) {
        Finding::Passed(proof) => proof.is_diverted,
        found => panic!("{found:?}"),
    };
    assert!(is_diverted(&[&shaken, &rich, &div]) && is_diverted(&[&div, &shaken]), "it keeps its first signature");
    assert!(!is_diverted(&[&shaken, &rich]));
}

#[test]
fn what_cannot_be_read_is_named() {
    let rig = Rig::new();
    let head = rig.signer.head("shaken");
    let (attest, origid) = ("\"attest\":\"A\",", ",\"origid\":\"x\"");
    let good = payload(attest, origid);
    assert_eq!(rig.finds(&[&rig.signer.identity(&head, &good, "shaken")]).name(), "passed");
    let with = |from: &str, to: &str| good.replace(from, to);
    let crit = head.replacen('{', "{\"crit\":[\"x\"],", 1);
    for (what, identity) in [
        ("no JSON", rig.signer.identity("{", &good, "shaken")),
        ("no object", rig.signer.identity(&head, "[]", "shaken")),
        ("another type", rig.signer.identity(&head.replace("passport", "jwt"), &good, "shaken")),
        ("what must be understood", rig.signer.identity(&crit, &good, "shaken")),
        ("another kind within", rig.signer.identity(&rig.signer.head("div"), &good, "shaken")),
        ("a kind within alone", rig.signer.identity(&head, &good, "")),
        ("no attestation", rig.signer.identity(&head, &payload("", origid), "shaken")),
        ("attestation D", rig.signer.identity(&head, &with("\"A\"", "\"D\""), "shaken")),
        ("no origin", rig.signer.identity(&head, &payload(attest, ""), "shaken")),
        ("an origin of two lines", rig.signer.identity(&head, &with("\"x\"", "\"x\\r\\ny\""), "shaken")),
        ("a claim twice", rig.signer.identity(&head, &with("\"iat\"", "\"iat\":1,\"iat\""), "shaken")),
        ("no time", rig.signer.identity(&head, &with("\"iat\"", "\"exp\""), "shaken")),
        ("a time before 1970", rig.signer.identity(&head, &with(&NOW.to_string(), "-1"), "shaken")),
        ("a plain URL", rig.signer.shaken('A', CALLER, CALLED, NOW).replace("https://", "http://")),
        ("no token", "nothing".to_owned()),
        ("a long one", format!("a.b.{};info=<https://c.example>", "c".repeat(5000))),
        ("the compact form", compact(&rig.signer.shaken('A', CALLER, CALLED, NOW))),
    ] {
        let found = rig.finds(&[&identity]);
        assert!(matches!(found, Finding::Failed(Fault::Malformed(_))), "{what}: {found:?}");
        assert_eq!((found.name(), found.failure()), ("malformed", Some(Failure::IdentityInvalid)), "{what}");
        assert_eq!(variables(&found), ["sip_verstat=TN-Validation-Failed"], "{what}");
    }
}

/// The compact form of a token.
fn compact(identity: &str) -> String {
    let (token, rest) = identity.split_once(';').unwrap();
    format!("..{};{rest}", token.rsplit_once('.').unwrap().1)
}

#[test]
fn another_algorithm_or_another_certificate_than_that_of_the_token_is_refused() {
    let rig = Rig::new();
    let good = payload("\"attest\":\"A\",", ",\"origid\":\"x\"");
    for alg in ["none", "HS256", "RS256", "ES384", "es256"] {
        let head = rig.signer.head("shaken").replace("ES256", alg);
        assert_eq!(rig.finds(&[&rig.signer.identity(&head, &good, "shaken")]).name(), "algorithm", "{alg}");
    }
    let said = rig.signer.shaken('A', CALLER, CALLED, NOW).replace("alg=ES256", "alg=RS256");
    assert_eq!(rig.finds(&[&said]).name(), "algorithm");
    let other = rig.signer.head("shaken").replace("/709J/", "/other/");
    for head in [other, rig.signer.head("shaken").replace("x5u", "x5t")] {
        assert_eq!(rig.finds(&[&rig.signer.identity(&head, &good, "shaken")]).name(), "info", "{head}");
    }
}

#[test]
fn a_signature_is_good_for_a_minute_and_for_one_call() {
    let rig = Rig::new();
    for (iat, expected) in [
        (NOW - 61, "stale"),
        (NOW - 60, "passed"),
        (NOW + 60, "passed"),
        (NOW + 61, "stale"),
        (0, "stale"),
        (u64::MAX, "stale"),
    ] {
        assert_eq!(rig.finds(&[&rig.signer.shaken('A', CALLER, CALLED, iat)]).name(), expected, "{iat}");
    }
    let stale = rig.finds(&[&rig.signer.shaken('A', CALLER, CALLED, NOW - 100)]);
    assert_eq!(stale, Finding::Failed(Fault::Stale { age_s: 100 }));
    assert_eq!(stale.failure(), Some(Failure::IdentityStale));
    for (orig, dest, expected) in [
        ("12155551213", CALLED, "orig"),
        (CALLER, "12355551214", "dest"),
        ("anna", CALLED, "orig"),
        (CALLER, "", "dest"),
    ] {
        let found = rig.finds(&[&rig.signer.shaken('A', orig, dest, NOW)]);
        assert_eq!((found.name(), found.failure()), (expected, Some(Failure::IdentityInvalid)), "{orig} {dest}");
    }
}

#[test]
fn the_caller_that_is_compared_is_the_one_that_is_told() {
    let rig = Rig::new();
    let identity = rig.signer.shaken('A', CALLER, CALLED, NOW);
    let asserted = format!("<tel:+{CALLER}>");
    let finds = |from: &str, asserted: &str, trusted: bool| {
        let headers = [("P-Asserted-Identity", asserted)];
        rig.judges(&question_of(from, CALLED, &headers, &[&identity], trusted)).name()
    };
    let (other, nobody) = ("<sip:+19995550000@a>;tag=1", "\"Anonymous\" <sip:anonymous@anonymous.invalid>;tag=1");
    assert_eq!(finds(other, &asserted, true), "passed", "a trusted peer's assertion is what is told");
    assert_eq!(finds(other, &asserted, false), "orig", "an untrusted one's is not, and From is not what was signed");
    assert_eq!(finds(nobody, &asserted, false), "passed", "who hides may be verified");
    let from = format!("<sip:+{CALLER}@a>");
    assert_eq!(finds(&from, "<tel:+19995550000>", true), "orig");
    assert_eq!(finds(&from, "<tel:+19995550000>", false), "passed");
}

#[test]
fn numbers_are_compared_as_the_trunk_dials_them_and_either_the_to_or_the_target_is_who_is_called() {
    let rig = Rig::new();
    let identity = rig.signer.shaken('B', "4930123456", "498912345", NOW);
    let home = Numbering { country: "49".to_owned(), ..Numbering::default() };
    for (to, dialled, expected) in [
        ("<sip:089-12345@here>", "2000", "passed"),
        ("<sip:+49 8912345@here>", "2000", "dest"),
        ("<sip:%2B498912345@here;user=phone>", "2000", "passed"),
        ("<tel:+49-89-12345>", "2000", "passed"),
        ("<sip:2000@here>", "08912345", "passed"),
        ("<sip:2000@here>", "2000", "dest"),
    ] {
        let headers = [("To".to_owned(), to.to_owned()), ("Identity".to_owned(), identity.clone())];
        let question = Question::of("<sip:030123456@a>;tag=1", dialled, &headers, false, &home);
        assert_eq!(rig.judges(&question).name(), expected, "{to} {dialled}");
    }
}

#[test]
fn the_plain_form_is_read_whole_and_compact() {
    let rig = Rig::new();
    let plain = rig.signer.identity(&rig.signer.head(""), &payload("", ""), "");
    let found = rig.finds(&[&plain]);
    assert_eq!(variables(&found), ["sip_verstat=TN-Validation-Passed"]);
    let (from, to) = (format!("<sip:+{CALLER}@a>;tag=1"), format!("<sip:+{CALLED}@b>"));
    let with = |date: &str| {
        let headers = [("To", to.as_str()), ("Date", date)];
        rig.judges(&question_of(&from, CALLED, &headers, &[&compact(&plain)], false)).name()
    };
    assert_eq!(with("Thu, 01 Jan 2026 00:00:00 GMT"), "passed");
    assert_eq!(with("Thu, 01 Jan 2026 00:00:01 GMT"), "signature", "its time is what was signed");
    assert_eq!(with("Thu, 01 Jan 2026 00:02:00 GMT"), "stale");
    assert_eq!(with("yesterday"), "malformed");
}

#[test]
fn what_was_changed_or_signed_by_somebody_else_does_not_hold() {
    let rig = Rig::new();
    let identity = rig.signer.shaken('C', CALLER, CALLED, NOW);
    let payload = identity.split('.').nth(1).unwrap();
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
    let better = identity.replace(payload, &URL_SAFE_NO_PAD.encode(text.replace("\"C\"", "\"A\"")));
    let impostor = rig.authority.signer(URL).shaken('A', CALLER, CALLED, NOW);
    let zeros = {
        let (token, rest) = identity.split_once(';').unwrap();
        format!("{}.{};{rest}", token.rsplit_once('.').unwrap().0, URL_SAFE_NO_PAD.encode([0; 64]))
    };
    for (what, identity) in [("changed", better), ("of an impostor", impostor), ("zeros", zeros)] {
        let found = rig.finds(&[&identity]);
        assert_eq!((found.name(), found.failure()), ("signature", Some(Failure::IdentityInvalid)), "{what}");
    }
    let both = rig.finds(&[&rig.authority.signer(URL).shaken('A', CALLER, CALLED, NOW), &identity]);
    assert_eq!(both.name(), "passed", "one that holds is enough");
}

#[test]
fn a_certificate_must_be_of_an_authority_in_force_and_for_the_number() {
    let rig = Rig::new();
    let generated = || KeyPair::generate().unwrap();
    let of =
        |change: fn(&mut rcgen::CertificateParams)| rig.finds_of(&rig.authority.signer_with(URL, generated(), change));
    assert_eq!(of(|_| {}).name(), "passed");
    for (what, found, expected) in [
        ("of a stranger", rig.finds_of(&Authority::new("Stranger").signer(URL)), "untrusted"),
        ("of a namesake", rig.finds_of(&Authority::new("Root").signer(URL)), "untrusted"),
        ("expired", of(|params| params.not_after = date_time_ymd(2025, 12, 31)), "untrusted"),
        ("not yet in force", of(|params| params.not_before = date_time_ymd(2026, 1, 2)), "untrusted"),
        ("without a TNAuthList", of(|params| params.custom_extensions.clear()), "tn_auth_list"),
        ("of another number", of(|params| params.custom_extensions = vec![number("12155551299")]), "tn_auth_list"),
    ] {
        assert_eq!((found.name(), found.failure()), (expected, Some(Failure::IdentityUntrusted)), "{what}: {found:?}");
        assert_eq!(variables(&found), ["sip_verstat=TN-Validation-Failed"], "{what}");
    }
    assert_eq!(of(|params| params.custom_extensions = vec![number(CALLER)]).name(), "passed");
    // Its own signature would be longer, so that it shows another's.
    let longer = rig.authority.signer_with(URL, KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap(), |_| {});
    let other = Rig { material: laid_down(&rig.authority, &[&longer]), ..Rig::new() };
    let identity = rig.signer.shaken('A', CALLER, CALLED, NOW);
    assert_eq!(other.finds(&[&identity]).name(), "signature", "ES256 is of P-256");
}

#[test]
fn authorities_between_come_with_the_certificate() {
    let rig = Rig::new();
    let between = rig.authority.below("Between");
    let mut signer = between.signer(URL);
    assert_eq!(rig.finds_of(&signer).name(), "untrusted", "nobody has said who that is");
    signer.pem.push_str(&between.pem);
    assert_eq!(rig.finds_of(&signer).name(), "passed");
}

#[test]
fn a_certificate_that_is_not_there_is_asked_for_once_and_what_came_of_it_is_kept_for_a_while() {
    let rig = Rig::new();
    let (mut verifier, now) = (Verifier::new(60), Instant::now());
    let material = Material::read(("roots.pem", rig.authority.pem.as_bytes()), &[]).unwrap();
    let question = question(&[&rig.signer.shaken('A', CALLER, CALLED, NOW)]);
    let finds = |verifier: &Verifier, now| verifier.judge(now, NOW, &material, &question);
    assert_eq!(finds(&verifier, now), Judgement::Needs(URL.to_owned()));
    for (what, fetched) in [
        ("nobody there", Err("nobody there".to_owned())),
        ("no certificate", Ok(b"<html>".as_slice())),
        ("too long", Ok([b'x'; MOST_CERTIFICATE_BYTES + 1].as_slice())),
    ] {
        verifier.had(now, NOW, &material, URL.to_owned(), fetched);
        let Judgement::Found(found) = finds(&verifier, now) else { panic!("{what}") };
        assert_eq!((found.name(), found.failure()), ("certificate", Some(Failure::IdentityUncertified)), "{what}");
        assert_eq!(variables(&found), ["sip_verstat=No-TN-Validation"], "{what}");
    }
    let later = now + Duration::from_secs(30);
    assert_eq!(finds(&verifier, later), Judgement::Needs(URL.to_owned()), "it is asked for again");
    verifier.had(later, NOW, &material, URL.to_owned(), Ok(rig.signer.pem.as_bytes()));
    for after in [0, 3599] {
        let Judgement::Found(found) = finds(&verifier, later + Duration::from_secs(after)) else { panic!("{after}") };
        assert_eq!(found.name(), "passed");
    }
    assert_eq!(finds(&verifier, later + Duration::from_secs(3600)), Judgement::Needs(URL.to_owned()));
    // Nothing is fetched for what could not hold.
    let stale = crate::question(&[&rig.signer.shaken('A', CALLER, CALLED, NOW - 100)]);
    assert_eq!(
        Verifier::new(60).judge(now, NOW, &material, &stale),
        Judgement::Found(Finding::Failed(Fault::Stale { age_s: 100 }))
    );
    let nobody = Material::default();
    assert_eq!(
        Verifier::new(60).judge(now, NOW, &nobody, &question),
        Judgement::Found(Finding::Failed(Fault::NoRoots))
    );
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let rig = Rig::new();
    let read = |roots: &str, file: &str| {
        let files = [("709J.pem".to_owned(), file.as_bytes().to_vec())];
        Material::read(("roots.pem", roots.as_bytes()), &files).map_err(|error| error.to_string())
    };
    let named = format!("# Provider 709J\n\n {URL} \n{}", rig.signer.pem);
    assert_eq!(read(&rig.authority.pem, &named).unwrap().len(), 1);
    assert!(read(&rig.authority.pem, "").unwrap().is_empty());
    for (roots, file, expected) in [
        ("", "", "roots.pem"),
        ("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", "", "roots.pem"),
        (&rig.authority.pem, &rig.signer.pem, "709J.pem"),
        (&rig.authority.pem, URL, "709J.pem"),
    ] {
        let error = read(roots, file).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn every_finding_is_counted_by_a_name_of_its_own() {
    let faults = [
        Fault::Malformed(""),
        Fault::Algorithm,
        Fault::InfoDiffers,
        Fault::Stale { age_s: 0 },
        Fault::Origin,
        Fault::Destination,
        Fault::NotHad(String::new()),
        Fault::Untrusted(String::new()),
        Fault::NotEntitled(""),
        Fault::Signature,
        Fault::NoRoots,
    ];
    let findings = [Finding::Passed(Default::default()), Finding::None].into_iter().chain(faults.map(Finding::Failed));
    let names: Vec<&str> = findings.map(|finding| finding.name()).collect();
    assert_eq!(names, RESULTS);
}

#[test]
fn an_invite_brings_all_that_is_compared() {
    let (endpoint, mut events) = start(unhurried);
    let rig = Rig::new();
    let peer = Peer::new(&endpoint);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let plain = format!(r#"{{"dest":{{"tn":["100"]}},"iat":{now},"orig":{{"tn":"{CALLER}"}}}}"#);
    let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(now));
    for (call, name, identity) in [
        ("shaken", "Identity", rig.signer.shaken('B', CALLER, "100", now)),
        ("short", "y", compact(&rig.signer.identity(&rig.signer.head(""), &plain, ""))),
    ] {
        let headers = format!("{name}: {identity}\r\nDate: {date}\r\nContent-Type: application/sdp\r\n\r\n{OFFER}");
        let invite = peer.request("INVITE", call, 1, "", &headers);
        peer.send(
            &invite.replace("sip:alice@example.org", &format!("sip:+{CALLER};verstat=No-TN-Validation@example.org")),
        );
        let Some(SipEvent::Invite(incoming)) = events.blocking_recv() else { panic!("a call was expected") };
        assert_eq!(incoming.from_user, format!("+{CALLER}"));
        let question = Question::of(&incoming.from, &incoming.to_user, &incoming.headers, false, &Numbering::default());
        let judged = rig.verifier.judge(Instant::now(), now, &rig.material, &question);
        let Judgement::Found(found) = judged else { panic!("{judged:?}") };
        assert_eq!(found.name(), "passed", "{found:?}");
        incoming.handle.reject(&trunkline_sip::Refusal::status(486)).unwrap();
        peer.expect("SIP/2.0 486");
    }
}

/// One set of certificates for all cases, and a token.
fn shared() -> &'static (Rig, String) {
    static SHARED: OnceLock<(Rig, String)> = OnceLock::new();
    SHARED.get_or_init(|| {
        let rig = Rig::new();
        let identity = rig.signer.shaken('B', CALLER, CALLED, NOW);
        (rig, identity)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Of a token that was changed anywhere nothing is believed but what was signed, and nothing breaks.
    #[test]
    fn a_changed_token_never_says_anything_else(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<char>(), 0_u8..4), 1..6),
    ) {
        let (rig, identity) = shared();
        let mut characters: Vec<char> = identity.chars().collect();
        for (at, character, how) in changes {
            let at = at.index(characters.len());
            match how {
                0 => characters[at] = character,
                1 => characters.insert(at, character),
                2 if characters.len() > 1 => drop(characters.remove(at)),
                _ => characters.truncate(at.max(1)),
            }
        }
        let changed: String = characters.into_iter().collect();
        let judged = rig.verifier.judge(Instant::now(), NOW, &rig.material, &question(&[&changed]));
        if let Judgement::Found(Finding::Passed(proof)) = judged {
            prop_assert_eq!(proof.attest, Some('B'));
            let token = |text: &str| text.split(';').next().map(|token| token.trim().to_owned());
            prop_assert_eq!(token(&changed), token(identity));
        }
    }

    /// The same of whatever claims are signed, and of whatever is served as a certificate.
    #[test]
    fn nothing_breaks_on_any_claims_or_certificates(
        head in "\\PC{0,60}",
        payload in "\\PC{0,120}",
        certificate in prop::collection::vec(any::<u8>(), 0..400),
        at in any::<prop::sample::Index>(),
    ) {
        let (Rig { signer, material, .. }, _) = shared();
        let (mut verifier, now) = (Verifier::new(60), Instant::now());
        let identity = signer.identity(&head, &payload, "shaken");
        let judged = verifier.judge(now, NOW, material, &question(&[&identity]));
        prop_assert!(!matches!(judged, Judgement::Found(Finding::Passed(_))));
        verifier.had(now, NOW, material, "https://c.example/1".to_owned(), Ok(&certificate));
        let mut pem = signer.pem.clone().into_bytes();
        let at = at.index(pem.len());
        pem[at] = pem[at].wrapping_add(1);
        verifier.had(now, NOW, material, "https://c.example/2".to_owned(), Ok(&pem));
    }
}
