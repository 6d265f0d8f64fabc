//! How strictly values are taken that are fine on a desk and unsafe in service; which ones those are, each program says.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Diagnostic;

/// Folders that everybody may write or that a reboot empties.
const PASSING: [&str; 4] = ["/tmp", "/var/tmp", "/dev/shm", "/run"];

/// What becomes of unsafe values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// They are allowed.
    Dev,
    /// They are warned about.
    #[default]
    Staging,
    /// They are refused.
    Prod,
}

impl Profile {
    /// Every profile's name, as written.
    pub const NAMES: [&str; 3] = ["dev", "staging", "prod"];

    /// Its name, as written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// Makes faults or warnings of unsafe values, or nothing; returns the warnings.
    pub fn judge(self, mut found: Vec<Diagnostic>, faults: &mut Vec<Diagnostic>) -> Vec<Diagnostic> {
        match self {
            Self::Dev => found.clear(),
            Self::Staging => {}
            Self::Prod => faults.append(&mut found),
        }
        found
    }
}

/// Whether a folder is open to everybody or emptied by a reboot, so that state does not belong there.
#[must_use]
pub fn does_not_outlive_a_reboot(folder: &Path) -> bool {
    PASSING.iter().any(|passing| folder.starts_with(passing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_named_as_it_is_written() {
        let all = [Profile::Dev, Profile::Staging, Profile::Prod];
        assert_eq!(
            all.map(|profile| serde_json::to_value(profile).unwrap()),
            Profile::NAMES.map(serde_json::Value::from)
        );
        assert_eq!(all.map(Profile::name), Profile::NAMES);
    }
}
