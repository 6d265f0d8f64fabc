//! What the documents name is there: link targets and anchors, paths, commands with their options, configuration keys.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use trunkline_tests::process::from_environment;

use crate::documents::{all, files, root};

#[test]
fn every_link_leads_to_a_file_and_every_anchor_to_a_heading() {
    let documents = all();
    let mut dead = Vec::new();
    let mut seen = 0;
    for document in &documents {
        let folder = Path::new(&document.name).parent().unwrap();
        for link in &document.links {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            seen += 1;
            let (target, anchor) = link.split_once('#').map_or((link.as_str(), None), |(file, at)| (file, Some(at)));
            let target = if target.is_empty() { document.name.clone() } else { plain(&folder.join(target)) };
            if !root().join(&target).exists() {
                dead.push(format!("{}: {link}: no such file", document.name));
            } else if let Some(anchor) = anchor
                && !documents.iter().any(|one| one.name == target && one.anchors.iter().any(|known| known == anchor))
            {
                dead.push(format!("{}: {link}: no such heading", document.name));
            }
        }
    }
    assert!(seen > 40, "only {seen} links were looked at");
    assert!(dead.is_empty(), "dead links:\n{}", dead.join("\n"));
}

/// A path without `..` and `.`.
fn plain(path: &Path) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.to_str().unwrap().split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." | "" => {}
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

#[test]
fn every_path_in_the_repository_that_is_named_is_there() {
    let folders: BTreeSet<String> =
        files("*").iter().filter_map(|file| file.split_once('/')).map(|(folder, _)| folder.to_owned()).collect();
    let mut missing = Vec::new();
    let mut seen = 0;
    for document in all() {
        let beside = root().join(Path::new(&document.name).parent().unwrap());
        for span in &document.spans {
            let Some((first, _)) = span.split_once('/') else { continue };
            if span.contains([' ', '<', '>', '{', '$', ':', '=']) || !first.starts_with(|c: char| c.is_alphabetic()) {
                continue;
            }
            let from = match () {
                () if folders.contains(first) => root(),
                () if beside.join(first).is_dir() => beside.clone(),
                () => continue,
            };
            seen += 1;
            // `*.toml` names a kind of file; the folder that holds it must be there.
            let path: PathBuf = span.split('/').take_while(|part| !part.contains('*')).collect();
            if !from.join(&path).exists() && !made_by_a_run(&path) {
                missing.push(format!("{}: `{span}`", document.name));
            }
        }
    }
    assert!(seen > 60, "only {seen} paths were looked at");
    assert!(missing.is_empty(), "named but not there:\n{}", missing.join("\n"));
}

/// Whether git ignores it: a result, which is there only after a run.
fn made_by_a_run(path: &Path) -> bool {
    Command::new("git").current_dir(root()).args(["check-ignore", "-q"]).arg(path).status().unwrap().success()
}

#[test]
fn every_command_that_is_named_exists_with_its_options() {
    let programs = Programs::new();
    let (mut faults, mut seen) = (Vec::new(), 0);
    for document in all() {
        let lines = document.blocks.iter().flat_map(|block| block.text.lines()).flat_map(|line| commands(line, false));
        let spans = document.spans.iter().flat_map(|span| commands(span, true));
        for words in lines.chain(spans) {
            seen += usize::from(programs.knows(&words[0]));
            if let Err(fault) = programs.check(&words) {
                faults.push(format!("{}: `{}`: {fault}", document.name, words.join(" ")));
            }
        }
    }
    assert!(seen > 30, "only {seen} commands were looked at");
    assert!(faults.is_empty(), "named but not there:\n{}", faults.join("\n"));
}

/// The simple commands of a line. In running text `run | check` and `trunk|agent` name alternatives, in a block a pipe.
fn commands(line: &str, running_text: bool) -> Vec<Vec<String>> {
    // What is optional by its brackets is not looked at.
    let line: String = {
        let mut depth = 0_u32;
        line.chars()
            .filter(|letter| {
                depth += u32::from(*letter == '[');
                let keep = depth == 0;
                depth = depth.saturating_sub(u32::from(*letter == ']'));
                keep
            })
            .collect()
    };
    let line = line.split(" #").next().unwrap_or_default().trim_start_matches("$ ");
    let mut found: Vec<Vec<String>> = Vec::new();
    for part in line.replace("&&", ";").split(['|', ';']) {
        let words: Vec<String> =
            part.split_whitespace().skip_while(|word| *word == "sudo").map(str::to_owned).collect();
        let Some(first) = words.first() else { continue };
        let alternative = running_text
            && words.iter().all(|word| word.bytes().all(|letter| letter.is_ascii_lowercase() || letter == b'-'));
        match found.last() {
            Some(before) if alternative && before.len() > 1 && first != "trunkline" => {
                found.push([&before[..before.len() - 1], &words].concat());
            }
            _ => found.push(words),
        }
    }
    found
}

/// What the programs say of themselves.
struct Programs {
    binaries: BTreeMap<&'static str, PathBuf>,
    /// Tasks of `cargo xtask`, by the words that call them.
    tasks: BTreeSet<String>,
    /// Help texts by the words that lead to them.
    help: RefCell<BTreeMap<Vec<String>, String>>,
}

impl Programs {
    fn new() -> Self {
        let front_door = std::fs::read_to_string(root().join("xtask/src/main.rs")).unwrap();
        let tasks = front_door.split("enum Task {").nth(1).unwrap().split("\n}").next().unwrap();
        let tasks = tasks
            .lines()
            .filter_map(|line| line.strip_prefix("    "))
            .filter(|line| line.starts_with(|letter: char| letter.is_ascii_uppercase()))
            .map(|line| line.chars().take_while(char::is_ascii_alphanumeric).collect::<String>().to_lowercase())
            .collect::<BTreeSet<_>>();
        assert!(tasks.contains("demo") && tasks.contains("test"), "{tasks:?}");
        let binaries = [("trunkline", "TRUNKLINE_BIN"), ("trunkline-control-plane", "TRUNKLINE_CP_BIN")].into_iter();
        Self {
            binaries: binaries.map(|(name, variable)| (name, from_environment(variable).unwrap())).collect(),
            tasks,
            help: RefCell::default(),
        }
    }

    fn knows(&self, program: &str) -> bool {
        self.binaries.contains_key(program) || program == "cargo"
    }

    fn check(&self, words: &[String]) -> Result<(), String> {
        match words {
            [cargo, xtask, task, ..] if cargo == "cargo" && xtask == "xtask" => {
                let known = self.tasks.contains(task);
                if known { Ok(()) } else { Err(format!("there is no task {task}; there are {:?}", self.tasks)) }
            }
            [program, ..] if self.binaries.contains_key(program.as_str()) => self.check_binary(words),
            _ => Ok(()),
        }
    }

    fn check_binary(&self, words: &[String]) -> Result<(), String> {
        let mut path = vec![words[0].clone()];
        let mut rest = words[1..].iter().peekable();
        while let Some(word) = rest.next() {
            let help = self.help(&path);
            if word.starts_with("--") {
                let (name, value) = word.split_once('=').map_or((word.as_str(), None), |(name, v)| (name, Some(v)));
                let listed = help.split([' ', ',', '\n']).any(|known| known == name);
                if !listed {
                    return Err(format!("{} has no option {name}", path.join(" ")));
                }
                if value.is_none() && help.contains(&format!("{name} <")) {
                    rest.next();
                }
                continue;
            }
            let below = subcommands(&help);
            if below.is_empty() || !word.starts_with(|letter: char| letter.is_ascii_lowercase()) {
                continue;
            }
            if !below.contains(word) {
                return Err(format!("{} has no command {word}; there are {below:?}", path.join(" ")));
            }
            path.push(word.clone());
        }
        Ok(())
    }

    fn help(&self, path: &[String]) -> String {
        let mut known = self.help.borrow_mut();
        let text = known.entry(path.to_vec()).or_insert_with(|| {
            let binary = &self.binaries[path[0].as_str()];
            let output = Command::new(binary).args(&path[1..]).arg("--help").output().unwrap();
            assert!(output.status.success(), "{path:?} --help: {}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap()
        });
        text.clone()
    }
}

/// The commands that a help text lists.
fn subcommands(help: &str) -> BTreeSet<String> {
    let listed = help.split("\nCommands:\n").nth(1).unwrap_or_default();
    listed
        .lines()
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_configuration_key_that_is_named_exists() {
    let read = |name: &str| std::fs::read_to_string(root().join(name)).unwrap();
    let schemas: Vec<Value> =
        files("config/*.schema.json").iter().map(|name| serde_json::from_str(&read(name)).unwrap()).collect();
    assert!(!schemas.is_empty());
    // An agent's fields have dots in documents as well; events too, and some begin like a section.
    let rest: Value = serde_json::from_str(&read("control-plane/openapi.json")).unwrap();
    let agent = &rest["components"]["schemas"]["AgentSpec"];
    assert!(has(&rest, agent, &["limits", "max_call_s"]), "an agent has its limits");
    let events = read("control-plane/api/src/event.rs");
    let known = |path: &[&str]| schemas.iter().any(|schema| has(schema, schema, path)) || has(&rest, agent, path);
    let section = |name: &str| schemas.iter().any(|schema| has(schema, schema, &[name]));
    let (mut faults, mut seen) = (Vec::new(), 0);
    for document in all() {
        let mut check = |shown: &str, path: &[&str]| {
            seen += 1;
            if !known(path) {
                faults.push(format!("{}: `{shown}`", document.name));
            }
        };
        for span in &document.spans {
            let path: Vec<&str> = span.split('.').collect();
            let key = path.len() > 1 && path.iter().all(|word| is_word(word)) && section(path[0]);
            let file =
                path.last().is_some_and(|last| ["toml", "md", "rs", "json", "service", "token", "key"].contains(last));
            if key && !file && !events.contains(&format!("\"{span}\"")) {
                check(span, &path);
            }
        }
        for text in document.spans.iter().chain(document.blocks.iter().map(|block| &block.text)) {
            for variable in variables(text) {
                let key = variable.strip_prefix("TRUNKLINE_CP_").or_else(|| variable.strip_prefix("TRUNKLINE_"));
                let key = key.unwrap_or_default().to_lowercase();
                check(&variable, &key.split("__").collect::<Vec<_>>());
            }
        }
        // A plugin's manifest has sections of its own.
        for block in document.blocks.iter().filter(|block| block.language == "toml" && !block.text.contains("sha256")) {
            let table: toml::Table = toml::from_str(&block.text)
                .unwrap_or_else(|error| panic!("{}: a block that is no TOML: {error}\n{}", document.name, block.text));
            for (name, value) in table.iter().filter(|(name, _)| *name != "object") {
                for path in leaves(name, value) {
                    check(&path, &path.split('.').collect::<Vec<_>>());
                }
            }
        }
    }
    assert!(seen > 10, "only {seen} keys were looked at");
    assert!(faults.is_empty(), "no such configuration key:\n{}", faults.join("\n"));
}

fn is_word(text: &str) -> bool {
    text.starts_with(|letter: char| letter.is_ascii_lowercase())
        && text.bytes().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == b'_')
}

/// Names of environment variables that are configuration: those with `__`.
fn variables(text: &str) -> Vec<String> {
    text.split(|letter: char| !(letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == '_'))
        .filter(|word| word.starts_with("TRUNKLINE_") && word.trim_end_matches('_').contains("__"))
        .map(str::to_owned)
        .collect()
}

/// Dotted paths of a table's values.
fn leaves(name: &str, value: &toml::Value) -> Vec<String> {
    match value {
        toml::Value::Table(table) => {
            table.iter().flat_map(|(key, value)| leaves(&format!("{name}.{key}"), value)).collect()
        }
        _ => vec![name.to_owned()],
    }
}

/// Whether a schema allows a value at a path.
fn has(schema: &Value, at: &Value, path: &[&str]) -> bool {
    if let Some(reference) = at["$ref"].as_str() {
        return schema.pointer(reference.trim_start_matches('#')).is_some_and(|target| has(schema, target, path));
    }
    let Some((first, rest)) = path.split_first() else { return true };
    let choices = ["anyOf", "oneOf", "allOf"].iter().filter_map(|name| at[*name].as_array()).flatten();
    let inside = at["properties"].get(*first).or_else(|| at.get("additionalProperties").filter(|any| any.is_object()));
    inside.is_some_and(|inside| has(schema, inside, rest)) || choices.into_iter().any(|one| has(schema, one, path))
}
