//! The folder in which a program keeps its state. It and what lies in it are its owner's only, whatever the umask, and
//! a command typed by root acts as that owner, so that no file of root's keeps the service out.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test stops at what it did not expect"))]

mod file;
mod folder;
mod owner;

pub use file::{create, replace, reserve};
pub use folder::{FolderError, open_to_a_group, umask};
pub use owner::{Acting, OwnerError, is_for_root};

/// What a program's state folder looks like.
#[derive(Debug, Clone, Copy)]
pub struct StateFolder {
    /// Whose it is, in messages: `the gateway`.
    pub program: &'static str,
    /// The user that the package makes.
    pub user: &'static str,
    /// The package's state folder; only this one is made for that user when root needs it and it is missing.
    pub path: &'static str,
    /// Names by which a folder is told to be the program's own: what lies in it from the first start on.
    pub names: &'static [&'static str],
    /// Those of them that an earlier version, or a copy, may have left readable, and that are closed when they are.
    /// A readable secret is not among them: it has to be taken for known, so it is refused where it is read.
    pub closed: &'static [&'static str],
}
