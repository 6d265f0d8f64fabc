//! Layers become one value of the program's own type.

use std::collections::BTreeMap;

use figment::Figment;
use figment::providers::Serialized;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::diagnostic::{Diagnostic, Location};
use crate::document::Node;
use crate::shape::Shape;

/// Where each key that is set was set last.
pub type Origins = BTreeMap<String, Location>;

/// Defaults under `layers`, the last winning, and where each key was set. What does not fit `shape` is reported and
/// left out, so that the rest can be looked at; `None` when what is left is still no `T`.
pub fn merge<T: Default + Serialize + DeserializeOwned>(
    layers: &mut [Node],
    shape: Shape<'_>,
    faults: &mut Vec<Diagnostic>,
) -> (Option<T>, Origins) {
    let mut origins = Origins::new();
    let mut figment = Figment::from(Serialized::defaults(T::default()));
    for layer in layers {
        shape.check("", layer, faults);
        layer.leaves("", &mut |key, at| {
            origins.insert(key.to_owned(), at.clone());
        });
        figment = figment.merge(Serialized::defaults(layer.to_json()));
    }
    match figment.extract::<T>() {
        Ok(value) => (Some(value), origins),
        Err(errors) => {
            for error in errors {
                let key = error.path.join(".");
                let location = origins.get(&key).cloned().unwrap_or_default();
                faults.push(Diagnostic { location, key, message: error.kind.to_string(), expected: String::new() });
            }
            (None, origins)
        }
    }
}
