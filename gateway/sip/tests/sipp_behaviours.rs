//! What peers expect of SIP, a behaviour a scenario, as SIPp calls us (`tests/sipp/calling`) and as we call SIPp
//! (`tests/sipp/called`). Many scenarios share one endpoint. What drachtio and Jambonz send is among them.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

use support::exchange::{Called, Exchange, Role, Told};
use trunkline_sip::auth::Credentials;
use trunkline_sip::variables::Inbound;
use trunkline_sip::{Kept, KeptRegistration, TrunkToken};

/// As it is configured by default.
static USUAL: LazyLock<Exchange> = LazyLock::new(|| Exchange::start(|_| ()));
/// Sessions may be of seconds, so that a test sees their end.
static BRIEF: LazyLock<Exchange> = LazyLock::new(|| Exchange::start(|config| config.timers.min_se_s = 1));

fn calling(scenario: &str, role: Role) -> Told {
    USUAL.calling(scenario, role, &[])
}

fn called(scenario: &str, role: Role) -> Told {
    USUAL.called(scenario, role, |_| ())
}

/// The same in both directions.
fn both(scenario: &str, role: Role) -> [Told; 2] {
    [calling(scenario, role), called(scenario, role)]
}

/// Whether all of these were told, in this order.
fn in_order(told: &Told, expected: &[&str]) {
    let mut news = told.news.iter();
    assert!(expected.iter().all(|one| news.any(|other| other == one)), "{expected:?} in {:?}", told.news);
}

fn credentials() -> Option<Credentials> {
    Some(Credentials { user: "gw".to_owned(), password: "secret".to_owned().into(), realm: None })
}

#[test]
fn offers_may_be_delayed_in_an_invite_and_a_reinvite() {
    in_order(&calling("delayed_offer", Role::Answers), &["invite without an offer", "acked with an answer", "bye "]);
    for told in both("reinvite_without_offer", Role::Answers) {
        in_order(&told, &["change", "acked with an answer", "bye "]);
    }
}

#[test]
fn a_session_changes_by_reinvite_and_update() {
    both("update", Role::Answers);
    for told in both("codec_and_address_change", Role::Answers) {
        in_order(&told, &["change", "acked", "bye "]);
    }
}

#[test]
fn hold_is_taken_in_each_of_its_forms_and_offered() {
    for told in both("hold", Role::Answers) {
        in_order(&told, &["change", "change", "change", "change", "bye "]);
    }
    both("hold_of_ours", Role::Holds);
}

#[test]
fn two_changes_at_once_are_told_apart() {
    for told in both("glare", Role::Holds) {
        in_order(&told, &["offer refused 491"]);
    }
    for told in both("second_reinvite", Role::Thinks) {
        in_order(&told, &["change", "key 5", "acked", "bye "]);
        assert_eq!(told.news.iter().filter(|news| *news == "change").count(), 1);
    }
}

#[test]
fn what_cannot_be_met_is_refused_with_the_reason_and_leaves_the_call_up() {
    for told in both("fax", Role::Answers) {
        in_order(&told, &["change", "key 5", "bye "]);
    }
    both("unknown_require", Role::Answers);
    both("old_cseq", Role::Answers);
    both("refer_to_us", Role::Answers);
}

#[test]
fn a_call_that_cannot_be_met_is_refused_with_the_reason() {
    calling("no_common_codec", Role::Answers);
    calling("unknown_require_in_invite", Role::Answers);
    calling("same_call_by_two_ways", Role::Rings);
    calling("busy", Role::IsBusy);
    calling("several_streams", Role::Answers);
}

#[test]
fn keys_by_info_are_told_in_their_order() {
    for told in both("digits", Role::Answers) {
        in_order(&told, &["key 7", "key *", "key 0", "key #", "bye "]);
    }
}

#[test]
fn both_ends_say_why_they_hang_up_and_may_do_so_at_once() {
    for told in both("reason_of_theirs", Role::Answers) {
        in_order(&told, &["bye Q.850;cause=31;text=\"Normal, unspecified\""]);
    }
    both("reason_of_ours", Role::HangsUp);
    both("byes_that_cross", Role::HangsUp);
}

#[test]
fn the_far_end_is_asked_to_dial_and_tells_how_far_it_is() {
    for told in both("refer_of_ours", Role::Refers) {
        in_order(&told, &["referral 100", "referral 180", "referral 200"]);
    }
}

#[test]
fn sound_and_acknowledged_ringing_come_before_the_answer() {
    calling("early_media", Role::SoundsEarly);
    in_order(&called("early_media", Role::HangsUp), &["ringing 183 of 0 with sound", "answered by 0"]);
    calling("reliable_ringing", Role::Answers);
    in_order(
        &called("reliable_ringing", Role::HangsUp),
        &["ringing 180 of 0", "ringing 183 of 0 with sound", "answered by 0"],
    );
}

#[test]
fn session_timers_are_agreed_on() {
    calling("session_timer", Role::Answers);
    called("session_timer", Role::Answers);
}

#[test]
fn sessions_are_refreshed_by_us() {
    BRIEF.calling("session_refreshed_by_us", Role::Answers, &[]);
    BRIEF.called("session_refreshed_by_us", Role::Answers, |_| ());
}

#[test]
fn sessions_that_nobody_refreshes_end() {
    in_order(&BRIEF.calling("session_expires", Role::Answers, &[]), &["failed 408"]);
    in_order(&BRIEF.called("session_expires", Role::Answers, |_| ()), &["failed 408"]);
}

#[test]
fn cancels_and_answers_may_cross() {
    in_order(&calling("cancel_after_answer", Role::Answers), &["acked", "bye "]);
    in_order(&called("cancelled", Role::TakesBack), &["ringing 180 of 0", "refused 487"]);
    called("cancel_crosses_answer", Role::TakesBack);
}

#[test]
fn the_way_through_a_proxy_with_two_sides_is_taken() {
    both("double_record_route", Role::HangsUp);
}

#[test]
fn every_answer_says_what_is_served_and_where_we_are_and_nothing_else() {
    calling("truthful_headers", Role::Answers);
}

#[test]
fn a_password_is_asked_for_and_given() {
    // SIPp reads the first challenge alone, which is not of MD5: what a right answer to it does is shown by `calls_with_passwords`.
    USUAL.calling("password", Role::Answers, &["-i", "127.0.0.2"]);
    USUAL.called("password", Role::HangsUp, |call| call.credentials = credentials());
}

#[test]
fn a_ping_is_answered_and_told_when_we_drain() {
    calling("options_ping", Role::Answers);
    let draining = Exchange::start(|_| ());
    draining.endpoint.set_draining(true);
    draining.calling("draining", Role::Answers, &[]);
}

#[test]
fn calls_of_jambonz_bring_their_headers_and_move_their_sound() {
    let told = calling("jambonz_call", Role::Answers);
    let variables = Inbound::read(&told.from, &told.headers, false).variables();
    for (name, value) in [
        ("x_account_sid", "ed649e33-e771-403a-8c99-1780eabbc803"),
        ("x_call_sid", "fff49e33-e771-403a-8c99-1780eabbc803"),
        ("x_application_sid", "0e0681b0-d49f-4fb8-b973-b5a3c6758de1"),
        ("x_cid", "6f0c1e2a-7d0d-123d-5a9e-0242ac120005"),
        ("x_originating_carrier", "carrier-a"),
    ] {
        assert_eq!(variables.get(name).map(String::as_str), Some(value), "{name} in {variables:?}");
    }
    in_order(&calling("jambonz_dial", Role::Answers), &["change", "acked", "change", "acked", "bye "]);
}

#[test]
fn who_calls_and_for_whom_it_was_meant_is_read() {
    let told = calling("identity", Role::Answers);
    let variables = Inbound::read(&told.from, &told.headers, true).variables();
    for (name, value) in [
        ("sip_caller", "+4930100"),
        ("sip_caller_asserted", "true"),
        ("sip_privacy", "id"),
        ("sip_diverted_from", "+4930200"),
        ("sip_diversion_reason", "no-answer"),
    ] {
        assert_eq!(variables.get(name).map(String::as_str), Some(value), "{name} in {variables:?}");
    }
    assert!(variables.contains_key("sip_user_to_user"), "{variables:?}");
}

#[test]
fn a_call_of_ours_rings_and_is_answered_by_the_first_of_two() {
    in_order(&called("answered", Role::HangsUp), &["trying", "ringing 180 of 0", "answered by 0"]);
    in_order(
        &called("forked", Role::HangsUpOnKey),
        &["ringing 180 of 0", "ringing 180 of 1", "answered by 1", "key 5"],
    );
}

#[test]
fn refusals_of_our_calls_are_told_and_redirections_not_followed() {
    in_order(&called("busy", Role::Answers), &["refused 486 Q.850;cause=17"]);
    in_order(&called("redirected", Role::Answers), &["refused 302"]);
}

#[test]
fn the_next_server_is_tried_where_one_cannot_serve() {
    let (first, second) = (Called::start("unavailable"), Called::start("answered"));
    USUAL.call(&second, Role::HangsUp, |call| call.servers.insert(0, first.server()));
    first.succeeded();
    second.succeeded();
}

#[test]
fn a_trunk_is_pinged_and_believed() {
    let keeper = Exchange::start(|_| ());
    let trunk = TrunkToken("trk_test".into());
    let was_up = std::cell::Cell::new(false);
    keeper.keeps(
        "pinged",
        |kept| Kept { ping_ms: Some(1000), ..kept },
        |endpoint| {
            let takes_calls = endpoint.dialler().trunk(&trunk).is_some_and(|status| status.takes_calls);
            was_up.set(was_up.get() || takes_calls);
            was_up.get() && !takes_calls
        },
    );
}

#[test]
fn we_register_with_a_password_and_take_it_back() {
    let keeper = Exchange::start(|_| ());
    let registration = KeptRegistration { user: "1000".to_owned(), expires_s: 3600, credentials: credentials() };
    keeper.keeps(
        "registrar",
        |kept| Kept { registration: Some(registration), ..kept },
        |endpoint| endpoint.dialler().trunks().iter().any(|status| status.registered == Some(true)),
    );
}

#[test]
fn every_scenario_is_run() {
    let source = include_str!("sipp_behaviours.rs");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sipp");
    let mut missing = BTreeSet::new();
    for direction in ["calling", "called"] {
        for entry in std::fs::read_dir(folder.join(direction)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            if ![direction, "both", "start", "keeps"].iter().any(|by| is_run(source, by, &name)) {
                missing.insert(format!("{direction}/{name}"));
            }
        }
    }
    assert!(missing.is_empty(), "no test runs {missing:?}");
}

/// Whether a call of a function in the source names a scenario first.
fn is_run(source: &str, by: &str, name: &str) -> bool {
    let flat: String = source.split_whitespace().collect();
    flat.contains(&format!("{by}(\"{name}\""))
}
