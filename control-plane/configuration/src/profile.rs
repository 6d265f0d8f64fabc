//! How strictly values are taken that are fine on a desk and unsafe in service; which ones those are, each program says.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

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

/// A word that is no profile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no profile `{0}`; write `dev`, `staging` or `prod`")]
pub struct NoProfile(String);

impl FromStr for Profile {
    type Err = NoProfile;

    fn from_str(text: &str) -> Result<Self, NoProfile> {
        let all = [Self::Dev, Self::Staging, Self::Prod];
        all.into_iter().find(|profile| profile.name() == text).ok_or_else(|| NoProfile(text.to_owned()))
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
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
    fn a_profile_is_read_as_it_is_written() {
        for name in Profile::NAMES {
            assert_eq!(name.parse::<Profile>().unwrap().to_string(), name);
        }
        assert!("production".parse::<Profile>().unwrap_err().to_string().contains("`prod`"));
    }
}
