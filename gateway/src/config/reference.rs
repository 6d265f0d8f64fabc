//! Keeps `config/` true: the schema is generated, the documented example has every key with its default.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use trunkline_configuration::slips_in_example;

use super::schema::Config;

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

    assert_eq!(slips_in_example(&text, &schema()), [""; 0]);
}
