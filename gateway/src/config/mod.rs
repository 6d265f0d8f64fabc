//! Configuration: layers merged by figment, every fault in them found with file, line and key.

mod objects;
mod profile;
#[cfg(test)]
mod reference;
mod rules;
mod schema;
#[cfg(test)]
mod tests;
pub(crate) mod written;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use trunkline_api::object::Object;
use trunkline_configuration::{Diagnostic, Node, Origins, Shape, layers, merge};

pub(crate) use schema::{
    Config, Hep, History, Log, LogFormat, Plugins, Secret, SipListener, SipStir, SipTls, UnknownPeer,
};

/// The file when none is named.
pub(crate) const DEFAULT_FILE: &str = "/etc/trunkline/trunkline.toml";

/// A configuration that was found to be in order.
#[derive(Debug, Clone)]
pub(crate) struct Loaded {
    pub(crate) config: Config,
    pub(crate) objects: Vec<Object>,
    /// Where each key that is set was set last.
    pub(crate) origins: Origins,
    /// Where objects of this gateway's own lie.
    pub(crate) objects_dir: PathBuf,
    /// Values that are unsafe in service, where the profile warns about them.
    pub(crate) warnings: Vec<Diagnostic>,
}

/// Loads defaults, `file` (which must exist when it is named), `conf.d/*.toml` beside it, this process's environment
/// and `set`, then the local objects; or reports everything that is wrong with them.
pub(crate) fn load(file: Option<&Path>, set: &[String]) -> Result<Loaded, Vec<Diagnostic>> {
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
    };
    load_from(file, std::env::vars_os().filter_map(text).collect(), set)
}

fn load_from(
    file: Option<&Path>,
    environment: BTreeMap<String, String>,
    set: &[String],
) -> Result<Loaded, Vec<Diagnostic>> {
    let path = file.map_or_else(|| PathBuf::from(DEFAULT_FILE), Path::to_path_buf);
    let schema = Value::from(schemars::schema_for!(Config));
    let shape = Shape::new(&schema);
    let mut faults = Vec::new();

    let mut layers = files(&path, file.is_some(), &mut faults);
    layers.extend(layers::variables(environment, shape, set_by_variable));
    layers.extend(layers::arguments(set, shape, &mut faults));
    let (config, origins) = merge::<Config>(&mut layers, shape, &mut faults);
    let Some(config) = config else { return Err(faults) };

    faults.extend(rules::check(&config, &origins));
    let warnings = config.profile.judge(profile::unsafe_values(&config, &origins), &mut faults);
    let beside = || path.parent().unwrap_or(Path::new("")).join("conf.d/objects");
    let folder = config.objects.dir.clone().unwrap_or_else(beside);
    let objects = objects::load(&folder, config.control_plane.url.is_empty(), &mut faults);
    if faults.is_empty() { Ok(Loaded { config, objects, origins, objects_dir: folder, warnings }) } else { Err(faults) }
}

/// The file and `conf.d/*.toml` beside it; one that was named must exist, the default one need not.
fn files(path: &Path, named: bool, faults: &mut Vec<Diagnostic>) -> Vec<Node> {
    let mut found = Vec::new();
    if named || layers::is_there(path) {
        found.extend(layers::file(path, faults));
    }
    let folder = path.parent().unwrap_or(Path::new("")).join("conf.d");
    for path in layers::toml_files(&folder, faults) {
        found.extend(layers::file(&path, faults));
    }
    found
}

/// `TRUNKLINE_` and the key, sections and keys joined by `__`. A variable without `__` is no configuration, but for the
/// one key of no section; those of the control plane (`TRUNKLINE_CP_`) are not ours.
fn set_by_variable(name: &str) -> Option<String> {
    if name == "TRUNKLINE_PROFILE" {
        return Some("profile".to_owned());
    }
    let key = name.strip_prefix("TRUNKLINE_").filter(|key| key.contains("__") && !key.starts_with("CP_"));
    key.map(str::to_owned)
}
