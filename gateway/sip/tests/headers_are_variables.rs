//! Headers as variables and back: who is believed, what is kept from whom, and that nothing can be smuggled into a header.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use trunkline_sip::variables::{Diversion, Inbound, OutgoingCaller, UserToUser, outbound};

fn headers(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn read(from: &str, list: &[(&str, &str)], trusted: bool) -> BTreeMap<String, String> {
    Inbound::read(from, &headers(list), trusted).variables()
}

fn expect(variables: &BTreeMap<String, String>, expected: &[(&str, &str)]) {
    let shown: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(shown, expected);
}

#[test]
fn an_assertion_counts_from_a_trusted_peer_only() {
    let from = "\"Anna\" <sip:+4930111@a.example>;tag=1";
    let asserted = [("P-Asserted-Identity", "\"Real, Name\" <sip:+4930222@b.example>, <tel:+4930333>")];
    let trusted = read(from, &asserted, true);
    let expected = [("sip_caller", "+4930333"), ("sip_caller_asserted", "true"), ("sip_caller_name", "Real, Name")];
    expect(&trusted, &expected);
    expect(&read(from, &asserted, false), &[("sip_caller", "+4930111"), ("sip_caller_name", "Anna")]);
    let party =
        [("Remote-Party-ID", "<sip:+4930444@b>;party=called, \"X\" <sip:+4930555@b>;party=calling;privacy=full")];
    let trusted = read(from, &party, true);
    assert_eq!(trusted["sip_caller"], "+4930555");
    assert_eq!(trusted["sip_caller_anonymous"], "true");
    assert_eq!(read(from, &party, false)["sip_caller"], "+4930111");
}

#[test]
fn who_hides_is_anonymous_and_a_trusted_peer_still_says_who() {
    let nobody = "\"Anonymous\" <sip:anonymous@anonymous.invalid>;tag=1";
    expect(&read(nobody, &[], false), &[("sip_caller_anonymous", "true")]);
    let hidden = read(nobody, &[("P-Asserted-Identity", "<tel:+4930333>"), ("Privacy", "id; critical")], true);
    let expected = [
        ("sip_caller", "+4930333"),
        ("sip_caller_anonymous", "true"),
        ("sip_caller_asserted", "true"),
        ("sip_privacy", "id;critical"),
    ];
    expect(&hidden, &expected);
    let open = read("<sip:1@x>", &[("Privacy", "none")], false);
    assert!(!open.contains_key("sip_caller_anonymous"));
}

#[test]
fn diversions_and_handed_over_data_are_read() {
    let list = [
        ("Diversion", "<sip:+4930111@a>;reason=no-answer;counter=2, \"X\" <tel:+4930222>;reason=\"user-busy\""),
        ("User-to-User", "56a390f3d2b7310023a2;encoding=hex;purpose=foo;content=bar"),
        ("user-to-user", "48656c6c6f"),
        ("X-Campaign-Id", " summer 26 "),
        ("x-campaign-ID", "other"),
        ("X-", "nothing"),
        ("Subject", "not ours"),
    ];
    let inbound = Inbound::read("<sip:1@x>", &headers(&list), false);
    let reasons: Vec<_> =
        inbound.diversions.iter().map(|one| (one.user.as_str(), one.reason.as_str(), one.counter)).collect();
    assert_eq!(reasons, [("+4930111", "no-answer", 2), ("+4930222", "user-busy", 1)]);
    assert_eq!(inbound.user_to_user.len(), 2);
    assert_eq!((inbound.user_to_user[0].purpose.as_str(), inbound.user_to_user[0].data[0]), ("foo", 0x56));
    assert_eq!(inbound.user_to_user[1].text().as_deref(), Some("Hello"));
    let variables = inbound.variables();
    for (name, value) in [
        ("sip_diverted_from", "+4930111"),
        ("sip_diversion_reason", "no-answer"),
        ("sip_diversions", "2"),
        ("x_campaign_id", "summer 26"),
    ] {
        assert_eq!(variables[name], value);
    }
    assert!(!variables.keys().any(|name| name.contains("subject") || name == "x_"));
}

#[test]
fn variables_become_headers_and_nothing_else() {
    let variables: BTreeMap<String, String> = [
        ("x_account_sid", "AC1"),
        ("x_evil", "a\r\nVia: SIP/2.0/UDP evil\r\n\r\nbody"),
        ("x_a b", "1"),
        ("x_A", "1"),
        ("x_", "1"),
        ("contact", "sip:evil@evil"),
        ("sip_user_to_user", "Hello"),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect();
    let written = outbound(&variables);
    let expected = [
        ("X-Account-Sid", "AC1"),
        ("X-Evil", "a  Via: SIP/2.0/UDP evil    body"),
        ("User-to-User", "48656c6c6f;encoding=hex"),
    ];
    assert_eq!(written, headers(&expected));
}

#[test]
fn what_is_handed_over_leaves_room_for_the_call_and_what_is_signed_goes_first() {
    let signed = format!("a.{}.c;info=<https://x.example/>", "b".repeat(1900));
    let mut variables: BTreeMap<String, String> = (0..64).map(|n| (format!("x_n{n}"), "v".repeat(1024))).collect();
    variables.insert("sip_identity".to_owned(), format!("{signed}, {signed}"));
    variables.insert("sip_user_to_user".to_owned(), "Hello".to_owned());
    let written = outbound(&variables);
    let bytes: usize = written.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
    assert!(bytes <= 6 * 1024, "{bytes}");
    let of = |name: &str| written.iter().filter(|(named, _)| named.starts_with(name)).count();
    assert_eq!((of("Identity"), of("User-to-User"), of("X-")), (2, 1, 2));
    let short: BTreeMap<String, String> = (0..64).map(|n| (format!("x_n{n}"), "v".to_owned())).collect();
    assert_eq!(outbound(&short).len(), 56);
}

#[test]
fn who_calls_is_told_to_those_who_may_know() {
    let caller = OutgoingCaller {
        user: "+4930123456".to_owned(),
        host: "carrier.example".to_owned(),
        name: "Acme \"GmbH\"\r\n".to_owned(),
        is_anonymous: false,
    };
    let identity = "\"Acme \\\"GmbH\\\"\" <sip:+4930123456@carrier.example>".to_owned();
    assert_eq!(caller.headers(false), Some((identity.clone(), Vec::new())));
    let asserted = vec![("P-Asserted-Identity", identity.clone())];
    assert_eq!(caller.headers(true), Some((identity.clone(), asserted.clone())));
    let hidden = OutgoingCaller { is_anonymous: true, ..caller.clone() };
    let (from, told) = hidden.headers(false).unwrap();
    assert_eq!((from.as_str(), told.len()), ("\"Anonymous\" <sip:anonymous@anonymous.invalid>", 1));
    assert!(!format!("{from}{told:?}").contains("4930123456"));
    let (_, told) = hidden.headers(true).unwrap();
    assert_eq!(told, [("P-Asserted-Identity", identity), ("Privacy", "id".to_owned())]);
    for (user, host) in [("a@b", "x"), ("a>", "x"), ("", "x"), ("a", "x y"), ("a", "x>"), ("a", "")] {
        let wrong = OutgoingCaller { user: user.to_owned(), host: host.to_owned(), ..caller.clone() };
        assert_eq!(wrong.headers(true), None, "{user}@{host}");
    }
    let diversion = Diversion { user: "+4930111".to_owned(), reason: "user-busy".to_owned(), counter: 0 };
    assert_eq!(diversion.header("x.example").unwrap(), "<sip:+4930111@x.example>;reason=user-busy;counter=1");
    let bad = UserToUser { data: vec![1], purpose: "a;b".to_owned(), content: String::new() };
    assert_eq!(bad.header(), None);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Whatever is in a variable: one header for it, on one line, and not too many.
    #[test]
    fn no_variable_can_begin_a_line(variables in proptest::collection::btree_map("x_[a-z0-9_]{0,20}|\\PC{0,10}|sip_user_to_user|sip_identity", "(\\PC|[\\r\\n\\x00\\u{85}\\u{2028}]){0,80}|[a-c]{1,3}\\.[a-c]?\\.[a-c]{1,3};info=<\\PC{0,9}>(, a\\.b\\.c;info=<x>)?", 0..80)) {
        let written = outbound(&variables);
        prop_assert!(written.len() <= 56);
        for (name, value) in &written {
            prop_assert!(matches!(name.as_str(), "User-to-User" | "Identity") || name.starts_with("X-"));
            prop_assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'), "{}", name);
            let ends_a_line = |c: char| c.is_control() || matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}');
            prop_assert!(!value.chars().any(ends_a_line), "{}", name);
            prop_assert!(value.len() <= 2100);
        }
    }

    #[test]
    fn what_one_gateway_writes_the_other_reads(values in proptest::collection::btree_map("x_[a-z][a-z0-9]{0,8}(_[a-z0-9]{1,8}){0,2}", "[!-~]([ -~]{0,30}[!-~])?", 0..10), text in "[!-~]{1,30}") {
        let mut variables = values;
        variables.insert("sip_user_to_user".to_owned(), text);
        prop_assert_eq!(Inbound::read("", &outbound(&variables), false).variables(), variables);
    }

    #[test]
    fn any_headers_can_be_read(list in proptest::collection::vec(("X-\\PC{0,8}|Identity|P-Asserted-Identity|Remote-Party-ID|Diversion|User-to-User|Privacy", "\\PC{0,80}|\"\\PC{0,9}\" <(sip|tel):\\PC{0,20}>(;\\PC{0,20})?"), 0..80), from in "\\PC{0,60}", trusted in any::<bool>()) {
        let list: Vec<(String, String)> = list;
        let inbound = Inbound::read(&from, &list, trusted);
        prop_assert!(trusted || !inbound.caller.is_asserted);
        let variables = inbound.variables();
        prop_assert!(variables.len() <= 64 + 10);
        prop_assert!(variables.values().all(|value| value.len() <= 1024 && !value.chars().any(char::is_control)));
    }
}
