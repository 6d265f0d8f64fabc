//! A secret that cannot be read does not keep the gateway from starting: calls to the agents whose plugins name it are
//! refused, the others are served, and `check` says which secret it is. Profile prod refuses one that others may read.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;
use trunkline_caller::Happened;
use trunkline_tests::caller::{Caller, script};
use trunkline_tests::gateway::{Gateway, Options};
use trunkline_tests::objects;

#[test]
fn an_agent_that_needs_it_is_refused_and_the_other_answered() {
    let scratch = tempfile::tempdir().unwrap();
    let mut remote = objects::offline_agent("Hello.");
    remote["name"] = "remote".into();
    remote["pipeline"]["cascade"]["llm"] = json!([{ "provider": "openai", "settings": { "model": "x" } }]);
    let agents = [("1000", objects::offline_agent("Hello.")), ("2000", remote)];
    let key = scratch.path().join("key");
    let options =
        Options::default().with("TRUNKLINE_SECRETS__OPENAI_API_KEY__FROM", &format!("file:{}", key.display()));
    let gateway = Gateway::standalone(scratch.path(), &objects::routed(&agents).unwrap(), options).unwrap();
    gateway.await_agents(2).unwrap();
    for (seed, to, status) in [(1, "1000", None), (2, "2000", Some(503))] {
        let listen = script(&json!({ "steps": [{ "wait_for_agent": { "quiet_ms": 300 } }] })).unwrap();
        let report = Caller::call(gateway.sip(), to, seed, listen).unwrap().finish().unwrap();
        let refused = report.events.iter().find_map(|event| match event.what {
            Happened::Refused { status, .. } => Some(status),
            _ => None,
        });
        assert_eq!(refused, status, "{to}: {:?}", report.events);
    }
    let check = || {
        let output = gateway.command(&["check"]).unwrap().output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = check();
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("secrets.openai_api_key.from") && said.contains("agent `remote`"), "{said}");

    std::fs::write(&key, "sk-test\n").unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let (code, said) = check();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("warning: ") && said.contains("open to everybody") && !said.contains("sk-test"), "{said}");
    let output = gateway.command(&["--profile", "prod", "check"]).unwrap().output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
}
