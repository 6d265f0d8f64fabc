//! Keeps `config/` true: the schema is generated, the documented example has every key with its default.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use super::document::dotted;
use super::schema::Config;
use super::shape::Shape;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../config")
}

fn schema() -> Value {
    Value::from(schemars::schema_for!(Config))
}

#[test]
fn the_schema_is_the_one_of_this_build() {
    let path = folder().join("trunkline.schema.json");
    let generated = format!("{:#}\n", schema());
    if std::env::var_os("TRUNKLINE_BLESS").is_some() {
        fs::write(&path, &generated).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == generated, "{} is out of date: run this test with TRUNKLINE_BLESS=1", path.display());
}

#[test]
fn the_example_is_the_defaults_and_names_every_key() {
    let path = folder().join("trunkline.toml");
    let text = fs::read_to_string(&path).unwrap();
    let loaded = super::load_from(Some(&path), BTreeMap::new(), &[])
        .unwrap_or_else(|faults| panic!("{}", faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")));
    assert_eq!(loaded.config, Config::default());

    let mut shown = Vec::new();
    let mut section = String::new();
    let mut commented = false;
    for line in text.lines() {
        let bare = line.trim_start_matches("# ");
        if let Some(name) = bare.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.to_owned();
        } else if let Some((key, _)) = bare.split_once(" = ")
            && key.chars().all(|c| c.is_ascii_lowercase() || c == '_')
        {
            assert!(commented, "{section}.{key} has no comment above it");
            shown.push(dotted(&section, key));
        }
        commented = line.starts_with('#') && !line.contains(" = ");
    }
    let schema = schema();
    let mut missing = keys(Shape::new(&schema), "");
    missing.retain(|key| !shown.contains(key));
    assert_eq!(missing, Vec::<String>::new(), "keys that the example does not show");
    let unknown: Vec<_> = shown.iter().filter(|key| !known(&schema, key)).collect();
    assert!(unknown.is_empty(), "keys that do not exist: {unknown:?}");
}

/// Every key that is no table.
fn keys(shape: Shape<'_>, key: &str) -> Vec<String> {
    let names = shape.names_of_keys();
    if names.is_empty() {
        // A table of free names, such as the secrets, is shown by an example that the comment explains.
        return if shape.types() == ["object"] { Vec::new() } else { vec![key.to_owned()] };
    }
    let inner = |name: &str| shape.key(name).map(|shape| keys(shape, &dotted(key, name)));
    names.into_iter().filter_map(inner).flatten().collect()
}

fn known(schema: &Value, key: &str) -> bool {
    key.split('.').try_fold(Shape::new(schema), |shape, key| shape.key(key)).is_some()
}
