//! Whole-product tests: real binaries, real peers, one behaviour a file, named `<area>_<behaviour>`.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod call_configuration_faults_have_file_line_and_key;
mod call_survives_a_crash_of_the_gateway;
mod call_the_demo_holds_two_different_conversations;
mod control_plane_enrolling_as_root_leaves_state_to_its_owner;
mod control_plane_may_be_gone_during_calls;
mod control_plane_refuses_bad_requests_with_problems;
mod control_plane_two_hosts_join_over_tls;
mod docs_are_in_order;
mod docs_commands_work_as_typed;
mod docs_features_are_shown_by_tests;
mod docs_kamailio_hands_calls_over_as_the_guide_says;
mod docs_name_only_what_exists;
mod documents;
mod media_survives_malformed_packets;
mod packaging_debs_are_in_order;
mod packaging_debs_live_their_whole_life;
mod packaging_images_answer;
mod packaging_releases_are_reproducible;
mod packaging_rpms_serve;
mod packaging_units_are_confined;
mod plugins_are_refused_by_name;
mod plugins_are_refused_unless_signed;
mod plugins_that_misbehave_end_only_their_session;
mod sip_completes_a_hundred_calls;
mod sip_survives_malformed_messages;
