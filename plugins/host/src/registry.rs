//! Which version of each plugin new sessions get.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::plugin::Plugin;

/// Plugins in service by name. A plugin comes in only as a loaded [`Plugin`], whose `init` has passed, so a version
/// that fails never replaces the one in service; sessions keep the version they began with.
#[derive(Debug, Default)]
pub struct PluginRegistry {
    current: RwLock<BTreeMap<String, Arc<Plugin>>>,
}

impl PluginRegistry {
    /// With nothing in service.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The version new sessions get.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Arc<Plugin>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Puts a plugin into service and gives the one it replaces.
    pub fn put(&self, plugin: Arc<Plugin>) -> Option<Arc<Plugin>> {
        let name = plugin.name().to_owned();
        self.current.write().unwrap_or_else(PoisonError::into_inner).insert(name, plugin)
    }

    /// Takes a plugin out of service.
    pub fn remove(&self, name: &str) -> Option<Arc<Plugin>> {
        self.current.write().unwrap_or_else(PoisonError::into_inner).remove(name)
    }

    /// Names in service, in order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }
}
