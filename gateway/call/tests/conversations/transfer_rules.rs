//! To whom an agent may pass callers on: its list, and numbers that its author let through. No caller talks a model into
//! more.

use serde_json::{Value, json};
use trunkline_api::EventType;
use trunkline_api::transfer::TransferMode;
use trunkline_api::words::ToolAction;
use trunkline_call::{Command, Operator, ToolOutcome};
use trunkline_leg::RefusalCause;

use crate::rig::second_leg::Person;
use crate::rig::{Rig, agent, reply, tool_reply};

fn asked_for(to: &str, transfer: Value) -> Rig {
    let arguments = json!({ "to": to }).to_string();
    let scripts = vec![tool_reply("", "transfer", &arguments), reply("I cannot do that.")];
    let spec = agent(1, 1, 1, json!({ "tools": [{ "name": "transfer" }], "transfer": transfer }));
    let mut rig = Rig::new(spec, &[]).scripts(scripts);
    rig.second.people = vec![Person::Refuses(RefusalCause::Busy, 500)];
    rig.caller_says(1000, 500, "put me through");
    rig.run_until(12_000);
    rig
}

fn dialled(rig: &Rig) -> Vec<String> {
    rig.telephone().into_iter().filter(|command| command.starts_with("dial")).collect()
}

#[test]
fn the_list_holds() {
    let list = json!({ "targets": [{ "name": "sales", "to": "+4930555" }] });
    assert_eq!(dialled(&asked_for("Sales", list.clone())), ["dial 2 +4930555"]);
    assert_eq!(dialled(&asked_for("0049 30 555", list.clone())), ["dial 2 +4930555"], "the same number");
    for wrong in ["+88213123456", "+4930556", "sip:me@evil.example", "", "support"] {
        let rig = asked_for(wrong, list.clone());
        assert_eq!(dialled(&rig), Vec::<String>::new(), "{wrong}");
        assert_eq!(rig.only(EventType::ToolReturned)["is_error"], true);
        assert_eq!(rig.only(EventType::ToolReturned)["output"], "that may not be dialled; possible are: sales");
        assert_eq!(*rig.said().last().unwrap(), "I cannot do that.");
    }
}

#[test]
fn other_numbers_only_within_their_prefixes() {
    let home = json!({ "allow_any": true, "prefixes": ["+49"], "denied_prefixes": ["+49900"] });
    assert_eq!(dialled(&asked_for("+49 (0)30 123-4567", home.clone())), ["dial 2 +49301234567"]);
    for abroad in ["+1 212 555 0100", "0088213123456", "+49 900 123456", "030 1234567"] {
        assert_eq!(dialled(&asked_for(abroad, home.clone())), Vec::<String>::new(), "{abroad}");
    }
}

#[test]
fn without_a_list_there_is_nobody() {
    let rig = asked_for("sales", json!({}));
    assert_eq!(dialled(&rig), Vec::<String>::new());
    let output = rig.only(EventType::ToolReturned)["output"].as_str().unwrap().to_owned();
    assert!(output.starts_with("there is nobody to pass the caller on to"), "{output}");
}

#[test]
fn the_model_is_told_whom_there_is() {
    let list =
        json!({ "targets": [{ "name": "sales", "to": "1", "description": "prices" }, { "name": "help", "to": "2" }] });
    let rig = asked_for("sales", list);
    let tools = rig.commands.iter().find_map(|(_, command)| match command {
        Command::StartLlm { tools, .. } => Some(tools.clone()),
        _ => None,
    });
    let tool = tools.unwrap().remove(0);
    let parameters: Value = serde_json::from_str(&tool.parameters).unwrap();
    assert_eq!(parameters["properties"]["to"]["enum"], json!(["sales", "help"]));
    assert!(tool.description.contains("`sales`: prices"), "{}", tool.description);
}

#[test]
fn a_tools_own_transfer_obeys_the_same_rules() {
    for (to, dialled_to) in [("sales", Some("dial 2 +4930555")), ("+4930999999", None)] {
        let spec = agent(
            1,
            1,
            1,
            json!({
                "tools": [{ "name": "desk" }], "transfer": { "targets": [{ "name": "sales", "to": "+4930555" }] },
            }),
        );
        let mut rig = Rig::new(spec, &[]).scripts(vec![tool_reply("", "desk", "{}"), reply("Well."), reply("Hm.")]);
        rig.second.people = vec![Person::Refuses(RefusalCause::Busy, 500)];
        let actions = vec![ToolAction::Transfer(to.to_owned())];
        let outcome = ToolOutcome { output: "ok".to_owned(), is_error: false, actions, failure: None };
        rig.tools.insert("desk".to_owned(), Some((100, outcome)));
        rig.caller_says(1000, 500, "the desk please");
        rig.run_until(15_000);
        assert_eq!(dialled(&rig), dialled_to.into_iter().collect::<Vec<_>>(), "{to}");
        assert_eq!(rig.failures().len(), usize::from(dialled_to.is_none()));
    }
}

#[test]
fn an_operator_may_name_anybody() {
    let mut rig = Rig::new(agent(1, 1, 1, json!({})), &["Back again."]);
    rig.second.people = vec![Person::Answers(1000)];
    let to = "+33123456789".to_owned();
    rig.operator(2000, Operator::Transfer { to, mode: Some(TransferMode::Bridge), briefing: String::new() });
    rig.run_until(10_000);
    assert_eq!(dialled(&rig), ["dial 2 +33123456789"]);
    assert_eq!(rig.outcomes(), ["completed"]);
    assert_eq!(rig.only(EventType::TransferStarted)["by"], "operator");
}

#[test]
fn a_model_that_dials_in_a_circle_is_stopped() {
    let mut scripts = vec![];
    for _ in 0..20 {
        scripts.push(tool_reply("", "transfer", r#"{"to":"sales"}"#));
    }
    scripts.push(reply("Enough."));
    let spec = agent(
        1,
        1,
        1,
        json!({
            "tools": [{ "name": "transfer" }], "transfer": { "targets": [{ "name": "sales", "to": "1" }], "hold_say": "" },
            "limits": { "caller_silence_ms": 100_000 },
        }),
    );
    let mut rig = Rig::new(spec, &[]).scripts(scripts);
    rig.second.people = vec![Person::Refuses(RefusalCause::Busy, 100); 40];
    rig.caller_says(1000, 500, "sales");
    rig.run_until(100_000);
    assert_eq!(dialled(&rig).len(), 16);
    assert_eq!(*rig.said().last().unwrap(), "Enough.");
}
