//! What the command writes passes the loader as it lies, and so do the examples, which it wrote.

use std::path::{Path, PathBuf};

use serde_json::Value;
use trunkline_api::agent::AgentSpec;
use trunkline_plugin_host::Capability;

use super::agent::Agent;
use super::leaving::OutboundRoute;
use super::plain::{Route, Tenant, Trunk};
use super::*;
use crate::plugins::Installed;

fn installed(names: &[&str]) -> Vec<Installed> {
    let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../plugins/providers");
    let plugin = |name: &&str| {
        let manifest: toml::Table =
            std::fs::read_to_string(source.join(name).join("plugin.toml")).unwrap().parse().unwrap();
        let capability = match *name {
            "grammar" => Capability::Asr,
            "espeak" => Capability::Tts,
            _ => Capability::Llm,
        };
        Installed {
            name: (*name).to_owned(),
            capability,
            description: manifest["description"].as_str().unwrap().to_owned(),
            schema: Some(source.join(name).join("settings.schema.json")),
        }
    };
    names.iter().map(plugin).collect()
}

const SHIPPED: [&str; 4] = ["espeak", "grammar", "openai", "scripted"];

/// Every example by file name.
fn examples() -> Vec<(String, String)> {
    let id = |prefix: &str| format!("{prefix}_01kc000000700080000000000{}", 1).parse::<Id>().unwrap();
    let (tenant, trunk, agent, route, out) = (id("ten"), id("trk"), id("agt"), id("rte"), id("ort"));
    let example = Agent::example("reception");
    let cast = example.cast(&installed(&SHIPPED), Path::new("/plugins")).unwrap();
    let made = [
        Tenant::default().with_id(&tenant),
        Trunk::example().with_id(&trunk, &tenant).unwrap(),
        example.with_id(&agent, &tenant, &cast),
        Route::example().with_id(&route, &tenant, ("reception", &agent), None).unwrap(),
        OutboundRoute::example().with_id(&out, &tenant, &[("carrier", &trunk)]),
    ];
    made.into_iter().map(|made| (made.path(Path::new("")).display().to_string(), made.text)).collect()
}

fn load(folder: &Path) -> Result<Loaded, String> {
    let file = folder.join("trunkline.toml");
    std::fs::write(&file, "profile = \"dev\"\n").unwrap();
    let said = |faults: Vec<trunkline_configuration::Diagnostic>| {
        faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    crate::config::load(Some(&file), &[]).map_err(said)
}

#[test]
fn the_examples_are_what_the_command_writes_and_work_as_they_lie() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../config/objects");
    let scratch = tempfile::tempdir().unwrap();
    for (name, text) in examples() {
        if std::env::var_os("TRUNKLINE_BLESS").is_some() {
            written::replace(&folder.join(&name), &text).unwrap();
        }
        let kept = std::fs::read_to_string(folder.join(&name)).unwrap_or_default();
        assert!(kept == text, "config/objects/{name} is out of date: run this test with TRUNKLINE_BLESS=1");
        written::create(&scratch.path().join("conf.d/objects").join(&name), &kept).unwrap();
    }
    let loaded = load(scratch.path()).unwrap();
    assert_eq!(loaded.objects.len(), 5);
    assert_eq!(check::next_step(&loaded), None);
}

#[test]
fn an_agents_file_shows_every_key_there_is() {
    let (_, text) = examples().swap_remove(2);
    let schema = Value::from(schemars::schema_for!(AgentSpec));
    let shows = |key: &str| {
        text.lines().any(|line| {
            let line = line.trim_start_matches("# ");
            line.starts_with(&format!("{key} = ")) || line.contains(&format!("object.body.{key}"))
        })
    };
    let mut missing = Vec::new();
    for key in schema["properties"].as_object().unwrap().keys() {
        if !shows(key) {
            missing.push(key.clone());
        }
    }
    let tables = [
        "ContextPolicy",
        "ToolUse",
        "Handoff",
        "LookupPolicy",
        "Guardrails",
        "SoundPolicy",
        "TurnPolicy",
        "InterruptionPolicy",
        "SpeechPolicy",
        "TransferPolicy",
        "AnsweringPolicy",
        "Redaction",
        "Recording",
        "Limits",
        "Survival",
        "AfterCall",
    ];
    for table in tables {
        let keys = schema["$defs"][table]["properties"].as_object().unwrap_or_else(|| panic!("no {table}")).keys();
        missing.extend(keys.filter(|key| !shows(key)).map(|key| format!("{table}.{key}")));
    }
    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn an_agent_takes_the_plugins_that_are_there_and_says_what_is_missing() {
    let folder = Path::new("/plugins");
    let agent = Agent::example("a");
    let refused = |agent: &Agent, names: &[&str]| agent.cast(&installed(names), folder).err().unwrap().to_string();
    let said = refused(&agent, &["grammar", "scripted"]);
    assert!(said.contains("/plugins has none to choose") && said.contains("trunkline-plugin-espeak"), "{said}");
    let said = refused(&Agent::example("a").with("openai", &[]), &SHIPPED);
    assert_eq!(said, "plugin `openai` needs --setting llm.model=...");
    let said = refused(&Agent::example("a").with("openai", &["llm.modle=x"]), &SHIPPED);
    assert!(said.contains("no setting `modle`; did you mean `model`?"), "{said}");
    let said = refused(&Agent::example("a").with("gpt", &[]), &SHIPPED);
    assert!(said.contains("no llm-provider of that name in /plugins (there: openai, scripted)"), "{said}");
    let said = refused(&Agent::example("a").with("openai", &["model=x"]), &SHIPPED);
    assert!(said.contains("begins with `asr.`, `llm.` or `tts.`"), "{said}");

    let id = |prefix| mint(prefix).unwrap();
    let openai = Agent::example("a").with("openai", &["llm.model=gpt-4o-mini", "llm.temperature=0.2"]);
    let cast = openai.cast(&installed(&SHIPPED), folder).unwrap();
    let text = openai.with_id(&id(Prefix::Agent), &id(Prefix::Tenant), &cast).text;
    assert!(text.contains("\nmodel = \"gpt-4o-mini\"\n") && text.contains("\ntemperature = 0.2\n"), "{text}");
    let speaks_only = agent.cast(&installed(&["espeak"]), folder).unwrap();
    let text = agent.with_id(&id(Prefix::Agent), &id(Prefix::Tenant), &speaks_only).text;
    let scratch = tempfile::tempdir().unwrap();
    let objects = scratch.path().join("conf.d/objects");
    written::create(&objects.join("a.toml"), &text).unwrap();
    assert_eq!(load(scratch.path()).unwrap().objects.len(), 1);
}

/// A configuration folder that the command is typed in.
struct Typed(tempfile::TempDir);

impl Typed {
    fn run(&self, new: New) -> u8 {
        let config = self.0.path().join("trunkline.toml");
        std::fs::write(&config, "").unwrap();
        let set = vec!["profile=dev".to_owned()];
        super::run(&Configuration { config: Some(config), set, profile: None }, &new)
    }

    fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path().join("conf.d/objects")).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

fn parsed(arguments: &[&str]) -> New {
    #[derive(clap::Parser)]
    struct Line {
        #[command(subcommand)]
        new: New,
    }
    let line = ["new"].into_iter().chain(arguments.iter().copied());
    <Line as clap::Parser>::try_parse_from(line).unwrap().new
}

#[test]
fn names_are_resolved_a_tenant_is_made_on_demand_and_nothing_is_written_over() {
    let typed = Typed(tempfile::tempdir().unwrap());
    let type_in = |arguments: &[&str]| typed.run(parsed(arguments));
    assert_eq!(type_in(&["route", "--to", "reception"]), exit::CONFIGURATION);
    assert!(typed.files().is_empty());
    assert_eq!(type_in(&["trunk", "--name", "My Carrier", "--peer", "203.0.113.7"]), exit::OK);
    assert_eq!(typed.files(), ["tenant-default.toml", "trunk-my-carrier.toml"]);
    // A second trunk of that name, one of the same addresses, and one that is none.
    for (name, peer) in [("My Carrier", "203.0.113.8"), ("other", "203.0.113.7"), ("wrong", "203.0.113.700")] {
        assert_eq!(type_in(&["trunk", "--name", name, "--peer", peer]), exit::CONFIGURATION, "{name}");
    }
    for name in ["", "  ", "line\nbreak", "bell\u{7}", &"x".repeat(101)] {
        assert_eq!(type_in(&["trunk", "--name", name, "--peer", "203.0.113.9"]), exit::CONFIGURATION, "{name:?}");
    }
    assert_eq!(typed.files().len(), 2);
    let (_, agent) = examples().swap_remove(2);
    let loaded = load(typed.0.path()).unwrap();
    let tenant = loaded.objects[0].tenant.to_string();
    let agent = agent.replace(&loaded_tenant(&agent), &tenant);
    written::create(&typed.0.path().join("conf.d/objects/agent.toml"), &agent).unwrap();
    assert_eq!(type_in(&["route", "--to", "reception", "--trunk", "My Carrier", "--called", "+49*"]), exit::OK);
    assert_eq!(type_in(&["number", "--number", "+4930123456", "--to", "reception"]), exit::OK);
    assert_eq!(typed.files().len(), 5);
    let loaded = load(typed.0.path()).unwrap();
    let route = loaded.objects.iter().find(|object| object.kind == Kind::Route).unwrap();
    let trunk = loaded.objects.iter().find(|object| object.kind == Kind::Trunk).unwrap();
    assert_eq!(
        (route.body["trunk"].as_str(), route.body["called"].as_str()),
        (Some(trunk.id.to_string().as_str()), Some("+49*"))
    );
    assert_eq!(type_in(&["route", "--to", "receptoin"]), exit::CONFIGURATION);
    let out = |name: &str, to: &str, trunk: &str| {
        type_in(&["outbound-route", "--name", name, "--to", to, "--deny", "+49900*", "--trunk", trunk])
    };
    assert_eq!(out("home", "+49*", "My Carrier"), exit::OK);
    assert_eq!(out("typo", "+49*", "My Carier"), exit::CONFIGURATION);
    assert_eq!(out("any", "*", "My Carrier"), exit::CONFIGURATION, "that names nothing by accident");
    let loaded = load(typed.0.path()).unwrap();
    let (table, problems) = trunkline_route::Table::build(&loaded.objects);
    assert_eq!(problems, []);
    let leaves = |to: &str| {
        use trunkline_route::outbound::{NoTrunkLoad, OutboundRequest, way};
        let tenant = tenant.parse().unwrap();
        let r#use = trunkline_api::outbound::OutboundUse::Dial;
        let request = OutboundRequest { tenant: &tenant, r#use, agent: None, to, wall_us: 0 };
        way(&table, &request, &NoTrunkLoad).outcome.is_ok()
    };
    assert!(leaves("+4930123456") && !leaves("+49900123456") && !leaves("+33123456789"));
    assert_eq!(type_in(&["tenant", "--name", "second"]), exit::OK);
    assert_eq!(type_in(&["trunk", "--name", "x", "--peer", "192.0.2.1"]), exit::CONFIGURATION, "two tenants");
    assert_eq!(type_in(&["trunk", "--name", "x", "--peer", "192.0.2.1", "--tenant", "second"]), exit::OK);
}

fn loaded_tenant(text: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix("tenant = ")).unwrap();
    line.trim_matches('"').to_owned()
}
