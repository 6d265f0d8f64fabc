//! What recordings need of a disk, and the folder that gives it. Tests have disks of their own, which stall, fill up and
//! lose their power.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Where recordings go.
pub trait Disk: Send + Sync + std::fmt::Debug {
    /// Creates a file of this name, which must not exist yet.
    ///
    /// # Errors
    /// What the operating system says.
    fn create(&self, name: &Path) -> io::Result<Box<dyn Track>>;

    /// Makes everything durable that was written before, of all files at once.
    ///
    /// # Errors
    /// What the operating system says; then nothing is known to be durable.
    fn sync(&self) -> io::Result<()>;

    /// Bytes that this process may still write.
    ///
    /// # Errors
    /// What the operating system says.
    fn free_bytes(&self) -> io::Result<u64>;
}

/// A file of a [`Disk`] being written.
pub trait Track: Send {
    /// Writes behind what is there.
    ///
    /// # Errors
    /// What the operating system says.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Writes over the file's beginning.
    ///
    /// # Errors
    /// What the operating system says.
    fn overwrite_head(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Makes the whole file durable: nothing follows.
    ///
    /// # Errors
    /// What the operating system says.
    fn complete(&mut self) -> io::Result<()>;
}

/// A folder. Its files are readable by their owner only.
#[derive(Debug)]
pub struct FolderDisk {
    path: PathBuf,
    folder: File,
}

impl FolderDisk {
    /// The folder at `path`, which must exist.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_path_buf(), folder: File::open(path)? })
    }
}

impl Disk for FolderDisk {
    fn create(&self, name: &Path) -> io::Result<Box<dyn Track>> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(self.path.join(name))?;
        Ok(Box::new(FileTrack(file)))
    }

    fn sync(&self) -> io::Result<()> {
        // One call for all files: a thousand recordings cost the disk no more of them than one.
        Ok(rustix::fs::syncfs(&self.folder)?)
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let found = rustix::fs::fstatvfs(&self.folder)?;
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    }
}

struct FileTrack(File);

impl Track for FileTrack {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn overwrite_head(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, 0)
    }

    fn complete(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }
}
