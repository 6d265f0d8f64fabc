//! What is redacted, what is left alone, and that streams are redacted like whole texts.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use trunkline_plugin_kit::redactor::{Channel, Count, Policy, Redactor};
use trunkline_plugin_pii::Session;

fn session(types: &[&str]) -> Session {
    let entity_types = types.iter().map(|name| (*name).to_owned()).collect();
    Session::open(Policy { entity_types, languages: Vec::new() }).unwrap()
}

fn redact(text: &str) -> String {
    session(&[]).redact(Channel::Transcript, text).unwrap().text
}

#[test]
fn each_kind_is_replaced_by_its_name() {
    for (text, redacted) in [
        ("My card is 4111 1111 1111 1111, thanks", "My card is [card-number], thanks"),
        ("4111-1111-1111-1111", "[card-number]"),
        ("amex 378282246310005.", "amex [card-number]."),
        (
            "it is four one one one, one one one one, one one one one, one one one one please",
            "it is [card-number] please",
        ),
        ("four triple one double one double one double one double one double one one one ok", "[card-number] ok"),
        ("call me on +44 20 7946 0958 today", "call me on [phone-number] today"),
        ("(555) 234-5678", "[phone-number]"),
        ("ring 020 7946 0958", "ring [phone-number]"),
        ("0044 20 7946 0958", "[phone-number]"),
        ("98765 43210 is my mobile", "[phone-number] is my mobile"),
        ("write to Ada.Byron+x@example.co.uk.", "write to [email-address]."),
        ("a@b.com,c@d.org", "[email-address],[email-address]"),
        ("IBAN GB29 NWBK 6016 1331 9268 19 at home", "IBAN [iban] at home"),
        ("de89370400440532013000", "[iban]"),
        ("aadhaar 2341 2341 2346", "aadhaar [aadhaar]"),
        ("४१११ ११११ ११११ ११११", "[card-number]"),
        ("two cards 4111111111111111 5500000000000004 end", "two cards [card-number] [card-number] end"),
    ] {
        assert_eq!(redact(text), redacted);
    }
}

#[test]
fn other_numbers_are_left_alone() {
    for text in [
        "order 4111 1111 1111 1112",
        "it costs 1,234.56 pounds",
        "at 10:30 on 21/11/2026",
        "room 42, code 123456",
        "one two three",
        "no one is free",
        "aadhaar 2341 2341 2347",
        "name@host and @handle",
        "version 1.2.3.4",
    ] {
        assert_eq!(redact(text), text);
    }
}

#[test]
fn a_policy_narrows_what_is_redacted() {
    let text = "card 4111111111111111 mail a@b.com";
    let mut cards = session(&["card-number"]);
    let redaction = cards.redact(Channel::Log, text).unwrap();
    assert_eq!(redaction.text, "card [card-number] mail a@b.com");
    assert_eq!(redaction.counts, [Count { entity_type: "card-number".to_owned(), count: 1 }]);
    assert_eq!(
        session(&["email-address"]).redact(Channel::Log, text).unwrap().text,
        "card 4111111111111111 mail [email-address]"
    );
    let refused = Session::open(Policy { entity_types: vec!["shoe-size".to_owned()], languages: Vec::new() });
    assert!(refused.unwrap_err().contains("shoe-size"));
}

#[test]
fn ordinary_words_are_not_held_back() {
    let mut session = session(&[]);
    let mut delta = |text: &str| session.redact_delta(Channel::LlmOutput, text, false).unwrap().text;
    assert_eq!(delta("Hello the"), "Hello ");
    assert_eq!(delta("re, my "), "there, my ");
    assert_eq!(delta("card is 4111 1111"), "card is ");
    assert_eq!(delta(" 1111 1111 so"), "");
    assert_eq!(delta("rry "), "[card-number] sorry ");
}

#[test]
fn channels_do_not_mix() {
    let mut session = session(&[]);
    assert_eq!(session.redact_delta(Channel::LlmOutput, "4111 1111 ", false).unwrap().text, "");
    assert_eq!(session.redact_delta(Channel::Transcript, "1111 1111", true).unwrap().text, "1111 1111");
    assert_eq!(session.redact_delta(Channel::LlmOutput, "1111 1111", true).unwrap().text, "[card-number]");
}

fn tally(counts: Vec<Count>, into: &mut BTreeMap<String, u32>) {
    for count in counts {
        *into.entry(count.entity_type).or_default() += count.count;
    }
}

/// Text that is rich in entities, near misses and separators.
fn material() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("4111 1111 1111 1111".to_owned()),
        Just("4111111111111111".to_owned()),
        Just("GB29 NWBK 6016 1331 9268 19".to_owned()),
        Just("four one one one one one one one one one one one one one one one".to_owned()),
        Just("double triple oh".to_owned()),
        Just("+44 20 7946 0958".to_owned()),
        Just("2341 2341 2346".to_owned()),
        Just("ada@example.com".to_owned()),
        "[a-z]{1,9}",
        "[0-9 ().,+-]{1,30}",
        "[A-Za-z0-9@.]{1,20}",
        "\\PC{0,6}",
        " {1,6}",
        Just("\n".to_owned()),
        Just("9".repeat(600)),
        Just("7 ".repeat(700)),
    ];
    prop::collection::vec(part, 0..12).prop_map(|parts| parts.join(" "))
}

proptest! {
    #[test]
    fn a_stream_is_redacted_like_the_whole(text in material(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20)) {
        let whole = session(&[]).redact(Channel::LlmOutput, &text).unwrap();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| text.floor_char_boundary(cut.index(text.len() + 1))).collect();
        cuts.extend([0, text.len()]);
        cuts.sort_unstable();
        let mut stream = session(&[]);
        let (mut streamed, mut counts) = (String::new(), BTreeMap::new());
        for pair in cuts.windows(2) {
            let redaction = stream.redact_delta(Channel::LlmOutput, &text[pair[0]..pair[1]], false).unwrap();
            streamed.push_str(&redaction.text);
            tally(redaction.counts, &mut counts);
        }
        let last = stream.redact_delta(Channel::LlmOutput, "", true).unwrap();
        streamed.push_str(&last.text);
        tally(last.counts, &mut counts);
        prop_assert_eq!(streamed, whole.text);
        let mut expected = BTreeMap::new();
        tally(whole.counts, &mut expected);
        prop_assert_eq!(counts, expected);
    }

    #[test]
    fn no_card_survives_whatever_stands_around_it(before in "\\PC{0,40}", after in "\\PC{0,40}") {
        let text = format!("{before} card: 4111 1111 1111 1111 ; {after}");
        prop_assert!(!redact(&text).contains("1111 1111"));
    }

    #[test]
    fn any_text_is_survived(text in "\\PC{0,300}") {
        redact(&text);
    }
}
