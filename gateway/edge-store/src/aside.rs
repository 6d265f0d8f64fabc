//! Damaged files are kept for whoever wants to look, a bounded number of them.

use std::io;
use std::path::{Path, PathBuf};

const FOLDER: &str = "damaged";
/// At most 8 MiB each.
const MOST_FILES: usize = 32;

/// Writes a copy of damaged bytes and says where; failing to keep one harms nothing.
pub(crate) fn keep(root: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = free(root, name);
    let kept = make_room(root).and_then(|()| std::fs::write(&path, bytes));
    if let Err(error) = kept {
        tracing::warn!(%error, file = %path.display(), "a damaged file could not be kept aside");
    }
    path
}

/// Moves a damaged file there; it is deleted when it cannot be moved.
pub(crate) fn move_file(root: &Path, file: &Path, name: &str) -> io::Result<PathBuf> {
    let path = free(root, name);
    if make_room(root).and_then(|()| std::fs::rename(file, &path)).is_err() {
        std::fs::remove_file(file)?;
    }
    Ok(path)
}

fn free(root: &Path, name: &str) -> PathBuf {
    let folder = root.join(FOLDER);
    let numbered = (0_u32..).map(|number| folder.join(format!("{number:04}-{name}")));
    let mut paths = numbered.skip_while(|path| path.exists());
    paths.next().unwrap_or_else(|| folder.join(name))
}

fn make_room(root: &Path) -> io::Result<()> {
    let folder = root.join(FOLDER);
    std::fs::create_dir_all(&folder)?;
    let mut files: Vec<_> = std::fs::read_dir(&folder)?
        .filter_map(|entry| {
            let entry = entry.ok()?;
            Some((entry.metadata().ok()?.modified().ok()?, entry.path()))
        })
        .collect();
    files.sort();
    for (_, old) in files.iter().take((files.len() + 1).saturating_sub(MOST_FILES)) {
        std::fs::remove_file(old)?;
    }
    Ok(())
}
