//! The few calls of `std::fs` that the engine makes, answered from data compiled in: a plugin has no file system.

use std::io;
use std::path::{Path, PathBuf};

include!(concat!(env!("OUT_DIR"), "/data.rs"));

/// The folder under which the data appears.
pub const ROOT: &str = "/espeak";

fn relative(path: &Path) -> Option<String> {
    let below = path.strip_prefix(ROOT).ok()?;
    Some(below.to_str()?.replace('\\', "/"))
}

fn find(path: &Path) -> Option<&'static [u8]> {
    let name = relative(path)?;
    let index = FILES.binary_search_by(|(known, _)| (*known).cmp(name.as_str())).ok()?;
    Some(FILES[index].1)
}

/// As `std::fs::read`.
pub fn read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    find(path.as_ref()).map(<[u8]>::to_vec).ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// As `std::fs::read_to_string`.
pub fn read_to_string(path: impl AsRef<Path>) -> io::Result<String> {
    String::from_utf8(read(path)?).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// As `Path::exists`.
pub fn exists(path: impl AsRef<Path>) -> bool {
    find(path.as_ref()).is_some() || is_dir(path)
}

/// As `Path::is_dir`.
pub fn is_dir(path: impl AsRef<Path>) -> bool {
    relative(path.as_ref()).is_some_and(|folder| {
        folder.is_empty()
            || FILES.iter().any(|(known, _)| known.strip_prefix(&folder).is_some_and(|rest| rest.starts_with('/')))
    })
}

/// An entry of a folder.
pub struct DirEntry(PathBuf);

impl DirEntry {
    /// Its path.
    pub fn path(&self) -> PathBuf {
        self.0.clone()
    }
}

/// As `std::fs::read_dir`.
pub fn read_dir(folder: impl AsRef<Path>) -> io::Result<std::vec::IntoIter<io::Result<DirEntry>>> {
    let folder = folder.as_ref();
    let below = relative(folder).filter(|_| is_dir(folder)).ok_or(io::ErrorKind::NotFound)?;
    let mut names: Vec<&str> = FILES
        .iter()
        .filter_map(
            |(known, _)| if below.is_empty() { Some(*known) } else { known.strip_prefix(&below)?.strip_prefix('/') },
        )
        .filter_map(|rest| rest.split('/').next())
        .collect();
    names.dedup();
    Ok(names.into_iter().map(|name| Ok(DirEntry(folder.join(name)))).collect::<Vec<_>>().into_iter())
}
