//! Both sides of digest authentication against each other, and against who has no password.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use proptest::prelude::*;
use trunkline_sip::auth::{
    Algorithm, Challenge, Credentials, DigestClient, DigestClientError, DigestServer, Ha1, Judged, NonceLimits,
    NotAuthentic, ServerConfig,
};

const URI: &str = "sip:pbx.example";

fn server(config: ServerConfig) -> DigestServer {
    DigestServer::new(config, &[5; 32])
}

fn client(password: &str) -> DigestClient {
    DigestClient::new(Credentials { user: "alice".to_owned(), password: password.to_owned().into(), realm: None })
}

fn ha1(user: &str, algorithm: Algorithm) -> Option<Ha1> {
    (user == "alice").then(|| Ha1::of(algorithm, "alice", "pbx.example", "secret"))
}

fn judge(server: &mut DigestServer, now_ms: u64, method: &str, credentials: &[&str]) -> Judged {
    server.judge(now_ms, b"203.0.113.7", method, URI, credentials, ha1)
}

fn challenge(judged: Judged) -> Challenge {
    match judged {
        Judged::Challenge(challenge) => challenge,
        Judged::Authentic { user } => panic!("{user} was taken without a password"),
    }
}

fn ask(client: &mut DigestClient, challenge: &Challenge) -> Result<(), DigestClientError> {
    let headers: Vec<_> = challenge.headers.iter().map(|value| ("WWW-Authenticate", value.as_str())).collect();
    client.handle_challenge(&headers)
}

fn why(judged: Judged) -> NotAuthentic {
    challenge(judged).why
}

#[test]
fn sha_256_is_preferred_and_one_challenge_serves_many_requests() {
    let (mut server, mut client) = (server(ServerConfig::new("pbx.example")), client("secret"));
    let asked = challenge(judge(&mut server, 0, "REGISTER", &[]));
    assert_eq!(asked.why, NotAuthentic::Missing);
    assert!(asked.headers[0].contains("algorithm=SHA-256") && asked.headers[1].contains("algorithm=MD5"), "{asked:?}");
    assert_eq!(client.authorize("REGISTER", URI, [0; 16]), None, "nobody asked yet");
    ask(&mut client, &asked).unwrap();
    for count in 1..=3 {
        let (name, value) = client.authorize("REGISTER", URI, [count; 16]).unwrap();
        assert!(name == "Authorization" && value.contains(&format!("nc=0000000{count}")), "{value}");
        assert!(value.contains("algorithm=SHA-256"), "{value}");
        assert_eq!(judge(&mut server, 1, "REGISTER", &[&value]), Judged::Authentic { user: "alice".to_owned() });
    }
    assert_eq!(server.nonces_in_use(), 1);
}

#[test]
fn a_peer_that_knows_md5_alone_is_served_and_one_that_takes_sha_256_alone_refuses_it() {
    let mut both = server(ServerConfig::new("pbx.example"));
    let asked = challenge(judge(&mut both, 0, "INVITE", &[]));
    let mut old = client("secret");
    old.handle_challenge(&[("Proxy-Authenticate", &asked.headers[1])]).unwrap();
    let (name, value) = old.authorize("INVITE", URI, [1; 16]).unwrap();
    assert_eq!(name, "Proxy-Authorization");
    assert_eq!(judge(&mut both, 0, "INVITE", &[&value]), Judged::Authentic { user: "alice".to_owned() });
    let mut strict = server(ServerConfig { algorithms: vec![Algorithm::Sha256], ..ServerConfig::new("pbx.example") });
    assert_eq!(why(judge(&mut strict, 0, "INVITE", &[&value])), NotAuthentic::Unserved);
}

#[test]
fn what_was_heard_once_is_not_taken_again_nor_from_elsewhere() {
    let (mut server, mut client) = (server(ServerConfig::new("pbx.example")), client("secret"));
    ask(&mut client, &challenge(judge(&mut server, 0, "INVITE", &[]))).unwrap();
    let (_, value) = client.authorize("INVITE", URI, [1; 16]).unwrap();
    assert_eq!(why(judge(&mut server, 0, "BYE", &[&value])), NotAuthentic::Wrong, "for another method");
    let elsewhere = server.judge(0, b"198.51.100.1", "INVITE", URI, &[&value], ha1);
    assert_eq!(why(elsewhere), NotAuthentic::Foreign);
    let other_uri = server.judge(0, b"203.0.113.7", "INVITE", "sip:+1900@pbx.example", &[&value], ha1);
    assert_eq!(why(other_uri), NotAuthentic::Uri);
    assert!(matches!(judge(&mut server, 0, "INVITE", &[&value]), Judged::Authentic { .. }));
    assert_eq!(why(judge(&mut server, 0, "INVITE", &[&value])), NotAuthentic::Replayed);
    let count_changed = value.replace("nc=00000001", "nc=00000002");
    assert_eq!(why(judge(&mut server, 0, "INVITE", &[&count_changed])), NotAuthentic::Wrong);
}

#[test]
fn stale_is_told_to_whoever_has_the_password_and_to_nobody_else() {
    let config =
        ServerConfig { nonces: NonceLimits { lifetime_ms: 1000, most: 10 }, ..ServerConfig::new("pbx.example") };
    let mut server = server(config);
    let asked = challenge(judge(&mut server, 0, "REGISTER", &[]));
    let (mut right, mut wrong) = (client("secret"), client("guess"));
    ask(&mut right, &asked).unwrap();
    ask(&mut wrong, &asked).unwrap();
    let (_, value) = right.authorize("REGISTER", URI, [1; 16]).unwrap();
    let stale = challenge(judge(&mut server, 1001, "REGISTER", &[&value]));
    assert!(stale.why == NotAuthentic::Stale && stale.headers.iter().all(|header| header.contains("stale=true")));
    ask(&mut right, &stale).unwrap();
    let (_, value) = right.authorize("REGISTER", URI, [2; 16]).unwrap();
    assert!(value.contains("nc=00000001"), "a new nonce counts from the start: {value}");
    assert!(matches!(judge(&mut server, 1001, "REGISTER", &[&value]), Judged::Authentic { .. }));
    let (_, value) = wrong.authorize("REGISTER", URI, [1; 16]).unwrap();
    let refused = challenge(judge(&mut server, 1001, "REGISTER", &[&value]));
    assert!(refused.why == NotAuthentic::Wrong && !refused.headers[0].contains("stale"));
    assert_eq!(ask(&mut wrong, &refused), Err(DigestClientError::Refused), "it does not try for ever");
}

#[test]
fn credentials_that_are_sent_unasked_may_be_out_of_date() {
    let (mut first, mut client) = (server(ServerConfig::new("pbx.example")), client("secret"));
    ask(&mut client, &challenge(judge(&mut first, 0, "REGISTER", &[]))).unwrap();
    let (_, value) = client.authorize("REGISTER", URI, [1; 16]).unwrap();
    assert!(matches!(judge(&mut first, 0, "REGISTER", &[&value]), Judged::Authentic { .. }));
    client.handle_accepted();
    // One that was restarted does not know its own nonces, and says so without `stale`.
    let mut restarted = DigestServer::new(ServerConfig::new("pbx.example"), &[6; 32]);
    let (_, value) = client.authorize("REGISTER", URI, [2; 16]).unwrap();
    let asked = challenge(judge(&mut restarted, 0, "REGISTER", &[&value]));
    assert_eq!(asked.why, NotAuthentic::Foreign);
    ask(&mut client, &asked).unwrap();
    let (_, value) = client.authorize("REGISTER", URI, [3; 16]).unwrap();
    assert!(matches!(judge(&mut restarted, 0, "REGISTER", &[&value]), Judged::Authentic { .. }));
}

#[test]
fn a_client_says_by_name_what_it_cannot_answer() {
    let handle = |value: &str| client("x").handle_challenge(&[("WWW-Authenticate", value)]);
    let with = |more: &str| handle(&format!("Digest realm=\"a\", nonce=\"b\", {more}"));
    assert_eq!(with("qop=\"auth-int\""), Err(DigestClientError::AuthInt));
    assert_eq!(with("qop=\"auth-int, auth\""), Ok(()));
    assert_eq!(with("algorithm=MD5-sess"), Err(DigestClientError::Algorithm));
    assert_eq!(with("algorithm=SHA-1"), Err(DigestClientError::Algorithm));
    assert_eq!(handle("Basic realm=\"a\""), Err(DigestClientError::NoChallenge));
    assert_eq!(client("x").handle_challenge(&[]), Err(DigestClientError::NoChallenge));
    let only = Credentials { user: "a".to_owned(), password: "b".to_owned().into(), realm: Some("pbx".to_owned()) };
    let asked = [("WWW-Authenticate", "Digest realm=\"evil\", nonce=\"b\"")];
    assert_eq!(DigestClient::new(only).handle_challenge(&asked), Err(DigestClientError::Realm));
    let mut old = client("x");
    old.handle_challenge(&[("WWW-Authenticate", "Digest realm=\"a\", nonce=\"b\", opaque=\"c\"")]).unwrap();
    let (_, value) = old.authorize("INVITE", URI, [0; 16]).unwrap();
    assert!(!value.contains("qop") && !value.contains("algorithm") && value.contains("opaque=\"c\""), "{value}");
}

#[test]
fn a_server_refuses_what_it_does_not_serve_by_name() {
    let mut server = server(ServerConfig::new("pbx.example"));
    let mut client = client("secret");
    ask(&mut client, &challenge(judge(&mut server, 0, "INVITE", &[]))).unwrap();
    let (_, value) = client.authorize("INVITE", URI, [1; 16]).unwrap();
    for (from, to, expected) in [
        ("qop=auth", "qop=auth-int", NotAuthentic::AuthInt),
        (", qop=auth, ", ", ", NotAuthentic::Unserved),
        ("nc=00000001", "nc=1", NotAuthentic::Unserved),
        ("nc=00000001", "nc=00000000", NotAuthentic::Unserved),
        ("SHA-256", "SHA-256-sess", NotAuthentic::Unserved),
        ("realm=\"pbx.example\"", "realm=\"other\"", NotAuthentic::Missing),
        ("\"alice\"", "\"bob\"", NotAuthentic::Wrong),
    ] {
        assert!(value.contains(from), "{value}");
        let changed = value.replacen(from, to, 1);
        assert_eq!(why(judge(&mut server, 0, "INVITE", &[&changed])), expected, "{to}");
    }
    // Credentials for a proxy on the way come first; ours count.
    let theirs = value.replace("realm=\"pbx.example\"", "realm=\"proxy\"");
    assert!(matches!(judge(&mut server, 0, "INVITE", &[&theirs, &value]), Judged::Authentic { .. }));
    assert_eq!(server.nonces_in_use(), 1, "what is refused costs no memory");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_user_realm_and_uri_is_understood_by_the_other_side(
        user in "\\PC{1,30}", realm in "\\PC{1,30}", password in "\\PC{0,30}", uri in "sips?:[!-~]{1,40}", random in any::<[u8; 16]>(),
    ) {
        let plain = |text: &str| text.chars().filter(|c| !c.is_control()).collect::<String>();
        let (user, realm) = (plain(&user), plain(&realm));
        let mut server = server(ServerConfig::new(&realm));
        let mut client = DigestClient::new(Credentials { user: user.clone(), password: password.clone().into(), realm: None });
        let find = |name: &str, algorithm| (name == user).then(|| Ha1::of(algorithm, &user, &realm, &password));
        ask(&mut client, &challenge(server.judge(0, b"p", "INVITE", &uri, &[], find))).unwrap();
        let (_, value) = client.authorize("INVITE", &uri, random).unwrap();
        prop_assert!(!value.chars().any(char::is_control));
        prop_assert_eq!(server.judge(0, b"p", "INVITE", &uri, &[&value], find), Judged::Authentic { user: user.clone() });
    }

    #[test]
    fn nothing_but_the_password_opens(value in "Digest \\PC{0,200}|\\PC{0,100}", method in "[A-Z]{1,8}") {
        let mut server = server(ServerConfig::new("pbx.example"));
        prop_assert!(matches!(judge(&mut server, 0, &method, &[&value]), Judged::Challenge(_)));
        prop_assert_eq!(server.nonces_in_use(), 0);
    }
}
