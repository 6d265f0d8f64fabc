//! Commands typed by root act as the owner of the state folder: what they write there must be the service's own,
//! otherwise the service cannot open it at its next start.
//!
//! Nothing is switched within a process. The same command line runs once more under the owner's user and group; as
//! that process is not root, it can never do so again.

use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{FolderError, StateFolder};

/// Tells the second process that root waits for it, to do what only root may (writing below `/etc`).
const MARK: &str = "TRUNKLINE_ACTING_FOR_ROOT";

/// Who does a command's work on the state folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acting {
    /// This process; nobody else is involved.
    Myself,
    /// This process, for root, who goes on with what is left once this one has ended well.
    ForRoot,
    /// A process of the owner has done it and ended with this exit code; only what takes root is left.
    Done(u8),
}

/// Whether this process acts for root, who does the rest.
#[must_use]
pub fn is_for_root() -> bool {
    std::env::var_os(MARK).is_some()
}

/// Why a command cannot act on a state folder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OwnerError {
    /// It belongs to somebody else.
    #[error("the state folder {folder} belongs to {owner}; type the command with `sudo` or as that user", folder = .folder.display())]
    NotOurs {
        /// The folder.
        folder: PathBuf,
        /// Its owner.
        owner: String,
    },
    /// It cannot be made or looked at.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The second process could not be started.
    #[error("cannot act as {owner}: {error}")]
    Start {
        /// Whom.
        owner: String,
        /// Why not.
        error: std::io::Error,
    },
}

impl StateFolder {
    /// Prepares the folder at `state` and has its owner do the command's work: this process when it is the owner's,
    /// otherwise, for root, a second one with the same arguments, environment and standard streams.
    ///
    /// # Errors
    /// [`OwnerError`]: the folder is somebody else's and we are not root, or it or the second process cannot be made.
    pub fn act_as_owner(&self, state: &Path) -> Result<Acting, OwnerError> {
        match self.plan(state)? {
            Plan::Here if is_for_root() => Ok(Acting::ForRoot),
            Plan::Here => Ok(Acting::Myself),
            Plan::Hand(owner) => {
                let status = owner.command()?.env(MARK, "1").status().map_err(|error| owner.failed(error))?;
                let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
                Ok(Acting::Done(u8::try_from(code).unwrap_or(1)))
            }
        }
    }

    /// As [`act_as_owner`](Self::act_as_owner), for a command of which nothing is left to root: returns only when this
    /// process is the owner's.
    ///
    /// # Errors
    /// As there.
    pub fn become_owner(&self, state: &Path) -> Result<(), OwnerError> {
        match self.plan(state)? {
            Plan::Here => Ok(()),
            Plan::Hand(owner) => {
                let error = owner.command()?.exec();
                Err(owner.failed(error))
            }
        }
    }

    fn plan(&self, state: &Path) -> Result<Plan, OwnerError> {
        let myself = rustix::process::geteuid().as_raw();
        let Ok(found) = std::fs::metadata(state) else {
            self.open(state)?;
            if myself == 0
                && state == Path::new(self.path)
                && let Some(owner) = Owner::named(self.user)
            {
                std::os::unix::fs::chown(state, Some(owner.uid), Some(owner.gid))
                    .map_err(|error| owner.failed(error))?;
                return Ok(Plan::Hand(owner));
            }
            return Ok(Plan::Here);
        };
        let owner = Owner { uid: found.uid(), gid: found.gid() };
        if owner.uid == myself {
            self.open(state)?;
            return Ok(Plan::Here);
        }
        if myself == 0 {
            return Ok(Plan::Hand(owner));
        }
        Err(OwnerError::NotOurs { folder: state.to_path_buf(), owner: owner.name() })
    }
}

enum Plan {
    Here,
    Hand(Owner),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Owner {
    uid: u32,
    gid: u32,
}

impl Owner {
    /// A user of this machine. Users of the package are in the file itself, never in a directory service.
    fn named(name: &str) -> Option<Self> {
        Self::find(&std::fs::read_to_string("/etc/passwd").ok()?, |entry| entry.first() == Some(&name))
            .map(|(owner, _)| owner)
    }

    fn find(passwd: &str, wanted: impl Fn(&[&str]) -> bool) -> Option<(Self, String)> {
        passwd.lines().find_map(|line| {
            let entry: Vec<&str> = line.split(':').collect();
            if !wanted(&entry) {
                return None;
            }
            let owner = Self { uid: entry.get(2)?.parse().ok()?, gid: entry.get(3)?.parse().ok()? };
            Some((owner, (*entry.first()?).to_owned()))
        })
    }

    fn name(&self) -> String {
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let uid = self.uid.to_string();
        match Self::find(&passwd, |entry| entry.get(2) == Some(&uid.as_str())) {
            Some((_, name)) => format!("user {name}"),
            None => format!("user {uid}"),
        }
    }

    /// This very command line under the owner's user and group, and without root's other groups.
    fn command(&self) -> Result<Command, OwnerError> {
        let program = std::env::current_exe().map_err(|error| self.failed(error))?;
        let mut command = Command::new(program);
        command.args(std::env::args_os().skip(1)).gid(self.gid).uid(self.uid);
        Ok(command)
    }

    fn failed(&self, error: std::io::Error) -> OwnerError {
        OwnerError::Start { owner: self.name(), error }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str =
        "root:x:0:0:root:/root:/bin/sh\ntrunkline:x:998:997::/var/lib/trunkline:/usr/sbin/nologin\nbad\n";

    #[test]
    fn a_user_is_found_by_name_and_by_number() {
        let found = |wanted: &dyn Fn(&[&str]) -> bool| Owner::find(PASSWD, wanted);
        let service = (Owner { uid: 998, gid: 997 }, "trunkline".to_owned());
        assert_eq!(found(&|entry| entry[0] == "trunkline"), Some(service.clone()));
        assert_eq!(found(&|entry| entry.get(2) == Some(&"998")), Some(service));
        assert_eq!(found(&|entry| entry[0] == "bad"), None);
    }

    #[test]
    fn the_owner_of_a_folder_acts_itself_and_makes_a_missing_one_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let scratch = tempfile::tempdir().unwrap();
        let state = scratch.path().join("a/state");
        let program = StateFolder { program: "the program", user: "", path: "", names: &[], closed: &[] };
        assert_eq!(program.act_as_owner(&state).unwrap(), Acting::Myself);
        assert_eq!(std::fs::metadata(&state).unwrap().permissions().mode() & 0o777, 0o700);
        program.become_owner(&state).unwrap();
    }
}
