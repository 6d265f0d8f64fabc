//! A plugin's settings in an agent's file: those that were given, and of the others what its schema says.

use std::path::Path;

use anyhow::{Context as _, bail};
use serde_json::{Map, Value};

use super::file::{File, inline};
use trunkline_configuration::did_you_mean;

/// The schema of a plugin's settings; empty when it takes none.
pub(super) fn schema(path: Option<&Path>) -> anyhow::Result<Value> {
    let Some(path) = path else { return Ok(Value::Null) };
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    serde_json::from_str(&text).with_context(|| path.display().to_string())
}

/// Reads `--setting LIST.KEY=VALUE` of one list against the schema.
pub(super) fn given(list: &str, plugin: &str, texts: &[String], schema: &Value) -> anyhow::Result<Map<String, Value>> {
    let none = Map::new();
    let known = schema["properties"].as_object().unwrap_or(&none);
    let mut settings = Map::new();
    for text in texts {
        let (key, value) =
            text.split_once('=').with_context(|| format!("--setting {text}: `LIST.KEY=VALUE` is expected"))?;
        let Some(key) = key.strip_prefix(list).and_then(|rest| rest.strip_prefix('.')) else { continue };
        let Some(shape) = known.get(key) else {
            let meant = did_you_mean(key, known.keys().map(String::as_str));
            let meant = meant.map(|meant| format!("; did you mean `{meant}`?")).unwrap_or_default();
            let all: Vec<&str> = known.keys().map(String::as_str).collect();
            bail!("--setting {text}: plugin `{plugin}` has no setting `{key}`{meant} (it has {})", all.join(", "));
        };
        settings.insert(key.to_owned(), read(value, shape));
    }
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let missing: Vec<String> =
        required.filter(|key| !settings.contains_key(*key)).map(|key| format!("--setting {list}.{key}=...")).collect();
    if !missing.is_empty() {
        bail!("plugin `{plugin}` needs {}", missing.join(" and "));
    }
    Ok(settings)
}

/// The lists that `--setting` may name.
pub(super) fn check_lists(texts: &[String]) -> anyhow::Result<()> {
    let known = |text: &&String| ["asr.", "llm.", "tts."].iter().any(|list| text.starts_with(list));
    match texts.iter().find(|text| !known(text)) {
        Some(text) => bail!("--setting {text}: it begins with `asr.`, `llm.` or `tts.`, as in `llm.model=...`"),
        None => Ok(()),
    }
}

/// Text where text is wanted, otherwise TOML.
fn read(text: &str, shape: &Value) -> Value {
    let wants_text =
        shape["type"] == "string" || shape["type"].as_array().is_some_and(|types| types.contains(&"string".into()));
    let parsed = || {
        let table: toml::Table = format!("value = {text}").parse().ok()?;
        serde_json::to_value(table.get("value")?).ok()
    };
    let value = if wants_text { None } else { parsed() };
    value.unwrap_or_else(|| Value::String(text.to_owned()))
}

/// Writes the settings that were given, and the others as comments.
pub(super) fn write(file: &mut File, given: &Map<String, Value>, schema: &Value) {
    let none = Map::new();
    for (key, shape) in schema["properties"].as_object().unwrap_or(&none) {
        let about = describe(key, shape);
        match (given.get(key).and_then(lines), inline(&shape["default"])) {
            (Some(value), _) => file.key(&about, key, &value),
            (None, Some(default)) => file.default(&about, key, &default),
            (None, None) => file.comment(&format!("{key}: {about}")),
        }
    }
}

/// A value as TOML; a list of tables with a line for each.
fn lines(value: &Value) -> Option<String> {
    match value.as_array() {
        Some(items) if !items.is_empty() && items.iter().all(Value::is_object) => {
            let items: Vec<String> =
                items.iter().map(|item| Some(format!("  {},\n", inline(item)?))).collect::<Option<_>>()?;
            Some(format!("[\n{}]", items.concat()))
        }
        _ => inline(value),
    }
}

/// What a schema says of a key, in words; where it says nothing, the key's own.
fn describe(key: &str, shape: &Value) -> String {
    let own = || {
        let mut letters = key.chars().map(|letter| if letter == '_' { ' ' } else { letter });
        letters.next().map(|first| first.to_uppercase().chain(letters).collect::<String>()).unwrap_or_default()
    };
    let mut about = shape["description"].as_str().map_or_else(own, str::to_owned);
    let range = match (&shape["minimum"], &shape["maximum"]) {
        (Value::Null, Value::Null) => String::new(),
        (least, Value::Null) => format!("at least {least}"),
        (Value::Null, most) => format!("at most {most}"),
        (least, most) => format!("{least} to {most}"),
    };
    let one_of = shape["enum"].as_array().into_iter().flatten().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    for more in [range, if one_of.is_empty() { String::new() } else { format!("one of {one_of}") }] {
        if !more.is_empty() {
            about = format!("{} ({more})", about.trim_end_matches('.'));
        }
    }
    about
}
