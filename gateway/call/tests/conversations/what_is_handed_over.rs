//! Whoever is dialled for a caller is handed what came with the call: what applications tell each other by way of the redactor,
//! who calls as it was signed, and nothing else.

use serde_json::json;
use trunkline_leg::RefusalCause;

use crate::rig::second_leg::Person;
use crate::rig::{Rig, agent, reply, tool_reply};

const SIGNED: &str = "a.b12345.c;info=<https://cert.example>";

#[test]
fn what_is_signed_is_handed_over_as_it_came_and_what_only_describes_the_call_is_not() {
    let more = json!({
        "tools": [{ "name": "transfer" }],
        "transfer": { "targets": [{ "name": "sales", "to": "+4930555" }] },
        "redaction": { "redactor": "pii", "channels": ["llm-input"] },
    });
    let given = [("sip_caller", "+49301"), ("sip_identity", SIGNED), ("x_plan", "gold 12345")];
    let scripts = vec![tool_reply("", "transfer", &json!({ "to": "sales" }).to_string()), reply("Nobody is there.")];
    let mut rig = Rig::given(agent(1, 1, 1, more), &given, &[]).scripts(scripts);
    rig.second.people = vec![Person::Refuses(RefusalCause::Busy, 500)];
    rig.caller_says(1000, 500, "put me through");
    rig.run_until(12_000);
    let handed: Vec<(String, String)> = rig.handed_over();
    let expected = [("x_plan", "gold *****"), ("sip_identity", SIGNED)];
    assert_eq!(handed, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
}
