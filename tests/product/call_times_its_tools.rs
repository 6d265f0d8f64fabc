//! A model calls a tool that there is and one that there is none of: the metrics have how long it waited for each, by what
//! came of it.

use serde_json::{Value, json};
use trunkline_tests::caller::script;
use trunkline_tests::gateway::{Gateway, Options};
use trunkline_tests::live::{Live, instant_agent};
use trunkline_tests::model::{Answer, Model};
use trunkline_tests::objects;

/// How many tools the metrics have counted, of those with an outcome or of a length.
fn counted(page: &str, series: &str) -> u64 {
    let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok());
    line.unwrap_or_else(|| panic!("{series} in {page}"))
}

#[test]
fn how_long_tools_take_is_in_the_metrics() {
    let scratch = tempfile::tempdir().unwrap();
    let answer = |request: &Value| {
        let asked = request["messages"].as_array().unwrap();
        let results = asked.iter().filter(|message| message["role"] == "tool").count();
        let tool = ["weather", "hang_up"][results.min(1)];
        Answer { tool: Some((tool.to_owned(), json!({}))), ..Answer::default() }
    };
    let model = Model::start(answer).unwrap();
    let mut agent = instant_agent("Hello.", &["Are you open?"], model.provider(), json!({}));
    agent["tools"] = json!([{ "name": "hang_up" }]);
    let (name, hosts) = Model::granted(&[&model]);
    let options = Options::default().with(name, &hosts);
    let gateway = Gateway::standalone(scratch.path(), &objects::answering(&agent).unwrap(), options).unwrap();
    gateway.await_agents(1).unwrap();
    let steps = json!({ "voice": "rms", "steps": [
        { "wait_for_agent": { "quiet_ms": 300 } }, { "say": { "text": "are you open" } }, { "wait_for_hang_up": {} },
    ] });
    let call = Live::call(&gateway, "1000", 1, script(&steps).unwrap()).unwrap();

    let page = gateway.metrics().unwrap();
    for (outcome, tools) in [("answered", 1), ("failed", 1)] {
        let labels = format!("{{outcome=\"{outcome}\"}}");
        assert_eq!(counted(&page, &format!("trunkline_tool_seconds_count{labels}")), tools, "{:#?}", call.events);
        let soon = format!("trunkline_tool_seconds_bucket{{le=\"10.0\",outcome=\"{outcome}\"}}");
        assert_eq!(counted(&page, &soon), tools);
    }
}
