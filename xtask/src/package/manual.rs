//! The manual page of a configuration file, from its JSON Schema: `trunkline.toml(5)` says what `check` enforces.

use std::fmt::Write as _;

use anyhow::{Context as _, ensure};
use serde_json::Value;

/// What is particular to a page.
pub(super) struct Page {
    /// `trunkline.toml`.
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    /// The command whose manual is referred to.
    pub(super) command: &'static str,
    /// Where the file is, and what else counts.
    pub(super) preamble: &'static str,
}

impl Page {
    /// The page, in man(7) macros.
    pub(super) fn write(&self, schema: &Value, version: &str) -> anyhow::Result<String> {
        let mut page = format!(
            ".TH \"{}\" 5 \"\" \"{} {version}\" \"File formats\"\n.SH NAME\n{} \\- {}\n.SH DESCRIPTION\n{}\n",
            self.name.to_uppercase(),
            self.command,
            plain(self.name),
            plain(self.about),
            plain(self.preamble)
        );
        let root = properties(schema).context("the schema has no properties")?;
        let (sections, keys): (Vec<_>, Vec<_>) = root.iter().partition(|(_, value)| section(schema, value).is_some());
        if !keys.is_empty() {
            page.push_str(".SH TOP LEVEL\n");
        }
        for (key, value) in keys {
            describe(&mut page, schema, key, value);
        }
        for (name, value) in sections {
            let (heading, inner) = section(schema, value).unwrap_or_default();
            let _ = writeln!(page, ".SH \"[{}{heading}]\"", plain(name));
            if let Some(about) = value["description"].as_str().or_else(|| inner["description"].as_str()) {
                let _ = writeln!(page, "{}\n", plain(about));
            }
            for (key, value) in properties(&inner).into_iter().flatten() {
                describe(&mut page, schema, key, value);
            }
        }
        let _ = writeln!(page, ".SH SEE ALSO\n.BR {} (1)", plain(self.command));
        ensure!(page.contains(".TP"), "the schema describes no key");
        Ok(page)
    }
}

/// The table behind a key: its own keys, or for a table of tables those of each, with what stands for the name.
fn section(schema: &Value, value: &Value) -> Option<(&'static str, Value)> {
    let value = resolved(schema, value);
    if properties(&value).is_some() {
        return Some(("", value));
    }
    let each = resolved(schema, value.get("additionalProperties")?);
    properties(&each)?;
    Some((".NAME", each))
}

fn describe(page: &mut String, schema: &Value, key: &str, value: &Value) {
    let inner = resolved(schema, value);
    let default = match &value["default"] {
        Value::Null => String::new(),
        // A line can be broken behind a space only.
        Value::Array(each) => {
            let each: Vec<String> = each.iter().map(Value::to_string).collect();
            format!(", by default [{}]", each.join(", "))
        }
        default => format!(", by default {default}"),
    };
    // Inside a macro's argument a quotation mark has a name.
    let facts = plain(&format!("{}{default}", kind(&inner))).replace('"', "\\(dq");
    let _ = writeln!(page, ".TP\n.BR {} \" ({facts})\"", plain(key));
    let about = value["description"].as_str().or_else(|| inner["description"].as_str()).unwrap_or("Not described.");
    let _ = writeln!(page, "{}", plain(about));
}

/// What a value is, in words and bounds.
fn kind(value: &Value) -> String {
    let names = |choices: &Value| {
        let names = choices.as_array().into_iter().flatten();
        names.filter_map(|one| one["const"].as_str().or_else(|| one.as_str())).collect::<Vec<_>>().join(" | ")
    };
    for choices in [&value["oneOf"], &value["enum"]] {
        let names = names(choices);
        if !names.is_empty() {
            return names;
        }
    }
    let name = match &value["type"] {
        Value::String(name) => name.clone(),
        Value::Array(names) => {
            names.iter().filter_map(Value::as_str).filter(|name| *name != "null").collect::<Vec<_>>().join(" or ")
        }
        _ => "value".to_owned(),
    };
    match (value["minimum"].as_i64(), value["maximum"].as_i64()) {
        (Some(low), Some(high)) => format!("{name} {low} to {high}"),
        _ if name == "array" => format!("list of {}", kind(&value["items"])),
        _ => name,
    }
}

fn properties(value: &Value) -> Option<&serde_json::Map<String, Value>> {
    value["properties"].as_object()
}

/// The value itself, or what it refers to; `anyOf` with null is how an option is written.
fn resolved(schema: &Value, value: &Value) -> Value {
    if let Some(name) = value["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/")) {
        return schema["$defs"][name].clone();
    }
    let choices = value["anyOf"].as_array().into_iter().flatten();
    match choices.filter(|one| one["type"] != "null").collect::<Vec<_>>()[..] {
        [one] => resolved(schema, one),
        _ => value.clone(),
    }
}

/// Text that troff takes as it is.
fn plain(text: &str) -> String {
    let escaped = text.replace('\\', "\\e").replace('-', "\\-").replace('`', "");
    escaped.lines().map(|line| if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line.to_owned() }).fold(
        String::new(),
        |mut all, line| {
            if !all.is_empty() {
                all.push('\n');
            }
            all.push_str(&line);
            all
        },
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_the_gateway_is_described() {
        let file = crate::shell::root().join("config/trunkline.schema.json");
        let schema: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        let page = Page { name: "trunkline.toml", about: "a file", command: "trunkline", preamble: ".It is." }
            .write(&schema, "0.1.0")
            .unwrap();
        assert!(page.contains(".SH \"[gateway]\"") && page.contains(".SH \"[secrets.NAME]\""), "{page}");
        assert!(page.contains(".BR drain_s \" (integer 0 to 86400, by default 30)\""), "{page}");
        assert!(page.contains(", by default \\(dqinfo\\(dq)\""), "{page}");
        assert!(page.contains("\\&.It is."), "{page}");
        assert!(!page.contains("Not described."), "{page}");
        assert!(Page { name: "x", about: "", command: "x", preamble: "" }.write(&Value::Null, "1").is_err());
    }
}
