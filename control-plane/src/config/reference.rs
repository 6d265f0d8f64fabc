//! Keeps `config/` true: the schema is generated, the documented example has every key with its default.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use super::Config;
use super::shape::Shape;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../config")
}

fn schema() -> Value {
    Value::from(schemars::schema_for!(Config))
}

#[test]
fn the_schema_is_the_one_of_this_build() {
    let path = folder().join("control-plane.schema.json");
    let generated = format!("{:#}\n", schema());
    if std::env::var_os("TRUNKLINE_BLESS").is_some() {
        fs::write(&path, &generated).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == generated, "{} is out of date: run this test with TRUNKLINE_BLESS=1", path.display());
}

#[test]
fn the_example_is_the_defaults_and_names_every_key() {
    let path = folder().join("control-plane.toml");
    let text = fs::read_to_string(&path).unwrap();
    let loaded = super::load_from(Some(&path), BTreeMap::new(), None).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(loaded.config, Config::default());

    let mut shown = Vec::new();
    let mut section = String::new();
    let mut commented = false;
    for line in text.lines() {
        let bare = line.trim_start_matches("# ");
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = format!("{name}.");
        } else if let Some((key, _)) = bare.split_once(" = ")
            && key.chars().all(|c| c.is_ascii_lowercase() || c == '_')
        {
            assert!(commented, "{section}{key} has no comment above it");
            shown.push(format!("{section}{key}"));
        }
        commented = line.starts_with('#') && !line.contains(" = ");
    }
    let schema = schema();
    assert_eq!(
        keys(Shape::new(&schema), "").into_iter().filter(|key| !shown.contains(key)).collect::<Vec<_>>(),
        [""; 0]
    );
    let known = |key: &str| key.split('.').try_fold(Shape::new(&schema), |shape, key| shape.key(key)).is_some();
    assert_eq!(shown.iter().filter(|key| !known(key)).collect::<Vec<_>>(), [""; 0], "keys that do not exist");
}

/// Every key that is no table.
fn keys(shape: Shape<'_>, key: &str) -> Vec<String> {
    let names = shape.keys();
    if names.is_empty() {
        return vec![key.to_owned()];
    }
    let dotted = |name: &str| if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") };
    names.into_iter().filter_map(|name| Some(keys(shape.key(name)?, &dotted(name)))).flatten().collect()
}
