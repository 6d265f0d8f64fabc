//! How old a C library the binaries run on.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};

use crate::shell;

/// The oldest we promise: Debian 12 has 2.36, Ubuntu 22.04 has 2.35, Red Hat Enterprise Linux 9 has 2.34.
pub(super) const FLOOR: Version = Version(2, 34);

/// A version of the C library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(u32, u32);

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// The newest version whose symbols a binary asks for.
pub(super) fn newest_symbol(binary: &Path) -> anyhow::Result<Version> {
    let table = shell::output(Command::new("objdump").arg("-T").arg(binary))?;
    newest(&table).with_context(|| format!("{} asks for no symbol of the C library", binary.display()))
}

/// Refuses a binary that would not start where we say it does.
pub(super) fn check(newest: &Version) -> anyhow::Result<()> {
    ensure!(
        *newest <= FLOOR,
        "a binary needs glibc {newest}, but packages promise to run on {FLOOR}: build on an older system, or raise FLOOR \
         and say so in the changelog"
    );
    Ok(())
}

fn newest(table: &str) -> Option<Version> {
    let versions = table.split("GLIBC_").skip(1).filter_map(|rest| {
        let text: String = rest.chars().take_while(|char| char.is_ascii_digit() || *char == '.').collect();
        let (major, rest) = text.split_once('.')?;
        let minor = rest.split('.').next()?;
        Some(Version(major.parse().ok()?, minor.parse().ok()?))
    });
    versions.max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        let table = "(GLIBC_2.9) a\n(GLIBC_2.34) b\n(GLIBC_2.2.5) c\n(GCC_3.0) d\n";
        assert_eq!(newest(table), Some(Version(2, 34)));
        assert_eq!(newest("nothing"), None);
        assert!(check(&Version(2, 34)).is_ok() && check(&Version(2, 9)).is_ok());
        assert!(check(&Version(2, 35)).is_err());
    }
}
