//! Configuration: layers merged by figment, every fault in them found with file, line and key.

mod diagnostic;
mod document;
mod layers;
mod objects;
mod profile;
#[cfg(test)]
mod reference;
mod rules;
mod schema;
mod shape;
#[cfg(test)]
mod tests;
pub(crate) mod written;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::Serialized;
use serde_json::Value;
use trunkline_api::object::Object;

use diagnostic::Location;
pub(crate) use diagnostic::{Diagnostic, did_you_mean};
pub(crate) use profile::Profile;
use rules::Origins;
pub(crate) use schema::{Config, History, Log, LogFormat, Plugins, Secret, UnknownPeer};
use shape::Shape;

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

    let mut layers = layers::files(&path, file.is_some(), &mut faults);
    layers.extend(layers::variables(environment, shape));
    layers.extend(layers::arguments(set, shape, &mut faults));

    let mut origins = Origins::new();
    let mut figment = Figment::from(Serialized::defaults(Config::default()));
    for layer in &mut layers {
        // What does not fit is reported here and left out, so that the rest can be looked at.
        shape.check("", layer, &mut faults);
        layer.leaves("", &mut |key, at| {
            origins.insert(key.to_owned(), at.clone());
        });
        figment = figment.merge(Serialized::defaults(layer.to_json()));
    }

    match figment.extract::<Config>() {
        Ok(config) => {
            faults.extend(rules::check(&config, &origins));
            let mut warnings = profile::unsafe_values(&config, &origins);
            match config.profile {
                Profile::Dev => warnings.clear(),
                Profile::Staging => {}
                Profile::Prod => faults.append(&mut warnings),
            }
            let beside = || path.parent().unwrap_or(Path::new("")).join("conf.d/objects");
            let folder = config.objects.dir.clone().unwrap_or_else(beside);
            let objects = objects::load(&folder, config.control_plane.url.is_empty(), &mut faults);
            if faults.is_empty() {
                Ok(Loaded { config, objects, origins, objects_dir: folder, warnings })
            } else {
                Err(faults)
            }
        }
        Err(errors) => {
            for error in errors {
                let key = error.path.join(".");
                let location = origins.get(&key).cloned().unwrap_or(Location::Default);
                faults.push(Diagnostic { location, key, message: error.kind.to_string(), expected: String::new() });
            }
            Err(faults)
        }
    }
}
